package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/quartz"
	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
)

// Bounds of the notes that wait to be written.
const (
	auditQueue    = 4096
	auditBatch    = 200
	auditBlock    = time.Second // how long a request waits for room; then its note is logged and counted instead
	auditTries    = 12          // of a batch, about a minute; then it is logged and counted
	auditRetryMin = 250 * time.Millisecond
	auditRetryMax = 10 * time.Second
	auditSweep    = 10 * time.Second
	deniedWindow  = time.Minute      // repeats of a denial within it are one more entry, with their number
	readWindow    = 10 * time.Minute // the same of reading one thing
	auditBuckets  = 10_000
)

// AuditorConfig is what NewAuditor needs.
type AuditorConfig struct {
	DB    *db.DB
	Clock quartz.Clock
	Log   *slog.Logger
	// Lost is told how many notes could not be written; they are in the log.
	Lost func(n int)
}

// Auditor writes the audit entries that no service writes: operations that changed something and left no entry of their
// own, denials, and reading what is marked as sensitive. A service's entry commits with its change and can never be missing;
// these follow the request by some milliseconds, many in one transaction. When they come faster than the database
// takes them a request waits for up to a second; then its note goes to the log, as a whole, and is counted. A request
// never fails for it: by then it has done what it did.
//
// Denials and reads that repeat are counted: the first is an entry at once, the others become one entry when their window
// is over. So a scanner with a valid token leaves some entries a minute, whatever it tries.
type Auditor struct {
	c     AuditorConfig
	notes chan auditNote

	mu      sync.Mutex
	buckets map[bucketKey]*bucket
	ending  bool

	stop  chan struct{}
	ended chan struct{}
	once  sync.Once
}

type auditNote struct {
	at     time.Time
	p      identity.Principal
	origin *identity.Origin
	change identity.Change
}

type bucketKey struct{ org, actor, operation, object, outcome string }

type bucket struct {
	first   auditNote
	repeats int
	until   time.Time
}

// NewAuditor starts one. Close it.
func NewAuditor(c AuditorConfig) *Auditor {
	if c.Lost == nil {
		c.Lost = func(int) {}
	}
	a := &Auditor{c: c, notes: make(chan auditNote, auditQueue), buckets: map[bucketKey]*bucket{}, stop: make(chan struct{}), ended: make(chan struct{})}
	go a.run()
	return a
}

// Close writes what waits, counts of repeats included. It is safe twice.
func (a *Auditor) Close() {
	a.once.Do(func() {
		a.mu.Lock()
		a.ending = true
		a.mu.Unlock()
		close(a.stop)
	})
	<-a.ended
}

// name says in the request's origin which operation it asks for. It runs before anybody is refused.
func (a *Auditor) name(ctx huma.Context, next func(huma.Context)) {
	if o := identity.OriginOf(ctx.Context()); o.RequestID != "" {
		o.Operation = ctx.Operation().OperationID
	}
	next(ctx)
}

// watch notes what an operation did. It runs innermost, so that an answer that is given a second time is no second change.
func (a *Auditor) watch(ctx huma.Context, next func(huma.Context)) {
	next(ctx)
	p, ok := identity.From(ctx.Context())
	if a == nil || !ok {
		return
	}
	status, o := ctx.Status(), identity.OriginOf(ctx.Context())
	action, sensitive := ctx.Operation().Metadata["audit"].(string)
	switch {
	case status == http.StatusForbidden:
		a.Denied(ctx.Context(), p, ctx.Operation(), "")
	case status >= http.StatusMultipleChoices:
	case sensitive:
		a.read(note(a.c.Clock, ctx, p, identity.Change{Action: action}))
	case ctx.Method() != http.MethodGet && ctx.Method() != http.MethodHead && !o.Audited():
		perm, _ := ctx.Operation().Metadata["permission"].(string)
		if strings.HasSuffix(perm, ":read") {
			return // a question that is too long for an address, such as whether a definition is sound
		}
		a.put(note(a.c.Clock, ctx, p, identity.Change{Action: strings.ReplaceAll(perm, ":", ".")}))
	}
}

func note(clock quartz.Clock, ctx huma.Context, p identity.Principal, c identity.Change) auditNote {
	perm, _ := ctx.Operation().Metadata["permission"].(string)
	c.Kind, _, _ = strings.Cut(perm, ":")
	c.ID = ctx.Param("id")
	return auditNote{at: clock.Now(), p: p, origin: identity.OriginOf(ctx.Context()), change: c}
}

// Denied notes that somebody who is known was refused.
func (a *Auditor) Denied(ctx context.Context, p identity.Principal, op *huma.Operation, reason string) {
	if a == nil || p.OrgID == "" {
		return
	}
	perm, _ := op.Metadata["permission"].(string)
	area, _, _ := strings.Cut(perm, ":")
	n := auditNote{at: a.c.Clock.Now(), p: p, origin: identity.OriginOf(ctx), change: identity.Change{
		Action: strings.ReplaceAll(perm, ":", "."), Kind: area, Outcome: identity.OutcomeDenied, Reason: reason}}
	a.counted(bucketKey{p.OrgID, p.UserID + " " + p.TokenID, op.OperationID, "", identity.OutcomeDenied}, deniedWindow, n)
}

