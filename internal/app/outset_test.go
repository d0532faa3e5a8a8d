package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/audio"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony"
	"github.com/parley-voice/parley/internal/voice"
	"github.com/parley-voice/parley/internal/voice/amd"
	"github.com/parley-voice/parley/internal/voice/provider"
)

// spoken is a sentence by the built-in voice, at 8 kHz.
func (r *exchangeRig) spoken(text string) (pcm []int16) {
	r.t.Helper()
	s := must(r.vendors.local.Speak(r.t.Context(), provider.SpeakRequest{Text: text, Language: "en-US"}))(r.t)
	defer func() { _ = s.Close() }()
	buf := make([]int16, 4096)
	for {
		n, err := s.Read(buf)
		pcm = append(pcm, buf[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	if s.Rate() == 8000 {
		return pcm
	}
	return must(audio.NewResampler(s.Rate(), 8000))(r.t).Process(nil, pcm)
}

func quiet(d time.Duration) []int16 { return make([]int16, int(d.Seconds()*8000)) }

// sippAnswers has SIPp answer one call by playing sound, and gives its address. It ends by itself when it is hung up on.
func sippAnswers(t *testing.T, sound []int16) string {
	t.Helper()
	dir := t.TempDir()
	code := make([]byte, len(sound))
	audio.MuLawEncode(code, sound)
	file := filepath.Join(dir, "sound.ul")
	scenario := must(os.ReadFile("testdata/sipp_answers.xml"))(t)
	for name, b := range map[string][]byte{"sound.ul": code, "answers.xml": bytes.ReplaceAll(scenario, []byte("SOUND"), []byte(file))} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port := must(net.ListenPacket("udp4", "127.0.0.1:0"))(t)
	address := port.LocalAddr().String()
	_ = port.Close()
	_, number, _ := strings.Cut(address, ":")
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	cmd := exec.CommandContext(ctx, "sipp", "-sf", filepath.Join(dir, "answers.xml"), "-m", "1", "-i", "127.0.0.1", "-p", number, "-mi", "127.0.0.1", "-nostdin")
	cmd.Env, cmd.Dir = append(cmd.Environ(), "TERM=dumb"), dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("sipp (Debian package sip-tester) does not start: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait(); cancel() }()
	t.Cleanup(func() {
		cancel() // where the test ended first
		if err := <-done; err != nil && t.Failed() {
			text := out.String()
			t.Logf("sipp: %v\n%s", err, text[max(0, len(text)-2000):])
		}
	})
	return address
}

// until asks until the answer is yes.
func (r *exchangeRig) until(what string, yes func() bool) {
	r.t.Helper()
	end := time.NewTimer(2 * patience)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-end.C:
			r.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// said gives what was said so far, as "who: what".
func (r *exchangeRig) said(id string) (lines []string) {
	r.t.Helper()
	if err := r.records.Flush(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	items, _, err := r.records.Transcript(r.t.Context(), ours, id, 0, 100)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, it := range items {
		lines = append(lines, it.Speaker+": "+it.Text)
	}
	return lines
}

// SIPp answers two calls through trunks: as a machine that greets and beeps, and as a person who says hello.
func TestOutset(t *testing.T) {
	r := newExchangeRig(t)
	r.listen(nil)
	r.caller()
	beep := quiet(time.Second)
	for i := range beep {
		beep[i] = int16(8000 * math.Sin(2*math.Pi*1000*float64(i)/8000))
	}
	sounds := map[string][]int16{
		"machine": slices.Concat(quiet(500*time.Millisecond), r.spoken("You have reached the Millers. We cannot come to the telephone. Please leave a message."), quiet(500*time.Millisecond), beep, quiet(40*time.Second)),
		"person":  slices.Concat(quiet(500*time.Millisecond), r.spoken("Hello?"), quiet(9*time.Second), r.spoken("Yes, I have some time for you."), quiet(40*time.Second)),
	}
	ids := map[string]string{}
	for who, sound := range sounds {
		trunk := must(r.phones.CreateTrunk(t.Context(), ours, telephony.NewTrunk{Name: who, Address: sippAnswers(t, sound)}))(t)
		ids[who] = must(r.DialOut(t.Context(), DialOut{OrgID: ours, Agent: "caller", TrunkID: trunk.ID, Number: "+4930123456", Variables: map[string]string{"name": "Anna"}, Outset: &Outset{
			Outbound: voice.Outbound{Detect: true, OnMachine: voice.MachineMessage, Message: "{{name}}, please call back.", Disclosures: []string{"An assistant speaks."},
				Detection: amd.Config{AfterGreeting: 1500 * time.Millisecond}}, // the machine that this runs on may be busy
			Results: []string{"booked"},
		}}))(t)
	}
	r.until("an answer of the agent to the person's second words", func() bool {
		said := r.said(ids["person"])
		i := slices.Index(said, "caller: utterance 2")
		return i > 0 && i < len(said)-1
	})
	if err := r.callOff(t.Context(), ids["person"], media.Cause{By: "system", Code: "normal", Text: "The test is over."}); err != nil {
		t.Error(err)
	}
	machine, person := r.record(ids["machine"]), r.record(ids["person"])
	if machine.EndReason != "message" || machine.EndedBy != "agent" || outcomeOf(machine, event.OutcomeAnsweredBy) != "machine" ||
		outcomeOf(machine, event.OutcomeMessage) != "played" || outcomeOf(machine, event.OutcomeDisclosure) != "played" {
		t.Errorf("the machine's call ended %s by %s, outcome %v", machine.EndReason, machine.EndedBy, machine.Outcome)
	}
	if said := agentSaid(r.said(ids["machine"])); !slices.Equal(said, []string{"An assistant speaks.", "Anna, please call back."}) {
		t.Errorf("the machine has %q", said)
	}
	if outcomeOf(person, event.OutcomeAnsweredBy) != "human" || outcomeOf(person, event.OutcomeDisclosure) != "played" || person.Turns == 0 {
		t.Errorf("the person's call: %d turns, outcome %v", person.Turns, person.Outcome)
	}
	if said := agentSaid(r.said(ids["person"])); len(said) < 3 || said[0] != "An assistant speaks." || said[1] != "Hello Anna." {
		t.Errorf("the person heard %q", said)
	}
}

func outcomeOf(d conversation.CallDetail, name string) any {
	m, _ := d.Outcome[name].(map[string]any)
	return m["value"]
}

func agentSaid(lines []string) (said []string) {
	for _, l := range lines {
		if text, ok := strings.CutPrefix(l, "agent: "); ok {
			said = append(said, text)
		}
	}
	return said
}

// What a call could not say is refused before it rings.
func TestOutsetIsChecked(t *testing.T) {
	r := newExchangeRig(t)
	carrier := ringer(t, r, "pcmu", nil)
	r.listen(nil)
	r.caller()
	r.trunk(carrier)
	for name, o := range map[string]Outset{
		"no message":              {Outbound: voice.Outbound{OnMachine: voice.MachineMessage}},
		"a disclosure of nothing": {Outbound: voice.Outbound{Disclosures: []string{"{{nothing|}}"}}},
	} {
		_, err := r.DialOut(t.Context(), DialOut{OrgID: ours, Agent: "caller", Number: "+4930123456", Variables: map[string]string{"name": "Anna"}, Outset: &o})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := carrier.Calls(); n != 0 {
		t.Errorf("%d calls reached the carrier", n)
	}
}

// An agent's own tool keeps its name.
func TestOutsetTools(t *testing.T) {
	own := []voice.Tool{voice.HangupTool()}
	own[0].Spec.Name = "outcome"
	var names []string
	for _, tool := range (&Outset{Results: []string{"booked"}}).tools(own, time.Now) {
		names = append(names, tool.Spec.Name)
	}
	if want := []string{"outcome", "opt_out", "call_back_at", "not_interested"}; !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	if got := (*Outset)(nil).tools(own, time.Now); len(got) != 1 {
		t.Errorf("%d tools on a call that nobody placed", len(got))
	}
}
