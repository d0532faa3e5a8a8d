package conversation

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// What a principal needs.
const (
	permRead   = "call:read"
	permUpdate = "call:update"
	permCreate = "call:create"
)

const dialTimeout = 10 * time.Second

func op(id, method, path, permission, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: "/api/v1" + path, Summary: summary, Tags: []string{"Calls"},
		Metadata: map[string]any{"permission": permission, "narrow": true}}
}

// sensitive has the gateway note who reads it.
func sensitive(o huma.Operation, action string) huma.Operation {
	o.Metadata["audit"] = action
	return o
}

// Routes adds this context's operations.
func (s *Service) Routes(api huma.API) {
	huma.Register(api, op("list-calls", http.MethodGet, "/calls", permRead, "List calls, newest first"), s.listOp)
	huma.Register(api, op("get-overview", http.MethodGet, "/overview", permRead, "Sum up today"), s.overviewOp)
	huma.Register(api, op("get-call", http.MethodGet, "/calls/{id}", permRead, "Get a call with its legs and alerts"), s.getOp)
	huma.Register(api, sensitive(op("list-call-turns", http.MethodGet, "/calls/{id}/turns", permRead, "List a call's turns with their latencies"),
		"call.transcript.read"), s.turnsOp)
	huma.Register(api, op("list-call-signals", http.MethodGet, "/calls/{id}/signals", permRead, "List a call's signalling messages"), s.signalsOp)
	huma.Register(api, op("get-call-peaks", http.MethodGet, "/calls/{id}/recording/peaks", permRead, "Get the waveform of a recording"), s.peaksOp)
	hangup := op("hang-up-call", http.MethodPost, "/calls/{id}/hangup", permUpdate, "Hang up a call")
	hangup.DefaultStatus = http.StatusAccepted
	huma.Register(api, hangup, s.hangupOp)
	dial := op("place-call", http.MethodPost, "/calls/outbound", permCreate, "Place an outbound call")
	dial.DefaultStatus = http.StatusAccepted
	huma.Register(api, dial, s.outboundOp)
	s.downloads(api)
}

// orgOf gives the organisation of who asks. The gateway has checked the permission.
func orgOf(ctx context.Context) (string, error) {
	p, ok := identity.From(ctx)
	if !ok || p.OrgID == "" {
		return "", fault.New(fault.Unauthorized, "Sign in, or send a bearer token.")
	}
	return p.OrgID, nil
}

type body[T any] struct{ Body T }

