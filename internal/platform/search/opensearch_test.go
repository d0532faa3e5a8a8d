package search_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/search"
)

const password = "p4ss-word"

func withUser(p *peer) string {
	p.user = "parley:" + password
	return strings.Replace(p.url(), "http://", "http://parley:"+password+"@", 1)
}

func fails(t *testing.T, what string, err error, code fault.Code, words ...string) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q does not say %q", what, err, w)
		}
	}
	if strings.Contains(err.Error(), password) {
		t.Errorf("%s: the password is in %q", what, err)
	}
}

func everything(t *testing.T, b search.Index) map[string]error {
	_, findErr := b.Find(t.Context(), "a", "x", 1)
	return map[string]error{
		"find": findErr, "put": b.Put(t.Context(), "a", []search.Doc{{ID: "1"}}), "delete": b.Delete(t.Context(), "a", []string{"1"}), "drop": b.Drop(t.Context(), "a"),
	}
}

// A server that asks for certificates knows this process by its own, and by nothing else; the server is known by who signed it.
func TestOpenSearchCertificates(t *testing.T) {
	p, dir := newPeer(t), t.TempDir()
	srv := httptest.NewUnstartedServer(p)
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of those without one
	srv.StartTLS()
	t.Cleanup(srv.Close)
	pair := srv.TLS.Certificates[0] // one that is at hand: it says nothing that the peer asks
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, keyFile := write("cert.pem", "CERTIFICATE", pair.Certificate[0]), write("key.pem", "PRIVATE KEY", key)
	b := open(t, search.Config{URL: srv.URL + "?cert=" + cert + "&key=" + keyFile + "&ca=" + cert})
	put(t, b, "org1", "hello")
	find(t, b, "org1", "hello")
	for name, query := range map[string]string{
		"no certificate": "?ca=" + cert, "an authority that signed nothing": "?cert=" + cert + "&key=" + keyFile,
		"a key that is away": "?cert=" + cert + "&key=" + dir + "/none&ca=" + cert, "an option that is none": "?user=x", "authorities that are none": "?ca=" + keyFile,
	} {
		if other, err := search.Open(t.Context(), search.Config{URL: srv.URL + query, Kind: "calls"}); err == nil {
			t.Errorf("%s: it is taken", name)
			_ = other.Close()
		}
	}
}

// Every request of an organisation names it in the routing, whatever the query says besides.
func TestOpenSearchRouting(t *testing.T) {
	p := newPeer(t)
	b := open(t, search.Config{URL: withUser(p)})
	put(t, b, "org1", "hello")
	find(t, b, "org1", "hello")
	if err := b.Drop(t.Context(), "org1"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"PUT /parley-calls-v1?", "POST /parley-calls/_bulk?refresh=wait_for&require_alias=true&routing=org1", "POST /parley-calls/_search?routing=org1",
		"POST /parley-calls/_refresh?", "POST /parley-calls/_delete_by_query?conflicts=proceed&refresh=true&routing=org1",
	}
	if got := p.requests(); !slices.Equal(got, want) {
		t.Errorf("requests\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Two processes share an index, and one that is deleted is made again by the next Put.
func TestOpenSearchIndexIsShared(t *testing.T) {
	p := newPeer(t)
	one, two := open(t, search.Config{URL: p.url()}), open(t, search.Config{URL: p.url()})
	put(t, one, "a", "hello")
	if got := find(t, two, "a", "hello"); len(got) != 1 {
		t.Errorf("found %v", got)
	}
	p.deleteIndex()
	if got := find(t, two, "a", "hello"); got != nil {
		t.Errorf("found %v", got)
	}
	if err := two.Drop(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	put(t, two, "a", "hello")
	if got := find(t, one, "a", "hello"); len(got) != 1 {
		t.Errorf("found %v", got)
	}
}

func TestOpenSearchMistakesAreSaid(t *testing.T) {
	for _, u := range []string{"127.0.0.1:9200", "ftp://x", "http://", "https://u:" + password + "@%zz"} {
		_, err := search.Open(t.Context(), search.Config{URL: u, Kind: "calls"})
		fails(t, u, err, fault.Invalid, "https://")
	}
	p := newPeer(t)
	withUser(p)
	_, err := search.Open(t.Context(), search.Config{URL: strings.Replace(p.url(), "http://", "http://parley:wrong@", 1), Kind: "calls"})
	fails(t, "wrong password", err, fault.Unavailable, "refused our credentials")
}

func TestOpenSearchFails(t *testing.T) {
	p := newPeer(t)
	b := open(t, search.Config{URL: withUser(p)})
	p.mu.Lock()
	p.fail = http.StatusServiceUnavailable
	p.mu.Unlock()
	for what, err := range everything(t, b) {
		fails(t, what, err, fault.Unavailable, "503")
	}
	p.srv.Close()
	for what, err := range everything(t, b) {
		fails(t, what, err, fault.Unavailable, "cannot be reached")
	}
}

// A server that takes connections and says nothing is given up after the time-out.
func TestOpenSearchHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_, err = search.Open(t.Context(), search.Config{URL: "http://u:" + password + "@" + l.Addr().String(), Kind: "calls", Timeout: 200 * time.Millisecond})
	fails(t, "open", err, fault.Timeout)
}