// read notes that somebody saw what is sensitive.
func (a *Auditor) read(n auditNote) {
	a.counted(bucketKey{n.p.OrgID, n.p.UserID + " " + n.p.TokenID, n.change.Action, n.change.ID, ""}, readWindow, n)
}

// counted puts the first of its kind and counts the others until the window is over. With too many kinds at once, all
// further ones of an organisation are one kind.
func (a *Auditor) counted(k bucketKey, window time.Duration, n auditNote) {
	a.mu.Lock()
	b := a.buckets[k]
	if b == nil && len(a.buckets) >= auditBuckets {
		k = bucketKey{org: k.org, outcome: k.outcome}
		b = a.buckets[k]
	}
	known := b != nil && n.at.Before(b.until)
	if known {
		b.repeats++
	} else {
		if b != nil {
			a.closed(k, b)
		}
		a.buckets[k] = &bucket{first: n, until: n.at.Add(window)}
	}
	a.mu.Unlock()
	if !known {
		a.put(n)
	}
}

// closed takes a bucket away whose window is over, and gives the note of its repeats to the writer. It needs mu.
func (a *Auditor) closed(k bucketKey, b *bucket) {
	delete(a.buckets, k)
	if b.repeats == 0 {
		return
	}
	n := b.first
	n.change.Reason = strings.TrimSpace(fmt.Sprintf("%s %d more times since %s", n.change.Reason, b.repeats, b.first.at.UTC().Format(time.RFC3339)))
	n.change.After = map[string]int{"repeats": b.repeats}
	select {
	case a.notes <- n:
	default:
		a.lost([]auditNote{n}, "the queue is full")
	}
}

// put hands a note to the writer, and waits for room no longer than auditBlock.
func (a *Auditor) put(n auditNote) {
	a.mu.Lock()
	ending := a.ending
	a.mu.Unlock()
	if !ending {
		select {
		case a.notes <- n:
			return
		default:
		}
		t := a.c.Clock.NewTimer(auditBlock, "audit", "block")
		defer t.Stop()
		select {
		case a.notes <- n:
			return
		case <-a.stop:
		case <-t.C:
		}
	}
	a.lost([]auditNote{n}, "the queue is full")
}

func (a *Auditor) lost(ns []auditNote, why string) {
	for _, n := range ns {
		a.c.Log.Error("an audit entry could not be stored; this line is in its place", "why", why, "organisation", n.p.OrgID, "user", n.p.UserID,
			"token", n.p.TokenID, "impersonator", n.p.Impersonator, "action", n.change.Action, "outcome", n.change.Outcome, "id", n.change.ID,
			"at", n.at.UTC(), "ip", n.origin.IP, "request", n.origin.RequestID, "operation", n.origin.Operation)
	}
	a.c.Lost(len(ns))
}

func (a *Auditor) run() {
	defer close(a.ended)
	sweep := a.c.Clock.NewTicker(auditSweep, "audit", "sweep")
	defer sweep.Stop()
	for {
		select {
		case n := <-a.notes:
			a.write(a.gather(n))
		case <-sweep.C:
			a.sweep(a.c.Clock.Now())
		case <-a.stop:
			a.sweep(time.Time{})
			for {
				select {
				case n := <-a.notes:
					a.write(a.gather(n))
					continue
				default:
				}
				return
			}
		}
	}
}

// sweep closes buckets whose windows are over; all of them at the zero time.
func (a *Auditor) sweep(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, b := range a.buckets {
		if now.IsZero() || !now.Before(b.until) {
			a.closed(k, b)
		}
	}
}

// gather takes what waits behind a note.
func (a *Auditor) gather(first auditNote) []auditNote {
	ns := []auditNote{first}
	for len(ns) < auditBatch {
		select {
		case n := <-a.notes:
			ns = append(ns, n)
		default:
			return ns
		}
	}
	return ns
}

// write stores notes, those of an organisation together.
func (a *Auditor) write(ns []auditNote) {
	byOrg := map[string][]auditNote{}
	for _, n := range ns {
		byOrg[n.p.OrgID] = append(byOrg[n.p.OrgID], n)
	}
	for org, part := range byOrg {
		wait := auditRetryMin
		var err error
		for try := 1; ; try++ {
			if err = a.store(org, part); err == nil || db.IsGone(err) || try == auditTries || !a.pause(wait) {
				break
			}
			wait = min(2*wait, auditRetryMax)
		}
		if err != nil && !db.IsGone(err) { // the trail of an organisation that was erased is gone with it
			a.lost(part, err.Error())
		}
	}
}

// pause waits between tries and reports whether to go on.
func (a *Auditor) pause(d time.Duration) bool {
	t := a.c.Clock.NewTimer(d, "audit", "retry")
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-a.stop:
		return false
	}
}

func (a *Auditor) store(org string, ns []auditNote) error {
	return a.c.DB.InTenant(context.Background(), org, func(ctx context.Context, tx *db.Tx) error {
		for _, n := range ns {
			if err := identity.Audit(identity.WithOrigin(identity.With(ctx, n.p), n.origin), tx, org, n.change); err != nil {
				return err
			}
		}
		return nil
	})
}
