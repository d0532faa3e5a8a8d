package sip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
)

// dialogID names a dialog as we see it (RFC 3261 section 12). The remote tag is left out: our own tag is
// unguessable and unique, and forks of one INVITE of ours share it until one wins.
type dialogID struct{ callID, localTag string }

// dialog is what two user agents remember of each other (RFC 3261 section 12): enough to send requests
// within the call. The leg that owns it guards it.
type dialog struct {
	id           dialogID
	remoteTag    string
	local        sipmsg.Uri // what stands in our From
	localName    string
	remote       sipmsg.Uri
	remoteName   string
	remoteTarget sipmsg.Uri
	routes       []string // route set, as Route header values
	localSeq     uint32
	remoteSeq    uint32
	flow         flow // where its last message came from
	secure       bool // made by a sips URI: every request of it goes by TLS (RFC 5630 section 4)
}

// dialogFromInvite is the dialog of a call we are sent (RFC 3261 section 12.1.1).
func dialogFromInvite(req *sipmsg.Request, f flow, localTag string) dialog {
	from, to := req.From(), req.To()
	d := dialog{
		id: dialogID{req.CallID().Value(), localTag}, local: *to.Address.Clone(), localName: to.DisplayName,
		remote: *from.Address.Clone(), remoteName: from.DisplayName, remoteSeq: req.CSeq().SeqNo, flow: f,
	}
	d.remoteTag, _ = from.Params.Get("tag")
	if c := req.Contact(); c != nil {
		d.remoteTarget = *c.Address.Clone()
	}
	for _, h := range req.GetHeaders("Record-Route") {
		d.routes = append(d.routes, h.Value())
	}
	d.secure = req.Recipient.Scheme == "sips"
	return d
}

// confirm completes the dialog of a call we placed with a response that makes one (section 12.1.2).
func (d *dialog) confirm(res *sipmsg.Response, f flow) {
	d.remoteTag, _ = res.To().Params.Get("tag")
	d.routes = nil
	for _, h := range res.GetHeaders("Record-Route") {
		d.routes = append(d.routes, h.Value())
	}
	slices.Reverse(d.routes)
	d.retarget(res.Contact())
	d.flow = f
}

// retarget is the target refresh of re-INVITE and UPDATE (section 12.2).
func (d *dialog) retarget(c *sipmsg.ContactHeader) {
	if c != nil && c.Address.Host != "" {
		d.remoteTarget = *c.Address.Clone()
	}
}

// request makes a request within the dialog (section 12.2.1.1). The caller adds Via by sending it.
func (d *dialog) request(method sipmsg.RequestMethod) *sipmsg.Request {
	d.localSeq++
	return d.requestSeq(method, d.localSeq)
}

// requestSeq is for ACK, which has the CSeq of its INVITE.
func (d *dialog) requestSeq(method sipmsg.RequestMethod, seq uint32) *sipmsg.Request {
	target, routes := *d.remoteTarget.Clone(), d.routes
	if len(routes) > 0 && !strings.Contains(strings.ToLower(routes[0]), ";lr") {
		// A strict router of RFC 2543: it wants to be the Request-URI, and the target at the end.
		var first sipmsg.Uri
		if err := sipmsg.ParseUri(strings.Trim(routes[0], "<> "), &first); err == nil {
			routes = append(slices.Clone(routes[1:]), "<"+target.String()+">")
			target = first
		}
	}
	req := sipmsg.NewRequest(method, target)
	for _, r := range routes {
		req.AppendHeader(sipmsg.NewHeader("Route", r))
	}
	from := &sipmsg.FromHeader{DisplayName: d.localName, Address: *d.local.Clone()}
	from.Params.Add("tag", d.id.localTag)
	to := &sipmsg.ToHeader{DisplayName: d.remoteName, Address: *d.remote.Clone()}
	if d.remoteTag != "" {
		to.Params.Add("tag", d.remoteTag)
	}
	callID := sipmsg.CallIDHeader(d.id.callID)
	hops := sipmsg.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(from)
	req.AppendHeader(to)
	req.AppendHeader(&callID)
	req.AppendHeader(&sipmsg.CSeqHeader{SeqNo: seq, MethodName: method})
	return req
}

