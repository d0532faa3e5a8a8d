package compliance

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

// people holds calls by their party.
type people struct {
	calls map[string]string // id to address
	fail  error
}

func (p *people) ExportPerson(_ context.Context, _, _ string, match func(string) bool, put func(string, func(io.Writer) error) error) error {
	for id, party := range p.calls {
		if match(party) {
			if err := put("calls/"+id, func(w io.Writer) error { _, err := io.WriteString(w, party); return err }); err != nil {
				return err
			}
		}
	}
	return p.fail
}

func (p *people) ErasePerson(_ context.Context, _, _ string, match func(string) bool, keep func(string, ...string) bool) (map[string]int64, int64, error) {
	n, kept := int64(0), int64(0)
	for id, party := range p.calls {
		switch {
		case !match(party):
		case keep(id, party):
			kept++
		default:
			delete(p.calls, id)
			n++
		}
		if p.fail != nil && n > 0 {
			break
		}
	}
	return map[string]int64{"calls": n}, kept, p.fail
}

func TestErasure(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := asUser(t.Context())
		data := &people{calls: map[string]string{"1": "+49-30-123456", "2": "sip:+4930123456@x", "3": "tel:+4930123456", "other": "+49309"}, fail: errors.New("away")}
		var queued []string
		r.cfg.Persons = []PersonData{data}
		if _, err := r.Erase(ctx, orgA, "+4930123456", "asked"); err == nil {
			t.Error("taken without jobs")
		}
		r.cfg.Enqueue = func(_ context.Context, _ *db.Tx, id string) error { queued = append(queued, id); return nil }
		_, err := r.Hold(ctx, orgA, ScopeCall, "2", "case")
		must(t, err)
		_, err = r.AddConsent(ctx, orgA, NewConsent{Subject: "+49 30 123456", Scope: "recording", Source: "call", GivenAt: r.clock.Now()})
		must(t, err)
		e, err := r.Erase(ctx, orgA, "+49 30 123456", "letter of 1 March")
		must(t, err)
		if e.State != stateWaiting || e.Certificate != nil || len(queued) != 1 || queued[0] != e.ID {
			t.Fatalf("%+v, %v", e, queued)
		}
		if err := r.Carry(ctx, orgA, e.ID); err == nil {
			t.Error("a failure was not told")
		}
		data.fail = nil
		must(t, r.Carry(ctx, orgA, e.ID))
		must(t, r.Carry(ctx, orgA, e.ID)) // done already
		row, err := r.erasure(ctx, orgA, e.ID)
		must(t, err)
		v := row.view()
		c := v.Certificate
		if v.State != stateDone || c == nil || c.Erased["calls"] != 2 || c.Erased["consents"] != 1 || c.Kept != 1 || len(data.calls) != 2 || row.Subject != "" {
			t.Fatalf("%+v %+v", v, c)
		}
		if why := hashchain.CheckSignature(append([]byte(certificateContext), row.Certificate...), v.KeyID, v.PublicKey, v.Signature); why != "" {
			t.Error(why)
		}
		if why := hashchain.CheckSignature(append([]byte(certificateContext), strings.Replace(row.Certificate, `"kept":1`, `"kept":0`, 1)...), v.KeyID, v.PublicKey, v.Signature); why == "" {
			t.Error("another certificate was proved")
		}
		salt, err := hex.DecodeString(c.Salt)
		must(t, err)
		digest, err := pbkdf2.Key(sha256.New, "+4930123456", salt, 600_000, 32)
		must(t, err)
		if c.SubjectDigest != hex.EncodeToString(digest) || strings.Contains(row.Certificate, "123456") {
			t.Errorf("whose? %+v", c)
		}
		list, next, err := r.Erasures(ctx, orgA, "", 10)
		must(t, err)
		if len(list) != 1 || next != "" || list[0].Hash == "" {
			t.Errorf("%+v", list)
		}
		if items, _, err := r.Consents(ctx, orgA, "+4930123456", "", "", 10); err != nil || len(items) != 0 {
			t.Errorf("consents %+v %v", items, err)
		}
		if got := r.actions(); got["person.erase"] != 1 || got["person.erased"] != 1 {
			t.Errorf("%v", got)
		}
		if _, err := r.erasure(ctx, orgB, e.ID); err == nil {
			t.Error("another organisation sees it")
		}
		keys, err := r.Keys(ctx, orgA)
		must(t, err)
		if len(keys) != 1 || keys[0].KeyID != v.KeyID {
			t.Errorf("%+v", keys)
		}
	})
}

