package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/danielgtaylor/huma/v2/humatest"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
)

const (
	orgA = "018f0000-0000-7000-8000-00000000000a"
	orgB = "018f0000-0000-7000-8000-00000000000b"
)

// shop is a prober that answers for one address.
type shop struct {
	mu    sync.Mutex
	asked []string
}

func (s *shop) Probe(_ context.Context, service, base, key string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, service+" "+base+" "+key)
	if strings.Contains(base, "down") {
		return nil, errors.New("connection refused")
	}
	return []string{"tiny"}, nil
}

type world struct {
	*agent.Service
	db    *db.DB
	clock *quartz.Mock
	shop  *shop
}

func each(t *testing.T, fn func(t *testing.T, w world)) {
	dbtest.Each(t, []db.Migrations{agent.Migrations()}, func(t *testing.T, d *db.DB) {
		w := world{db: d, clock: quartz.NewMock(t), shop: &shop{}}
		w.clock.Set(time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC))
		w.Service = agent.New(agent.Config{DB: d, Sealer: envelopetest.New(0xab), Prober: w.shop, Clock: w.clock})
		fn(t, w)
	})
}

func prompt() *agent.Definition {
	sim := agent.ModelRef{Vendor: "sim"}
	return &agent.Definition{Kind: "prompt", Prompt: "Be kind.", Models: agent.Models{STT: sim, LLM: sim, TTS: sim}}
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Fatalf("error is %v, want code %s", err, code)
	}
}

func TestSeedAndPublish(t *testing.T) {
	each(t, func(t *testing.T, w world) {
		ctx := t.Context()
		for range 2 { // twice changes nothing
			if err := w.Seed(ctx, orgA); err != nil {
				t.Fatal(err)
			}
		}
		list, next, err := w.List(ctx, orgA, "", "", 1)
		if err != nil || len(list) != 1 || next == "" || list[0].Slug != "front-desk" || list[0].Status != "published" {
			t.Fatalf("first page: %+v %q %v", list, next, err)
		}
		list, next, err = w.List(ctx, orgA, "", next, 10)
		if err != nil || len(list) != 1 || next != "" || list[0].Slug != "sim" || list[0].Kind != "prompt" {
			t.Fatalf("second page: %+v %q %v", list, next, err)
		}
		snap, err := w.ResolveSlug(ctx, "front-desk")
		if err != nil || snap.OrgID != orgA || snap.Version != 1 || snap.Flow == nil {
			t.Fatalf("ResolveSlug: %+v %v", snap, err)
		}
		id := snap.AgentID
		v, err := w.AddVersion(ctx, orgA, id, prompt(), "try", "u1")
		if err != nil || v.Number != 2 || v.Published {
			t.Fatalf("AddVersion: %+v %v", v, err)
		}
		if snap, _ := w.Published(ctx, orgA, id); snap.Version != 1 {
			t.Fatal("a version that is not published is used")
		}
		if draft, err := w.Version(ctx, orgA, id, 2); err != nil || draft.Version != 2 || draft.Definition.Prompt == "" {
			t.Fatalf("Version: %+v %v", draft, err)
		}
		a, err := w.Publish(ctx, orgA, id, 2)
		if err != nil || *a.PublishedVersion != 2 || a.Kind != "prompt" {
			t.Fatalf("Publish: %+v %v", a, err)
		}
		if snap, _ := w.ResolveSlug(ctx, "front-desk"); snap.Version != 2 {
			t.Fatal("the cache kept the old version")
		}
		vs, _, err := w.Versions(ctx, orgA, id, "", 10)
		if err != nil || len(vs) != 2 || vs[0].Number != 2 || !vs[0].Published || vs[1].Definition.Flow == nil {
			t.Fatalf("Versions: %v %v", vs, err)
		}
		_, err = w.Publish(ctx, orgA, id, 9)
		wantCode(t, err, fault.NotFound)
		if err := w.Delete(ctx, orgA, id); err != nil {
			t.Fatal(err)
		}
		_, err = w.ResolveSlug(ctx, "front-desk")
		wantCode(t, err, fault.NotFound)
	})
}