// next is the URI the dialog's requests go to: the first route, or the target.
func (d *dialog) next() sipmsg.Uri {
	if len(d.routes) > 0 {
		var u sipmsg.Uri
		v := strings.TrimSpace(d.routes[0])
		if i := strings.IndexByte(v, '<'); i >= 0 {
			v = v[i+1:]
		}
		if i := strings.IndexByte(v, '>'); i >= 0 {
			v = v[:i]
		}
		if err := sipmsg.ParseUri(v, &u); err == nil {
			return u
		}
	}
	return d.remoteTarget
}

// hop says how the dialog's next request travels. A phone behind NAT names an address in Contact that
// only it can reach: then the request goes back where its messages come from.
func (d *dialog) hop(ctx context.Context, s *Server) (flow, error) {
	if d.flow.lent != nil {
		return d.flow, nil
	}
	if d.flow.reliable() {
		select {
		case <-d.flow.conn.done:
		default:
			return d.flow, nil
		}
	}
	next := d.next()
	if ip, err := netip.ParseAddr(strings.Trim(next.Host, "[]")); err == nil && len(d.routes) == 0 &&
		d.flow.remote.IsValid() && ip.IsPrivate() && !d.flow.remote.Addr().IsPrivate() && !d.flow.remote.Addr().IsLoopback() {
		return d.flow, nil
	}
	if next.Host == "" {
		return d.flow, nil // the peer gave no Contact
	}
	if d.secure {
		next.Scheme = "sips"
	}
	return s.resolve(ctx, next)
}

// resolve finds where requests to u go: its transport, address and port (RFC 3263, without NAPTR).
func (s *Server) resolve(ctx context.Context, u sipmsg.Uri) (flow, error) {
	return s.resolveIf(ctx, u, nil)
}

// resolveIf is resolve where the address may be refused before anything is sent there.
func (s *Server) resolveIf(ctx context.Context, u sipmsg.Uri, permit func(host string, addr netip.Addr) error) (flow, error) {
	network, _ := u.UriParams.Get("transport")
	switch network = strings.ToLower(network); network {
	case "", "udp":
		network = "udp"
	case "tcp", "tls":
	default:
		return flow{}, fmt.Errorf("transport %q is not spoken here; use udp, tcp or tls", network)
	}
	if u.Scheme == "sips" { // whatever the parameter says (RFC 3261 section 26.2.2)
		network = "tls"
	}
	host := strings.Trim(u.Host, "[]")
	if m, ok := u.UriParams.Get("maddr"); ok && m != "" {
		host = strings.Trim(m, "[]")
	}
	addr, err := s.lookup(ctx, network, host, u.Port)
	if err != nil {
		return flow{}, fmt.Errorf("find %s: %w", host, err)
	}
	if addr.Addr().IsMulticast() || addr.Addr().IsUnspecified() {
		return flow{}, fmt.Errorf("%s is not an address of one peer", addr.Addr())
	}
	if permit != nil {
		if err := permit(host, addr.Addr()); err != nil {
			return flow{}, err
		}
	}
	if p := s.needsTLS(flow{remote: addr}); p != nil && network != "tls" {
		return flow{}, fmt.Errorf("this server calls by TLS only (sip-require-tls); use sips: or transport=tls")
	}
	switch network {
	case "tls":
		return s.transport.dialTLS(ctx, addr, strings.Trim(u.Host, "[]"))
	case "tcp":
		return s.transport.dial(ctx, addr)
	}
	return flow{remote: addr}, nil
}

