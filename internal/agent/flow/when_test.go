package flow

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// describe writes a mention: days, then the time, with ? when am or pm is not known.
func describe(w mention) string {
	var parts []string
	for _, d := range w.days {
		parts = append(parts, d.Format("Mon 2006-01-02"))
	}
	if w.clock != nil {
		s := fmt.Sprintf("%02d:%02d", w.clock.minutes/60, w.clock.minutes%60)
		if !w.clock.exact {
			s += "?"
		}
		parts = append(parts, s)
	}
	if w.part != "" && w.clock == nil {
		parts = append(parts, w.part)
	}
	if w.soonest {
		parts = append(parts, "soonest")
	}
	return strings.Join(parts, ", ")
}

func TestDaysAndTimes(t *testing.T) {
	now := time.Date(2026, 5, 6, 9, 0, 0, 0, time.UTC) // a Wednesday
	both, day, clockOnly := hearing{day: true, clock: true}, hearing{day: true}, hearing{clock: true}
	for _, c := range []struct {
		said string
		want hearing
		is   string
	}{
		{"tomorrow at ten thirty", both, "Thu 2026-05-07, 10:30?"},
		{"Tomorrow, 10:30 a.m.", both, "Thu 2026-05-07, 10:30"},
		{"today at 3pm", both, "Wed 2026-05-06, 15:00"},
		{"the day after tomorrow", both, "Fri 2026-05-08"},
		{"next tuesday", both, "Tue 2026-05-12"},
		{"next friday", both, "Fri 2026-05-08, Fri 2026-05-15"},
		{"this friday at noon", both, "Fri 2026-05-08, 12:00"},
		{"tuesday next week", both, "Tue 2026-05-12"},
		{"wednesday", both, "Wed 2026-05-13"},
		{"next week on thursday", both, "Thu 2026-05-14"},
		{"sometime next week", both, "Mon 2026-05-11, soonest"},
		{"in two weeks", both, "Wed 2026-05-20"},
		{"in three days at four", both, "Sat 2026-05-09, 04:00?"},
		{"a week from friday", both, "Fri 2026-05-15"},
		{"the fourth of may", both, "Tue 2027-05-04"},
		{"May the twenty-first", both, "Thu 2026-05-21"},
		{"june 3rd at half past two in the afternoon", both, "Wed 2026-06-03, 14:30"},
		{"the 21st", both, "Thu 2026-05-21"},
		{"the thirty first", both, "Sun 2026-05-31"},
		{"31st of february", both, ""},
		{"2026-07-01 at 14:30", both, "Wed 2026-07-01, 14:30"},
		{"7/6", both, "Sun 2026-06-07, Mon 2026-07-06"},
		{"twelve", day, "Tue 2026-05-12"},
		{"ten thirty", clockOnly, "10:30?"},
		{"at ten", clockOnly, "10:00?"},
		{"nine", clockOnly, "09:00?"},
		{"half past two in the afternoon", clockOnly, "14:30"},
		{"quarter to three", clockOnly, "02:45?"},
		{"a quarter past nine in the morning", clockOnly, "09:15"},
		{"twenty to four", clockOnly, "03:40?"},
		{"half two", clockOnly, "02:30?"},
		{"14:30", clockOnly, "14:30"},
		{"fourteen thirty", clockOnly, "14:30"},
		{"2.30 pm", clockOnly, "14:30"},
		{"ten oh five", clockOnly, "10:05?"},
		{"three o'clock", clockOnly, "03:00?"},
		{"twelve thirty p m", clockOnly, "12:30"},
		{"twelve am", clockOnly, "00:00"},
		{"midnight", clockOnly, "00:00"},
		{"eleven in the evening", clockOnly, "23:00"},
		{"in the morning", clockOnly, "morning"},
		{"as soon as possible", both, "soonest"},
		{"the first available", both, "soonest"},
		{"may I ask something", both, ""},
		{"two people", clockOnly, "02:00?"},
		{"", both, ""},
	} {
		if got := describe(parseWhen(tokens(c.said), now, c.want)); got != c.is {
			t.Errorf("%q is %q, want %q", c.said, got, c.is)
		}
	}
}

func TestSpokenDigits(t *testing.T) {
	for said, want := range map[string]string{"four seven double two": "4722", "4 7 1 1": "4711", "my code is one oh one two": "1012",
		"tomorrow": "", "eleven": "", "triple five": "555"} {
		if got := spokenDigits(tokens(said)); got != want {
			t.Errorf("%q is %q, want %q", said, got, want)
		}
	}
}

func TestYesAndNo(t *testing.T) {
	for said, want := range map[string]string{"yes": "yes", "no": "no", "yes please": "yes", "no thank you": "no", "that's right": "yes",
		"that is not right": "no", "okay": "yes", "maybe": "", "no that's wrong": "no", "never mind": "no"} {
		got := ""
		if y := yesOrNo(tokens(said)); y != nil {
			got = map[bool]string{true: "yes", false: "no"}[*y]
		}
		if got != want {
			t.Errorf("%q is %q, want %q", said, got, want)
		}
	}
}

// On the days the clocks change, the slots are those the clock on the wall shows.
func TestSlotsWhenClocksChange(t *testing.T) {
	loc, err := time.LoadLocation("Europe/Dublin")
	if err != nil {
		t.Fatal(err)
	}
	d := Data{Hours: map[string][]Span{"sun": {{From: "00:00", To: "04:00"}}}, SlotMinutes: 60}
	for _, c := range []struct {
		day  time.Time
		want int
	}{{time.Date(2026, 3, 29, 0, 0, 0, 0, loc), 3}, {time.Date(2026, 10, 25, 0, 0, 0, 0, loc), 5}, {time.Date(2026, 5, 3, 0, 0, 0, 0, loc), 4}} {
		if got := d.slots(c.day); len(got) != c.want {
			t.Errorf("%s has %d slots, want %d: %v", c.day.Format(time.DateOnly), len(got), c.want, got)
		}
	}
}
