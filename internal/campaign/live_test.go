package campaign

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

var watcher = identity.Principal{UserID: "1", OrgID: testOrg, SessionID: "1", Permissions: []string{"campaign:read"}}

// audience is a server on which a campaign is watched.
type audience struct {
	t   *testing.T
	s   *Service
	url string
}

func newAudience(t *testing.T, s *Service, id string) *audience {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := s.httpLive(identity.With(r.Context(), watcher), &campaignPath{ID: id})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		out.Body(humago.NewContext(&huma.Operation{}, r, w))
	}))
	t.Cleanup(srv.Close)
	return &audience{t, s, srv.URL}
}

// watch opens the stream; what it says comes line by line.
func (a *audience) watch(ctx context.Context) (*bufio.Scanner, io.Closer) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		a.t.Fatalf("content type %q", got)
	}
	return bufio.NewScanner(resp.Body), resp.Body
}

// next gives the next progress.
func (a *audience) next(lines *bufio.Scanner) Progress {
	a.t.Helper()
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var p Progress
			if err := json.Unmarshal([]byte(data), &p); err != nil {
				a.t.Fatal(err)
			}
			return p
		}
	}
	a.t.Fatalf("the stream ended: %v", lines.Err())
	return Progress{}
}

func (a *audience) gone() {
	a.t.Helper()
	limit, look := time.NewTimer(30*time.Second), time.NewTicker(time.Millisecond)
	defer limit.Stop()
	defer look.Stop()
	for a.s.Watchers() > 0 { // a place is freed by its own goroutine
		select {
		case <-look.C:
		case <-limit.C:
			a.t.Fatalf("%d still watch", a.s.Watchers())
		}
	}
}

func TestLiveTellsOncePerSecond(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		p := newPlant(t, d, 1, 1)
		c := p.campaign(3, nil)
		s := p.nodes[0].s
		a := newAudience(t, s, c.ID)
		armed := p.clock.Trap().NewTimer("live", "pause")
		defer armed.Close()
		again := p.clock.Trap().TimerReset("live", "pause")
		defer again.Close()
		lines, body := a.watch(t.Context())
		if got := a.next(lines); got.State != Running || got.Leads["new"] != 3 {
			t.Fatalf("at first: %+v", got)
		}
		armed.MustWait(t.Context()).MustRelease(t.Context())
		for n := 1; n <= 6; n++ {
			s.live.set(c.ID, dial.Now{Talking: n})
			s.live.wake(c.ID)
			s.live.wake("another")
			if n%3 == 0 {
				p.clock.Advance(liveEvery).MustWait(t.Context())
				if got := a.next(lines); got.Now.Talking != n {
					t.Errorf("%d talk, want %d: all of a second is told at its end, once", got.Now.Talking, n)
				}
				again.MustWait(t.Context()).MustRelease(t.Context())
			}
		}
		if err := body.Close(); err != nil {
			t.Fatal(err)
		}
		a.gone()
	})
}

func TestLiveEndsWithRights(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		p := newPlant(t, d, 1, 1)
		c := p.campaign(1, nil)
		for name, still := range map[string]func(identity.Principal) (identity.Principal, error){
			"signed out": func(w identity.Principal) (identity.Principal, error) {
				return w, fault.New(fault.Unauthorized, "your session has ended")
			},
			"another role": func(w identity.Principal) (identity.Principal, error) {
				w.Permissions = []string{"call:read"}
				return w, nil
			},
		} {
			t.Run(name, func(t *testing.T) {
				clock := quartz.NewMock(t)
				asked, n := make(chan int, 9), 0
				s, err := New(Config{DB: d, Agents: oneAgent{}, Clock: clock, Still: func(_ context.Context, w identity.Principal) (identity.Principal, error) {
					n++
					asked <- n
					if n == 1 {
						return w, nil
					}
					return still(w)
				}})
				if err != nil {
					t.Fatal(err)
				}
				a := newAudience(t, s, c.ID)
				armed := clock.Trap().NewTimer("live", "pause")
				lines, body := a.watch(t.Context())
				defer func() { _ = body.Close() }()
				armed.MustWait(t.Context()).MustRelease(t.Context())
				armed.Close()
				const beats = int(liveAgain / liveBeat)
				clock.Advance(liveEvery).MustWait(t.Context())
				clock.Advance(liveBeat - liveEvery).MustWait(t.Context())
				for beat := 2; beat <= 2*beats; beat++ {
					clock.Advance(liveBeat).MustWait(t.Context())
					if beat%beats == 0 {
						if got := <-asked; got != beat/beats {
							t.Fatalf("asked %d times whether it may go on after %d beats", got, beat)
						}
					}
				}
				for lines.Scan() { // until it ends
				}
				a.gone()
			})
		}
	})
}

func TestLiveIsBoundedAndOnesOwn(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		p := newPlant(t, d, 1, 1)
		c := p.campaign(1, nil)
		s := p.nodes[0].s
		other := watcher
		other.OrgID = "018f0000-0000-7000-8000-00000000000b"
		if _, err := s.httpLive(identity.With(t.Context(), other), &campaignPath{ID: c.ID}); !fault.Is(err, fault.NotFound) {
			t.Errorf("another organisation: %v", err)
		}
		if _, err := s.httpLive(t.Context(), &campaignPath{ID: c.ID}); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("nobody: %v", err)
		}
		if n := s.Watchers(); n != 0 {
			t.Errorf("%d watch after they were refused", n)
		}
		var leave []func()
		for range liveEach {
			_, l, err := s.live.watch(testOrg, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			leave = append(leave, l)
		}
		if _, err := s.httpLive(identity.With(t.Context(), watcher), &campaignPath{ID: c.ID}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("one too many: %v", err)
		}
		_, more, err := s.live.watch(other.OrgID, "another")
		if err != nil {
			t.Errorf("another organisation's place was taken: %v", err)
		}
		for _, l := range append(leave, more, more) {
			l()
		}
		if n := s.Watchers(); n != 0 {
			t.Errorf("%d watch after all left", n)
		}
	})
}

func TestLiveEndsWithTheProcess(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		p := newPlant(t, d, 1, 1)
		s := p.nodes[0].s
		a := newAudience(t, s, p.campaign(1, nil).ID)
		lines, body := a.watch(t.Context())
		defer func() { _ = body.Close() }()
		a.next(lines)
		s.EndLive()
		s.EndLive()
		for lines.Scan() { // until it ends
		}
		if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("it was cut off: %v", err)
		}
		a.gone()
	})
}
