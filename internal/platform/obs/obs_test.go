package obs_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/platform/obs"
)

func TestLoggerHidesSecrets(t *testing.T) {
	for _, format := range []string{"", "text", "json"} {
		var out bytes.Buffer
		log, err := obs.NewLogger(obs.LogConfig{Writer: &out, Format: format})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{
			"password", "Password", "api_key", "apiKey", "auth-token", "Authorization", "clientSecret", "cookie", "set-cookie", "bearer", "master_key",
		} {
			log.Info("x", key, "hush")
			log.WithGroup("g").Info("x", key, []byte("hush"))
		}
		log.Info("x", "url", "postgres://parley:hush@db/parley", "error", "dial nats://u:hush@h:1 and s3://k:hush@b failed")
		if strings.Contains(out.String(), "hush") {
			t.Errorf("format %q let a secret through:\n%s", format, out.String())
		}
		out.Reset()
		log.Info("x", "tokensIn", 12, "key", "call-1", "url", "http://h/a@b:c", "mail", "a:b@c")
		for _, want := range []string{"12", "call-1", "http://h/a@b:c", "a:b@c"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("format %q hid %q: %s", format, want, out.String())
			}
		}
	}
}

func TestLoggerSettings(t *testing.T) {
	var out bytes.Buffer
	log, err := obs.NewLogger(obs.LogConfig{Writer: &out, Level: "warn", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	log.Info("no")
	log.Warn("yes")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["msg"] != "yes" {
		t.Errorf("%v: %s", err, out.String())
	}
	for _, c := range []obs.LogConfig{{Writer: io.Discard, Level: "loud"}, {Writer: io.Discard, Format: "xml"}} {
		if _, err := obs.NewLogger(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

func TestRegistry(t *testing.T) {
	got, err := obs.NewRegistry("v1").Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range got {
		names[f.GetName()] = true
	}
	for _, want := range []string{"go_goroutines", "process_open_fds", "parley_build_info"} {
		if !names[want] {
			t.Errorf("no %s", want)
		}
	}
}

func TestTracer(t *testing.T) {
	got := make(chan string, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- r.URL.Path + " " + string(b)
		w.WriteHeader(http.StatusOK)
	}))
	defer srv.Close()
	p, stop, err := obs.NewTracer(t.Context(), obs.TraceConfig{Endpoint: srv.URL + "/v1/traces", Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	_, span := p.Tracer("test").Start(t.Context(), "a call")
	span.End()
	if err := stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if body := <-got; !strings.HasPrefix(body, "/v1/traces ") || !strings.Contains(body, "a call") {
		t.Errorf("collector got %q", body)
	}
	p, stop, err = obs.NewTracer(t.Context(), obs.TraceConfig{})
	if err != nil {
		t.Fatal(err)
	}
	_, span = p.Tracer("test").Start(t.Context(), "nothing")
	if span.IsRecording() {
		t.Error("recorded without a collector")
	}
	if err := stop(t.Context()); err != nil {
		t.Error(err)
	}
}
