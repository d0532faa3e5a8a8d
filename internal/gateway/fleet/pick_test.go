package fleet_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/gateway/fleet"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// known announces instances that nobody needs to reach.
func (r *rig) known(is ...fleet.Instance) {
	r.t.Helper()
	for _, i := range is {
		if i.URL == "" {
			i.URL = "http://127.0.0.1:1"
		}
		calls := i.Calls
		(&instance{}).announce(r, i, func() int { return calls })
	}
}

// picks counts who gets n requests, which all end well.
func (r *rig) picks(n int, w fleet.Want) map[string]int {
	r.t.Helper()
	got := map[string]int{}
	for range n {
		l, err := r.fleet.Pick(w)
		if err != nil {
			r.t.Fatal(err)
		}
		got[l.ID]++
		l.Judge(fleet.Good)
		l.Done()
	}
	return got
}

// Calls of an organisation are balanced onto its region's processes; those that serve everybody help out.
func TestRegionsTakeTheirOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.known(
		fleet.Instance{ID: "eu1", Role: "media", Region: "eu", Capacity: 1000},
		fleet.Instance{ID: "eu2", Role: "media", Region: "eu", Capacity: 1000},
		fleet.Instance{ID: "asia", Role: "media", Region: "asia", Capacity: 10, Calls: 10},
		fleet.Instance{ID: "all", Role: "media", Capacity: 1000},
	)
	for region, want := range map[string][]string{"eu": {"eu1", "eu2"}, "us": {"all"}, "asia": {"all"}, "": {"all"}} {
		got := r.picks(40, fleet.Want{Role: "media", Region: region, Takes: true})
		for _, id := range want {
			if got[id] == 0 {
				t.Errorf("region %q: %s got nothing of %v", region, id, got)
			}
		}
		if len(got) != len(want) {
			t.Errorf("region %q: %v", region, got)
		}
	}
}

// Who has to take a request, who may, and which limit it was when nobody can.
func TestWhoMayTakeIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.known(
		fleet.Instance{ID: "eu1", Role: "media", Region: "eu", Zone: "a", Capacity: 10, Calls: 9},
		fleet.Instance{ID: "eu2", Role: "media", Region: "eu", Zone: "b", Capacity: 10, Calls: 10},
		fleet.Instance{ID: "us", Role: "media", Region: "us", Capacity: 10},
		fleet.Instance{ID: "worker", Role: "worker"},
	)
	drains := &instance{}
	drains.announce(r, fleet.Instance{ID: "drains", Role: "media", Region: "asia", URL: "http://127.0.0.1:1", Capacity: 10}, nil)
	if err := drains.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.knows("drains", func(s fleet.State) bool { return s.Draining })
	for _, c := range []struct {
		name string
		want fleet.Want
		ids  string
		lack fleet.Lack
	}{
		{"a region", fleet.Want{Role: "media", Region: "us"}, "us", ""},
		{"a region and a zone in it", fleet.Want{Role: "media", Region: "eu", Zone: "b"}, "eu2", ""},
		{"a zone that is not there", fleet.Want{Role: "media", Region: "us", Zone: "x"}, "us", ""},
		{"the holder, although it drains", fleet.Want{Role: "media", Holder: "drains"}, "drains", ""},
		{"the holder, although it is full", fleet.Want{Role: "media", Holder: "eu2"}, "eu2", ""},
		{"a role that nobody has", fleet.Want{Role: "singer"}, "", fleet.LackNone},
		{"a holder that is gone", fleet.Want{Role: "media", Holder: "gone"}, "", fleet.LackHolder},
		{"a region without processes", fleet.Want{Role: "media", Region: "mars"}, "", fleet.LackRegion},
		{"only one that drains", fleet.Want{Role: "media", Region: "asia"}, "", fleet.LackDraining},
		{"no place left", fleet.Want{Role: "media", Region: "eu", Zone: "b", Takes: true, Not: []string{"eu1"}}, "", fleet.LackTried},
		{"all tried", fleet.Want{Role: "media", Region: "us", Not: []string{"us"}}, "", fleet.LackTried},
	} {
		l, err := r.fleet.Pick(c.want)
		if c.lack == "" {
			if err != nil || l.ID != c.ids {
				t.Errorf("%s: %+v %v", c.name, l, err)
				continue
			}
			l.Done()
			continue
		}
		var n *fleet.NobodyError
		if !errors.As(err, &n) || n.Lack != c.lack || n.After <= 0 || !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// The one place that is left is given once; the next call knows that it is taken.
	l, err := r.fleet.Pick(fleet.Want{Role: "media", Region: "eu", Takes: true})
	if err != nil || l.ID != "eu1" {
		t.Fatalf("%+v %v", l, err)
	}
	var n *fleet.NobodyError
	if _, err := r.fleet.Pick(fleet.Want{Role: "media", Region: "eu", Takes: true}); !errors.As(err, &n) || n.Lack != fleet.LackCapacity {
		t.Errorf("the place is given twice: %v", err)
	}
	// It was not taken after all.
	l.Judge(fleet.Refused)
	l.Done()
	l.Done()
	if l, err = r.fleet.Pick(fleet.Want{Role: "media", Region: "eu", Takes: true}); err != nil {
		t.Errorf("the place is lost: %v", err)
	} else {
		l.Done()
	}
}

// Calls go to who has the most room, by share, and what is sent between two announcements counts.
func TestLeastLoaded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.known(
		fleet.Instance{ID: "big", Role: "media", Capacity: 1000},
		fleet.Instance{ID: "small", Role: "media", Capacity: 100},
		fleet.Instance{ID: "busy", Role: "media", Capacity: 1000, Calls: 900},
	)
	got := r.picks(330, fleet.Want{Role: "media", Takes: true})
	// By share: 300 on the big one, 30 on the small one.
	if got["busy"] > 0 || got["small"] > 45 || got["small"] < 15 {
		t.Errorf("%v", got)
	}
}

// One key goes to one instance while that is there, and others keep theirs when it goes.
func TestSticky(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.known(fleet.Instance{ID: "a", Role: "media"}, fleet.Instance{ID: "b", Role: "media"})
	third := &instance{}
	third.announce(r, fleet.Instance{ID: "c", Role: "media", URL: "http://127.0.0.1:1"}, nil)
	at := map[string]string{}
	used := map[string]int{}
	key := func(n int) fleet.Want { return fleet.Want{Role: "media", Key: fmt.Sprintf("call:%d", n)} }
	for n := range 300 {
		for who := range r.picks(3, key(n)) {
			if at[key(n).Key] != "" && at[key(n).Key] != who {
				t.Fatalf("%d moved", n)
			}
			at[key(n).Key] = who
			used[who]++
		}
	}
	for _, who := range []string{"a", "b", "c"} {
		if used[who] < 60 {
			t.Errorf("uneven: %v", used)
		}
	}
	if err := third.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.forgets("c")
	for n := range 300 {
		for who := range r.picks(1, key(n)) {
			if old := at[key(n).Key]; old != "c" && old != who {
				t.Fatalf("%d moved from %s to %s although nobody but c went", n, old, who)
			}
		}
	}
}
