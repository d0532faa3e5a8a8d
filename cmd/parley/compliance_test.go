package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/campaign/ledger"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

// decisions is a file of one decision, and the key set that it is signed by.
func decisions(t *testing.T) (file, keys []byte) {
	t.Helper()
	by, err := hashchain.NewKeySigner(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var b bytes.Buffer
	w, err := ledger.NewWriter(&b, ledger.Header{OrganisationID: "org", CampaignID: "c1", Campaign: "Spring", BaseHash: hashchain.Genesis, At: now})
	if err != nil {
		t.Fatal(err)
	}
	r := ledger.Record{Seq: 1, ID: "d1", At: now, LeadID: "l1", Number: "+49301", Salt: "0a", Commitment: ledger.Commit("+49301", "0a"), Allowed: true,
		Body: json.RawMessage(`{}`), PrevHash: hashchain.Genesis}
	r.Hash = r.Sum("org", "c1")
	if err := w.Record(r); err != nil {
		t.Fatal(err)
	}
	if err := w.End(by, 1, r.Hash); err != nil {
		t.Fatal(err)
	}
	keys, err = json.Marshal(map[string]any{"keys": []hashchain.JWK{hashchain.NewJWK(hashchain.Thumbprint(by.Public()), hashchain.Encode64(by.Public()))}})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), keys
}

// An auditor proves decisions from a file and a key set, without a server.
func TestComplianceCommands(t *testing.T) {
	dir := t.TempDir()
	file, keys := decisions(t)
	path, jwks := filepath.Join(dir, "decisions.ndjson"), filepath.Join(dir, "keys.json")
	for name, b := range map[string][]byte{path: file, jwks: keys} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := command(t, "", "compliance", "verify", path, "--jwks", jwks)
	if err != nil || !strings.Contains(out, `"Spring" (c1) are whole and unchanged`) || !strings.Contains(out, "1 to call, 0 not to") || strings.Contains(out, "--jwks") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := command(t, string(file), "compliance", "verify", "-"); err != nil || !strings.Contains(out, "give --jwks") {
		t.Errorf("from standard input, without keys: %v\n%s", err, out)
	}
	changed := strings.Replace(string(file), `"allowed":true`, `"allowed":false`, 1)
	if _, err := command(t, changed, "compliance", "verify", "-"); err == nil || !strings.Contains(err.Error(), "broken at decision 1") {
		t.Errorf("a decision that was changed: %v", err)
	}
	for _, args := range [][]string{{}, {path, "--org", "House"}} {
		if _, err := command(t, "", append([]string{"compliance", "verify"}, args...)...); err == nil || !strings.Contains(err.Error(), "name a file") {
			t.Errorf("%v: %v", args, err)
		}
	}
	data := []string{"--data-dir", filepath.Join(dir, "data")}
	if _, err := command(t, "a long pass phrase of hers\n", append([]string{"org", "create", "--name", "House", "--owner-email", "anna@example.com", "--password-stdin"}, data...)...); err != nil {
		t.Fatal(err)
	}
	if out, err := command(t, "", append([]string{"compliance", "export", "--org", "House"}, data...)...); err != nil || out != "" {
		t.Errorf("nobody was called: %v\n%s", err, out)
	}
	if _, err := command(t, "", append([]string{"compliance", "verify", "--org", "House"}, data...)...); err == nil || !strings.Contains(err.Error(), "holds no decisions") {
		t.Errorf("nobody was called: %v", err)
	}
	if _, err := command(t, "", append([]string{"compliance", "export", "--org", "Nobody"}, data...)...); err == nil || !strings.Contains(err.Error(), "no organisation") {
		t.Errorf("an organisation that is not there: %v", err)
	}
}
