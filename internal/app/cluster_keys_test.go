package app_test

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/pquerna/otp/totp"

	"github.com/parley-voice/parley/internal/app"
)

// withoutMasterKey is what a gateway seals and opens, and who signs in with what it sealed, where only workers have the master
// key: not the gateway, not media processes, in no setting and in no file.
func withoutMasterKey(t *testing.T, in *installation, api *client, others ...app.Config) {
	t.Helper()
	for _, c := range others {
		if c.Key+c.KeyPrevious+c.KMS != "" {
			t.Fatalf("the process with the role %s has a master key", c.Role)
		}
		err := filepath.WalkDir(c.DataDir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if strings.HasPrefix(e.Name(), "key") || bytes.Contains(b, []byte(clusterKey)) {
				t.Errorf("%s has a master key in %s", c.Role, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	owner := asOwner(t, api.base)
	sealed(t, owner, "box")
	bySecondFactor(t, owner)
	// Another organisation's data key is made by the gateway, and wrapped by a worker.
	id, lake := owner.found("Lakeside", "lake@example.com", "shared")
	sealed(t, lake, "lake box")

	c := others[0]
	admin, err := app.OpenAdmin(t.Context(), c, "test", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, n, err := admin.RotateOrganisationKey(t.Context(), id); err != nil || n == 0 {
		t.Errorf("a new data key of an organisation: %d values, %v", n, err)
	}
	if _, _, err := admin.RotateKey(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "worker's settings") {
		t.Errorf("rotating the master key without having it: %v", err)
	}
	status, err := admin.KeyStatus(t.Context())
	if err != nil || len(status.Wrappers) != 1 || !strings.HasPrefix(status.Wrapper, "local:") || status.Settings != status.Wrapper {
		t.Errorf("the keys: %+v, %v", status, err)
	}
	sealed(t, lake, "second box")
	strangersGetNoKeys(t, in)
}

// sealed gives an organisation one of each secret that a gateway seals, and has what it can open used.
func sealed(t *testing.T, c *client, name string) {
	t.Helper()
	var model struct{ ID string }
	c.want(http.StatusCreated, "POST", "/api/v1/models", map[string]any{"name": name, "baseUrls": map[string]string{"llm": "http://127.0.0.1:1/v1"},
		"keys": map[string]string{"llm": "sk-" + name}}, &model)
	// The probe opens the key; nobody is at that address.
	if res, b := c.ask("POST", "/api/v1/models/"+model.ID+"/probe", nil); res.StatusCode != http.StatusOK {
		t.Errorf("probe: %d %s", res.StatusCode, b)
	}
	user := strings.ReplaceAll(name, " ", "-")
	c.want(http.StatusCreated, "POST", "/api/v1/phones", map[string]string{"username": user, "password": "phone of " + name}, nil)
	c.want(http.StatusCreated, "POST", "/api/v1/sso/connections", map[string]any{"name": name, "protocol": "oidc", "clientSecret": "client secret of " + name,
		"oidc": map[string]any{"issuer": "https://id.example.com", "clientId": "parley", "emailClaim": "", "scopes": []string{"openid"}}}, nil)
	if got := c.secrets(100); len(got) < 3 {
		t.Errorf("secrets: %+v", got)
	}
}

// bySecondFactor has a person set up an authenticator app and sign in with it.
func bySecondFactor(t *testing.T, owner *client) {
	t.Helper()
	person := owner.invite("factor@example.com", "viewer")
	var key struct{ Secret, Challenge string }
	person.want(http.StatusOK, "POST", "/api/v1/me/mfa/totp", nil, &key)
	code := func(at time.Time) string {
		c, err := totp.GenerateCode(key.Secret, at)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	now := time.Now()
	person.want(http.StatusOK, "POST", "/api/v1/me/mfa/totp/confirm", map[string]string{"challenge": key.Challenge, "code": code(now)}, nil)
	v := owner.visitor()
	var asked struct{ Challenge string }
	v.want(http.StatusOK, "POST", "/api/v1/auth/sign-in", map[string]string{"email": "factor@example.com", "password": password}, &asked)
	res, b := v.ask("POST", "/api/v1/auth/second-factor", map[string]string{"challenge": asked.Challenge, "method": "totp", "code": code(now.Add(30 * time.Second))})
	v.signedIn(res, b).want(http.StatusOK, "GET", "/api/v1/me", nil, nil)
}

// strangersGetNoKeys asks on NATS, with the nkeys that other processes have, for what workers do for a gateway.
func strangersGetNoKeys(t *testing.T, in *installation) {
	t.Helper()
	for _, role := range []string{"gateway", "media"} {
		seed, err := nats.NkeyOptionFromSeed(in.nats.Seeds[role])
		if err != nil {
			t.Fatal(err)
		}
		refused := make(chan error, 4)
		nc, err := nats.Connect(in.nats.URL, seed, nats.RootCAs(in.nats.CA), nats.CustomInboxPrefix("_INBOX_"+role),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		// With the nkey alone, without a signing key of the installation, nothing but the offer is to be had.
		m, err := nc.Request("parley.ask.keys."+role, nil, within)
		var offer struct{ Holder string }
		if err != nil || json.Unmarshal(m.Data, &offer) != nil || offer.Holder == "" {
			t.Fatalf("the offer: %v", err)
		}
		for _, said := range []string{"{}", "no", `{"encapsulated":"AAAA","sealed":"AAAA"}`} {
			m, err := nc.Request("parley.ask.keys."+role+"."+offer.Holder, []byte(said), within)
			if err != nil || !strings.Contains(string(m.Data), `"problem"`) || strings.Contains(string(m.Data), `"sealed"`) {
				t.Errorf("%s gets %s, %v", role, m.Data, err)
			}
		}
		// As somebody else the server does not even pass it on.
		if err := nc.Publish("parley.ask.keys."+map[string]string{"gateway": "media", "media": "gateway"}[role], nil); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.SubscribeSync("parley.ask.keys.>"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-refused; !strings.Contains(strings.ToLower(err.Error()), "permissions violation") {
				t.Errorf("%s: %v", role, err)
			}
		}
	}
}

// withoutWorkers is what goes on when all workers are away, and what does not: keys that are in memory seal and open, new ones
// cannot be had, and who asks for one is told what is missing.
func withoutWorkers(t *testing.T, in *installation, api *client, gateway, worker *process, c app.Config) {
	t.Helper()
	if log := worker.screen.String(); !strings.Contains(log, "role=gateway organisation=") || !strings.Contains(log, "role=media organisation=") {
		t.Error("the worker's log does not tell for whom it handled data keys")
	}
	if log := gateway.screen.String(); strings.Contains(log, clusterKey) {
		t.Error("the gateway's log has the master key")
	}
	owner := asOwner(t, api.base)
	_, hill := owner.found("Hillside", "hill@example.com", "shared")
	worker.kill()
	sealed(t, owner, "third box")
	body := map[string]any{"name": "box", "baseUrls": map[string]string{"llm": "http://127.0.0.1:1/v1"}, "keys": map[string]string{"llm": "sk-hill"}}
	res, b := hill.ask("POST", "/api/v1/models", body)
	if res.StatusCode != http.StatusServiceUnavailable && res.StatusCode != http.StatusGatewayTimeout || !strings.Contains(string(b), "start one with the role worker") {
		t.Errorf("a new data key without a worker: %d %s", res.StatusCode, b)
	}
	stackless(t, "a new data key without a worker", res.StatusCode, b)
	in.run(c).up(t)
	hill.want(http.StatusCreated, "POST", "/api/v1/models", body, nil)
}
