package campaign

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/parley-voice/parley/internal/campaign/pace"
)

// What campaigns share is divided between all that are dialled, whichever process dials them: each process tells the others every
// second what its campaigns ask for, divides by all of that, and takes its own campaigns' parts. What a process does not repeat is
// over. While news are under way two processes may divide differently; whoever carries the calls refuses what is too much.

const (
	noteShares = "campaign-shares"
	sharesKept = 4 * shareEvery
	mostAsked  = 10_000 // campaigns in one process's word; NATS takes a megabyte
)

// ask is what one campaign asks for.
type ask struct {
	Campaign string `json:"c"`
	Org      string `json:"o"`
	Weight   int    `json:"w"`
	Most     int    `json:"m"` // calls at once that it could use
	Lines    int    `json:"l"` // that it has
}

// asking is what a process's campaigns ask for.
type asking struct {
	Node string `json:"node"`
	Asks []ask  `json:"asks"`
	at   time.Time
}

// heed takes what another process asks for.
func (r *Runner) heed(data []byte) {
	var a asking
	if json.Unmarshal(data, &a) != nil || a.Node == "" || a.Node == r.s.c.Node || len(a.Asks) > mostAsked {
		return
	}
	a.at = r.s.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers[a.Node] = a
}

// share divides lines between the campaigns that are dialled, and gives those that are dialled here theirs.
func (r *Runner) share() {
	own, others := r.asked()
	if r.s.c.Bus != nil && len(own.Asks) > 0 {
		data, err := json.Marshal(own)
		if err == nil {
			err = r.s.c.Bus.Tell(noteShares, data)
		}
		if err != nil {
			r.s.c.Log.Debug("other processes were not told what campaigns ask for", "error", err)
		}
	}
	all := append(others, own.Asks...)
	slices.SortFunc(all, func(a, b ask) int { return cmp.Compare(a.Campaign, b.Campaign) }) // in every process alike
	total := 1 << 30
	if r.s.c.Lines != nil {
		total = r.s.c.Lines()
	}
	wants := make([]pace.Want, len(all))
	for i, a := range all {
		if wants[i] = (pace.Want{Organisation: a.Org, Weight: a.Weight, Most: a.Most}); r.s.c.Lines != nil {
			total += a.Lines // what they have is theirs already
		}
	}
	turn := int(r.s.now().Unix() / int64(shareEvery/time.Second) % (1 << 20))
	for i, n := range pace.Divide(total, wants, turn) {
		if t := r.turnOf(all[i].Campaign); t != nil {
			t.tell(news{places: &n})
		}
	}
}

// asked is what the campaigns here ask for, and those of processes that said so lately. A campaign that changes hands is asked for
// once.
func (r *Runner) asked() (own asking, others []ask) {
	r.mu.Lock()
	defer r.mu.Unlock()
	own.Node = r.s.c.Node
	for id, t := range r.turns {
		most, weight, lines := t.wants()
		own.Asks = append(own.Asks, ask{Campaign: id, Org: t.org, Weight: weight, Most: most, Lines: lines})
	}
	seen := map[string]bool{}
	old := r.s.now().Add(-sharesKept)
	for node, p := range r.peers {
		if p.at.Before(old) {
			delete(r.peers, node)
			continue
		}
		for _, a := range p.Asks {
			if r.turns[a.Campaign] == nil && !seen[a.Campaign] {
				seen[a.Campaign] = true
				others = append(others, a)
			}
		}
	}
	return own, others
}
