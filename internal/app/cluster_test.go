package app_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/load"
	"github.com/parley-voice/parley/internal/platform/bus/natstest"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

const clusterKey = "6b1d9c2f8e4a5037b1c6d2e9f0a8473b5c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f"

// installation is what processes of several roles share.
type installation struct {
	life     time.Duration // of its processes at most; they end with the test
	t        *testing.T
	nats     *natstest.Server
	database string
	blobs    string
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	return &installation{t: t, nats: natstest.Run(t), database: dbtest.PostgresURL(t), blobs: "file://" + t.TempDir()}
}

// ownUsers makes the database users that are shipped, and gives the URL of each role's: a worker's owns the tables, the others'
// own nothing.
func (i *installation) ownUsers() map[string]string {
	i.t.Helper()
	script, err := os.ReadFile("../../deploy/postgres/roles.sql")
	if err != nil {
		i.t.Fatal(err)
	}
	u, err := url.Parse(i.database)
	if err != nil {
		i.t.Fatal(err)
	}
	database := strings.TrimPrefix(u.Path, "/")
	dbtest.AdminIn(i.t, database, string(script))
	out := map[string]string{}
	for _, role := range []string{"worker", "media", "gateway"} {
		u.User = url.User("parley_" + role)
		out[role] = u.String()
	}
	i.database = out["worker"] // who looks into the tables is who owns them
	return out
}

// settings are those of a process of a role.
func (i *installation) settings(role, rtp string) app.Config {
	i.t.Helper()
	c := settings(i.t.TempDir(), rtp)
	c.Role, c.DatabaseURL, c.BlobURL = role, i.database, i.blobs
	if role == "worker" { // the others ask it
		c.Key = clusterKey
	}
	c.NATSURL, c.NATSCA, c.NATSSeedFile = i.nats.URL, i.nats.CA, i.nats.Seeds[role]
	c.InternalAddr, c.GoneAfter = "127.0.0.1:0", time.Second
	return c
}

// saved waits until something of a call's transcript is in the database, where it outlives the process that has the call.
func (i *installation) saved(call string) {
	i.t.Helper()
	conn, err := sql.Open("pgx", i.database+"&app.system=on")
	if err != nil {
		i.t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a test's
	eventually(i.t, "what the agent said, in the database", func() bool {
		var n int
		err := conn.QueryRowContext(context.Background(), "SELECT count(*) FROM call_transcript WHERE call_id = $1 AND speaker = 'agent'", call).Scan(&n)
		return err == nil && n > 0
	})
}

var (
	rolesAddresses = regexp.MustCompile(`{"http":"(\S+)","sip":"(\S*)"}`)
	gatewaysReach  = regexp.MustCompile(`gateways +(https://\S+)`)
)

// run starts a process of a role, without waiting for it.
func (i *installation) run(c app.Config) *process {
	i.t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		i.t.Fatal(err)
	}
	p := &process{screen: &terminal{}}
	ctx, cancel := context.WithTimeout(context.Background(), max(i.life, 10*within))
	p.cmd = exec.CommandContext(ctx, os.Args[0])
	p.cmd.Env = append(os.Environ(), childSettings+"="+string(text))
	p.cmd.Stdout, p.cmd.Stderr = p.screen, p.screen
	if err := p.cmd.Start(); err != nil {
		cancel()
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() {
		cancel()
		p.kill()
		if i.t.Failed() {
			i.t.Logf("%s:\n%s", c.Role, p.screen)
		}
	})
	return p
}

// up waits until a process runs.
func (p *process) up(t *testing.T) {
	t.Helper()
	// Four processes start at once, and each waits for the worker.
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(3 * within); ; <-tick.C {
		if m := rolesAddresses.FindStringSubmatch(p.screen.String()); m != nil {
			p.HTTP, p.SIP = m[1], m[2]
			return
		}
		if time.Now().After(end) {
			t.Fatal("a process does not start")
		}
	}
}

