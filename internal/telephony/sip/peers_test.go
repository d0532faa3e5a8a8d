package sip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// site joins servers of a test, as the bus joins processes.
type site struct {
	mu      sync.Mutex
	servers map[string]*bench // by mark
	away    error             // what who asks is told instead
}

// ofSite is one server's view of it.
type ofSite struct {
	*site
	self string
}

func (o ofSite) Where(_ context.Context, user string) (out []Elsewhere, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for mark, b := range o.servers {
		if mark != o.self {
			out = append(out, b.Here(user)...)
		}
	}
	text, err := json.Marshal(out) // as it goes through the bus
	if err != nil {
		return nil, err
	}
	return out, errors.Join(o.away, json.Unmarshal(text, &out))
}

func (o ofSite) Send(mark string, message []byte) error {
	o.mu.Lock()
	b := o.servers[mark]
	o.mu.Unlock()
	if b != nil {
		b.Passed(message)
	}
	return nil
}

// join starts a server of the site.
func (s *site) join(t *testing.T, node string, change ...func(*Config)) *bench {
	t.Helper()
	b := serve(t, append(change, func(c *Config) { c.Node, c.Peers = node, ofSite{s, Mark(node)} })...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.servers == nil {
		s.servers = map[string]*bench{}
	}
	s.servers[Mark(node)] = b
	return b
}

// A phone that is registered with one server is called by another, and everything of the call works in both directions: by
// UDP, and by TLS, where nobody but the first server can reach it.
func TestBaresipOfAnotherServer(t *testing.T) {
	for _, network := range []string{"udp", "tls"} {
		t.Run(network, func(t *testing.T) {
			dir, s := newDirectory(), &site{}
			md5 := func(c *Config) { c.Digest = []string{"MD5"} }
			one, two := s.join(t, "one", withPhones(dir), withTLS(t), md5), s.join(t, "two", withPhones(dir), withTLS(t), md5)
			ours, voice := newTape(t, 2000), newTape(t, 2000)
			voice.shuffle()
			_, roots := authority(t).files(t, authority(t).issue(t, "localhost"))
			account := fmt.Sprintf("<sip:alice@%s>;auth_user=alice;auth_pass=wonderland;regint=600;answermode=auto;audio_codecs=PCMU", one.Addr())
			if network == "tls" {
				account = fmt.Sprintf("<sip:alice@%s;transport=tls>;auth_user=alice;auth_pass=wonderland;regint=600;answermode=auto;audio_codecs=PCMU;mediaenc=srtp-mand", one.TLSAddr())
			}
			phone := startBaresip(t, account, voiceOf(voice), "sip_cafile "+roots)
			select {
			case <-dir.saved:
			case <-time.After(patience):
				t.Fatal("baresip did not register")
			}
			if name, ok := two.Phone(t.Context(), "alice"); name != "alice" || !ok {
				t.Fatalf("the other server knows of %q, %v", name, ok)
			}
			call := func(tape *tape) media.Leg {
				t.Helper()
				l, err := two.Dial(t.Context(), DialRequest{To: "alice", Codecs: []string{"pcmu"}})
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(l.Answer(t.Context()), l.Start(tape)); err != nil {
					t.Fatal(err)
				}
				return l
			}
			l := call(ours)
			hearsVoice(t, ours, voice, 1600)
			if secure := suiteOf(l) != ""; secure != (network == "tls") {
				t.Errorf("SRTP: %v", secure)
			}
			if err := errors.Join(l.Hold(t.Context(), true), l.Hold(t.Context(), false)); err != nil {
				t.Error(err)
			}
			phone.command("hold", "") // its own re-INVITE reaches the server that has the call
			ours.awaitEvent(t, media.LegHold, 0)
			phone.command("resume", "")
			ours.awaitEvent(t, media.LegResume, 0)
			hearsVoice(t, ours.cut(), voice, 800)
			phone.command("hangup", "")
			if c := over(t, l); c.By != "caller" || c.Code != "normal" {
				t.Errorf("cause: %+v", c)
			}
			phone.await("CALL_CLOSED")
			again := newTape(t, 2000)
			l = call(again)
			hearsVoice(t, again, voice, 800)
			if err := l.Hangup(t.Context(), media.Cause{By: "agent", Code: "normal"}); err != nil {
				t.Error(err)
			}
			phone.await("CALL_CLOSED")
			if n := one.Calls() + len(one.legs); n != 0 {
				t.Errorf("the server that has the phone has %d calls too", n)
			}
		})
	}
}

// A user's phones at two servers ring both, and the one that is not answered stops.
func TestPhonesAtTwoServersRing(t *testing.T) {
	dir, s := newDirectory(), &site{}
	one, two := s.join(t, "one", withPhones(dir)), s.join(t, "two", withPhones(dir))
	near, far := dialPeer(t, "udp", two.Addr()), dialPeer(t, "tcp", one.Addr())
	registers(t, two, near, "bob", "builder", "MD5")
	registers(t, one, far, "bob", "builder", "MD5")
	l, err := two.Dial(t.Context(), DialRequest{To: "bob", From: "anna"})
	if err != nil {
		t.Fatal(err)
	}
	atNear, atFar := near.asked("INVITE"), far.asked("INVITE")
	if via := atFar.Via(); via.Transport != "TCP" || via.Port != int(one.Addr().Port()) {
		t.Errorf("the far phone answers to %s", via.Value())
	}
	if c := atFar.Contact().Address; c.Port != int(one.Addr().Port()) || c.User != "parley-"+Mark("two") {
		t.Errorf("the far phone's requests go to %s", c.String())
	}
	far.respond(atFar, 180, "")
	near.respond(atNear, 180, "")
	near.respond(atNear, 200, plainAnswer)
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	near.asked("ACK")
	far.respond(far.asked("CANCEL"), 200, "")
	far.respond(atFar, 487, "")
	far.asked("ACK")
	go func() { _ = l.Hangup(context.Background(), media.Cause{Code: "normal"}) }()
	near.respond(near.asked("BYE"), 200, "")
	over(t, l)
}

// A phone that moved to another server is rung there only, until the first one forgets it.
func TestPhoneThatMoved(t *testing.T) {
	dir, s := newDirectory(), &site{}
	one, two := s.join(t, "one", withPhones(dir)), s.join(t, "two", withPhones(dir))
	before, now := dialPeer(t, "udp", one.Addr()), dialPeer(t, "udp", two.Addr())
	contact := "Contact: <sip:bob@192.0.2.9:5060>"
	registers(t, one, before, "bob", "builder", "MD5", contact, "Expires: 600")
	registers(t, two, now, "bob", "builder", "MD5", contact, "Expires: 3600")
	for _, b := range []*bench{one, two} {
		l, err := b.Dial(t.Context(), DialRequest{To: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		now.respond(now.asked("INVITE"), 486, "")
		if end := over(t, l); end.Status != 486 {
			t.Errorf("it ended with %+v", end) // the old one would have answered nothing
		}
	}
}

// Nothing comes past a server's checks because it bears another one's mark.
func TestMarksOfStrangers(t *testing.T) {
	dir, s := newDirectory(), &site{}
	one, two := s.join(t, "one", withPhones(dir)), s.join(t, "two", withPhones(dir))
	p := dialPeer(t, "udp", one.Addr())
	to := "sip:parley-" + Mark("two") + "@" + one.Addr().String()
	p.send(p.request("INVITE", to, plainOffer)) // begins something: it is this server's
	if l := one.call(t); !strings.HasPrefix(l.Info().To, "parley-") {
		t.Errorf("called %s", l.Info().To)
	}
	d, l := established(t, two, "udp") // a call of two's own, whose ids an eavesdropper may know
	for _, message := range []string{
		p.request("BYE", to, "", "Call-ID: nobody's", "To: <sip:agent@parley>;tag=none"),
		d.within("BYE", ""),
		"nonsense",
	} {
		text, err := json.Marshal(passing{Raw: []byte(message)})
		if err != nil {
			t.Fatal(err)
		}
		two.Passed(text)
	}
	two.Passed([]byte("{"))
	toNobody, err := json.Marshal(passing{User: "bob", URI: "sip:bob@192.0.2.9", Raw: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	two.Passed(toNobody)
	if got := [3]int{two.counts.get("peers:stray"), two.counts.get("peers:malformed"), two.counts.get("peers:gone")}; got != [3]int{2, 2, 1} {
		t.Errorf("counted %v", got)
	}
	d.hangUp(l)
}

// Without the others a server knows its own phones, and says that one is not registered.
func TestPeersAreAway(t *testing.T) {
	dir, s := newDirectory(), &site{}
	one, two := s.join(t, "one", withPhones(dir)), s.join(t, "two", withPhones(dir))
	p := dialPeer(t, "udp", one.Addr())
	registers(t, one, p, "bob", "builder", "MD5")
	s.away = errors.New("the bus is away")
	if _, err := two.Dial(t.Context(), DialRequest{To: "bob"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("dialled: %v", err)
	}
	l, err := one.Dial(t.Context(), DialRequest{To: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	p.respond(p.asked("INVITE"), 486, "")
	over(t, l)
}

// What was registered with another server is not this one's after a restart.
func TestRestartKnowsItsOwnPhonesOnly(t *testing.T) {
	dir, soon := newDirectory(), time.Now().Add(time.Hour)
	for user, node := range map[string]string{"alice": "one", "bob": "two", "carl": ""} {
		dir.contacts[user] = []Contact{{Node: node, URI: "sip:" + user + "@192.0.2.1", Transport: "udp", Source: "192.0.2.1:5060", ExpiresAt: soon}}
	}
	one := (&site{}).join(t, "one", withPhones(dir))
	if got := one.Registrations(); len(got) != 2 || got["alice"] == nil || got["carl"] == nil {
		t.Errorf("it knows %+v", got)
	}
}
