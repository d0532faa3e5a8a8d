package db

import (
	"container/list"
	"context"
	"database/sql/driver"
	"fmt"
	"sync"
	"time"

	"github.com/coder/quartz"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	defaultOwnConns = 64
	// budgetPoll is for a connection that became idle in just the moment in which somebody began to wait for one.
	budgetPoll = 100 * time.Millisecond
)

// budget bounds the connections to organisations' own databases, of all together: a PostgreSQL server has only so many. Who
// wants one when all are taken has idle ones of others closed ([pools.shed]), or waits for its
// turn; and while somebody waits, a connection that is given back is closed instead of kept.
type budget struct {
	clock quartz.Clock
	max   int
	shed  func() bool // closes idle connections, and reports whether there were any

	mu      sync.Mutex
	used    int
	waiting list.List // of chan struct{}; the longest first
}

func newBudget(most int, clock quartz.Clock, shed func() bool) *budget {
	return &budget{clock: clock, max: most, shed: shed}
}

// take waits until there may be one more connection.
func (b *budget) take(ctx context.Context) error {
	b.mu.Lock()
	if b.used < b.max {
		b.used++
		b.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	at := b.waiting.PushBack(turn)
	b.mu.Unlock()
	for {
		b.shed() // it gives to whoever waits longest
		t := b.clock.NewTimer(budgetPoll, "db", "budget")
		select {
		case <-turn:
			t.Stop()
			return nil
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			b.leave(at)
			return fmt.Errorf("wait for one of %d connections to organisations' own databases: %w", b.max, context.Cause(ctx))
		}
	}
}

// leave ends waiting. What was given meanwhile is given on.
func (b *budget) leave(at *list.Element) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-at.Value.(chan struct{}):
		b.pass()
	default:
		b.waiting.Remove(at)
	}
}

// give takes a connection back that is closed.
func (b *budget) give() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pass()
}

// pass gives a place to whoever waits longest. The caller holds mu.
func (b *budget) pass() {
	if first := b.waiting.Front(); first != nil {
		close(b.waiting.Remove(first).(chan struct{}))
		return
	}
	b.used--
}

// wanted reports whether somebody waits.
func (b *budget) wanted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting.Len() > 0
}

// connector makes connections within the budget.
func (b *budget) connector(to driver.Connector) driver.Connector { return &rationed{to, b} }

type rationed struct {
	driver.Connector
	b *budget
}

// Connect implements driver.Connector.
func (r *rationed) Connect(ctx context.Context) (driver.Conn, error) {
	if err := r.b.take(ctx); err != nil {
		return nil, err
	}
	c, err := r.Connector.Connect(ctx)
	if err != nil {
		r.b.give()
		return nil, err
	}
	return &rationedConn{Conn: c.(*stdlib.Conn), b: r.b}, nil
}

// rationedConn is a connection that counts.
type rationedConn struct {
	*stdlib.Conn
	b    *budget
	once sync.Once
}

// IsValid implements driver.Validator: database/sql asks it when the connection is given back.
func (c *rationedConn) IsValid() bool { return !c.b.wanted() }

// Close implements driver.Conn.
func (c *rationedConn) Close() error {
	defer c.once.Do(c.b.give)
	return c.Conn.Close()
}
