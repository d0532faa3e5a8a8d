package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// socket is the client's end of a WebSocket (RFC 6455), as little of it as a load needs. Each frame is one
// Write, so that sender and reader may both write; the mask is zero, which costs nothing and is a mask all
// the same.
type socket struct {
	conn net.Conn
	r    *bufio.Reader
	buf  []byte
}

const (
	opText     = 1
	opClose    = 8
	opPing     = 9
	opPong     = 10
	maxMessage = 64 << 10
)

// errClosed is a close frame of the server.
type errClosed struct {
	code   int
	reason string
}

func (e errClosed) Error() string {
	return strings.TrimSpace(fmt.Sprintf("closed with %d %s", e.code, e.reason))
}

// dialSocket opens a WebSocket.
func dialSocket(ctx context.Context, u *url.URL) (*socket, error) {
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), map[string]string{"ws": "80", "wss": "443"}[u.Scheme])
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "wss" {
		secure := tls.Client(conn, &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12})
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secure
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	s := &socket{conn: conn, r: bufio.NewReaderSize(conn, 1024)}
	err = s.upgrade(u)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *socket) upgrade(u *url.URL) error {
	// The key is the RFC's example; it protects nobody but proxies that cache.
	_, err := fmt.Fprintf(s.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nUser-Agent: TwilioMediaStreams/1.0\r\n\r\n", u.RequestURI(), u.Host)
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(s.r, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		_ = res.Body.Close()
		return fmt.Errorf("answered %d", res.StatusCode)
	}
	return nil
}

// frame puts a frame's head before the payload that b holds from headRoom on, and returns the frame.
func frame(op byte, b []byte) []byte {
	n := len(b) - headRoom
	start := headRoom - 6
	if n >= 126 {
		start -= 2
		b[start+1] = 0x80 | 126
		binary.BigEndian.PutUint16(b[start+2:], uint16(n))
	} else {
		b[start+1] = 0x80 | byte(n)
	}
	b[start] = 0x80 | op
	clear(b[headRoom-4 : headRoom])
	return b[start:]
}

// headRoom is the longest head of a frame that we send: no payload is above 64 KiB.
const headRoom = 8

func (s *socket) write(op byte, payload string) error {
	b := append(make([]byte, headRoom, headRoom+len(payload)), payload...)
	_, err := s.conn.Write(frame(op, b))
	return err
}

// read gives the next message; it is valid until the one after it.
func (s *socket) read() ([]byte, error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(s.r, head[:]); err != nil {
			return nil, err
		}
		n, err := s.length(head[1])
		if err != nil {
			return nil, err
		}
		if cap(s.buf) < n {
			s.buf = make([]byte, max(n, 512))
		}
		b := s.buf[:n]
		if _, err := io.ReadFull(s.r, b); err != nil {
			return nil, err
		}
		switch op := head[0] & 0x0F; {
		case head[0]&0x80 == 0 || op == 0:
			return nil, errors.New("the server sent a fragmented message")
		case op == opClose:
			e := errClosed{code: 1005}
			if n >= 2 {
				e = errClosed{int(binary.BigEndian.Uint16(b)), string(b[2:])}
			}
			_ = s.write(opClose, string(b))
			return nil, e
		case op == opPing:
			if err := s.write(opPong, string(b)); err != nil {
				return nil, err
			}
		case op == opPong:
		default:
			return b, nil
		}
	}
}

func (s *socket) length(b byte) (int, error) {
	if b&0x80 != 0 {
		return 0, errors.New("the server sent a masked frame")
	}
	n := uint64(b)
	var ext [8]byte
	switch n {
	case 126:
		if _, err := io.ReadFull(s.r, ext[6:]); err != nil {
			return 0, err
		}
		n = binary.BigEndian.Uint64(ext[:])
	case 127:
		if _, err := io.ReadFull(s.r, ext[:]); err != nil {
			return 0, err
		}
		n = binary.BigEndian.Uint64(ext[:])
	}
	if n > maxMessage {
		return 0, fmt.Errorf("the server sent a message of %d bytes", n)
	}
	return int(n), nil
}
