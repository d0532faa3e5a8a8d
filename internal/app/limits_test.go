package app_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// Each limit of a plan is asked where the thing is taken; the answer names the limit and says what to do, and the page shows
// use beside limit. What a full store does is shown by TestPlanWithoutRoomRecordsNothing.
func TestEachLimitIsAskedForWhereItIsTaken(t *testing.T) {
	c := settings(filepath.Join(t.TempDir(), "data"), "25700-25719")
	c.WebRTCAddr = "off"
	s := start(t, c)
	api := owner(t, s.screen)
	boss := asOwner(t, api.base)
	var orgs struct{ Items []struct{ ID string } }
	boss.want(200, "GET", "/api/v1/super/organisations", nil, &orgs)
	type amounts struct {
		Calls, Minutes, Agents, Phones, Seats, StorageBytes, RequestsPerMinute *int64
	}
	limit := func(set map[string]any) {
		t.Helper()
		boss.want(200, "PATCH", "/api/v1/super/organisations/"+orgs.Items[0].ID, map[string]any{"limits": set}, nil)
	}
	shown := func() (out struct{ Limits, Use amounts }) {
		t.Helper()
		api.want(200, "GET", "/api/v1/limits", nil, &out)
		return out
	}
	before := shown()
	if before.Use.Agents == nil || *before.Use.Agents == 0 || *before.Use.Seats != 1 || before.Use.RequestsPerMinute != nil {
		t.Errorf("without limits: %+v", before.Use)
	}
	var sim struct{ Definition json.RawMessage }
	api.want(200, "GET", "/api/v1/agents/sim/versions/1", nil, &sim)
	call := map[string]any{"to": "sip:nobody@127.0.0.1:9", "agent": "front-desk"}
	for _, take := range []struct {
		limit, names, path string
		most               int64
		body               any
	}{
		{"calls", "calls at once", "/api/v1/calls/outbound", 0, call},
		{"minutes", "minutes a month", "/api/v1/calls/outbound", 0, call},
		{"agents", "agents", "/api/v1/agents", *before.Use.Agents, map[string]any{"name": "One more", "slug": "one-more", "definition": sim.Definition}},
		{"phones", "phones", "/api/v1/phones", 0, map[string]any{"username": "desk"}},
		{"seats", "people and open invitations", "/api/v1/invitations", 1, map[string]any{"email": "a@example.com", "role": "viewer"}},
	} {
		limit(map[string]any{take.limit: take.most})
		res, b := api.ask("POST", take.path, take.body)
		var problem struct{ Code, Detail string }
		if err := json.Unmarshal(b, &problem); err != nil || res.StatusCode != http.StatusForbidden || !strings.Contains(string(b), "limit_reached") ||
			!strings.Contains(problem.Detail, take.names) || !strings.Contains(problem.Detail, "bigger plan") {
			t.Errorf("%s: %d %s", take.limit, res.StatusCode, b)
		}
	}

	limit(map[string]any{"requestsPerMinute": 4, "storageBytes": 1})
	api.want(200, "GET", "/api/v1/me", nil, nil)
	// One is given back every 15 seconds.
	if got := shown(); *got.Limits.RequestsPerMinute != 4 || got.Use.RequestsPerMinute == nil || *got.Use.RequestsPerMinute < 1 || *got.Use.RequestsPerMinute > 4 ||
		*got.Limits.StorageBytes != 1 || *got.Use.StorageBytes != 0 || *got.Use.Calls != 0 || *got.Use.Minutes != 0 || *got.Use.Phones != 0 {
		t.Errorf("limits %+v, use %+v", got.Limits, got.Use)
	}
	limit(map[string]any{"requestsPerMinute": 0})
	if res, b := api.ask("GET", "/api/v1/me", nil); res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" || !strings.Contains(string(b), "bigger plan") {
		t.Errorf("no requests: %d %s", res.StatusCode, b)
	}
}
