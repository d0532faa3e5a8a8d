package conversation

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// downloads adds the operations that answer with files.
func (s *Service) downloads(api huma.API) {
	transcript := op("get-call-transcript", http.MethodGet, "/calls/{id}/transcript", permRead, "Get what was said, as a page of JSON, or all of it as text or WebVTT")
	transcript.Responses = responses(api, reflect.TypeFor[transcriptPage](), "text/plain", "text/vtt")
	huma.Register(api, sensitive(transcript, "call.transcript.read"), s.transcriptOp)
	events := op("list-call-events", http.MethodGet, "/calls/{id}/events", permRead, "Get the event log, as a page of JSON, or all of it as NDJSON")
	events.Responses = responses(api, reflect.TypeFor[eventPage](), "application/x-ndjson")
	huma.Register(api, sensitive(events, "call.events.read"), s.eventsOp)
	rec := op("get-call-recording", http.MethodGet, "/calls/{id}/recording", permRead, "Get the recording: WAV, 16 bits, stereo with the caller left; ranges are served")
	rec.Responses = responses(api, nil, "audio/wav")
	huma.Register(api, sensitive(rec, "call.recording.read"), s.recordingOp)
}

// responses describes a 200 that is a page of JSON or one of several other types.
func responses(api huma.API, page reflect.Type, types ...string) map[string]*huma.Response {
	content := map[string]*huma.MediaType{}
	if page != nil {
		content["application/json"] = &huma.MediaType{Schema: api.OpenAPI().Components.Schemas.Schema(page, true, page.Name())}
	}
	for _, t := range types {
		schema := &huma.Schema{Type: huma.TypeString}
		if t == "audio/wav" {
			schema.Format = "binary"
		}
		content[t] = &huma.MediaType{Schema: schema}
	}
	return map[string]*huma.Response{"200": {Description: "OK", Content: content}}
}

// stream answers with what write gives. An error after the first byte can only cut the answer short.
func (s *Service) stream(contentType, name string, write func(ctx context.Context, w io.Writer) error) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", contentType)
		hc.SetHeader("Cache-Control", "no-store")
		if name != "" {
			hc.SetHeader("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
		}
		hc.SetStatus(http.StatusOK)
		if err := write(hc.Context(), hc.BodyWriter()); err != nil && hc.Context().Err() == nil {
			s.log.ErrorContext(hc.Context(), "a download was cut short", "file", name, "error", err)
		}
	}}
}

func (s *Service) json(v any) *huma.StreamResponse {
	return s.stream("application/json", "", func(_ context.Context, w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	})
}

type transcriptInput struct {
	ID     string `path:"id" maxLength:"64"`
	Format string `query:"format" enum:"json,text,vtt" default:"json"`
	Cursor string `query:"cursor" maxLength:"40"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"200"`
}

type transcriptPage struct {
	Items []TranscriptItem `json:"items" nullable:"false"`
	Next  *string          `json:"next"`
}

func (s *Service) transcriptOp(ctx context.Context, in *transcriptInput) (*huma.StreamResponse, error) {
	org, err := orgOf(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.row(ctx, org, in.ID); err != nil {
		return nil, err
	}
	all := func(ctx context.Context, t transcriptWriter) error {
		if err := s.EachItem(ctx, org, in.ID, t.item); err != nil {
			return err
		}
		return t.close()
	}
	switch in.Format {
	case "text":
		return s.stream("text/plain; charset=utf-8", in.ID+".txt", func(ctx context.Context, w io.Writer) error {
			return all(ctx, &textWriter{bufio.NewWriter(w)})
		}), nil
	case "vtt":
		return s.stream("text/vtt; charset=utf-8", in.ID+".vtt", func(ctx context.Context, w io.Writer) error {
			v, err := newVTTWriter(w)
			if err != nil {
				return err
			}
			return all(ctx, v)
		}), nil
	}
	after, err := parseSeq(in.Cursor, 0)
	if err != nil {
		return nil, err
	}
	items, next, err := s.Transcript(ctx, org, in.ID, int(after), in.Limit)
	if err != nil {
		return nil, err
	}
	return s.json(transcriptPage{items, nextSeq(int64(next), 0)}), nil
}

type eventsInput struct {
	ID     string   `path:"id" maxLength:"64"`
	Format string   `query:"format" enum:"json,ndjson" default:"json"`
	Kind   []string `query:"kind,explode" maxItems:"32" doc:"Only entries of these kinds"`
	Cursor string   `query:"cursor" maxLength:"40"`
	Limit  int      `query:"limit" minimum:"1" maximum:"1000" default:"200"`
}

type eventPage struct {
	Items []CallEntry `json:"items" nullable:"false"`
	Next  *string     `json:"next"`
}

func (s *Service) eventsOp(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	org, err := orgOf(ctx)
	if err != nil {
		return nil, err
	}
	if in.Format == "ndjson" {
		if _, err := s.row(ctx, org, in.ID); err != nil {
			return nil, err
		}
		return s.stream("application/x-ndjson", in.ID+".ndjson", func(ctx context.Context, w io.Writer) error {
			b := bufio.NewWriter(w)
			err := s.StreamEvents(ctx, org, in.ID, func(line []byte) error {
				if _, err := b.Write(line); err != nil {
					return err
				}
				return b.WriteByte('\n')
			})
			if err != nil {
				return err
			}
			return b.Flush()
		}), nil
	}
	after, err := parseSeq(in.Cursor, 0)
	if err != nil {
		return nil, err
	}
	items, next, err := s.Events(ctx, org, in.ID, EventQuery{After: after, Kinds: kinds(in.Kind), Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	return s.json(eventPage{items, nextSeq(next, 0)}), nil
}

type recordingInput struct {
	ID   string `path:"id" maxLength:"64"`
	Lane string `query:"lane" enum:"caller,agent" doc:"One side only, mono"`
}

func (s *Service) recordingOp(ctx context.Context, in *recordingInput) (*huma.StreamResponse, error) {
	org, err := orgOf(ctx)
	if err != nil {
		return nil, err
	}
	rec, err := s.OpenRecording(ctx, org, in.ID, Lane(in.Lane))
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer rec.Close()
		w := &plainWriter{hc: hc, header: http.Header{}}
		h := w.Header()
		h.Set("Content-Type", "audio/wav")
		h.Set("Content-Disposition", fmt.Sprintf("inline; filename=%q", in.ID+".wav"))
		h.Set("Cache-Control", "no-store")
		// While the call goes on the file grows: each length is another version of it.
		h.Set("ETag", fmt.Sprintf(`"%s-%s-%d"`, in.ID, in.Lane, rec.Size))
		http.ServeContent(w, plainRequest(hc), "", time.Time{}, rec)
	}}, nil
}

// plainWriter lets net/http's ranges (RFC 9110 section 14) answer through huma.
type plainWriter struct {
	hc      huma.Context
	header  http.Header
	started bool
}

// Header implements http.ResponseWriter.
func (w *plainWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *plainWriter) WriteHeader(status int) {
	if w.started {
		return
	}
	w.started = true
	for name, values := range w.header {
		for _, v := range values {
			w.hc.SetHeader(name, v)
		}
	}
	w.hc.SetStatus(status)
}

// Write implements http.ResponseWriter.
func (w *plainWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.hc.BodyWriter().Write(p)
}

func plainRequest(hc huma.Context) *http.Request {
	r := &http.Request{Method: hc.Method(), Header: http.Header{}}
	hc.EachHeader(r.Header.Add)
	return r.WithContext(hc.Context())
}
