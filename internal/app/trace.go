package app

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/platform/obs"
)

// W3C trace context (https://www.w3.org/TR/trace-context/) goes from a gateway to a media process, and from nobody else.
var traceContext = propagation.TraceContext{}

// startTracing sends spans of requests and calls to a collector, where the settings name one.
func (a *App) startTracing(ctx context.Context) error {
	p, stop, err := obs.NewTracer(ctx, obs.TraceConfig{Endpoint: a.cfg.OTLPEndpoint, Version: a.version, Role: a.cfg.Role})
	if err != nil {
		return settingProblem("otlp-endpoint", a.cfg.OTLPEndpoint, err)
	}
	a.tracer = p.Tracer("parley")
	a.onStop("traces", stop)
	return nil
}

// passTrace tells a media process which span a request belongs to, in place of what the caller may have said.
func passTrace(r *http.Request) {
	for _, name := range traceContext.Fields() {
		r.Header.Del(name)
	}
	traceContext.Inject(r.Context(), propagation.HeaderCarrier(r.Header))
}

// takeTrace goes on with the span of the gateway that sent a request.
func (a *App) takeTrace(ctx context.Context, r *http.Request) (context.Context, trace.Span) {
	return a.tracer.Start(traceContext.Extract(ctx, propagation.HeaderCarrier(r.Header)), "internal "+r.Method, trace.WithSpanKind(trace.SpanKindServer))
}

// span is that of one call.
func (c *calls) span(rec *conversation.Call) trace.Span {
	_, span := c.tracer.Start(context.Background(), "call", trace.WithNewRoot(), trace.WithAttributes(
		attribute.String("parley.call.id", rec.ID()), attribute.String("parley.organisation.id", rec.OrgID())))
	return span
}

func endCallSpan(span trace.Span, end conversation.Ending) {
	span.SetAttributes(attribute.String("parley.call.ended_by", end.By), attribute.String("parley.call.end_reason", end.Reason))
	span.End()
}
