package flow

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// mention is what an utterance says about a day and a time.
type mention struct {
	days    []time.Time // midnight, local; several mean that it could be any of them
	clock   *clock
	part    string // morning, afternoon, evening
	soonest bool   // "the first available"
}

// clock is a time of day. Without am or pm, and below thirteen, it is not exact.
type clock struct {
	minutes int // since midnight
	exact   bool
}

// hearing says what is asked for, which decides what a lone number means.
type hearing struct{ day, clock bool }

func (w *mention) empty() bool {
	return len(w.days) == 0 && w.clock == nil && w.part == "" && !w.soonest
}

// merge adds what a later utterance says; the later one counts.
func (w mention) merge(o mention) mention {
	if len(o.days) > 0 {
		w.days = o.days
	}
	if o.clock != nil {
		w.clock, w.part = o.clock, ""
		if o.part != "" {
			w.part = o.part
		}
	} else if o.part != "" {
		w.clock, w.part = nil, o.part
	}
	w.soonest = o.soonest
	return w
}

// parseWhen finds a day and a time in an utterance, relative to now.
func parseWhen(toks []string, now time.Time, want hearing) mention {
	p := whenParser{toks: toks, now: now, today: midnight(now), want: want}
	for p.at < len(p.toks) {
		if !p.soonest() && !p.date() && !p.time() && !p.dayPart() {
			p.at++
		}
	}
	if p.out.empty() && !p.week && !p.noDay {
		p.loneNumber()
	}
	p.settle()
	return p.out
}

