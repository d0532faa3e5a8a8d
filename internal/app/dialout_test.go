package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony"
)

// trunk makes a carrier of p, whose numbers are written without a plus.
func (r *exchangeRig) trunk(p *phone) telephony.Trunk {
	r.t.Helper()
	made := must(r.phones.CreateTrunk(r.t.Context(), ours, telephony.NewTrunk{Name: "Carrier", Address: p.Addr().String(), NumberFormat: "digits", Domain: "us.example",
		Lines: 100, PerSecond: 1000}))(r.t)
	return made
}

// caller makes an agent that greets whom it calls by name.
func (r *exchangeRig) caller() {
	r.t.Helper()
	simulated := agent.ModelRef{Vendor: agent.VendorSim}
	must(r.agents.Create(r.t.Context(), ours, agent.NewAgent{Name: "Caller", Slug: "caller", Publish: true, Definition: &agent.Definition{
		Kind: agent.KindPrompt, Prompt: "You call {{name}}.", Greeting: "Hello {{name}}.", Models: agent.Models{STT: simulated, LLM: simulated, TTS: simulated},
	}}))(r.t)
}

// record gives a call as soon as it has ended.
func (r *exchangeRig) record(id string) conversation.CallDetail {
	r.t.Helper()
	r.counts()
	r.wg.Wait()
	if err := r.records.Flush(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	return must(r.records.Get(context.Background(), ours, id))(r.t)
}

func TestDialOut(t *testing.T) {
	r := newExchangeRig(t)
	carrier := ringer(t, r, "pcmu", nil)
	r.listen(nil)
	r.caller()
	trunk := r.trunk(carrier)
	must(r.phones.CreateCallerNumber(t.Context(), ours, telephony.NewCallerNumber{Number: "+4940987654", DisplayName: "Parley"}))(t)
	id := uuid.Must(uuid.NewV7()).String()
	ask := DialOut{OrgID: ours, CallID: id, Agent: "caller", Number: "+49 30 123456", Metadata: map[string]string{"lead": "7"}, Variables: map[string]string{"name": "Anna"}}
	if got, err := r.DialOut(t.Context(), ask); err != nil || got != id {
		t.Fatalf("%s, %v", got, err)
	}
	far := carrier.answered(t)
	if i := far.Info(); i.To != "4930123456" || i.From != "4940987654" || i.FromName != "Parley" || !strings.HasPrefix(i.External, id+"@") {
		t.Errorf("the carrier sees %+v", i)
	}
	if !r.carries(id) {
		t.Error("the call is not known here")
	}
	if _, err := r.DialOut(t.Context(), ask); !fault.Is(err, fault.Conflict) {
		t.Errorf("while it goes on: %v", err)
	}
	hangUp(t, far)
	d := r.record(id)
	if d.Result != conversation.Answered || d.To != "+4930123456" || d.From != "+4940987654" || d.TrunkID != trunk.ID || d.Metadata["lead"] != "7" || d.AnsweredAt == nil {
		t.Errorf("%+v", d.CallRecord)
	}
	if r.carries(id) {
		t.Error("the call is still known here")
	}
	if _, err := r.DialOut(t.Context(), ask); !fault.Is(err, fault.Conflict) {
		t.Errorf("after it is over: %v", err)
	}
	if n := len(carrier.legs); n != 0 {
		t.Errorf("%d more calls were placed", n)
	}
}

// What is refused has not rung anywhere, and takes no line.
func TestDialOutIsRefused(t *testing.T) {
	r := newExchangeRig(t)
	carrier := ringer(t, r, "pcmu", nil)
	r.listen(nil)
	r.caller()
	trunk := r.trunk(carrier)
	off := must(r.phones.CreateTrunk(t.Context(), ours, telephony.NewTrunk{Name: "Off", Address: carrier.Addr().String(), Disabled: true}))(t)
	good := func() DialOut {
		return DialOut{OrgID: ours, Agent: "caller", TrunkID: trunk.ID, Number: "+4930123456", Variables: map[string]string{"name": "Anna"}}
	}
	for what, c := range map[string]struct {
		change func(*DialOut)
		code   fault.Code
	}{
		"no number":      {func(d *DialOut) { d.Number = "030" }, fault.Invalid},
		"no id":          {func(d *DialOut) { d.CallID = "7" }, fault.Invalid},
		"no agent":       {func(d *DialOut) { d.Agent = "nobody" }, fault.NotFound},
		"no variable":    {func(d *DialOut) { d.Variables = nil }, fault.Invalid},
		"no trunk":       {func(d *DialOut) { d.TrunkID = uuid.NewString() }, fault.Invalid},
		"a trunk is off": {func(d *DialOut) { d.TrunkID = off.ID }, fault.NotPossible},
		"not our number": {func(d *DialOut) { d.CallerNumber = "+4930999999" }, fault.Invalid},
	} {
		d := good()
		c.change(&d)
		if _, err := r.DialOut(t.Context(), d); fault.CodeOf(err) != c.code {
			t.Errorf("%s: %v", what, err)
		}
	}
	r.says.Settings = identity.Settings{Limits: identity.PlanLimits{Calls: number(0)}}
	if _, err := r.DialOut(t.Context(), good()); !fault.Is(err, fault.LimitReached) {
		t.Errorf("no line is free: %v", err)
	}
	if n := carrier.Calls(); n != 0 || r.running(ours) != 0 {
		t.Errorf("%d calls reached the carrier, %d lines are taken", n, r.running(ours))
	}
}

// How a call ended is told precisely, whether by the callee or the carrier.
func TestDialOutEnds(t *testing.T) {
	for status, want := range map[int]conversation.Result{
		486: conversation.Busy, 600: conversation.Busy, 480: conversation.NoAnswer, 603: conversation.Rejected, 404: conversation.InvalidNumber, 484: conversation.InvalidNumber,
		410: conversation.InvalidNumber, 403: conversation.TrunkFailed, 500: conversation.TrunkFailed, 503: conversation.TrunkFailed, 488: conversation.TrunkFailed,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			r := newExchangeRig(t)
			carrier := ringer(t, r, "pcmu", func(l media.Leg) { _ = l.Hangup(context.Background(), media.Cause{Code: "x", Status: status}) })
			r.listen(nil)
			r.caller()
			r.trunk(carrier)
			id := must(r.DialOut(t.Context(), DialOut{OrgID: ours, Agent: "caller", Number: "+4930123456", Variables: map[string]string{"name": "Anna"}}))(t)
			if d := r.record(id); d.Result != want || d.EndStatus != status || d.AnsweredAt != nil || d.EndedBy != "carrier" {
				t.Errorf("%s %s %d %s", d.Result, d.EndReason, d.EndStatus, d.EndedBy)
			}
		})
	}
}

