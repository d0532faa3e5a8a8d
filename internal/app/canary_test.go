package app_test

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	c.SMTPURL, c.MailFrom = "smtp://mailer:"+plant("mail password")+"@127.0.0.1:1", "Parley <parley@example.com>"
	s, admin := openWith(t, c)
	// What people give to sign in, and what is made for them.
	secrets["first password"] = password
	wrong := admin.visitor()
	wrong.want(http.StatusUnauthorized, "POST", "/api/v1/auth/sign-in", map[string]string{"email": email, "password": plant("wrong password")}, nil)
	var key struct{ Secret string }
	admin.want(http.StatusCreated, "POST", "/api/v1/tokens", map[string]string{"name": "robot"}, &key)
	secrets["API token"] = key.Secret
	var totp struct{ Secret string }
	admin.want(http.StatusOK, "POST", "/api/v1/me/mfa/totp", nil, &totp)
	secrets["authenticator secret"] = totp.Secret
	var sent struct{ ShownLink *string }
	admin.want(http.StatusCreated, "POST", "/api/v1/invitations", map[string]string{"email": "new@example.com", "role": "viewer"}, &sent)

	var model struct{ ID string }
	admin.want(http.StatusCreated, "POST", "/api/v1/models", map[string]any{"name": "box", "baseUrls": map[string]string{"llm": "http://127.0.0.1:1/v1"},
		"keys": map[string]string{"llm": plant("model key")}}, &model)
	admin.ask("POST", "/api/v1/models/"+model.ID+"/probe", nil)
	admin.want(http.StatusCreated, "POST", "/api/v1/phones", map[string]string{"username": "desk", "password": plant("phone password")}, nil)
	admin.want(http.StatusCreated, "POST", "/api/v1/sso/connections", map[string]any{"name": "Work", "protocol": "oidc", "clientSecret": plant("client secret"),
		"oidc": map[string]any{"issuer": "https://id.example.com", "clientId": "parley", "emailClaim": "", "scopes": []string{"openid"}}}, nil)
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
	if len(heard) < 40 || len(heard["the log"]) < 1000 {
		t.Fatalf("only %d places were listened at, the log has %d bytes", len(heard), len(heard["the log"]))
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
