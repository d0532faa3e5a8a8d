package client_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/parley-voice/parley/api/client"
	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/identity"
)

const within = 40 * time.Second

// serve runs a server with an owner, and gives its address and a token of the owner.
func serve(t *testing.T) (url, token string) {
	t.Helper()
	c := app.Config{
		HTTPAddr: "127.0.0.1:0", SIPAddr: "off", SIPDomain: "parley", RTPPorts: "24500-24599", WebRTCAddr: "off", DataDir: t.TempDir(), TwilioAgent: "front-desk",
		MaxCalls: 10, Drain: within, SessionIdle: time.Hour, LogLevel: "error", LogFormat: "text", RateRead: "1000/1m", RateWrite: "1000/1m",
	}
	admin, err := app.OpenAdmin(t.Context(), c, "test", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	_, err = admin.CreateOwner(t.Context(), identity.NewOwner{Email: "owner@example.com", Password: "a long pass phrase 1", Organisation: "Example"})
	if err == nil {
		token, err = admin.CreateToken(t.Context(), "", "owner@example.com", "test")
	}
	admin.Close()
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(c, "test", io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-a.Started():
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	case <-time.After(within):
		t.Fatal("it does not start")
	}
	return "http://" + a.HTTPAddr(), token
}

// A program reads an agent, renames it only while it is what was read, and makes a token once however often it asks.
func TestClient(t *testing.T) {
	url, token := serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	c, err := client.NewClientWithResponses(url, client.WithRequestEditorFn(client.Bearer(token)))
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.ListAgentsWithResponse(ctx, &client.ListAgentsParams{})
	if err != nil || list.JSON200 == nil || len(*list.JSON200.Items) == 0 {
		t.Fatalf("%v %s", err, list.Body)
	}
	id := (*list.JSON200.Items)[0].Id
	read, err := c.GetAgentWithResponse(ctx, id, &client.GetAgentParams{})
	if err != nil || read.JSON200 == nil {
		t.Fatalf("%v %s", err, read.Body)
	}
	tag, name := read.HTTPResponse.Header.Get("ETag"), "Reception"
	again, err := c.GetAgentWithResponse(ctx, id, &client.GetAgentParams{IfNoneMatch: &tag})
	if err != nil || again.StatusCode() != http.StatusNotModified {
		t.Errorf("%v, status %d", err, again.StatusCode())
	}
	for _, want := range []int{http.StatusOK, http.StatusPreconditionFailed} {
		renamed, err := c.UpdateAgentWithResponse(ctx, id, &client.UpdateAgentParams{IfMatch: &tag}, client.UpdateAgentJSONRequestBody{Name: &name})
		if err != nil || renamed.StatusCode() != want {
			t.Errorf("rename: %v %d %s", err, renamed.StatusCode(), renamed.Body)
		}
	}
	key, secrets := "once", map[string]bool{}
	for range 3 {
		made, err := c.CreateTokenWithResponse(ctx, &client.CreateTokenParams{IdempotencyKey: &key}, client.CreateTokenJSONRequestBody{Name: "a program"})
		if err != nil || made.JSON201 == nil {
			t.Fatalf("%v %s", err, made.Body)
		}
		secrets[made.JSON201.Secret] = true
	}
	if len(secrets) != 1 {
		t.Errorf("%d tokens were made", len(secrets))
	}
	missing, err := c.GetAgentWithResponse(ctx, "nobody", &client.GetAgentParams{})
	if err != nil || missing.ApplicationproblemJSONDefault == nil || missing.ApplicationproblemJSONDefault.Code != "not_found" {
		t.Errorf("%v %s", err, missing.Body)
	}
}