// internal is where gateways reach a media process.
func (p *process) internal(t *testing.T) string {
	t.Helper()
	var m []string
	eventually(t, "the internal address", func() bool {
		m = gatewaysReach.FindStringSubmatch(p.screen.String())
		return m != nil
	})
	return m[1]
}

// Four processes are one Parley: whoever asks the gateway sees, makes and ends calls that others carry; one that dies takes
// its own calls with it and nothing else; one that drains lets its calls finish.
func TestRoles(t *testing.T) {
	in := newInstallation(t)
	users := in.ownUsers()
	settings := func(role, rtp string) app.Config {
		c := in.settings(role, rtp)
		c.DatabaseURL = users[role]
		return c
	}
	gatewaySettings := settings("gateway", "41200-41219")
	workerSettings := settings("worker", "41200-41219")
	workerSettings.LogLevel = "info"   // whose data keys it handles for whom
	gateway := in.run(gatewaySettings) // which waits for the worker
	worker := in.run(workerSettings)
	here := settings("media", "41220-41279")
	here.Zone = "east"
	one, two := in.run(here), in.run(settings("media", "41280-41339"))
	for _, p := range []*process{worker, gateway, one, two} {
		p.up(t)
	}
	if gateway.SIP != "" || worker.SIP != "" || one.SIP == "" || two.SIP == "" {
		t.Errorf("SIP at %q, %q, %q, %q", gateway.SIP, worker.SIP, one.SIP, two.SIP)
	}
	api := owner(t, gateway.screen)
	strangersStayOutside(t, one.internal(t), worker)
	feed := watchFeed(t, api)
	var health struct {
		Status string
		Parts  map[string]string
	}
	if api.want(200, "GET", "/health", nil, &health); health.Parts["media"] != "ok" || health.Parts["worker"] != "ok" {
		t.Errorf("health: %+v", health)
	}
	var fleet struct {
		Items []struct{ ID, Role, Address, Zone string }
	}
	asOwner(t, api.base).want(200, "GET", "/api/v1/super/instances", nil, &fleet)
	if fleet.Items[1].Zone+fleet.Items[2].Zone != "east" {
		t.Errorf("zones: %+v", fleet)
	}
	if len(fleet.Items) != 4 || fleet.Items[1].Role != "media" || fleet.Items[1].Address == "" || !strings.HasPrefix(fleet.Items[1].ID, "media.") {
		t.Errorf("processes: %+v", fleet)
	}

	withoutMasterKey(t, in, api, gatewaySettings, here)
	carried(t, api, one, feed)
	browsed(t, api)
	streamed(t, api, gatewaySettings)
	id := placed(t, api, two)
	reached(t, api, one, two)
	dies(t, in, api, one, two, id)
	drained(t, api, two)
	withoutWorkers(t, in, api, gateway, worker, workerSettings)
}

// strangersStayOutside asks an internal server for things without the token of a gateway.
func strangersStayOutside(t *testing.T, base string, worker *process) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}} //nolint:gosec // a stranger
	t.Cleanup(tr.CloseIdleConnections)
	c := &client{t: t, base: base, header: http.Header{}, http: &http.Client{Transport: tr, Timeout: within}}
	for _, path := range []string{"/api/v1/calls", "/health", "/metrics", "/carriers/twilio/media", "/"} {
		for _, auth := range []string{"", "Bearer pk_nothing", "Bearer eyJhbGciOiJub25lIn0.e30."} {
			if res, b := c.with("Authorization", auth).ask("GET", path, nil); res.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s with %q: %d %s", path, auth, res.StatusCode, b)
			}
		}
	}
	// What is not the gateway's does not answer the API's questions either.
	out := newClient(t, worker.HTTP)
	out.want(404, "GET", "/api/v1/calls", nil, nil)
	var health struct{ Status string }
	if out.want(200, "GET", "/health", nil, &health); health.Status != "ok" {
		t.Errorf("health is %q", health.Status)
	}
	eventually(t, "the keys of four processes", func() bool {
		var keys struct{ Keys []struct{ Kid string } }
		out.want(200, "GET", "/.well-known/jwks.json", nil, &keys)
		return len(keys.Keys) == 4
	})
}

