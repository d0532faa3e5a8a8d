package gateway

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// begin begins the span of a request. What the caller says of a trace is not heeded: it is anybody's word.
func (s *Server) begin(ctx context.Context, r *http.Request) (context.Context, trace.Span) {
	return s.cfg.Tracer.Start(ctx, r.Method, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer))
}

// endSpan names a span by the request's route, as the access log does: paths and queries may hold tokens. The names of
// attributes are those of https://opentelemetry.io/docs/specs/semconv/http/http-spans/.
func endSpan(span trace.Span, r *http.Request, status int, id string) {
	if span.IsRecording() {
		if r.Pattern != "" {
			span.SetName(r.Pattern)
		}
		span.SetAttributes(attribute.String("http.request.method", r.Method), attribute.String("http.route", r.Pattern),
			attribute.Int("http.response.status_code", status), attribute.String("parley.request_id", id))
	}
	span.End()
}
