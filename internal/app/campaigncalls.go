package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/gateway/fleet"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony"
	"github.com/parley-voice/parley/internal/telephony/sip"
	"github.com/parley-voice/parley/internal/voice"
)

// campaignCalls places campaigns' calls: here where this process carries calls, else in a media process.
type campaignCalls struct {
	calls   *calls // nil: this process carries none
	records *conversation.Service
	phones  *telephony.Service
	fleet   func() *fleet.Fleet
	bus     *bus.Bus
	clock   quartz.Clock
	log     *slog.Logger
	kept    int           // lines here that campaigns leave free
	turn    atomic.Uint64 // of caller numbers, one after the other
}

// Place implements campaign.Carrier.
func (c *campaignCalls) Place(ctx context.Context, p campaign.Placement) error {
	if c.calls == nil {
		return c.send(ctx, p)
	}
	if c.clock.Now().After(p.Until) {
		return fault.New(fault.Unavailable, "the call was decided too long ago")
	}
	shown, err := c.shown(ctx, p)
	if err != nil {
		return err
	}
	_, err = c.calls.DialOut(ctx, DialOut{OrgID: p.OrgID, CallID: p.CallID, Agent: p.Agent, TrunkID: p.Callers.Trunk, Number: p.Number, CallerNumber: shown, Ring: p.Ring,
		Metadata: map[string]string{"campaignId": p.CampaignID, "leadId": p.LeadID}, Variables: variablesOf(p), Outset: outsetOf(p),
		Kept: c.kept})
	return err
}

// variablesOf are what the agent's placeholders stand for: the lead's own, and its name and number.
func variablesOf(p campaign.Placement) map[string]string {
	v := map[string]string{"name": p.Name, "number": p.Number}
	maps.Copy(v, p.Variables)
	return v
}

// outsetOf is what comes before the conversation.
func outsetOf(p campaign.Placement) *Outset {
	o := &Outset{Results: slices.Sorted(maps.Keys(p.Outcomes))}
	o.Detect = p.Voicemail.Rule != "talk"
	o.OnMachine, o.Message = voice.MachineHangup, p.Voicemail.Message
	switch p.Voicemail.Rule {
	case "message":
		o.OnMachine = voice.MachineMessage
	case "talk":
		o.OnMachine = voice.MachineTalk
	}
	for _, d := range []string{p.Disclosure.AI, p.Disclosure.Recording} {
		if strings.TrimSpace(d) != "" {
			o.Disclosures = append(o.Disclosures, d)
		}
	}
	if p.OptOutKey != "" {
		o.OptOutKey = p.OptOutKey[0]
	}
	if z, err := time.LoadLocation(p.Zone); err == nil {
		o.Zone = z
	}
	return o
}

// shown chooses the number that the callee sees; "" has the nearest one chosen.
func (c *campaignCalls) shown(ctx context.Context, p campaign.Placement) (string, error) {
	all, err := c.phones.UsableCallers(ctx, p.OrgID, p.Callers.Trunk)
	if err != nil || len(all) == 0 {
		return "", err
	}
	choice := telephony.CallerChoice{Callee: p.Number, TrunkID: p.Callers.Trunk, Pool: p.Callers.Numbers, LocalPresence: p.Callers.Choice == "local", Rotation: telephony.RotateHash}
	switch p.Callers.Choice {
	case "first":
		choice.Rotation = telephony.RotateFirst
	case "rotate":
		choice.Rotation, choice.Turn = telephony.RotateTurn, c.turn.Add(1)
	}
	n, found := telephony.ChooseCaller(all, choice)
	if !found {
		return "", fault.New(fault.NotPossible, "none of the campaign's caller numbers can be shown; add one under Trunks, or choose others")
	}
	return n.ID, nil
}

