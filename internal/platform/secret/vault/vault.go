// Package vault wraps data keys with the transit engine of HashiCorp Vault, or OpenBao, which is compatible: the wrapping
// key never leaves it. It is a thin client of the two operations it needs:
// https://developer.hashicorp.com/vault/api-docs/secret/transit#encrypt-data and #decrypt-data.
package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	attempts   = 3
	pause      = 200 * time.Millisecond // before the second attempt, then twice that
	maxAnswer  = 64 << 10
	askTimeout = 5 * time.Second // one attempt
)

// Config is what New needs.
type Config struct {
	// URL is vault://host:port/MOUNT/KEY for https, vault+http://... for a Vault on this machine without TLS. The query may
	// have namespace=NAME. MOUNT may have several parts.
	URL string
	// Token authenticates; or TokenFile, which is read at each request, as Vault Agent's sink is written anew.
	Token, TokenFile string
	Client           *http.Client // nil is one of its own; the TLS settings are the system's
	Clock            quartz.Clock
}

// Transit is a Wrapper of package envelope.
type Transit struct {
	c         Config
	base      url.URL // of the mount
	key       string
	namespace string
}

// Parse checks a URL of the setting.
func Parse(raw string) (base url.URL, key, namespace string, err error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return base, "", "", errors.New("it is no vault://host:port/MOUNT/KEY")
	}
	mount, key := path.Split(strings.Trim(u.Path, "/"))
	mount = strings.Trim(mount, "/")
	if mount == "" || key == "" || path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") {
		return base, "", "", errors.New("it does not name MOUNT/KEY, such as transit/parley")
	}
	q := u.Query()
	namespace = q.Get("namespace")
	q.Del("namespace")
	if len(q) > 0 {
		return base, "", "", errors.New("its query may have namespace only")
	}
	scheme := map[string]string{"vault": "https", "vault+http": "http"}[u.Scheme]
	if scheme == "" {
		return base, "", "", fmt.Errorf("%q is no scheme of Vault", u.Scheme)
	}
	return url.URL{Scheme: scheme, Host: u.Host, Path: "/v1/" + mount}, key, namespace, nil
}

// New makes a Transit. It asks nobody.
func New(c Config) (*Transit, error) {
	base, key, namespace, err := Parse(c.URL)
	if err != nil {
		return nil, err
	}
	if (c.Token == "") == (c.TokenFile == "") {
		return nil, errors.New("vault: give a token or a file with one")
	}
	if c.Client == nil {
		c.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	return &Transit{c: c, base: base, key: key, namespace: namespace}, nil
}

// ID implements envelope.Wrapper.
func (t *Transit) ID() string {
	id := "vault:" + t.base.Host + strings.TrimPrefix(t.base.Path, "/v1") + "/" + t.key
	if t.namespace != "" {
		id += "@" + t.namespace
	}
	return id
}

type transitData struct {
	Plaintext  string `json:"plaintext,omitempty"`
	Ciphertext string `json:"ciphertext,omitempty"`
	Associated string `json:"associated_data,omitempty"`
}

// Wrap implements envelope.Wrapper.
func (t *Transit) Wrap(ctx context.Context, key []byte, aad string) ([]byte, error) {
	out, err := t.ask(ctx, "encrypt", transitData{Plaintext: base64.StdEncoding.EncodeToString(key), Associated: base64.StdEncoding.EncodeToString([]byte(aad))})
	if err == nil && !strings.HasPrefix(out.Ciphertext, "vault:v") {
		err = fault.New(fault.Upstream, "Vault gave no ciphertext")
	}
	return []byte(out.Ciphertext), err
}

// Unwrap implements envelope.Wrapper.
func (t *Transit) Unwrap(ctx context.Context, wrapped []byte, aad string) ([]byte, error) {
	out, err := t.ask(ctx, "decrypt", transitData{Ciphertext: string(wrapped), Associated: base64.StdEncoding.EncodeToString([]byte(aad))})
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(out.Plaintext)
	if err != nil || len(key) == 0 {
		return nil, fault.New(fault.Upstream, "Vault gave no plaintext")
	}
	return key, nil
}

// ask does one operation, again where that may help.
func (t *Transit) ask(ctx context.Context, operation string, in transitData) (out transitData, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	defer clear(body)
	for i := range attempts {
		if i > 0 {
			timer := t.c.Clock.NewTimer(pause<<(i-1), "vault")
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return out, err
			}
		}
		var again bool
		if out, again, err = t.once(ctx, operation, body); err == nil || !again || ctx.Err() != nil {
			break
		}
	}
	return out, err
}