// Nobody answers in time, or the call is called off while it rings.
func TestDialOutRings(t *testing.T) {
	for name, c := range map[string]struct {
		ring    time.Duration
		callOff bool
		want    conversation.Result
	}{"too long": {300 * time.Millisecond, false, conversation.NoAnswer}, "called off": {time.Minute, true, conversation.Cancelled}} {
		t.Run(name, func(t *testing.T) {
			r := newExchangeRig(t)
			ringing := make(chan media.Leg, 1)
			carrier := ringer(t, r, "pcmu", func(l media.Leg) { ringing <- l; <-l.Done() })
			r.listen(nil)
			r.caller()
			r.trunk(carrier)
			id := must(r.DialOut(t.Context(), DialOut{OrgID: ours, Agent: "caller", Number: "+4930123456", Ring: c.ring, Variables: map[string]string{"name": "Anna"}}))(t)
			far := <-ringing
			if c.callOff {
				if err := r.callOff(t.Context(), id, media.Cause{By: "system", Code: "cancelled", Text: "The campaign is paused."}); err != nil {
					t.Error(err)
				}
			}
			over(t, far, "the carrier's side")
			if d := r.record(id); d.Result != c.want {
				t.Errorf("%s %s %d %s", d.Result, d.EndReason, d.EndStatus, d.EndedBy)
			}
			if err := r.callOff(t.Context(), id, media.Cause{}); !fault.Is(err, fault.NotPossible) {
				t.Errorf("what is over is called off: %v", err)
			}
		})
	}
}

// What a trunk does not take is refused before anything is sent, and says that it is no failure of the carrier.
func TestTrunkIsFull(t *testing.T) {
	r := newExchangeRig(t)
	carrier := ringer(t, r, "pcmu", nil)
	r.listen(nil)
	r.caller()
	trunk := r.trunk(carrier)
	one := 1
	must(r.phones.UpdateTrunk(t.Context(), ours, trunk.ID, telephony.TrunkChange{Lines: &one}))(t)
	ask := DialOut{OrgID: ours, Agent: "caller", Number: "+4930123456", Variables: map[string]string{"name": "Anna"}}
	id := must(r.DialOut(t.Context(), ask))(t)
	far := carrier.answered(t)
	if _, err := r.DialOut(t.Context(), ask); !errors.Is(err, telephony.ErrLinesBusy) || !fault.Is(err, fault.LimitReached) {
		t.Errorf("one call too many: %v", err)
	}
	if n := r.running(ours); n != 1 || carrier.Calls() != 1 {
		t.Errorf("%d lines are taken, the carrier has %d calls", n, carrier.Calls())
	}
	hangUp(t, far)
	r.record(id)
	id = must(r.DialOut(t.Context(), ask))(t)
	hangUp(t, carrier.answered(t))
	r.record(id)
}

