package mediastream

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// RESTConfig is what REST needs.
type RESTConfig struct {
	Accounts Accounts
	BaseURL  string       // "" means https://api.twilio.com
	Client   *http.Client // nil: one of its own, with a time-out of 10 s
}

// REST steers calls by the carrier's REST API
// (https://www.twilio.com/docs/voice/api/call-resource#update-a-call-resource).
type REST struct{ cfg RESTConfig }

var _ Control = (*REST)(nil)

// NewREST makes a REST.
func NewREST(c RESTConfig) *REST {
	if c.BaseURL == "" {
		c.BaseURL = "https://api.twilio.com"
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 10 * time.Second}
	}
	return &REST{cfg: c}
}

// Hangup implements Control.
func (r *REST) Hangup(ctx context.Context, accountSid, callSid string) error {
	return r.update(ctx, accountSid, callSid, url.Values{"Status": {"completed"}})
}

// Redirect implements Control.
func (r *REST) Redirect(ctx context.Context, accountSid, callSid, twiml string) error {
	return r.update(ctx, accountSid, callSid, url.Values{"Twiml": {twiml}})
}

func (r *REST) update(ctx context.Context, accountSid, callSid string, form url.Values) error {
	if !sid(accountSid) || !sid(callSid) {
		return fault.Field("callSid", "the call has no valid account and call SID")
	}
	token, err := r.cfg.Accounts.AuthToken(ctx, accountSid)
	if err != nil {
		return err
	}
	u := r.cfg.BaseURL + "/2010-04-01/Accounts/" + accountSid + "/Calls/" + callSid + ".json"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u, strings.NewReader(form.Encode()))
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the carrier's address is not valid")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(accountSid, token)
	resp, err := r.cfg.Client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return fault.Wrap(fault.Timeout, err, "the carrier's API did not answer in time")
		}
		return fault.Wrap(fault.Upstream, err, "the carrier's API cannot be reached")
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return restError(resp.StatusCode, body)
}

func restError(status int, body []byte) error {
	if status >= 200 && status < 300 {
		return nil
	}
	var problem struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(body, &problem)
	if problem.Message == "" {
		problem.Message = http.StatusText(status)
	}
	switch status {
	case http.StatusNotFound:
		return fault.New(fault.NotFound, "the carrier does not know the call: %s", problem.Message)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.New(fault.Upstream, "the carrier refused our credentials; check the account's auth token (%s)", problem.Message)
	}
	return fault.New(fault.Upstream, "the carrier answered %d: %s", status, problem.Message)
}

// sid reports whether s may stand in a URL and in a message without escapes.
func sid(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}
