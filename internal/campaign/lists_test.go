package campaign_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/campaign/donotcall"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/db"
)

// listOrg is the organisation of package campaign's tests.
const listOrg = "018f0000-0000-7000-8000-00000000000a"

func TestNobodyIsCalledWhoMayNotBe(t *testing.T) { campaign.NobodyIsCalledWhoMayNotBe(t, openLists) }

// lists is the service of lists of one process.
type lists struct {
	*donotcall.Service
	t *testing.T
}

// allowed is what people allowed, as the context that keeps it would tell.
type allowed func(number string) policy.Consent

func (a allowed) ConsentsOf(_ context.Context, _ *db.Tx, numbers []string, _ policy.Purpose, _ bool, _ time.Time) (map[string]donotcall.Consent, error) {
	out := map[string]donotcall.Consent{}
	for _, n := range numbers {
		if c := a(n); c != policy.NoConsent {
			out[n] = donotcall.Consent{State: c, ID: "c-" + n}
		}
	}
	return out, nil
}

func openLists(t *testing.T, d *db.DB) campaign.OpenLists {
	t.Helper()
	blobs, err := blob.OpenRegions(t.Context(), blob.RegionsConfig{Home: blob.Config{DataDir: t.TempDir()}, Kinds: []string{donotcall.BlobKind},
		Where: func(context.Context, string) (blob.At, error) { return blob.At{}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := blobs.Close(); err != nil {
			t.Error(err)
		}
	})
	book, err := policy.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return func(clock quartz.Clock, processes int, consent func(string) policy.Consent, spread func(context.Context, string, ...string) error) []campaign.Lists {
		out := make([]campaign.Lists, processes)
		for i := range out {
			s, err := donotcall.New(donotcall.Config{DB: d, Blobs: blobs, Folder: t.TempDir(), Consents: allowed(consent), Book: book, Clock: clock, Spread: spread})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			out[i] = lists{s, t}
		}
		return out
	}
}

func (l lists) Keep(name string, everywhere bool) string {
	scope := donotcall.ScopeCampaign
	if everywhere {
		scope = donotcall.ScopeOrganisation
	}
	made, err := l.Create(l.t.Context(), listOrg, name, "", scope)
	if err != nil {
		l.t.Fatal(err)
	}
	return made.ID
}

func (l lists) Put(list, number string) {
	if _, err := l.Add(l.t.Context(), listOrg, list, donotcall.NewNumbers{Numbers: []string{number}, Source: donotcall.SourceAPI}); err != nil {
		l.t.Fatal(err)
	}
}

func (l lists) Wish(number string) {
	if _, err := l.OptOut(l.t.Context(), listOrg, number, "", campaign.OptOut{Source: "api", Reason: "A letter."}); err != nil {
		l.t.Fatal(err)
	}
}

func (l lists) Publish(register string, numbers []string) {
	if _, err := l.Import(l.t.Context(), listOrg, register, time.Time{}, strings.NewReader(strings.Join(numbers, "\n")+"\n")); err != nil {
		l.t.Fatal(err)
	}
}
