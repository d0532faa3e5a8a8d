package app

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

// TestTraces follows a request from a gateway to a media process, and what of it a collector gets.
func TestTraces(t *testing.T) {
	var got strings.Builder
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got.WriteString(r.URL.Path + " ")
		got.Write(b)
	}))
	defer collector.Close()
	a := &App{cfg: Config{OTLPEndpoint: collector.URL, Role: roleMedia}, version: "v1"}
	if err := a.startTracing(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, outer := a.tracer.Start(t.Context(), "of the gateway")
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/calls/1/hangup", nil)
	r.Header.Set("Traceparent", "00-11111111111111111111111111111111-2222222222222222-01") // the caller's word
	passTrace(r)
	ctx, inner := a.takeTrace(t.Context(), r)
	if of := trace.SpanContextFromContext(ctx); of.TraceID() != outer.SpanContext().TraceID() {
		t.Errorf("a trace of its own: %s, not %s", of.TraceID(), outer.SpanContext().TraceID())
	}
	inner.End()
	outer.End()
	a.log = slog.New(slog.DiscardHandler)
	a.stop()
	text := got.String() // the exporter has stopped
	for _, want := range []string{"/v1/traces ", "of the gateway", "internal POST", roleMedia} {
		if !strings.Contains(text, want) {
			t.Errorf("the collector got no %q", want)
		}
	}
}

// TestNoTraces is the default.
func TestNoTraces(t *testing.T) {
	a := &App{}
	if err := a.startTracing(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, span := a.tracer.Start(t.Context(), "nothing"); span.IsRecording() {
		t.Error("recorded without a collector")
	}
}
