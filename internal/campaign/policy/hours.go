package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Span is a part of a day on the wall clock, from its first second until before its last.
type Span struct {
	From time.Duration // since midnight, as the clock on the wall shows it
	To   time.Duration // at most 24 h
}

// Hours are the spans of each day of the week, Sunday first; spans of a day are in order and do not touch.
type Hours [7][]Span

const (
	day = 24 * time.Hour
	// horizon is how far ahead an opening is looked for: longer than any stretch of holidays.
	horizon = 400 * day
)

var dayNames = map[string]time.Weekday{
	"sun": time.Sunday, "mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday, "thu": time.Thursday, "fri": time.Friday, "sat": time.Saturday,
}

// ParseHours reads days such as "mon-fri", "sat" or "mon,wed" with spans such as "10:00-13:00 14:00-20:00". field names
// where the text came from.
func ParseHours(field string, text map[string]string) (Hours, error) {
	var h Hours
	for days, spans := range text {
		on, err := parseDays(field, days)
		if err != nil {
			return h, err
		}
		parsed, err := parseSpans(field, spans)
		if err != nil {
			return h, err
		}
		for _, d := range on {
			if len(h[d]) > 0 {
				return h, fault.Field(field, "%s is named twice; name each day once", d)
			}
			h[d] = parsed
		}
	}
	return h, nil
}

func parseDays(field, text string) ([]time.Weekday, error) {
	var out []time.Weekday
	for part := range strings.SplitSeq(strings.ToLower(text), ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		from, ok := dayNames[first]
		to, ok2 := dayNames[last]
		if !isRange {
			to, ok2 = from, ok
		}
		if !ok || !ok2 {
			return nil, fault.Field(field, "%q are no days; write mon-fri or sat,sun", text)
		}
		for d := from; ; d = (d + 1) % 7 {
			out = append(out, d)
			if d == to {
				break
			}
		}
	}
	return out, nil
}

func parseSpans(field, text string) ([]Span, error) {
	var out []Span
	for part := range strings.FieldsSeq(text) {
		from, to, ok := strings.Cut(part, "-")
		a, err := parseClock(from)
		b, err2 := parseClock(to)
		if !ok || err != nil || err2 != nil || a >= b {
			return nil, fault.Field(field, "%q is no span of a day; write 09:00-18:00, the end after the beginning", part)
		}
		if n := len(out); n > 0 && a <= out[n-1].To {
			return nil, fault.Field(field, "%q does not come after the span before it", part)
		}
		out = append(out, Span{a, b})
	}
	return out, nil
}

// parseClock reads 00:00 to 24:00.
func parseClock(s string) (time.Duration, error) {
	hours, minutes, ok := strings.Cut(s, ":")
	h, err := strconv.ParseUint(hours, 10, 8)
	m, err2 := strconv.ParseUint(minutes, 10, 8)
	if !ok || err != nil || err2 != nil || len(hours) != 2 || len(minutes) != 2 || m > 59 || h > 24 || (h == 24 && m > 0) {
		return 0, fmt.Errorf("%q is no time of day", s)
	}
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute, nil
}

// calendar is hours in a zone, less days off.
type calendar struct {
	zone  *time.Location
	hours *Hours
	off   *daysOff // may be nil
}

// next gives the first instant from t on that is inside the hours; false when there is none within the horizon.
// Between two changes of the zone's offset the wall clock runs straight, so each such stretch is walked day by day.
func (c calendar) next(t time.Time) (time.Time, bool) {
	for end := t.Add(horizon); t.Before(end); {
		local := t.In(c.zone)
		_, change := local.ZoneBounds()
		now := sinceMidnight(local)
		ahead := day - now // to midnight, unless a span comes first
		found := false
		for _, s := range c.hours[local.Weekday()] {
			if now < s.To {
				if !c.off.has(local) {
					ahead, found = max(0, s.From-now), true
				}
				break
			}
		}
		at := t.Add(ahead)
		switch {
		case !change.IsZero() && !at.Before(change):
			t = change // the clock jumps before; ask again from there
		case found:
			return at, true
		default:
			t = at
		}
	}
	return time.Time{}, false
}

// sinceMidnight is what the clock shows, which is not how long ago midnight was on a day of summer time's change.
func sinceMidnight(t time.Time) time.Duration {
	h, m, s := t.Clock()
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second + time.Duration(t.Nanosecond())
}

// nextOf gives the first instant from t on that is inside the hours of every calendar.
func nextOf(cs []calendar, t time.Time) (time.Time, bool) {
	for end := t.Add(horizon); t.Before(end); {
		latest := t
		for _, c := range cs {
			at, ok := c.next(t)
			if !ok {
				return time.Time{}, false
			}
			if at.After(latest) {
				latest = at
			}
		}
		if latest.Equal(t) {
			return t, true
		}
		t = latest
	}
	return time.Time{}, false
}
