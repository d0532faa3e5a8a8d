package sip

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Trunk is a server that takes calls to the telephone network: a carrier's, or an exchange's.
type Trunk struct {
	Host      string // a name or an address
	Port      int    // 0: by DNS (RFC 3263), or that of the transport
	Transport string // udp, tcp or tls
	Proxy     string // host or host:port that messages go through on their way (RFC 3261 section 8.1.2); "": none
	Domain    string // host of our From; "": our own address
	Auth      Auth
	SRTP      bool // nothing without SRTP will do
	Assert    bool // names the caller in P-Asserted-Identity too (RFC 3325)
	// Permit refuses an address that the trunk's name led to, before anything is sent there. It may be nil.
	Permit func(host string, addr netip.Addr) error
}

// uri is the trunk as a URI, of a user or of the server itself.
func (t *Trunk) uri(user string) sipmsg.Uri {
	u := sipmsg.Uri{Scheme: "sip", User: user, Host: t.Host, Port: t.Port}
	if strings.Contains(t.Host, ":") && !strings.HasPrefix(t.Host, "[") {
		u.Host = "[" + t.Host + "]"
	}
	if t.Transport == "tcp" || t.Transport == "tls" {
		u.UriParams.Add("transport", t.Transport)
	}
	return u
}

// first is the URI that messages go to: the proxy's, or the trunk's own.
func (t *Trunk) first() (sipmsg.Uri, error) {
	if t.Proxy == "" {
		return t.uri(""), nil
	}
	via := *t
	host, port, err := HostPort(t.Proxy)
	if err != nil {
		return sipmsg.Uri{}, err
	}
	via.Host, via.Port = host, port
	return via.uri(""), nil
}

// route is the preloaded route set of a request through the trunk.
func (t *Trunk) route() []string {
	if t.Proxy == "" {
		return nil
	}
	u, err := t.first()
	if err != nil {
		return nil // reach has refused it
	}
	return []string{"<" + u.String() + ";lr>"}
}

// reach finds the way to the trunk.
func (s *Server) reach(ctx context.Context, t *Trunk) (flow, error) {
	u, err := t.first()
	if err != nil {
		return flow{}, err
	}
	f, err := s.resolveIf(ctx, u, t.Permit)
	if err != nil {
		return f, fault.Wrap(fault.Upstream, err, "the trunk cannot be reached")
	}
	return f, nil
}

// through finds where a call through a trunk goes. to is the number as the trunk wants it.
func (s *Server) through(ctx context.Context, t *Trunk, to string) (sipmsg.Uri, []hop, error) {
	if !Dialable(to) {
		return sipmsg.Uri{}, nil, fault.Field("to", "%q is no number that a trunk can be asked for", clip(to, 40))
	}
	u := t.uri(escape(to))
	f, err := s.reach(ctx, t)
	return u, []hop{{uri: u, flow: f}}, err
}

// Dialable reports whether text is digits, with a plus at its front, or the signs of a telephone's keys: what a trunk is asked for.
func Dialable(text string) bool {
	digits := strings.TrimPrefix(text, "+")
	return digits != "" && len(digits) <= 40 && strings.Trim(digits, "0123456789*#") == ""
}

// HostPort reads host or host:port; port 0 is none given. An IPv6 address with a port is in brackets.
func HostPort(text string) (host string, port int, err error) {
	if ip, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return ip.String(), 0, nil
	}
	host = text
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		n, err := strconv.ParseUint(text[i+1:], 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("%q is no port", clip(text[i+1:], 20))
		}
		host, port = strings.Trim(text[:i], "[]"), int(n)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return host, port, nil
	}
	if host == "" || len(host) > 253 || strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" || strings.HasPrefix(host, ".") || strings.HasPrefix(host, "-") {
		return "", 0, fmt.Errorf("%q is no name or address of a host", clip(host, 100))
	}
	return host, port, nil
}

// asserted is the P-Asserted-Identity of a call (RFC 3325 section 9.1).
func asserted(d *dialog) string {
	h := sipmsg.FromHeader{DisplayName: d.localName, Address: d.local}
	return h.Value()
}

// silent reports whether no branch was answered with anything, not even 100: nobody is there. l.mu is held.
func (a *attempt) silent() bool {
	for _, b := range a.branches {
		if b.heard {
			return false
		}
	}
	return true
}

// outOf says why an attempt failed whose last word was status. Through a trunk it matters whether the trunk failed or
// whoever was called: a trunk that says nothing is unreachable, where a phone did not answer. l.mu is held.
func (a *attempt) outOf(status int) media.Cause {
	if a.request.Trunk != nil && a.silent() {
		return media.Cause{By: "carrier", Code: "unreachable", Status: status, Text: "the trunk does not answer"}
	}
	return causeOf(status, "carrier")
}

// Probed is what a trunk said to a request whether it is there (RFC 3261 section 11).
type Probed struct {
	Status   int           // of the answer
	Reason   string        // its phrase
	Software string        // what the server calls itself, "" when it does not say
	Remote   string        // address and port that the answer came from
	Took     time.Duration // from request to answer
}

// Probe asks a trunk by OPTIONS whether it is there. Any answer is one: who refuses OPTIONS is there too. It fails when none
// comes before ctx ends, or within 64*T1, and when the trunk cannot be reached at all.
func (s *Server) Probe(ctx context.Context, t Trunk) (Probed, error) {
	f, err := s.reach(ctx, &t)
	if err != nil {
		return Probed{}, err
	}
	began := s.config.Clock.Now()
	local := s.advertised(f)
	d := dialog{id: dialogID{s.token() + "@" + local.host, s.token()}, remote: t.uri(""), remoteTarget: t.uri(""), routes: t.route(),
		local: sipmsg.Uri{Scheme: "sip", User: escape(cmp.Or(t.Auth.Username, "parley")), Host: cmp.Or(t.Domain, local.host)}}
	ask := func(name, credentials string) (*sipmsg.Response, error) {
		req := d.request(sipmsg.OPTIONS)
		if credentials != "" {
			req.AppendHeader(sipmsg.NewHeader(name, credentials))
		}
		req.AppendHeader(sipmsg.NewHeader("Accept", "application/sdp"))
		req.SetBody(nil)
		s.dress(req, f, &d)
		return s.tx.do(ctx, &clientTx{req: req, flow: f})
	}
	res, err := ask("", "")
	if err == nil && (res.StatusCode == 401 || res.StatusCode == 407) {
		if name, value, ok := credentials(res, t.Auth, "OPTIONS", d.remoteTarget.String(), s.config.Digest); ok {
			res, err = ask(name, value)
		}
	}
	if err != nil {
		return Probed{}, fault.Wrap(fault.Upstream, err, "the trunk does not answer")
	}
	return Probed{Status: res.StatusCode, Reason: clip(res.Reason, 100), Software: clip(header(res, "Server", "User-Agent"), 100),
		Remote: f.remote.String(), Took: s.config.Clock.Since(began)}, nil
}
