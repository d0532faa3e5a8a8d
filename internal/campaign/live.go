package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Bounds of those who watch.
const (
	liveKept   = 10_000 // campaigns of which it is remembered what their dialler last said
	liveMost   = 2_000  // who watch, in this process
	liveEach   = 100    // of them, of one organisation
	liveEvery  = time.Second
	liveBeat   = 20 * time.Second // so that whatever is between does not take the line for dead
	liveAgain  = time.Minute      // how often it is asked whether who watches still may
	livePerm   = "campaign:read"
	liveReturn = 3000 // milliseconds after which a browser comes back
)

// live is what diallers last said, here and in other processes, and who watches campaigns.
type live struct {
	mu       sync.Mutex
	last     map[string]dial.Now
	watchers map[string]map[chan struct{}]bool // by campaign
	orgs     map[string]int                    // how many watch, by organisation
	all      int
	closed   chan struct{}
	over     bool
}

func newLive() *live {
	return &live{last: map[string]dial.Now{}, watchers: map[string]map[chan struct{}]bool{}, orgs: map[string]int{}, closed: make(chan struct{})}
}

func (l *live) of(id string) (dial.Now, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, ok := l.last[id]
	return n, ok
}

func (l *live) set(id string, n dial.Now) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.last) >= liveKept {
		clear(l.last)
	}
	l.last[id] = n
}

// wake tells those who watch a campaign that something of it is new. Who has not looked since the last time is told once.
func (l *live) wake(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ch := range l.watchers[id] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// watch gives a channel on which news of a campaign are told, until leave is called.
func (l *live) watch(orgID, id string) (news <-chan struct{}, leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= liveMost || l.orgs[orgID] >= liveEach {
		return nil, nil, fault.New(fault.Unavailable, "too many pages watch campaigns now; close some, or ask for the progress from time to time")
	}
	ch := make(chan struct{}, 1)
	if l.watchers[id] == nil {
		l.watchers[id] = map[chan struct{}]bool{}
	}
	l.watchers[id][ch] = true
	l.orgs[orgID]++
	l.all++
	return ch, func() { l.leave(orgID, id, ch) }, nil
}

func (l *live) leave(orgID, id string, ch chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.watchers[id][ch] {
		return
	}
	delete(l.watchers[id], ch)
	if len(l.watchers[id]) == 0 {
		delete(l.watchers, id)
	}
	if l.orgs[orgID]--; l.orgs[orgID] == 0 {
		delete(l.orgs, orgID)
	}
	l.all--
}

// Watchers is how many watch campaigns in this process.
func (s *Service) Watchers() int {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	return s.live.all
}

// EndLive sends those who watch away, and whoever comes later: they come back to another process, or to this one when it
// runs again. It is safe twice.
func (s *Service) EndLive() {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	if !s.live.over {
		s.live.over = true
		close(s.live.closed)
	}
}

// Follow takes what diallers say, wherever they are, and what happens to campaigns and their leads, until ctx ends.
func (s *Service) Follow(ctx context.Context) error {
	what := bus.SubConfig{Live: true, Filter: []string{"campaign.progress", "campaign.changed", "lead.settled"}}
	sub, err := s.c.Bus.Subscribe(ctx, what, func(_ context.Context, m bus.Msg) error {
		var e struct {
			CampaignID string   `json:"campaignId"`
			Now        dial.Now `json:"now"`
		}
		if err := json.Unmarshal(m.Data, &e); err != nil {
			return fmt.Errorf("%s: %w", m.Type, err)
		}
		if m.Type == "campaign.progress" {
			s.live.set(e.CampaignID, e.Now)
		}
		s.live.wake(e.CampaignID)
		return nil
	})
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, sub.Stop)
	return nil
}

// liveRoutes adds the stream of a campaign's progress.
func (s *Service) liveRoutes(api huma.API) {
	op := operation("watch-campaign", "GET", "/api/v1/campaigns/{id}/live", livePerm, "Watch how a campaign goes", http.StatusOK)
	op.Description = "Server-sent events (WHATWG HTML, section 9.2): a `progress` at once and whenever something is new, at most one a second; each holds what " +
		"get-campaign-progress answers. It ends with the session, or when the role no longer includes campaign:read."
	op.Responses = map[string]*huma.Response{"200": {Description: "Events", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}}}
	huma.Register(api, op, s.httpLive)
}

func (s *Service) httpLive(ctx context.Context, in *campaignPath) (*huma.StreamResponse, error) {
	p, ok := identity.From(ctx)
	if !ok {
		return nil, fault.New(fault.Unauthorized, "sign in first")
	}
	news, leave, err := s.live.watch(p.OrgID, in.ID)
	if err != nil {
		return nil, err
	}
	first, err := s.Progress(ctx, p.OrgID, in.ID)
	if err != nil {
		leave()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer leave()
		hc.SetHeader("Content-Type", "text/event-stream")
		hc.SetHeader("Cache-Control", "no-store")
		hc.SetHeader("X-Accel-Buffering", "no") // nginx would gather it (ngx_http_proxy_module, proxy_buffering)
		hc.SetStatus(http.StatusOK)
		w := stream{hc.BodyWriter()}
		if _, err := fmt.Fprintf(w.Writer, "retry: %d\n", liveReturn); err != nil || w.progress(first) != nil {
			return
		}
		s.tell(hc.Context(), w, p, in.ID, news)
	}}, nil
}

// tell writes the progress whenever something is new, until who watches is gone or may no longer.
func (s *Service) tell(ctx context.Context, w stream, who identity.Principal, id string, news <-chan struct{}) {
	beat := s.c.Clock.NewTicker(liveBeat, "live", "beat")
	defer beat.Stop()
	again := s.c.Clock.NewTicker(liveAgain, "live", "again")
	defer again.Stop()
	pause := s.c.Clock.NewTimer(liveEvery, "live", "pause") // since the last one
	defer pause.Stop()
	wanted, resting := false, true
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.live.closed:
			return
		case <-again.C:
			if !s.stillWatches(ctx, who) {
				return
			}
			continue
		case <-beat.C:
			err = w.write(": \n\n")
		case <-news:
			wanted = true
		case <-pause.C:
			resting = false
		}
		if err == nil && wanted && !resting {
			err = s.tellNow(ctx, w, who.OrgID, id)
			wanted, resting = false, true
			pause.Reset(liveEvery, "live", "pause")
		}
		if err != nil {
			return
		}
	}
}

func (s *Service) tellNow(ctx context.Context, w stream, orgID, id string) error {
	p, err := s.Progress(ctx, orgID, id)
	if err != nil {
		if !fault.Is(err, fault.NotFound) && ctx.Err() == nil {
			s.c.Log.WarnContext(ctx, "who watches a campaign is sent away", "campaign", id, "error", err)
		}
		return err
	}
	return w.progress(p)
}

// stillWatches reports whether who watches may go on.
func (s *Service) stillWatches(ctx context.Context, who identity.Principal) bool {
	if s.c.Still == nil {
		return true
	}
	now, err := s.c.Still(ctx, who)
	return err == nil && now.May(livePerm)
}

// stream writes server-sent events.
type stream struct{ io.Writer }

func (w stream) progress(p Progress) error {
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("write progress: %w", err)
	}
	return w.write("event: progress\ndata: " + string(data) + "\n\n")
}

func (w stream) write(text string) error {
	if _, err := io.WriteString(w.Writer, text); err != nil {
		return err
	}
	if f, ok := w.Writer.(http.Flusher); ok {
		f.Flush()
	}
	return nil
}
