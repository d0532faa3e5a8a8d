// Package egress decides where the server may connect on behalf of an organisation: agents' tools, vendors of speech and
// language, identity providers. Their addresses are typed by people who need not be trusted with the server's own
// network (server-side request forgery, https://owasp.org/www-community/attacks/Server_Side_Request_Forgery).
//
// What was typed is judged twice: the host's name before it is resolved, and the address when it is dialled, after it
// was resolved. So a name cannot lead elsewhere the second time it is asked for (DNS rebinding), nor can a redirection.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Errors say why an address is not dialled, and what to do about it.
var (
	ErrNoServer = errors.New("the address is link-local, multicast, unspecified or a cloud's metadata service, which nothing may reach")
	ErrDenied   = errors.New("the settings do not let anything be reached there (outbound-deny)")
	ErrPrivate  = errors.New("the address is in a private network; whoever runs the server can let it be reached (outbound-allow)")
)

// Rules are what the installation's settings say. The zero value lets the internet be reached, and private networks
// by whom Dialer is told.
type Rules struct {
	allow, deny []rule
	only        bool // deny has "*": nothing but what allow names
}

// rule is a network, or the name of a host with what may stand before it.
type rule struct {
	network netip.Prefix
	host    string
	below   bool // the names below host, not host itself
}

// Parse reads the settings: networks (10.0.0.0/8), addresses, host names (ollama.example.com) and all names below one
// (*.example.com), separated by commas. deny may be "*": then only what allow names is reached.
func Parse(allow, deny string) (Rules, error) {
	var r Rules
	var err error
	if r.allow, _, err = parse(allow); err != nil {
		return r, err
	}
	r.deny, r.only, err = parse(deny)
	return r, err
}

func parse(list string) (rules []rule, all bool, err error) {
	for part := range strings.SplitSeq(list, ",") {
		part = strings.ToLower(strings.TrimSpace(part))
		switch p, perr := netip.ParsePrefix(part); {
		case part == "":
		case part == "*":
			all = true
		case perr == nil:
			rules = append(rules, rule{network: p.Masked()})
		default:
			if ip, err := netip.ParseAddr(part); err == nil {
				ip = ip.Unmap()
				rules = append(rules, rule{network: netip.PrefixFrom(ip, ip.BitLen())})
				continue
			}
			host, below := strings.CutPrefix(part, "*.")
			if host == "" || strings.ContainsAny(host, "*/:@ ") {
				return nil, false, fmt.Errorf("%q is no network, address or host name", part)
			}
			rules = append(rules, rule{host: strings.TrimSuffix(host, "."), below: below})
		}
	}
	return rules, all, nil
}

func (r rule) names(host string) bool {
	if r.below {
		return strings.HasSuffix(host, "."+r.host)
	}
	return r.host != "" && host == r.host
}

// Dialer dials by the rules.
type Dialer struct {
	rules   Rules
	private bool
	d       net.Dialer
}

// Dialer makes one; private lets it reach private networks and this machine, as far as the rules do not deny it.
func (r Rules) Dialer(private bool, timeout time.Duration) *Dialer {
	return &Dialer{rules: r, private: private, d: net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}}
}

// DialContext is http.Transport's.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	named, err := d.name(host)
	if err != nil {
		return nil, err
	}
	dial := d.d
	dial.Control = func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return d.address(at.Addr(), named)
	}
	return dial.DialContext(ctx, network, address)
}

// name judges a host by its name, and reports whether the rules allow it by that.
func (d *Dialer) name(host string) (named bool, err error) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, r := range d.rules.deny {
		if r.names(host) {
			return false, fmt.Errorf("%s: %w", host, ErrDenied)
		}
	}
	for _, r := range d.rules.allow {
		if r.names(host) {
			return true, nil
		}
	}
	return false, nil
}

// address judges where a name led to.
func (d *Dialer) address(ip netip.Addr, named bool) error {
	ip = ip.Unmap().WithZone("")
	if never(ip) {
		return fmt.Errorf("%s: %w", ip, ErrNoServer)
	}
	for _, r := range d.rules.deny {
		if r.network.IsValid() && r.network.Contains(ip) {
			return fmt.Errorf("%s: %w", ip, ErrDenied)
		}
	}
	for _, r := range d.rules.allow {
		named = named || r.network.IsValid() && r.network.Contains(ip)
	}
	switch {
	case named:
		return nil
	case d.rules.only:
		return fmt.Errorf("%s: %w", ip, ErrDenied)
	case !d.private && !Public(ip):
		return fmt.Errorf("%s: %w", ip, ErrPrivate)
	}
	return nil
}

// Permits judges an address that a host's name led to, for who connects by other means.
func (d *Dialer) Permits(host string, ip netip.Addr) error {
	named, err := d.name(host)
	if err != nil {
		return err
	}
	return d.address(ip, named)
}

// Check judges a URL as far as it can be judged before it is used: to tell who typed it at once.
func (d *Dialer) Check(u *url.URL) error {
	named, err := d.name(u.Hostname())
	if err != nil {
		return err
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		return d.address(ip, named)
	}
	return nil
}

// Proxied makes a transport go through the proxies of the environment (HTTPS_PROXY), where there are any: they are
// dialled whatever the rules say, since whoever runs the server named them. What is asked of them is judged by its
// name; where it leads to is theirs to judge.
func (d *Dialer) Proxied(t *http.Transport) {
	plain := d.d
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		proxy, err := http.ProxyFromEnvironment(r)
		if err != nil || proxy == nil {
			return nil, err
		}
		return proxy, d.Check(r.URL)
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if isProxy(address) {
			return plain.DialContext(ctx, network, address)
		}
		return d.DialContext(ctx, network, address)
	}
}

// isProxy reports whether the environment names address as a proxy.
func isProxy(address string) bool {
	for _, scheme := range []string{"http", "https"} {
		// A host that nothing exempts from the proxy.
		proxy, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: scheme, Host: "proxied.invalid"}})
		if err == nil && proxy != nil && proxyAddress(proxy) == address {
			return true
		}
	}
	return false
}

func proxyAddress(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// metadata are addresses at which clouds give a machine's credentials to whoever asks, outside the link-local networks.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
	netip.MustParseAddr("100.100.100.200"), // https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
}

// never reports whether ip is no address of a server that anybody may reach.
func never(ip netip.Addr) bool {
	if !ip.IsValid() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return true
	}
	for _, a := range metadata {
		if ip == a {
			return true
		}
	}
	return false
}

// special are the networks that net/netip does not know as private and that are not the internet:
// https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry.
var special = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10")

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// Public reports whether ip is an address of the internet.
func Public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.Zone() != "" {
		return false
	}
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}
