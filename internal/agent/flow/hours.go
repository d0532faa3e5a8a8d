package flow

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

var dayKeysOfWeek = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// span is a time of opening on one real day.
type span struct{ from, to time.Time }

// opening gives the hours of a day, in order; none when it is closed.
func (d *Data) opening(day time.Time) []span {
	if slices.Contains(d.Closed, day.Format(time.DateOnly)) {
		return nil
	}
	var out []span
	for _, s := range d.Hours[dayKeysOfWeek[day.Weekday()]] {
		from, okF := minutesOf(s.From)
		to, okT := minutesOf(s.To)
		if okF && okT && from < to {
			out = append(out, span{wall(day, from), wall(day, to)})
		}
	}
	slices.SortFunc(out, func(a, b span) int { return a.from.Compare(b.from) })
	return out
}

// wall gives the moment the clocks on the wall show so many minutes; days of 23 and 25 hours count.
func wall(day time.Time, minutes int) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day(), minutes/60, minutes%60, 0, 0, day.Location())
}

func minutesOf(s string) (int, bool) {
	if s == "24:00" {
		return 24 * 60, true
	}
	h, m, ok := digital(s)
	return h*60 + m, ok && strings.Contains(s, ":")
}

// slots gives the starts of a day's appointments.
func (d *Data) slots(day time.Time) []time.Time {
	var out []time.Time
	step := time.Duration(d.slot()) * time.Minute
	for _, s := range d.opening(day) {
		for t := s.from; !t.Add(step).After(s.to); t = t.Add(step) {
			out = append(out, t)
		}
	}
	return out
}

// hours tells the opening hours, days with the same hours together.
func (m *Machine) hours() string {
	var parts []string
	for i := 1; i <= 7; {
		h := m.daySpans(i % 7)
		j := i
		for j < 7 && m.daySpans((j+1)%7) == h {
			j++
		}
		name := time.Weekday(i % 7).String()
		if j > i {
			name += " to " + time.Weekday(j%7).String()
		}
		if h != "" {
			parts = append(parts, name+" "+h)
		}
		i = j + 1
	}
	if len(parts) == 0 {
		return "We have no opening hours."
	}
	return "Our hours are: " + list(parts, "and") + "."
}

func (m *Machine) daySpans(wd int) string {
	var out []string
	for _, s := range m.def.Data.Hours[dayKeysOfWeek[wd]] {
		from, okF := minutesOf(s.From)
		to, okT := minutesOf(s.To)
		if okF && okT {
			day := m.today()
			out = append(out, "from "+sayTime(wall(day, from))+" to "+sayTime(wall(day, to)))
		}
	}
	return list(out, "and")
}

func (m *Machine) openNow() string {
	now := m.deps.Now().In(m.loc)
	for _, s := range m.def.Data.opening(midnight(now)) {
		if !now.Before(s.from) && now.Before(s.to) {
			return "We are open now, until " + sayTime(s.to) + "."
		}
	}
	return "We are closed now."
}

// sayDay names a day as a person would, and the voice reads well: Tuesday, May 4th.
func sayDay(day, today time.Time) string {
	s := fmt.Sprintf("%s, %s %s", day.Weekday(), day.Month(), ordinal(day.Day()))
	switch int(midnight(day).Sub(today).Hours()+1) / 24 {
	case 0:
		if midnight(day).Equal(today) {
			return "today, " + s
		}
	case 1:
		return "tomorrow, " + s
	}
	if day.Year() != today.Year() && day.Sub(today) > 300*24*time.Hour {
		s += fmt.Sprintf(", %d", day.Year())
	}
	return s
}

func ordinal(n int) string {
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3:
		return fmt.Sprintf("%drd", n)
	}
	return fmt.Sprintf("%dth", n)
}

func sayTime(t time.Time) string {
	switch {
	case t.Hour() == 12 && t.Minute() == 0:
		return "noon"
	case t.Hour() == 0 && t.Minute() == 0:
		return "midnight"
	case t.Minute() == 0:
		return t.Format("3 PM")
	}
	return t.Format("3:04 PM")
}

func sayDigits(s string) string { return strings.Join(strings.Split(s, ""), ", ") }

func (m *Machine) sayWhen(t time.Time) string {
	t = t.In(m.loc)
	return sayDay(midnight(t), m.today()) + " at " + sayTime(t)
}
