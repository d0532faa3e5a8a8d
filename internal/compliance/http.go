package compliance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// narrow lets an operation be used with ":own" and ":team": what one did oneself, or the people of one's teams.
func narrow(o huma.Operation) huma.Operation {
	o.Metadata["narrow"] = true
	return o
}

func op(id, method, path, permission, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: "/api/v1" + path, Summary: summary, Tags: []string{"Compliance"},
		Metadata: map[string]any{"permission": permission}}
}

// download describes an operation that answers with a file.
func download(o huma.Operation, types ...string) huma.Operation {
	content := map[string]*huma.MediaType{}
	for _, t := range types {
		content[t] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	o.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: content}}
	return o
}

func created(o huma.Operation, status int) huma.Operation {
	o.DefaultStatus = status
	return o
}

// Routes adds this context's operations.
func (s *Service) Routes(api huma.API) {
	huma.Register(api, narrow(op("list-audit-entries", http.MethodGet, "/audit", "audit:read", "The audit trail, newest first")), s.entriesOp)
	huma.Register(api, narrow(download(op("export-audit", http.MethodGet, "/audit/export", "audit:read",
		"The audit trail as a file: without filters a whole chain that parley audit verify proves offline"), "application/x-ndjson", "text/csv")), s.exportOp)
	huma.Register(api, op("verify-audit", http.MethodGet, "/audit/verify", "audit:read", "Is the audit trail whole and unchanged?"), s.stateOp)
	huma.Register(api, op("get-audit-keys", http.MethodGet, "/audit/keys", "audit:read", "The public keys that signed the audit trail, as a JWK set"), s.keysOp)
	huma.Register(api, op("list-platform-log", http.MethodGet, "/super/audit", "super:read", "The installation's own log, newest first"), s.platformOp)
	huma.Register(api, op("verify-platform-log", http.MethodGet, "/super/audit/verify", "super:read", "Is the installation's own log whole and unchanged?"), s.platformStateOp)
	s.retentionRoutes(api)
	s.personRoutes(api)
	s.exportRoutes(api)
}

type body[T any] struct{ Body T }

// listOf is a page of a list.
type listOf[T any] struct {
	Items []T     `json:"items" nullable:"false"`
	Next  *string `json:"next"`
}

func pageOf[T any](items []T, next string, err error) (*body[listOf[T]], error) {
	if err != nil {
		return nil, err
	}
	out := &body[listOf[T]]{listOf[T]{Items: items}}
	if next != "" {
		out.Body.Next = &next
	}
	return out, nil
}

// AuditFilterInput are the filters of the trail. It is exported because huma looks for parameters only in exported embedded structs.
type AuditFilterInput struct {
	Actor   string    `query:"actor" maxLength:"64" doc:"Id of a person, an API token or an AI agent"`
	Action  string    `query:"action" maxLength:"100" doc:"Such as agent.publish; agent.* is all of agent"`
	Kind    string    `query:"kind" maxLength:"64" doc:"Of the thing: agent, call, user"`
	Object  string    `query:"object" maxLength:"256" doc:"The thing's id"`
	Outcome string    `query:"outcome" enum:"done,denied,failed"`
	IP      string    `query:"ip" maxLength:"64"`
	From    time.Time `query:"from" doc:"At this time or later"`
	To      time.Time `query:"to" doc:"Before this time"`
}

func (in *AuditFilterInput) filter() (AuditFilter, error) {
	if !in.From.IsZero() && !in.To.IsZero() && !in.From.Before(in.To) {
		return AuditFilter{}, fault.Field("query.to", "the end of the time range must be after its beginning")
	}
	return AuditFilter{Actor: in.Actor, Action: in.Action, Kind: in.Kind, ObjectID: in.Object, Outcome: in.Outcome, IP: in.IP, From: in.From, To: in.To}, nil
}

type auditListInput struct {
	AuditFilterInput
	Cursor string `query:"cursor" maxLength:"40"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (s *Service) entriesOp(ctx context.Context, in *auditListInput) (*body[listOf[AuditEntry]], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	return s.list(ctx, p.OrgID, in)
}

func (s *Service) platformOp(ctx context.Context, in *auditListInput) (*body[listOf[AuditEntry]], error) {
	p, err := who(ctx)
	if err == nil && !p.Super {
		err = fault.New(fault.Forbidden, "only a super-admin of the installation reads its log")
	}
	if err != nil {
		return nil, err
	}
	return s.list(ctx, identity.Platform, in)
}

func (s *Service) list(ctx context.Context, org string, in *auditListInput) (*body[listOf[AuditEntry]], error) {
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	return pageOf(s.Entries(ctx, org, f, in.Cursor, in.Limit))
}

func (s *Service) stateOp(ctx context.Context, _ *struct{}) (*body[AuditState], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.State(ctx, p.OrgID)
	return &body[AuditState]{v}, err
}

func (s *Service) platformStateOp(ctx context.Context, _ *struct{}) (*body[AuditState], error) {
	p, err := who(ctx)
	if err == nil && !p.Super {
		err = fault.New(fault.Forbidden, "only a super-admin of the installation reads its log")
	}
	if err != nil {
		return nil, err
	}
	v, err := s.State(ctx, identity.Platform)
	return &body[AuditState]{v}, err
}

// AuditKeys is a JWK set (RFC 7517 section 5).
type AuditKeys struct {
	Keys []JWK `json:"keys" nullable:"false"`
}

func (s *Service) keysOp(ctx context.Context, _ *struct{}) (*body[AuditKeys], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := s.Keys(ctx, p.OrgID)
	return &body[AuditKeys]{AuditKeys{keys}}, err
}

type auditExportInput struct {
	AuditFilterInput
	Format string `query:"format" enum:"ndjson,csv" default:"ndjson"`
}

func (s *Service) exportOp(ctx context.Context, in *auditExportInput) (*huma.StreamResponse, error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	// It is noted first: whoever takes the file away has left the trace.
	err = s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		return identity.Audit(ctx, tx, p.OrgID, identity.Change{Action: "audit.export", Kind: "audit", After: map[string]any{"format": in.Format, "filtered": !f.empty()}})
	})
	if err != nil {
		return nil, err
	}
	name := "audit-" + s.clock.Now().UTC().Format("20060102T150405Z")
	switch {
	case in.Format == "csv":
		return s.stream("text/csv; charset=utf-8", name+".csv", func(ctx context.Context, w io.Writer) error { return s.ExportTable(ctx, p.OrgID, f, w) }), nil
	case f.empty() && identity.ScopeOf(ctx).All():
		return s.stream("application/x-ndjson", name+".ndjson", func(ctx context.Context, w io.Writer) error { return s.Export(ctx, p.OrgID, w) }), nil
	}
	return s.stream("application/x-ndjson", name+"-part.ndjson", func(ctx context.Context, w io.Writer) error { return s.ExportPart(ctx, p.OrgID, f, w) }), nil
}

// stream answers with a file. An error after the first byte can only cut it short.
func (s *Service) stream(contentType, name string, write func(ctx context.Context, w io.Writer) error) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", contentType)
		hc.SetHeader("Cache-Control", "no-store")
		hc.SetHeader("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
		hc.SetStatus(http.StatusOK)
		if err := write(hc.Context(), hc.BodyWriter()); err != nil && hc.Context().Err() == nil {
			s.log.ErrorContext(hc.Context(), "a download was cut short", "file", name, "error", err)
		}
	}}
}
