package flow

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// time takes a time of day when one comes next.
func (p *whenParser) time() bool {
	start := p.at
	at := p.eat("at") || p.eat("around") || p.eat("about")
	for _, named := range []struct {
		word    string
		minutes int
	}{{"noon", 720}, {"midday", 720}, {"midnight", 0}} {
		if p.eat(named.word) {
			return p.took(named.minutes, true)
		}
	}
	if p.relative() {
		return true
	}
	if h, m, ok := digital(p.tok(0)); ok {
		p.at++
		return p.took(h*60+m, h > 12 || h == 0)
	}
	h, n, ok := p.cardinalAt(0)
	if !ok || h > 23 {
		p.at = start
		return false
	}
	p.at += n
	return p.afterHour(h, at, start)
}

// relative takes "half past two", "quarter to three", "ten past two".
func (p *whenParser) relative() bool {
	start := p.at
	p.eat("a")
	offset, ok := 0, true
	switch {
	case p.eat("half"):
		offset = 30
	case p.eat("quarter"):
		offset = 15
	default:
		var n int
		offset, n, ok = p.cardinalAt(0)
		p.at += n
		p.eat("minutes")
	}
	if !ok || offset < 1 || offset > 59 {
		p.at = start
		return false
	}
	sign := 1
	switch {
	case p.eat("past") || p.eat("after"):
	case p.eat("to") || p.eat("before") || p.eat("of") || p.eat("till"):
		sign = -1
	case offset == 30 && p.tok(-1) == "half": // "half two" is half past two
	default:
		p.at = start
		return false
	}
	h, n, ok := p.cardinalAt(0)
	if p.tok(0) == "noon" || p.tok(0) == "midday" {
		h, n, ok = 12, 1, true
	}
	if !ok || h > 23 || h == 0 {
		p.at = start
		return false
	}
	p.at += n
	p.eat("oclock")
	return p.took((h*60+sign*offset+24*60)%(24*60), h > 12)
}

// afterHour reads what follows an hour: minutes, o'clock, am or pm.
func (p *whenParser) afterHour(h int, at bool, start int) bool {
	m, minutes := 0, false
	switch {
	case p.eat("oclock") || p.eat("o", "clock") || p.eat("hundred"):
		minutes = true
	case p.tok(0) == "oh" || p.tok(0) == "o":
		if v, n, ok := p.cardinalAt(1); ok && v < 10 {
			p.at += 1 + n
			m, minutes = v, true
		}
	default:
		if v, n, ok := p.cardinalAt(0); ok && v >= 10 && v <= 59 {
			p.at += n
			m, minutes = v, true
		}
	}
	sure := minutes || at || p.suffixAhead() || p.want.clock && !p.want.day || p.want.clock && len(p.out.days) > 0
	if !sure || p.unit() {
		p.at = start
		return false
	}
	return p.took(h*60+m, h > 12 || h == 0)
}

// unit tells that the number counted something else.
func (p *whenParser) unit() bool {
	return slices.Contains([]string{"day", "days", "week", "weeks", "people", "persons", "of", "month", "months"}, p.tok(0))
}

func (p *whenParser) suffixAhead() bool {
	t := p.tok(0)
	return t == "am" || t == "pm" || (t == "a" || t == "p") && p.tok(1) == "m" || t == "in" && p.tok(1) == "the"
}

// took keeps a time, with the am or pm that may follow.
func (p *whenParser) took(minutes int, exact bool) bool {
	c := &clock{minutes: minutes, exact: exact}
	p.out.clock = c
	switch {
	case p.eat("am") || p.eat("a", "m"):
		p.half(c, false)
	case p.eat("pm") || p.eat("p", "m"):
		p.half(c, true)
	default:
		p.dayPart()
		p.applyPart()
	}
	return true
}

// half settles a twelve-hour time.
func (p *whenParser) half(c *clock, pm bool) {
	if c.minutes < 13*60 && c.minutes >= 0 && !(c.exact && c.minutes == 0) {
		c.minutes %= 12 * 60
		if pm {
			c.minutes += 12 * 60
		}
	}
	c.exact = true
}

