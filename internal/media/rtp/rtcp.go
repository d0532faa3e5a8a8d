package rtp

import (
	"encoding/binary"
	"time"
)

// RTCP packet types (RFC 3550 section 12.1).
const (
	rtcpSR   = 200
	rtcpRR   = 201
	rtcpSDES = 202
	rtcpBYE  = 203
)

// report is one report block (RFC 3550 section 6.4.1).
type report struct {
	ssrc     uint32
	fraction uint8
	lost     uint32 // 24 bits
	highest  uint32
	jitter   uint32
	lsr      uint32 // middle 32 bits of the NTP time of the last SR
	dlsr     uint32 // in 1/65536 s
}

const reportSize = 24

// rtcpInfo is what we want from a compound packet.
type rtcpInfo struct {
	bye      bool
	hasSR    bool
	senderID uint32
	ntp      uint64
	reports  [4]report // the first few; a peer of ours sends one
	count    int
}

// parseRTCP reads a compound packet (RFC 3550 section 6.1). It reports false for anything malformed.
func parseRTCP(b []byte) (info rtcpInfo, ok bool) {
	for len(b) > 0 {
		if len(b) < 4 || b[0]>>6 != 2 {
			return rtcpInfo{}, false
		}
		size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if size > len(b) {
			return rtcpInfo{}, false
		}
		body, count := b[4:size], int(b[0]&0x1f)
		switch b[1] {
		case rtcpSR:
			if len(body) < 24+count*reportSize {
				return rtcpInfo{}, false
			}
			info.hasSR = true
			info.senderID = binary.BigEndian.Uint32(body)
			info.ntp = binary.BigEndian.Uint64(body[4:])
			info.add(body[24:], count)
		case rtcpRR:
			if len(body) < 4+count*reportSize {
				return rtcpInfo{}, false
			}
			info.add(body[4:], count)
		case rtcpBYE:
			info.bye = true
		}
		b = b[size:]
		ok = true
	}
	return info, ok
}

func (i *rtcpInfo) add(b []byte, count int) {
	for ; count > 0 && i.count < len(i.reports); count-- {
		i.reports[i.count] = report{
			ssrc:     binary.BigEndian.Uint32(b),
			fraction: b[4],
			lost:     binary.BigEndian.Uint32(b[4:]) & 0xffffff,
			highest:  binary.BigEndian.Uint32(b[8:]),
			jitter:   binary.BigEndian.Uint32(b[12:]),
			lsr:      binary.BigEndian.Uint32(b[16:]),
			dlsr:     binary.BigEndian.Uint32(b[20:]),
		}
		i.count++
		b = b[reportSize:]
	}
}

// sender is the sender information of an SR.
type sender struct {
	ntp             uint64
	ts              uint32
	packets, octets uint32
}

// appendRTCP appends a compound packet: SR when we sent something, else RR, then SDES with the CNAME.
func appendRTCP(b []byte, ssrc uint32, sr *sender, rr *report, cname string) []byte {
	start := len(b)
	if sr != nil {
		b = append(b, 2<<6, rtcpSR, 0, 0)
		b = binary.BigEndian.AppendUint32(b, ssrc)
		b = binary.BigEndian.AppendUint64(b, sr.ntp)
		b = binary.BigEndian.AppendUint32(b, sr.ts)
		b = binary.BigEndian.AppendUint32(b, sr.packets)
		b = binary.BigEndian.AppendUint32(b, sr.octets)
	} else {
		b = append(b, 2<<6, rtcpRR, 0, 0)
		b = binary.BigEndian.AppendUint32(b, ssrc)
	}
	if rr != nil {
		b[start]++
		b = binary.BigEndian.AppendUint32(b, rr.ssrc)
		b = binary.BigEndian.AppendUint32(b, uint32(rr.fraction)<<24|rr.lost&0xffffff)
		b = binary.BigEndian.AppendUint32(b, rr.highest)
		b = binary.BigEndian.AppendUint32(b, rr.jitter)
		b = binary.BigEndian.AppendUint32(b, rr.lsr)
		b = binary.BigEndian.AppendUint32(b, rr.dlsr)
	}
	putLength(b[start:])

	start = len(b)
	cname = cname[:min(len(cname), 255)]
	b = append(b, 2<<6|1, rtcpSDES, 0, 0)
	b = binary.BigEndian.AppendUint32(b, ssrc)
	b = append(b, 1, byte(len(cname))) // item CNAME
	b = append(b, cname...)
	for n := len(b) - start; ; n++ {
		b = append(b, 0) // at least one null octet ends the chunk
		if (n+1)%4 == 0 {
			break
		}
	}
	putLength(b[start:])
	return b
}

// appendBye appends a BYE (RFC 3550 section 6.6).
func appendBye(b []byte, ssrc uint32) []byte {
	b = append(b, 2<<6|1, rtcpBYE, 0, 1)
	return binary.BigEndian.AppendUint32(b, ssrc)
}

func putLength(b []byte) { binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1)) }

// ntp is t as a 64-bit NTP timestamp (RFC 3550 section 4): seconds since 1900 and their fraction.
func ntp(t time.Time) uint64 {
	const to1900 = 2208988800
	return uint64(t.Unix()+to1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// short is the middle 32 bits, in 1/65536 s.
func short(ntp uint64) uint32 { return uint32(ntp >> 16) }

// arrivals keeps what a report block tells of the packets received (RFC 3550 appendix A).
type arrivals struct {
	started  bool
	ssrc     uint32
	base     uint32
	highest  uint32 // extended by its wraps
	received uint64
	transit  int64
	jitter   float64 // in timestamp units

	priorExpected, priorReceived uint64
}

// packet takes the arrival of a packet, at the given time in units of its own clock.
func (a *arrivals) packet(h header, at int64) {
	if !a.started || h.ssrc != a.ssrc {
		*a = arrivals{started: true, ssrc: h.ssrc, base: uint32(h.seq), highest: uint32(h.seq), transit: at - int64(h.ts)}
	}
	a.received++
	if d := int16(h.seq - uint16(a.highest)); d > 0 {
		a.highest += uint32(d)
	}
	// The timestamp wraps: the difference of transits is taken in 32 bits.
	transit := at - int64(h.ts)
	d := float64(int32(uint32(transit - a.transit)))
	a.transit = transit
	if d < 0 {
		d = -d
	}
	if d < 1<<20 { // a jump of the timestamp is no jitter
		a.jitter += (d - a.jitter) / 16
	}
}

func (a *arrivals) report() (r report, ok bool) {
	if !a.started {
		return report{}, false
	}
	expected := uint64(a.highest-a.base) + 1
	lost := int64(expected) - int64(a.received)
	r = report{ssrc: a.ssrc, highest: a.highest, jitter: uint32(a.jitter)}
	r.lost = uint32(min(max(lost, 0), 0x7fffff))
	if n := expected - a.priorExpected; n > 0 && expected > a.priorExpected {
		missing := int64(n) - int64(a.received-a.priorReceived)
		r.fraction = uint8(min(max(missing, 0)<<8/int64(n), 255))
	}
	a.priorExpected, a.priorReceived = expected, a.received
	return r, true
}
