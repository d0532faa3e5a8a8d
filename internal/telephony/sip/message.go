package sip

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
)

// methods is what we understand (RFC 3261 section 20.5).
const methods = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY, REGISTER"

// extensions is what we support (RFC 3261 section 20.37): option tags a peer may require.
var extensions = map[string]bool{"timer": true, "replaces": false, "norefersub": true}

const supported = "timer, norefersub"

// reasons are the phrases of the statuses we send (RFC 3261 section 21).
var reasons = map[int]string{
	100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted",
	400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
	406: "Not Acceptable", 408: "Request Timeout", 413: "Request Entity Too Large", 415: "Unsupported Media Type",
	416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required", 422: "Session Interval Too Small",
	423: "Interval Too Brief", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist",
	482: "Loop Detected", 483: "Too Many Hops", 486: "Busy Here", 487: "Request Terminated",
	488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending", 500: "Server Internal Error",
	501: "Not Implemented", 503: "Service Unavailable", 504: "Server Time-out", 505: "Version Not Supported",
	513: "Message Too Large", 603: "Decline",
}

func reason(status int) string {
	if r, ok := reasons[status]; ok {
		return r
	}
	return "Unknown"
}

// problem is why a request is refused: the status and the headers that go with it.
type problem struct {
	status  int
	text    string // says more than the status's phrase
	headers []sipmsg.Header
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s: %s", p.status, reason(p.status), p.text) }

func refuse(status int, format string, args ...any) *problem {
	return &problem{status: status, text: fmt.Sprintf(format, args...)}
}

func (p *problem) with(name, value string) *problem {
	p.headers = append(p.headers, sipmsg.NewHeader(name, value))
	return p
}

var errNoAnswer = errors.New("the message cannot be answered")

// wellFormed checks what the transaction and dialog layers rely on (RFC 3261 section 8.1.1). An error
// that is a *problem is answered with it; any other is not answered.
func wellFormed(req *sipmsg.Request) error {
	switch {
	case req.Via() == nil || req.Via().Host == "":
		return errNoAnswer
	case req.CSeq() == nil:
		return refuse(400, "CSeq is missing or wrong")
	case req.CallID() == nil || req.CallID().Value() == "":
		return refuse(400, "Call-ID is missing")
	case req.From() == nil:
		return refuse(400, "From is missing or wrong")
	case req.To() == nil:
		return refuse(400, "To is missing or wrong")
	case req.CSeq().MethodName != req.Method:
		return refuse(400, "CSeq names %s, the request is %s", req.CSeq().MethodName, req.Method)
	case !strings.EqualFold(req.SipVersion, "SIP/2.0"):
		return refuse(505, "only SIP/2.0 is spoken here")
	}
	for _, name := range []string{"Call-ID", "CSeq", "From", "To", "Max-Forwards", "Content-Length"} {
		if len(req.GetHeaders(name)) > 1 {
			return refuse(400, "%s is there more than once", name)
		}
	}
	if tag, ok := req.From().Params.Get("tag"); !ok || tag == "" {
		if branch, _ := req.Via().Params.Get("branch"); strings.HasPrefix(branch, branchMagic) {
			return refuse(400, "From has no tag")
		}
	}
	if h := req.ContentLength(); h != nil && int(*h) > len(req.Body()) {
		return refuse(400, "the body is shorter than Content-Length says")
	}
	return nil
}

// respondable checks a response enough to be matched.
func respondable(res *sipmsg.Response) bool {
	return res.Via() != nil && res.CSeq() != nil && res.CallID() != nil && res.From() != nil && res.To() != nil &&
		res.StatusCode >= 100 && res.StatusCode < 700 && len(res.GetHeaders("Via")) == 1
}

// admissible checks what RFC 3261 section 8.2 asks of a user agent server, in its order. It is not asked
// about ACK and CANCEL.
func admissible(req *sipmsg.Request) *problem {
	switch req.Recipient.Scheme {
	case "sip", "sips", "tel":
	default:
		return refuse(416, "a %q URI cannot be called here", req.Recipient.Scheme)
	}
	if h := req.MaxForwards(); h == nil && req.GetHeader("Max-Forwards") != nil {
		return refuse(400, "Max-Forwards is not a number")
	} else if h != nil && h.Val() == 0 && req.Method != sipmsg.OPTIONS {
		return refuse(483, "Max-Forwards is used up")
	}
	var bad []string
	for _, tag := range optionTags(req, "Require") {
		if !extensions[tag] {
			bad = append(bad, tag)
		}
	}
	if len(bad) > 0 {
		return refuse(420, "not supported here: %s", strings.Join(bad, ", ")).with("Unsupported", strings.Join(bad, ", "))
	}
	if enc := header(req, "Content-Encoding", "e"); enc != "" && !strings.EqualFold(enc, "identity") && len(req.Body()) > 0 {
		return refuse(415, "the body is encoded as %s", enc).with("Accept-Encoding", "identity")
	}
	return nil
}

// header gives the first value of a header by its long or compact name (RFC 3261 section 7.3.3).
func header(m interface {
	GetHeader(string) sipmsg.Header
}, names ...string) string {
	for _, n := range names {
		if h := m.GetHeader(n); h != nil {
			return strings.TrimSpace(h.Value())
		}
	}
	return ""
}

// optionTags lists the option tags of Require, Supported and the like.
func optionTags(m sipmsg.Message, names ...string) []string {
	var tags []string
	for _, name := range names {
		for _, h := range m.GetHeaders(name) {
			for tag := range strings.SplitSeq(h.Value(), ",") {
				if tag = strings.ToLower(strings.TrimSpace(tag)); tag != "" {
					tags = append(tags, tag)
				}
			}
		}
	}
	return tags
}

// contentType gives the media type of the body, without parameters, in lower case.
func contentType(m interface {
	GetHeader(string) sipmsg.Header
}) string {
	t, _, _ := strings.Cut(header(m, "Content-Type", "c"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// stampVia writes where a request really came from into its top Via (RFC 3261 section 18.2.1, RFC 3581
// section 4), and gives where its responses go (section 18.2.2).
func stampVia(req *sipmsg.Request, f flow) flow {
	via := req.Via()
	via.Params = via.Params.Clone()
	rport, wants := via.Params.Get("rport")
	if wants && rport == "" {
		via.Params.Add("rport", strconv.Itoa(int(f.remote.Port())))
	}
	host, err := netip.ParseAddr(strings.Trim(via.Host, "[]"))
	if wants || err != nil || host.Unmap() != f.remote.Addr() {
		via.Params.Add("received", f.remote.Addr().String())
	}
	if f.reliable() || wants || f.lent != nil {
		return f
	}
	port := uint16(5060)
	if via.Port > 0 && via.Port < 1<<16 {
		port = uint16(via.Port)
	}
	return flow{remote: netip.AddrPortFrom(f.remote.Addr(), port)}
}

// badRequest answers a request that could not be parsed: the headers a response must repeat are copied as
// they are (RFC 3261 section 8.2.6.2). It gives nil when there is no request in raw, or no way back.
func badRequest(raw []byte, why string) []byte {
	head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	lines := bytes.Split(head, []byte("\r\n"))
	start := bytes.Fields(lines[0])
	if len(start) < 2 || !bytes.HasPrefix(bytes.ToUpper(start[len(start)-1]), []byte("SIP/")) || bytes.EqualFold(start[0], []byte("ACK")) {
		return nil
	}
	want := map[string]string{"via": "Via", "v": "Via", "from": "From", "f": "From", "to": "To", "t": "To",
		"call-id": "Call-ID", "i": "Call-ID", "cseq": "CSeq"}
	var out bytes.Buffer
	fmt.Fprintf(&out, "SIP/2.0 400 Bad Request\r\n")
	via := false
	for _, line := range lines[1:] {
		name, value, ok := bytes.Cut(line, []byte(":"))
		long, wanted := want[strings.ToLower(strings.TrimSpace(string(name)))]
		if !ok || !wanted || len(line) > 1024 || out.Len() > 8192 {
			continue
		}
		via = via || long == "Via"
		fmt.Fprintf(&out, "%s: %s\r\n", long, bytes.TrimSpace(value))
	}
	if !via {
		return nil
	}
	fmt.Fprintf(&out, "Warning: 399 parley %s\r\nContent-Length: 0\r\n\r\n", quote(why))
	return out.Bytes()
}

// quote makes a quoted-string of text that a peer may have had a hand in (RFC 3261 section 25.1).
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case b.Len() > 200:
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r != 0x7f:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

const maxSignal = 8 << 10

// redact makes the ladder's copy of a message: at most 8 KiB, credentials and SRTP keys removed.
func redact(raw []byte) string {
	raw = raw[:min(len(raw), maxSignal)]
	var b strings.Builder
	b.Grow(len(raw))
	secret := false // we are in a folded line of a secret header
	for line := range bytes.Lines(raw) {
		folded := line[0] == ' ' || line[0] == '\t'
		if folded && secret {
			continue
		}
		name, _, _ := bytes.Cut(line, []byte(":"))
		name = bytes.TrimSpace(name)
		secret = bytes.EqualFold(name, []byte("Authorization")) || bytes.EqualFold(name, []byte("Proxy-Authorization"))
		switch {
		case secret:
			fmt.Fprintf(&b, "%s: (removed)\r\n", name)
		case bytes.EqualFold(name, []byte("a=crypto")):
			fields := bytes.Fields(line)
			fmt.Fprintf(&b, "%s (key removed)\r\n", bytes.Join(fields[:min(len(fields), 2)], []byte(" ")))
		default:
			b.Write(line)
		}
	}
	return b.String()
}

// summarise gives a message's name on the ladder: "INVITE", "200 OK (INVITE)".
func summarise(raw []byte) string {
	line, rest, _ := bytes.Cut(raw, []byte("\r\n"))
	if !bytes.HasPrefix(line, []byte("SIP/2.0 ")) {
		method, _, _ := bytes.Cut(line, []byte(" "))
		return string(method[:min(len(method), 32)])
	}
	status := string(line[len("SIP/2.0 "):min(len(line), 80)])
	for l := range bytes.SplitSeq(rest, []byte("\r\n")) {
		if len(l) == 0 {
			break
		}
		if len(l) > 5 && bytes.EqualFold(l[:5], []byte("cseq:")) {
			if f := bytes.Fields(l[5:]); len(f) == 2 {
				return status + " (" + string(f[1][:min(len(f[1]), 32)]) + ")"
			}
		}
	}
	return status
}
