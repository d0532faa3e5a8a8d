package sip

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// withTLS gives a server a certificate for names, by default those of this machine.
func withTLS(t *testing.T, names ...string) func(*Config) {
	t.Helper()
	if len(names) == 0 {
		names = []string{"localhost", "127.0.0.1"}
	}
	cert := authority(t).issue(t, names...)
	return func(c *Config) {
		c.TLSAddr, c.TLS, c.TLSRoots = "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: secureSuites, Certificates: []tls.Certificate{cert}}, authority(t).pool
	}
}

// strangers are everybody: calls need a password.
func strangers(c *Config) { c.Open = []netip.Prefix{} }

// A call by TLS: what we send names the transport, both ways go by the one connection, and the ladder says so.
func TestCallByTLS(t *testing.T) {
	b := serve(t, withTLS(t))
	d, l := established(t, b, "tls")
	e := newEndpoint()
	if err := l.Start(e); err != nil {
		t.Fatal(err)
	}
	ev := e.await(t, "signal", func(ev media.LegEvent) bool {
		return ev.Kind == media.LegSignal && ev.Signal.Sent && ev.Signal.Summary == "200 OK (INVITE)"
	})
	if !strings.HasPrefix(ev.Signal.Peer, "tls:127.0.0.1:") {
		t.Errorf("the ladder names %s", ev.Signal.Peer)
	}
	want := fmt.Sprintf("sip:agent@%s;transport=tls", b.TLSAddr())
	if !strings.Contains(ev.Signal.Raw, want) {
		t.Errorf("our Contact is not %s:\n%s", want, ev.Signal.Raw)
	}
	go func() { _ = l.Hangup(t.Context(), media.Cause{Code: "normal"}) }()
	bye := d.asked("BYE")
	if via := bye.Via(); via.Transport != "TLS" || via.Port != int(b.TLSAddr().Port()) {
		t.Errorf("Via of BYE: %s", via.Value())
	}
	d.respond(bye, 200, "")
	over(t, l)
}

// A sips address is reached by TLS alone, and the dialog stays in that scheme (RFC 5630).
func TestSIPS(t *testing.T) {
	b := serve(t, withTLS(t))
	plain := dialPeer(t, "udp", b.Addr())
	plain.send(plain.request("INVITE", "sips:agent@localhost", plainOffer))
	if res := plain.expect(480, "INVITE"); !strings.HasPrefix(header(res, "Warning"), "381 ") {
		t.Errorf("sips by UDP is answered\n%s", res)
	}
	p := dialPeer(t, "tls", b.TLSAddr())
	p.send(p.request("INVITE", "sips:agent@localhost", plainOffer))
	l := b.call(t)
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := p.expect(200, "INVITE").Contact(); c.Address.Scheme != "sips" {
		t.Errorf("our Contact is %s", c.Address.String())
	}
}

