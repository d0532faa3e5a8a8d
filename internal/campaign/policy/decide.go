package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Decide tells whether a number may be called at a time. Every rule that applies is checked and named in the verdict, so
// that the verdict alone explains itself later. It fails for a number or a time zone that is none.
func (b *Book) Decide(r Request, now time.Time) (Verdict, error) {
	place, err := Locate(r.Number, r.Country, r.Region, r.Zone)
	if err != nil {
		return Verdict{}, err
	}
	d := decision{request: r, place: place, now: now}
	for _, p := range b.packs {
		if b.applies(p, place) {
			for i := range p.Rules {
				d.rule(p, &p.Rules[i])
			}
		}
	}
	d.own()
	return d.verdict(), nil
}

// DiallingRule is what places ask of a dialler that may answer too late or give up too soon.
type DiallingRule struct {
	Rule        string  // that asks for MostDropped: gb/abandoned
	MostDropped float64 // share of answered calls
	OverDays    int
	Within      time.Duration // somebody is there
	Ring        time.Duration // at least
	RingRule    string        // that asks for Ring
}

// Dialling gives what every pack for a place asks of a dialler, the strictest of each; ok is false where none asks.
func (b *Book) Dialling(place Place) (out DiallingRule, ok bool) {
	for _, p := range b.packs {
		if !b.applies(p, place) {
			continue
		}
		for i := range p.Rules {
			d, name := p.Rules[i].Dialling, p.ID+"/"+p.Rules[i].ID
			switch {
			case d == nil:
				continue
			case !ok:
				out, ok = DiallingRule{name, d.MostDropped, d.OverDays, d.within, d.ring, name}, true
				continue
			}
			if d.MostDropped <= out.MostDropped { // of two alike the country's own is named
				out.Rule, out.MostDropped = name, d.MostDropped
			}
			if d.ring >= out.Ring {
				out.RingRule, out.Ring = name, d.ring
			}
			out.OverDays, out.Within = max(out.OverDays, d.OverDays), min(out.Within, d.within)
		}
	}
	return out, ok
}

// Register is a public register that rules name.
type Register struct {
	Name      string
	Countries []string  // whose packs name it
	Purposes  []Purpose // of calls that it forbids; empty: any
	Says      string    // the rule
	Cite      string
	Fresh     time.Duration // how old it may be; 0: no rule says
	FreshCite string
}

