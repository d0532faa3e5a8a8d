package openai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/voice/provider"
)

const (
	maxAnswer = 16 << 20 // of any response: five minutes of speech at 24 kHz
	maxError  = 16 << 10
)

var (
	errIdle   = errors.New("the server stopped sending")
	errTooBig = errors.New("the answer is too large")
)

// response is an answer of status 200 that is being read.
type response struct {
	kind   string            // media type, lower case
	params map[string]string // of the media type
	header http.Header
	body   *body
}

func (cl *Client) fail(s provider.Service, code string, fatal bool, cause error, format string, args ...any) *provider.Error {
	msg := fmt.Sprintf(format, args...)
	if k := cl.endpoints()[s].Key; k != "" { // servers quote what they refuse
		msg = strings.ReplaceAll(msg, k, "***")
	}
	return &provider.Error{Service: s, Vendor: Vendor, Code: code, Fatal: fatal, Cause: cause, Message: msg}
}

// send makes one request. The answer's body ends when ctx does.
func (cl *Client) send(ctx context.Context, s provider.Service, method, path, contentType string, payload io.Reader) (*response, error) {
	base := cl.base[s]
	if base == "" {
		return nil, cl.fail(s, "refused", true, nil, "the connection has no address for %s; add one under Models", s)
	}
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, method, base+path, payload)
	if err != nil {
		cancel()
		return nil, cl.fail(s, "failed", true, err, "the request cannot be made")
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if k := cl.endpoints()[s].Key; k != "" {
		req.Header.Set("Authorization", "Bearer "+k)
	}
	req.Header.Set("Accept", "text/event-stream, application/json, audio/*;q=0.9, */*;q=0.5")
	req.Header.Set("User-Agent", "parley")
	res, err := cl.http.Do(req) //nolint:bodyclose // body.Close does
	if err != nil {
		cancel()
		return nil, cl.transport(s, err)
	}
	b := newBody(cl, s, res.Body, cancel)
	if res.StatusCode != http.StatusOK {
		defer func() { _ = b.Close() }()
		return nil, cl.status(s, res, b)
	}
	kind, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	return &response{kind: kind, params: params, header: res.Header, body: b}, nil
}

// transport names what went wrong before an answer came, or while it came.
func (cl *Client) transport(s provider.Service, err error) error {
	var e *provider.Error
	var n net.Error
	switch {
	case errors.As(err, &e):
		return err
	case errors.Is(err, context.Canceled):
		return cl.fail(s, "failed", false, err, "the request was stopped")
	case errors.Is(err, errTooBig):
		return cl.fail(s, "bad_response", false, err, "the answer has more than %d MiB", maxAnswer>>20)
	case errors.Is(err, errIdle), errors.Is(err, context.DeadlineExceeded), errors.As(err, &n) && n.Timeout():
		return cl.fail(s, "timeout", false, err, "the server did not answer in time")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return cl.fail(s, "bad_response", false, err, "the server broke off in the middle of its answer")
	}
	return cl.fail(s, "failed", false, err, "the server cannot be reached: %v", rootCause(err))
}

// rootCause leaves out the address, which may be long, and is known.
func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// status maps an HTTP status to an error.
func (cl *Client) status(s provider.Service, res *http.Response, b *body) error {
	said := errorText(b)
	code, fatal := "failed", false
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return cl.fail(s, "unauthorized", true, nil, "the server refuses the key (%d)%s; check it under Models", res.StatusCode, said)
	case http.StatusTooManyRequests:
		wait := ""
		if after := res.Header.Get("Retry-After"); after != "" && len(after) < 40 {
			wait = "; it asks to wait " + after
			if strings.Trim(after, "0123456789") == "" {
				wait += " s"
			}
		}
		return cl.fail(s, "rate_limited", false, nil, "the server has too many requests (429)%s%s", wait, said)
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		code = "timeout"
	default:
		if res.StatusCode >= 300 && res.StatusCode < 500 {
			code, fatal = "refused", true
		}
	}
	return cl.fail(s, code, fatal, nil, "the server answered %d%s", res.StatusCode, said)
}

// errorText takes the sentence out of {"error":{"message":…}} or what else servers write.
func errorText(b io.Reader) string {
	raw, err := io.ReadAll(io.LimitReader(b, maxError))
	if err != nil || len(raw) == 0 {
		return ""
	}
	var body struct {
		Error   json.RawMessage `json:"error"`
		Detail  json.RawMessage `json:"detail"`
		Message string          `json:"message"`
	}
	if json.Unmarshal(raw, &body) != nil {
		return ""
	}
	msg := body.Message
	for _, r := range []json.RawMessage{body.Error, body.Detail} {
		var inner struct {
			Message string `json:"message"`
		}
		var text string
		if json.Unmarshal(r, &inner) == nil && inner.Message != "" {
			msg = inner.Message
		} else if json.Unmarshal(r, &text) == nil && text != "" {
			msg = text
		}
	}
	if msg == "" {
		return ""
	}
	return ": " + strings.ToValidUTF8(msg[:min(len(msg), 300)], "")
}

// body is an answer's body: bounded in size, and ended when nothing comes for too long.
type body struct {
	cl     *Client
	s      provider.Service
	rc     io.ReadCloser
	cancel context.CancelFunc
	timer  *quartz.Timer
	idle   atomic.Bool
	n      int
	closed bool
}

func newBody(cl *Client, s provider.Service, rc io.ReadCloser, cancel context.CancelFunc) *body {
	b := &body{cl: cl, s: s, rc: rc, cancel: cancel}
	b.timer = cl.c.Clock.AfterFunc(cl.c.Idle, func() {
		b.idle.Store(true)
		cancel() // ends a blocked Read
	}, "openai", "idle")
	return b
}

// Read implements io.Reader. Its errors are io.EOF or *provider.Error.
func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.cl.c.Idle, "openai", "idle")
	n, err := b.rc.Read(p)
	b.n += n
	switch {
	case b.n > maxAnswer:
		return 0, b.cl.transport(b.s, errTooBig)
	case err != nil && b.idle.Load():
		return 0, b.cl.transport(b.s, errIdle)
	case err != nil && !errors.Is(err, io.EOF):
		return n, b.cl.transport(b.s, err)
	case err != nil:
		b.timer.Stop()
	}
	return n, err
}

// Close ends the request. The connection lives on when the answer was read to its end.
func (b *body) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.timer.Stop()
	err := b.rc.Close()
	b.cancel()
	return err
}

// discard reads what is left, so that the connection can be used again.
func (b *body) discard() (int64, error) { return io.Copy(io.Discard, io.LimitReader(b, 64<<10)) }

// all reads a body of at most limit bytes.
func (b *body) all(limit int) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(b, int64(limit)+1))
	if err != nil {
		return nil, b.cl.transport(b.s, err)
	}
	if len(raw) > limit {
		return nil, b.cl.transport(b.s, errTooBig)
	}
	return raw, nil
}

// deadline bounds a request that has no stream.
const deadline = 60 * time.Second
