package sso

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	fetchTimeout  = 10 * time.Second
	fetchMax      = 1 << 20 // discovery, keys, tokens and metadata are far smaller
	fetchRedirect = 3
)

// errPrivate says that an address is not one of the internet.
var errPrivate = errors.New("the address is in a private network; set PARLEY_SSO_PRIVATE_NETWORKS to let identity providers be there")

// special are the networks that net/netip does not know as private, which nothing of ours may reach through a URL that
// an organisation typed: https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry.
var special = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10")

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// public reports whether ip is an address of the internet.
func public(ip netip.Addr) bool {
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

// newClient makes the client that fetches what an organisation's URLs name. The address is judged when it is dialled,
// after the name was resolved, so that a name cannot point elsewhere the second time. No proxy of the environment is
// used: it would dial for us, unjudged.
func newClient(private bool) *http.Client {
	dialer := &net.Dialer{Timeout: fetchTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !private && !public(ap.Addr()) {
			return errPrivate
		}
		return nil
	}}
	return &http.Client{
		Timeout: fetchTimeout,
		Transport: &bounded{&http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: fetchTimeout, ResponseHeaderTimeout: fetchTimeout,
			MaxResponseHeaderBytes: 64 << 10, MaxIdleConns: 20, MaxConnsPerHost: 10, IdleConnTimeout: time.Minute,
		}, private},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) >= fetchRedirect {
				return errors.New("too many redirections")
			}
			return nil
		},
	}
}

// bounded judges each URL, redirections too, and ends a body that is too long.
type bounded struct {
	next    *http.Transport
	private bool
}

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkURL(r.URL, b.private); err != nil {
		return nil, err
	}
	res, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if res.ContentLength > fetchMax {
		_ = res.Body.Close()
		return nil, fmt.Errorf("the answer is longer than %d bytes", fetchMax)
	}
	res.Body = &limitedBody{res.Body, fetchMax}
	return res, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the transport.
func (b *bounded) CloseIdleConnections() { b.next.CloseIdleConnections() }

type limitedBody struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader; an answer that is too long is an error, never a short one.
func (l *limitedBody) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p[:min(int64(len(p)), l.left+1)])
	l.left -= int64(n)
	if l.left < 0 {
		return 0, fmt.Errorf("the answer is longer than %d bytes", fetchMax)
	}
	return n, err
}

// checkURL lets https through, and http to this machine where private networks are allowed.
func checkURL(u *url.URL, private bool) error {
	if u.Hostname() == "" || u.User != nil {
		return fmt.Errorf("%s://%s is no address of a server", u.Scheme, u.Host)
	}
	if u.Scheme == "https" || u.Scheme == "http" && private && loopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%s://%s is not https", u.Scheme, u.Host)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// checkSetting judges a URL that an administrator typed.
func (s *Service) checkSetting(location, raw string) error {
	u, err := url.Parse(raw)
	if err == nil {
		err = checkURL(u, s.cfg.PrivateNetworks)
	}
	if err == nil && u.Fragment != "" {
		err = errors.New("it has a fragment")
	}
	if ip, perr := netip.ParseAddr(hostname(u)); err == nil && perr == nil && !s.cfg.PrivateNetworks && !public(ip) {
		err = errPrivate
	}
	if err != nil {
		return fault.Field(location, "%q cannot be used: %v; give an https URL such as https://login.example.com", raw, err)
	}
	return nil
}

func hostname(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Hostname()
}

// fetch gets a small document.
func (s *Service) fetch(ctx context.Context, rawURL string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", req.URL.Host, res.Status)
	}
	return io.ReadAll(res.Body)
}