// AllRegisters gives the public registers that rules name, by name: who calls there imports them.
func (b *Book) AllRegisters() []Register {
	var out []Register
	for _, p := range b.packs {
		for i := range p.Rules {
			r := &p.Rules[i]
			for _, name := range r.Lists {
				at := slices.IndexFunc(out, func(o Register) bool { return o.Name == name })
				if at < 0 {
					at = len(out)
					out = append(out, Register{Name: name, Purposes: r.Purposes, Says: r.Says, Cite: r.Source.Cite})
				}
				o := &out[at]
				for _, c := range p.Country {
					add(&o.Countries, c)
				}
				if f := r.Fresh; f != nil {
					o.Fresh, o.FreshCite = time.Duration(f.Days)*day, f.Cite
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b Register) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Registers gives the public registers that rules for a country name, so that who calls there knows which to import.
func (b *Book) Registers(country string) []string {
	var out []string
	for _, r := range b.AllRegisters() {
		if slices.Contains(r.Countries, country) {
			out = append(out, r.Name)
		}
	}
	return out
}

// applies tells whether a pack is for a place. A pack of a region is for a place whose region is not known too.
func (b *Book) applies(p *Pack, at Place) bool {
	if slices.Contains(p.Country, Everywhere) {
		return true
	}
	if slices.Contains(p.Country, Elsewhere) {
		return len(at.Country) == 0 || slices.ContainsFunc(at.Country, func(c string) bool { return !b.names(c) })
	}
	if !slices.ContainsFunc(at.Country, func(c string) bool { return slices.Contains(p.Country, c) }) {
		return false
	}
	return len(p.Region) == 0 || len(at.Region) == 0 || slices.ContainsFunc(at.Region, func(r string) bool { return slices.Contains(p.Region, r) })
}

func (b *Book) names(country string) bool {
	return slices.ContainsFunc(b.packs, func(p *Pack) bool { return slices.Contains(p.Country, country) })
}

// decision gathers checks, and what keeps the call waiting.
type decision struct {
	request   Request
	place     Place
	now       time.Time
	checks    []Check
	calendars []calendar
	caps      []Cap
	never     bool
	earliest  time.Time // pauses end
}

// rule asks one rule of a pack.
func (d *decision) rule(p *Pack, r *Rule) {
	q := d.request
	if len(r.Purposes) > 0 && !slices.Contains(r.Purposes, q.Purpose) || r.Automated && !q.Automated || r.Unless == Given && q.Consent == Given {
		return
	}
	c := Check{Rule: p.ID + "/" + r.ID, Version: p.Version, Passed: true, Says: r.Says}
	if r.Withdrawn && q.Consent == Withdrawn || r.Consent && q.Consent != Given ||
		slices.ContainsFunc(r.Lists, func(l string) bool { return slices.Contains(q.Registers, l) }) {
		c.Passed, d.never = false, true
	}
	if r.hours != nil || r.off != nil {
		d.hours(&c, r.hours, r.zone, r.off)
	}
	for _, k := range r.Caps {
		d.cap(&c, k)
	}
	for result, pause := range r.pause {
		d.after(&c, result, pause)
	}
	d.checks = append(d.checks, c)
}

// own asks what the organisation and the campaign ask themselves.
func (d *decision) own() {
	q := d.request
	if len(q.Listed) > 0 {
		d.never = true
		d.checks = append(d.checks, Check{Rule: "own/do-not-call", Says: "The number is on the list " + strings.Join(q.Listed, ", ") + "."})
	}
	if q.Hours != nil {
		c := Check{Rule: "own/hours", Passed: true, Says: "The campaign calls at its own hours."}
		d.hours(&c, q.Hours, nil, nil)
		d.checks = append(d.checks, c)
	}
	for _, k := range q.Caps {
		c := Check{Rule: "own/cap", Passed: true, Says: fmt.Sprintf("The campaign calls a number at most %d times in %s.", k.Most, perWord(k))}
		d.cap(&c, k)
		d.checks = append(d.checks, c)
	}
}

func perWord(k Cap) string {
	if k.per == 0 {
		return "a day"
	}
	return k.Per
}

// always are hours that never close: of a rule that only has days off.
var always = Hours{{{0, day}}, {{0, day}}, {{0, day}}, {{0, day}}, {{0, day}}, {{0, day}}, {{0, day}}}

// hours asks for an open hour in each zone where the callee may be, or in the rule's own.
func (d *decision) hours(c *Check, h *Hours, zone *time.Location, off *daysOff) {
	if h == nil {
		h = &always
	}
	zones := d.place.zones
	if zone != nil {
		zones = []*time.Location{zone}
	}
	from := len(d.calendars)
	for _, z := range zones {
		d.calendars = append(d.calendars, calendar{zone: z, hours: h, off: off})
	}
	at, ok := nextOf(d.calendars[from:], d.now)
	switch {
	case !ok:
		c.Passed, d.never = false, true
	case at.After(d.now):
		c.fail(at)
	}
}

// cap asks that one more attempt is not too many.
func (d *decision) cap(c *Check, k Cap) {
	d.caps = append(d.caps, k)
	if at := d.freeAt(k, d.now); at.After(d.now) {
		c.fail(at)
	}
}

// freeAt gives when a cap allows one more attempt, from t on.
func (d *decision) freeAt(k Cap, t time.Time) time.Time {
	var counted []time.Time
	for _, a := range d.request.Attempts {
		if len(k.Counts) == 0 || slices.Contains(k.Counts, a.Result) {
			counted = append(counted, a.At)
		}
	}
	if len(counted) < k.Most {
		return t
	}
	slices.SortFunc(counted, time.Time.Compare)
	if k.per > 0 { // the attempt that has to be far enough back
		if free := counted[len(counted)-k.Most].Add(k.per); free.After(t) {
			return free
		}
		return t
	}
	for _, z := range d.place.zones {
		local := t.In(z)
		midnight := time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, z)
		today := 0
		for _, at := range counted {
			if SameDay(at.In(z), local) {
				today++
			}
		}
		if today >= k.Most {
			return d.freeAt(k, midnight)
		}
	}
	return t
}

// SameDay reports whether two times are of one day, each on the clock of its own zone.
func SameDay(a, b time.Time) bool {
	return a.Year() == b.Year() && a.YearDay() == b.YearDay()
}

// after asks that a pause since the last attempt that ended so is over.
func (d *decision) after(c *Check, result Result, pause time.Duration) {
	for _, a := range d.request.Attempts {
		if a.Result != result {
			continue
		}
		if pause == forEver {
			c.Passed, d.never = false, true
			return
		}
		if until := a.At.Add(pause); until.After(d.now) {
			c.fail(until)
			if until.After(d.earliest) {
				d.earliest = until
			}
		}
	}
}

// fail marks a check as not passed until a time.
func (c *Check) fail(until time.Time) {
	c.Passed = false
	if until.After(c.NotBefore) {
		c.NotBefore = until
	}
}

// verdict says the strictest of all checks: the first instant that is inside all hours, under all caps, after all pauses.
func (d *decision) verdict() Verdict {
	v := Verdict{Place: d.place, Checks: d.checks, Allowed: true}
	for _, z := range d.place.zones {
		v.Local = append(v.Local, d.now.In(z).Format(time.RFC3339))
	}
	for _, c := range d.checks {
		v.Allowed = v.Allowed && c.Passed
	}
	if v.Allowed || d.never {
		return v
	}
	t := d.now
	if d.earliest.After(t) {
		t = d.earliest
	}
	for end := d.now.Add(horizon); t.Before(end); {
		at, ok := nextOf(d.calendars, t)
		if !ok {
			return v
		}
		for _, k := range d.caps {
			if free := d.freeAt(k, at); free.After(at) {
				at = free
			}
		}
		if at.Equal(t) {
			v.NotBefore = t
			return v
		}
		t = at
	}
	return v
}
