package telephony

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// callers are numbers whose ids are their last words.
func callers() []CallerNumber {
	of := func(id, number, country, region, area, trunk string) CallerNumber {
		return CallerNumber{ID: id, Number: number, Country: country, Region: region, Area: area, TrunkID: trunk, Enabled: true}
	}
	off := of("off", "+13055550109", "US", "FL", "305", "")
	off.Enabled = false
	return []CallerNumber{
		of("berlin", "+4930123456", "DE", "", "30", ""), of("hamburg", "+4940123456", "DE", "", "40", ""), of("miami", "+13055550100", "US", "FL", "305", "one"),
		of("miami2", "+13055550101", "US", "FL", "305", "two"), of("tampa", "+18135550100", "US", "FL", "813", ""), of("dallas", "+12145550100", "US", "TX", "214", ""), off,
	}
}

func TestChooseCaller(t *testing.T) {
	ago := func(d time.Duration) time.Time { return time.Unix(1e9, 0).Add(-d) }
	for _, c := range []struct {
		name   string
		choice CallerChoice
		want   string
	}{
		{"the first of all", CallerChoice{Callee: "+13055551234"}, "berlin"},
		{"the same area", CallerChoice{Callee: "+13055551234", LocalPresence: true}, "miami"},
		{"the same area, another trunk", CallerChoice{Callee: "+13055551234", LocalPresence: true, TrunkID: "two"}, "miami2"},
		{"the same state", CallerChoice{Callee: "+14075551234", LocalPresence: true, TrunkID: "three"}, "tampa"},
		{"the same country", CallerChoice{Callee: "+12125551234", LocalPresence: true, TrunkID: "three"}, "dallas"},
		{"the same area abroad", CallerChoice{Callee: "+4940999999", LocalPresence: true}, "hamburg"},
		{"a mobile number", CallerChoice{Callee: "+4915112345678", LocalPresence: true}, "berlin"},
		{"nowhere near", CallerChoice{Callee: "+33123456789", LocalPresence: true}, "berlin"},
		{"no number at all", CallerChoice{Callee: "anna", LocalPresence: true}, "berlin"},
		{"of a pool", CallerChoice{Callee: "+13055551234", LocalPresence: true, Pool: []string{"dallas", "+4940123456"}}, "dallas"},
		{"a pool of nothing that is on", CallerChoice{Callee: "+13055551234", Pool: []string{"off"}}, ""},
		{"least lately used", CallerChoice{Callee: "+13055551234", LocalPresence: true, Rotation: RotateLeast,
			LastUsed: map[string]time.Time{"miami": ago(time.Hour), "miami2": ago(time.Minute), "dallas": ago(0)}}, "miami"},
		{"least lately used: not yet at all", CallerChoice{Callee: "+13055551234", LocalPresence: true, Rotation: RotateLeast,
			LastUsed: map[string]time.Time{"miami": ago(time.Hour)}}, "miami2"},
	} {
		all := callers()
		for range 5 {
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] }) //nolint:gosec // any order must do
			got, found := ChooseCaller(all, c.choice)
			if c.want == "berlin" && got.ID != "berlin" && !c.choice.LocalPresence {
				t.Errorf("%s: %s", c.name, got.ID)
			} else if got.ID != c.want || found != (c.want != "") {
				t.Errorf("%s: %s, not %s", c.name, got.ID, c.want)
			}
		}
	}
}

// By hash a callee always sees the same number, all are used about as often, and one less moves only the callees who saw it.
func TestChoiceByHash(t *testing.T) {
	var all []CallerNumber
	for i := range 10 {
		all = append(all, CallerNumber{ID: fmt.Sprint(i), Number: fmt.Sprintf("+49301234%02d", i), Country: "DE", Area: "30", Enabled: true})
	}
	times := map[string]int{}
	for i := range 10_000 {
		c := CallerChoice{Callee: fmt.Sprintf("+4930%07d", i), Rotation: RotateHash}
		before, _ := ChooseCaller(all, c)
		after, _ := ChooseCaller(all[1:], c)
		if before.ID != "0" && before.ID != after.ID {
			t.Fatalf("%s sees %s, and %s without number 0", c.Callee, before.ID, after.ID)
		}
		times[before.ID]++
	}
	for id, n := range times {
		if n < 850 || n > 1150 {
			t.Errorf("number %s is shown %d times of 10,000", id, n)
		}
	}
}
