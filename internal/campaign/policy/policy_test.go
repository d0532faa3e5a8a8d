package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func book(t testing.TB) *Book {
	t.Helper()
	b, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func at(t testing.TB, zone, text string) time.Time {
	t.Helper()
	l, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", text, l)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Each row is one question with the rule that must stop it ("" is allowed), and when it may be called instead.
func TestDecide(t *testing.T) {
	t.Parallel()
	const (
		ny, la, chi, dubai, paris, london, toronto = "America/New_York", "America/Los_Angeles", "America/Chicago", "Asia/Dubai", "Europe/Paris", "Europe/London", "America/Toronto"
	)
	attempt := func(zone, text string, r Result) Attempt { return Attempt{at(t, zone, text), r} }
	sale := func(number string) Request { return Request{Number: number, Purpose: Sales, Consent: Given} }
	with := func(r Request, change func(*Request)) Request { change(&r); return r }
	for _, c := range []struct {
		name      string
		ask       Request
		zone, now string
		stops     string // rule
		notBefore string // in zone; "never"
	}{
		{"California at noon", sale("+14155550100"), la, "2026-11-23 12:00", "", ""},
		{"California before eight", sale("+14155550100"), la, "2026-11-23 07:59", "us/hours", "2026-11-23 08:00"},
		{"California at nine in the evening", sale("+14155550100"), la, "2026-11-23 21:00", "us/hours", "2026-11-24 08:00"},
		{"Florida's evening ends at eight, on both sides of its line", sale("+13055550100"), ny, "2026-11-23 20:00", "us-fl/hours", "2026-11-24 09:00"},
		{"Florida with an address that tells the zone is still an area code of two", with(sale("+13055550100"), func(r *Request) { r.Zone = ny }), ny, "2026-11-23 08:30", "us/hours", "2026-11-23 09:00"},
		{"Texas on Sunday morning", sale("+12145550100"), chi, "2026-11-22 11:00", "us-tx/hours", "2026-11-22 13:00"}, // noon of its Mountain part
		{"Rhode Island on Thanksgiving", sale("+14015550100"), ny, "2026-11-26 12:00", "us-ri/hours", "2026-11-27 09:00"},
		{"Alabama on Sunday", sale("+12055550100"), chi, "2026-11-22 12:00", "us-al/hours", "2026-11-23 08:00"},
		{"a Californian mobile with an address in New York is bound by both", with(sale("+14155550100"), func(r *Request) { r.Region, r.Zone = "NY", ny }), ny, "2026-11-23 10:00", "us/hours", "2026-11-23 11:00"},
		{"a reminder to Alabama on Sunday", with(sale("+12055550100"), func(r *Request) { r.Purpose = Service }), chi, "2026-11-22 12:00", "", ""},
		{"a reminder at night", with(sale("+12055550100"), func(r *Request) { r.Purpose = Service }), chi, "2026-11-22 22:00", "all/night", "2026-11-23 08:00"},
		{"registered without consent", with(sale("+14155550100"), func(r *Request) { r.Consent, r.Registers = NoConsent, []string{"us-national"} }), la, "2026-11-23 12:00", "us/do-not-call", "never"},
		{"registered with consent", with(sale("+14155550100"), func(r *Request) { r.Registers = []string{"us-national"} }), la, "2026-11-23 12:00", "", ""},
		{"on a list of ours, consent or not", with(sale("+14155550100"), func(r *Request) { r.Listed = []string{"complaints"} }), la, "2026-11-23 12:00", "own/do-not-call", "never"},
		{"an artificial voice without consent", with(sale("+14155550100"), func(r *Request) { r.Consent, r.Automated = NoConsent, true }), la, "2026-11-23 12:00", "us/artificial-voice", "never"},
		{"a reminder by an artificial voice without consent", with(sale("+14155550100"), func(r *Request) { r.Consent, r.Automated, r.Purpose = NoConsent, true, Service }), la, "2026-11-23 12:00", "us/artificial-voice", "never"},
		{"consent withdrawn", with(sale("+971501234567"), func(r *Request) { r.Consent, r.Purpose = Withdrawn, Service }), dubai, "2026-11-23 12:00", "all/withdrawn", "never"},
		{"Florida's fourth call in a day", with(sale("+13055550100"), func(r *Request) {
			r.Attempts = []Attempt{attempt(ny, "2026-11-22 14:00", Unanswered), attempt(ny, "2026-11-23 10:00", Answered), attempt(ny, "2026-11-22 16:00", Unanswered)}
		}), ny, "2026-11-23 12:00", "us-fl/three-a-day", "2026-11-23 14:00"},
		{"the Emirates at six", sale("+971501234567"), dubai, "2026-11-23 18:00", "ae/hours", "2026-11-24 09:00"},
		{"the Emirates, unanswered today", with(sale("+971501234567"), func(r *Request) {
			r.Attempts = []Attempt{attempt(dubai, "2026-11-23 09:30", Unanswered)}
		}), dubai, "2026-11-23 17:00", "ae/unanswered-day", "2026-11-24 09:00"},
		{"the Emirates, unanswered twice this week", with(sale("+971501234567"), func(r *Request) {
			r.Attempts = []Attempt{attempt(dubai, "2026-11-20 10:00", Unanswered), attempt(dubai, "2026-11-22 10:00", Unanswered)}
		}), dubai, "2026-11-23 12:00", "ae/unanswered-week", "2026-11-27 10:00"},
		{"the Emirates after a refusal", with(sale("+971501234567"), func(r *Request) {
			r.Attempts = []Attempt{attempt(dubai, "2026-11-02 10:00", Refused)}
		}), dubai, "2026-11-23 12:00", "ae/refusal", "never"},
		{"Paris at lunch", sale("+33140000000"), paris, "2026-11-23 13:10", "eu-fr/hours", "2026-11-23 14:00"},
		{"Paris from Friday evening over a holiday", sale("+33140000000"), paris, "2026-07-13 20:00", "eu-fr/hours", "2026-07-15 10:00"},
		{"Paris, the fifth in a month", with(sale("+33140000000"), func(r *Request) {
			for i := range 4 {
				r.Attempts = append(r.Attempts, attempt(paris, fmt.Sprintf("2026-11-%02d 11:00", 2+i), Answered))
			}
		}), paris, "2026-11-23 11:00", "eu-fr/four-a-month", "2026-12-02 11:00"},
		{"Britain after a dropped call", with(sale("+442071234567"), func(r *Request) {
			r.Attempts = []Attempt{attempt(london, "2026-11-20 10:00", Dropped)}
		}), london, "2026-11-22 12:00", "gb/after-dropped", "2026-11-23 10:00"},
		{"Toronto on Saturday at seven", sale("+14165550100"), toronto, "2026-11-21 19:00", "ca/hours", "2026-11-22 11:00"}, // ten in the west of Ontario
		{"Japan has no pack of its own", sale("+81312345678"), "Asia/Tokyo", "2026-11-21 12:00", "other/hours", "2026-11-23 10:00"},
		{"the campaign's own hours", with(sale("+14155550100"), func(r *Request) {
			h, _ := ParseHours("hours", map[string]string{"wed": "10:00-11:00"})
			r.Hours = &h
		}), la, "2026-11-23 12:00", "own/hours", "2026-11-25 10:00"},
		{"the campaign's own cap", with(sale("+14155550100"), func(r *Request) {
			r.Caps = []Cap{{Most: 1, Per: "day"}}
			r.Attempts = []Attempt{attempt(la, "2026-11-23 09:00", Unanswered)}
		}), la, "2026-11-23 12:00", "own/cap", "2026-11-24 08:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for i := range c.ask.Caps {
				if err := c.ask.Caps[i].Read("caps"); err != nil {
					t.Fatal(err)
				}
			}
			now := at(t, c.zone, c.now)
			v, err := book(t).Decide(c.ask, now)
			if err != nil {
				t.Fatal(err)
			}
			if v.Allowed != (c.stops == "") {
				t.Fatalf("allowed %v; %+v", v.Allowed, v.Checks)
			}
			if v.Allowed {
				return
			}
			if !slices.ContainsFunc(v.Checks, func(k Check) bool { return k.Rule == c.stops && !k.Passed }) {
				t.Errorf("not stopped by %s: %+v", c.stops, v.Checks)
			}
			switch {
			case c.notBefore == "never":
				if !v.NotBefore.IsZero() {
					t.Errorf("may be called at %s", v.NotBefore)
				}
			case !v.NotBefore.Equal(at(t, c.zone, c.notBefore)):
				t.Errorf("may be called at %s, want %s", v.NotBefore.In(now.Location()), c.notBefore)
			}
		})
	}
}

