package egress

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"
)

func rules(t *testing.T, allow, deny string) Rules {
	t.Helper()
	r, err := Parse(allow, deny)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPublic(t *testing.T) {
	for ip, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "127.0.0.1": false, "::1": false, "10.1.2.3": false, "172.20.0.1": false, "192.168.1.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false, "255.255.255.255": false, "224.0.0.1": false, "198.18.0.1": false,
		"::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, "fe80::1": false, "fd00::1": false, "64:ff9b::a9fe:a9fe": false, "2002:a00:1::": false, "::": false,
	} {
		if got := Public(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
}

// What is reached of an address and a name, by the rules and by whether private networks may be.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		allow, deny string
		private     bool
		host, ip    string
		want        error
	}{
		{"", "", false, "api.example.com", "93.184.215.14", nil},
		{"", "", false, "api.example.com", "10.0.0.5", ErrPrivate}, // a name that leads inside
		{"", "", false, "localhost", "127.0.0.1", ErrPrivate},
		{"", "", true, "localhost", "127.0.0.1", nil},
		{"", "", true, "x", "::ffff:10.1.2.3", nil},
		// Clouds' metadata and what is no server: whatever else is said.
		{"169.254.0.0/16, *.internal, 169.254.169.254", "", true, "metadata.internal", "169.254.169.254", ErrNoServer},
		{"0.0.0.0/0", "", true, "x", "100.100.100.200", ErrNoServer},
		{"::/0", "", true, "x", "fd00:ec2::254", ErrNoServer},
		{"", "", true, "x", "fe80::1", ErrNoServer},
		{"", "", true, "x", "0.0.0.0", ErrNoServer},
		{"", "", true, "x", "224.0.0.1", ErrNoServer},
		// Private networks that are named.
		{"10.0.0.0/8", "", false, "ollama", "10.0.0.5", nil},
		{"10.0.0.0/8", "", false, "ollama", "192.168.0.5", ErrPrivate},
		{"127.0.0.1", "", false, "x", "127.0.0.1", nil},
		{"127.0.0.1", "", false, "x", "127.0.0.2", ErrPrivate},
		{"ollama.example.com", "", false, "Ollama.Example.com.", "10.0.0.5", nil},
		{"ollama.example.com", "", false, "x.ollama.example.com", "10.0.0.5", ErrPrivate},
		{"*.example.com", "", false, "a.b.example.com", "10.0.0.5", nil},
		{"*.example.com", "", false, "example.com", "10.0.0.5", ErrPrivate},
		{"*.example.com", "", false, "evilexample.com", "10.0.0.5", ErrPrivate},
		// What is denied is denied, also to whom private networks are open, and though it be allowed too.
		{"", "10.0.0.0/8", true, "x", "10.0.0.5", ErrDenied},
		{"10.0.0.5", "10.0.0.0/8", true, "x", "10.0.0.5", ErrDenied},
		{"", "*.example.net", true, "api.example.net", "93.184.215.14", ErrDenied},
		{"", "93.184.0.0/16", false, "x", "93.184.215.14", ErrDenied},
		// A list of what may be reached, and nothing else.
		{"api.openai.com", "*", true, "api.openai.com", "93.184.215.14", nil},
		{"api.openai.com", "*", true, "api.example.com", "93.184.215.14", ErrDenied},
		{"api.openai.com", "*", true, "localhost", "127.0.0.1", ErrDenied},
	} {
		d := rules(t, c.allow, c.deny).Dialer(c.private, time.Second)
		named, err := d.name(c.host)
		if err == nil {
			err = d.address(netip.MustParseAddr(c.ip), named)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("allow %q, deny %q, private %v: %s at %s: %v", c.allow, c.deny, c.private, c.host, c.ip, err)
		}
	}
	for _, bad := range []string{"10.0.0.0/99", "a b", "*", "http://x", "a.*.b", "*."} {
		if _, err := Parse(bad, ""); err == nil && bad != "*" {
			t.Errorf("%q is taken", bad)
		}
	}
}

// A name is judged where it leads when it is dialled, and a redirection like any other address.
func TestDialledAddressIsJudged(t *testing.T) {
	asked := 0
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	t.Cleanup(inside.Close)
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	get := func(d *Dialer, url string) error {
		tr := &http.Transport{DialContext: d.DialContext}
		defer tr.CloseIdleConnections()
		res, err := (&http.Client{Transport: tr, Timeout: time.Minute}).Get(url)
		if err == nil {
			_ = res.Body.Close()
		}
		return err
	}
	outside := rules(t, "", "").Dialer(false, time.Minute)
	for _, host := range []string{"localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "127.1"} {
		if err := get(outside, "http://"+host+":"+port); err == nil || asked != 0 {
			t.Errorf("%s was reached: %v", host, err)
		}
	}
	for _, d := range []*Dialer{rules(t, "", "").Dialer(true, time.Minute), rules(t, "localhost", "").Dialer(false, time.Minute), rules(t, "localhost", "*").Dialer(false, time.Minute)} {
		asked = 0
		if err := get(d, "http://localhost:"+port); err != nil || asked != 1 {
			t.Errorf("localhost was not reached: %v", err)
		}
	}
	u, err := url.Parse("https://192.168.1.1/")
	if err != nil {
		t.Fatal(err)
	}
	if err := outside.Check(u); !errors.Is(err, ErrPrivate) {
		t.Errorf("%v", err)
	}
}

// The environment's proxy is dialled though it is inside; what is asked of it is judged.
func TestProxy(t *testing.T) {
	d := rules(t, "", "denied.example").Dialer(false, time.Minute)
	var tr http.Transport
	d.Proxied(&tr)
	for _, c := range []struct {
		url string
		ok  bool
	}{{"http://api.example.com/", true}, {"http://denied.example/", false}, {"http://10.0.0.1/", false}, {"http://169.254.169.254/", false}} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Check(u); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.url, err)
		}
	}
	for raw, want := range map[string]string{"http://proxy.example:3128": "proxy.example:3128", "http://proxy.example": "proxy.example:80", "socks5://10.0.0.1": "10.0.0.1:1080"} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := proxyAddress(u); got != want {
			t.Errorf("%s: %s", raw, got)
		}
	}
}
