package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func testKey(t testing.TB, fill byte) *Key {
	t.Helper()
	k, err := ParseKey(hex.EncodeToString(bytes.Repeat([]byte{fill}, KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestParseKey(t *testing.T) {
	raw := bytes.Repeat([]byte{0xfb, 1}, KeySize/2)
	for _, s := range []string{
		hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)), base64.StdEncoding.EncodeToString(raw),
		base64.RawURLEncoding.EncodeToString(raw), " " + hex.EncodeToString(raw) + "\n",
	} {
		k, err := ParseKey(s)
		if err != nil || !bytes.Equal(k.master[:], raw) {
			t.Errorf("ParseKey(%q): %v", s, err)
		}
	}
	for _, s := range []string{"", "hello", hex.EncodeToString(raw[:31]), strings.Repeat("z", 64)} {
		if _, err := ParseKey(s); err == nil || (s != "" && strings.Contains(err.Error(), s)) {
			t.Errorf("ParseKey(%q): error %v; want one that does not show the key", s, err)
		}
	}
}

func TestKeyHidesItself(t *testing.T) {
	k := testKey(t, 0xab)
	if s := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); strings.Contains(s, "171") || strings.Contains(s, "ab ab") || strings.Contains(s, "abab") {
		t.Errorf("printed %s", s)
	}
}

func TestLoadKeyMakesTheFileOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var wg sync.WaitGroup
	keys := make([]*Key, 4)
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = LoadKey("", dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys[1:] {
		if k == nil || keys[0] == nil || k.master != keys[0].master {
			t.Fatal("two processes that start together got different keys")
		}
	}
	path := filepath.Join(dir, "key")
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v, want mode 0600", st, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey("", dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: error %v", err)
	}
	set := strings.Repeat("0f", KeySize)
	if k, err := LoadKey(set, dir); err != nil || k.master[0] != 0x0f {
		t.Errorf("the setting must win: %v", err)
	}
}

func TestLoadKeyRefusesRubbish(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey("", dir); err == nil {
		t.Error("rubbish was taken for a key; a new one must not replace it either")
	}
}

func TestSeal(t *testing.T) {
	k := testKey(t, 1)
	for _, plain := range []string{"", "sk-123", strings.Repeat("x", 10_000)} {
		sealed, err := k.Seal([]byte(plain), []byte("row 1"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Open(sealed, []byte("row 1"))
		if err != nil || string(got) != plain {
			t.Errorf("got %q, %v", got, err)
		}
		again, _ := k.Seal([]byte(plain), []byte("row 1"))
		if bytes.Equal(sealed, again) {
			t.Error("sealed twice to the same bytes")
		}
		if _, err := k.Open(sealed, []byte("row 2")); !errors.Is(err, ErrOpen) {
			t.Errorf("opened in another place: %v", err)
		}
		if _, err := testKey(t, 2).Open(sealed, []byte("row 1")); !errors.Is(err, ErrOpen) {
			t.Errorf("opened with another key: %v", err)
		}
		for i := 0; i < len(sealed); i += 1 + len(sealed)/50 {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1
			if _, err := k.Open(bad, []byte("row 1")); !errors.Is(err, ErrOpen) {
				t.Errorf("byte %d altered: %v", i, err)
			}
			if _, err := k.Open(sealed[:i], []byte("row 1")); !errors.Is(err, ErrOpen) {
				t.Errorf("cut to %d: %v", i, err)
			}
		}
	}
}

func TestBoxesDoNotOpenEachOther(t *testing.T) {
	k := testKey(t, 1)
	sealed, err := k.Box("phones").Seal([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Box("phones").Open(sealed); err != nil || string(got) != "x" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := k.Box("models").Open(sealed); !errors.Is(err, ErrOpen) {
		t.Errorf("error %v", err)
	}
	if bytes.Equal(k.Derive("a"), k.Derive("b")) || !bytes.Equal(k.Derive("a"), k.Derive("a")) {
		t.Error("derived keys")
	}
}
