package telephony_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/humatest"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/etag"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

const trunkPassword = "Kanarienvogel-9"

func TestTrunkLives(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, s *telephony.Service) {
		ctx := t.Context()
		made, err := s.CreateTrunk(ctx, orgA, telephony.NewTrunk{Name: "Carrier", Address: "192.0.2.7:5070", Username: "me", Password: trunkPassword, Domain: "me.example",
			NumberFormat: "digits", Prefix: "00", Transport: "tcp", AssertIdentity: true})
		if err != nil {
			t.Fatal(err)
		}
		if !made.PasswordSet || made.Lines != 10 || made.PerSecond != 2 || !made.Enabled || made.Dialled("+4930123456") != "004930123456" || made.Shown("+4930") != "4930" {
			t.Errorf("%+v", made)
		}
		l, err := s.Line(ctx, orgA, "")
		want := sip.Trunk{Host: "192.0.2.7", Port: 5070, Transport: "tcp", Domain: "me.example", Auth: sip.Auth{Username: "me", Password: trunkPassword}, Assert: true}
		if err != nil || fmt.Sprint(*l.Via()) != fmt.Sprint(want) {
			t.Errorf("%+v, %v", *l.Via(), err)
		}
		stored := ""
		if err := d.ReadTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewRaw("SELECT secret FROM trunks WHERE id = ?", made.ID).Scan(ctx, &stored)
		}); err != nil || stored == "" || strings.Contains(stored, trunkPassword) {
			t.Errorf("stored as %q, %v", stored, err)
		}
		held, err := telephony.TrunkSecrets{Service: s}.HeldSecrets(ctx, orgA, "", 10)
		if err != nil || len(held) != 1 || held[0].Kind != "trunkPassword" || held[0].LastUsedAt == nil {
			t.Errorf("secrets: %+v, %v", held, err)
		}
		off, name := false, "Other carrier"
		got, err := s.UpdateTrunk(ctx, orgA, made.ID, telephony.TrunkChange{Name: &name, Enabled: &off})
		if err != nil || got.Name != name || got.Enabled || !got.PasswordSet || !got.UpdatedAt.After(made.UpdatedAt) {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := s.Line(ctx, orgA, made.ID); !fault.Is(err, fault.NotPossible) {
			t.Errorf("a trunk that is off: %v", err)
		}
		if _, err := s.Line(ctx, orgA, ""); !fault.Is(err, fault.NotPossible) {
			t.Errorf("no trunk is on: %v", err)
		}
		none := ""
		if got, err = s.UpdateTrunk(ctx, orgA, made.ID, telephony.TrunkChange{Password: &none, Username: &none}); err != nil || got.PasswordSet {
			t.Errorf("%+v, %v", got, err)
		}
		for what, err := range map[string]error{
			"read": second(s.Trunk(ctx, orgB, made.ID)), "changed": second(s.UpdateTrunk(ctx, orgB, made.ID, telephony.TrunkChange{Name: &name})), "deleted": s.DeleteTrunk(ctx, orgB, made.ID),
		} {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("another organisation's trunk is %s: %v", what, err)
			}
		}
		number, err := s.CreateCallerNumber(ctx, orgA, telephony.NewCallerNumber{Number: "+4930123456", TrunkID: made.ID})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteTrunk(ctx, orgA, made.ID); !fault.Is(err, fault.Conflict) {
			t.Errorf("a trunk with numbers is deleted: %v", err)
		}
		if err := errors.Join(s.DeleteCallerNumber(ctx, orgA, number.ID), s.DeleteTrunk(ctx, orgA, made.ID)); err != nil {
			t.Error(err)
		}
		if all, next, err := s.ListTrunks(ctx, orgA, "", 10); err != nil || len(all) != 0 || next != "" {
			t.Errorf("%+v %q %v", all, next, err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestTrunksThatMakeNoSense(t *testing.T) {
	each(t, func(t *testing.T, _ *db.DB, s *telephony.Service) {
		good := func() telephony.NewTrunk { return telephony.NewTrunk{Name: "x", Address: "sip.example.com"} }
		for field, change := range map[string]func(*telephony.NewTrunk){
			"body.name":          func(n *telephony.NewTrunk) { n.Name = "" },
			"body.address":       func(n *telephony.NewTrunk) { n.Address = "sip:x@y" },
			"body.transport":     func(n *telephony.NewTrunk) { n.Transport = "ws" },
			"body.proxy":         func(n *telephony.NewTrunk) { n.Proxy = "a b" },
			"body.domain":        func(n *telephony.NewTrunk) { n.Domain = "x:5060" },
			"body.username":      func(n *telephony.NewTrunk) { n.Username = "a\"b" },
			"body.username ":     func(n *telephony.NewTrunk) { n.Password = "x" },
			"body.password":      func(n *telephony.NewTrunk) { n.Username, n.Password = "x", "a\r\nb" },
			"body.numberFormat":  func(n *telephony.NewTrunk) { n.NumberFormat = "roman" },
			"body.prefix":        func(n *telephony.NewTrunk) { n.Prefix = "x" },
			"body.prefix ":       func(n *telephony.NewTrunk) { n.Prefix = "0" },
			"body.lines":         func(n *telephony.NewTrunk) { n.Lines = -1 },
			"body.perSecond":     func(n *telephony.NewTrunk) { n.PerSecond = 5000 },
			"body.encryptedOnly": func(n *telephony.NewTrunk) { n.EncryptedOnly = true },
		} {
			n := good()
			change(&n)
			_, err := s.CreateTrunk(t.Context(), orgA, n)
			var f *fault.Error
			if !errors.As(err, &f) || len(f.Details) != 1 || f.Details[0].Location != strings.TrimSpace(field) {
				t.Errorf("%s: %v", field, err)
			}
		}
	})
}

// An address in a network that the organisation may not reach is refused where it is typed; a name only when it is looked up.
func TestTrunksInPrivateNetworks(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, _ *telephony.Service) {
		s := telephony.New(telephony.Config{DB: d, Sealer: mask{}, Permit: func(_ context.Context, org string) func(string, netip.Addr) error {
			return func(_ string, a netip.Addr) error {
				if org == orgA && a.IsPrivate() {
					return errors.New("private networks are not called")
				}
				return nil
			}
		}})
		for org, ok := range map[string]bool{orgA: false, orgB: true} {
			if _, err := s.CreateTrunk(t.Context(), org, telephony.NewTrunk{Name: "x", Address: "10.0.0.1"}); (err == nil) != ok {
				t.Errorf("%s: %v", org, err)
			}
			if _, err := s.CreateTrunk(t.Context(), org, telephony.NewTrunk{Name: "x", Address: "sip.example.com", Proxy: "10.0.0.1:5060"}); (err == nil) != ok {
				t.Errorf("%s: %v", org, err)
			}
		}
		l, err := s.Line(t.Context(), orgB, "")
		if err != nil || l.Via().Permit == nil {
			t.Errorf("a call is not judged: %v", err)
		}
	})
}

