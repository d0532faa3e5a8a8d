package mediastream

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Paths where the handlers are mounted.
const (
	VoicePath  = "/carriers/twilio/voice"
	StatusPath = "/carriers/twilio/status"
	MediaPath  = "/carriers/twilio/media"
)

const maxWebhook = 64 << 10

// Voice answers the carrier's request for instructions (POST /carriers/twilio/voice): connect the call to
// our stream, or reject it. See https://www.twilio.com/docs/voice/twiml/stream.
func (s *Server) Voice() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		params, err := s.verified(w, r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		twiml, err := s.instructions(r, params)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, twiml)
	})
}

// StatusCallback takes the carrier's news of a call (POST /carriers/twilio/status).
func (s *Server) StatusCallback() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := s.verified(w, r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		if p.Get("CallSid") == "" || p.Get("CallStatus") == "" {
			s.refuse(w, r, fault.Field("CallStatus", "the status callback needs CallSid and CallStatus"))
			return
		}
		s.count("status")
		if s.cfg.OnStatus != nil {
			s.cfg.OnStatus(r.Context(), Status{
				AccountSid: p.Get("AccountSid"), CallSid: p.Get("CallSid"), CallStatus: p.Get("CallStatus"),
				From: p.Get("From"), To: p.Get("To"), Direction: p.Get("Direction"),
				DurationSeconds: p.Get("CallDuration"), SIPResponseCode: p.Get("SipResponseCode"), Timestamp: p.Get("Timestamp"),
			})
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// verified reads a webhook and checks its signature. An unknown account gets the answer of a wrong
// signature, so that nobody can ask which accounts there are.
func (s *Server) verified(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		e := fault.New(fault.Invalid, "the webhook takes POST; set the number's request method to HTTP POST")
		e.Status, e.Title = http.StatusMethodNotAllowed, http.StatusText(http.StatusMethodNotAllowed)
		return nil, e
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
	if err != nil {
		return nil, fault.Wrap(fault.TooLarge, err, "the webhook's body could not be read or has more than %d bytes", maxWebhook)
	}
	params, err := readParams(r, body)
	if err != nil {
		return nil, err
	}
	refused := fault.New(fault.Forbidden, "the request is not signed by the carrier, or for another URL; check the account's auth token and the public URL setting")
	account := params.Get("AccountSid")
	if s.cfg.Accounts == nil || account == "" {
		return nil, refused
	}
	token, err := s.cfg.Accounts.AuthToken(r.Context(), account)
	if fault.Is(err, fault.NotFound) {
		return nil, refused
	} else if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the carrier account cannot be looked up now; try again")
	}
	if !verifySignature(token, s.fullURL(r), params, body, r.Header.Get(SignatureHeader)) {
		return nil, refused
	}
	return params, nil
}

// readParams reads a form, or a flat JSON object.
func readParams(r *http.Request, body []byte) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/x-www-form-urlencoded":
		params, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the webhook's body is not a form")
		}
		return params, nil
	case err == nil && kind == "application/json":
		var flat map[string]any
		if err := json.Unmarshal(body, &flat); err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the webhook's body is not a JSON object")
		}
		if r.URL.Query().Get("bodySHA256") == "" {
			return nil, fault.Field("query.bodySHA256", "a JSON webhook must be signed with bodySHA256")
		}
		params := url.Values{}
		for k, v := range flat {
			params.Set(k, fmt.Sprint(v))
		}
		return params, nil
	}
	return nil, fault.Field("header.Content-Type", "the webhook takes application/x-www-form-urlencoded or application/json")
}

type (
	response struct {
		XMLName xml.Name `xml:"Response"`
		Connect *connect `xml:"Connect,omitempty"`
		Reject  *reject  `xml:"Reject,omitempty"`
		Dial    *dial    `xml:"Dial,omitempty"`
	}
	connect struct {
		Stream stream `xml:"Stream"`
	}
	stream struct {
		URL        string      `xml:"url,attr"`
		Parameters []parameter `xml:"Parameter"`
	}
	parameter struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	reject struct {
		Reason string `xml:"reason,attr"`
	}
	dial struct {
		Number string `xml:"Number,omitempty"`
		Sip    string `xml:"Sip,omitempty"`
	}
)

func render(r response) (string, error) {
	b, err := xml.Marshal(r)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "the instructions cannot be encoded")
	}
	return xml.Header + string(b), nil
}

func (s *Server) instructions(r *http.Request, p url.Values) (string, error) {
	if s.closed.Load() || s.Streams() >= s.cfg.MaxStreams {
		s.count("busy")
		return render(response{Reject: &reject{Reason: "busy"}})
	}
	route, err := s.route(r, p)
	if fault.Is(err, fault.NotFound) {
		s.count("no_agent")
		s.cfg.Log.Warn("no agent answers the number; the call is rejected", "to", p.Get("To"), "call", p.Get("CallSid"))
		return render(response{Reject: &reject{Reason: "rejected"}})
	} else if err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "the number cannot be looked up now; try again")
	}
	token, err := s.cfg.Tokens.Mint(Claims{
		Org: route.Org, Agent: route.Agent, CallSid: p.Get("CallSid"), From: short(p.Get("From")), To: short(p.Get("To")), Single: true,
	}, s.cfg.TokenTTL)
	if err != nil {
		return "", err
	}
	s.count("call")
	return render(response{Connect: &connect{Stream: stream{
		URL: s.mediaURL(r), Parameters: []parameter{{Name: "token", Value: token}},
	}}})
}

func (s *Server) route(r *http.Request, p url.Values) (Route, error) {
	if s.cfg.Numbers == nil {
		return Route{}, fault.New(fault.NotFound, "no number is set up")
	}
	return s.cfg.Numbers.Route(r.Context(), p.Get("AccountSid"), p.Get("To"))
}

// short keeps a caller's name for itself, which can be a SIP URI, from making the token too long.
func short(s string) string {
	if len(s) > 40 {
		return s[:40]
	}
	return s
}

// refuse answers problem+json.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	s.count("rejected")
	var e *fault.Error
	if f, ok := err.(*fault.Error); ok {
		e = f
	} else {
		e = fault.Wrap(fault.Internal, err, "something went wrong on our side")
	}
	s.cfg.Log.Warn("a carrier's request was refused", "path", r.URL.Path, "remote", r.RemoteAddr, "status", e.Status, "error", e)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(e)
}

var phoneNumber = regexp.MustCompile(`^\+?[0-9]{2,20}$`)

// dialTwiML are the instructions that connect the caller to a number or a SIP URI.
func dialTwiML(target string) (string, error) {
	switch {
	case phoneNumber.MatchString(target):
		return render(response{Dial: &dial{Number: target}})
	case (strings.HasPrefix(target, "sip:") || strings.HasPrefix(target, "sips:")) && len(target) < 256 && !strings.ContainsAny(target, " \r\n\t"):
		return render(response{Dial: &dial{Sip: target}})
	}
	return "", fault.Field("target", "%q is neither a phone number like +14155550123 nor a SIP URI", target)
}
