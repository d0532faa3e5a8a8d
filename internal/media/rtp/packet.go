package rtp

import "encoding/binary"

const (
	headerSize = 12
	maxPacket  = 1500 // what we read; longer datagrams are no audio

	// payloadCN is comfort noise (RFC 3389 section 4): the far end stopped sending because nobody speaks.
	payloadCN = 13
)

// header is the fixed part of an RTP header (RFC 3550 section 5.1).
type header struct {
	marker  bool
	payload uint8
	seq     uint16
	ts      uint32
	ssrc    uint32
}

// parse reads an RTP packet. It reports false for anything that is not one. The payload shares b's memory.
func parse(b []byte) (h header, payload []byte, ok bool) {
	if len(b) < headerSize || b[0]>>6 != 2 {
		return header{}, nil, false
	}
	h = header{
		marker:  b[1]&0x80 != 0,
		payload: b[1] & 0x7f,
		seq:     binary.BigEndian.Uint16(b[2:]),
		ts:      binary.BigEndian.Uint32(b[4:]),
		ssrc:    binary.BigEndian.Uint32(b[8:]),
	}
	start := headerSize + 4*int(b[0]&0x0f) // CSRCs
	if b[0]&0x10 != 0 {                    // header extension, section 5.3.1
		if len(b) < start+4 {
			return header{}, nil, false
		}
		start += 4 + 4*int(binary.BigEndian.Uint16(b[start+2:]))
	}
	end := len(b)
	if b[0]&0x20 != 0 { // padding: the last byte counts it
		end -= int(b[len(b)-1])
		if b[len(b)-1] == 0 {
			return header{}, nil, false
		}
	}
	if start > end {
		return header{}, nil, false
	}
	return h, b[start:end], true
}

// put writes h to the first 12 bytes of b.
func (h header) put(b []byte) {
	_ = b[headerSize-1]
	b[0] = 2 << 6
	b[1] = h.payload
	if h.marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], h.seq)
	binary.BigEndian.PutUint32(b[4:], h.ts)
	binary.BigEndian.PutUint32(b[8:], h.ssrc)
}

// isRTCP tells RTCP from RTP on one port: its packet types 192 to 223 are payload types that RTP does not use
// with the marker bit (RFC 5761 section 4).
func isRTCP(b []byte) bool { return len(b) >= 2 && b[1] >= 192 && b[1] <= 223 }