// dayPart takes "in the afternoon", "at night", "morning".
func (p *whenParser) dayPart() bool {
	start := p.at
	if p.eat("in") || p.eat("at") || p.eat("this") {
		p.eat("the")
	}
	for part, words := range map[string][]string{"morning": {"morning"}, "afternoon": {"afternoon"},
		"evening": {"evening", "night"}} {
		if slices.Contains(words, p.tok(0)) {
			p.at++
			p.out.part = part
			p.applyPart()
			return true
		}
	}
	p.at = start
	return false
}

// applyPart lets "in the afternoon" decide a time that was not exact.
func (p *whenParser) applyPart() {
	if c := p.out.clock; c != nil && !c.exact && p.out.part != "" {
		p.half(c, p.out.part != "morning")
	}
}

func (p *whenParser) cardinalAt(i int) (value, used int, ok bool) {
	if p.at+i >= len(p.toks) {
		return 0, 0, false
	}
	v, n, ordinal, ok := numberAt(p.toks[p.at+i:])
	return v, n, ok && !ordinal
}

// digital reads 14:30 and 1430.
func digital(s string) (h, m int, ok bool) {
	a, b, found := strings.Cut(s, ":")
	if !found {
		if len(s) != 4 || s[0] > '2' {
			return 0, 0, false
		}
		a, b = s[:2], s[2:]
	}
	h, errH := strconv.Atoi(a)
	m, errM := strconv.Atoi(b)
	return h, m, errH == nil && errM == nil && len(b) == 2 && len(a) <= 2 && h >= 0 && h < 24 && m >= 0 && m < 60
}

var units = strings.Fields(`zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
	sixteen seventeen eighteen nineteen`)

var tens = strings.Fields(`_ _ twenty thirty forty fifty`)

var ordinals = strings.Fields(`_ first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth
	thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth`)

func cardinal(w string) (int, bool) {
	if w == "oh" || w == "o" {
		return 0, true
	}
	if i := slices.Index(units, w); i >= 0 {
		return i, true
	}
	return 0, false
}

// numberAt reads the number the words begin with: 4, 4th, four, fourth, twenty four, twenty-fourth.
func numberAt(toks []string) (value, used int, ordinal, ok bool) {
	if len(toks) == 0 {
		return 0, 0, false, false
	}
	w := toks[0]
	if v, err := strconv.Atoi(w); err == nil && v >= 0 && len(w) <= 2 {
		return v, 1, false, true
	}
	if len(w) > 2 {
		if v, err := strconv.Atoi(w[:len(w)-2]); err == nil && v >= 0 && v < 100 && ordinalSuffix([]rune(w[len(w)-2:])) {
			return v, 1, true, true
		}
	}
	if i := slices.Index(units, w); i >= 0 {
		return i, 1, false, true
	}
	if i := slices.Index(ordinals, w); i > 0 {
		return i, 1, true, true
	}
	if w == "thirtieth" {
		return 30, 1, true, true
	}
	i := slices.Index(tens, w)
	if i < 2 {
		return 0, 0, false, false
	}
	if len(toks) > 1 {
		if u := slices.Index(units, toks[1]); u >= 1 && u <= 9 {
			return i*10 + u, 2, false, true
		}
		if u := slices.Index(ordinals, toks[1]); u >= 1 && u <= 9 {
			return i*10 + u, 2, true, true
		}
	}
	return i * 10, 1, false, true
}

// keyedDay reads a day given by keys: day and month, 0405.
func keyedDay(keys string, now time.Time) mention {
	if len(keys) != 4 {
		return mention{}
	}
	d, _ := strconv.Atoi(keys[:2])
	mo, _ := strconv.Atoi(keys[2:])
	if t, ok := comingDay(d, mo, midnight(now)); ok {
		return mention{days: []time.Time{t}}
	}
	return mention{}
}

// keyedClock reads a time given by keys: hours and minutes, 1430; an hour alone, 9.
func keyedClock(keys string) mention {
	if len(keys) == 3 {
		keys = "0" + keys
	}
	if len(keys) <= 2 && keys != "" {
		if h, err := strconv.Atoi(keys); err == nil && h < 24 {
			return mention{clock: &clock{minutes: h * 60, exact: h > 12 || h == 0}}
		}
		return mention{}
	}
	h, m, ok := digital(keys)
	if !ok {
		return mention{}
	}
	return mention{clock: &clock{minutes: h*60 + m, exact: h > 12 || h == 0 || keys[0] == '0'}}
}
