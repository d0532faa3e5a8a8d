package load

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// The load asks as often as it says, with each token in turn, and tells of failures.
func TestHTTP(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		who := r.Header.Get("Authorization")
		seen[who]++
		if who == "Bearer bad" {
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer s.Close()
	r, err := HTTP(t.Context(), HTTPConfig{URL: s.URL, Tokens: []string{"a", "bad"}, Rate: 1000, Duration: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r.Requests != 100 || r.Failed != 50 || len(r.Failures) != maxFailures || seen["Bearer a"] != 50 || seen["Bearer bad"] != 50 || r.P50 <= 0 || r.P99 < r.P50 || r.Max < r.P99 {
		t.Errorf("%+v, %v", r, seen)
	}
	for _, c := range []HTTPConfig{{URL: s.URL, Rate: 1}, {URL: s.URL, Duration: 1}, {Rate: 1, Duration: 1}} {
		if _, err := HTTP(t.Context(), c); err == nil {
			t.Errorf("%+v", c)
		}
	}
}
