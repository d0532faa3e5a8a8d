package pace

import "math"

const (
	// certainty is how far beyond what was seen the share of answers is taken to be: 2.6 standard errors.
	certainty = 2.6
	// mostRisk is how likely it may be that more people find nobody than the budget has left.
	mostRisk = 1e-5
	// spend is the part of the allowed share that is aimed at; the rest is for what the model does not know.
	spend = 0.7
	// atOnce is the part of what is left of the budget that the lines which ring now are expected to use. It spends what
	// the careful estimates saved.
	atOnce = 0.05
)

// predict gives how many lines may ring at once. Those who answer are a binomial number of those that ring; the operators
// who become free before they do are a binomial number of the busy ones. It is the most lines for which
//
//   - the budget does not suffice with probability mostRisk at most, and
//   - those who are expected to find nobody are no more than spend times what is allowed of these lines' answers, or
//     atOnce of what the budget has left.
//
// With no budget that is one line for each free operator, the progressive mode.
func (p *Pacer) predict(s State) int {
	free, left := p.free(s), p.budget.left()
	if left == 0 || p.answer.weight < 30 {
		return free
	}
	answer := p.answer.upper(certainty)
	freed := binomial(s.Busy, p.freeing.lower(p.delay.value/2)) // free before the phone is taken; many take it sooner than the mean
	low, step := free, 1
	for step > 0 && low < p.c.Lines { // the risk grows with every line: up in growing steps, then in shrinking ones
		if p.safe(low+step, free, left, answer, freed) {
			low += step
			step *= 2
			continue
		}
		if step == 1 {
			break
		}
		step /= 4
		step = max(step, 1)
	}
	return low
}

// safe tells whether so many lines may ring.
func (p *Pacer) safe(lines, free, left int, answer float64, freed []float64) bool {
	answers := binomial(lines, answer)
	var expected, risk float64
	for f, pf := range freed {
		if pf < 1e-12 {
			continue
		}
		have := free + f
		for a := have + 1; a < len(answers); a++ {
			expected += pf * answers[a] * float64(a-have)
			if a-have > left {
				risk += pf * answers[a]
			}
		}
	}
	return risk <= mostRisk && expected <= max(spend*p.c.MostDropped*answer*float64(lines), atOnce*float64(left))
}

// binomial gives the probabilities of 0 to n successes.
func binomial(n int, p float64) []float64 {
	out := make([]float64, n+1)
	if p <= 0 || n == 0 {
		out[0] = 1
		return out
	}
	if p >= 1 {
		out[n] = 1
		return out
	}
	// From the middle outwards, so that nothing underflows to zero that matters.
	mode := int(float64(n+1) * p)
	mode = min(mode, n)
	lg := func(x int) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	out[mode] = math.Exp(lg(n) - lg(mode) - lg(n-mode) + float64(mode)*math.Log(p) + float64(n-mode)*math.Log1p(-p))
	odds := p / (1 - p)
	for k := mode; k < n; k++ {
		out[k+1] = out[k] * float64(n-k) / float64(k+1) * odds
	}
	for k := mode; k > 0; k-- {
		out[k-1] = out[k] * float64(k) / float64(n-k+1) / odds
	}
	return out
}
