package load

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// phone is one call's signalling: INVITE, ACK and BYE by text templates over a shared UDP socket.
type phone struct {
	id     int
	callID string
	tag    string
	target string // request URI
	local  string // host:port of the signalling socket
	rtp    int    // port we receive audio on
	began  time.Time

	mu      sync.Mutex
	state   phoneState
	tries   int
	resend  time.Time
	toTag   string
	contact string
	setup   time.Duration
	reason  string
	remote  netip.AddrPort // of the server's audio
	byeSent time.Time
}

type phoneState int

const (
	placed phoneState = iota
	ringing
	talking
	leaving
	gone
)

const (
	resendFirst = 500 * time.Millisecond // T1 of RFC 3261
	inviteTries = 7
	byeWait     = 5 * time.Second
)

func (p *phone) invite() string {
	sdp := fmt.Sprintf("v=0\r\no=load %d 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\n",
		p.id, p.host(), p.host(), p.rtp)
	return p.request("INVITE", p.target, 1, "Content-Type: application/sdp\r\nContact: <sip:load@"+p.local+">\r\n", sdp)
}

func (p *phone) host() string { h, _, _ := net.SplitHostPort(p.local); return h }

func (p *phone) request(method, uri string, cseq int, more, body string) string {
	to := "<" + p.target + ">"
	if p.toTag != "" {
		to += ";tag=" + p.toTag
	}
	branch := fmt.Sprintf("z9hG4bK%s-%s-%d", p.tag, strings.ToLower(method), cseq)
	return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:load%d@%s>;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n%sContent-Length: %d\r\n\r\n%s",
		method, uri, p.local, branch, p.id, p.local, p.tag, to, p.callID, cseq, method, more, len(body), body)
}

func (p *phone) uri() string {
	if p.contact != "" {
		return p.contact
	}
	return p.target
}

// response takes a response and gives what is to be sent, "" for nothing.
func (p *phone) response(m message, now time.Time) (send string, answered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	method := m.cseqMethod
	switch {
	case method == "BYE":
		p.state = gone
	case method != "INVITE" || p.state == gone:
	case m.status < 200:
		if p.state == placed {
			p.state = ringing
		}
	case m.status < 300:
		p.toTag, p.contact = m.toTag, m.contact
		first := p.state < talking
		if first {
			p.state, p.setup = talking, now.Sub(p.began)
			p.remote = m.media
		}
		return p.request("ACK", p.uri(), 1, "", ""), first
	default:
		p.state, p.reason = gone, fmt.Sprintf("answered %d", m.status)
		p.toTag = m.toTag
		// The ACK of a refusal has the branch of its INVITE (RFC 3261 section 17.1.1.3).
		return strings.Replace(p.request("ACK", p.target, 1, "", ""), "-ack-", "-invite-", 1), false
	}
	return "", false
}

// bye hangs up.
func (p *phone) bye(now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != talking && p.state != leaving {
		return ""
	}
	p.state = leaving
	p.byeSent = now
	return p.request("BYE", p.uri(), 2, "", "")
}

// message is as much of a SIP message as a load needs.
type message struct {
	method     string // of a request
	status     int    // of a response
	callID     string
	cseqMethod string
	toTag      string
	contact    string
	media      netip.AddrPort
	copied     string // Via, From, To, Call-ID and CSeq lines, for an answer
}

func parseMessage(b []byte) (m message, ok bool) {
	head, body, _ := strings.Cut(string(b), "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	if rest, isResponse := strings.CutPrefix(lines[0], "SIP/2.0 "); isResponse {
		code, _, _ := strings.Cut(rest, " ")
		m.status, _ = strconv.Atoi(code)
	} else {
		m.method, _, _ = strings.Cut(lines[0], " ")
	}
	for _, l := range lines[1:] {
		name, value, found := strings.Cut(l, ":")
		if !found {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "via", "from", "call-id":
			m.copied += l + "\r\n"
			if strings.EqualFold(name, "call-id") {
				m.callID = value
			}
		case "to":
			m.copied += l + "\r\n"
			if _, tag, found := strings.Cut(value, ";tag="); found {
				m.toTag, _, _ = strings.Cut(tag, ";")
			}
		case "cseq":
			m.copied += l + "\r\n"
			if f := strings.Fields(value); len(f) == 2 {
				m.cseqMethod = f[1]
			}
		case "contact":
			if _, rest, found := strings.Cut(value, "<"); found {
				m.contact, _, _ = strings.Cut(rest, ">")
			}
		}
	}
	m.media = parseMedia(body)
	return m, m.callID != "" && (m.status >= 100 || m.method != "")
}

// parseMedia finds where the server takes audio.
func parseMedia(sdp string) netip.AddrPort {
	var ip netip.Addr
	var port uint64
	for l := range strings.SplitSeq(sdp, "\r\n") {
		if v, ok := strings.CutPrefix(l, "c=IN IP4 "); ok {
			ip, _ = netip.ParseAddr(strings.TrimSpace(v))
		}
		if v, ok := strings.CutPrefix(l, "m=audio "); ok {
			number, _, _ := strings.Cut(v, " ")
			port, _ = strconv.ParseUint(number, 10, 16)
		}
	}
	if !ip.IsValid() || port == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, uint16(port))
}

// reply answers a request of the server.
func (m message) reply(status string) string {
	return "SIP/2.0 " + status + "\r\n" + m.copied + "Content-Length: 0\r\n\r\n"
}
