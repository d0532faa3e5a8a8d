package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"syscall"
	"testing"

	"github.com/parley-voice/parley/internal/app"
)

// child is this test binary as a server of its own, so that it can be killed.
func child(text string) error {
	var c app.Config
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	a, err := app.New(c, "test", os.Stdout, os.Stderr)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		<-a.Started()
		_ = json.NewEncoder(os.Stdout).Encode(map[string]string{"http": "http://" + a.HTTPAddr(), "sip": a.SIPAddr()})
	}()
	return a.Run(ctx)
}

var addresses = regexp.MustCompile(`{"http":"(\S+)","sip":"(\S+)"}`)

// process is a server in another process.
type process struct {
	cmd       *exec.Cmd
	screen    *terminal
	HTTP, SIP string
}

func spawn(t *testing.T, c app.Config) *process {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{screen: &terminal{}}
	ctx, cancel := context.WithTimeout(context.Background(), 2*within)
	p.cmd = exec.CommandContext(ctx, os.Args[0])
	p.cmd.Env = append(os.Environ(), childSettings+"="+string(text))
	p.cmd.Stdout, p.cmd.Stderr = p.screen, p.screen
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		p.kill()
		if t.Failed() {
			t.Log(p.screen.String())
		}
	})
	eventually(t, "the server's addresses", func() bool {
		m := addresses.FindStringSubmatch(p.screen.String())
		if m == nil {
			return false
		}
		p.HTTP, p.SIP = m[1], m[2]
		return true
	})
	return p
}

// kill is what a power cut does.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// A server that dies in the middle of a call keeps what was said to about the last second, and says so when it
// is back.
func TestKilled(t *testing.T) {
	t.Parallel()
	c := settings(t.TempDir(), "41120-41199")
	p := spawn(t, c)
	api := owner(t, p.screen)
	caller := ring(t, p.SIP, "sim", question(t))
	caller.answered(t)
	id := api.newest().ID
	eventually(t, "something said by both", func() bool {
		items := api.transcript(id)
		return said(items, "caller", 1) && said(items, "agent", 1)
	})
	before := api.transcript(id)
	events := api.events(id)
	// What can be listened to while the call goes on is on the disk; the second before it is conversation's to prove.
	var heard int64
	eventually(t, "two seconds of recording", func() bool {
		res, b := api.ask("GET", "/api/v1/calls/"+id+"/recording", nil)
		if res.StatusCode == 200 {
			_, _, heard = wave(t, b)
		}
		return heard >= 2000
	})
	p.kill()
	caller.cancel()

	p = spawn(t, c)
	api.base = p.HTTP
	got := api.kept(id)
	if got.EndReason != "interrupted" || got.AnsweredAt == nil || got.EndedAt == nil {
		t.Errorf("the call is %+v", got)
	}
	if got.Recording.State != "available" || got.Recording.DurationMs < heard {
		t.Errorf("recorded %+v, %d ms were heard before", got.Recording, heard)
	}
	res, b := api.ask("GET", "/api/v1/calls/"+id+"/recording", nil)
	if res.StatusCode != 200 {
		t.Fatalf("recording: %d %s", res.StatusCode, b)
	}
	if channels, _, ms := wave(t, b); channels != 2 || ms < heard {
		t.Errorf("%d channels, %d ms, %d were heard before", channels, ms, heard)
	}
	after := api.transcript(id)
	for i, want := range before {
		if i >= len(after) || after[i].Text != want.Text || after[i].Speaker != want.Speaker {
			t.Fatalf("transcript was %+v and is %+v", before, after)
		}
	}
	kept := api.events(id)
	if len(kept) < len(events) || kept[len(kept)-1].Kind != "call.ended" {
		t.Errorf("%d events were written, %d are kept, the last is %+v", len(events), len(kept), kept[len(kept)-1])
	}
	for i, e := range events {
		if kept[i].Kind != e.Kind || kept[i].AtUs != e.AtUs {
			t.Fatalf("event %d was %+v and is %+v", i+1, e, kept[i])
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); errors.As(err, &exit) || err != nil {
		t.Errorf("it ended with %v", err)
	}
}