func TestPersonExport(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := asUser(t.Context())
		r.cfg.Persons = []PersonData{&people{calls: map[string]string{"1": "Anna@Example.com", "2": "berta@example.com"}}}
		_, err := r.AddConsent(ctx, orgA, NewConsent{Subject: "anna@example.com", Scope: "mail", Source: "form", GivenAt: r.clock.Now()})
		must(t, err)
		var b bytes.Buffer
		must(t, r.ExportPerson(ctx, orgA, "ANNA@example.com", &b))
		z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
		must(t, err)
		var names []string
		for _, f := range z.File {
			names = append(names, f.Name)
			rc, err := f.Open()
			must(t, err)
			text, err := io.ReadAll(rc)
			must(t, err)
			if f.Name == "consents.ndjson" && !bytes.Contains(text, []byte(`"scope":"mail"`)) {
				t.Errorf("%s", text)
			}
		}
		if strings.Join(names, " ") != "calls/1 consents.ndjson" {
			t.Errorf("%v", names)
		}
		if err := r.ExportPerson(ctx, orgA, "Anna", &b); err == nil {
			t.Error("nobody was exported")
		}
	})
}

func TestConsents(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := asUser(t.Context())
		now := r.clock.Now()
		soon := now.Add(time.Hour)
		c, err := r.AddConsent(ctx, orgA, NewConsent{Subject: "+49 30 123456", Scope: "recording", Source: "call", Proof: "call-1", GivenAt: now, ExpiresAt: &soon})
		must(t, err)
		other, err := r.AddConsent(ctx, orgA, NewConsent{Subject: "anna@example.com", Scope: "recording", Source: "form", GivenAt: now})
		must(t, err)
		if !c.Valid || c.Subject != "+4930123456" || c.CreatedBy != "user-1" {
			t.Errorf("%+v", c)
		}
		r.clock.Advance(2 * time.Hour)
		items, _, err := r.Consents(ctx, orgA, "0049 30 123456", "recording", "", 10)
		must(t, err)
		if len(items) != 1 || items[0].Valid {
			t.Errorf("it did not expire: %+v", items)
		}
		for range 2 {
			v, err := r.RevokeConsent(ctx, orgA, other.ID)
			must(t, err)
			if v.Valid || v.RevokedAt == nil {
				t.Errorf("%+v", v)
			}
		}
		if items, next, err := r.Consents(ctx, orgA, "", "", "", 1); err != nil || len(items) != 1 || items[0].ID != other.ID || next == "" {
			t.Errorf("%+v %q %v", items, next, err)
		}
		before := now.Add(-time.Hour)
		for what, err := range map[string]error{
			"foreign": second(r.RevokeConsent(ctx, orgB, c.ID)), "nobody": second(r.AddConsent(ctx, orgA, NewConsent{Subject: "Anna", Scope: "x", Source: "y", GivenAt: now})),
			"future": second(r.AddConsent(ctx, orgA, NewConsent{Subject: "+4930123456", Scope: "x", Source: "y", GivenAt: now.Add(9 * time.Hour)})),
			"ended":  second(r.AddConsent(ctx, orgA, NewConsent{Subject: "+4930123456", Scope: "x", Source: "y", GivenAt: now, ExpiresAt: &before})),
			"scope":  second(r.AddConsent(ctx, orgA, NewConsent{Subject: "+4930123456", Source: "y", GivenAt: now})),
			"source": second(r.AddConsent(ctx, orgA, NewConsent{Subject: "+4930123456", Scope: "x", GivenAt: now})),
		} {
			if err == nil {
				t.Errorf("%s was taken", what)
			}
		}
		if got := r.actions(); got["consent.create"] != 2 || got["consent.revoke"] != 1 {
			t.Errorf("%v", got)
		}
		// The audit trail outlives an erasure, so it does not name the person.
		must(t, r.d.ReadSystem(ctx, "test", func(ctx context.Context, tx *db.Tx) error {
			var rows []db.OutboxRow
			err := tx.NewSelect().Model(&rows).Scan(ctx)
			for _, row := range rows {
				var m map[string]json.RawMessage
				must(t, json.Unmarshal([]byte(row.Data), &m))
				if strings.Contains(string(m["after"]), "4930123456") {
					t.Errorf("%s", row.Data)
				}
			}
			return err
		}))
	})
}
