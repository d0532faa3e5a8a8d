package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/parley-voice/parley/internal/gateway"
)

// Nothing answers TRACE, which would give back headers that a page may not read, nor a method that nobody declared.
func TestOtherMethodsAreRefused(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	gateway.MountUI(mux, fstest.MapFS{"index.html": {Data: []byte("<title>start</title>")}}, true)
	gateway.MountDocs(mux)
	gateway.NewHealth("1").Mount(mux)
	things(gateway.NewAPI(mux, gateway.APIConfig{Version: "1", Auth: people()}))
	for _, method := range []string{http.MethodTrace, http.MethodConnect, "PROPFIND", "DEBUG"} {
		for _, path := range []string{"/", "/index.html", "/docs", "/health", "/api/v1/open", "/api/v1/write", "/api/openapi.json"} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(method, "http://parley.example"+path, nil)
			r.Header.Set("Cookie", "canary")
			mux.ServeHTTP(w, r)
			if w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
	}
}