// Where a number is not in one place, all its places count.
func TestLocate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		number, country, region, zone string
		regions, zones                string
		certain                       bool
	}{
		{"+14155550100", "", "", "", "CA", "America/Los_Angeles", true},
		{"+14235550100", "", "", "", "TN", "America/New_York America/Chicago", false},
		{"+14155550100", "US", "NY", "America/New_York", "CA NY", "America/Los_Angeles America/New_York", true},
		{"+971501234567", "", "", "", "", "Asia/Dubai", true},
		{"+18005550100", "US", "NV", "America/Los_Angeles", "NV", "America/Los_Angeles", true},
	} {
		p, err := Locate(c.number, c.country, c.region, c.zone)
		if err != nil {
			t.Errorf("%s: %v", c.number, err)
			continue
		}
		slices.Sort(p.Zones)
		want := strings.Fields(c.zones)
		slices.Sort(want)
		if !slices.Equal(p.Zones, want) || strings.Join(p.Region, " ") != c.regions || p.Certain != c.certain {
			t.Errorf("%s: %+v", c.number, p)
		}
	}
	if p, err := Locate("+18005550100", "", "", ""); err != nil || len(p.Zones) < 10 || p.Certain {
		t.Errorf("a free number is anywhere: %+v, %v", p, err)
	}
	for _, bad := range [][4]string{{"4155550100"}, {"+1"}, {""}, {"+14155550100", "", "", "Mars/Olympus"}, {"+14155550100", "", "", "Local"}} {
		if _, err := Locate(bad[0], bad[1], bad[2], bad[3]); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// An hour that summer time skips holds no instant, one that it repeats holds two.
func TestSummerTime(t *testing.T) {
	t.Parallel()
	hours, err := ParseHours("hours", map[string]string{"sun-sat": "02:15-02:45"})
	if err != nil {
		t.Fatal(err)
	}
	load := func(name string) *time.Location {
		l, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for _, c := range []struct{ zone, from, want string }{
		{"America/New_York", "2026-03-08T00:00:00-05:00", "2026-03-09T02:15:00-04:00"},      // 02:00 to 03:00 is skipped
		{"America/New_York", "2026-11-01T00:00:00-04:00", "2026-11-01T02:15:00-05:00"},      // 01:00 to 02:00 is there twice, 02:15 once
		{"Europe/Berlin", "2026-10-25T00:00:00+02:00", "2026-10-25T02:15:00+02:00"},         // 02:00 to 03:00 is there twice:
		{"Europe/Berlin", "2026-10-25T02:50:00+02:00", "2026-10-25T02:15:00+01:00"},         // the second time
		{"Europe/Berlin", "2026-10-25T02:50:00+01:00", "2026-10-26T02:15:00+01:00"},         // and no third
		{"Australia/Lord_Howe", "2026-10-04T00:00:00+10:30", "2026-10-04T02:30:00+11:00"},   // half an hour is skipped: 02:00 becomes 02:30
		{"Pacific/Apia", "2011-12-29T12:00:00-10:00", "2011-12-31T02:15:00+14:00"},          // a whole day is skipped
		{"Antarctica/Troll", "2026-03-29T00:00:00Z", "2026-03-30T02:15:00+02:00"},           // two hours are skipped, 01:00 becomes 03:00
		{"Africa/Casablanca", "2026-02-15T02:44:59.5+01:00", "2026-02-15T02:44:59.5+01:00"}, // the last half second counts
	} {
		from, err := time.Parse(time.RFC3339Nano, c.from)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := calendar{zone: load(c.zone), hours: &hours}.next(from)
		if !ok || got.In(load(c.zone)).Format(time.RFC3339Nano) != c.want {
			t.Errorf("%s from %s: %s, want %s", c.zone, c.from, got.In(load(c.zone)).Format(time.RFC3339Nano), c.want)
		}
	}
}

func TestHolidays(t *testing.T) {
	t.Parallel()
	want := map[string][]string{ // what the law's calendar printed
		"us-ri": {"2026-01-01", "2026-01-19", "2026-05-25", "2026-06-19", "2026-07-03", "2026-07-04", "2026-08-10", "2026-09-07", "2026-10-12", "2026-11-11", "2026-11-26", "2026-12-25"},
		"eu-fr": {"2026-01-01", "2026-04-06", "2026-05-01", "2026-05-08", "2026-05-14", "2026-05-25", "2026-07-14", "2026-08-15", "2026-11-01", "2026-11-11", "2026-12-25"},
	}
	for _, p := range book(t).Packs() {
		days, ok := want[p.ID]
		if !ok {
			continue
		}
		var got []string
		for d := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); d.Year() == 2026; d = d.AddDate(0, 0, 1) {
			if slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.off.has(d) }) {
				got = append(got, d.Format(time.DateOnly))
			}
		}
		if !slices.Equal(got, days) {
			t.Errorf("%s: %v", p.ID, got)
		}
	}
	for y, day := range map[int]string{1999: "04-04", 2000: "04-23", 2008: "03-23", 2011: "04-24", 2024: "03-31", 2025: "04-20", 2026: "04-05", 2038: "04-25"} {
		if got := easter(y).Format("01-02"); got != day {
			t.Errorf("Easter %d: %s", y, got)
		}
	}
}

