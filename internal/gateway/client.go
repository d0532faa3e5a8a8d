package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/parley-voice/parley/internal/identity"
)

// Headers by which a proxy tells who asked it.
const (
	HeaderXForwardedFor = "x-forwarded-for" // the custom of most proxies
	HeaderForwarded     = "forwarded"       // RFC 7239
)

// Proxies are the proxies whose word on the caller's address counts. The zero value trusts none.
type Proxies struct {
	Networks []netip.Prefix
	// Header is the one header that these proxies write. The other is ignored, because a proxy that does not know it
	// passes on what the caller wrote there. "" is x-forwarded-for.
	Header string
}

// ParseProxies reads a list of networks, comma-separated CIDR, and the name of the header.
func ParseProxies(networks, header string) (Proxies, error) {
	p := Proxies{Header: strings.ToLower(strings.TrimSpace(header))}
	switch p.Header {
	case "":
		p.Header = HeaderXForwardedFor
	case HeaderXForwardedFor, HeaderForwarded:
	default:
		return Proxies{}, fmt.Errorf("%q is no header that tells the caller's address", header)
	}
	for s := range strings.SplitSeq(networks, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		n, err := netip.ParsePrefix(s)
		if err != nil {
			addr, err2 := netip.ParseAddr(s)
			if err2 != nil {
				return Proxies{}, fmt.Errorf("%q is no network", s)
			}
			n = netip.PrefixFrom(addr, addr.BitLen())
		}
		p.Networks = append(p.Networks, n.Masked())
	}
	return p, nil
}

func (p Proxies) trust(a netip.Addr) bool {
	for _, n := range p.Networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// client gives the address of the caller: that of the connection, or, where a trusted proxy made it, the last address
// in its header that is not a trusted proxy's. What stands before it was written by the caller and proves nothing.
func (p Proxies) client(r *http.Request) netip.Addr {
	peer := peerOf(r)
	if !p.trust(peer) {
		return peer
	}
	hops := p.hops(r)
	at := peer
	for i := len(hops) - 1; i >= 0; i-- {
		a, ok := hopAddr(hops[i])
		if !ok {
			return at // "unknown", "_hidden" (RFC 7239 section 6), or rubbish: the last known one
		}
		if at = a; !p.trust(a) {
			return a
		}
	}
	return at
}

func (p Proxies) hops(r *http.Request) []string {
	if p.Header != HeaderForwarded {
		return strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	}
	// RFC 7239 section 4: elements by comma, pairs by semicolon. An address needs no quoted comma or semicolon, so an
	// element that has one is cut into rubbish, which ends the search.
	var out []string
	for el := range strings.SplitSeq(strings.Join(r.Header.Values("Forwarded"), ","), ",") {
		hop := ""
		for pair := range strings.SplitSeq(el, ";") {
			k, v, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if strings.EqualFold(strings.TrimSpace(k), "for") {
				hop = strings.Trim(strings.TrimSpace(v), `"`)
			}
		}
		out = append(out, hop)
	}
	return out
}

// hopAddr reads 192.0.2.1, 192.0.2.1:80, 2001:db8::1 and [2001:db8::1]:80.
func hopAddr(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}

func peerOf(r *http.Request) netip.Addr {
	a, _ := hopAddr(r.RemoteAddr)
	return a
}

// ClientIP gives the caller's address, by the one rule of the server's middleware. Outside of it, it is the
// connection's.
func ClientIP(r *http.Request) string {
	if ip := identity.OriginOf(r.Context()).IP; ip != "" {
		return ip
	}
	if a := peerOf(r); a.IsValid() {
		return a.String()
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// OnThisMachine reports whether the caller is a program on this machine, and no proxy on it that asks for another.
func OnThisMachine(r *http.Request) bool {
	return peerOf(r).IsLoopback() && r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == ""
}
