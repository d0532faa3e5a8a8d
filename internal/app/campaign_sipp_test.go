package app_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/media/audio"
)

// awake makes numbers of a place where people may be called for the next hour, whenever this runs.
func awake(t *testing.T) (number func(i int) string) {
	t.Helper()
	book, err := policy.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, place := range []struct {
		prefix string
		digits int
	}{{"+4930", 8}, {"+9111", 8}, {"+6221", 8}, {"+813", 8}, {"+612", 8}, {"+649", 7}, {"+1907", 7}, {"+1808", 7}, {"+5411", 8}, {"+2711", 7}, {"+35121", 7}} {
		number = func(i int) string { return fmt.Sprintf("%s2%0*d", place.prefix, place.digits-1, i) }
		ok := true
		for _, at := range []time.Time{now, now.Add(30 * time.Minute), now.Add(time.Hour)} {
			v, err := book.Decide(policy.Request{Number: number(0), Purpose: policy.Service, Automated: true}, at)
			ok = ok && err == nil && v.Allowed
		}
		if ok {
			return number
		}
	}
	t.Fatal("nobody may be called anywhere now")
	return nil
}

// network is SIPp as the telephone network.
type network struct {
	address string
	log     string
	out     *bytes.Buffer
}

// sippPeople has SIPp be the people who are called.
func sippPeople(t *testing.T, pause time.Duration) *network {
	t.Helper()
	dir := t.TempDir()
	sound := filepath.Join(dir, "machine.ul")
	if err := os.WriteFile(sound, machineSound(), 0o600); err != nil {
		t.Fatal(err)
	}
	scenario, err := os.ReadFile("testdata/sipp_people.xml")
	if err != nil {
		t.Fatal(err)
	}
	scenario = bytes.ReplaceAll(bytes.ReplaceAll(scenario, []byte("SOUND,"), []byte(sound+",")), []byte(`"PAUSE"`), []byte(strconv.Quote(fmt.Sprint(pause.Milliseconds()))))
	file := filepath.Join(dir, "people.xml")
	if err := os.WriteFile(file, scenario, 0o600); err != nil {
		t.Fatal(err)
	}
	port, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{address: port.LocalAddr().String(), log: filepath.Join(dir, "calls.log"), out: &bytes.Buffer{}}
	_ = port.Close()
	_, number, _ := strings.Cut(n.address, ":")
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "sipp", "-sf", file, "-i", "127.0.0.1", "-p", number, "-mi", "127.0.0.1", "-nostdin", "-trace_logs", "-log_file", n.log, "-l", "5000", "-buff_size", "2000000")
	cmd.Env, cmd.Dir = append(cmd.Environ(), "TERM=dumb"), dir
	cmd.Stdout, cmd.Stderr = n.out, n.out
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("sipp (Debian package sip-tester) does not start: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			text := n.out.String()
			t.Logf("sipp: %s", text[max(0, len(text)-3000):])
		}
	})
	return n
}

// machineSound is a greeting without a pause, and a beep: µ-law.
func machineSound() []byte {
	const rate = 8000
	pcm := make([]int16, 0, 40*rate)
	pcm = append(pcm, make([]int16, rate/4)...)
	for i := range 4 * rate { // as loud as speech, and with its pitch and syllables
		syllable := 0.55 + 0.45*math.Sin(2*math.Pi*4*float64(i)/rate)
		voice := 0.0
		for h := 1; h < 12; h++ {
			voice += math.Sin(2*math.Pi*140*float64(h)*float64(i)/rate) / float64(h)
		}
		pcm = append(pcm, int16(5000*syllable*voice))
	}
	pcm = append(pcm, make([]int16, rate/2)...)
	for i := range rate / 2 {
		pcm = append(pcm, int16(8000*math.Sin(2*math.Pi*1000*float64(i)/rate)))
	}
	pcm = append(pcm, make([]int16, 30*rate)...)
	out := make([]byte, len(pcm))
	audio.MuLawEncode(out, pcm)
	return out
}

var called = regexp.MustCompile(`call \[?([0-9]+)\]?`)

