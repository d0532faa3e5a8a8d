package app_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// oldToken is an API token of the old data folder's owner.
const oldToken = "pk_m8QbaJgjSdgglI3gh9GSMrfTufI1prO0q6ApEsUe8A4"

// testdata/before-organisations.tar.gz is the data folder that the program left at commit c5ceeb1, before there were
// organisations of one's own, audit trails and data keys: an owner, a token, a vendor's key, a phone and a call with its
// recording. The server of now opens it, and everything in it is there, though the master key sealed it.
func TestOldDataFolder(t *testing.T) {
	c := settings(t.TempDir(), "45400-45439")
	unpack(t, "testdata/before-organisations.tar.gz", c.DataDir)
	c.SIPTrust = "203.0.113.0/24"
	s := start(t, c)
	api := signIn(t, "http://"+s.HTTPAddr())
	newClient(t, api.base).with("Authorization", "Bearer "+oldToken).want(http.StatusOK, "GET", "/api/v1/me", nil, nil)

	items := api.calls("")
	if len(items) != 1 {
		t.Fatalf("%d calls", len(items))
	}
	got := api.call(items[0].ID)
	if got.AgentSlug != "sim" || got.From != "desk" || got.Status != "ended" || got.EndReason != "normal" || got.Codec != "PCMU" || got.Recording.State != "available" {
		t.Errorf("the call is %+v", got)
	}
	if kinds(api.events(got.ID))["call.answered"] == 0 {
		t.Errorf("its event log is %v", kinds(api.events(got.ID)))
	}
	if said := api.transcript(got.ID); len(said) == 0 || said[0].Speaker != "agent" {
		t.Errorf("its transcript is %+v", said)
	}
	if res, b := api.ask("GET", "/api/v1/calls/"+got.ID+"/recording", nil); res.StatusCode != http.StatusOK || !bytes.HasPrefix(b, []byte("RIFF")) {
		t.Errorf("its recording: %d %.100s", res.StatusCode, b)
	}
	vendor := modelServer(t, "sk-of-the-vendor")
	var models struct {
		Items []struct{ ID, Name string }
	}
	api.want(http.StatusOK, "GET", "/api/v1/models", nil, &models)
	for _, m := range models.Items {
		if m.Name != "box" {
			continue
		}
		res, _ := api.ask("GET", "/api/v1/models/"+m.ID, nil)
		api.with("If-Match", res.Header.Get("ETag")).want(http.StatusOK, "PATCH", "/api/v1/models/"+m.ID, map[string]any{"name": "box", "baseUrls": map[string]string{"llm": vendor + "/v1"}}, nil)
		if _, b := api.ask("POST", "/api/v1/models/"+m.ID+"/probe", nil); !bytes.Contains(b, []byte(`"ok":true`)) {
			t.Errorf("the vendor's key: %s", b)
		}
	}
	callAs(t, s, "desk", "a phone's password")()
	eventually(t, "the second call", func() bool { return len(api.calls("?status=ended")) == 2 })
	// It has an audit trail from now on, under a key that was not there before.
	audit(t, c).proved(t, audit(t, c).keys)
}

func unpack(t *testing.T, file, dir string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it is only read
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, b, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
