package fleet

import (
	"net/http"
	"net/netip"
	"strings"
)

// ownPrefix begins the headers that processes send each other. What a stranger writes there does not cross.
const ownPrefix = "Parley-"

// DrainingHeader is on an answer 503 of an instance that takes no new work: the request was not begun.
const DrainingHeader = "Parley-Draining"

// forwardedHeaders are written by us alone: what the caller said of itself proves nothing to the instance.
var forwardedHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server",
	"X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip"}

// setForwarded tells the instance who asks, by RFC 7239 and by the older custom. client is the caller's address as
// the gateway's rule found it; "" when it is not known.
func setForwarded(h http.Header, client, host, proto string) {
	for _, name := range forwardedHeaders {
		h.Del(name)
	}
	for name := range h {
		if strings.HasPrefix(name, ownPrefix) {
			h.Del(name)
		}
	}
	element := "for=" + forwardedNode(client)
	if quotable(host) {
		element += `;host="` + host + `"`
		h.Set("X-Forwarded-Host", host)
	}
	h.Set("Forwarded", element+";proto="+proto)
	h.Set("X-Forwarded-Proto", proto)
	if client != "" {
		h.Set("X-Forwarded-For", client)
	}
}

// forwardedNode writes an address as RFC 7239 section 6 wants it: IPv6 in brackets and quotes.
func forwardedNode(client string) string {
	a, err := netip.ParseAddr(client)
	switch {
	case err != nil:
		return "unknown"
	case a.Is6() && !a.Is4In6():
		return `"[` + a.WithZone("").String() + `]"`
	}
	return a.Unmap().String()
}

// quotable reports whether s can stand in a quoted string as it is (RFC 9110 section 5.6.4).
func quotable(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }) < 0
}

// addVia names us among the intermediaries (RFC 9110 section 7.6.3).
func addVia(h http.Header, proto string) {
	_, version, _ := strings.Cut(proto, "/")
	h.Add("Via", version+" parley")
}
