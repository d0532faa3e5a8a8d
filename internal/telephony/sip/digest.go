package sip

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/quartz"
	sipmsg "github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// Limits of digest authentication (RFC 8760 over RFC 3261 section 22).
const (
	nonceLife     = 5 * time.Minute
	nonceMemory   = 8192 // nonces whose use count is remembered against replay
	failureLimit  = 10   // wrong answers from one network address ...
	failureWindow = 5 * time.Minute
	failureMemory = 4096           // addresses remembered
	habitLife     = 24 * time.Hour // since a phone last asked for it
	askedMemory   = 8192           // phones whose habits are remembered
)

// HA1 holds what is stored instead of a password: the digests of username:realm:password, in hex.
type HA1 struct{ MD5, SHA256 string }

// Account is what is stored of a phone.
type Account struct {
	HA1
	Encrypted bool // it may register, call and be called by TLS with SRTP only
}

// caller is who proved to have sent a request; the zero value is nobody.
type caller struct {
	phone     string
	encrypted bool
}

// SHA256 is the one algorithm of Config.Digest that is not broken.
const SHA256 = "SHA-256"

// NewHA1 makes what is stored of a password.
func NewHA1(username, realm, password string) HA1 {
	out := NewStrongHA1(username, realm, password)
	m := md5.Sum([]byte(username + ":" + realm + ":" + password))
	out.MD5 = hex.EncodeToString(m[:])
	return out
}

// NewStrongHA1 makes what is stored of a password where nobody signs in by MD5.
func NewStrongHA1(username, realm, password string) HA1 {
	s := sha256.Sum256([]byte(username + ":" + realm + ":" + password))
	return HA1{SHA256: hex.EncodeToString(s[:])}
}

// authenticator challenges requests and checks the answers.
type authenticator struct {
	realm  string
	offer  []string // algorithms
	clock  quartz.Clock
	random func(n int) []byte
	secret []byte // signs nonces
	phones Phones

	mu       sync.Mutex
	uses     map[string]use
	failures map[netip.Addr]failure
	asked    map[asker]habit
}

// asker is a phone that has not proved who it is.
type asker struct {
	from netip.Addr
	user string
}

// habit is how a phone takes challenges.
type habit struct {
	silent bool // it was challenged, and has not answered
	md5    bool // it came again without an answer: it may know MD5 only
	until  time.Time
}

type use struct {
	count   int // highest nc seen
	expires time.Time
}

type failure struct {
	count int
	until time.Time
}

func newAuthenticator(c Config, random func(int) []byte) *authenticator {
	return &authenticator{realm: c.Realm, offer: c.Digest, clock: c.Clock, random: random, secret: random(32), phones: c.Phones,
		uses: map[string]use{}, failures: map[netip.Addr]failure{}, asked: map[asker]habit{}}
}

// verify gives the phone that sent req, or the problem to answer with: a challenge, or 403.
func (a *authenticator) verify(ctx context.Context, req *sipmsg.Request, f flow) (caller, *problem) {
	if a.phones == nil {
		return caller{}, refuse(403, "no phones are known here")
	}
	from := network(f.remote.Addr())
	if a.blocked(from) {
		return caller{}, refuse(403, "too many wrong passwords from this address; try again later")
	}
	h := req.GetHeader("Authorization")
	who := asker{from: from}
	if f := req.From(); f != nil {
		who.user = f.Address.User
	}
	if h == nil {
		return caller{}, a.challenge(who, false)
	}
	cred, err := digest.ParseCredentials(h.Value())
	if err != nil {
		return caller{}, refuse(400, "Authorization cannot be read")
	}
	a.answered(who, cred.Algorithm)
	switch fresh, err := a.checkNonce(cred.Nonce, from); {
	case err != nil:
		return caller{}, a.again(who, false)
	case !fresh:
		return caller{}, a.again(who, true)
	}
	account, found, err := a.phones.Secrets(ctx, cred.Username)
	if err != nil {
		return caller{}, refuse(500, "the phone could not be looked up")
	}
	good := cred.Realm == a.realm && sameURI(cred.URI, req.Recipient) && matches(cred, account.HA1, string(req.Method), a.offer)
	if !found || !good {
		a.failed(from)
		return caller{}, a.again(who, false)
	}
	if !a.first(cred.Nonce, cred.Nc) {
		return caller{}, a.again(who, true)
	}
	if account.Encrypted && !f.secure() {
		return caller{}, secureOnly("this phone may register and call by TLS only")
	}
	return caller{cred.Username, account.Encrypted}, nil
}

// challenge asks who sent no credentials for them, the strongest algorithm first (RFC 8760 section 2.4). Many phones know only
// MD5, and give up at a challenge with another algorithm, first or not: Debian's baresip 1.0 is one. Such a phone does not
// answer, and tries again later; then it is offered MD5 alone. That is offered to everybody anyway.
func (a *authenticator) challenge(who asker, stale bool) *problem {
	now := a.clock.Now()
	a.mu.Lock()
	h, ok := a.asked[who]
	if ok && now.After(h.until) {
		h = habit{}
	}
	if !ok && len(a.asked) >= askedMemory {
		for other := range a.asked {
			delete(a.asked, other) // map order is random: nobody can hold a place
			break
		}
	}
	a.asked[who] = habit{silent: true, md5: h.md5 || h.silent, until: now.Add(habitLife)}
	a.mu.Unlock()
	return a.again(who, stale)
}

