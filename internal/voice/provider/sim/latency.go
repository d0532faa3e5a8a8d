package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Shape names a distribution.
type Shape string

// The shapes. In brackets: the parameters.
const (
	Constant    Shape = ""            // [A]
	Normal      Shape = "normal"      // [A mean, B standard deviation], never below zero
	LogNormal   Shape = "lognormal"   // [A median, Sigma]
	Percentiles Shape = "percentiles" // [A p50, B p95, C p99], straight lines between; nothing beyond 1.5 × p99
)

// Latency is a distribution of delays. The zero value is no delay.
type Latency struct {
	Shape   Shape
	A, B, C time.Duration
	Sigma   float64
}

// maxDelay bounds every draw.
const maxDelay = 10 * time.Minute

func (l Latency) draw(r *rand.Rand) time.Duration {
	var d float64
	switch l.Shape {
	case Normal:
		d = float64(l.A) + r.NormFloat64()*float64(l.B)
	case LogNormal:
		d = float64(l.A) * math.Exp(r.NormFloat64()*l.Sigma)
	case Percentiles:
		d = l.quantile(r.Float64())
	default:
		return l.A
	}
	return time.Duration(min(max(d, 0), float64(maxDelay)))
}

func (l Latency) quantile(u float64) float64 {
	line := func(u, u0, u1 float64, a, b time.Duration) float64 {
		return float64(a) + (u-u0)/(u1-u0)*float64(b-a)
	}
	switch {
	case u < 0.5:
		return line(u, 0, 0.5, l.A/2, l.A)
	case u < 0.95:
		return line(u, 0.5, 0.95, l.A, l.B)
	case u < 0.99:
		return line(u, 0.95, 0.99, l.B, l.C)
	default:
		return line(u, 0.99, 1, l.C, l.C*3/2)
	}
}

// ParseLatency reads "300ms", "normal:300ms,50ms", "lognormal:300ms,0.4" or
// "percentiles:200ms,600ms,2s" (p50, p95, p99).
func ParseLatency(text string) (Latency, error) {
	shape, rest, found := strings.Cut(strings.TrimSpace(text), ":")
	if !found {
		shape, rest = "", shape
	}
	if rest == "" && !found {
		return Latency{}, nil
	}
	l := Latency{Shape: Shape(shape)}
	parts := strings.Split(rest, ",")
	want := map[Shape]int{Constant: 1, Normal: 2, LogNormal: 2, Percentiles: 3}[l.Shape]
	if want == 0 {
		return Latency{}, fmt.Errorf("latency %q: the shape %q is not known; use a duration, normal, lognormal or percentiles", text, shape)
	}
	if len(parts) != want {
		return Latency{}, fmt.Errorf("latency %q: %d values, want %d", text, len(parts), want)
	}
	into := []*time.Duration{&l.A, &l.B, &l.C}
	for i, p := range parts {
		p = strings.TrimSpace(p)
		if l.Shape == LogNormal && i == 1 {
			s, err := strconv.ParseFloat(p, 64)
			if err != nil || !(s >= 0 && s <= 10) {
				return Latency{}, fmt.Errorf("latency %q: sigma must be a number from 0 to 10", text)
			}
			l.Sigma = s
			continue
		}
		d, err := time.ParseDuration(p)
		if err != nil || d < 0 || d > maxDelay {
			return Latency{}, fmt.Errorf("latency %q: %q must be a duration from 0 to %v, like 300ms", text, p, maxDelay)
		}
		*into[i] = d
	}
	if l.Shape == Percentiles && (l.A > l.B || l.B > l.C) {
		return Latency{}, fmt.Errorf("latency %q: the percentiles must not fall", text)
	}
	return l, nil
}
