package flow

import (
	"strings"
	"time"
)

// spokenClock writes a time in the words a caller would use: ten thirty.
func spokenClock(t time.Time) string {
	h := t.Hour() % 12
	if h == 0 {
		h = 12
	}
	switch m := t.Minute(); {
	case m == 0:
		return units[h]
	case m < 10:
		return units[h] + " oh " + units[m]
	default:
		return units[h] + " " + spokenNumber(m)
	}
}

func spokenNumber(n int) string {
	if n < 20 {
		return units[n]
	}
	if n%10 == 0 {
		return tens[n/10]
	}
	return tens[n/10] + " " + units[n%10]
}

func spokenOrdinal(n int) string {
	switch {
	case n <= 20:
		return ordinals[n]
	case n == 30:
		return "thirtieth"
	}
	return tens[n/10] + " " + ordinals[n%10]
}

// spokenDay writes a day in words: tuesday.
func spokenDay(t time.Time) string { return strings.ToLower(t.Weekday().String()) }
