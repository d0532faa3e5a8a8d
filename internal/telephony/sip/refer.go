package sip

import (
	"bytes"
	"context"
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Blind transfer: REFER asks the far end to call somebody else (RFC 3515, RFC 5589 section 6). It tells us
// by NOTIFY how that goes; when it worked, our call is hung up.

// referral is a REFER of ours that is not over.
type referral struct {
	accepted bool
	closed   bool
	done     chan struct{}
	status   int // of the call the far end placed
	err      error
}

func (r *referral) finish(err error) {
	if !r.closed {
		r.closed = true
		r.err = err
		close(r.done)
	}
}

// Transfer implements media.Leg.
func (l *leg) Transfer(ctx context.Context, target string) error {
	uri, err := l.s.target(l.transferURI(target))
	if err != nil {
		return err
	}
	if err := l.confirmed(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	if l.refer != nil {
		l.mu.Unlock()
		return fault.New(fault.NotPossible, "the call is being transferred already")
	}
	r := &referral{done: make(chan struct{})}
	l.refer = r
	req := l.d.request(sipmsg.REFER)
	local := l.d.local
	l.mu.Unlock()
	req.AppendHeader(sipmsg.NewHeader("Refer-To", "<"+uri.String()+">"))
	req.AppendHeader(sipmsg.NewHeader("Referred-By", "<"+local.Addr()+">")) // RFC 3892

	ctx, cancel := context.WithTimeout(ctx, transferWithin)
	defer cancel()
	err = l.transfer(ctx, req, r)
	if err != nil {
		l.mu.Lock()
		l.refer = nil
		l.mu.Unlock()
	}
	return err
}

// transferURI makes a URI of a bare name or number: a phone of ours is called here, anything else where the
// far end's calls come from, which is a trunk's or an exchange's own domain.
func (l *leg) transferURI(target string) string {
	if target == "" || strings.ContainsAny(target, ":@") {
		return target
	}
	l.mu.Lock()
	host, f := l.d.remote.Host, l.d.flow
	l.mu.Unlock()
	if host == "" || l.s.ours(l.d.remote) || len(l.s.registrar.contacts(target)) > 0 {
		host = l.s.advertised(f).String()
	}
	return "sip:" + escape(target) + "@" + host
}

// transfer sends the REFER and waits for what comes of it.
func (l *leg) transfer(ctx context.Context, req *sipmsg.Request, r *referral) error {
	res, err := l.send(ctx, req)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fault.New(fault.Upstream, "the far end takes no transfer: %d %s", res.StatusCode, reason(res.StatusCode))
	}
	l.mu.Lock()
	r.accepted = true
	l.mu.Unlock()
	select {
	case <-r.done:
	case <-l.done:
		return nil // the far end hung up: it went where we sent it
	case <-ctx.Done():
		return fault.Wrap(fault.Timeout, ctx.Err(), "the far end did not say whether the transfer worked")
	}
	l.mu.Lock()
	status, err := r.status, r.err
	l.mu.Unlock()
	if err != nil {
		return nil // the call ended meanwhile, after the far end had taken the transfer
	}
	if status >= 300 {
		return fault.New(fault.Upstream, "the transfer failed: %d %s", status, reason(status))
	}
	return l.Hangup(ctx, media.Cause{By: "agent", Code: "transferred", Status: 200, Text: "the caller was transferred"})
}

// notified serves NOTIFY of the subscription a REFER made (RFC 3515 section 2.4.5): its body is the status
// line of the call the far end placed.
func (l *leg) notified(tx *serverTx, req *sipmsg.Request) {
	event, _, _ := strings.Cut(header(req, "Event", "o"), ";")
	if !strings.EqualFold(strings.TrimSpace(event), "refer") {
		l.s.refuse(tx, refuse(489, "only the event refer is known").with("Allow-Events", "refer"))
		return
	}
	l.mu.Lock()
	r := l.refer
	l.mu.Unlock()
	if r == nil {
		l.s.refuse(tx, refuse(481, "no transfer is under way"))
		return
	}
	status, ok := parseFragment(req.Body())
	if !ok {
		l.s.count("malformed", "sipfrag")
		l.s.refuse(tx, refuse(400, "the body is no status line"))
		return
	}
	l.s.answer(tx, l.s.response(req, 200))
	state, _, _ := strings.Cut(header(req, "Subscription-State"), ";")
	l.mu.Lock()
	defer l.mu.Unlock()
	r.status = status
	if status >= 200 || strings.EqualFold(strings.TrimSpace(state), "terminated") {
		if status < 200 {
			r.status = 408 // the far end stopped telling before it knew
		}
		r.finish(nil)
	}
}

// parseFragment reads the status of a message/sipfrag body: "SIP/2.0 200 OK".
func parseFragment(body []byte) (int, bool) {
	line, _, _ := bytes.Cut(body[:min(len(body), 256)], []byte("\n"))
	f := strings.Fields(string(line))
	if len(f) < 2 || !strings.EqualFold(f[0], "SIP/2.0") {
		return 0, false
	}
	n, err := strconv.Atoi(f[1])
	return n, err == nil && n >= 100 && n < 700
}