// asOwner is the owner's browser: a token administers no installation.
func asOwner(t *testing.T, base string) *client {
	t.Helper()
	c := newClient(t, base)
	res, b := c.ask("POST", "/api/v1/auth/sign-in", map[string]string{"email": email, "password": password})
	if res.StatusCode != 200 || len(res.Cookies()) == 0 {
		t.Fatalf("sign in: %d %s", res.StatusCode, b)
	}
	return c.with("Cookie", res.Cookies()[0].Name+"="+res.Cookies()[0].Value)
}

// watchFeed follows the organisation's room at the gateway.
func watchFeed(t *testing.T, api *client) <-chan string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*within)
	t.Cleanup(cancel)
	ws, res, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(api.base, "http")+"/api/v1/realtime", &websocket.DialOptions{HTTPHeader: api.header})
	if err != nil {
		t.Fatal(err)
	}
	if res.Body != nil {
		_ = res.Body.Close()
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	if err := wsjson.Write(ctx, ws, map[string]any{"type": "subscribe", "rooms": []string{"org"}}); err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 1000)
	go func() {
		defer close(seen)
		for {
			var m struct {
				Type, Room string
				Batch      []struct{ Type, Room string }
			}
			if wsjson.Read(ctx, ws, &m) != nil {
				return
			}
			for _, e := range append(m.Batch, struct{ Type, Room string }{m.Type, m.Room}) {
				select {
				case seen <- e.Type + " " + e.Room:
				default:
				}
			}
		}
	}()
	return seen
}

// told waits for events of the feed, in any order.
func told(t *testing.T, feed <-chan string, want ...string) {
	t.Helper()
	end := time.NewTimer(within)
	defer end.Stop()
	for len(want) > 0 {
		select {
		case e := <-feed:
			want = slices.DeleteFunc(want, func(w string) bool { return w == e })
		case <-end.C:
			t.Fatalf("the feed did not tell %q", want)
		}
	}
}

// carried is a call to a media process, all else of it at the gateway.
func carried(t *testing.T, api *client, media *process, feed <-chan string) {
	t.Helper()
	p := ring(t, media.SIP, "sim", question(t))
	p.answered(t)
	id := api.newest().ID
	told(t, feed, "call:started call:"+id, "call:status call:"+id, "dashboard:metrics org")
	eventually(t, "what both said", func() bool {
		items := api.transcript(id)
		return said(items, "caller", 1) && said(items, "agent", 1)
	})
	if running := api.call(id); running.Status != "in_progress" || len(running.Legs) != 1 || running.Codec == "" {
		t.Errorf("the running call is %+v", running)
	}
	// What is recorded so far is on the media process's disk only.
	if res, b := api.ask("GET", "/api/v1/calls/"+id+"/recording", nil); res.StatusCode != 200 || len(b) < 1000 {
		t.Errorf("the running recording: %d, %d bytes", res.StatusCode, len(b))
	}
	if n := len(api.events(id)); n < 3 {
		t.Errorf("%d events of the running call", n)
	}
	if res, b := api.ask("POST", "/api/v1/calls/"+id+"/hangup", nil); res.StatusCode != 202 {
		t.Fatalf("hang up: %d %s", res.StatusCode, b)
	}
	if r := p.over(t); r.err != nil || r.Spoke == 0 {
		t.Errorf("the softphone tells %+v", r)
	}
	got := api.kept(id)
	if got.EndedBy != "operator" || got.EndReason != "normal" || got.Turns < 1 || got.Recording.State != "available" {
		t.Errorf("the call is %+v", got)
	}
	told(t, feed, "call:ended call:"+id)
	if res, b := api.ask("GET", "/api/v1/calls/"+id+"/recording", nil); res.StatusCode != 200 || len(b) < 1000 {
		t.Errorf("the recording: %d, %d bytes", res.StatusCode, len(b))
	}
	if res, _ := api.ask("POST", "/api/v1/calls/"+id+"/hangup", nil); res.StatusCode != 409 {
		t.Errorf("hanging up what has ended: %d", res.StatusCode)
	}
	// Who hung up stands in the trail as they came to the gateway, once.
	eventually(t, "the audit entry", func() bool {
		var page struct {
			Items []struct{ Action, ObjectID, ActorKind, IP, Operation string }
		}
		api.want(200, "GET", "/api/v1/audit?limit=200", nil, &page)
		n := 0
		for _, e := range page.Items {
			if e.ObjectID == id && strings.HasPrefix(e.Action, "call.") && !strings.Contains(e.Action, "read") {
				n++
				if e.Action != "call.hangup" || e.ActorKind != "token" || e.IP != "127.0.0.1" || e.Operation != "hang-up-call" {
					t.Errorf("the entry is %+v", e)
				}
			}
		}
		if n > 1 {
			t.Errorf("%d entries of one hang-up", n)
		}
		return n == 1
	})
}

