package fleet

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
)

// upgraded is the instance's end of a WebSocket. Frames cross as they are, so that close codes, pings and what is agreed on
// in the handshake are between the two ends; only silence ends it here. When one end is over, so is the other.
type upgraded struct {
	conn   io.ReadWriteCloser
	caller *catcher
	a      *attempt
	dog    *watchdog
	once   sync.Once
	err    error
}

// catcher remembers the caller's connection when it is taken over: httputil gives it to nobody, and a caller that reads
// nothing would keep it for ever.
type catcher struct {
	http.ResponseWriter
	mu    sync.Mutex
	conn  net.Conn
	ended bool
}

// Hijack implements http.Hijacker.
func (c *catcher) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(c.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	if c.ended {
		_ = conn.Close()
	}
	return conn, rw, nil
}

// Unwrap lets http.ResponseController find the writer.
func (c *catcher) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// end closes the connection, now or when it is taken over.
func (c *catcher) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

// errOver ends both directions when the instance's has ended: a WebSocket has no half.
var errOver = errors.New("fleet: the WebSocket is over")

// upgrade takes over the connection of an answer 101.
func (a *attempt) upgrade(resp *http.Response, caller *catcher) error {
	a.dog.stop()
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		a.end(Unjudged)
		return errors.New("fleet: the connection cannot be taken over")
	}
	u := &upgraded{conn: conn, caller: caller, a: a}
	a.p.mu.Lock()
	closed := a.p.closed
	if !closed {
		a.p.sockets[u] = struct{}{}
	}
	a.p.mu.Unlock()
	u.dog = newWatchdog(a.p.f.c.Clock, a.p.c.SocketIdle, func() { _ = u.Close() })
	if closed {
		_ = u.Close()
		return errors.New("fleet: the gateway is stopping")
	}
	resp.Body = u
	return nil
}

// Read implements io.Reader: what the instance says.
func (u *upgraded) Read(buf []byte) (int, error) {
	n, err := u.conn.Read(buf)
	u.dog.pat()
	if err == io.EOF {
		err = errOver
	}
	return n, err
}

// Write implements io.Writer: what the caller says.
func (u *upgraded) Write(buf []byte) (int, error) {
	n, err := u.conn.Write(buf)
	u.dog.pat()
	return n, err
}

// Close implements io.Closer. It is safe twice, and from any goroutine.
func (u *upgraded) Close() error {
	u.once.Do(func() {
		u.err = u.conn.Close()
		u.caller.end()
		u.dog.stop()
		p := u.a.p
		p.mu.Lock()
		delete(p.sockets, u)
		if len(p.sockets) == 0 && p.empty != nil {
			close(p.empty)
			p.empty = nil
		}
		p.mu.Unlock()
		u.a.end(Unjudged)
	})
	return u.err
}
