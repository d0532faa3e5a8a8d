package gateway_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
)

// BenchmarkRequest is what the gateway itself costs: a request that does nothing, through ever more of it, without a
// network. Who asks is looked up in a map, so that identity's own cost is not in it.
func BenchmarkRequest(b *testing.B) {
	d := dbtest.SQLite(b, gateway.Migrations())
	log, clock := slog.New(slog.DiscardHandler), quartz.NewReal()
	limit := gateway.Limit{Requests: 1_000_000_000, Window: time.Minute}
	limits := gateway.NewLimits(gateway.LimitsConfig{Address: limit, Read: limit, Write: limit, Organisation: limit, Clock: clock, Log: log})
	cors := gateway.NewCORS(gateway.CORSConfig{DB: d, Clock: clock})
	keys := gateway.NewKeys(gateway.KeysConfig{DB: d, Sealer: envelopetest.New(7), Clock: clock, Log: log})
	build := func(l *gateway.Limits, c *gateway.CORS, k *gateway.Keys) http.Handler {
		mux := http.NewServeMux()
		things(gateway.NewAPI(mux, gateway.APIConfig{Version: "1", Auth: people(), Limits: l, CORS: c, Keys: k, Log: log}))
		return gateway.New(gateway.Config{Handler: mux, Limits: l, CORS: c, Clock: clock, Log: log}).Handler()
	}
	bare, whole := build(nil, nil, nil), build(limits, cors, keys)
	run := func(name string, h http.Handler, method, path, body string, header http.Header, more func(i int, h http.Header)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := httptest.NewRequest(method, path, strings.NewReader(body))
				r.Header = header.Clone()
				if more != nil {
					more(i, r.Header)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
	const lamp = `{"name":"lamp"}`
	run("GET public", bare, "GET", "/api/v1/open", "", http.Header{}, nil)
	run("GET with auth", bare, "GET", "/api/v1/read", "", bearer("owner-a"), nil)
	run("GET with auth, limits, CORS", whole, "GET", "/api/v1/read", "", bearer("owner-a"), nil)
	run("POST with auth", bare, "POST", "/api/v1/write", lamp, bearer("owner-a"), nil)
	run("POST with auth, limits, CORS", whole, "POST", "/api/v1/write", lamp, bearer("owner-a"), nil)
	start := strconv.FormatInt(time.Now().UnixNano(), 36)
	run("POST with auth, limits, CORS, idempotency key", whole, "POST", "/api/v1/write", lamp, bearer("owner-a"), func(i int, h http.Header) {
		h.Set("Idempotency-Key", start+"-"+strconv.Itoa(i))
	})
}