// streamed is a carrier's WebSocket through the gateway.
func streamed(t *testing.T, api *client, c app.Config) {
	t.Helper()
	admin, err := app.OpenAdmin(t.Context(), c, "test", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	token, err := admin.MediaToken(t.Context(), "sim", time.Hour)
	admin.Close()
	if err != nil {
		t.Fatal(err)
	}
	known := ids(api)
	rep, err := load.Twilio(t.Context(), load.TwilioConfig{Token: func(int) (string, error) { return token, nil },
		Config: load.Config{Target: "ws" + strings.TrimPrefix(api.base, "http") + "/carriers/twilio/media", Calls: 2, Duration: time.Second}})
	if err != nil || rep.Connected != 2 || rep.Completed != 2 || len(rep.Failures) != 0 || rep.Frames.Received == 0 {
		t.Errorf("streams: %+v, %v", rep, err)
	}
	eventually(t, "the calls of both streams, ended", func() bool {
		n := 0
		for _, k := range api.calls("") {
			if k.Channel == "twilio" && k.Status == "ended" && !slices.Contains(known, k.ID) {
				n++
			}
		}
		return n == 2
	})
}

func ids(api *client) (out []string) {
	for _, k := range api.calls("") {
		out = append(out, k.ID)
	}
	return out
}

// placed has a media process call an agent of another one, and gives the call.
func placed(t *testing.T, api *client, to *process) string {
	t.Helper()
	var made call
	body := map[string]any{"to": "sip:sim@" + to.SIP, "agent": "sim"}
	api.with("Idempotency-Key", "one").want(202, "POST", "/api/v1/calls/outbound", body, &made)
	var again call
	api.with("Idempotency-Key", "one").want(202, "POST", "/api/v1/calls/outbound", body, &again)
	if made.ID == "" || again.ID != made.ID || made.Direction != "outbound" {
		t.Errorf("made %+v, again %+v", made, again)
	}
	if got := api.call(made.ID); got.ID != made.ID { // whichever process is asked
		t.Errorf("the call is %+v", got)
	}
	eventually(t, "the agent at the other end", func() bool { return api.call(made.ID).Status == "in_progress" })
	api.want(404, "POST", "/api/v1/calls/outbound", map[string]any{"to": "sip:sim@" + to.SIP, "agent": "nobody"}, nil)
	if res, b := api.ask("POST", "/api/v1/calls/"+made.ID+"/hangup", nil); res.StatusCode != 202 {
		t.Errorf("hang up: %d %s", res.StatusCode, b)
	}
	return api.kept(made.ID).ID
}

// dies kills a media process in the middle of a call.
func dies(t *testing.T, in *installation, api *client, dying, other *process, known string) {
	t.Helper()
	quiet(t, api)
	before := append(ids(api), known)
	p := ring(t, dying.SIP, "sim", question(t))
	p.answered(t)
	id := api.newest(before...).ID
	in.saved(id)
	dying.kill()
	p.cancel()
	// Between its death and its end the call cannot be hung up, and nobody waits long to hear that.
	if res, b := api.ask("POST", "/api/v1/calls/"+id+"/hangup", nil); res.StatusCode != 409 && res.StatusCode < 500 {
		t.Errorf("hanging up what nobody carries: %d %s", res.StatusCode, b)
	}
	eventually(t, "the end of a call that nobody carries", func() bool { return api.call(id).Status == "ended" })
	got := api.call(id)
	if got.EndReason != "interrupted" || got.EndedBy != "system" || got.EndedAt == nil {
		t.Errorf("the call is %+v", got)
	}
	// The last of it was in that process's memory and on its disk only.
	if !said(api.transcript(id), "agent", 0) {
		t.Errorf("what was said is lost: %+v", api.transcript(id))
	}
	for range 2 { // whichever the gateway would have taken
		var made call
		api.want(202, "POST", "/api/v1/calls/outbound", map[string]any{"to": "sip:sim@" + other.SIP, "agent": "sim"}, &made)
		api.want(202, "POST", "/api/v1/calls/"+made.ID+"/hangup", nil, nil)
	}
}

// quiet waits until no call goes on: both ends of one that was placed are in the list, and have ended.
func quiet(t *testing.T, api *client) {
	t.Helper()
	eventually(t, "no other call", func() bool {
		return len(api.calls("?status=in_progress")) == 0 && len(api.calls("?status=ringing")) == 0
	})
}

// drained stops a media process that carries a call.
func drained(t *testing.T, api *client, media *process) {
	t.Helper()
	quiet(t, api)
	before := ids(api)
	p := ring(t, media.SIP, "sim", "")
	p.answered(t)
	id := api.newest(before...).ID
	if err := media.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	body := map[string]any{"to": "sip:sim@" + media.SIP, "agent": "sim"}
	var last string
	eventually(t, "no place for new calls", func() bool {
		res, b := api.ask("POST", "/api/v1/calls/outbound", body)
		last = string(b)
		return res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "" && strings.Contains(last, "stopping")
	})
	if r := ring(t, media.SIP, "sim", "").over(t); r.err == nil || r.Cause.Status != http.StatusServiceUnavailable {
		t.Errorf("a new call at a draining process: %+v", r)
	}
	if got := api.call(id); got.Status != "in_progress" {
		t.Errorf("the call is %+v", got)
	}
	if res, b := api.ask("POST", "/api/v1/calls/"+id+"/hangup", nil); res.StatusCode != 202 {
		t.Errorf("hang up: %d %s", res.StatusCode, b)
	}
	p.over(t)
	if err := media.cmd.Wait(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Errorf("it ended with %v", err)
		}
	}
	if got := api.kept(id); got.EndedBy != "operator" || got.Recording.State != "available" {
		t.Errorf("the call is %+v", got)
	}
	eventually(t, "nobody to take calls", func() bool {
		res, b := api.ask("POST", "/api/v1/calls/outbound", body)
		return res.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(b), "no media process is running")
	})
	var health struct{ Status string }
	if api.want(503, "GET", "/health", nil, &health); health.Status != "failing" {
		t.Errorf("without media processes health is %q", health.Status)
	}
	api.want(200, "GET", "/health/ready", nil, nil)
}

