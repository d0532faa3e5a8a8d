// Package httptool makes a voice.Tool of an HTTP endpoint: the model's arguments go out as a JSON body (or as
// the query of a GET), the answer comes back to the model as text.
package httptool

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/voice"
	"github.com/parley-voice/parley/internal/voice/provider"
)

// maxResult bounds what is read of an answer; a model has no use for more.
const maxResult = 8 << 10

// Config describes an endpoint.
type Config struct {
	Name, Description string
	Parameters        json.RawMessage // JSON Schema of the arguments; empty means none
	Method            string          // GET or POST; "" means POST
	URL               string          // absolute, http or https
	Header            map[string]string
	Timeout           time.Duration // 0 means 5 s
	Client            *http.Client  // shared by all calls, so that connections are
}

// New makes the tool.
func New(c Config) (voice.Tool, error) {
	u, err := url.Parse(c.URL)
	switch {
	case c.Name == "":
		return voice.Tool{}, fault.Field("name", "a tool needs a name for the model to call it by")
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return voice.Tool{}, fault.Field("url", "the URL of tool %s must be absolute and begin with http:// or https://", c.Name)
	case c.Client == nil:
		return voice.Tool{}, fault.Field("client", "tool %s needs an HTTP client", c.Name)
	}
	if c.Method == "" {
		c.Method = http.MethodPost
	}
	if c.Method != http.MethodGet && c.Method != http.MethodPost {
		return voice.Tool{}, fault.Field("method", "the method of tool %s must be GET or POST", c.Name)
	}
	if len(c.Parameters) == 0 {
		c.Parameters = json.RawMessage(`{"type":"object","properties":{}}`)
	}
	if !json.Valid(c.Parameters) {
		return voice.Tool{}, fault.Field("parameters", "the parameters of tool %s must be a JSON Schema", c.Name)
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	return voice.Tool{
		Spec:    provider.ToolSpec{Name: c.Name, Description: c.Description, Parameters: c.Parameters},
		Timeout: c.Timeout,
		Call: func(ctx context.Context, arguments []byte, _ voice.Emitter) (string, error) {
			return c.call(ctx, u, arguments)
		},
	}, nil
}

func (c *Config) call(ctx context.Context, u *url.URL, arguments []byte) (string, error) {
	req, err := c.request(ctx, *u, arguments)
	if err != nil {
		return "", err
	}
	res, err := c.Client.Do(req)
	if err != nil {
		return "", fmt.Errorf("%s could not be reached: %w", u.Host, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxResult))
	if err != nil {
		return "", fmt.Errorf("%s broke off its answer: %w", u.Host, err)
	}
	text := strings.ToValidUTF8(string(body), "")
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return "", fmt.Errorf("%s answered %s: %s", u.Host, res.Status, text[:min(len(text), 300)])
	}
	return text, nil
}

func (c *Config) request(ctx context.Context, u url.URL, arguments []byte) (*http.Request, error) {
	var body io.Reader
	if c.Method == http.MethodGet {
		var args map[string]any
		if err := json.Unmarshal(arguments, &args); err != nil {
			return nil, fmt.Errorf("the arguments must be a JSON object: %w", err)
		}
		q := u.Query()
		for k, v := range args {
			q.Set(k, fmt.Sprint(v))
		}
		u.RawQuery = q.Encode()
	} else {
		body = bytes.NewReader(arguments)
	}
	req, err := http.NewRequestWithContext(ctx, c.Method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json, text/plain")
	for k, v := range c.Header {
		req.Header.Set(k, v)
	}
	return req, nil
}
