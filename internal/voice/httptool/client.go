package httptool

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

const dialTimeout = 10 * time.Second

// errNoServer says that an address is not one of a server.
var errNoServer = errors.New("the address is link-local, multicast or unspecified, where no tool is")

// NewClient makes the client that agents' tools share. A redirect is an answer, not followed: the arguments of a call go
// where the agent's author said and nowhere else. Link-local addresses are refused when they are dialled, after the
// name was resolved: clouds give a machine's credentials to whoever asks there (169.254.169.254, fd00:ec2::254). No proxy
// of the environment is used: it would dial for us, unjudged.
func NewClient(timeout time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return judge(ap.Addr())
	}}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialTimeout,
			MaxResponseHeaderBytes: 64 << 10, MaxIdleConns: 100, MaxIdleConnsPerHost: 20, IdleConnTimeout: 90 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// cloudMetadata are addresses of the same service outside the link-local networks.
var cloudMetadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
	netip.MustParseAddr("100.100.100.200"), // https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
}

func judge(ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || !ip.IsValid() {
		return fmt.Errorf("%s: %w", ip, errNoServer)
	}
	for _, a := range cloudMetadata {
		if ip == a {
			return fmt.Errorf("%s: %w", ip, errNoServer)
		}
	}
	return nil
}