// Whatever is asked: what is allowed is inside every rule's hours by a clock that is read minute by minute, what is not
// allowed is allowed at NotBefore, and not a minute earlier.
func TestDecideHolds(t *testing.T) {
	t.Parallel()
	b := book(t)
	r := rand.New(rand.NewPCG(7, 11))
	numbers := []string{"+13055550100", "+14155550100", "+12145550100", "+14015550100", "+18005550100", "+33140000000", "+34911234567", "+971501234567",
		"+919812345678", "+442071234567", "+14165550100", "+17095550100", "+61412345678", "+390612345678", "+12055550100", "+81312345678"}
	zones := []string{"", "", "America/New_York", "Pacific/Honolulu", "America/St_Johns", "Australia/Lord_Howe"}
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	results := []Result{Unanswered, Answered, Dropped}
	for range 100 {
		now := base.Add(time.Duration(r.Int64N(int64(700 * day)))).Truncate(time.Minute)
		if r.IntN(3) == 0 { // around the changes of summer time
			changes := []time.Time{time.Date(2026, 3, 8, 7, 0, 0, 0, time.UTC), time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC), time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC)}
			now = changes[r.IntN(len(changes))].Add(time.Duration(r.IntN(48*60)-24*60) * time.Minute)
		}
		q := Request{Number: numbers[r.IntN(len(numbers))], Zone: zones[r.IntN(len(zones))], Purpose: Sales, Consent: Given, Automated: r.IntN(2) == 0}
		for range r.IntN(6) {
			q.Attempts = append(q.Attempts, Attempt{now.Add(-time.Duration(r.Int64N(int64(8 * day)))), results[r.IntN(3)]})
		}
		if r.IntN(2) == 0 {
			c := Cap{Most: 1 + r.IntN(3), Per: []string{"day", "24h", "7d"}[r.IntN(3)]}
			if err := c.Read("caps"); err != nil {
				t.Fatal(err)
			}
			q.Caps = []Cap{c}
		}
		v, err := b.Decide(q, now)
		if err != nil {
			t.Fatal(err)
		}
		if v.Allowed {
			if why := oracle(b, q, v.Place, now); why != "" {
				t.Fatalf("%+v at %s is allowed; %s", q, now, why)
			}
			continue
		}
		if v.NotBefore.IsZero() {
			for m := now; m.Before(now.Add(10 * day)); m = m.Add(time.Hour) { // New York and Tokyo share no hour
				if again, err := b.Decide(q, m); err != nil || again.Allowed {
					t.Fatalf("%+v at %s: never, and yet at %s", q, now, m)
				}
			}
			continue
		}
		if again, err := b.Decide(q, v.NotBefore); err != nil || !again.Allowed {
			t.Fatalf("%+v at %s: not before %s, and not then either: %+v", q, now, v.NotBefore, again.Checks)
		}
		for i := range 12 {
			m := v.NotBefore.Add(-time.Minute - time.Duration(i*i*r.IntN(11))*time.Minute)
			if m.Before(now) {
				break
			}
			if again, err := b.Decide(q, m); err != nil || again.Allowed {
				t.Fatalf("%+v at %s: not before %s, and yet at %s", q, now, v.NotBefore, m)
			}
		}
	}
}