// calls gives how often each number was called.
func (n *network) calls(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile(n.log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, m := range called.FindAllStringSubmatch(string(text), -1) {
		out["+"+m[1]]++
	}
	return out
}

// fates are what becomes of a number by its last digit.
var fates = [10]string{"answered", "answered", "answered", "answered", "answered", "busy", "no_answer", "failed", "invalid", "machine"}

type shownProgress struct {
	State, Why string
	Leads      map[string]int64
	Outcomes   map[string]int64
	Attempts   int64
	Now        struct {
		Ringing, Waiting, Talking, Places int
		Slowed                            string
	}
}

// TestCampaignOnSIPp calls people, busy lines, lines that nobody answers, machines, numbers that do not exist and a trunk that fails,
// with SIPp as the network. Every lead ends in the right state, and the report is the network's own count.
// PARLEY_CAMPAIGN_LEADS and PARLEY_CAMPAIGN_LINES make it bigger: make campaign.
func TestCampaignOnSIPp(t *testing.T) {
	leads, lines := wanted(t, "PARLEY_CAMPAIGN_LEADS", 40), wanted(t, "PARLEY_CAMPAIGN_LINES", 12)
	pause := time.Duration(wanted(t, "PARLEY_CAMPAIGN_TALK_MS", 3500)) * time.Millisecond
	conf := settings(t.TempDir(), "21000-21999")
	conf.MaxCalls, conf.KeptLines = 2*lines+20, 10
	s := start(t, conf)
	c := owner(t, s.screen)
	n := sippPeople(t, pause)
	id := campaignOn(t, c, n, leads, lines)
	refusedStart(t, c)
	var p shownProgress
	began, high, full, within2, looks := time.Now(), int64(0), 0, 0, 0
	for p.State != "finished" {
		if time.Since(began) > 15*time.Minute {
			t.Fatalf("it does not end: %+v", p)
		}
		<-time.After(250 * time.Millisecond)
		p = shownProgress{}
		c.want(200, "GET", "/api/v1/campaigns/"+id+"/progress", nil, &p)
		if looks++; looks%40 == 0 {
			t.Logf("after %s: %v %v %+v", time.Since(began).Round(time.Second), p.Leads, p.Outcomes, p.Now)
		}
		now := int64(p.Now.Ringing + p.Now.Waiting + p.Now.Talking) // of the dialler, every two seconds
		high = max(high, now)
		if p.Leads["new"]+p.Leads["waiting"] > int64(lines) && high >= int64(lines)-2 {
			full++
			if now >= int64(lines)-2 && now <= int64(lines)+2 {
				within2++
			}
		}
	}
	took := time.Since(began)
	want := map[string]int64{}
	for i := range leads {
		want[fates[i%10]]++
	}
	if !maps.Equal(p.Outcomes, want) || p.Leads["done"] != int64(leads) {
		t.Errorf("outcomes %v, want %v; leads %v", p.Outcomes, want, p.Leads)
	}
	calls := n.calls(t)
	for number, times := range calls {
		if times != 1 {
			t.Errorf("%s was called %d times", number, times)
		}
	}
	if len(calls) != leads || p.Attempts != int64(leads) {
		t.Errorf("the network counts %d calls, the campaign %d, there are %d leads", len(calls), p.Attempts, leads)
	}
	if high > int64(lines) {
		t.Errorf("%d calls at once, with %d lines", high, lines)
	}
	t.Logf("%d leads in %s; %d lines, at most %d calls at once; of %d looks while there was enough to do, %d were within 2 of it; %v",
		leads, took.Round(time.Second), lines, high, full, within2, p.Outcomes)
}

// refusedStart has a campaign be refused that could call nobody, with the rule's name (its own hours, or the place's, as the clock
// says now), and one that would ring too briefly.
func refusedStart(t *testing.T, c *client) {
	t.Helper()
	var camp struct{ ID string }
	c.want(201, "POST", "/api/v1/campaigns", map[string]any{"name": "Never", "settings": map[string]any{"agent": "sim", "purpose": "sales",
		"schedule": map[string]any{"hours": map[string]string{"sun-sat": "20:00-21:00"}}}}, &camp)
	path := "/api/v1/campaigns/" + camp.ID
	c.want(200, "POST", path+"/leads", map[string]any{"leads": []map[string]any{{"number": "+971501230001"}}}, nil)
	if res, b := c.ask("POST", path+"/start", nil); res.StatusCode != http.StatusConflict || !strings.Contains(string(b), "/hours: Nobody") {
		t.Errorf("hours that never come: %d %s", res.StatusCode, b)
	}
	var flight struct {
		Ready      bool
		Prediction struct{ Breaks []struct{ Rule string } }
	}
	c.want(200, "GET", path+"/preflight", nil, &flight)
	if flight.Ready || len(flight.Prediction.Breaks) != 1 || !strings.HasSuffix(flight.Prediction.Breaks[0].Rule, "/hours") {
		t.Errorf("%+v", flight)
	}
	if res, b := c.ask("PATCH", path, map[string]any{"settings": map[string]any{"dialler": map[string]any{"ringSeconds": 14}}}); res.StatusCode/100 != 4 || !strings.Contains(string(b), "ringSeconds") {
		t.Errorf("it would ring for 14 s: %d %s", res.StatusCode, b)
	}
}

func wanted(t *testing.T, name string, usual int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(usual)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