// Each thing that processes of several roles must share is named when it is missing, with its remedy.
func TestRoleSettings(t *testing.T) {
	good := func(role string) app.Config {
		n := filepath.Join(t.TempDir(), "seed")
		if err := os.WriteFile(n, []byte("SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c := settings(t.TempDir(), "41200-41219")
		c.Role, c.Key, c.DatabaseURL, c.BlobURL = role, clusterKey, "postgres://parley@db/parley", "s3://recordings?region=eu"
		c.NATSURL, c.NATSSeedFile, c.InternalAddr = "tls://nats:4222", n, "10.0.0.7:8443"
		return c
	}
	for _, role := range []string{"", "all", "gateway", "media", "worker"} {
		c := good(role)
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", role, err)
		}
		c.Key, c.KMS = "", "awskms://alias/parley?region=eu-central-1"
		if err := c.Check(); err != nil {
			t.Errorf("%s with a key service: %v", role, err)
		}
		if c.KMS = ""; role == "gateway" || role == "media" { // workers have something that wraps
			if err := c.Check(); err != nil {
				t.Errorf("%s without a master key: %v", role, err)
			}
			c.KeyPrevious = clusterKey
			if err := c.Check(); err == nil || !strings.Contains(err.Error(), "give it to the workers") {
				t.Errorf("%s with an earlier master key: %v", role, err)
			}
		}
	}
	for setting, c := range map[string]struct {
		change func(*app.Config)
		remedy string
	}{
		"PARLEY_ROLE":                {func(c *app.Config) { c.Role = "boss" }, "gateway, media or worker"},
		"PARLEY_DATABASE_URL":        {func(c *app.Config) { c.DatabaseURL = "" }, "PostgreSQL"},
		"PARLEY_NATS_URL":            {func(c *app.Config) { c.NATSURL = "" }, "deploy/nats/parley.conf"},
		"PARLEY_NATS_NKEY_SEED_FILE": {func(c *app.Config) { c.NATSSeedFile = "" }, "nkey"},
		"PARLEY_BLOB_URL":            {func(c *app.Config) { c.BlobURL = "" }, "s3://"},
		"PARLEY_KEY":                 {func(c *app.Config) { c.Key = "" }, "openssl rand -hex 32"},
		"PARLEY_INTERNAL_ADDR":       {func(c *app.Config) { c.InternalAddr = "here" }, "HOST:PORT"},
		"PARLEY_INTERNAL_URL":        {func(c *app.Config) { c.InternalAddr = "0.0.0.0:8443" }, "where gateways reach"},
		"PARLEY_NATS_CA":             {func(c *app.Config) { c.NATSCA = "/nowhere" }, "file"},
		"PARLEY_NATS_KEY":            {func(c *app.Config) { c.NATSCert = "cert.pem" }, "both"},
		"PARLEY_MEDIA_REGION":        {func(c *app.Config) { c.MediaRegion = "mars" }, "setting regions"},
		"PARLEY_ZONE":                {func(c *app.Config) { c.Zone = "here there" }, "eu-1a"},
		"PARLEY_GONE_AFTER":          {func(c *app.Config) { c.GoneAfter = time.Millisecond }, "1m"},
	} {
		bad := good("media")
		if setting == "PARLEY_KEY" {
			bad = good("worker")
		}
		c.change(&bad)
		if err := bad.Check(); err == nil || !strings.Contains(err.Error(), "("+setting+")") || !strings.Contains(err.Error(), c.remedy) {
			t.Errorf("%s: %v", setting, err)
		}
	}
	clear := good("gateway")
	clear.NATSURL = "nats://10.0.0.9:4222"
	if err := clear.Check(); err == nil || !strings.Contains(err.Error(), "in the clear") {
		t.Errorf("NATS without TLS: %v", err)
	}
	alone := settings(t.TempDir(), "41200-41219")
	alone.Role = "media"
	if err := alone.Check(); err == nil || strings.Count(err.Error(), "\n") < 3 {
		t.Errorf("all that is missing is told at once: %v", err)
	}
}
