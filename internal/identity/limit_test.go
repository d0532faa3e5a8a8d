package identity_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/identity"
)

// limit sets the shop's own limits.
func (w *world) limit(limits map[string]any) {
	w.Helper()
	w.want(http.StatusOK, w.anna, "PATCH", "/api/v1/super/organisations/"+w.shop, map[string]any{"limits": limits})
}

func TestSeats(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.limit(map[string]any{"seats": 3})
		_, one := w.invite(w.bert, "one@example.com", identity.RoleViewer)
		w.invite(w.bert, "two@example.com", identity.RoleViewer)
		three := map[string]any{"email": "three@example.com", "role": "viewer"}
		if a := w.want(http.StatusForbidden, w.bert, "POST", "/api/v1/invitations", three); !strings.Contains(a.body, "limit_reached") && !strings.Contains(a.body, "plan includes 3") {
			t.Errorf("the error does not say why: %s", a.body)
		}
		_, two := w.invite(w.bert, "two@example.com", identity.RoleViewer) // in the place of the one before

		// Two who accept at once for one seat.
		w.limit(map[string]any{"seats": 2})
		var wait sync.WaitGroup
		answers := make([]answer, 2)
		for i, token := range []string{one, two} {
			wait.Go(func() {
				answers[i] = w.do(person{}, "POST", "/api/v1/invitations/accept", map[string]any{"token": token, "password": password})
			})
		}
		wait.Wait()
		if got := answers[0].status + answers[1].status; got != http.StatusCreated+http.StatusForbidden {
			t.Fatalf("answers %+v", answers)
		}
		var v identity.LimitsView
		w.want(http.StatusOK, w.bert, "GET", "/api/v1/limits", nil).into(w, &v)
		if *v.Limits.Seats != 2 || v.Use.Seats != 3 || v.Limits.Agents != nil { // two people and an open invitation
			t.Fatalf("limits %+v, use %+v", v.Limits, v.Use)
		}
	})
}

func TestMonthBeginsWhereTheOrganisationIs(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(http.StatusOK, w.bert, "PATCH", "/api/v1/organisation", map[string]any{"timeZone": "Asia/Tokyo"})
		s, err := w.s.SettingsOf(context.Background(), w.shop)
		w.must(err)
		at := time.Date(2026, 1, 31, 16, 0, 0, 0, time.UTC) // already February in Tokyo
		if got, want := s.MonthStart(at), time.Date(2026, 1, 31, 15, 0, 0, 0, time.UTC); !got.Equal(want) {
			t.Fatalf("the month began at %s, want %s", got.UTC(), want)
		}
	})
}

func TestOtherProcessesNotice(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := context.Background()
		other, err := identity.New(identity.Config{DB: w.d, Passwords: quick, Clock: w.clock})
		w.must(err)
		defer other.Close()
		carl := w.join(w.anna, "carl@example.com", identity.RoleAdmin)
		if p, err := other.Session(ctx, carl.cookie); err != nil || !p.May("member:read") {
			t.Fatalf("%+v, %v", p, err)
		}
		if _, err := other.SettingsOf(ctx, w.clinic); err != nil {
			t.Fatal(err)
		}
		w.want(http.StatusOK, w.anna, "PATCH", "/api/v1/members/"+carl.id, map[string]any{"role": "viewer"})
		other.Forget(w.clinic, carl.id) // as the fact identity.changed has it do
		if p, err := other.Session(ctx, carl.cookie); err != nil || p.May("member:read") {
			t.Fatalf("another process still lets them: %+v, %v", p, err)
		}
	})
}
