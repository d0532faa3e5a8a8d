package app_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// A whole server that keeps to level 2 starts and works: its keys are wrapped by Vault by TLS, people come by https with a second
// factor, a call comes by TLS with SRTP, and nothing else gets in.
func TestStrictServer(t *testing.T) {
	dir := t.TempDir()
	c := strictly(t, dir, "25900-25949")
	c.WebRTCAddr = "off"
	pool := x509.NewCertPool()
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(pair.Leaf)
	c.KMS = "vault://" + vaultByTLS(t, "a token of an hour", pair) + "/transit/parley"
	c.VaultTokenFile = secretFile(t, dir, "token", "a token of an hour")
	c.MetricsToken = "file:" + secretFile(t, dir, "metrics", "the token of the metrics")
	t.Setenv("SSL_CERT_FILE", c.TLSCert) // what the server's process takes for the system's authorities
	p := spawn(t, c)

	owner := strictOwner(t, p, pool)
	var status struct{ Items []struct{ ID string } }
	owner.want(http.StatusOK, "GET", "/api/v1/models", nil, &status)
	for _, m := range status.Items {
		if m.ID == "sim" {
			t.Error("the simulated vendors are offered")
		}
	}
	owner.want(http.StatusNotFound, "GET", "/api/v1/agents/sim", nil, nil)
	simulated := map[string]any{"name": "Sim", "slug": "rehearsal", "definition": map[string]any{"kind": "prompt", "language": "en-US", "prompt": "Be kind.", "greeting": "Hello.",
		"models": map[string]any{"stt": map[string]string{"vendor": "sim"}, "llm": map[string]string{"vendor": "sim"}, "tts": map[string]string{"vendor": "sim"}}}}
	if res, b := owner.ask("POST", "/api/v1/agents", simulated); res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(b), "no simulated vendors") {
		t.Errorf("an agent with simulated vendors: %d %s", res.StatusCode, b)
	}
	owner.visitor().want(http.StatusUnauthorized, "GET", "/metrics", nil, nil)
	if res, _ := owner.visitor().with("Authorization", "Bearer the token of the metrics").ask("GET", "/metrics", nil); res.StatusCode != http.StatusOK {
		t.Errorf("the metrics with the token of the file: %d", res.StatusCode)
	}

	var at []string
	eventually(t, "the address of SIP over TLS", func() bool {
		at = regexp.MustCompile(`sips:front-desk@([\d.:]+)`).FindStringSubmatch(p.screen.String())
		return at != nil
	})
	strictSIP(t, p.SIP, at[1], pool)
	callByTLS(t, at[1], pool)
	eventually(t, "the call in the list", func() bool {
		var calls struct{ Items []struct{ ID string } }
		owner.want(http.StatusOK, "GET", "/api/v1/calls", nil, &calls)
		return len(calls.Items) == 1
	})
}

// vaultByTLS is Vault's transit engine behind TLS.
func vaultByTLS(t *testing.T, token string, pair tls.Certificate) string {
	t.Helper()
	plain, _ := vaultBetween(t, token)
	proxy, way := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: plain}), &http.Transport{}
	proxy.Transport = way
	srv := httptest.NewUnstartedServer(proxy)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	t.Cleanup(func() { srv.Close(); way.CloseIdleConnections() })
	return strings.TrimPrefix(srv.URL, "https://")
}

