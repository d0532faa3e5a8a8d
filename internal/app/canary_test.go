package app_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/parley-voice/parley/internal/app"
)

// Every secret that somebody gives is a canary here. None is heard of again: not in an answer or an error, not in the
// log, though it tells everything, not in metrics or exports, and not in the clear in any file of the data folder.
func TestSecretsStaySecret(t *testing.T) {
	c := settings(t.TempDir(), "44340-44359")
	secrets := map[string]string{}
	plant := func(what string) string {
		secrets[what] = "Kanarienvogel-" + strings.ReplaceAll(what, " ", "-") + "-7391"
		return secrets[what]
	}
	c.LogLevel = "debug"
	c.TwilioAccountSID, c.TwilioAuthToken = "AC0123456789abcdef0123456789abcdef", plant("carrier token")
	c.MetricsToken = plant("metrics token")
	c.PlatformLogURL = "mongodb://logger:" + plant("platform log password") + "@127.0.0.1:1/parley"
	// What wraps data keys: Vault's own engine, with two that wrapped before. Who asks Vault sees the data keys pass.
	c.VaultToken = plant("vault token")
	vault, passed := vaultBetween(t, c.VaultToken)
	c.KMS = "vault+http://" + vault + "/transit/parley"
	c.KMSPrevious = "awskms://alias/parley?region=eu-central-1&endpoint=http://127.0.0.1:1"
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIA0123456789ABCDEF")
	t.Setenv("AWS_SECRET_ACCESS_KEY", plant("AWS secret key"))
	t.Setenv("AWS_SESSION_TOKEN", plant("AWS session token"))
	secrets["previous master key"] = strings.Repeat("7391abcd", 8)
	c.KeyPrevious = secrets["previous master key"]
	c.SMTPURL, c.MailFrom = "smtp://mailer:"+plant("mail password")+"@127.0.0.1:1", "Parley <parley@example.com>"
	s, admin := openWith(t, c)
	// What people give to sign in, and what is made for them.
	secrets["first password"] = password
	wrong := admin.visitor()
	wrong.want(http.StatusUnauthorized, "POST", "/api/v1/auth/sign-in", map[string]string{"email": email, "password": plant("wrong password")}, nil)
	var key struct{ Secret string }
	admin.want(http.StatusCreated, "POST", "/api/v1/tokens", map[string]string{"name": "robot"}, &key)
	secrets["API token"] = key.Secret
	var factor struct{ Secret, Challenge string }
	admin.want(http.StatusOK, "POST", "/api/v1/me/mfa/totp", nil, &factor)
	secrets["authenticator secret"] = factor.Secret
	code, err := totp.GenerateCode(factor.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var codes struct{ RecoveryCodes []string }
	_, secrets["session before the second factor"], _ = strings.Cut(admin.header.Get("Cookie"), "=")
	res, b := admin.ask("POST", "/api/v1/me/mfa/totp/confirm", map[string]string{"challenge": factor.Challenge, "code": code})
	if err := json.Unmarshal(b, &codes); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	admin = admin.signedIn(res, b)
	for i, c := range codes.RecoveryCodes {
		secrets[fmt.Sprint("recovery code ", i)] = c
	}
	var sent struct{ ShownLink *string }
	admin.want(http.StatusCreated, "POST", "/api/v1/invitations", map[string]string{"email": "new@example.com", "role": "viewer"}, &sent)

	var model struct{ ID string }
	admin.want(http.StatusCreated, "POST", "/api/v1/models", map[string]any{"name": "box", "baseUrls": map[string]string{"llm": "http://127.0.0.1:1/v1"},
		"keys": map[string]string{"llm": plant("model key")}}, &model)
	admin.ask("POST", "/api/v1/models/"+model.ID+"/probe", nil)
	admin.want(http.StatusCreated, "POST", "/api/v1/phones", map[string]string{"username": "desk", "password": plant("phone password")}, nil)
	admin.want(http.StatusCreated, "POST", "/api/v1/trunks", map[string]any{"name": "Carrier", "address": "127.0.0.1:1", "username": "parley", "enabled": false,
		"password": plant("trunk password")}, nil)
	admin.want(http.StatusCreated, "POST", "/api/v1/trunks", map[string]string{"name": "carrier", "address": "192.0.2.7", "username": "us", "password": plant("trunk password")}, nil)
	admin.want(http.StatusUnprocessableEntity, "POST", "/api/v1/trunks", map[string]string{"name": "carrier", "address": "no good!", "username": "us", "password": plant("refused trunk password")}, nil)
	admin.want(http.StatusCreated, "POST", "/api/v1/sso/connections", map[string]any{"name": "Work", "protocol": "oidc", "clientSecret": plant("client secret"),
		"oidc": map[string]any{"issuer": "https://id.example.com", "clientId": "parley", "emailClaim": "", "scopes": []string{"openid"}}}, nil)
	var connection struct{ ID string }
	admin.want(http.StatusCreated, "POST", "/api/v1/sso/connections", map[string]any{"name": "Directory", "protocol": "oidc", "clientSecret": plant("directory secret"),
		"oidc": map[string]any{"issuer": "https://directory.example.com", "clientId": "parley", "emailClaim": "", "scopes": []string{"openid"}}}, &connection)
	var scim struct{ Secret string }
	admin.want(http.StatusCreated, "POST", "/api/v1/sso/connections", map[string]any{"name": "Campus", "protocol": "saml", // with a key that is made for it
		"saml": map[string]any{"metadata": samlMetadata(t), "metadataUrl": "", "emailAttribute": "", "idpInitiated": false}}, nil)
	admin.want(http.StatusCreated, "POST", "/api/v1/sso/connections/"+connection.ID+"/scim-tokens", map[string]string{"name": "directory"}, &scim)
	secrets["SCIM token"] = scim.Secret
	_, secrets["session"], _ = strings.Cut(admin.header.Get("Cookie"), "=")
	// Refused, with the secret in the body.
	admin.want(http.StatusUnprocessableEntity, "POST", "/api/v1/phones", map[string]string{"username": "no good!", "password": plant("refused phone password")}, nil)
	admin.ask("POST", "/api/v1/me/password", map[string]string{"currentPassword": plant("wrong current password"), "password": plant("new password")})

	heard := listeners(t, admin)
	s.stop()
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
	s.ended <- nil
	heard["the log"] = []byte(s.logs.String())
	heard["the terminal"] = []byte(s.screen.String())
	files(t, c.DataDir, heard)
	backup := filepath.Join(t.TempDir(), "backup")
	a := commandLine(t, c)
	if _, err := a.Backup(t.Context(), backup, false); err != nil {
		t.Fatal(err)
	}
	a.Close()
	restored := t.TempDir()
	unpack(t, backup, restored)
	files(t, restored, heard)
	unsealed(t, c, secrets)
	keys := passed()
	if len(keys) < 2 {
		t.Errorf("%d data keys passed", len(keys))
	}
	for i, key := range keys {
		secrets[fmt.Sprint("data key ", i)] = string(key)
		secrets[fmt.Sprint("data key in base64 ", i)] = base64.StdEncoding.EncodeToString(key)
		secrets[fmt.Sprint("data key in hex ", i)] = hex.EncodeToString(key)
	}
	if raw, err := hex.DecodeString(secrets["previous master key"]); err == nil {
		secrets["previous master key as bytes"] = string(raw)
	}
	for where, text := range heard {
		if bytes.Contains(text, []byte("PRIVATE KEY-----")) {
			t.Errorf("a private key is heard in %s", where)
		}
	}
	if len(heard) < 40 || len(heard["the log"]) < 1000 {
		t.Fatalf("only %d places were listened at, the log has %d bytes", len(heard), len(heard["the log"]))
	}
	if len(codes.RecoveryCodes) != 10 {
		t.Errorf("%d recovery codes were planted", len(codes.RecoveryCodes))
	}
	for what, secret := range secrets {
		if len(secret) < 8 {
			t.Errorf("the %s was not planted: %q", what, secret)
			continue
		}
		for where, text := range heard {
			if i := bytes.Index(text, []byte(secret)); i >= 0 {
				t.Errorf("the %s is heard in %s: ...%q", what, where, text[max(0, i-80):i])
			}
		}
	}
}

// listeners reads everything that an owner may read.
func listeners(t *testing.T, c *client) map[string][]byte {
	t.Helper()
	d := readDocument(t, c)
	w := &crossing{T: t, d: d}
	heard := map[string][]byte{}
	ids := w.lists(c)
	for _, op := range d.operations {
		if op.method != http.MethodGet {
			continue
		}
		paths := []string{op.path}
		if pathParam.MatchString(op.path) {
			paths = nil
			for id := range ids {
				paths = append(paths, op.at(id))
			}
		}
		for _, path := range paths {
			_, b := c.ask("GET", path, nil)
			heard[path] = b
		}
	}
	_, heard["/metrics"] = c.visitor().ask("GET", "/metrics", nil)
	_, heard["a person's export"] = c.ask("POST", "/api/v1/persons/export", map[string]string{"subject": email, "reason": "asked"})
	return heard
}

// files reads every file of a folder but the master key.
func files(t *testing.T, dir string, heard map[string][]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		heard["the file "+strings.TrimPrefix(path, dir)] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// commandLine is what the commands of the program use.
func commandLine(t *testing.T, c app.Config) *app.Admin {
	t.Helper()
	return admin(t, c)
}

// vaultBetween runs Vault's transit engine (bin/vault, which make builds) with a key for Parley and gives its address, and
// what was wrapped there: data keys.
func vaultBetween(t *testing.T, token string) (addr string, passed func() [][]byte) {
	t.Helper()
	cmd := exec.Command("../../bin/vault", token) //nolint:noctx // it ends when the pipe does
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("Vault's transit engine is missing: run 'make bin/vault': %v", err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	at, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var keys [][]byte
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: strings.TrimSpace(at)})
	way := &http.Transport{}
	proxy.Transport = way
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var said struct{ Plaintext []byte }
		if err == nil && json.Unmarshal(b, &said) == nil && len(said.Plaintext) > 0 {
			mu.Lock()
			keys = append(keys, said.Plaintext)
			mu.Unlock()
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { srv.Close(); way.CloseIdleConnections() })
	newClient(t, srv.URL).with("X-Vault-Token", token).want(http.StatusOK, "POST", "/v1/transit/keys/parley", map[string]string{}, nil)
	return strings.TrimPrefix(srv.URL, "http://"), func() [][]byte { mu.Lock(); defer mu.Unlock(); return slices.Clone(keys) }
}
