package policy

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Holiday is a day off that comes back each year. One of On, Nth and Easter says when.
type Holiday struct {
	Name     string `yaml:"name"`
	On       string `yaml:"on"`       // month and day: 07-04
	Nth      string `yaml:"nth"`      // 3 mon 01: the third Monday of January; -1 is the last
	Easter   *int   `yaml:"easter"`   // days after Easter Sunday of the Western churches: -2 is Good Friday
	Observed bool   `yaml:"observed"` // on a Saturday the Friday before is off too, on a Sunday the Monday after

	month   time.Month
	day     int
	weekday time.Weekday
	nth     int
}

// read fills what was parsed from the words.
func (h *Holiday) read(field string) error {
	given := 0
	for _, set := range []bool{h.On != "", h.Nth != "", h.Easter != nil} {
		if set {
			given++
		}
	}
	if given != 1 || h.Name == "" {
		return fault.Field(field, "a holiday has a name and one of on, nth and easter")
	}
	switch {
	case h.On != "":
		t, err := time.Parse("2006-01-02", "2024-"+h.On) // a leap year: 02-29 is a day
		if err != nil {
			return fault.Field(field, "%q is no day of the year; write 07-04", h.On)
		}
		h.month, h.day = t.Month(), t.Day()
	case h.Nth != "":
		parts := strings.Fields(h.Nth)
		if len(parts) != 3 {
			return fault.Field(field, "%q is no weekday of a month; write 3 mon 01", h.Nth)
		}
		n, err := strconv.Atoi(parts[0])
		d, ok := dayNames[parts[1]]
		m, err2 := strconv.Atoi(parts[2])
		if err != nil || err2 != nil || !ok || n == 0 || n < -1 || n > 5 || m < 1 || m > 12 {
			return fault.Field(field, "%q is no weekday of a month; write 3 mon 01", h.Nth)
		}
		h.nth, h.weekday, h.month = n, d, time.Month(m)
	}
	return nil
}

// falls reports whether a day is the holiday, or the weekday on which it is observed.
func (h *Holiday) falls(y int, m time.Month, d int) bool {
	day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	if h.isOn(day) {
		return true
	}
	return h.Observed && (day.Weekday() == time.Friday && h.isOn(day.AddDate(0, 0, 1)) || day.Weekday() == time.Monday && h.isOn(day.AddDate(0, 0, -1)))
}

func (h *Holiday) isOn(t time.Time) bool {
	switch {
	case h.Easter != nil:
		return easter(t.Year()).AddDate(0, 0, *h.Easter).Equal(t)
	case h.nth == -1:
		return t.Month() == h.month && t.Weekday() == h.weekday && t.AddDate(0, 0, 7).Month() != h.month
	case h.nth > 0:
		return t.Month() == h.month && t.Weekday() == h.weekday && (t.Day()-1)/7 == h.nth-1
	}
	return t.Month() == h.month && t.Day() == h.day
}

// easter is Easter Sunday of the Gregorian calendar, by the anonymous algorithm (Meeus, Astronomical Algorithms, ch. 8).
func easter(y int) time.Time {
	a, b, c := y%19, y/100, y%100
	d, e := b/4, b%4
	g := (8*b + 13) / 25
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 19*l) / 433
	month := (h + l - 7*m + 90) / 25
	dom := (h + l - 7*m + 33*month + 19) % 32
	return time.Date(y, time.Month(month), dom, 0, 0, 0, 0, time.UTC)
}

// daysOff are a rule's holidays. A year's are worked out once: every dial asks.
type daysOff struct {
	holidays []Holiday
	years    sync.Map // int → *[367]bool by day of the year; a few years are ever asked for
}

// has tells whether the day that t's clock shows is off.
func (o *daysOff) has(t time.Time) bool {
	if o == nil {
		return false
	}
	y := t.Year()
	days, ok := o.years.Load(y)
	if !ok {
		var off [367]bool
		for d := time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC); d.Year() == y; d = d.AddDate(0, 0, 1) {
			for i := range o.holidays {
				off[d.YearDay()] = off[d.YearDay()] || o.holidays[i].falls(d.Year(), d.Month(), d.Day())
			}
		}
		days, _ = o.years.LoadOrStore(y, &off)
	}
	return days.(*[367]bool)[t.YearDay()]
}
