package telephony

import (
	"cmp"
	"hash/fnv"
	"slices"
	"time"

	"github.com/parley-voice/parley/internal/platform/e164"
)

// Rotation says which of several numbers that are equally near is shown.
type Rotation string

// The rotations.
const (
	RotateFirst Rotation = "first" // always the first
	RotateLeast Rotation = "least" // the one whose last use is longest ago; what was never used comes first
	RotateHash  Rotation = "hash"  // always the same to the same callee, and evenly to all
	RotateTurn  Rotation = "turn"  // one after the other, by Turn
)

// CallerChoice is what decides which number a callee sees.
type CallerChoice struct {
	Callee        string               // E.164
	TrunkID       string               // numbers of other trunks are left out; "": none are
	Pool          []string             // ids or numbers that may be shown; empty: all
	LocalPresence bool                 // a number of the callee's own area comes first, then of its state or province, then of its country
	Rotation      Rotation             // RotateFirst when empty
	LastUsed      map[string]time.Time // by id, for RotateLeast
	Turn          uint64               // for RotateTurn: grows by one with each call
}

// ChooseCaller chooses among numbers, in the order of their ids. found is false when none may be shown. It is a pure function:
// the same numbers in another order give the same.
func ChooseCaller(from []CallerNumber, c CallerChoice) (_ CallerNumber, found bool) {
	callee, _ := e164.Parse(c.Callee) // what cannot be read is nowhere
	best, near := []CallerNumber(nil), -1
	for _, n := range from {
		if !n.Enabled || c.TrunkID != "" && n.TrunkID != "" && n.TrunkID != c.TrunkID ||
			len(c.Pool) > 0 && !slices.Contains(c.Pool, n.ID) && !slices.Contains(c.Pool, n.Number) {
			continue
		}
		rank := 0
		if c.LocalPresence {
			rank = nearness(callee, n)
		}
		switch {
		case rank > near:
			best, near = append(best[:0], n), rank
		case rank == near:
			best = append(best, n)
		}
	}
	if len(best) == 0 {
		return CallerNumber{}, false
	}
	slices.SortFunc(best, func(a, b CallerNumber) int { return cmp.Or(c.compare(a, b), cmp.Compare(a.ID, b.ID)) })
	if c.Rotation == RotateTurn {
		return best[c.Turn%uint64(len(best))], true
	}
	return best[0], true
}

// nearness is how near a number was given out to the callee's: 3 in the same area, 2 in the same state or province, 1 in the same
// country.
func nearness(callee e164.Number, n CallerNumber) int {
	switch {
	case callee.Country == "" || callee.Country != n.Country:
		return 0
	case callee.Area != "" && callee.Area == n.Area:
		return 3
	case callee.Region != "" && callee.Region == n.Region:
		return 2
	}
	return 1
}

// compare puts the number that is to be shown first.
func (c *CallerChoice) compare(a, b CallerNumber) int {
	switch c.Rotation {
	case RotateLeast:
		return c.LastUsed[a.ID].Compare(c.LastUsed[b.ID])
	case RotateHash: // the highest weight: a number more or less moves few callees to another
		return cmp.Compare(weight(c.Callee, b.Number), weight(c.Callee, a.Number))
	}
	return 0
}

func weight(callee, number string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(callee + "\x00" + number)) // it never fails
	// The last bytes of FNV are hardly mixed: finish as MurmurHash3 does.
	x := h.Sum64()
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