// answered notes that a phone answers challenges, rightly or not, and by which algorithm.
func (a *authenticator) answered(who asker, algorithm string) {
	weak := algorithm == "" || strings.EqualFold(algorithm, "MD5")
	a.mu.Lock()
	defer a.mu.Unlock()
	if h, ok := a.asked[who]; ok && h.md5 && weak {
		a.asked[who] = habit{md5: true, until: a.clock.Now().Add(habitLife)}
		return
	}
	delete(a.asked, who)
}

// again asks as the phone was asked before.
func (a *authenticator) again(who asker, stale bool) *problem {
	a.mu.Lock()
	md5Only := a.asked[who].md5
	a.mu.Unlock()
	nonce := a.nonce(who.from)
	p := refuse(401, "credentials are needed")
	offer := a.offer
	if md5Only && slices.Contains(offer, "MD5") {
		offer = []string{"MD5"}
	}
	for _, alg := range offer {
		c := digest.Challenge{Realm: a.realm, Nonce: nonce, Algorithm: alg, QOP: []string{"auth"}, Stale: stale}
		p.with("WWW-Authenticate", c.String())
	}
	return p
}

// nonce is time and randomness, signed and bound to the peer's address: we need not remember it.
func (a *authenticator) nonce(from netip.Addr) string {
	raw := make([]byte, 16, 32)
	binary.BigEndian.PutUint64(raw, uint64(a.clock.Now().UnixMilli()))
	copy(raw[8:], a.random(8))
	return base64.RawURLEncoding.EncodeToString(append(raw, a.sign(raw, from)...))
}

func (a *authenticator) sign(raw []byte, from netip.Addr) []byte {
	m := hmac.New(sha256.New, a.secret)
	m.Write(raw)
	m.Write(from.AsSlice())
	return m.Sum(nil)[:16]
}

// checkNonce reports whether a nonce of ours is still fresh. It fails when it is not ours.
func (a *authenticator) checkNonce(nonce string, from netip.Addr) (bool, error) {
	raw, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(raw) != 32 || !hmac.Equal(raw[16:], a.sign(raw[:16], from)) {
		return false, fmt.Errorf("the nonce is not ours")
	}
	age := a.clock.Now().Sub(time.UnixMilli(int64(binary.BigEndian.Uint64(raw))))
	return age >= 0 && age < nonceLife, nil
}

// first reports whether this use of a nonce is new (RFC 7616 section 3.4: nc counts up). A full memory
// makes every nonce stale rather than open to replay.
func (a *authenticator) first(nonce string, nc int) bool {
	now := a.clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if u, ok := a.uses[nonce]; ok && nc <= u.count {
		return false
	} else if !ok && len(a.uses) >= nonceMemory {
		for n, u := range a.uses {
			if now.After(u.expires) {
				delete(a.uses, n)
			}
		}
		if len(a.uses) >= nonceMemory {
			return false
		}
	}
	a.uses[nonce] = use{nc, now.Add(nonceLife)}
	return true
}

// blocked reports whether an address gave too many wrong answers lately.
func (a *authenticator) blocked(from netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, ok := a.failures[from]
	if ok && a.clock.Now().After(f.until) {
		delete(a.failures, from)
		return false
	}
	return ok && f.count >= failureLimit
}

func (a *authenticator) failed(from netip.Addr) {
	now := a.clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	f, ok := a.failures[from]
	if !ok && len(a.failures) >= failureMemory {
		for addr := range a.failures {
			delete(a.failures, addr) // map order is random: no address can hold its place
			break
		}
	}
	a.failures[from] = failure{f.count + 1, now.Add(failureWindow)}
}

// network is what failures are counted by: an IPv4 address, or the /64 an IPv6 host owns.
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// sameURI compares the URI a digest was made over with the one the request asks for. Phones differ in
// which parameters they put in, so only user and host count.
func sameURI(text string, want sipmsg.Uri) bool {
	var u sipmsg.Uri
	if err := sipmsg.ParseUri(text, &u); err != nil {
		return false
	}
	return u.User == want.User && strings.EqualFold(u.Host, want.Host)
}

// takes reports whether an algorithm, which is MD5 where none is named (RFC 2617 section 3.2.1), is among those that are taken.
func takes(algorithms []string, name string) bool {
	if name == "" {
		name = "MD5"
	}
	return slices.ContainsFunc(algorithms, func(a string) bool { return strings.EqualFold(a, name) })
}

// matches checks a digest response (RFC 7616 section 3.4.1) by one of the algorithms, in constant time.
func matches(c *digest.Credentials, ha1 HA1, method string, algorithms []string) bool {
	var h hash.Hash
	if !takes(algorithms, c.Algorithm) {
		return false
	}
	a1 := ha1.MD5
	switch strings.ToUpper(c.Algorithm) {
	case "", "MD5":
		h = md5.New()
	case "SHA-256":
		h, a1 = sha256.New(), ha1.SHA256
	default:
		return false
	}
	if c.QOP != "auth" || c.Cnonce == "" || c.Nc <= 0 {
		return false // we always ask for qop=auth; without it a response could be replayed
	}
	sum := func(s string) string {
		h.Reset()
		h.Write([]byte(s))
		return hex.EncodeToString(h.Sum(nil))
	}
	a2 := sum(method + ":" + c.URI)
	want := sum(fmt.Sprintf("%s:%s:%08x:%s:%s:%s", a1, c.Nonce, c.Nc, c.Cnonce, c.QOP, a2))
	return a1 != "" && subtle.ConstantTimeCompare([]byte(strings.ToLower(c.Response)), []byte(want)) == 1
}