// strictOwner makes the owner by https. Nothing is allowed before there is a second factor, and then it is asked for.
func strictOwner(t *testing.T, p *process, pool *x509.CertPool) *client {
	t.Helper()
	var m []string
	eventually(t, "the set-up link", func() bool {
		m = regexp.MustCompile(`https://\S+/setup#token=(\S+)`).FindStringSubmatch(p.screen.String())
		return m != nil
	})
	token, err := url.QueryUnescape(m[1])
	if err != nil {
		t.Fatal(err)
	}
	visitor := newClient(t, "https://"+strings.TrimPrefix(p.HTTP, "http://"))
	visitor.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12} //nolint:forcetypeassert // newClient made it
	res, b := visitor.ask("POST", "/api/v1/setup", map[string]string{"token": token, "email": email, "name": "Olga", "password": password, "organisationName": "Clinic"})
	first := visitor.signedIn(res, b)
	first.want(http.StatusForbidden, "GET", "/api/v1/calls", nil, nil)
	var key struct{ Secret, Challenge string }
	first.want(http.StatusOK, "POST", "/api/v1/me/mfa/totp", nil, &key)
	var codes struct{ RecoveryCodes []string }
	for tries := 0; ; tries++ { // a code counts in its own thirty seconds, which may just be over
		code, err := totp.GenerateCode(key.Secret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if res, b = first.ask("POST", "/api/v1/me/mfa/totp/confirm", map[string]string{"challenge": key.Challenge, "code": code}); res.StatusCode == http.StatusOK || tries == 3 {
			break
		}
	}
	if err := json.Unmarshal(b, &codes); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	first.signedIn(res, b)
	var asked struct{ Step, Challenge string }
	visitor.want(http.StatusOK, "POST", "/api/v1/auth/sign-in", map[string]string{"email": email, "password": password}, &asked)
	if asked.Step != "second_factor" || len(codes.RecoveryCodes) == 0 {
		t.Fatalf("the password alone: %+v, %d recovery codes", asked, len(codes.RecoveryCodes))
	}
	res, b = visitor.ask("POST", "/api/v1/auth/second-factor", map[string]string{"challenge": asked.Challenge, "method": "recovery_code", "code": codes.RecoveryCodes[0]})
	return visitor.signedIn(res, b)
}

// strictSIP demands that a phone is asked for SHA-256 only, and is sent away without TLS, on this machine too.
func strictSIP(t *testing.T, plain, secure string, pool *x509.CertPool) {
	t.Helper()
	ask := func(conn net.Conn, way string) (answer []string) {
		t.Helper()
		defer func() { _ = conn.Close() }()
		own := conn.LocalAddr().String()
		_, err := fmt.Fprintf(conn, "REGISTER sip:parley SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK-1\r\nMax-Forwards: 70\r\nFrom: <sip:desk@parley>;tag=1\r\nTo: <sip:desk@parley>\r\n"+
			"Contact: <sip:desk@%s>\r\nCall-ID: x@%s\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n", way, own, own, own)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		for lines := bufio.NewScanner(conn); lines.Scan() && lines.Text() != ""; {
			answer = append(answer, lines.Text())
		}
		return answer
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", secure, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(ask(conn, "TLS"), "\n")
	if !strings.HasPrefix(said, "SIP/2.0 401 ") || strings.Count(said, "WWW-Authenticate:") != 1 || !strings.Contains(said, "SHA-256") || strings.Contains(said, "MD5") {
		t.Errorf("by TLS a phone is asked: %s", said)
	}
	open, err := net.DialTimeout("tcp", plain, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(ask(open, "TCP"), "\n"); !strings.HasPrefix(said, "SIP/2.0 480 ") || !strings.Contains(said, "SIPS Required") {
		t.Errorf("without TLS: %s", said)
	}
}

// listener counts what is heard.
type listener struct{ frames atomic.Int64 }

func (l *listener) Tick(in, _ []int16) bool {
	for _, s := range in {
		if s > 300 || s < -300 {
			l.frames.Add(1)
			break
		}
	}
	return false
}
func (*listener) Played(int64)         {}
func (*listener) Event(media.LegEvent) {}

// callByTLS calls the front desk by TLS with SRTP, and hears it speak.
func callByTLS(t *testing.T, at string, pool *x509.CertPool) {
	t.Helper()
	pacer := media.NewPacer(media.PacerConfig{})
	defer pacer.Close()
	s, err := sip.New(sip.Config{Addr: "127.0.0.1:0", TLSRoots: pool, RequireTLS: true, Pacer: pacer, Accept: func(context.Context, media.Leg) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop(context.Background())
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	leg, err := s.Dial(ctx, sip.DialRequest{To: "sips:front-desk@" + at, SRTP: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := leg.Answer(ctx); err != nil {
		t.Fatalf("the call by TLS: %v", err)
	}
	heard := &listener{}
	if err := leg.Start(heard); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the agent's voice", func() bool { return heard.frames.Load() > 20 })
	if err := leg.Hangup(ctx, media.Cause{By: "caller", Code: "normal"}); err != nil {
		t.Error(err)
	}
	<-leg.Done()
}