// Lines that are kept for calls that come in are not a campaign's, and are everybody else's.
func TestKeptLines(t *testing.T) {
	r := newExchangeRig(t)
	carrier := ringer(t, r, "pcmu", nil)
	r.listen(nil)
	r.caller()
	r.trunk(carrier)
	r.max = 2
	campaign := DialOut{OrgID: ours, Agent: "caller", Number: "+4930123456", Variables: map[string]string{"name": "Anna"}, Kept: 1}
	first := must(r.DialOut(t.Context(), campaign))(t)
	far := carrier.answered(t)
	if _, err := r.DialOut(t.Context(), campaign); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "kept-lines") {
		t.Errorf("a campaign takes the last line: %v", err)
	}
	person := campaign
	person.Kept = 0
	second := must(r.DialOut(t.Context(), person))(t)
	hangUp(t, carrier.answered(t))
	hangUp(t, far)
	r.record(first)
	r.record(second)
}

// A trunk that fails is left alone after a while, and says so; one whose callees are busy is not.
func TestTrunkIsBroken(t *testing.T) {
	var status atomic.Int64
	r := newExchangeRig(t)
	carrier := ringer(t, r, "pcmu", func(l media.Leg) {
		_ = l.Hangup(context.Background(), media.Cause{Code: "x", Status: int(status.Load())})
	})
	r.listen(nil)
	r.caller()
	trunk := r.trunk(carrier)
	call := func() (conversation.Result, error) {
		id, err := r.DialOut(t.Context(), DialOut{OrgID: ours, Agent: "caller", Number: "+4930123456", Variables: map[string]string{"name": "Anna"}})
		if err != nil {
			return "", err
		}
		return r.record(id).Result, nil
	}
	status.Store(486)
	for range 12 {
		if got, err := call(); err != nil || got != conversation.Busy {
			t.Fatalf("%s, %v", got, err)
		}
	}
	status.Store(503)
	failed := 0
	for range 60 {
		got, err := call()
		if errors.Is(err, telephony.ErrTrunkOut) {
			break
		}
		if err != nil || got != conversation.TrunkFailed {
			t.Fatalf("%s, %v", got, err)
		}
		failed++
	}
	if failed == 60 || failed < 10 {
		t.Errorf("it is left alone after %d failures", failed)
	}
	if s := r.gates.States(); len(s) != 1 || s[0].TrunkID != trunk.ID || s[0].State != "open" || !strings.Contains(s[0].Reason, "503") || s[0].Calls != 0 {
		t.Errorf("%+v", s)
	}
	if n := r.running(ours); n != 0 {
		t.Errorf("%d lines are taken", n)
	}
}

// A number in the API's place-call goes through a trunk; anything else does not.
func TestPlaceCallToANumber(t *testing.T) {
	r := newExchangeRig(t)
	carrier := ringer(t, r, "pcmu", nil)
	r.listen(nil)
	r.caller()
	trunk := r.trunk(carrier)
	ask := conversation.OutboundRequest{OrgID: ours, To: " +49 30 123456", Agent: "caller", UserID: "anna", Variables: map[string]string{"name": "Anna"}, Metadata: map[string]any{"n": 7}}
	id := must(r.PlaceCall(t.Context(), ask))(t)
	hangUp(t, carrier.answered(t))
	if d := r.record(id); d.TrunkID != trunk.ID || d.UserID != "anna" || fmt.Sprint(d.Metadata["n"]) != "7" {
		t.Errorf("%+v", d.CallRecord)
	}
	ask.To, ask.TrunkID = "sip:x@"+carrier.Addr().String(), trunk.ID
	if _, err := r.PlaceCall(t.Context(), ask); !fault.Is(err, fault.Invalid) {
		t.Errorf("a URI through a trunk: %v", err)
	}
	ask.TrunkID = ""
	id = must(r.PlaceCall(t.Context(), ask))(t)
	hangUp(t, carrier.answered(t))
	if d := r.record(id); d.TrunkID != "" || d.Result != conversation.Answered {
		t.Errorf("%+v", d.CallRecord)
	}
}
