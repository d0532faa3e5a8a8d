package app_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// reached registers a phone that others wrote with one media process, and calls it through the other.
func reached(t *testing.T, api *client, at, through *process) {
	t.Helper()
	var made struct{ ID, Password string }
	api.want(201, "POST", "/api/v1/phones", map[string]any{"username": "desk"}, &made)
	desk(t, at.SIP, made.Password)
	eventually(t, "the phone to be registered", func() bool {
		var p struct{ Registered bool }
		api.want(200, "GET", "/api/v1/phones/"+made.ID, nil, &p)
		return p.Registered
	})
	quiet(t, api)
	before := ids(api)
	p := ring(t, through.SIP, "desk", question(t))
	p.answered(t)
	got := api.newest(before...)
	if got.AgentSlug != "" || got.To != "desk" {
		t.Errorf("the call is %+v", got)
	}
	eventually(t, "both legs in the record", func() bool { return len(api.call(got.ID).Legs) == 2 })
	api.want(202, "POST", "/api/v1/calls/"+got.ID+"/hangup", nil, nil)
	if end := api.kept(got.ID); end.EndReason != "normal" || slices.Contains(before, end.ID) {
		t.Errorf("the call is %+v", end)
	}
	p.over(t)
	quiet(t, api) // one call has one record
	if n := len(ids(api)) - len(before); n != 1 {
		t.Errorf("%d calls are recorded", n)
	}
}

// desk runs baresip as the phone of that name. It answers every call.
func desk(t *testing.T, server, password string) {
	t.Helper()
	dir := t.TempDir()
	modules := ""
	for _, pattern := range []string{"/usr/lib/baresip/modules", "/usr/lib/*/baresip/modules"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			modules = found[0]
		}
	}
	if modules == "" {
		t.Fatal("baresip has no modules: install the Debian package baresip-core")
	}
	for name, text := range map[string]string{
		"config": fmt.Sprintf(`poll_method epoll
sip_listen 127.0.0.1:0
audio_player aubridge,nobody
audio_source aubridge,nobody
audio_alert aubridge,nobody
module_path %s
module g711.so
module aubridge.so
module_app account.so
module_app menu.so
`, modules),
		"accounts": fmt.Sprintf("<sip:desk@%s>;auth_user=desk;auth_pass=%s;regint=600;answermode=auto;audio_codecs=PCMU\n", server, password),
		"contacts": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "baresip", "-4", "-n", "127.0.0.1", "-f", dir)
	said := &terminal{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("baresip does not start: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("baresip said:\n%s", said)
		}
	})
}