// lookup resolves a host: an address as it is, a name with a port by A and AAAA, a name alone by SRV first.
func (s *Server) lookup(ctx context.Context, network, host string, port int) (netip.AddrPort, error) {
	if port < 0 || port > 65535 {
		return netip.AddrPort{}, fmt.Errorf("port %d does not exist", port)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(ip.Unmap(), portOr(port, network)), nil
	}
	ctx, cancel := context.WithTimeout(ctx, tcpDialWithin)
	defer cancel()
	if port == 0 {
		service, proto := "sip", network
		if network == "tls" { // RFC 3263 section 4.1
			service, proto = "sips", "tcp"
		}
		if _, srv, err := s.resolver.LookupSRV(ctx, service, proto, host); err == nil && len(srv) > 0 {
			host, port = strings.TrimSuffix(srv[0].Target, "."), int(srv[0].Port)
		}
	}
	ips, err := s.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	own := s.transport.udp.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	for _, ip := range ips {
		ip = ip.Unmap()
		if own.IsUnspecified() || own.Is4() == ip.Is4() {
			return netip.AddrPortFrom(ip, portOr(port, network)), nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("no address of %s can be reached from %s", host, own)
}

// portOr gives the port, or the one of the transport (RFC 3261 section 19.1.2).
func portOr(port int, network string) uint16 {
	switch {
	case port != 0:
		return uint16(port)
	case network == "tls":
		return 5061
	}
	return 5060
}

// prepend gives req its Via (RFC 3261 section 18.1.1), with rport (RFC 3581) so that answers find us
// behind NAT.
func (s *Server) prepend(req *sipmsg.Request, f flow) {
	local := s.advertised(f)
	via := &sipmsg.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: strings.ToUpper(f.network()),
		Host: local.host, Port: local.port}
	branch := branchMagic + s.token()
	if f.lent != nil {
		branch = branchMagic + passedMark + s.mark() + "-" + s.token()
	}
	via.Params.Add("branch", branch)
	via.Params.Add("rport", "")
	req.PrependHeader(via)
}

// hostPort is an address as it stands in a URI.
type hostPort struct {
	host string
	port int
}

func (h hostPort) String() string {
	if strings.Contains(h.host, ":") {
		return "[" + h.host + "]:" + strconv.Itoa(h.port)
	}
	return h.host + ":" + strconv.Itoa(h.port)
}

// advertised is what we call ourselves towards the peer of f.
func (s *Server) advertised(f flow) hostPort {
	if f.lent != nil {
		return f.lent.address
	}
	local := s.transport.localAddr(f.remote.Addr())
	if f.secure() {
		local = netip.AddrPortFrom(local.Addr(), s.securePort(f))
	}
	if s.config.Host != "" {
		return hostPort{s.config.Host, int(local.Port())}
	}
	return hostPort{local.Addr().String(), int(local.Port())}
}

// securePort is where we take TLS: without a listener only the connection itself leads back to us.
func (s *Server) securePort(f flow) uint16 {
	if at := s.TLSAddr(); at.IsValid() {
		return at.Port()
	}
	if at, ok := f.conn.conn.LocalAddr().(*net.TCPAddr); ok {
		return at.AddrPort().Port()
	}
	return 5061
}

// contact is our Contact towards the peer of f, in the scheme of the dialog (RFC 5630 section 4). A sips URI needs no
// transport; in a sip URI transport=tls is what phones understand, though RFC 3261 section 26.2.2 would have it go.
func (s *Server) contact(f flow, d *dialog) *sipmsg.ContactHeader {
	local := s.advertised(f)
	c := &sipmsg.ContactHeader{Address: sipmsg.Uri{Scheme: "sip", User: d.local.User, Host: local.host, Port: local.port}}
	if f.lent != nil {
		c.Address.User = passedMark + s.mark()
	}
	switch {
	case d.secure && f.secure():
		c.Address.Scheme = "sips"
	case f.network() != "udp":
		c.Address.UriParams.Add("transport", f.network())
	}
	return c
}