func TestOrganisationsAreApart(t *testing.T) {
	each(t, func(t *testing.T, w world) {
		ctx := t.Context()
		a, err := w.Create(ctx, orgA, agent.NewAgent{Name: "One", Slug: "desk", Definition: prompt(), Publish: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, try := range []func() error{
			func() error { _, err := w.Get(ctx, orgB, a.ID); return err },
			func() error { _, err := w.Published(ctx, orgB, a.ID); return err },
			func() error { _, err := w.GetVersion(ctx, orgB, a.ID, 1); return err },
			func() error { _, err := w.AddVersion(ctx, orgB, a.ID, prompt(), "", ""); return err },
			func() error { _, err := w.Publish(ctx, orgB, a.ID, 1); return err },
			func() error { return w.Delete(ctx, orgB, a.ID) },
		} {
			wantCode(t, try(), fault.NotFound)
		}
		if _, err := w.ResolveSlug(ctx, "desk"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Create(ctx, orgB, agent.NewAgent{Name: "Two", Slug: "desk", Definition: prompt(), Publish: true}); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(time.Minute)
		if snap, err := w.ResolveSlug(ctx, "desk"); err != nil || snap.OrgID != orgA {
			t.Fatalf("the oldest organisation does not answer: %+v %v", snap, err)
		}
		_, err = w.Create(ctx, orgB, agent.NewAgent{Name: "Three", Slug: "desk", Definition: prompt()})
		wantCode(t, err, fault.Conflict)
		m, err := w.CreateModel(ctx, orgA, agent.ModelInput{Name: new("box"), BaseURLs: &agent.URLs{LLM: "http://127.0.0.1:1/v1"}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Model(ctx, orgB, m.ID)
		wantCode(t, err, fault.NotFound)
		_, err = w.Connection(ctx, orgB, m.ID)
		wantCode(t, err, fault.NotFound)
		wantCode(t, w.DeleteModel(ctx, orgB, m.ID), fault.NotFound)
		cal := w.Calendar(orgA, a.ID, "c1")
		ap, err := cal.Book(ctx, flow.Booking{Start: w.clock.Now().Add(time.Hour), Minutes: 30, Phone: "+1"})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := w.Calendar(orgB, a.ID, "c2").Find(ctx, flow.Query{Code: ap.Code}); err != nil || len(got) != 0 {
			t.Fatalf("another organisation sees the appointment: %v %v", got, err)
		}
		if err := w.Calendar(orgB, a.ID, "c2").Cancel(ctx, ap.ID); !errors.Is(err, flow.ErrGone) {
			t.Fatalf("another organisation cancels: %v", err)
		}
	})
}

func TestCalendar(t *testing.T) {
	each(t, func(t *testing.T, w world) {
		ctx := t.Context()
		cal := w.Calendar(orgA, "agent", "call")
		start := w.clock.Now().Add(24 * time.Hour)
		a, err := cal.Book(ctx, flow.Booking{Start: start, Minutes: 30, Phone: "+1", Name: "Ann"})
		if err != nil || len(a.Code) != 4 || !a.Start.Equal(start) {
			t.Fatalf("Book: %+v %v", a, err)
		}
		if _, err := cal.Book(ctx, flow.Booking{Start: start, Minutes: 30}); !errors.Is(err, flow.ErrTaken) {
			t.Fatalf("a slot was given twice: %v", err)
		}
		b, err := cal.Book(ctx, flow.Booking{Start: start.Add(time.Hour), Minutes: 30, Phone: "+2"})
		if err != nil || b.Code == a.Code {
			t.Fatalf("Book: %+v %v", b, err)
		}
		if _, err := cal.Move(ctx, b.ID, start); !errors.Is(err, flow.ErrTaken) {
			t.Fatalf("moved onto another: %v", err)
		}
		if moved, err := cal.Move(ctx, b.ID, start.Add(2*time.Hour)); err != nil || !moved.Start.Equal(start.Add(2*time.Hour)) || moved.Code != b.Code {
			t.Fatalf("Move: %+v %v", moved, err)
		}
		busy, err := cal.Busy(ctx, start, start.Add(3*time.Hour))
		if err != nil || len(busy) != 2 || !busy[0].Equal(start) {
			t.Fatalf("Busy: %v %v", busy, err)
		}
		if err := cal.Cancel(ctx, a.ID); err != nil {
			t.Fatal(err)
		}
		if err := cal.Cancel(ctx, a.ID); !errors.Is(err, flow.ErrGone) {
			t.Fatalf("cancelled twice: %v", err)
		}
		if _, err := cal.Book(ctx, flow.Booking{Start: start, Minutes: 30}); err != nil {
			t.Fatalf("a cancelled slot is free again: %v", err)
		}
		if got, err := cal.Find(ctx, flow.Query{Phone: "+2", After: w.clock.Now()}); err != nil || len(got) != 1 || got[0].ID != b.ID {
			t.Fatalf("Find: %v %v", got, err)
		}
		if got, err := cal.Find(ctx, flow.Query{After: w.clock.Now()}); err != nil || got != nil {
			t.Fatalf("nothing asked, something found: %v %v", got, err)
		}
	})
}

func TestModels(t *testing.T) {
	each(t, func(t *testing.T, w world) {
		ctx := t.Context()
		m, err := w.CreateModel(ctx, orgA, agent.ModelInput{Name: new("box"), BaseURLs: &agent.URLs{LLM: "http://h/v1", TTS: "http://down/v1"},
			Keys: &agent.KeyChange{LLM: new("sk-1")}})
		if err != nil || !m.HasKey.LLM || m.HasKey.TTS || len(m.Services) != 2 {
			t.Fatalf("CreateModel: %+v %v", m, err)
		}
		if raw, _ := json.Marshal(m); bytes.Contains(raw, []byte("sk-1")) {
			t.Fatal("the key is shown")
		}
		if c, err := w.Connection(ctx, orgA, m.ID); err != nil || c.Keys.LLM != "sk-1" {
			t.Fatalf("Connection: %+v %v", c, err)
		}
		p, err := w.ProbeModel(ctx, orgA, m.ID)
		if err != nil || !p.Services["llm"].OK || p.Services["tts"].OK || p.Services["llm"].Models[0] != "tiny" {
			t.Fatalf("ProbeModel: %+v %v", p, err)
		}
		if m, _ := w.Model(ctx, orgA, m.ID); m.Status.OK || m.Status.CheckedAt == nil || !strings.Contains(m.Status.Message, "tts") {
			t.Fatalf("status: %+v", m.Status)
		}
		// A kept key is not sent to an address it was not kept for.
		w.shop.asked = nil
		if _, err := w.ProbeInput(ctx, orgA, m.ID, agent.ModelInput{BaseURLs: &agent.URLs{LLM: "http://elsewhere/v1"}}); err != nil || w.shop.asked[0] != "llm http://elsewhere/v1 " {
			t.Fatalf("asked %q %v", w.shop.asked, err)
		}
		d := prompt()
		d.Models.LLM = agent.ModelRef{Vendor: "openai", ModelID: m.ID}
		if _, err := w.Create(ctx, orgA, agent.NewAgent{Name: "X", Slug: "x", Definition: d, Publish: true}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, w.DeleteModel(ctx, orgA, m.ID), fault.Conflict)
		d.Models.STT = agent.ModelRef{Vendor: "openai", ModelID: m.ID}
		_, err = w.Create(ctx, orgA, agent.NewAgent{Name: "Y", Slug: "y", Definition: d})
		wantCode(t, err, fault.Invalid)
		if _, err := w.ChangeModel(ctx, orgA, m.ID, agent.ModelInput{Keys: &agent.KeyChange{LLM: new("")}}); err != nil {
			t.Fatal(err)
		}
		if m, _ := w.Model(ctx, orgA, m.ID); m.HasKey.LLM {
			t.Fatal("the key was not removed")
		}
		_, err = w.ChangeModel(ctx, orgA, "local", agent.ModelInput{})
		wantCode(t, err, fault.NotPossible)
		for _, bad := range []agent.ModelInput{{}, {Name: new("n")}, {Name: new("n"), BaseURLs: &agent.URLs{LLM: "ftp://x"}},
			{Name: new("n"), BaseURLs: &agent.URLs{LLM: "http://u:p@x"}}, {Name: new("n"), BaseURLs: &agent.URLs{LLM: "http://x"}, Keys: &agent.KeyChange{LLM: new("a\nb")}}} {
			_, err := w.CreateModel(ctx, orgA, bad)
			wantCode(t, err, fault.Invalid)
		}
		list, err := w.Models(ctx, orgA)
		if err != nil || len(list) != 3 || !list[0].BuiltIn || list[0].Vendor != "local" || list[1].Vendor != "sim" {
			t.Fatalf("Models: %+v %v", list, err)
		}
	})
}

func TestBadDefinitions(t *testing.T) {
	for want, d := range map[string]*agent.Definition{
		"kind":              {Kind: "robot"},
		"flow":              {Kind: "flow"},
		"prompt":            {Kind: "prompt", Models: agent.Models{LLM: agent.ModelRef{Vendor: "sim"}}},
		"models.llm.vendor": {Kind: "prompt", Prompt: "x", Models: agent.Models{LLM: agent.ModelRef{Vendor: "local"}}},
		"voice.speed":       {Kind: "flow", Flow: flow.Blank(), Voice: agent.Voice{Speed: 9}},
		"language":          {Kind: "flow", Flow: flow.Blank(), Language: "Klingon!"},
		"tools[0].url":      {Kind: "flow", Flow: flow.Blank(), Tools: []agent.Tool{{Kind: "http", Name: "a", URL: "file:///etc"}}},
		"limits.idleMs":     {Kind: "flow", Flow: flow.Blank(), Limits: agent.Limits{IdleMS: 1}},
	} {
		found := false
		for _, p := range agent.Validate(d) {
			found = found || p.Location == want && p.Message != "" && p.Severity == "error"
		}
		if !found {
			t.Errorf("nothing is said of %s: %v", want, agent.Validate(d))
		}
	}
	list, err := agent.Templates()
	if err != nil {
		t.Fatal(err)
	}
	for _, tp := range list {
		if p := agent.Validate(tp.Definition); len(p) > 0 {
			t.Errorf("template %s: %v", tp.ID, p)
		}
	}
}

func TestHTTP(t *testing.T) {
	each(t, func(t *testing.T, w world) {
		_, api := humatest.New(t)
		w.Routes(api)
		ctx := identity.With(t.Context(), identity.Principal{UserID: "u1", OrgID: orgA})
		def, err := json.Marshal(prompt())
		if err != nil {
			t.Fatal(err)
		}
		body := func(s string) *strings.Reader { return strings.NewReader(s) }
		var made agent.Agent
		for _, c := range []struct {
			method, path, body string
			status             int
			want               string
		}{
			{"GET", "/api/v1/agents", "", 200, `"items":[]`},
			{"POST", "/api/v1/agents", `{"name":"N","slug":"BAD SLUG","definition":` + string(def) + `}`, 422, "lower-case letters"},
			{"POST", "/api/v1/agents", `{"name":"N","slug":"n","definition":{"kind":"flow"}}`, 422, "body.definition.flow"},
			{"POST", "/api/v1/agents", `{"name":"N","slug":"n","definition":` + string(def) + `}`, 201, `"status":"draft"`},
			{"POST", "/api/v1/agents", `{"name":"N","slug":"n","definition":` + string(def) + `}`, 409, "is taken"},
			{"GET", "/api/v1/agents/n", "", 200, `"publishedVersion":null`},
			{"GET", "/api/v1/agents/n/versions/1", "", 200, `"createdBy":"u1"`},
			{"GET", "/api/v1/agents/n/versions/7", "", 404, "no version 7"},
			{"POST", "/api/v1/agents/{id}/versions/1/publish", "", 200, `"status":"published"`},
			{"PATCH", "/api/v1/agents/{id}", `{"slug":"m"}`, 200, `"slug":"m"`},
			{"POST", "/api/v1/agents/validate", `{"definition":{"kind":"flow"}}`, 200, `"location":"flow"`},
			{"GET", "/api/v1/agent-templates", "", 200, "front-desk"},
			{"GET", "/api/v1/models", "", 200, "demo recogniser"},
			{"POST", "/api/v1/models", `{"name":"b","baseUrls":{"llm":"http://x/v1"},"keys":{"llm":"sk-9"}}`, 201, `"hasKey":{"stt":false,"llm":true`},
			{"POST", "/api/v1/models/probe", `{"baseUrls":{"llm":"http://down/v1"}}`, 200, "connection refused"},
			{"POST", "/api/v1/models/sim/probe", "", 200, `"ok":true`},
			{"DELETE", "/api/v1/models/sim", "", 409, "built-in"},
			{"DELETE", "/api/v1/agents/{id}", "", 204, ""},
			{"GET", "/api/v1/agents/{id}", "", 404, "no agent"},
		} {
			args := []any{}
			if c.body != "" {
				args = append(args, body(c.body))
			}
			res := api.DoCtx(ctx, c.method, strings.ReplaceAll(c.path, "{id}", made.ID), args...)
			var got bytes.Buffer
			if res.Body.Len() > 0 {
				if err := json.Compact(&got, res.Body.Bytes()); err != nil {
					t.Fatal(err)
				}
			}
			if res.Code != c.status || !strings.Contains(got.String(), c.want) || strings.Contains(got.String(), "sk-9") {
				t.Fatalf("%s %s: %d %s; want %d %s", c.method, c.path, res.Code, res.Body, c.status, c.want)
			}
			if c.method == "POST" && c.path == "/api/v1/agents" && c.status == http.StatusCreated {
				if err := json.Unmarshal(res.Body.Bytes(), &made); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func BenchmarkPublished(b *testing.B) {
	d, err := db.Open(b.Context(), db.Config{DataDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = d.Close() })
	if err := d.Migrate(b.Context(), agent.Migrations()); err != nil {
		b.Fatal(err)
	}
	s := agent.New(agent.Config{DB: d})
	if err := s.Seed(b.Context(), orgA); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Published(b.Context(), orgA, "front-desk"); err != nil {
			b.Fatal(err)
		}
	}
}