type whenParser struct {
	toks  []string
	at    int
	now   time.Time
	today time.Time
	want  hearing
	week  bool // "next week" was said
	noDay bool // a day was said that no calendar has
	out   mention
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

func (p *whenParser) tok(i int) string {
	if p.at+i < 0 || p.at+i >= len(p.toks) {
		return ""
	}
	return p.toks[p.at+i]
}

// eat takes the words when they come next.
func (p *whenParser) eat(words ...string) bool {
	for i, w := range words {
		if p.tok(i) != w {
			return false
		}
	}
	p.at += len(words)
	return true
}

func (p *whenParser) soonest() bool {
	start := p.at
	p.eat("the")
	for _, s := range [][]string{{"first", "available"}, {"next", "available"}, {"as", "soon", "as", "possible"},
		{"earliest"}, {"soonest"}, {"any", "time"}, {"anytime"}, {"whenever"}, {"as", "early", "as", "possible"}} {
		if p.eat(s...) {
			p.out.soonest = true
			return true
		}
	}
	p.at = start
	return false
}

func (p *whenParser) add(days ...time.Time) bool {
	p.out.days = days
	return true
}

// date takes a day when one comes next.
func (p *whenParser) date() bool {
	switch {
	case p.eat("day", "after", "tomorrow"):
		return p.add(p.today.AddDate(0, 0, 2))
	case p.eat("tomorrow"):
		return p.add(p.today.AddDate(0, 0, 1))
	case p.eat("today"):
		return p.add(p.today)
	case p.eat("tonight"):
		p.out.part = "evening"
		return p.add(p.today)
	case p.eat("next", "week"):
		p.week = true
		return true
	}
	return p.inDays() || p.weekday() || p.monthDay() || p.numericDate()
}

// inDays takes "in three days", "in a week", "a week from tuesday", "in two weeks".
func (p *whenParser) inDays() bool {
	start := p.at
	in := p.eat("in")
	n, ok := 1, p.eat("a")
	if !ok {
		var used int
		n, used, ok = p.cardinalAt(0)
		p.at += used
	}
	unit := 0
	switch p.tok(0) {
	case "day", "days":
		unit = 1
	case "week", "weeks":
		unit = 7
	}
	if ok && unit > 0 && n > 0 && n <= 60 {
		p.at++
		if p.eat("from") {
			if p.weekday() && len(p.out.days) > 0 {
				return p.add(p.out.days[0].AddDate(0, 0, n*unit))
			}
			if p.eat("today") || p.eat("now") || in {
				return p.add(p.today.AddDate(0, 0, n*unit))
			}
		}
		if in || p.at == len(p.toks) {
			return p.add(p.today.AddDate(0, 0, n*unit))
		}
	}
	p.at = start
	return false
}

var weekdays = map[string]time.Weekday{
	"sunday": 0, "monday": 1, "tuesday": 2, "wednesday": 3, "thursday": 4, "friday": 5, "saturday": 6,
	"sundays": 0, "mondays": 1, "tuesdays": 2, "wednesdays": 3, "thursdays": 4, "fridays": 5, "saturdays": 6,
	"mon": 1, "tue": 2, "tues": 2, "wed": 3, "thu": 4, "thurs": 4, "fri": 5,
}

// weekday takes "tuesday", "this tuesday", "next tuesday", "tuesday next week".
func (p *whenParser) weekday() bool {
	start := p.at
	next := p.eat("next")
	this := !next && (p.eat("this") || p.eat("coming"))
	wd, ok := weekdays[p.tok(0)]
	if !ok {
		p.at = start
		return false
	}
	p.at++
	ahead := (int(wd) - int(p.today.Weekday()) + 7) % 7
	if ahead == 0 && !this {
		ahead = 7
	}
	first := p.today.AddDate(0, 0, ahead)
	if p.eat("next", "week") || p.week {
		return p.add(p.nextWeek(wd))
	}
	if next {
		// People disagree whether "next Tuesday" said on a Monday is tomorrow: it has to be asked.
		other := p.nextWeek(wd)
		if !other.Equal(first) {
			return p.add(first, other)
		}
	}
	return p.add(first)
}

// nextWeek gives a day of the week that begins on the coming Monday.
func (p *whenParser) nextWeek(wd time.Weekday) time.Time {
	monday := p.today.AddDate(0, 0, 7-(int(p.today.Weekday())+6)%7)
	return monday.AddDate(0, 0, (int(wd)+6)%7)
}

var months = map[string]time.Month{
	"january": 1, "february": 2, "march": 3, "april": 4, "may": 5, "june": 6, "july": 7, "august": 8,
	"september": 9, "october": 10, "november": 11, "december": 12,
	"jan": 1, "feb": 2, "mar": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9, "oct": 10, "nov": 11, "dec": 12,
}

// monthDay takes "the fourth of may", "may the fourth", "4 may", "may 4th 2027", "the fourth".
func (p *whenParser) monthDay() bool {
	start := p.at
	if mo, ok := months[p.tok(0)]; ok {
		p.at++
		p.eat("the")
		if d, n, _, ok := numberAt(p.toks[p.at:]); ok && d >= 1 && d <= 31 && p.tok(n) != "am" && p.tok(n) != "pm" {
			p.at += n
			return p.dayOf(d, mo, start)
		}
		p.at = start
		return false
	}
	the := p.eat("the")
	d, n, ordinal, ok := numberAt(p.toks[p.at:])
	if ok && d >= 1 && d <= 31 {
		p.at += n
		p.eat("day")
		p.eat("of")
		if mo, is := months[p.tok(0)]; is {
			p.at++
			return p.dayOf(d, mo, start)
		}
		if ordinal && (the || p.want.day) {
			return p.dayOf(d, 0, start)
		}
	}
	p.at = start
	return false
}

// dayOf finds the next such day from today on; month 0 is any month, and a year may follow.
func (p *whenParser) dayOf(d int, mo time.Month, start int) bool {
	if y, err := strconv.Atoi(p.tok(0)); err == nil && mo != 0 && y >= 2000 && y < 2200 {
		p.at++
		if t, ok := realDay(y, mo, d, p.today.Location()); ok {
			return p.add(t)
		}
		p.at = start
		return false
	}
	for i := 0; i < 48; i++ {
		first := time.Date(p.today.Year(), p.today.Month()+time.Month(i), 1, 0, 0, 0, 0, p.today.Location())
		if mo != 0 && first.Month() != mo {
			continue
		}
		if t, ok := realDay(first.Year(), first.Month(), d, p.today.Location()); ok && !t.Before(p.today) {
			return p.add(t)
		}
	}
	p.noDay = true // the 31st of February
	p.at = start
	return false
}

func realDay(y int, mo time.Month, d int, loc *time.Location) (time.Time, bool) {
	t := time.Date(y, mo, d, 0, 0, 0, 0, loc)
	return t, t.Day() == d && t.Month() == mo
}

// numericDate takes 2026-05-04 and 4/5, which may be two days.
func (p *whenParser) numericDate() bool {
	if t, err := time.ParseInLocation("2006-01-02", p.tok(0), p.today.Location()); err == nil {
		p.at++
		return p.add(t)
	}
	a, b, found := strings.Cut(p.tok(0), "/")
	if !found {
		return false
	}
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	if errX != nil || errY != nil {
		return false
	}
	var days []time.Time
	for _, c := range [][2]int{{x, y}, {y, x}} {
		if t, ok := comingDay(c[0], c[1], p.today); ok && !slices.Contains(days, t) {
			days = append(days, t)
		}
	}
	if len(days) == 0 {
		return false
	}
	p.at++
	return p.add(days...)
}

// comingDay gives the next such day from today on.
func comingDay(d, mo int, today time.Time) (time.Time, bool) {
	if mo < 1 || mo > 12 {
		return time.Time{}, false
	}
	for y := today.Year(); y < today.Year()+9; y++ {
		if t, ok := realDay(y, time.Month(mo), d, today.Location()); ok && !t.Before(today) {
			return t, true
		}
	}
	return time.Time{}, false
}

// settle ends a parse: "next week" with no day of it is a wish for its first free time.
func (p *whenParser) settle() {
	if p.week && len(p.out.days) == 0 {
		p.out.days = []time.Time{p.nextWeek(time.Monday)}
		p.out.soonest = p.out.clock == nil
	}
}

// loneNumber takes the only number of an utterance as what was asked for.
func (p *whenParser) loneNumber() {
	for i := range p.toks {
		v, n, ordinal, ok := numberAt(p.toks[i:])
		if !ok {
			continue
		}
		p.at = i + n
		switch {
		case p.want.day && (ordinal || !p.want.clock) && v >= 1 && v <= 31:
			p.dayOf(v, 0, 0)
		case p.want.clock && !ordinal && v >= 0 && v <= 23:
			p.out.clock = &clock{minutes: v * 60, exact: v > 12 || v == 0}
			p.applyPart()
		}
		return
	}
}
