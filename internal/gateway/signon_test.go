package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/pquerna/otp/totp"

	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
)

// browser keeps the session's cookie, whatever it is called, and sends no other.
type browser struct {
	*testing.T
	h      http.Handler
	cookie *http.Cookie
}

func (b *browser) do(method, path string, body any, want int) (out map[string]any) {
	b.Helper()
	var r io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			b.Fatal(err)
		}
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(b.Context(), method, "https://parley.example"+path, r)
	if err != nil {
		b.Fatal(err)
	}
	req.RemoteAddr = "192.0.2.7:4711"
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", "https://parley.example")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if b.cookie != nil {
		req.AddCookie(b.cookie)
	}
	rec := httptest.NewRecorder()
	b.h.ServeHTTP(rec, req)
	res := rec.Result()
	raw, _ := io.ReadAll(res.Body)
	if res.StatusCode != want {
		b.Fatalf("%s %s: %d %s, want %d", method, path, res.StatusCode, raw, want)
	}
	for _, c := range res.Cookies() {
		if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Name != "__Host-parley_session" {
			b.Errorf("cookie %s", c)
		}
		if b.cookie = c; c.MaxAge < 0 {
			b.cookie = nil
		}
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &out); err != nil {
			b.Fatalf("%s %s: %s", method, path, raw)
		}
	}
	return out
}

// A person signs in, adds a second factor, stays for an hour, and signs in with both: all through the API.
func TestSignOnThroughTheAPI(t *testing.T) {
	dbtest.Each(t, []db.Migrations{identity.Migrations()}, func(t *testing.T, d *db.DB) {
		clock := quartz.NewMock(t).WithLogger(quartz.NoOpLogger)
		clock.Set(time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC))
		log := slog.New(slog.DiscardHandler)
		s, err := identity.New(identity.Config{DB: d, Passwords: identity.PasswordCost{Passes: 1, MemoryKiB: 64}, Clock: clock, Log: log, Sealer: envelopetest.New(0x5a), Secure: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		const password = "quiet green river"
		if _, err := s.CreateOwner(context.Background(), identity.NewOwner{Email: "anna@example.com", Password: password}); err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		s.Routes(gateway.NewAPI(mux, gateway.APIConfig{Version: "test", Auth: s, Log: log}))
		b := &browser{T: t, h: mux}

		b.do("GET", "/api/v1/me", nil, 401)
		credentials := map[string]string{"email": "anna@example.com", "password": password}
		b.do("POST", "/api/v1/auth/sign-in", credentials, 200)
		if me := b.do("GET", "/api/v1/me", nil, 200); me["step"] != nil {
			t.Errorf("me %v", me)
		}
		for range 4 { // the cookie changes on the way
			before := b.cookie.Value
			clock.Advance(16 * time.Minute)
			b.do("GET", "/api/v1/me", nil, 200)
			if b.cookie.Value == before {
				t.Error("the session's secret is the same after 16 minutes")
			}
		}
		// An hour later the password is asked for again before a factor can be added.
		if p := b.do("POST", "/api/v1/me/mfa/totp", nil, 403); p["code"] != "reauthenticate" {
			t.Errorf("problem %v", p)
		}
		b.do("POST", "/api/v1/me/confirm", map[string]string{"method": "password", "password": password}, 204)
		app := b.do("POST", "/api/v1/me/mfa/totp", nil, 200)
		code := func() string {
			code, err := totp.GenerateCode(app["secret"].(string), clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			return code
		}
		done := b.do("POST", "/api/v1/me/mfa/totp/confirm", map[string]any{"challenge": app["challenge"], "code": code()}, 200)
		if codes := done["recoveryCodes"].([]any); len(codes) != 10 {
			t.Errorf("%d recovery codes", len(codes))
		}
		mfa := b.do("GET", "/api/v1/me/mfa", nil, 200)
		if raw, _ := json.Marshal(mfa); strings.Contains(string(raw), app["secret"].(string)) {
			t.Error("the app's secret is shown again")
		}
		b.do("POST", "/api/v1/auth/sign-out", nil, 204)
		if b.cookie != nil {
			t.Error("signed out, and the cookie is still there")
		}
		b.do("GET", "/api/v1/me", nil, 401)

		half := b.do("POST", "/api/v1/auth/sign-in", credentials, 200)
		if half["step"] != "second_factor" || b.cookie != nil {
			t.Fatalf("after the password: %v, cookie %v", half, b.cookie)
		}
		clock.Advance(30 * time.Second)
		b.do("POST", "/api/v1/auth/second-factor", map[string]any{"challenge": half["challenge"], "method": "totp", "code": code()}, 200)
		list := b.do("GET", "/api/v1/me/sessions", nil, 200)["items"].([]any)
		if len(list) != 1 || list[0].(map[string]any)["secondFactor"] != true {
			t.Errorf("sessions %v", list)
		}
		// A token of the person's, which may do everything, does not change how the person signs in.
		tok := b.do("POST", "/api/v1/tokens", map[string]any{"name": "ci", "allowedIps": []string{"192.0.2.0/24"}}, 201)
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "https://parley.example/api/v1/me/mfa", nil)
		req.RemoteAddr = "192.0.2.8:1"
		req.Header.Set("Authorization", "Bearer "+tok["secret"].(string))
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, req)
		if rec.Code != 403 {
			t.Errorf("a token reads its person's factors: %d %s", rec.Code, rec.Body)
		}
	})
}
