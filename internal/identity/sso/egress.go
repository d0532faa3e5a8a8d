package sso

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/parley-voice/parley/internal/platform/egress"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	fetchTimeout  = 10 * time.Second
	fetchMax      = 1 << 20 // discovery, keys, tokens and metadata are far smaller
	fetchRedirect = 3
)

// newClient makes the client that fetches what an organisation's URLs name, as far as to lets it. No proxy of the
// environment is used: it would dial for us, unjudged. private is whether providers may be on this machine without TLS.
func newClient(to *egress.Dialer, private bool) *http.Client {
	return &http.Client{
		Timeout: fetchTimeout,
		Transport: &bounded{&http.Transport{
			DialContext: to.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: fetchTimeout, ResponseHeaderTimeout: fetchTimeout,
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
	if err == nil {
		err = s.dialer().Check(u)
	}
	if err != nil {
		return fault.Field(location, "%q cannot be used: %v; give an https URL such as https://login.example.com", raw, err)
	}
	return nil
}

// dialer is what reaches identity providers.
func (s *Service) dialer() *egress.Dialer {
	return s.cfg.Outbound.Dialer(s.cfg.PrivateNetworks, fetchTimeout)
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
