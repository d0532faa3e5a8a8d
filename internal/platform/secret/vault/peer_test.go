package vault_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/vault"
)

// envServer names the variable with the path of the peer; without it bin/vault is used, which make builds.
const envServer = "PARLEY_TEST_VAULT"

const peerToken = "hvs.parley-test"

// peer is Vault's own transit engine in another process: test/peers/vault.
type peer struct {
	t    *testing.T
	addr string
}

func startPeer(t *testing.T) *peer {
	t.Helper()
	bin := os.Getenv(envServer)
	if bin == "" {
		dir, err := os.Getwd()
		for ; err == nil && filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
		}
		bin = filepath.Join(dir, "bin/vault")
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("Vault's transit engine is missing: run 'make bin/vault', or name it in %s: %v", envServer, err)
	}
	cmd := exec.Command(bin, peerToken) //nolint:noctx // it ends when the pipe does
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("it says nothing: %v", err)
	}
	return &peer{t, strings.TrimSpace(addr)}
}

// write does what an administrator does with "vault write".
func (p *peer) write(path, body string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://"+p.addr+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("X-Vault-Token", peerToken)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	if b, err := io.ReadAll(res.Body); err != nil || res.StatusCode >= 300 {
		p.t.Fatalf("%s: %d %s %v", path, res.StatusCode, b, err)
	}
}

func (p *peer) transit(key, token string) *vault.Transit {
	p.t.Helper()
	v, err := vault.New(vault.Config{URL: "vault+http://" + p.addr + "/transit/" + key, Token: token, Clock: quick(p.t)})
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// quick is a clock on which pauses are over at once.
func quick(t *testing.T) quartz.Clock {
	clock := quartz.NewMock(t)
	trap := clock.Trap().NewTimer("vault")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			call, err := trap.Wait(t.Context())
			if err != nil {
				return
			}
			call.MustRelease(t.Context())
			clock.Advance(call.Duration)
		}
	}()
	t.Cleanup(func() { <-done; trap.Close() })
	return clock
}

// What Vault's own engine says to what we send, from wrapping to a key that is gone.
func TestVaultsOwnEngine(t *testing.T) {
	p := startPeer(t)
	ctx := t.Context()
	p.write("/v1/transit/keys/parley", `{"type":"aes256-gcm96"}`)
	v := p.transit("parley", peerToken)
	key := []byte("0123456789abcdef0123456789abcdef")
	wrap := func(v *vault.Transit) []byte {
		t.Helper()
		wrapped, err := v.Wrap(ctx, key, "org/1")
		if err != nil {
			t.Fatal(err)
		}
		return wrapped
	}
	opens := func(what string, wrapped []byte) {
		t.Helper()
		if got, err := v.Unwrap(ctx, wrapped, "org/1"); err != nil || string(got) != string(key) {
			t.Errorf("%s: %q %v", what, got, err)
		}
	}
	refused := func(what string, code fault.Code, v *vault.Transit, wrapped []byte, aad string) {
		t.Helper()
		if _, err := v.Unwrap(ctx, wrapped, aad); !fault.Is(err, code) || strings.Contains(fmt.Sprint(err), peerToken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	first := wrap(v)
	opens("what was wrapped", first)
	refused("for another key", fault.Forbidden, v, first, "org/2")
	refused("altered", fault.Forbidden, v, append(append([]byte{}, first[:len(first)-6]...), "AAAAA="...), "org/1")
	refused("no ciphertext", fault.Forbidden, v, []byte("hello"), "org/1")
	refused("with another token", fault.Forbidden, p.transit("parley", "hvs.wrong"), first, "org/1")

	// Vault makes keys of whose name nobody has heard when something is encrypted; decrypting does not.
	refused("with a key that is not there", fault.Forbidden, p.transit("nobody", peerToken), first, "org/1")
	// An administrator rotates Vault's key: both versions open until the older one may not.
	p.write("/v1/transit/keys/parley/rotate", `{}`)
	second := wrap(v)
	if !strings.HasPrefix(string(second), "vault:v2:") {
		t.Errorf("after rotation it wraps as %s", second)
	}
	opens("of before the rotation", first)
	opens("of after the rotation", second)
	p.write("/v1/transit/keys/parley/config", `{"min_decryption_version":2}`)
	refused("of a version that may not be used", fault.Forbidden, v, first, "org/1")
	opens("of the version that may", second)

	// A key of a type without associated data says so instead of leaving it out.
	p.write("/v1/transit/keys/rsa", `{"type":"rsa-2048"}`)
	if _, err := p.transit("rsa", peerToken).Wrap(ctx, key, "org/1"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("an RSA key: %v", err)
	}
	p.write("/test/sealed?on=true", "")
	refused("sealed", fault.Unavailable, v, second, "org/1")
	p.write("/test/sealed?on=false", "")
	opens("unsealed again", second)
}
