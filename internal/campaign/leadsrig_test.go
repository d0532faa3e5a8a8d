package campaign

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/db"
)

type blobEntry = blob.Entry

const leadsOrg = "01930000-0000-7000-8000-00000000a001"

// leadsRig is a service with lists, and jobs that are done when the test says so.
type leadsRig struct {
	*Service
	t     testing.TB
	db    *db.DB
	blobs *blob.Store
	facts AgentFacts
	mu    sync.Mutex
	jobs  []string // kind and id
}

func newLeadsRig(t testing.TB, d *db.DB, clock quartz.Clock) *leadsRig {
	t.Helper()
	r := &leadsRig{t: t, db: d, facts: AgentFacts{ID: "a", Name: "agent"}}
	var err error
	if r.blobs, err = blob.Open(context.Background(), blob.Config{DataDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.blobs.Close(); err != nil {
			t.Error(err)
		}
	})
	r.Service, err = New(Config{DB: d, Agents: r, Blobs: r.blobs, Sealer: tagSealer{}, Clock: clock, Enqueue: r.enqueue})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Ready implements Agents.
func (r *leadsRig) Ready(context.Context, string, string) (AgentFacts, error) { return r.facts, nil }

func (r *leadsRig) enqueue(_ context.Context, _ *db.Tx, kind, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jobs = append(r.jobs, kind+" "+id)
	return nil
}

// tagSealer binds a secret to its place and hides nothing.
type tagSealer struct{}

func (tagSealer) Ready(context.Context, string) error { return nil }

func (tagSealer) Seal(_ context.Context, org string, plain, aad []byte) ([]byte, error) {
	return append([]byte(org+"|"+string(aad)+"|"), plain...), nil
}

func (tagSealer) Open(_ context.Context, org string, sealed, aad []byte) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, []byte(org+"|"+string(aad)+"|"))
	if !ok {
		return nil, fmt.Errorf("sealed for another place")
	}
	return plain, nil
}

func (r *leadsRig) campaign(change func(*Settings)) Campaign {
	r.t.Helper()
	set := Usual()
	set.Agent, set.Country = "front-desk", "DE"
	if change != nil {
		change(&set)
	}
	c, err := r.Create(r.t.Context(), leadsOrg, NewCampaign{Name: "Spring", Settings: &set})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// uploaded sends a list in.
func (r *leadsRig) uploaded(c Campaign, list io.Reader) Import {
	r.t.Helper()
	i, _, err := r.Upload(r.t.Context(), leadsOrg, c.ID, "people.csv", list)
	if err != nil {
		r.t.Fatal(err)
	}
	return i
}

// imported has a list read to its end.
func (r *leadsRig) imported(c Campaign, list string, o ImportOptions) Import {
	r.t.Helper()
	i := r.uploaded(c, strings.NewReader(list))
	i, err := r.StartImport(r.t.Context(), leadsOrg, c.ID, i.ID, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.carried(i)
}

func (r *leadsRig) carried(i Import) Import {
	r.t.Helper()
	if err := r.CarryImport(r.t.Context(), leadsOrg, i.ID); err != nil {
		r.t.Fatal(err)
	}
	return r.look(i)
}

func (r *leadsRig) look(i Import) Import {
	r.t.Helper()
	i, err := r.Import(r.t.Context(), leadsOrg, i.CampaignID, i.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return i
}

// agrees proves that a campaign's counts are those of its leads.
func (r *leadsRig) agrees(id string) map[string]int64 {
	r.t.Helper()
	var states []struct {
		State string
		N     int64
	}
	var kept map[string]int64
	err := r.db.ReadTenant(r.t.Context(), leadsOrg, func(ctx context.Context, tx *db.Tx) error {
		t, err := readTally(ctx, tx, id, 0, 0)
		kept = under(t.sum(), "lead:")
		if err != nil {
			return err
		}
		return tx.NewRaw("SELECT state, count(*) AS n FROM campaign_leads WHERE organisation_id = ? AND campaign_id = ? GROUP BY state", leadsOrg, id).Scan(ctx, &states)
	})
	if err != nil {
		r.t.Fatal(err)
	}
	counted := map[string]int64{}
	for _, s := range states {
		counted[s.State] = s.N
	}
	if !maps.Equal(kept, counted) {
		r.t.Errorf("the campaign counts %v, its leads are %v", kept, counted)
	}
	return counted
}

// people is a list of n people with numbers in no order.
func people(n int, seed uint64) io.Reader {
	rnd := rand.New(rand.NewPCG(seed, 0))
	pr, pw := io.Pipe()
	go func() {
		var b bytes.Buffer
		b.WriteString("Phone,Name,City,Contract\n")
		for i := range n {
			fmt.Fprintf(&b, "0151%08d,Person %d,Berlin,C-%d\n", uint32(i)*2654435761%100_000_000, i, rnd.IntN(1_000_000))
			if b.Len() > 64<<10 || i == n-1 {
				if _, err := pw.Write(b.Bytes()); err != nil {
					return
				}
				b.Reset()
			}
		}
		_ = pw.Close()
	}()
	return pr
}

// sizes are how many leads benchmarks have.
func sizes(b *testing.B) []int {
	b.Helper()
	if os.Getenv("PARLEY_BENCH_LEADS") == "" {
		return []int{1000, 10_000}
	}
	if n, err := strconv.Atoi(os.Getenv("PARLEY_BENCH_LEADS")); err == nil && n > 1 {
		return []int{n}
	}
	return []int{1000, 10_000, 100_000, 1_000_000}
}
