package sip

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// tcpConn is one TCP connection, with or without TLS: a goroutine that frames what comes in, one that writes what is
// queued.
type tcpConn struct {
	t       *transport
	conn    net.Conn
	remote  netip.AddrPort
	key     connKey
	secure  bool     // TLS
	domains []string // SIP domains that the peer's certificate proved, where it was asked for one (RFC 5922 section 7.1)
	out     chan []byte
	done    chan struct{}
	once    sync.Once
	idle    atomic.Int64 // how long it may be silent, in nanoseconds
}

// connKey finds a connection. One that we opened by TLS serves the name that it was verified for and no other
// (RFC 5923 section 9); one that was opened to us has no name.
type connKey struct {
	remote netip.AddrPort
	secure bool
	name   string
}

// open reports whether the connection still stands.
func (c *tcpConn) open() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// keep lets the connection be silent for at least d: a phone is registered over it, or a call is up. Strangers'
// connections end sooner, so that they cannot fill the table.
func (f flow) keep(d time.Duration) {
	if f.conn == nil {
		return
	}
	for {
		old := f.conn.idle.Load()
		if old >= int64(d) {
			return
		}
		if f.conn.idle.CompareAndSwap(old, int64(d)) {
			// The reader waits already, with the old limit. A socket that is closed has none.
			_ = f.conn.conn.SetReadDeadline(time.Now().Add(d))
			return
		}
	}
}

var errSlowPeer = errors.New("the peer reads too slowly: its connection was closed")

func (c *tcpConn) send(raw []byte) error {
	select {
	case <-c.done:
		return net.ErrClosed
	default:
	}
	select {
	case c.out <- raw:
		return nil
	default:
		c.close()
		return errSlowPeer
	}
}

func (c *tcpConn) close() {
	c.once.Do(func() {
		close(c.done)
		_ = c.conn.Close()
		c.t.mu.Lock()
		if c.t.conns[c.key] == c {
			delete(c.t.conns, c.key)
			c.t.leave(c.remote.Addr())
		}
		c.t.mu.Unlock()
	})
}

// finish closes the connection after what is queued was written.
func (c *tcpConn) finish() {
	select {
	case c.out <- nil:
	default:
		c.close()
	}
}

func (c *tcpConn) write() {
	defer c.t.wg.Done()
	defer c.close()
	for {
		select {
		case <-c.done:
			return
		case raw := <-c.out:
			if raw == nil {
				return
			}
			_ = c.conn.SetWriteDeadline(time.Now().Add(connWrite)) // a socket deadline is wall time
			if _, err := c.conn.Write(raw); err != nil {
				return
			}
		}
	}
}

func (c *tcpConn) read() {
	defer c.t.wg.Done()
	r := bufio.NewReaderSize(c.conn, 4096)
	f := flow{remote: c.remote, conn: c}
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(time.Duration(c.idle.Load())))
		if err := c.keepAlives(r); err != nil {
			c.close()
			return
		}
		_ = c.conn.SetReadDeadline(time.Now().Add(connMessage))
		raw, err := readMessage(r)
		if err != nil {
			var bad *framingError
			if errors.As(err, &bad) {
				c.t.broken(raw, f, bad)
				c.finish()
				return
			}
			c.close()
			return
		}
		c.t.receive(raw, f)
	}
}

// keepAlives eats the CRLFs before a message (RFC 3261 section 7.5) and answers a double one with a single
// one (RFC 5626 section 3.5.1).
func (c *tcpConn) keepAlives(r *bufio.Reader) error {
	crlf := 0
	for {
		b, err := r.ReadByte()
		if err != nil {
			return err
		}
		switch b {
		case '\r':
		case '\n':
			if crlf++; crlf == 2 {
				crlf = 0
				if err := c.send([]byte("\r\n")); err != nil {
					return err
				}
			}
		default:
			return r.UnreadByte()
		}
	}
}

// framingError says that the end of a message in a stream cannot be known: the stream is lost.
type framingError struct{ why string }

func (e *framingError) Error() string { return e.why }

// readMessage reads one message of a stream: headers up to the empty line, and as much body as
// Content-Length says (RFC 3261 section 18.3). With a framingError it returns what it read so far.
func readMessage(r *bufio.Reader) ([]byte, error) {
	var raw []byte
	length := -1
	partial := false // the line before this piece had no end yet
	for {
		line, err := r.ReadSlice('\n')
		if len(raw)+len(line) > maxMessage {
			return raw, &framingError{"headers are too long"}
		}
		raw = append(raw, line...)
		if errors.Is(err, bufio.ErrBufferFull) {
			partial = true
			continue
		}
		if err != nil {
			return raw, err
		}
		if partial {
			partial = false
			continue
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
		if n, ok := contentLength(line); ok {
			length = n
		}
	}
	if length < 0 {
		return raw, &framingError{"Content-Length is missing or wrong, and a stream needs it"}
	}
	if len(raw)+length > maxMessage {
		return raw, &framingError{fmt.Sprintf("a body of %d bytes is too large", length)}
	}
	head := len(raw)
	raw = append(raw, make([]byte, length)...)
	_, err := io.ReadFull(r, raw[head:])
	return raw, err
}

// contentLength reads a Content-Length line, long or compact form.
func contentLength(line []byte) (int, bool) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return 0, false
	}
	name = bytes.TrimSpace(name)
	if !bytes.EqualFold(name, []byte("Content-Length")) && !bytes.EqualFold(name, []byte("l")) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 24)
	if err != nil {
		return -1, true
	}
	return int(n), true
}
