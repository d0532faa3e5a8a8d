package fleet_test

import (
	"net/http"
	"testing"

	"github.com/parley-voice/parley/internal/gateway/fleet"
)

// A thousand requests are spread over three instances, and each is answered.
func TestBalance(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 3 {
		r.join(fleet.Instance{ID: id(n), Capacity: 100}, nil)
	}
	srv, _ := r.proxy(fleet.ProxyConfig{})
	got := map[string]int{}
	for range 1000 {
		a := r.get(srv.URL + "/x")
		if a.status != http.StatusOK {
			t.Fatalf("answered %d %s", a.status, a.body)
		}
		got[a.body]++
	}
	for n := range 3 {
		if c := got[id(n)]; c < 300 || c > 370 {
			t.Errorf("%s got %d of 1000: %v", id(n), c, got)
		}
	}
}