// oracle reads the packs' hours by the wall clock, and counts caps, in the simplest way there is.
func oracle(b *Book, q Request, place Place, now time.Time) string {
	caps := slices.Clone(q.Caps)
	for _, p := range b.packs {
		if !b.applies(p, place) {
			continue
		}
		for _, r := range p.Rules {
			if len(r.Purposes) > 0 && !slices.Contains(r.Purposes, q.Purpose) {
				continue
			}
			caps = append(caps, r.Caps...)
			for _, z := range place.Zones {
				if r.Zone != "" {
					z = r.Zone
				}
				l, _ := time.LoadLocation(z)
				clock := now.In(l).Format("15:04")
				days := map[string]string{}
				for names, spans := range r.Hours {
					ds, _ := parseDays("", names)
					for _, d := range ds {
						days[d.String()] = spans
					}
				}
				open := r.Hours == nil
				for _, span := range strings.Fields(days[now.In(l).Weekday().String()]) {
					open = open || clock >= span[:5] && clock < span[6:]
				}
				if !open {
					return fmt.Sprintf("%s/%s is closed at %s in %s", p.ID, r.ID, clock, z)
				}
			}
		}
	}
	for _, c := range caps {
		n := 0
		for _, a := range q.Attempts {
			counts := len(c.Counts) == 0 || slices.Contains(c.Counts, a.Result)
			same := c.per > 0 && now.Sub(a.At) < c.per
			for _, z := range place.zones {
				same = same || c.per == 0 && a.At.In(z).Format(time.DateOnly) == now.In(z).Format(time.DateOnly)
			}
			if counts && same {
				n++
			}
		}
		if n >= c.Most {
			return fmt.Sprintf("%d attempts in %s", n, c.Per)
		}
	}
	return ""
}