// What was changed since it was read is not changed again by If-Match, a new password being a change.
func TestTrunkChangedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, _ *db.DB, s *telephony.Service) {
		_, api := humatest.New(t, huma.DefaultConfig("trunks", "1"))
		s.Routes(api)
		ctx := identity.With(t.Context(), identity.Principal{OrgID: orgA})
		made, err := s.CreateTrunk(ctx, orgA, telephony.NewTrunk{Name: "Carrier", Address: "192.0.2.7", Username: "me", Password: "old"})
		if err != nil {
			t.Fatal(err)
		}
		path := "/api/v1/trunks/" + made.ID
		tag := api.GetCtx(ctx, path).Header().Get("ETag")
		matching := etag.With(ctx, &etag.Expected{Kind: "trunk settings", Tags: []string{etag.WithPart(tag, `"whole"`)}})
		if res := api.PatchCtx(matching, path, map[string]any{"password": "new"}); tag == "" || res.Code != http.StatusOK {
			t.Fatalf("what was read is changed with %d %s", res.Code, res.Body)
		}
		if res := api.PatchCtx(matching, path, map[string]any{"name": "Other"}); res.Code != http.StatusPreconditionFailed {
			t.Errorf("what was changed since: %d %s", res.Code, res.Body)
		}
		if res := api.DeleteCtx(matching, path); res.Code != http.StatusPreconditionFailed {
			t.Errorf("deleting what was changed since: %d %s", res.Code, res.Body)
		}
	})
}

// Each change leaves its entry, and none has a password.
func TestTrunkChangesAreAudited(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, s *telephony.Service) {
		ctx := t.Context()
		made, err := s.CreateTrunk(ctx, orgA, telephony.NewTrunk{Name: "Carrier", Address: "192.0.2.7", Username: "me", Password: trunkPassword})
		if err != nil {
			t.Fatal(err)
		}
		again := trunkPassword + "2"
		if _, err := s.UpdateTrunk(ctx, orgA, made.ID, telephony.TrunkChange{Password: &again}); err != nil {
			t.Fatal(err)
		}
		n, err := s.CreateCallerNumber(ctx, orgA, telephony.NewCallerNumber{Number: "+4930123456"})
		if err != nil {
			t.Fatal(err)
		}
		off := false
		if _, err := s.UpdateCallerNumber(ctx, orgA, n.ID, telephony.CallerNumberChange{Enabled: &off}); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.DeleteCallerNumber(ctx, orgA, n.ID), s.DeleteTrunk(ctx, orgA, made.ID)); err != nil {
			t.Fatal(err)
		}
		var got []string
		if err := d.ReadTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
			var rows []db.OutboxRow
			err := tx.NewSelect().Model(&rows).Where("organisation_id = ? AND type = ?", orgA, "audit.entry").Order("seq").Scan(ctx)
			for _, r := range rows {
				var e event.Audited
				if err := json.Unmarshal([]byte(r.Data), &e); err != nil {
					return err
				}
				if strings.Contains(r.Data, trunkPassword) {
					t.Errorf("%s", r.Data)
				}
				got = append(got, fmt.Sprint(e.Action, " ", strings.Contains(string(e.After), `"newPassword":true`)))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		const want = "trunk.create true, trunk.update true, callerNumber.create false, callerNumber.update false, callerNumber.delete false, trunk.delete false"
		if strings.Join(got, ", ") != want {
			t.Errorf("%v", got)
		}
	})
}

