package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func signer(t testing.TB, seed byte) *hashchain.KeySigner {
	t.Helper()
	k, err := hashchain.NewKeySigner(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// chain is a file of one campaign with n decisions, the third of which lost its person, and a head after the second.
func chain(t testing.TB, by *hashchain.KeySigner, campaign string, n int) string {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, Header{OrganisationID: "org", CampaignID: campaign, Campaign: "Spring", BaseHash: hashchain.Genesis, At: noon})
	if err != nil {
		t.Fatal(err)
	}
	hash := hashchain.Genesis
	for i := 1; i <= n; i++ {
		r := Record{Seq: int64(i), ID: fmt.Sprint("d", i), At: noon.Add(time.Duration(i) * time.Second), LeadID: fmt.Sprint("l", i), Number: fmt.Sprintf("+4930%07d", i),
			Salt: strings.Repeat("0a", SaltBytes), Allowed: i%2 == 1, Body: json.RawMessage(`{"rules":[]}`), PrevHash: hash}
		r.Commitment = Commit(r.Number, r.Salt)
		if i == 3 {
			r.Number, r.Salt = "", ""
		}
		r.Hash = r.Sum("org", campaign)
		hash = r.Hash
		if err := w.Record(r); err != nil {
			t.Fatal(err)
		}
		if i != 2 {
			continue
		}
		h, err := Sign(by, "org", campaign, r.Seq, r.Hash, noon)
		if err == nil {
			err = w.Head(h)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(by, int64(n), hash); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestVerify(t *testing.T) {
	by := signer(t, 1)
	key := func(k *hashchain.KeySigner) []hashchain.JWK {
		return []hashchain.JWK{hashchain.NewJWK(hashchain.Thumbprint(k.Public()), hashchain.Encode64(k.Public()))}
	}
	file := chain(t, by, "a", 4) + chain(t, by, "b", 1)
	got, err := Verify(strings.NewReader(file), key(by))
	if err != nil || len(got) != 2 || got[0].Decisions != 4 || got[0].Allowed != 2 || got[0].Erased != 1 || got[0].Heads != 1 || !got[0].Trusted || got[1].CampaignID != "b" {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := Verify(strings.NewReader(file), nil); err != nil || got[0].Trusted {
		t.Errorf("without keys: %+v, %v", got, err)
	}
	var broken *Broken
	if _, err := Verify(strings.NewReader(file), key(signer(t, 2))); !errors.As(err, &broken) {
		t.Errorf("by somebody else's key: %v", err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(file, "\n"), "\n")
	for i := range lines {
		if _, err := Verify(strings.NewReader(strings.Join(lines[:i], "")+strings.Join(lines[i+1:], "")), nil); err == nil {
			t.Errorf("nobody notices that line %d is missing", i+1)
		}
	}
	for at := range file { // the keys of the file itself are not trusted, but they cover every letter
		changed := []byte(file)
		if changed[at]++; changed[at] == '\n' {
			continue
		}
		if _, err := Verify(bytes.NewReader(changed), key(by)); err == nil {
			t.Fatalf("nobody notices that byte %d is another: %q", at, changed[max(0, at-20):at+20])
		}
	}
	for text, code := range map[string]fault.Code{"": fault.Invalid, "decisions\n": fault.Invalid, strings.Repeat(" ", mostLine+1) + "\n": fault.Invalid} {
		if _, err := Verify(strings.NewReader(text), nil); !fault.Is(err, code) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// endless is a file without a line's end.
type endless struct{ left int }

func (e *endless) Read(b []byte) (int, error) {
	if e.left -= len(b); e.left < 0 {
		return 0, errors.New("it was read to its end")
	}
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

func TestLinesAreBounded(t *testing.T) {
	if _, err := Verify(&endless{16 << 20}, nil); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

// Nothing that is not this very file is proved by its key.
func FuzzVerify(f *testing.F) {
	by := signer(f, 1)
	file := chain(f, by, "a", 3)
	keys := []hashchain.JWK{hashchain.NewJWK(hashchain.Thumbprint(by.Public()), hashchain.Encode64(by.Public()))}
	f.Add([]byte(file))
	f.Add([]byte(file + file))
	f.Add([]byte(strings.ReplaceAll(file, "seq", "Seq")))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Verify(bytes.NewReader(b), keys)
		if err == nil && strings.Repeat(file, len(got)) != string(b) {
			t.Errorf("another file was proved: %q", b)
		}
	})
}
