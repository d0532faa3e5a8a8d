// Package bus carries facts between contexts and processes, on NATS JetStream: a server inside this process that
// listens on no port, or the cluster at PARLEY_NATS_URL.
//
// There are two streams:
//
//   - Facts (file, every message synced, kept for days): what the [Relay] takes from the database's outbox. Durable
//     subscriptions read it: each message is handled at least once, in order, so handlers are idempotent by Msg.ID.
//   - Live (kept for minutes): every fact again, and what [Bus.PublishLive] adds that is not worth a database row,
//     such as partial transcripts. One sequence for all, the same on every process: the realtime feed resumes by it.
//
// A process either makes streams and buckets, or follows (Config.Follow) and waits until another one has: what a role may
// do is then the server's to say, by its nkey (docs/roles.md).
//
// Everything is bounded: streams by age and bytes (the oldest go), PublishLive by a queue (the newest is dropped
// and counted), a durable subscription by its unacknowledged messages.
package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-voice/parley/internal/event"
)

const (
	factStream  = "PARLEY_FACTS"
	liveStream  = "PARLEY_LIVE"
	factSubject = "parley.fact."
	liveSubject = "parley.live."

	headerKey = "Parley-Key"
	headerAt  = "Parley-At" // Unix milliseconds

	dedupe         = 10 * time.Minute // how long a repeated id is known
	maxPayload     = 1 << 20
	connectTimeout = 5 * time.Second
	requestTimeout = 5 * time.Second
	liveQueue      = 4096
)

// Config is what Open needs. Zero values are the defaults named.
type Config struct {
	URL       string // nats://...; "" is a server in this process
	Login     Login  // to an external server
	Follow    bool   // streams and buckets are another process's to make
	Inbox     string // prefix of the subjects that answers come to; "" is the client's own
	DataDir   string // the embedded server's files are in <DataDir>/nats
	Replicas  int    // of the streams, for a cluster; 1
	FactsAge  time.Duration
	FactBytes int64 // 1 GiB
	LiveAge   time.Duration
	LiveBytes int64 // 64 MiB
	Clock     quartz.Clock
	Log       *slog.Logger
}

