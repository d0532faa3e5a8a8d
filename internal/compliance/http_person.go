package compliance

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Service) personRoutes(api huma.API) {
	// It is a POST so that the person stands in no URL, and so in no log.
	huma.Register(api, download(op("export-person", http.MethodPost, "/persons/export", "person:export",
		"Everything there is of one person, by number or address, as a zip archive"), "application/zip"), s.postPersonExport)
	huma.Register(api, created(op("erase-person", http.MethodPost, "/persons/erasures", "person:erase",
		"Erase everything there is of one person but what is under legal hold; the certificate is there once the state is done"), http.StatusAccepted), s.postErasure)
	huma.Register(api, op("list-erasures", http.MethodGet, "/persons/erasures", "person:erase", "Erasures, newest first"), s.listErasures)
	huma.Register(api, op("get-erasure", http.MethodGet, "/persons/erasures/{id}", "person:erase", "An erasure and its signed certificate"), s.getErasure)
	huma.Register(api, op("list-consents", http.MethodGet, "/consents", "consent:read", "Consent records, newest first"), s.listConsents)
	huma.Register(api, created(op("create-consent", http.MethodPost, "/consents", "consent:create", "Record a consent"), http.StatusCreated), s.postConsent)
	huma.Register(api, op("revoke-consent", http.MethodPost, "/consents/{id}/revoke", "consent:update", "End a consent"), s.postRevoke)
}

type personExportInput struct {
	Body struct {
		Subject string `json:"subject" minLength:"1" maxLength:"254" doc:"Number with its country code, or address" example:"+49 30 123456"`
		Reason  string `json:"reason,omitempty" maxLength:"1000"`
	}
}

func (s *Service) postPersonExport(ctx context.Context, in *personExportInput) (*huma.StreamResponse, error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := newSubject("body.subject", in.Body.Subject); err != nil {
		return nil, err
	}
	if err := s.noteExport(ctx, p.OrgID, clean(in.Body.Reason, maxText)); err != nil {
		return nil, err
	}
	return s.stream("application/zip", "person-"+s.clock.Now().UTC().Format("20060102T150405Z")+".zip", func(ctx context.Context, w io.Writer) error {
		return s.ExportPerson(ctx, p.OrgID, in.Body.Subject, w)
	}), nil
}

type erasureInput struct {
	Body struct {
		Subject string `json:"subject" minLength:"1" maxLength:"254" doc:"Number with its country code, or address" example:"+49 30 123456"`
		Reason  string `json:"reason" minLength:"1" maxLength:"1000"`
	}
}

func (s *Service) postErasure(ctx context.Context, in *erasureInput) (*body[Erasure], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.Erase(ctx, p.OrgID, in.Body.Subject, in.Body.Reason)
	return &body[Erasure]{v}, err
}

type erasuresInput struct {
	Cursor string `query:"cursor" maxLength:"64"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (s *Service) listErasures(ctx context.Context, in *erasuresInput) (*body[listOf[Erasure]], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	return pageOf(s.Erasures(ctx, p.OrgID, in.Cursor, in.Limit))
}

type erasureIDInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *Service) getErasure(ctx context.Context, in *erasureIDInput) (*body[Erasure], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	row, err := s.erasure(ctx, p.OrgID, in.ID)
	if err != nil {
		return nil, err
	}
	return &body[Erasure]{row.view()}, nil
}

type consentsInput struct {
	Subject string `query:"subject" maxLength:"254" doc:"Number with its country code, or address"`
	Scope   string `query:"scope" maxLength:"100"`
	Cursor  string `query:"cursor" maxLength:"64"`
	Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (s *Service) listConsents(ctx context.Context, in *consentsInput) (*body[listOf[Consent]], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	return pageOf(s.Consents(ctx, p.OrgID, in.Subject, in.Scope, in.Cursor, in.Limit))
}

type consentInput struct {
	Body struct {
		Subject   string     `json:"subject" minLength:"1" maxLength:"254" doc:"Number with its country code, or address" example:"+49 30 123456"`
		Scope     string     `json:"scope" minLength:"1" maxLength:"100" example:"recording"`
		Source    string     `json:"source" minLength:"1" maxLength:"100" example:"call"`
		Proof     string     `json:"proof,omitempty" maxLength:"4000" doc:"What shows it: a call's id, a document's name, the words"`
		Channels  []string   `json:"channels,omitempty" maxItems:"2" enum:"call,ai_call" doc:"Who may call: a person, an AI's voice. Left out: it allows no calls of campaigns"`
		Purposes  []string   `json:"purposes,omitempty" maxItems:"3" enum:"sales,service,survey" doc:"What calls are for; left out: anything"`
		GivenAt   *time.Time `json:"givenAt,omitempty" doc:"Now, when left out"`
		ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	}
}

func (s *Service) postConsent(ctx context.Context, in *consentInput) (*body[Consent], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	n := NewConsent{Subject: in.Body.Subject, Scope: in.Body.Scope, Source: in.Body.Source, Proof: in.Body.Proof, Channels: in.Body.Channels, Purposes: in.Body.Purposes, GivenAt: s.clock.Now(), ExpiresAt: in.Body.ExpiresAt}
	if in.Body.GivenAt != nil {
		n.GivenAt = *in.Body.GivenAt
	}
	v, err := s.AddConsent(ctx, p.OrgID, n)
	return &body[Consent]{v}, err
}

type consentIDInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *Service) postRevoke(ctx context.Context, in *consentIDInput) (*body[Consent], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.RevokeConsent(ctx, p.OrgID, in.ID)
	return &body[Consent]{v}, err
}
