package sip

import (
	"context"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	sipmsg "github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"github.com/parley-voice/parley/internal/media"
)

// directory is a store of phones in memory.
type directory struct {
	mu    sync.Mutex
	users map[string]string
	// encrypted are the users that only TLS will do for.
	encrypted map[string]bool
	contacts  map[string][]Contact
	saved     chan string // user names, as their contacts change
}

func newDirectory() *directory {
	return &directory{users: map[string]string{"alice": "wonderland", "bob": "builder"}, contacts: map[string][]Contact{}, saved: make(chan string, 64)}
}

func (d *directory) Secrets(_ context.Context, user string) (Account, bool, error) {
	p, ok := d.users[user]
	return Account{HA1: NewHA1(user, "parley", p), Encrypted: d.encrypted[user]}, ok, nil
}

func (d *directory) SaveContacts(_ context.Context, user, _ string, c []Contact) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.contacts[user] = c
	select {
	case d.saved <- user:
	default:
	}
	return nil
}

func (d *directory) Contacts(context.Context) (map[string][]Contact, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.contacts), nil
}

func (d *directory) of(user string) []Contact {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.contacts[user]
}

func withPhones(d *directory) func(*Config) { return func(c *Config) { c.Phones = d } }

// sign answers a challenge.
func sign(t *testing.T, res *sipmsg.Response, alg, method, uri, user, password string, nc int) string {
	t.Helper()
	for _, h := range res.GetHeaders("WWW-Authenticate") {
		chal, err := digest.ParseChallenge(h.Value())
		if err != nil {
			t.Fatal(err)
		}
		if chal.Algorithm != alg {
			continue
		}
		cred, err := digest.Digest(chal, digest.Options{Method: method, URI: uri, Username: user, Password: password, Count: nc})
		if err != nil {
			t.Fatal(err)
		}
		return "Authorization: " + cred.String()
	}
	t.Fatalf("no challenge for %s in\n%s", alg, res)
	return ""
}

// registers sends a REGISTER with credentials and gives its answer.
func registers(t *testing.T, b *bench, p *peer, user, password, alg string, head ...string) *sipmsg.Response {
	t.Helper()
	uri := "sip:" + b.Addr().String()
	who := []string{"From: <sip:" + user + "@parley>;tag=r", "To: <sip:" + user + "@parley>"}
	p.send(p.request("REGISTER", uri, "", append(who, head...)...))
	chal := p.expect(401, "REGISTER")
	p.send(p.request("REGISTER", uri, "", append(append(who, head...), sign(t, chal, alg, "REGISTER", uri, user, password, 1))...))
	return p.final("REGISTER")
}

// Where MD5 is not offered it is not taken either, however often a phone comes without an answer.
func TestRegisterBySHA256Only(t *testing.T) {
	dir := newDirectory()
	b := serve(t, withPhones(dir), func(c *Config) { c.Digest = []string{SHA256} })
	p := dialPeer(t, "udp", b.Addr())
	uri := "sip:" + b.Addr().String()
	who := []string{"From: <sip:alice@parley>;tag=r", "To: <sip:alice@parley>"}
	var chal *sipmsg.Response
	for range 3 {
		p.send(p.request("REGISTER", uri, "", who...))
		chal = p.expect(401, "REGISTER")
		if hs := chal.GetHeaders("WWW-Authenticate"); len(hs) != 1 || strings.Contains(hs[0].Value(), "MD5") {
			t.Fatalf("offered:\n%s", chal)
		}
	}
	asked, err := digest.ParseChallenge(chal.GetHeaders("WWW-Authenticate")[0].Value())
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []string{"MD5", ""} {
		asked.Algorithm = alg
		cred, err := digest.Digest(asked, digest.Options{Method: "REGISTER", URI: uri, Username: "alice", Password: "wonderland", Count: 1})
		if err != nil {
			t.Fatal(err)
		}
		p.send(p.request("REGISTER", uri, "", append(who, "Authorization: "+cred.String())...))
		p.expect(401, "REGISTER")
	}
	if len(dir.of("alice")) != 0 {
		t.Error("a phone registered by MD5")
	}
	if res := registers(t, b, p, "alice", "wonderland", SHA256, "Expires: 600"); res.StatusCode != 200 {
		t.Errorf("by SHA-256:\n%s", res)
	}
	if got := NewStrongHA1("alice", "parley", "wonderland"); got.MD5 != "" || got.SHA256 != NewHA1("alice", "parley", "wonderland").SHA256 {
		t.Errorf("what is stored: %+v", got)
	}
}

