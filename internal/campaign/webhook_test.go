package campaign

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/platform/egress"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/voice/httptool"
)

// told ends a campaign whose webhook is at address, and gives the message's id.
func (r *leadsRig) told(address string) (Campaign, string) {
	r.t.Helper()
	c := r.campaign(func(s *Settings) { s.Webhook = address })
	r.added(c, NewLead{Number: "030 123456"})
	r.jobs = nil
	if _, err := r.Stop(r.t.Context(), leadsOrg, c.ID); err != nil {
		r.t.Fatal(err)
	}
	if len(r.jobs) != 1 {
		r.t.Fatalf("jobs: %v", r.jobs)
	}
	id, ok := strings.CutPrefix(r.jobs[0], WebhookJob+" ")
	if !ok {
		r.t.Fatalf("jobs: %v", r.jobs)
	}
	return c, id
}

func (r *leadsRig) notice(c Campaign) Notice {
	r.t.Helper()
	n, err := r.LastNotice(r.t.Context(), leadsOrg, c.ID)
	if err != nil || n == nil {
		r.t.Fatal(n, err)
	}
	return *n
}

// reach lets webhooks be posted to this machine.
func (r *leadsRig) reach(timeout time.Duration) {
	client := httptool.NewClient(timeout, egress.Rules{}.Dialer(true, timeout))
	r.t.Cleanup(client.CloseIdleConnections)
	r.c.Outbound = func(context.Context, string) *http.Client { return client }
}

func TestWebhook(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		r.reach(time.Minute)
		type message struct {
			head http.Header
			body []byte
		}
		got := make(chan message, 10)
		srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			b, err := io.ReadAll(req.Body)
			if err != nil {
				t.Error(err)
			}
			got <- message{req.Header, b}
		}))
		t.Cleanup(srv.Close)
		secret, err := r.NewWebhookSecret(t.Context(), leadsOrg)
		if err != nil {
			t.Fatal(err)
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) != secretBytes {
			t.Fatal(secret, err)
		}
		c, id := r.told(srv.URL)
		if err := r.Deliver(t.Context(), leadsOrg, id); err != nil {
			t.Fatal(err)
		}
		m := <-got
		if m.head.Get("Webhook-Id") != id || m.head.Get("Webhook-Signature") != signature(key, id, m.head.Get("Webhook-Timestamp"), m.body) {
			t.Errorf("%v", m.head)
		}
		var body struct {
			Type string
			Data struct {
				CampaignID, State, Report string
				Leads                     map[string]int64
			}
		}
		if err := json.Unmarshal(m.body, &body); err != nil || body.Type != "campaign.stopped" || body.Data.CampaignID != c.ID || body.Data.Leads["new"] != 1 || !strings.HasSuffix(body.Data.Report, "/report") {
			t.Errorf("%s, %v", m.body, err)
		}
		if n := r.notice(c); n.State != noticeDelivered || n.Status != 200 || n.Attempts != 1 {
			t.Errorf("%+v", n)
		}
		if err := r.Deliver(t.Context(), leadsOrg, id); err != nil || len(got) != 0 {
			t.Errorf("told twice: %d, %v", len(got), err)
		}
		if _, err := r.Resend(t.Context(), leadsOrg, c.ID); err != nil {
			t.Fatal(err)
		}
		if err := r.Deliver(t.Context(), leadsOrg, id); err != nil || len(got) != 1 {
			t.Errorf("not told again: %d, %v", len(got), err)
		}
	})
}

// Each way a message fails is told, tried again and given up in the end.
func TestWebhookFails(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		r.reach(time.Minute)
		followed := false
		elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
		t.Cleanup(elsewhere.Close)
		closed := httptest.NewServer(http.NotFoundHandler())
		closed.Close()
		answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			switch req.URL.Path {
			case "/broken":
				w.WriteHeader(http.StatusInternalServerError)
			case "/away":
				http.Redirect(w, req, elsewhere.URL, http.StatusTemporaryRedirect)
			case "/gone":
				w.WriteHeader(http.StatusGone)
			}
		}))
		t.Cleanup(answers.Close)
		fails := func(name, address, says string) (Campaign, string) {
			t.Helper()
			c, id := r.told(address)
			if err := r.Deliver(t.Context(), leadsOrg, id); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", name, err)
			}
			if n := r.notice(c); n.State != noticeWaiting || n.Attempts != 1 || n.Error == "" {
				t.Errorf("%s: %+v", name, n)
			}
			return c, id
		}
		fails("without a secret", answers.URL, "no secret")
		if _, err := r.NewWebhookSecret(t.Context(), leadsOrg); err != nil {
			t.Fatal(err)
		}
		fails("nobody listens", closed.URL, "refused")
		fails("a redirection", answers.URL+"/away", "307")
		if followed {
			t.Error("the redirection was followed")
		}
		c, id := fails("an error", answers.URL+"/broken", "500")
		for range webhookTries {
			_ = r.Deliver(t.Context(), leadsOrg, id)
		}
		if n := r.notice(c); n.State != noticeFailed || n.Attempts != webhookTries || n.Status != 500 {
			t.Errorf("after ten tries: %+v", n)
		}
		c, id = r.told(answers.URL + "/gone")
		if err := r.Deliver(t.Context(), leadsOrg, id); err != nil {
			t.Error(err)
		}
		if n := r.notice(c); n.State != noticeFailed || n.Status != 410 {
			t.Errorf("gone for good: %+v", n)
		}
		hangs := make(chan struct{})
		slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hangs }))
		t.Cleanup(slow.Close)
		t.Cleanup(func() { close(hangs) })
		r.reach(50 * time.Millisecond)
		fails("no answer", slow.URL, "exceeded")
		private := httptool.NewClient(time.Minute, egress.Rules{}.Dialer(false, time.Minute))
		t.Cleanup(private.CloseIdleConnections)
		r.c.Outbound = func(context.Context, string) *http.Client { return private }
		fails("a private address", answers.URL, "private network")
		for _, bad := range []string{"ftp://example.com", "example.com", "https://user:word@example.com", "https://"} {
			if err := checkWebhook("body.settings.webhook", bad); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", bad, err)
			}
		}
	})
}
