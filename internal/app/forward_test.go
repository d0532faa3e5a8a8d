package app

import (
	"context"
	"errors"
	"testing"

	"github.com/parley-voice/parley/internal/gateway/fleet"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
)

type unknown struct{ err error }

func (u unknown) SettingsOf(context.Context, string) (identity.Settings, error) {
	return identity.Settings{}, u.err
}

// What a gateway asks of a media process: the region of the organisation that begins a call.
func TestWhatIsAskedOfAMediaProcess(t *testing.T) {
	says := &planned{identity.Settings{Placement: db.Placement{Region: "eu"}}}
	anna := identity.With(t.Context(), identity.Principal{UserID: "anna", OrgID: ours})
	for name, c := range map[string]struct {
		ctx    context.Context
		holder string
		want   fleet.Want
	}{
		"a call that begins":    {anna, "", fleet.Want{Takes: true, Region: "eu", Zone: "a"}},
		"a carrier's stream":    {t.Context(), "", fleet.Want{Takes: true, Zone: "a"}},
		"about a call that was": {anna, "media.1", fleet.Want{Holder: "media.1"}},
	} {
		got := fleet.Want{Holder: c.holder}
		if err := wanted(c.ctx, says, "a", &got); err != nil || got.Takes != c.want.Takes || got.Region != c.want.Region || got.Zone != c.want.Zone || got.Holder != c.want.Holder {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	away := errors.New("away")
	if err := wanted(anna, unknown{away}, "", &fleet.Want{}); !errors.Is(err, away) {
		t.Errorf("the region is not known: %v", err)
	}
}
