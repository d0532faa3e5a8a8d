// Package obs is how the running program is watched: logs (slog), metrics (Prometheus) and traces (OpenTelemetry).
// It sets nothing global: what it makes is handed to whoever needs it.
package obs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// redacted stands where a secret would be.
const redacted = "[redacted]"

// LogConfig says how to log.
type LogConfig struct {
	Writer io.Writer
	Level  string // debug, info, warn, error; "" is info
	Format string // text, json; "" is text
}

// NewLogger makes a logger that hides what looks like a secret by its name.
func NewLogger(c LogConfig) (*slog.Logger, error) {
	level := slog.LevelInfo
	if c.Level != "" {
		if err := level.UnmarshalText([]byte(c.Level)); err != nil {
			return nil, fault.Field("log-level", "%q is no level; use debug, info, warn or error", c.Level)
		}
	}
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: redact}
	switch c.Format {
	case "", "text":
		return slog.New(slog.NewTextHandler(c.Writer, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(c.Writer, opts)), nil
	}
	return nil, fault.Field("log-format", "%q is no format; use text or json", c.Format)
}

// redact hides attributes whose name says that they are secret, and passwords in URLs.
func redact(_ []string, a slog.Attr) slog.Attr {
	if isSecret(a.Key) {
		return slog.String(a.Key, redacted)
	}
	if a.Value.Kind() == slog.KindString {
		if s, changed := hideUserinfo(a.Value.String()); changed {
			return slog.String(a.Key, s)
		}
	}
	return a
}

// isSecret knows names, not words inside names: "tokensIn" counts a model's tokens.
func isSecret(key string) bool {
	k := strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == '.' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToLower(key))
	switch k {
	case "auth", "pass", "pwd", "pin", "bearer", "credentials": // and not "key": a row's, a file's, a fact's
		return true
	}
	for _, end := range []string{"password", "passwd", "secret", "token", "apikey", "authorization", "cookie", "privatekey", "masterkey"} {
		if strings.HasSuffix(k, end) {
			return true
		}
	}
	return false
}

// hideUserinfo hides the password of scheme://user:password@host, wherever it stands in s (RFC 3986, 3.2.1).
func hideUserinfo(s string) (string, bool) {
	var out strings.Builder
	changed := false
	for {
		_, after, ok := strings.Cut(s, "://")
		if !ok {
			break
		}
		head := s[:len(s)-len(after)]
		end := strings.IndexAny(after, "/?# \t\r\n\"'")
		if end < 0 {
			end = len(after)
		}
		authority := after[:end]
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			if user, _, has := strings.Cut(authority[:at], ":"); has {
				authority, changed = user+":"+redacted+authority[at:], true
			}
		}
		out.WriteString(head)
		out.WriteString(authority)
		s = after[end:]
	}
	out.WriteString(s)
	return out.String(), changed
}

// NewRegistry makes a metrics registry that already knows the Go runtime and the process.
func NewRegistry(version string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "parley_build_info", Help: "Always 1; the version is a label.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info)
	return r
}

// TraceConfig says where traces go.
type TraceConfig struct {
	Endpoint string  // URL of a collector, OTLP over HTTP; "" makes no traces
	Version  string  // of the program
	Role     string  // of the process
	Ratio    float64 // share of traces kept; 0 is all
}

const exportTimeout = 10 * time.Second

// NewTracer makes a tracer provider, and a function that sends what is left and stops it. A collector that cannot be
// reached costs traces and nothing else: spans wait in a bounded queue and are dropped when it is full.
func NewTracer(ctx context.Context, c TraceConfig) (trace.TracerProvider, func(context.Context) error, error) {
	if c.Endpoint == "" {
		return noop.NewTracerProvider(), func(context.Context) error { return nil }, nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, nil, fmt.Errorf("otlp endpoint: %w", err)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces" // https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
	}
	exp, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithTimeout(exportTimeout))
	if err != nil {
		return nil, nil, fmt.Errorf("otlp endpoint: %w", err)
	}
	sampler := sdktrace.AlwaysSample()
	if c.Ratio > 0 && c.Ratio < 1 {
		sampler = sdktrace.TraceIDRatioBased(c.Ratio)
	}
	// Names of https://opentelemetry.io/docs/specs/semconv/resource/#service
	res := resource.NewSchemaless(attribute.String("service.name", "parley"),
		attribute.String("service.version", c.Version), attribute.String("parley.role", c.Role))
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exp), sdktrace.WithResource(res),
		sdktrace.WithSampler(sdktrace.ParentBased(sampler)))
	return p, p.Shutdown, nil
}
