"""Sends an INVITE every 5 ms until one is answered 200, and prints the milliseconds since the given time.

usage: firstcall.py HOST PORT AGENT START_NANOSECONDS
"""
import socket
import sys
import time

host, port, agent, start = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((host, 0))
s.settimeout(0.005)
me = "%s:%d" % s.getsockname()
sdp = f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
n = 0
while time.time_ns() - start < 30e9:
    n += 1
    s.sendto(
        (
            f"INVITE sip:{agent}@{host}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{n}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:bench@{me}>;tag={n}\r\nTo: <sip:{agent}@{host}>\r\nCall-ID: {n}@{me}\r\nCSeq: 1 INVITE\r\n"
            f"Contact: <sip:bench@{me}>\r\nContent-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n{sdp}"
        ).encode(),
        (host, port),
    )
    try:
        while True:
            if s.recv(65536).startswith(b"SIP/2.0 200"):
                print((time.time_ns() - start) // 1_000_000)
                sys.exit(0)
    except (TimeoutError, ConnectionRefusedError):
        time.sleep(0.005)
sys.exit("no call was answered within 30 s")
