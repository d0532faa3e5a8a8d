package conversation

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// desk carries the calls of a test.
type desk struct {
	s      *Service
	hungUp []string
}

func (d *desk) Hangup(_ context.Context, id, by string) error {
	d.hungUp = append(d.hungUp, id+" "+by)
	d.s.find(orgA, id).End(Ending{By: by})
	return nil
}

func (d *desk) PlaceCall(ctx context.Context, o OutboundRequest) (string, error) {
	if o.To == "sip:nobody@x" {
		return "", fault.Field("body.to", "Nobody is there.")
	}
	c, err := d.s.Begin(ctx, NewCall{OrgID: o.OrgID, Channel: "sip", Direction: "outbound", To: o.To, From: o.From,
		AgentSlug: o.Agent, Metadata: o.Metadata})
	if err != nil {
		return "", err
	}
	return c.ID(), nil
}

// serve gives the API over HTTP, asked by org.
func serve(t *testing.T, r *rig, org string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	r.Routes(humago.New(mux, huma.DefaultConfig("test", "1")))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if org != "" {
			req = req.WithContext(identity.With(req.Context(), identity.Principal{OrgID: org, UserID: "u"}))
		}
		mux.ServeHTTP(w, req)
	}))
	t.Cleanup(srv.Close)
	return srv
}

type answer struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, method, url, body string, header ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	must(t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	must(t, err)
	b, err := io.ReadAll(res.Body)
	must(t, err)
	must(t, res.Body.Close())
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	return answer{res.StatusCode, res.Header, string(b)}
}

func storedCall(t *testing.T, r *rig) string {
	t.Helper()
	c := r.begin(orgA, "1001")
	talk(c)
	c.Append(event.Entry{AtUS: 3_200_000, Turn: 2, Kind: event.EntrySTTFinal, Text: "<b>Tom & Jerry</b> -->\n\n2 > 1", Data: map[string]any{"startMs": 3_700_000, "endMs": 3_700_000}})
	for range 30 {
		c.Frames(tone(160, 0x90), tone(160, 0xa0))
	}
	c.End(Ending{By: "caller"})
	r.settle()
	return c.ID()
}

