package fleet_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/parley-voice/parley/internal/gateway/fleet"
)

// BenchmarkProxy is a small request on loopback, straight to an instance and through a gateway. The difference is the proxy's
// own cost, with one more connection to write to and read from.
func BenchmarkProxy(b *testing.B) {
	r := realRig(b)
	var url string
	for n := range 3 {
		url = r.join(fleet.Instance{ID: id(n), Capacity: 100}, nil).srv.URL
	}
	srv, _ := r.proxy(fleet.ProxyConfig{})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	for _, c := range []struct{ name, url string }{{"straight", url}, {"through", srv.URL}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				resp, err := client.Get(c.url) //nolint:noctx // the benchmark's own
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}

// BenchmarkPick is the choice of an instance alone.
func BenchmarkPick(b *testing.B) {
	for _, n := range []int{3, 30} {
		b.Run(fmt.Sprintf("%d instances", n), func(b *testing.B) {
			r := realRig(b)
			for i := range n {
				r.known(fleet.Instance{ID: id(i), Role: "media", Capacity: 100})
			}
			b.ReportAllocs()
			for b.Loop() {
				l, err := r.fleet.Pick(fleet.Want{Role: "media"})
				if err != nil {
					b.Fatal(err)
				}
				l.Judge(fleet.Good)
				l.Done()
			}
		})
	}
}