func TestRegister(t *testing.T) {
	for _, alg := range []string{"MD5", "SHA-256"} {
		t.Run(alg, func(t *testing.T) {
			dir := newDirectory()
			b := serve(t, withPhones(dir))
			p := dialPeer(t, "udp", b.Addr())
			res := registers(t, b, p, "alice", "wonderland", alg, "Expires: 600", "User-Agent: desk/1")
			if res.StatusCode != 200 || !strings.Contains(header(res, "Contact"), "expires=") {
				t.Fatalf("answer:\n%s", res)
			}
			got := b.Registrations()["alice"]
			if len(got) != 1 || got[0].UserAgent != "desk/1" || got[0].Source != p.local() {
				t.Errorf("registered: %+v", got)
			}
			if len(dir.of("alice")) != 1 {
				t.Errorf("stored: %+v", dir.of("alice"))
			}
			res = registers(t, b, p, "alice", "wonderland", alg, "Contact: *", "Expires: 0")
			if res.StatusCode != 200 || len(b.Registrations()) != 0 || len(dir.of("alice")) != 0 {
				t.Errorf("after *: %d, %v, %v", res.StatusCode, b.Registrations(), dir.of("alice"))
			}
		})
	}
}

func TestRegistersThatAreRefused(t *testing.T) {
	b := serve(t, withPhones(newDirectory()))
	for _, c := range []struct {
		name, user, password string
		head                 []string
		status               int
	}{
		{"wrong password", "alice", "x", nil, 401},
		{"nobody", "mallory", "x", nil, 401},
		{"somebody else's name", "alice", "wonderland", []string{"To: <sip:bob@parley>"}, 403},
		{"too short", "alice", "wonderland", []string{"Expires: 5"}, 423},
		{"Expires no number", "alice", "wonderland", []string{"Expires: soon"}, 400},
		{"* with a time", "alice", "wonderland", []string{"Contact: *", "Expires: 60"}, 400},
		{"a contact that is no sip URI", "alice", "wonderland", []string{"Contact: <mailto:a@b>"}, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := dialPeer(t, "udp", b.Addr())
			res := registers(t, b, p, c.user, c.password, "SHA-256", c.head...)
			if res.StatusCode != c.status {
				t.Errorf("answered %d: %s", res.StatusCode, header(res, "Warning"))
			}
			if c.status == 423 && header(res, "Min-Expires") != "60" {
				t.Error("Min-Expires is missing")
			}
		})
	}
}

func TestContactsOfAPhone(t *testing.T) {
	dir := newDirectory()
	b := serve(t, withPhones(dir))
	p := dialPeer(t, "udp", b.Addr())
	for i, contact := range []string{"<sip:a@192.0.2.1>", "<sip:a@192.0.2.2>;expires=1200", "<sip:a@192.0.2.1>;expires=0"} {
		if res := registers(t, b, p, "alice", "wonderland", "MD5", "Contact: "+contact); res.StatusCode != 200 {
			t.Fatalf("%d: %s", i, res)
		}
	}
	if got := b.Registrations()["alice"]; len(got) != 1 || got[0].URI != "sip:a@192.0.2.2" {
		t.Errorf("left: %+v", got)
	}
	b.Forget("alice")
	if len(b.Registrations()) != 0 {
		t.Error("a deleted phone is registered")
	}
}

func TestTooManyContacts(t *testing.T) {
	b := serve(t, withPhones(newDirectory()))
	p := dialPeer(t, "udp", b.Addr())
	last := 0
	for i := range contactsMax + 1 {
		last = registers(t, b, p, "alice", "wonderland", "MD5", "Contact: <sip:a@192.0.2."+string(rune('1'+i))+">").StatusCode
	}
	if last != 403 {
		t.Errorf("the last is answered %d", last)
	}
}

