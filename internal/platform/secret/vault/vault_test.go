package vault_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/vault"
)

// ours is not Vault: a server of ours that answers as the API's page says Vault does.
// https://developer.hashicorp.com/vault/api-docs/secret/transit
func ours(t *testing.T, status int, answer string) (*httptest.Server, *atomic.Int64) {
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if status != http.StatusOK || answer != "" {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, answer)
			return
		}
		if r.Method != http.MethodPost || r.Header.Get("X-Vault-Token") != "s.token" || r.Header.Get("X-Vault-Namespace") != "team" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":["permission denied"]}`)
			return
		}
		var in map[string]string
		if json.NewDecoder(r.Body).Decode(&in) != nil || in["associated_data"] == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		data := map[string]string{}
		switch r.URL.Path {
		case "/v1/kms/transit/encrypt/parley":
			data["ciphertext"] = "vault:v1:" + in["plaintext"] + "." + in["associated_data"]
		case "/v1/kms/transit/decrypt/parley":
			plain, aad, _ := strings.Cut(strings.TrimPrefix(in["ciphertext"], "vault:v1:"), ".")
			if aad != in["associated_data"] {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `{"errors":["cipher: message authentication failed"]}`)
				return
			}
			data["plaintext"] = plain
		default:
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
	}))
	t.Cleanup(srv.Close)
	return srv, &asked
}

func transit(t *testing.T, srv *httptest.Server, c vault.Config) *vault.Transit {
	t.Helper()
	c.URL = "vault+http://" + strings.TrimPrefix(srv.URL, "http://") + "/kms/transit/parley?namespace=team"
	if c.TokenFile == "" && c.Token == "" {
		c.Token = "s.token"
	}
	v, err := vault.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWrapAndUnwrap(t *testing.T) {
	srv, _ := ours(t, http.StatusOK, "")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s.token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]vault.Config{"token": {}, "file": {TokenFile: file}} {
		v := transit(t, srv, c)
		wrapped, err := v.Wrap(t.Context(), []byte("0123"), "org/key")
		if err != nil {
			t.Fatal(name, err)
		}
		if got, err := v.Unwrap(t.Context(), wrapped, "org/key"); err != nil || string(got) != "0123" {
			t.Errorf("%s: %q %v", name, got, err)
		}
		if _, err := v.Unwrap(t.Context(), wrapped, "other/key"); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s: with other associated data: %v", name, err)
		}
	}
	if _, err := transit(t, srv, vault.Config{Token: "s.wrong"}).Wrap(t.Context(), []byte("0"), "x"); !fault.Is(err, fault.Forbidden) || strings.Contains(err.Error(), "s.wrong") {
		t.Errorf("with another token: %v", err)
	}
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		answer string
		code   fault.Code
		asked  int64
	}{
		"no such key":  {404, `{"errors":[]}`, fault.NotFound, 1},
		"forbidden":    {403, `{"errors":["permission denied"]}`, fault.Forbidden, 1},
		"sealed":       {503, `{"errors":["Vault is sealed"]}`, fault.Unavailable, 3},
		"overloaded":   {429, ``, fault.Unavailable, 3},
		"no JSON":      {200, `<html>`, fault.Upstream, 1},
		"no answer":    {200, `{}`, fault.Upstream, 1},
		"too large":    {200, strings.Repeat(" ", 70<<10), fault.Upstream, 1},
		"a redirect":   {307, ``, fault.Upstream, 1},
		"strange code": {418, ``, fault.Upstream, 1},
	} {
		t.Run(name, func(t *testing.T) {
			srv, asked := ours(t, c.status, c.answer)
			if _, err := transit(t, srv, vault.Config{}).Wrap(t.Context(), []byte("0"), "x"); !fault.Is(err, c.code) {
				t.Errorf("error %v", err)
			}
			if asked.Load() != c.asked {
				t.Errorf("asked %d times", asked.Load())
			}
		})
	}
	srv, _ := ours(t, http.StatusOK, "")
	v := transit(t, srv, vault.Config{})
	srv.Close()
	if _, err := v.Wrap(t.Context(), []byte("0"), "x"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("nobody there: %v", err)
	}
	if _, err := transit(t, srv, vault.Config{TokenFile: "/does/not/exist"}).Wrap(t.Context(), []byte("0"), "x"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("no token file: %v", err)
	}
}

func TestParse(t *testing.T) {
	for _, bad := range []string{"vault://h", "vault://h/key", "http://h/m/k", "vault:///m/k", "vault://u:p@h/m/k", "vault://h/m/../k", "vault://h/m/k?x=1"} {
		if _, err := vault.New(vault.Config{URL: bad, Token: "t"}); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	v, err := vault.New(vault.Config{URL: "vault://vault.example.com:8200/transit/parley", Token: "t"})
	if err != nil || v.ID() != "vault:vault.example.com:8200/transit/parley" {
		t.Errorf("%v %v", v, err)
	}
}
