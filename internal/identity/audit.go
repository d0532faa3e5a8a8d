package identity

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/etag"
)

// Origin says where a request came from. The gateway puts one into every request's context.
type Origin struct {
	IP, UserAgent, RequestID, Operation string
	// OrgID, UserID and TokenID are who asks, once that is known.
	OrgID, UserID, TokenID string
	// Held is the hash of the session secret that came along, whether or not it counts: a sign-in ends that session.
	Held string

	audited atomic.Bool
}

// Audited reports whether a change of this request has its audit entry already.
func (o *Origin) Audited() bool { return o.audited.Load() }

type originKey struct{}

// WithOrigin puts o into ctx.
func WithOrigin(ctx context.Context, o *Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginOf gives the origin of ctx; an empty one where there is none, as in jobs and on the command line.
func OriginOf(ctx context.Context) *Origin {
	if o, ok := ctx.Value(originKey{}).(*Origin); ok {
		return o
	}
	return &Origin{}
}

// Outcomes of an audited action.
const (
	OutcomeDone   = "done"
	OutcomeDenied = "denied"
	OutcomeFailed = "failed"
)

// Platform stands for an organisation's id in entries of the installation itself: what a super-admin did, and failed
// sign-ins of nobody. They go to a log of their own, which no organisation reads.
const Platform = "platform"

// maxSide is the most that an entry holds of the state before and of the one after. Of what is larger it holds the digest.
const maxSide = 64 << 10

// Change is what an audit entry says was done.
type Change struct {
	Action  string // area.verb, such as agent.publish
	Kind    string // of the thing that changed
	ID      string
	Before  any // as the API shows it, never with a secret; nil when it was made
	After   any // nil when it was deleted
	Reason  string
	Outcome string // "" is done
}

// Audit stores an audit entry in the transaction of the change. Who and from where is taken from ctx; without a
// principal it was the system itself, or whoever owns the machine. A request with If-Match is refused here when it
// names another state than Before.
func Audit(ctx context.Context, tx *db.Tx, orgID string, c Change) error {
	if err := etag.Check(ctx, c.Kind, c.Before); err != nil {
		return err
	}
	e, err := entry(ctx, orgID, c)
	if err != nil {
		return err
	}
	e.At = tx.Now().UnixMilli()
	if err := tx.PublishFor(ctx, orgID, e); err != nil {
		return err
	}
	OriginOf(ctx).audited.Store(true)
	return nil
}

func entry(ctx context.Context, orgID string, c Change) (event.Audited, error) {
	o := OriginOf(ctx)
	e := event.Audited{
		OrgID: orgID, ActorKind: "system", Action: c.Action, Outcome: c.Outcome, Kind: c.Kind, ObjectID: c.ID, Reason: c.Reason,
		IP: o.IP, UserAgent: o.UserAgent, RequestID: o.RequestID, Operation: o.Operation,
	}
	if e.Outcome == "" {
		e.Outcome = OutcomeDone
	}
	if p, ok := From(ctx); ok {
		e.ActorKind, e.ActorID, e.TokenID, e.Impersonator = "user", p.UserID, p.TokenID, p.Impersonator
		if p.TokenID != "" {
			e.ActorKind = "token"
		}
	}
	for _, side := range []struct {
		from any
		to   *json.RawMessage
	}{{c.Before, &e.Before}, {c.After, &e.After}} {
		if side.from == nil {
			continue
		}
		b, err := json.Marshal(side.from)
		if err != nil {
			return e, fmt.Errorf("audit %s: %w", c.Action, err)
		}
		if len(b) > maxSide { // the bus takes no fact of any size
			b = fmt.Appendf(nil, `{"truncated":true,"bytes":%d,"sha256":"%x"}`, len(b), sha256.Sum256(b))
		}
		*side.to = b
	}
	return e, nil
}
