package app_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"testing"
	"time"
)

// Workers, media processes with their calls, the database's connections and NATS are killed again and again while a campaign calls:
// SIPp, who is called, counts. Nobody is called twice, and nobody is forgotten. PARLEY_CHAOS_KILLS and PARLEY_CHAOS_LEADS make it longer: make chaos.
func TestKilledProcessesCallNobodyTwice(t *testing.T) {
	kills, leads := wanted(t, "PARLEY_CHAOS_KILLS", 6), wanted(t, "PARLEY_CHAOS_LEADS", 30)
	in := newInstallation(t)
	in.life = time.Hour
	users := in.ownUsers()
	process := func(role, rtp string) *process {
		c := in.settings(role, rtp)
		c.DatabaseURL, c.MaxCalls, c.KeptLines = users[role], 100, 10
		return in.run(c)
	}
	gateway := process("gateway", "41340-41349")
	some := map[string][]*processes{}
	for _, p := range []processes{{role: "worker", rtp: "41340-41349"}, {role: "worker", rtp: "41340-41349"}, {role: "media", rtp: "41350-41399"}, {role: "media", rtp: "41400-41449"}} {
		p.now = process(p.role, p.rtp)
		some[p.role] = append(some[p.role], &p)
	}
	gateway.up(t)
	for _, m := range some["media"] {
		m.now.up(t)
	}
	c := owner(t, gateway.screen)
	n := sippPeople(t, 1500*time.Millisecond)
	id := campaignOn(t, c, n, leads, 8)
	r := rand.New(rand.NewPCG(uint64(kills), 9)) //nolint:gosec // repeatable
	admin, err := sql.Open("pgx", in.database)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close() //nolint:errcheck // a test's
	done, next := map[string]int{}, []int{}
	var p shownProgress
	looks, before, hurt := 0, int64(-1), time.Now()
	for began := time.Now(); p.State != "finished"; {
		if time.Since(began) > 40*time.Minute {
			t.Fatalf("it does not end: %+v", p)
		}
		<-time.After(time.Duration(300+r.IntN(900)) * time.Millisecond)
		if moved := p.moves() != before; kills > 0 && (moved || time.Since(hurt) > 4*time.Second) { // something is going on
			if len(next) == 0 {
				next = r.Perm(len(victims))
			}
			what := victims[next[0]]
			in.hurt(t, r, admin, what, some[what], process)
			kills, next, before, hurt = kills-1, next[1:], p.moves(), time.Now()
			done[what]++
		}
		if _, b, err := c.try("GET", "/api/v1/campaigns/"+id+"/progress", nil); err == nil {
			if looks++; looks%20 == 0 {
				t.Logf("after %s: %v %v %+v, killed %v", time.Since(began).Round(time.Second), p.Leads, p.Outcomes, p.Now, done)
			}
			p = shownProgress{}
			_ = json.Unmarshal(b, &p) // the gateway may be without its database for a moment
		}
	}
	calls := n.calls(t)
	for number, times := range calls {
		if times != 1 {
			t.Errorf("%s was called %d times", number, times)
		}
	}
	ended := int64(0)
	for o, k := range p.Outcomes {
		if o != "unplaced" {
			ended += k
		}
	}
	if p.Leads["done"] != int64(leads) || ended != int64(leads) || int64(len(calls))+p.Outcomes["lost"] < int64(leads) {
		t.Errorf("%d leads, %d called, %d attempts ended: %+v", leads, len(calls), ended, p)
	}
	t.Logf("killed %v; %v; %d called", done, p.Outcomes, len(calls))
}

// moves grows with each step that a campaign takes.
func (p *shownProgress) moves() (n int64) {
	for _, k := range p.Outcomes {
		n += k
	}
	return n
}

// processes is a place where one process follows the other.
type processes struct {
	role, rtp string
	now       *process
}

// victims are what is killed: each as often, workers twice.
var victims = []string{"worker", "worker", "media", "connections", "NATS"}

// hurt kills something, or one of some processes.
func (i *installation) hurt(t *testing.T, r *rand.Rand, admin *sql.DB, what string, some []*processes, run func(role, rtp string) *process) {
	t.Helper()
	switch what {
	case "connections":
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		var n int
		err := admin.QueryRowContext(ctx, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user").Scan(&n)
		if err != nil {
			t.Logf("connections were not killed: %v", err)
		}
	case "NATS":
		i.nats.Restart(t)
	default:
		p := some[r.IntN(len(some))]
		p.now.kill()
		p.now = run(p.role, p.rtp)
	}
}

// campaignOn starts a campaign that calls people on a network, and gives its id.
func campaignOn(t *testing.T, c *client, n *network, leads, lines int) string {
	t.Helper()
	var trunk, camp struct{ ID string }
	c.want(201, "POST", "/api/v1/trunks", map[string]any{"name": "SIPp", "address": n.address, "lines": 5000, "perSecond": 1000}, &trunk)
	c.want(201, "POST", "/api/v1/campaigns", map[string]any{"name": "Everybody", "settings": map[string]any{
		"agent": "sim", "callers": map[string]any{"trunk": trunk.ID}, "dialler": map[string]any{"lines": lines, "perSecond": 50, "ringSeconds": 15},
		"retry": map[string]any{"on": map[string]any{}}, "disclosure": map[string]any{"ai": "", "recording": ""}}}, &camp)
	number := awake(t)
	var list bytes.Buffer
	list.WriteString("phone\n")
	for i := range leads {
		list.WriteString(number(i) + "\n")
	}
	c.imported(camp.ID, "people.csv", list.Bytes())
	c.want(200, "POST", "/api/v1/campaigns/"+camp.ID+"/start", nil, nil)
	return camp.ID
}

// imported has a campaign read a list, and waits until it has.
func (c *client) imported(campaign, name string, list []byte) {
	c.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	if err == nil {
		_, err = part.Write(list)
	}
	if err := errors.Join(err, form.WriteField("start", "true"), form.Close()); err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.base+"/api/v1/campaigns/"+campaign+"/leads/import", &body)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header = c.header.Clone()
	req.Header.Set("Content-Type", form.FormDataContentType())
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	var got struct{ Import struct{ ID string } }
	if err != nil || res.StatusCode != http.StatusAccepted || json.Unmarshal(text, &got) != nil {
		c.t.Fatalf("import: %d %s, %v", res.StatusCode, text, err)
	}
	eventually(c.t, "the list to be read", func() bool {
		var i struct{ State, Error string }
		c.want(200, "GET", "/api/v1/campaigns/"+campaign+"/imports/"+got.Import.ID, nil, &i)
		if i.State == "failed" {
			c.t.Fatalf("the list was not read: %s", i.Error)
		}
		return i.State == "done"
	})
}