// Preflight implements campaign.Preflighter: a campaign needs a trunk that can be used, and the numbers that it names.
func (c *campaignCalls) Preflight(ctx context.Context, orgID string, camp campaign.Campaign) ([]campaign.Obstacle, error) {
	set := camp.Settings.Callers
	line, err := c.phones.Line(ctx, orgID, set.Trunk)
	var f *fault.Error
	if errors.As(err, &f) && f.Code != fault.Internal {
		return []campaign.Obstacle{{Code: "callers", Field: "settings.callers.trunk", Message: "Calls cannot go out: " + f.Message + ".", Blocking: true}}, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := c.phones.UsableCallers(ctx, orgID, line.ID)
	if err != nil {
		return nil, err
	}
	if _, found := telephony.ChooseCaller(all, telephony.CallerChoice{TrunkID: line.ID, Pool: set.Numbers}); len(set.Numbers) > 0 && !found {
		return []campaign.Obstacle{{Code: "callers", Field: "settings.callers.numbers", Message: "None of the numbers that are chosen can be shown on this trunk; add them under Trunks, or choose others.", Blocking: true}}, nil
	}
	if len(all) == 0 {
		return []campaign.Obstacle{{Code: "callers", Field: "settings.callers.numbers", Message: "There is no caller number: the carrier decides what people see. In many places a number that can be called back must be shown."}}, nil
	}
	return nil, nil
}

// Look implements campaign.Carrier.
func (c *campaignCalls) Look(ctx context.Context, orgID, id string) (campaign.Look, error) {
	if c.calls != nil && c.calls.carries(id) {
		return campaign.Look{Found: true, Live: true}, nil
	}
	d, err := c.records.Get(ctx, orgID, id)
	if fault.Is(err, fault.NotFound) {
		return campaign.Look{}, nil
	}
	if err != nil {
		return campaign.Look{}, err
	}
	if d.EndedAt == nil {
		return campaign.Look{Found: true, Live: true}, nil
	}
	e := campaign.Ended{Ended: *d.EndedAt, Result: string(d.Result), Reason: d.EndReason, Status: d.EndStatus, Trunk: d.TrunkID, Caller: d.From}
	if d.AnsweredAt != nil {
		e.Answered = *d.AnsweredAt
	}
	return campaign.Look{Found: true, Ended: e}, nil
}

// How a worker has a media process place a call: the media process answers that it will try. What came of it is told by the
// call's own facts, or, where nothing was sent, by the refusal.
const (
	peerDial     = "dial"
	peerDialWait = 3 * time.Second
	peerDials    = 64 // that are begun at once in a media process
)

// dialAnswer is a media process's answer.
type dialAnswer struct {
	Code    fault.Code `json:"code,omitempty"` // "": it was begun
	Message string     `json:"message,omitempty"`
}

// send has a media process place a call.
func (c *campaignCalls) send(ctx context.Context, p campaign.Placement) error {
	lease, err := c.fleet().Pick(fleet.Want{Role: roleMedia, Takes: true})
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "no media process takes calls")
	}
	defer lease.Done()
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("write a placement: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, peerDialWait)
	defer cancel()
	b, err := c.bus.AskPeer(ctx, sip.Mark(lease.ID), peerDial, data)
	switch {
	case fault.Is(err, fault.NotFound): // nobody listens, so nobody was called
		lease.Judge(fleet.Refused)
		return fault.Wrap(fault.Unavailable, err, "the media process is gone")
	case err != nil: // whether it was heard is not known
		lease.Judge(fleet.Bad)
		return fault.Wrap(fault.Timeout, err, "the media process did not answer")
	}
	var a dialAnswer
	if err := json.Unmarshal(b, &a); err != nil {
		return fault.Wrap(fault.Timeout, err, "the media process's answer cannot be read")
	}
	lease.Judge(fleet.Good)
	if a.Code != "" {
		return fault.New(a.Code, "%s", a.Message)
	}
	return nil
}

// answer places the calls that workers ask this media process for.
func (c *campaignCalls) answer(ctx context.Context, node string) error {
	return c.bus.ServePeerEach(ctx, sip.Mark(node), peerDial, peerDials, func(ctx context.Context, data []byte) []byte {
		var a dialAnswer
		var p campaign.Placement
		err := json.Unmarshal(data, &p)
		if err == nil {
			err = c.Place(ctx, p)
		}
		if err != nil {
			a.Code, a.Message = fault.CodeOf(err), err.Error()
			c.log.InfoContext(ctx, "a call that a worker asked for was not placed", "call", p.CallID, "error", err)
		}
		b, err := json.Marshal(a)
		if err != nil {
			c.log.ErrorContext(ctx, "an answer to a worker could not be written", "error", err)
		}
		return b
	})
}