func TestHTTPReads(t *testing.T) {
	r := onSQLite(t, nil)
	id := storedCall(t, r)
	base := serve(t, r, orgA).URL + "/api/v1"
	for path, want := range map[string]string{
		"/calls?limit=1":                                `"next":null`,
		"/calls?status=ended&q=1001":                    `"endReason":"normal"`,
		"/calls/" + id:                                  `"legs":[{`,
		"/calls/" + id + "/transcript":                  `"text":"when do you open"`,
		"/calls/" + id + "/transcript?limit=2":          `"next":"2"`,
		"/calls/" + id + "/transcript?cursor=2&limit=1": `"text":"At nine."`,
		"/calls/" + id + "/events?limit=2":              `"next":"2"`,
		"/calls/" + id + "/events?kind=dtmf":            `"items":[],"next":null`,
		"/calls/" + id + "/events?cursor=2&limit=1":     `"kind":"activity"`,
		"/calls/" + id + "/turns":                       `"firstFrameMs":1.5`,
		"/calls/" + id + "/turns?limit=1":               `"next":"0"`,
		"/calls/" + id + "/signals":                     `"summary":"INVITE"`,
		"/calls/" + id + "/recording/peaks?buckets=3":   `"durationMs":600`,
		"/overview":                         `"answered":1`,
		"/overview?timeZone=Asia/Kathmandu": `+05:45`,
	} {
		if a := ask(t, "GET", base+path, ""); a.status != 200 || !strings.Contains(a.body, want) || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	other := serve(t, r, orgB).URL + "/api/v1"
	for url, want := range map[string]string{
		other + "/overview": `"agents":[]`, other + "/calls": `"items":[]`, base + "/calls/" + id: `"alerts":[]`,
	} {
		if a := ask(t, "GET", url, ""); a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %s", url, a.status, a.body)
		}
	}
	for path, want := range map[string]int{
		"/calls/unknown": 404, "/calls/unknown/transcript?format=vtt": 404, "/calls/unknown/events?format=ndjson": 404,
		"/calls/unknown/recording": 404, "/calls?cursor=%21": 422, "/calls?limit=0": 422, "/calls?limit=201": 422,
		"/calls?status=gone": 422, "/calls?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z": 422,
		"/calls/" + id + "/events?cursor=-1": 422, "/calls/" + id + "/transcript?cursor=x": 422,
		"/calls/" + id + "/recording?lane=left": 422, "/overview?timeZone=Mars/Base": 422,
	} {
		if a := ask(t, "GET", base+path, ""); a.status != want {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for org, want := range map[string]int{"": 401, orgB: 404} {
		base := serve(t, r, org).URL + "/api/v1/calls/" + id
		for _, path := range []string{"", "/transcript", "/transcript?format=text", "/events", "/events?format=ndjson", "/turns", "/signals", "/recording", "/recording/peaks"} {
			if a := ask(t, "GET", base+path, ""); a.status != want {
				t.Errorf("organisation %q, %s: %d", org, path, a.status)
			}
		}
	}
}

func TestHTTPDownloads(t *testing.T) {
	r := onSQLite(t, nil)
	id := storedCall(t, r)
	base := serve(t, r, orgA).URL + "/api/v1/calls/" + id
	a := ask(t, "GET", base+"/transcript?format=vtt", "")
	want := "WEBVTT\n\n1\n00:00:00.020 --> 00:00:00.900\n<v agent>Front desk, hello.</v>\n\n" +
		"2\n00:00:01.200 --> 00:00:01.900\n<v caller>when do you open</v>\n\n" +
		"3\n00:00:02.002 --> 00:00:03.000\n<v agent>At nine.</v>\n\n" +
		"4\n01:01:40.000 --> 01:01:40.001\n<v caller>&lt;b&gt;Tom &amp; Jerry&lt;/b&gt; --&gt; 2 &gt; 1</v>\n"
	if a.body != want || a.header.Get("Content-Type") != "text/vtt; charset=utf-8" || a.header.Get("Content-Disposition") != fmt.Sprintf("attachment; filename=%q", id+".vtt") {
		t.Errorf("VTT %v\n%s", a.header, a.body)
	}
	if a := ask(t, "GET", base+"/transcript?format=text", ""); !strings.Contains(a.body, "[00:00:02] agent: At nine. [interrupted]\n") {
		t.Errorf("text %s", a.body)
	}
	a = ask(t, "GET", base+"/events?format=ndjson", "")
	lines := strings.Split(strings.TrimSpace(a.body), "\n")
	for i, l := range lines {
		var e event.Entry
		if err := json.Unmarshal([]byte(l), &e); err != nil || e.Seq != int64(i+1) {
			t.Errorf("line %d: %s %v", i, l, err)
		}
	}
	if len(lines) != 14 || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%d lines, %v", len(lines), a.header)
	}
}

func TestHTTPRecordingRanges(t *testing.T) {
	r := onSQLite(t, nil)
	id := storedCall(t, r)
	url := serve(t, r, orgA).URL + "/api/v1/calls/" + id + "/recording"
	const size = 44 + 30*160*4
	whole := ask(t, "GET", url, "")
	if whole.status != 200 || len(whole.body) != size || whole.header.Get("Content-Type") != "audio/wav" || whole.header.Get("Accept-Ranges") != "bytes" {
		t.Fatalf("%d, %d bytes, %v", whole.status, len(whole.body), whole.header)
	}
	for rng, part := range map[string]string{"bytes=0-43": whole.body[:44], "bytes=100-16443": whole.body[100:16444], "bytes=-7": whole.body[size-7:], "bytes=19000-": whole.body[19000:]} {
		if a := ask(t, "GET", url, "", "Range", rng); a.status != 206 || a.body != part || !strings.HasSuffix(a.header.Get("Content-Range"), fmt.Sprint("/", size)) {
			t.Errorf("%s: %d, %d bytes, %v", rng, a.status, len(a.body), a.header)
		}
	}
	if a := ask(t, "GET", url, "", "Range", "bytes=99999-"); a.status != 416 {
		t.Errorf("beyond the end: %d", a.status)
	}
	if a := ask(t, "GET", url, "", "If-None-Match", whole.header.Get("ETag")); a.status != 304 {
		t.Errorf("known already: %d", a.status)
	}
	if a := ask(t, "HEAD", url, ""); a.status != 200 || a.header.Get("Content-Length") != fmt.Sprint(size) || a.body != "" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	if a := ask(t, "GET", url+"?lane=agent", ""); len(a.body) != 44+30*160*2 || a.body[22] != 1 {
		t.Errorf("one lane: %d bytes", len(a.body))
	}
}

func TestHTTPActions(t *testing.T) {
	d := &desk{}
	r := onSQLite(t, func(c *Config) { c.Calls, c.Dialer = d, d })
	d.s = r.Service
	base := serve(t, r, orgA).URL + "/api/v1/calls"
	a := ask(t, "POST", base+"/outbound", `{"to":"sip:ann@192.0.2.1","agent":"front-desk","metadata":{"lead":7}}`)
	var c CallRecord
	must(t, json.Unmarshal([]byte(a.body), &c))
	if a.status != 202 || c.Direction != "outbound" || c.To != "sip:ann@192.0.2.1" || c.Metadata["lead"] != 7.0 || c.Status != StatusQueued {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := ask(t, "POST", base+"/outbound", `{"to":"sip:nobody@x","agent":"front-desk"}`); a.status != 422 || !strings.Contains(a.body, "body.to") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := ask(t, "POST", base+"/outbound", `{"agent":"front-desk"}`); a.status != 422 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := ask(t, "POST", base+"/"+c.ID+"/hangup", ""); a.status != 202 || !strings.Contains(a.body, `"endedBy":"operator"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	r.settle()
	if a := ask(t, "POST", base+"/"+c.ID+"/hangup", ""); a.status != 409 || len(d.hungUp) != 1 {
		t.Errorf("%d %s", a.status, a.body)
	}
	bare := onSQLite(t, nil)
	live := bare.begin(orgA, "1")
	base = serve(t, bare, orgA).URL + "/api/v1/calls/"
	for path, in := range map[string]string{live.ID() + "/hangup": "", "outbound": `{"to":"sip:x@y","agent":"a"}`} {
		if a := ask(t, "POST", base+path, in); a.status != 503 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}