// Whom we call by TLS has to prove the name that was called (RFC 5922).
func TestNamesOfServersAreVerified(t *testing.T) {
	other, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	caller := serve(t, withTLS(t))
	for _, c := range []struct {
		name, host string
		cert       tls.Certificate
		ok         bool
	}{
		{"its DNS name", "localhost", authority(t).issue(t, "localhost"), true},
		{"its address", "127.0.0.1", authority(t).issue(t, "127.0.0.1"), true},
		{"its sip URI", "localhost", authority(t).issue(t, "sip:localhost"), true},
		{"another name", "localhost", authority(t).issue(t, "example.com"), false},
		{"another address", "127.0.0.1", authority(t).issue(t, "127.0.0.2", "localhost"), false},
		{"a DNS name beside another's sip URI", "localhost", authority(t).issue(t, "localhost", "sip:example.com"), false},
		{"a wildcard", "localhost", authority(t).issue(t, "*", "*.localhost"), false},
		{"a user's URI", "localhost", authority(t).issue(t, "sip:alice@localhost"), false},
		{"another authority", "localhost", other.issue(t, "localhost", "127.0.0.1"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			callee := serve(t, func(cfg *Config) {
				cfg.TLSAddr, cfg.TLS = "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{c.cert}}
			})
			l, err := caller.Dial(t.Context(), DialRequest{To: fmt.Sprintf("sips:agent@%s:%d", c.host, callee.TLSAddr().Port())})
			if !c.ok {
				if !fault.Is(err, fault.Upstream) {
					t.Fatalf("dialled with %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			in := callee.call(t)
			if err := in.Answer(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := l.Answer(t.Context()); err != nil {
				t.Fatal(err)
			}
			if suiteOf(in) == "" || suiteOf(l) == "" {
				t.Error("the call's media is not encrypted")
			}
			if err := l.Hangup(t.Context(), media.Cause{Code: "normal"}); err != nil {
				t.Fatal(err)
			}
			over(t, in)
		})
	}
}

// SRTP is offered first where the signalling is encrypted, and plain media to a phone that refuses it.
func TestSRTPIsPreferredByTLS(t *testing.T) {
	dir := newDirectory()
	b := serve(t, withTLS(t), withPhones(dir))
	p := dialPeer(t, "tls", b.TLSAddr())
	if res := registers(t, b, p, "alice", "wonderland", "SHA-256"); res.StatusCode != 200 {
		t.Fatal(res)
	}
	if c := b.Registrations()["alice"]; len(c) != 1 || c[0].Transport != "tls" {
		t.Fatalf("registered: %+v", c)
	}
	l, err := b.Dial(t.Context(), DialRequest{To: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	first := p.asked("INVITE")
	if !bytes.Contains(first.Body(), []byte(" RTP/SAVP ")) || !bytes.Contains(first.Body(), []byte("a=crypto:1 ")) {
		t.Errorf("the first offer:\n%s", first.Body())
	}
	p.respond(first, 488, "")
	p.asked("ACK")
	second := p.asked("INVITE")
	if !bytes.Contains(second.Body(), []byte(" RTP/AVP ")) || bytes.Contains(second.Body(), []byte("a=crypto")) {
		t.Errorf("the second offer:\n%s", second.Body())
	}
	p.respond(second, 488, "")
	if err := l.Answer(t.Context()); !fault.Is(err, fault.Upstream) {
		t.Errorf("a call that was refused twice gives %v", err)
	}
	p.asked("ACK")
	// Without its connection the phone is nowhere: there is no other that could be trusted.
	_ = p.conn.Close()
	eventually(t, "the registration ended with its connection", func() bool { return len(b.Registrations()) == 0 })
	if _, err := b.Dial(t.Context(), DialRequest{To: "alice"}); err == nil {
		t.Error("a phone without a connection was called")
	}
}

// A phone that is marked so takes part by TLS with SRTP only.
func TestEncryptedPhone(t *testing.T) {
	dir := newDirectory()
	dir.encrypted = map[string]bool{"alice": true}
	b := serve(t, withTLS(t), withPhones(dir), strangers)
	plain := dialPeer(t, "udp", b.Addr())
	if res := registers(t, b, plain, "alice", "wonderland", "SHA-256"); res.StatusCode != 480 || !strings.HasPrefix(header(res, "Warning"), "381 ") {
		t.Fatalf("by UDP it is answered\n%s", res)
	}
	p := dialPeer(t, "tls", b.TLSAddr())
	if res := registers(t, b, p, "alice", "wonderland", "SHA-256"); res.StatusCode != 200 {
		t.Fatal(res)
	}
	invite := func(offer string) *sipmsg.Response {
		uri := b.uri("agent")
		p.send(p.request("INVITE", uri, offer))
		chal := p.expect(401, "INVITE")
		p.send(p.ackOf(uri, chal))
		p.send(p.request("INVITE", uri, offer, sign(t, chal, "SHA-256", "INVITE", uri, "alice", "wonderland", 1)))
		return p.final("INVITE")
	}
	if res := invite(plainOffer); res.StatusCode != 488 {
		t.Errorf("plain media are answered %d", res.StatusCode)
	}
	const key = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw"
	secret := strings.Replace(plainOffer, "RTP/AVP", "RTP/SAVP", 1) + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + key + "\r\n"
	done := make(chan *sipmsg.Response, 1)
	go func() { done <- invite(secret) }()
	l := b.call(t)
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res := <-done; res.StatusCode != 200 {
		t.Errorf("SRTP is answered %d", res.StatusCode)
	}
	// Called, it is offered SRTP and nothing else.
	out, err := b.Dial(t.Context(), DialRequest{To: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	p.respond(p.asked("INVITE"), 488, "")
	if err := out.Answer(t.Context()); !fault.Is(err, fault.Upstream) {
		t.Errorf("after it refused SRTP: %v", err)
	}
}

// ackOf acknowledges a refusal.
func (p *peer) ackOf(uri string, res *sipmsg.Response) string {
	tag, _ := res.To().Params.Get("tag")
	branch, _ := res.Via().Params.Get("branch")
	return p.request("ACK", uri, "", "To: <"+uri+">;tag="+tag, fmt.Sprintf("CSeq: %d ACK", res.CSeq().SeqNo),
		fmt.Sprintf("Via: SIP/2.0/TLS %s;branch=%s;rport", p.local(), branch))
}

// A server that wants TLS refuses what is plain, in both directions.
func TestRequireTLS(t *testing.T) {
	dir := newDirectory()
	b := serve(t, withTLS(t), withPhones(dir), func(c *Config) { c.RequireTLS, c.Plain = true, []netip.Prefix{} })
	for _, network := range []string{"udp", "tcp"} {
		p := dialPeer(t, network, b.Addr())
		p.send(p.request("INVITE", b.uri("agent"), plainOffer))
		if res := p.final("INVITE"); res.StatusCode != 480 || !strings.HasPrefix(header(res, "Warning"), "381 ") {
			t.Errorf("a call by %s is answered\n%s", network, res)
		}
		p.send(p.request("REGISTER", b.uri("alice"), ""))
		if res := p.final("REGISTER"); res.StatusCode != 480 {
			t.Errorf("a registration by %s is answered %d", network, res.StatusCode)
		}
	}
	p := dialPeer(t, "tls", b.TLSAddr())
	p.send(p.request("INVITE", b.uri("agent"), plainOffer))
	if res := p.final("INVITE"); res.StatusCode != 488 {
		t.Errorf("plain media by TLS are answered %d", res.StatusCode)
	}
	for _, to := range []string{"sip:x@" + p.local(), "sip:x@" + p.local() + ";transport=tcp"} {
		if _, err := b.Dial(t.Context(), DialRequest{To: to}); !fault.Is(err, fault.Upstream) || !strings.Contains(err.Error(), "sip-require-tls") {
			t.Errorf("dialling %s: %v", to, err)
		}
	}
	// The machine itself needs none, unless said so.
	own := serve(t, withTLS(t), func(c *Config) { c.RequireTLS = true })
	d, l := established(t, own, "udp")
	d.hangUp(l)
}

// A peer whose certificate proves a name that is trusted calls without a password.
func TestTrustedCertificate(t *testing.T) {
	own := authority(t)
	b := serve(t, withTLS(t), strangers, withPhones(newDirectory()), func(c *Config) {
		c.TLS.ClientAuth, c.TLS.ClientCAs, c.TLSTrust = tls.VerifyClientCertIfGiven, own.pool, []string{"Carrier.example"}
	})
	other, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	dial := func(certs ...tls.Certificate) (*tls.Conn, error) {
		return tls.Dial("tcp", b.TLSAddr().String(), &tls.Config{RootCAs: own.pool, ServerName: "localhost", Certificates: certs})
	}
	for _, c := range []struct {
		name   string
		certs  []tls.Certificate
		status int
	}{
		{"none", nil, 401},
		{"the carrier's", []tls.Certificate{own.issue(t, "carrier.example")}, 200},
		{"another's", []tls.Certificate{own.issue(t, "mallory.example")}, 401},
		{"a wildcard", []tls.Certificate{own.issue(t, "*.example")}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := dial(c.certs...)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			p := &peer{t: t, conn: conn, server: b.TLSAddr(), network: "tls", tcp: true}
			p.send(p.request("INVITE", b.uri("agent"), plainOffer))
			if c.status == 200 {
				if err := b.call(t).Answer(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if res := p.final("INVITE"); res.StatusCode != c.status {
				t.Errorf("answered %d", res.StatusCode)
			}
		})
	}
	conn, err := dial(other.issue(t, "carrier.example")) // TLS 1.3 tells the client with its first read
	if err == nil {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	if err == nil {
		t.Error("a certificate of another authority was taken")
	}
}

// Handshakes that hang or are rubbish hold places of their own address only.
func TestSlowHandshakes(t *testing.T) {
	b := serve(t, withTLS(t), func(c *Config) { c.handshake = time.Hour }) // none of them ends by itself
	slowly := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	var slow []net.Conn
	for range maxHandshakesFrom {
		c, err := slowly.Dial("tcp", b.TLSAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		slow = append(slow, c)
	}
	under := func() int { l := b.transport.tls; l.mu.Lock(); defer l.mu.Unlock(); return l.under }
	eventually(t, "every handshake to begin", func() bool { return under() == len(slow) })
	more, err := slowly.Dial("tcp", b.TLSAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = more.Close() }()
	_ = more.SetReadDeadline(time.Now().Add(patience))
	if n, err := more.Read(make([]byte, 1)); err == nil || n > 0 {
		t.Errorf("one handshake too many: %d bytes, %v", n, err)
	}
	d, l := established(t, b, "tls") // from another address
	d.hangUp(l)
	for _, c := range slow {
		_, _ = c.Write([]byte("INVITE sip:agent@127.0.0.1 SIP/2.0\r\n\r\n")) // no TLS
	}
	eventually(t, "the broken handshakes to end", func() bool { return under() == 0 })
	if b.counts.get("overload:handshakes") != 1 || b.counts.get("handshake:failed") < len(slow) {
		t.Errorf("counted: %+v", b.counts.n)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-limit.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// openssl, which nobody here wrote, finds the versions and suites that are meant.
func TestTLSVersions(t *testing.T) {
	b := serve(t, withTLS(t))
	_, roots := authority(t).files(t, authority(t).issue(t, "localhost"))
	for _, c := range []struct {
		args []string
		ok   bool
	}{
		{[]string{"-tls1_3"}, true},
		{[]string{"-tls1_2"}, true},
		{[]string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"}, true},
		{[]string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"}, false},
		{[]string{"-tls1_2", "-cipher", "AES128-SHA"}, false},
		{[]string{"-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"}, false},
		{[]string{"-tls1", "-cipher", "DEFAULT:@SECLEVEL=0"}, false},
	} {
		args := append([]string{"s_client", "-connect", b.TLSAddr().String(), "-CAfile", roots, "-verify_return_error", "-verify_hostname", "localhost"}, c.args...)
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		cmd.Stdin = strings.NewReader("")
		out, err := cmd.CombinedOutput()
		if ok := err == nil && bytes.Contains(out, []byte("Verification: OK")); ok != c.ok {
			t.Errorf("%v: %v\n%s", c.args, err, out)
		}
	}
}

// baresip registers by TLS, is called over that connection, and calls; media is SRTP.
func TestBaresipByTLS(t *testing.T) {
	dir := newDirectory()
	b := serve(t, withTLS(t), withPhones(dir), func(c *Config) { c.Digest = []string{"MD5"} })
	ours, voice := newTape(t, 2000), newTape(t, 2000)
	voice.shuffle()
	_, roots := authority(t).files(t, authority(t).issue(t, "localhost"))
	phone := startBaresip(t, fmt.Sprintf("<sip:alice@%s;transport=tls>;auth_user=alice;auth_pass=wonderland;regint=600;answermode=auto;audio_codecs=PCMU;mediaenc=srtp-mand", b.TLSAddr()),
		voiceOf(voice), "sip_cafile "+roots)
	select {
	case <-dir.saved:
	case <-time.After(patience):
		t.Fatal("baresip did not register")
	}
	if got := b.Registrations()["alice"]; len(got) != 1 || got[0].Transport != "tls" {
		t.Fatalf("registered: %+v", got)
	}
	l, err := b.Dial(t.Context(), DialRequest{To: "alice", Codecs: []string{"pcmu"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(ours); err != nil {
		t.Fatal(err)
	}
	hearsVoice(t, ours, voice, 1600)
	if suiteOf(l) == "" {
		t.Error("the media of a call to it is not encrypted")
	}
	if err := l.Hangup(t.Context(), media.Cause{By: "agent", Code: "normal"}); err != nil {
		t.Error(err)
	}
	phone.await("CALL_CLOSED")

	phone.command("dial", fmt.Sprintf("sip:agent@%s;transport=tls", b.TLSAddr()))
	in := b.call(t)
	if err := in.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := newTape(t, 2000)
	if err := in.Start(again); err != nil {
		t.Fatal(err)
	}
	hearsVoice(t, again, voice, 800)
	if g := in.(*leg); suiteOf(in) == "" || !g.d.flow.secure() {
		t.Error("the call is not encrypted")
	}
	phone.command("hangup", "")
	over(t, in)
}