func (c *Config) defaults() {
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.FactsAge == 0 {
		c.FactsAge = 7 * 24 * time.Hour
	}
	if c.FactBytes == 0 {
		c.FactBytes = 1 << 30
	}
	if c.LiveAge == 0 {
		c.LiveAge = 10 * time.Minute
	}
	if c.LiveBytes == 0 {
		c.LiveBytes = 64 << 20
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Bus is a connection to the streams. It is safe for concurrent use.
type Bus struct {
	c      Config
	server *server.Server // nil when external
	nc     *nats.Conn
	js     jetstream.JetStream

	live    chan *nats.Msg
	dropped atomic.Uint64
	ctx     context.Context // ends with Close; subscriptions hang on it
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	closing sync.Once
}

// Msg is a fact as it was published.
type Msg struct {
	Seq   uint64 // in its stream
	ID    string // the outbox row's, or a new one for what was only live
	OrgID string
	Type  string // event.Fact's Type
	Key   string // event.Fact's Key
	At    time.Time
	Data  json.RawMessage
}

// Open starts the embedded server or connects to the external one, and makes or updates the streams.
func Open(ctx context.Context, c Config) (_ *Bus, err error) {
	c.defaults()
	b := &Bus{c: c, live: make(chan *nats.Msg, liveQueue)}
	b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	opts := []nats.Option{
		nats.Name("parley"), nats.Timeout(connectTimeout), nats.MaxReconnects(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.Log.Warn("bus", "error", err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				c.Log.Warn("bus disconnected; facts wait in the database", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { c.Log.Info("bus connected again") }),
	}
	if c.URL == "" {
		if b.server, err = startServer(filepath.Join(c.DataDir, "nats"), c.Log); err != nil {
			return nil, err
		}
		opts = append(opts, nats.InProcessServer(b.server))
	} else {
		login, err := c.Login.options()
		if err != nil {
			return nil, fmt.Errorf("connect to NATS: %w", err)
		}
		opts = append(opts, login...)
	}
	if c.Inbox != "" {
		opts = append(opts, nats.CustomInboxPrefix(c.Inbox))
	}
	if b.nc, err = nats.Connect(c.URL, opts...); err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	if b.js, err = jetstream.New(b.nc, jetstream.WithDefaultTimeout(requestTimeout)); err != nil {
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	if c.Follow {
		err = b.awaitStreams(ctx)
	} else {
		err = b.makeStreams(ctx)
	}
	if err != nil {
		return nil, err
	}
	b.wg.Go(b.pumpLive)
	return b, nil
}

func (b *Bus) makeStreams(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*requestTimeout)
	defer cancel()
	for _, s := range []jetstream.StreamConfig{
		{
			Name: factStream, Description: "Facts that committed", Subjects: []string{factSubject + ">"},
			MaxAge: b.c.FactsAge, MaxBytes: b.c.FactBytes,
		},
		{
			Name: liveStream, Description: "The realtime feed", Subjects: []string{liveSubject + ">"},
			MaxAge: b.c.LiveAge, MaxBytes: b.c.LiveBytes,
		},
	} {
		s.Storage, s.Retention, s.Discard = jetstream.FileStorage, jetstream.LimitsPolicy, jetstream.DiscardOld
		s.Replicas, s.MaxMsgSize = b.c.Replicas, maxPayload
		s.Duplicates = min(dedupe, s.MaxAge)
		if s.Name == liveStream && s.Replicas == 1 {
			// Its sequence should outlive a restart, but its messages are not worth a sync each.
			s.PersistMode = jetstream.AsyncPersistMode
		}
		if _, err := b.js.CreateOrUpdateStream(ctx, s); err != nil {
			return fmt.Errorf("make the stream %s (does the NATS server have JetStream on?): %w", s.Name, err)
		}
	}
	return nil
}

// Ping proves that the bus answers.
func (b *Bus) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := b.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	return nil
}

// Close stops all subscriptions, sends what PublishLive has queued, and stops the embedded server. It is safe twice.
func (b *Bus) Close() {
	b.closing.Do(func() {
		b.cancel()
		b.wg.Wait()
		if b.nc != nil {
			_ = b.nc.FlushTimeout(time.Second)
			b.nc.Close()
		}
		if b.server != nil {
			b.server.Shutdown()
			b.server.WaitForShutdown()
		}
	})
}

// envelope makes the message of a fact, without its subject's stem.
func envelope(orgID, id, typ, key string, at time.Time, data []byte) (*nats.Msg, error) {
	if err := token(orgID); err != nil {
		return nil, fmt.Errorf("bus: organisation: %w", err)
	}
	for part := range strings.SplitSeq(typ, ".") {
		if err := token(part); err != nil {
			return nil, fmt.Errorf("bus: type %q: %w", typ, err)
		}
	}
	m := nats.NewMsg(orgID + "." + typ)
	m.Header.Set(jetstream.MsgIDHeader, id)
	m.Header.Set(headerKey, key)
	m.Header.Set(headerAt, strconv.FormatInt(at.UnixMilli(), 10))
	m.Data = data
	return m, nil
}

// token checks a part of a subject (https://docs.nats.io/nats-concepts/subjects).
func token(s string) error {
	if s == "" || strings.ContainsAny(s, ".*> \t\r\n") {
		return fmt.Errorf("%q cannot be part of a subject", s)
	}
	return nil
}

// Publish adds a fact to both streams and returns once it is on disk. A repeated id changes nothing. Contexts use
// db.Tx.Publish, which commits the fact with the change; this is for the relay and for facts without a change.
func (b *Bus) Publish(ctx context.Context, orgID, id string, f event.Fact) error {
	data, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("bus: %s: %w", f.Type(), err)
	}
	m, err := envelope(orgID, id, f.Type(), f.Key(), b.c.Clock.Now(), data)
	if err != nil {
		return err
	}
	_, err = b.publishAll(ctx, []*nats.Msg{m})
	return err
}

// publishAll sends messages to both streams and waits for them. It gives how many from the start are safe in Facts.
func (b *Bus) publishAll(ctx context.Context, msgs []*nats.Msg) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	acks := make([]jetstream.PubAckFuture, 0, len(msgs))
	for _, m := range msgs {
		ack, err := b.js.PublishMsgAsync(on(factSubject, m))
		if err != nil {
			return 0, fmt.Errorf("bus: publish: %w", err)
		}
		acks = append(acks, ack)
	}
	for i, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return i, fmt.Errorf("bus: publish: %w", err)
		case <-ctx.Done():
			return i, fmt.Errorf("bus: publish: %w", ctx.Err())
		}
		// The feed gets what is safe. It needs no answer: a repeat after an error is known by its id.
		if err := b.nc.PublishMsg(on(liveSubject, msgs[i])); err != nil {
			return i, fmt.Errorf("bus: publish: %w", err)
		}
	}
	return len(msgs), nil
}

// on gives m under a stream's stem, sharing headers and data, which nobody changes.
func on(stem string, m *nats.Msg) *nats.Msg {
	return &nats.Msg{Subject: stem + m.Subject, Header: m.Header, Data: m.Data}
}

// PublishLive adds news to the realtime feed only. It never blocks: when the queue is full the news is dropped and
// counted. It reports whether the news was taken.
func (b *Bus) PublishLive(orgID string, f event.Fact) bool {
	data, err := json.Marshal(f)
	var m *nats.Msg
	if err == nil {
		m, err = envelope(orgID, uuid.NewString(), f.Type(), f.Key(), b.c.Clock.Now(), data)
	}
	if err != nil || b.ctx.Err() != nil {
		b.dropped.Add(1)
		return false
	}
	m.Subject = liveSubject + m.Subject
	select {
	case b.live <- m:
		return true
	default:
		b.dropped.Add(1)
		return false
	}
}

// Dropped is how much live news was dropped so far.
func (b *Bus) Dropped() uint64 { return b.dropped.Load() }

// pumpLive sends what PublishLive queued, until Close.
func (b *Bus) pumpLive() {
	send := func(m *nats.Msg) {
		if err := b.nc.PublishMsg(m); err != nil {
			b.dropped.Add(1)
			if !errors.Is(err, nats.ErrConnectionClosed) {
				b.c.Log.Warn("live news dropped", "error", err)
			}
		}
	}
	for {
		select {
		case m := <-b.live:
			send(m)
		case <-b.ctx.Done():
			for {
				select {
				case m := <-b.live:
					send(m)
				default:
					return
				}
			}
		}
	}
}