func TestCallerNumbers(t *testing.T) {
	each(t, func(t *testing.T, _ *db.DB, s *telephony.Service) {
		ctx := t.Context()
		theirs, err := s.CreateTrunk(ctx, orgB, telephony.NewTrunk{Name: "Theirs", Address: "192.0.2.7"})
		if err != nil {
			t.Fatal(err)
		}
		n, err := s.CreateCallerNumber(ctx, orgA, telephony.NewCallerNumber{Number: "+1 (305) 555-0100", DisplayName: "Parley"})
		if err != nil || n.Number != "+13055550100" || n.Country != "US" || n.Region != "FL" || n.Area != "305" {
			t.Fatalf("%+v, %v", n, err)
		}
		for what, bad := range map[string]telephony.NewCallerNumber{
			"there already": {Number: "+13055550100"}, "no number": {Number: "305"}, "their trunk": {Number: "+13055550101", TrunkID: theirs.ID}, "a name": {Number: "+13055550101", DisplayName: "a\"b"},
		} {
			if _, err := s.CreateCallerNumber(ctx, orgA, bad); err == nil {
				t.Errorf("%s is taken", what)
			}
		}
		if _, err := s.UpdateCallerNumber(ctx, orgA, n.ID, telephony.CallerNumberChange{TrunkID: &theirs.ID}); !fault.Is(err, fault.Invalid) {
			t.Errorf("another organisation's trunk: %v", err)
		}
		if _, err := s.CreateCallerNumber(ctx, orgB, telephony.NewCallerNumber{Number: "+13055550100", TrunkID: theirs.ID}); err != nil {
			t.Errorf("another organisation may have the same number: %v", err)
		}
		if got, err := s.Identity(ctx, orgA, theirs.ID, "", "+13055551234"); err != nil || got.ID != n.ID {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := s.Identity(ctx, orgA, "any", "+13055550100", "+4930"); err != nil || got.ID != n.ID {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := s.Identity(ctx, orgA, "any", "+13055559999", "+4930"); !fault.Is(err, fault.Invalid) {
			t.Errorf("a number that is not the organisation's own may be shown: %v", err)
		}
		if _, err := s.Identity(ctx, orgB, "another", "+13055550100", "+4930"); !fault.Is(err, fault.Invalid) {
			t.Errorf("a number may be shown through another trunk than its own: %v", err)
		}
		off := false
		if _, err := s.UpdateCallerNumber(ctx, orgA, n.ID, telephony.CallerNumberChange{Enabled: &off}); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Identity(ctx, orgA, "any", "", "+4930"); err != nil || got.Number != "" {
			t.Errorf("a number that is off is shown: %+v, %v", got, err)
		}
	})
}

// answering is a SIP server that says the same of every trunk.
type answering struct {
	status int
	err    error
	asked  sip.Trunk
}

func (a *answering) Probe(_ context.Context, t sip.Trunk) (sip.Probed, error) {
	a.asked = t
	return sip.Probed{Status: a.status, Took: 7 * time.Millisecond}, a.err
}

func TestCheckTrunk(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, off *telephony.Service) {
		ctx, carrier := t.Context(), &answering{}
		s := telephony.New(telephony.Config{DB: d, Sealer: mask{}, Signalling: func() telephony.Signalling { return carrier }})
		made, err := s.CreateTrunk(ctx, orgA, telephony.NewTrunk{Name: "Carrier", Address: "192.0.2.7", Username: "me", Password: trunkPassword, Disabled: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			status  int
			err     error
			verdict string
		}{
			{200, nil, "ready"}, {404, nil, "ready"}, {405, nil, "ready"}, {501, nil, "ready"}, {401, nil, "credentials"}, {407, nil, "credentials"}, {403, nil, "refused"},
			{503, nil, "overloaded"}, {0, errors.New("nobody"), "unreachable"},
		} {
			carrier.status, carrier.err = c.status, c.err
			got, err := s.CheckTrunk(ctx, orgA, made.ID)
			if err != nil || got.Verdict != c.verdict || got.Text == "" || strings.Contains(fmt.Sprint(got), trunkPassword) || carrier.asked.Auth.Password != trunkPassword {
				t.Errorf("%d: %+v, %v", c.status, got, err)
			}
		}
		if _, err := s.CheckTrunk(ctx, orgB, made.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("another organisation's trunk is checked: %v", err)
		}
		if _, err := off.CheckTrunk(ctx, orgA, made.ID); !fault.Is(err, fault.Unavailable) {
			t.Errorf("without SIP: %v", err)
		}
	})
}