func (t *Transit) token() (string, error) {
	if t.c.Token != "" {
		return t.c.Token, nil
	}
	b, err := os.ReadFile(t.c.TokenFile)
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "the file with Vault's token cannot be read")
	}
	token := strings.TrimSpace(string(b))
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return "", fault.New(fault.Unavailable, "the file with Vault's token holds none")
	}
	return token, nil
}

// once is one attempt; again says that another one may help.
func (t *Transit) once(ctx context.Context, operation string, body []byte) (out transitData, again bool, err error) {
	token, err := t.token()
	if err != nil {
		return out, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base.JoinPath(operation, t.key).String(), bytes.NewReader(body))
	if err != nil {
		return out, false, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Vault-Token", token)
	r.Header.Set("X-Vault-Request", "true")
	if t.namespace != "" {
		r.Header.Set("X-Vault-Namespace", t.namespace)
	}
	res, err := t.c.Client.Do(r)
	if err != nil {
		code := fault.Unavailable
		if errors.Is(err, context.DeadlineExceeded) {
			code = fault.Timeout
		}
		return out, true, fault.Wrap(code, err, "Vault at %s does not answer", t.base.Host)
	}
	defer res.Body.Close() //nolint:errcheck // what was read is checked
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	defer clear(b)
	if err != nil {
		return out, true, fault.Wrap(fault.Unavailable, err, "Vault's answer was cut")
	}
	if len(b) > maxAnswer {
		return out, false, fault.New(fault.Upstream, "Vault's answer is larger than %d bytes", maxAnswer)
	}
	if res.StatusCode != http.StatusOK {
		again, err = t.refused(res.StatusCode, b)
		return out, again, err
	}
	var answer struct {
		Data transitData `json:"data"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return out, false, fault.New(fault.Upstream, "Vault's answer is no JSON; is %s Vault?", t.base.Host)
	}
	return answer.Data, false, nil
}

// refused puts a status (https://developer.hashicorp.com/vault/api-docs#http-status-codes) into words. What Vault says of
// it holds no secret: it is about paths and keys' names.
func (t *Transit) refused(status int, body []byte) (again bool, err error) {
	var said struct {
		Errors []string `json:"errors"`
	}
	_ = json.Unmarshal(body, &said) // something before Vault answered
	why := strings.Join(said.Errors, "; ")
	if len(why) > 300 {
		why = why[:300]
	}
	switch {
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return false, fault.New(fault.Forbidden, "Vault refuses %s: check the token and its policy (%s)", t.ID(), why)
	case status == http.StatusNotFound:
		return false, fault.New(fault.NotFound, "Vault has no transit engine or key %s (%s)", t.ID(), why)
	case status == http.StatusBadRequest:
		return false, fault.New(fault.Forbidden, "Vault cannot do that with %s: the key is gone, of a type without associated data, or another one wrapped this (%s)", t.ID(), why)
	case status == http.StatusTooManyRequests || status >= 500 || status == 412 || status == 472 || status == 473:
		return true, fault.New(fault.Unavailable, "Vault at %s answered %d: it is sealed, standing by or overloaded (%s)", t.base.Host, status, why)
	}
	return false, fault.New(fault.Upstream, "Vault at %s answered %d (%s)", t.base.Host, status, why)
}
