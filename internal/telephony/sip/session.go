package sip

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"github.com/parley-voice/parley/internal/media"
)

// Session timers (RFC 4028): one side refreshes the call now and then, the other ends it when that stops.

const (
	sessionMin     = 90 * time.Second // section 5: the least there is
	sessionDefault = 30 * time.Minute
)

// sessionExpires is a Session-Expires header.
type sessionExpires struct {
	interval  time.Duration
	refresher string // "uac", "uas" or ""
}

func parseSession(m interface {
	GetHeader(string) sipmsg.Header
}) (sessionExpires, bool, *problem) {
	v := header(m, "Session-Expires", "x")
	if v == "" {
		return sessionExpires{}, false, nil
	}
	num, params, _ := strings.Cut(v, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(num), 10, 31)
	if err != nil {
		return sessionExpires{}, false, refuse(400, "Session-Expires is not a number")
	}
	se := sessionExpires{interval: time.Duration(n) * time.Second}
	for p := range strings.SplitSeq(params, ";") {
		if k, val, _ := strings.Cut(strings.ToLower(strings.TrimSpace(p)), "="); k == "refresher" && (val == "uac" || val == "uas") {
			se.refresher = val
		}
	}
	return se, true, nil
}

// checkSession refuses an interval that is too short for us (section 9).
func checkSession(req *sipmsg.Request) *problem {
	se, ok, p := parseSession(req)
	if p != nil {
		return p
	}
	if ok && se.interval < sessionMin {
		return refuse(422, "refresh the call less often").with("Min-SE", strconv.Itoa(int(sessionMin.Seconds())))
	}
	return nil
}

// startSession answers a request that asks for a session timer and starts it (section 9). l.mu is held.
func (l *leg) startSession(req *sipmsg.Request, res *sipmsg.Response) {
	se, ok, _ := parseSession(req)
	peer := false
	for _, tag := range optionTags(req, "Supported", "k") {
		peer = peer || tag == "timer"
	}
	if !ok {
		l.stopSession()
		return
	}
	if se.refresher == "" || !peer {
		se.refresher = "uas"
		if peer {
			se.refresher = "uac"
		}
	}
	if peer {
		res.AppendHeader(sipmsg.NewHeader("Require", "timer"))
	}
	res.AppendHeader(sipmsg.NewHeader("Session-Expires", fmt.Sprintf("%d;refresher=%s", int(se.interval.Seconds()), se.refresher)))
	l.runSession(se.interval, se.refresher == "uas")
}

// followSession starts the timer a peer asked for in its answer to our request (section 7.2). l.mu is held.
func (l *leg) followSession(res *sipmsg.Response) {
	se, ok, p := parseSession(res)
	if !ok || p != nil {
		l.stopSession()
		return
	}
	l.runSession(max(se.interval, sessionMin), se.refresher != "uas")
}

func (l *leg) stopSession() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// runSession arms the timer: half the interval when we refresh, a little before the end when the peer
// does (section 10).
func (l *leg) runSession(interval time.Duration, ours bool) {
	l.stopSession()
	if ours {
		l.timer = l.s.config.Clock.AfterFunc(interval/2, func() { l.s.background("refresh", l.refresh) }, "sip", "session")
		return
	}
	l.timer = l.s.config.Clock.AfterFunc(interval-min(32*time.Second, interval/3), l.expired, "sip", "session")
}

// refresh tells the peer that the call is alive: UPDATE without a body where the peer knows it, else
// re-INVITE with the description it has.
func (l *leg) refresh(ctx context.Context) {
	l.mu.Lock()
	update := strings.Contains(l.allow, "update")
	l.mu.Unlock()
	var err error
	if update {
		err = l.refreshByUpdate(ctx)
	} else {
		err = l.reinvite(ctx, func() {})
	}
	if err != nil {
		l.s.log.Info("SIP session was not refreshed", "call", l.info.ID, "error", err)
	}
}

func (l *leg) refreshByUpdate(ctx context.Context) error {
	l.mu.Lock()
	if l.state == ended {
		l.mu.Unlock()
		return errEnded
	}
	req := l.d.request(sipmsg.UPDATE)
	l.mu.Unlock()
	req.AppendHeader(sipmsg.NewHeader("Session-Expires", fmt.Sprintf("%d;refresher=uac", int(sessionDefault.Seconds()))))
	req.AppendHeader(sipmsg.NewHeader("Min-SE", strconv.Itoa(int(sessionMin.Seconds()))))
	ctx, cancel := context.WithTimeout(ctx, txLife)
	defer cancel()
	res, err := l.send(ctx, req)
	switch {
	case err != nil || res.StatusCode == 408 || res.StatusCode == 481:
		// Section 10: the peer is gone.
		l.audio.stop()
		_ = l.bye(ctx, media.Cause{Code: "unreachable"})
		l.end(media.Cause{By: "system", Code: "unreachable", Status: 408, Text: "the far end did not answer any more"})
		return err
	case res.StatusCode >= 300:
		return fmt.Errorf("UPDATE was answered %d", res.StatusCode)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != ended {
		l.followSession(res)
	}
	return nil
}

// expired ends a call that the peer should have refreshed.
func (l *leg) expired() {
	l.s.background("session expired", func(ctx context.Context) {
		l.audio.stop()
		_ = l.bye(ctx, media.Cause{Code: "timeout", Text: "the session expired"})
		l.end(media.Cause{By: "system", Code: "unreachable", Status: 408, Text: "the far end stopped refreshing the call"})
	})
}
