package pace

import "slices"

// Want is what a campaign asks of something that is scarce: places for calls, or starts of calls.
type Want struct {
	Organisation string
	Weight       int // of the campaign within its organisation; below 1 is 1
	Most         int // it can use
}

// Divide shares total between campaigns: first between organisations alike, then between an organisation's campaigns by
// weight. What one does not use goes to the others. turn moves who gets what does not divide, so that nobody is always last.
func Divide(total int, wants []Want, turn int) []int {
	out := make([]int, len(wants))
	var names []string
	members := map[string][]int{}
	for i, w := range wants {
		if members[w.Organisation] == nil {
			names = append(names, w.Organisation)
		}
		members[w.Organisation] = append(members[w.Organisation], i)
	}
	slices.Sort(names)
	asked, equal := make([]int, len(names)), make([]int, len(names))
	for i, n := range names {
		equal[i] = 1
		for _, m := range members[n] {
			asked[i] += max(0, wants[m].Most)
		}
	}
	for i, got := range fill(total, asked, equal, turn) {
		of := members[names[i]]
		most, weight := make([]int, len(of)), make([]int, len(of))
		for j, m := range of {
			most[j], weight[j] = max(0, wants[m].Most), max(1, wants[m].Weight)
		}
		for j, n := range fill(got, most, weight, turn) {
			out[of[j]] = n
		}
	}
	return out
}

// fill gives each at most what it asked for, by weight, until total is gone or nobody wants more.
func fill(total int, most, weight []int, turn int) []int {
	out := make([]int, len(most))
	for total > 0 {
		open, sum := []int{}, 0
		for i := range most {
			if out[i] < most[i] {
				open = append(open, i)
				sum += weight[i]
			}
		}
		if len(open) == 0 {
			break
		}
		given := 0
		for _, i := range open {
			n := min(total*weight[i]/sum, most[i]-out[i])
			out[i] += n
			given += n
		}
		total -= given
		if given > 0 {
			continue
		}
		for k := range open { // less than one each: one after the other
			if total == 0 {
				break
			}
			out[open[(k+turn)%len(open)]]++
			total--
		}
	}
	return out
}