type listInput struct {
	Status    string    `query:"status" enum:"queued,ringing,in_progress,ended"`
	Direction string    `query:"direction" enum:"inbound,outbound"`
	Channel   string    `query:"channel" enum:"sip,webrtc,twilio"`
	AgentID   string    `query:"agentId" maxLength:"100" doc:"Id or slug of an agent"`
	ProjectID string    `query:"projectId" maxLength:"64" doc:"Calls of the agents that belong to a project now"`
	Q         string    `query:"q" maxLength:"200" doc:"Part of a number or name, or words that were said"`
	From      time.Time `query:"from" doc:"Calls that began at this time or later"`
	To        time.Time `query:"to" doc:"Calls that began before this time"`
	Cursor    string    `query:"cursor" maxLength:"400"`
	Limit     int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type callPage struct {
	Items []CallRecord `json:"items" nullable:"false"`
	Next  *string      `json:"next"`
}

func (s *Service) listOp(ctx context.Context, in *listInput) (*body[callPage], error) {
	org, err := orgOf(ctx)
	if err != nil {
		return nil, err
	}
	if !in.From.IsZero() && !in.To.IsZero() && !in.From.Before(in.To) {
		return nil, fault.Field("query.to", "The end of the time range must be after its beginning.")
	}
	items, next, err := s.List(ctx, org, ListQuery{Status: in.Status, Direction: in.Direction, Channel: in.Channel,
		AgentID: in.AgentID, ProjectID: in.ProjectID, Text: in.Q, From: in.From, To: in.To, Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &body[callPage]{callPage{Items: items}}
	if next != "" {
		out.Body.Next = &next
	}
	return out, nil
}

type callPath struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *Service) getOp(ctx context.Context, in *callPath) (*body[CallDetail], error) {
	org, err := orgOf(ctx)
	if err != nil {
		return nil, err
	}
	d, err := s.Get(ctx, org, in.ID)
	return &body[CallDetail]{d}, err
}

func (s *Service) hangupOp(ctx context.Context, in *callPath) (*body[CallDetail], error) {
	org, err := orgOf(ctx)
	if err != nil {
		return nil, err
	}
	d, err := s.Hangup(ctx, org, in.ID)
	return &body[CallDetail]{d}, err
}

type outboundInput struct {
	Body struct {
		To       string         `json:"to" minLength:"1" maxLength:"512" example:"sip:alice@192.0.2.7" doc:"SIP URI, phone, or number in international form, which is called through a trunk"`
		Agent    string         `json:"agent" minLength:"1" maxLength:"100" doc:"Slug or id of the agent that speaks"`
		From     string         `json:"from,omitempty" maxLength:"512" doc:"Caller id of a call that goes through no trunk"`
		Metadata map[string]any `json:"metadata,omitempty" maxProperties:"64" doc:"Kept with the call"`

		TrunkID      string            `json:"trunkId,omitempty" maxLength:"64" doc:"The trunk that a number is called through; left out, the first that is switched on"`
		CallerNumber string            `json:"callerNumber,omitempty" maxLength:"64" doc:"One of the caller numbers, to be shown; left out, the nearest to whom is called"`
		Variables    map[string]string `json:"variables,omitempty" maxProperties:"64" doc:"What the agent's {{placeholders}} stand for in this call"`
	}
}

func (s *Service) outboundOp(ctx context.Context, in *outboundInput) (*body[CallDetail], error) {
	org, err := orgOf(ctx)
	if err != nil {
		return nil, err
	}
	if s.dialer == nil {
		return nil, fault.New(fault.Unavailable, "This process places no calls; ask one with the media role.")
	}
	if s.agents != nil {
		if err := s.agents.Reach(ctx, org, in.Body.Agent); err != nil {
			return nil, err
		}
	}
	p, _ := identity.From(ctx)
	dial, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	id, err := s.dialer.PlaceCall(dial, OutboundRequest{OrgID: org, UserID: p.UserID, To: in.Body.To, Agent: in.Body.Agent,
		From: in.Body.From, Metadata: in.Body.Metadata, TrunkID: in.Body.TrunkID, CallerNumber: in.Body.CallerNumber, Variables: in.Body.Variables})
	if err != nil {
		return nil, err
	}
	// The person who is called stands in the call, not in the audit trail, which outlives it.
	if err := s.note(ctx, org, identity.Change{Action: "call.create", Kind: "call", ID: id, After: map[string]string{"agent": in.Body.Agent}}); err != nil {
		return nil, err
	}
	d, err := s.Get(ctx, org, id)
	return &body[CallDetail]{d}, err
}

type pageInput struct {
	ID     string `path:"id" maxLength:"64"`
	Cursor string `query:"cursor" maxLength:"400"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

// parseSeq reads a cursor that is a number; none is the value given.
func parseSeq(cursor string, none int64) (int64, error) {
	if cursor == "" {
		return none, nil
	}
	n, err := strconv.ParseInt(cursor, 10, 62)
	if err != nil || n < 0 {
		return 0, fault.Field("query.cursor", "This is not a cursor of this list; use the value of next of an earlier page.")
	}
	return n, nil
}

// nextSeq shows the cursor of the next page, nil at the end.
func nextSeq(n, none int64) *string {
	if n == none {
		return nil
	}
	return ptr(strconv.FormatInt(n, 10))
}

type turnPage struct {
	Items []CallTurn `json:"items" nullable:"false"`
	Next  *string    `json:"next"`
}

func (s *Service) turnsOp(ctx context.Context, in *pageInput) (*body[turnPage], error) {
	org, err := orgOf(ctx)
	if err != nil {
		return nil, err
	}
	after, err := parseSeq(in.Cursor, -1)
	if err != nil {
		return nil, err
	}
	items, next, err := s.Turns(ctx, org, in.ID, int(after), in.Limit)
	return &body[turnPage]{turnPage{items, nextSeq(int64(next), -1)}}, err
}

type signalPage struct {
	Items []CallSignal `json:"items" nullable:"false"`
	Next  *string      `json:"next"`
}

func (s *Service) signalsOp(ctx context.Context, in *pageInput) (*body[signalPage], error) {
	org, err := orgOf(ctx)
	if err != nil {
		return nil, err
	}
	after, err := parseSeq(in.Cursor, 0)
	if err != nil {
		return nil, err
	}
	items, next, err := s.Signals(ctx, org, in.ID, after, in.Limit)
	return &body[signalPage]{signalPage{items, nextSeq(next, 0)}}, err
}

type peaksInput struct {
	ID      string `path:"id" maxLength:"64"`
	Buckets int    `query:"buckets" minimum:"1" maximum:"4000" default:"1000"`
}

func (s *Service) peaksOp(ctx context.Context, in *peaksInput) (*body[Peaks], error) {
	org, err := orgOf(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.RecordingPeaks(ctx, org, in.ID, in.Buckets)
	return &body[Peaks]{p}, err
}

type overviewInput struct {
	TimeZone string `query:"timeZone" maxLength:"64" default:"UTC" doc:"Whose day it is: an IANA name" example:"Europe/Berlin"`
}

func (s *Service) overviewOp(ctx context.Context, in *overviewInput) (*body[Overview], error) {
	org, err := orgOf(ctx)
	if err != nil {
		return nil, err
	}
	loc, err := time.LoadLocation(in.TimeZone)
	if err != nil {
		return nil, fault.Field("query.timeZone", "Unknown time zone; use an IANA name such as Europe/Berlin.")
	}
	v, err := s.Overview(ctx, org, loc)
	return &body[Overview]{v}, err
}

// kinds makes a filter of names; empty is all.
func kinds(names []string) []event.EntryKind {
	out := make([]event.EntryKind, 0, len(names))
	for _, n := range names {
		if n != "" {
			out = append(out, event.EntryKind(n))
		}
	}
	return out
}