func TestPacksAreRefused(t *testing.T) {
	t.Parallel()
	const good = "id: x\nversion: \"2026-01-02\"\ntitle: X\ncountry: [XX]\nrules:\n  - id: r\n    says: s\n    source: {cite: c}\n"
	if _, err := Parse("x", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"an unknown word":      good + "    hour: {mon: \"09:00-10:00\"}\n",
		"no source":            strings.Replace(good, "source: {cite: c}", "source: {}", 1),
		"no version":           strings.Replace(good, "2026-01-02", "new", 1),
		"hours backwards":      good + "    hours: {mon: \"10:00-09:00\"}\n",
		"hours that touch":     good + "    hours: {mon: \"09:00-10:00 10:00-11:00\"}\n",
		"no day":               good + "    hours: {moon: \"09:00-10:00\"}\n",
		"a day twice":          good + "    hours: {mon-fri: \"09:00-10:00\", wed: \"09:00-10:00\"}\n",
		"25 o'clock":           good + "    hours: {mon: \"09:00-25:00\"}\n",
		"a zone without hours": good + "    zone: America/Chicago\n",
		"no such holiday":      good + "    holidays: [{name: h, on: \"02-30\"}]\n",
		"two kinds of holiday": good + "    holidays: [{name: h, on: \"02-03\", nth: \"1 mon 01\"}]\n",
		"a cap of none":        good + "    caps: [{most: 0, per: day}]\n",
		"a cap for a year":     good + "    caps: [{most: 1, per: 365d}]\n",
		"a pause of words":     good + "    pause: {refused: long}\n",
		"an unknown result":    good + "    pause: {smiled: 2d}\n",
		"an unknown purpose":   good + "    purposes: [fun]\n",
		"a rule twice":         good + "  - id: r\n    says: s\n    source: {cite: c}\n",
		"half may be dropped":  good + "    dialling: {mostDropped: 0.5, overDays: 30, within: 2s, ring: 15s}\n",
	} {
		if _, err := Parse("x", []byte(text)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	ps, _ := Parse("x", []byte(good))
	if _, err := NewBook(append(ps, ps...)); err == nil {
		t.Error("a pack is there twice")
	}
}

// Each rule can be looked up: it has a sentence, a source, and a pack with the day of its last change.
func TestShipped(t *testing.T) {
	t.Parallel()
	b := book(t)
	if len(b.Hash()) != 64 || len(b.Packs()) < 25 {
		t.Fatalf("%d packs, hash %q", len(b.Packs()), b.Hash())
	}
	for _, country := range []string{"US", "CA", "GB", "DE", "FR", "AE", "IN"} {
		if !b.names(country) {
			t.Errorf("no pack for %s", country)
		}
	}
	if got := b.Registers("AE"); !slices.Equal(got, []string{"ae-dncr"}) {
		t.Errorf("registers of the Emirates: %v", got)
	}
	p, err := Locate("+14155550100", "", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := b.Dialling(p); !ok || d.MostDropped != 0.03 || d.OverDays != 30 || d.Within != 2*time.Second || d.Ring != 15*time.Second || d.Rule == "" || d.RingRule == "" {
		t.Errorf("dialling: %+v, %v", d, ok)
	}
}

func FuzzParse(f *testing.F) {
	names, _ := shipped.ReadDir("packs")
	for _, n := range names {
		b, _ := shipped.ReadFile("packs/" + n.Name())
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<14 {
			return
		}
		packs, err := Parse("x", b)
		if err != nil {
			return
		}
		book, err := NewBook(packs)
		if err != nil {
			return
		}
		if _, err := book.Decide(Request{Number: "+14155550100", Purpose: Sales}, time.Date(2026, 3, 8, 9, 0, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	k := book(b)
	now := time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC)
	for _, number := range []string{"+13055550100", "+971501234567", "+18005550100"} {
		q := Request{Number: number, Purpose: Sales, Consent: Given, Automated: true, Attempts: []Attempt{{now.Add(-30 * time.Hour), Unanswered}, {now.Add(-50 * time.Hour), Unanswered}}}
		b.Run(number, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Decide(q, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
