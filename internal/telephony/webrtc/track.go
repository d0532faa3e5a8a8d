package webrtc

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	pionrtp "github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"
)

// far stands for the peer's address, which only pion knows.
var far = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 9)

// trackConn is a peer connection's two audio tracks as the connection of an rtp.Session: what is read was
// decrypted by pion, what is written is encrypted by it. RTCP is left to pion's interceptors, which know
// the SSRC that was announced.
//
// It is also pion's TrackLocal. Other than pion's own, it sends the payload type that the session chose, so
// that telephone-event goes out on the same stream.
type trackConn struct {
	id       string
	codec    pion.RTPCodecParameters
	out      atomic.Pointer[bound]
	header   pionrtp.Header // the session writes from one goroutine at a time
	incoming chan *pion.TrackRemote
	remote   *pion.TrackRemote // the session's reader's
	closed   chan struct{}
	once     sync.Once
}

// bound is where to write to.
type bound struct {
	ssrc   uint32
	stream pion.TrackLocalWriter
}

func newTrackConn(id string, codec pion.RTPCodecParameters) *trackConn {
	return &trackConn{id: id, codec: codec, incoming: make(chan *pion.TrackRemote, 1), closed: make(chan struct{})}
}

// ReadFromUDPAddrPort implements rtp.Conn. It waits for the peer's track.
func (c *trackConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	if c.remote == nil {
		select {
		case c.remote = <-c.incoming:
		case <-c.closed:
			return 0, far, net.ErrClosed
		}
	}
	n, _, err := c.remote.Read(b)
	switch {
	case err == nil:
		return n, far, nil
	case errors.Is(err, pion.ErrCodecNotFound):
		return 0, far, nil // a payload type that was not negotiated: malformed
	case errors.Is(err, io.ErrShortBuffer):
		return 0, far, err
	}
	// The track is over: so is the call, or it will be.
	<-c.closed
	return 0, far, net.ErrClosed
}

// WriteToUDPAddrPort implements rtp.Conn.
func (c *trackConn) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	o := c.out.Load()
	if o == nil || len(b) < 12 || b[1] >= 192 && b[1] <= 223 {
		return len(b), nil // not connected yet, or RTCP (RFC 5761 section 4)
	}
	c.header = pionrtp.Header{
		Version: 2, Marker: b[1]&0x80 != 0, PayloadType: b[1] & 0x7f,
		SequenceNumber: binary.BigEndian.Uint16(b[2:]), Timestamp: binary.BigEndian.Uint32(b[4:]), SSRC: o.ssrc,
	}
	return o.stream.WriteRTP(&c.header, b[12:])
}

// LocalAddr implements rtp.Conn.
func (c *trackConn) LocalAddr() net.Addr { return &net.IPAddr{} }

// Close implements rtp.Conn. A read under way ends when the peer connection is closed, which its owner does
// first.
func (c *trackConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// hear takes the peer's track; only the first is heard.
func (c *trackConn) hear(t *pion.TrackRemote) bool {
	select {
	case c.incoming <- t:
		return true
	default:
		return false
	}
}

// Bind implements pion.TrackLocal.
func (c *trackConn) Bind(ctx pion.TrackLocalContext) (pion.RTPCodecParameters, error) {
	c.out.Store(&bound{ssrc: uint32(ctx.SSRC()), stream: ctx.WriteStream()})
	return c.codec, nil
}

// Unbind implements pion.TrackLocal.
func (c *trackConn) Unbind(pion.TrackLocalContext) error {
	c.out.Store(nil)
	return nil
}

// ID implements pion.TrackLocal.
func (c *trackConn) ID() string { return "audio" }

// RID implements pion.TrackLocal.
func (c *trackConn) RID() string { return "" }

// StreamID implements pion.TrackLocal.
func (c *trackConn) StreamID() string { return c.id }

// Kind implements pion.TrackLocal.
func (c *trackConn) Kind() pion.RTPCodecType { return pion.RTPCodecTypeAudio }