func TestRegistrationsRunOutAndSurviveARestart(t *testing.T) {
	dir := newDirectory()
	clock, with := mockClock(t)
	b := serve(t, withPhones(dir), with)
	p := dialPeer(t, "udp", b.Addr())
	registers(t, b, p, "alice", "wonderland", "MD5", "Expires: 100")
	again := serve(t, withPhones(dir), with)
	if len(again.Registrations()["alice"]) != 1 {
		t.Error("the registration is lost")
	}
	pass(t, clock, 101*time.Second)
	if len(again.Registrations()) != 0 || len(b.Registrations()) != 0 {
		t.Error("the registration outlives itself")
	}
}

func TestNonces(t *testing.T) {
	clock := quartz.NewMock(t)
	s := &Server{config: Config{Rand: zeros{}}}
	a := newAuthenticator(Config{Realm: "parley", Clock: clock, Phones: newDirectory()}, s.bytes)
	from := netip.MustParseAddr("192.0.2.1")
	n := a.nonce(from)
	if fresh, err := a.checkNonce(n, from); !fresh || err != nil {
		t.Errorf("a new nonce: %v %v", fresh, err)
	}
	if _, err := a.checkNonce(n, netip.MustParseAddr("192.0.2.2")); err == nil {
		t.Error("a nonce is good for another address")
	}
	if _, err := a.checkNonce("AAAA", from); err == nil {
		t.Error("a forged nonce is good")
	}
	if !a.first(n, 1) || a.first(n, 1) || !a.first(n, 2) {
		t.Error("nc is not counted")
	}
	clock.Advance(nonceLife)
	if fresh, err := a.checkNonce(n, from); fresh || err != nil {
		t.Errorf("an old nonce: %v %v", fresh, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestGuessingIsStopped(t *testing.T) {
	b := serve(t, withPhones(newDirectory()))
	p := dialPeer(t, "udp", b.Addr())
	for range failureLimit {
		if res := registers(t, b, p, "alice", "guess", "SHA-256"); res.StatusCode != 401 {
			t.Fatalf("answered %d", res.StatusCode)
		}
	}
	p.send(p.request("REGISTER", "sip:"+b.Addr().String(), "", "From: <sip:alice@parley>;tag=r", "To: <sip:alice@parley>"))
	p.expect(403, "REGISTER")
}

func TestGuessersAreForgottenInTime(t *testing.T) {
	clock := quartz.NewMock(t)
	s := &Server{config: Config{Rand: zeros{}}}
	a := newAuthenticator(Config{Clock: clock}, s.bytes)
	from := netip.MustParseAddr("2001:db8::1")
	for range failureLimit {
		a.failed(network(from))
	}
	if !a.blocked(network(netip.MustParseAddr("2001:db8::2"))) {
		t.Error("another address of the same network gets through")
	}
	clock.Advance(failureWindow + time.Second)
	if a.blocked(network(from)) {
		t.Error("it is blocked for ever")
	}
	for i := range 3 * failureMemory {
		a.failed(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if len(a.failures) > failureMemory {
		t.Errorf("%d addresses are remembered", len(a.failures))
	}
}

func TestStrangersNeedCredentialsToCall(t *testing.T) {
	b := serve(t, withPhones(newDirectory()), func(c *Config) { c.Open = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	p := dialPeer(t, "udp", b.Addr())
	uri := b.uri("agent")
	p.send(p.request("INVITE", uri, plainOffer))
	chal := p.expect(401, "INVITE")
	p.send(p.request("ACK", uri, "", "Via: "+chal.Via().Value(), "CSeq: 1 ACK"))
	p.send(p.request("INVITE", uri, plainOffer, sign(t, chal, "SHA-256", "INVITE", uri, "alice", "wonderland", 1)))
	l := b.call(t)
	if l.Info().From != "alice" || l.Info().Params["phone"] != "alice" {
		t.Errorf("info: %+v", l.Info())
	}
	_ = l.Hangup(t.Context(), media.Cause{Code: "busy"})
}

func TestWithoutPhonesStrangersAreRefused(t *testing.T) {
	b := serve(t, func(c *Config) { c.Open = []netip.Prefix{} })
	p := dialPeer(t, "udp", b.Addr())
	p.send(p.request("INVITE", b.uri("agent"), plainOffer))
	p.expect(403, "INVITE")
}

func TestARegisteredPhoneIsCalledByName(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			b := serve(t, withPhones(newDirectory()))
			p := dialPeer(t, network, b.Addr())
			if res := registers(t, b, p, "bob", "builder", "SHA-256", "Contact: <sip:bob@10.255.255.1:5060>"); res.StatusCode != 200 {
				t.Fatal(res)
			}
			l, err := b.Dial(t.Context(), DialRequest{To: "bob"})
			if err != nil {
				t.Fatal(err)
			}
			invite := p.asked("INVITE") // where its registration came from, not where its Contact points
			if invite.Recipient.Host != "10.255.255.1" {
				t.Errorf("INVITE %s", invite.Recipient.String())
			}
			p.respond(invite, 486, "")
			over(t, l)
		})
	}
}

func TestTwoPhonesOfOneUserRing(t *testing.T) {
	b := serve(t, withPhones(newDirectory()))
	desk, cell := dialPeer(t, "udp", b.Addr()), dialPeer(t, "udp", b.Addr())
	registers(t, b, desk, "bob", "builder", "MD5")
	registers(t, b, cell, "bob", "builder", "MD5")
	l, err := b.Dial(t.Context(), DialRequest{To: "sip:bob@parley"})
	if err != nil {
		t.Fatal(err)
	}
	atDesk, atCell := desk.asked("INVITE"), cell.asked("INVITE")
	desk.respond(atDesk, 180, "")
	cell.respond(atCell, 180, "")
	cell.respond(atCell, 200, plainAnswer)
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	cell.asked("ACK")
	desk.respond(desk.asked("CANCEL"), 200, "")
	desk.respond(atDesk, 487, "")
	go func() { _ = l.Hangup(context.Background(), media.Cause{Code: "normal"}) }()
	cell.respond(cell.asked("BYE"), 200, "")
	over(t, l)
}

// A phone that knows MD5 only does not answer. When it comes again it is offered MD5 alone, for as long as it takes that; for
// others nothing changes.
func TestPhoneThatKnowsMD5Only(t *testing.T) {
	b := serve(t, withPhones(newDirectory()))
	p := dialPeer(t, "udp", b.Addr())
	uri := "sip:" + b.Addr().String()
	ask := func(user, want string) *sipmsg.Response {
		t.Helper()
		p.send(p.request("REGISTER", uri, "", "From: <sip:"+user+"@parley>;tag=r", "To: <sip:"+user+"@parley>"))
		res := p.expect(401, "REGISTER")
		got := ""
		for _, h := range res.GetHeaders("WWW-Authenticate") {
			chal, err := digest.ParseChallenge(h.Value())
			if err != nil {
				t.Fatal(err)
			}
			got += chal.Algorithm + " "
		}
		if got != want+" " {
			t.Fatalf("%s is asked for %s, want %s", user, got, want)
		}
		return res
	}
	ask("alice", "SHA-256 MD5")
	res := ask("alice", "MD5")
	ask("eve", "SHA-256 MD5")
	p.send(p.request("REGISTER", uri, "", "From: <sip:alice@parley>;tag=r", "To: <sip:alice@parley>", sign(t, res, "MD5", "REGISTER", uri, "alice", "wonderland", 1)))
	if got := p.final("REGISTER"); got.StatusCode != 200 {
		t.Fatalf("answer:\n%s", got)
	}
	ask("alice", "MD5")
	if res := registers(t, b, p, "bob", "builder", "SHA-256"); res.StatusCode != 200 {
		t.Fatalf("answer:\n%s", res)
	}
	ask("bob", "SHA-256 MD5")
}
