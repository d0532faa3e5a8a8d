package mediastream

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/fault"
)

var testKey = bytes.Repeat([]byte{7}, 32)

func newTokens(t *testing.T, c TokensConfig) *Tokens {
	t.Helper()
	if c.Key == nil {
		c.Key = testKey
	}
	tk, err := NewTokens(c)
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

func TestTokenLife(t *testing.T) {
	ctx := context.Background()
	clock := quartz.NewMock(t)
	tk := newTokens(t, TokensConfig{Clock: clock})
	in := Claims{Org: "0198c0de-0000-7000-8000-000000000001", Agent: "front-desk", CallSid: "CA1", From: "+14158675309", To: "+18005551212", Single: true}
	token, err := tk.Mint(in, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tk.Verify(ctx, token, "CA2"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("another call's stream: %v", err)
	}
	got, err := tk.Verify(ctx, token, "CA1")
	if err != nil || got.Org != in.Org || got.Agent != in.Agent || got.From != in.From || got.To != in.To {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := tk.Verify(ctx, token, "CA1"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("second use: %v", err)
	}
	in.Single, in.CallSid = false, ""
	token, err = tk.Mint(in, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := tk.Verify(ctx, token, "any"); err != nil {
			t.Errorf("a token for many uses: %v", err)
		}
	}
	clock.Advance(time.Minute)
	if _, err := tk.Verify(ctx, token, "any"); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("expired: %v", err)
	}
}

func TestTokenRefusesForgery(t *testing.T) {
	ctx := context.Background()
	tk := newTokens(t, TokensConfig{})
	other := newTokens(t, TokensConfig{Key: bytes.Repeat([]byte{8}, 32)})
	token, err := tk.Mint(Claims{Org: "o", Agent: "a"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Mint(Claims{Org: "o", Agent: "a"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	bad := []string{"", ".", "pmt1.", "pmt1..", foreign, token[:len(token)-1], token + "A", "x" + token, strings.Repeat("a", 5000)}
	for i := len(tokenPrefix); i < len(token); i++ {
		b := []byte(token)
		b[i] ^= 1
		bad = append(bad, string(b))
	}
	for _, s := range bad {
		if _, err := tk.Verify(ctx, s, ""); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("accepted %.60q: %v", s, err)
		}
	}
}

func TestTokenBounds(t *testing.T) {
	if _, err := NewTokens(TokensConfig{Key: []byte("short")}); !fault.Is(err, fault.Invalid) {
		t.Errorf("short key: %v", err)
	}
	tk := newTokens(t, TokensConfig{})
	for name, c := range map[string]Claims{
		"no organisation": {Agent: "a"}, "no agent": {Org: "o"}, "too long": {Org: "o", Agent: strings.Repeat("a", 400)},
	} {
		if _, err := tk.Mint(c, time.Minute); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tk.Mint(Claims{Org: "o", Agent: "a"}, 0); !fault.Is(err, fault.Invalid) {
		t.Errorf("no validity: %v", err)
	}
	if _, err := tk.Mint(Claims{Org: "o", Agent: "a", Single: true}, time.Hour); !fault.Is(err, fault.Invalid) {
		t.Errorf("long single use: %v", err)
	}
	broken := newTokens(t, TokensConfig{Rand: bytes.NewReader(nil)})
	if _, err := broken.Mint(Claims{Org: "o", Agent: "a"}, time.Minute); !fault.Is(err, fault.Internal) {
		t.Errorf("no randomness: %v", err)
	}
	down := newTokens(t, TokensConfig{Claim: func(context.Context, string, time.Time) (bool, error) { return false, errors.New("down") }})
	token, err := down.Mint(Claims{Org: "o", Agent: "a", Single: true}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := down.Verify(context.Background(), token, ""); !fault.Is(err, fault.Unavailable) {
		t.Errorf("record unreachable: %v", err)
	}
}

func TestTokenRecordIsBounded(t *testing.T) {
	clock := quartz.NewMock(t)
	tk := newTokens(t, TokensConfig{Clock: clock})
	soon := clock.Now().Add(time.Minute)
	for i := range maxRemember {
		tk.used[strconv.Itoa(i)] = soon.Unix()
	}
	if _, err := tk.remember(context.Background(), "new", soon); err == nil {
		t.Error("a full record accepted a token")
	}
	clock.Advance(2 * time.Minute)
	if first, err := tk.remember(context.Background(), "new", clock.Now().Add(time.Minute)); err != nil || !first {
		t.Errorf("after expiry: %v, %v", first, err)
	}
	if len(tk.used) != 1 {
		t.Errorf("%d remembered", len(tk.used))
	}
}

func FuzzToken(f *testing.F) {
	tk, err := NewTokens(TokensConfig{Key: testKey})
	if err != nil {
		f.Fatal(err)
	}
	good, err := tk.Mint(Claims{Org: "o", Agent: "a"}, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("pmt1.e30.AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := tk.Verify(context.Background(), s, ""); err == nil && (c.Org != "o" || c.Agent != "a") {
			t.Fatalf("a token that was never minted is taken: %q", s)
		}
	})
}
