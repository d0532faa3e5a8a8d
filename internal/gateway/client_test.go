package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, trusted, header, peer string
		sent                        http.Header
		want                        string
	}{
		{"direct", "", "", "203.0.113.9:40000", nil, "203.0.113.9"},
		{"a stranger's header", "10.0.0.0/8", "", "203.0.113.9:40000", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "203.0.113.9"},
		{"nobody is trusted", "", "", "127.0.0.1:40000", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "127.0.0.1"},
		{"one proxy", "10.0.0.0/8", "", "10.0.0.1:40000", http.Header{"X-Forwarded-For": {"203.0.113.9"}}, "203.0.113.9"},
		{"a proxy named without a mask", "10.0.0.1", "", "10.0.0.1:40000", http.Header{"X-Forwarded-For": {"203.0.113.9"}}, "203.0.113.9"},
		{"forged before the proxy", "10.0.0.0/8", "", "10.0.0.1:40000", http.Header{"X-Forwarded-For": {"1.2.3.4, 203.0.113.9"}}, "203.0.113.9"},
		{"forged in a line of its own", "10.0.0.0/8", "", "10.0.0.1:40000", http.Header{"X-Forwarded-For": {"1.2.3.4", "203.0.113.9"}}, "203.0.113.9"},
		{"two proxies", "10.0.0.0/8,192.0.2.0/24", "", "10.0.0.1:40000", http.Header{"X-Forwarded-For": {"203.0.113.9, 192.0.2.7"}}, "203.0.113.9"},
		{"all of them trusted", "10.0.0.0/8", "", "10.0.0.1:40000", http.Header{"X-Forwarded-For": {"10.1.1.1"}}, "10.1.1.1"},
		{"rubbish", "10.0.0.0/8", "", "10.0.0.1:40000", http.Header{"X-Forwarded-For": {"<script>"}}, "10.0.0.1"},
		{"no header", "10.0.0.0/8", "", "10.0.0.1:40000", nil, "10.0.0.1"},
		{"the other header", "10.0.0.0/8", "", "10.0.0.1:40000", http.Header{"Forwarded": {"for=1.2.3.4"}}, "10.0.0.1"},
		{"forwarded", "10.0.0.0/8", "Forwarded", "10.0.0.1:40000", http.Header{"Forwarded": {`for=1.2.3.4, for="203.0.113.9:55";proto=https`}}, "203.0.113.9"},
		{"forwarded, IPv6", "10.0.0.0/8", "forwarded", "10.0.0.1:40000", http.Header{"Forwarded": {`by=10.0.0.1; For="[2001:db8::1]:47"`}}, "2001:db8::1"},
		{"forwarded, hidden", "10.0.0.0/8", "forwarded", "10.0.0.1:40000", http.Header{"Forwarded": {`for=_secret`}}, "10.0.0.1"},
		{"forwarded, and the other header", "10.0.0.0/8", "forwarded", "10.0.0.1:40000", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "10.0.0.1"},
		{"IPv6", "", "", "[2001:db8::5]:40000", nil, "2001:db8::5"},
		{"IPv4 on a socket for IPv6", "10.0.0.0/8", "", "[::ffff:10.0.0.1]:40000", http.Header{"X-Forwarded-For": {"203.0.113.9:1234"}}, "203.0.113.9"},
	} {
		p, err := ParseProxies(c.trusted, c.header)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Header = c.peer, c.sent
		if r.Header == nil {
			r.Header = http.Header{}
		}
		if got := p.client(r).String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	for _, bad := range [][2]string{{"10.0.0.0/99", ""}, {"everybody", ""}, {"10.0.0.0/8", "x-real-ip"}} {
		if _, err := ParseProxies(bad[0], bad[1]); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

func TestOnThisMachine(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.RemoteAddr = "127.0.0.1:5000"
	if !OnThisMachine(r) {
		t.Error("loopback is this machine")
	}
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	if OnThisMachine(r) {
		t.Error("a proxy on this machine asks for somebody else")
	}
	r.Header.Del("X-Forwarded-For")
	r.RemoteAddr = "203.0.113.9:5000"
	if OnThisMachine(r) {
		t.Error("203.0.113.9 is not this machine")
	}
}
