package flow_test

import (
	"bufio"
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/agent/flow"
)

// shelf is a calendar in memory with the same promises as the real one.
type shelf struct{ made []flow.Appointment }

func (s *shelf) Busy(_ context.Context, from, to time.Time) ([]time.Time, error) {
	var out []time.Time
	for _, a := range s.made {
		if !a.Start.Before(from) && a.Start.Before(to) {
			out = append(out, a.Start)
		}
	}
	return out, nil
}

func (s *shelf) Find(_ context.Context, q flow.Query) ([]flow.Appointment, error) {
	var out []flow.Appointment
	for _, a := range s.made {
		if (q.Phone != "" && a.Phone == q.Phone || q.Code != "" && a.Code == q.Code) && a.Start.After(q.After) {
			out = append(out, a)
		}
	}
	return out, nil
}

func (s *shelf) Book(_ context.Context, b flow.Booking) (flow.Appointment, error) {
	if slices.ContainsFunc(s.made, func(a flow.Appointment) bool { return a.Start.Equal(b.Start) }) {
		return flow.Appointment{}, flow.ErrTaken
	}
	a := flow.Appointment{ID: "a" + strconv.Itoa(len(s.made)+1), Code: strconv.Itoa(4711 + len(s.made)), Start: b.Start, Phone: b.Phone}
	s.made = append(s.made, a)
	return a, nil
}

func (s *shelf) Move(_ context.Context, id string, start time.Time) (flow.Appointment, error) {
	for i := range s.made {
		if s.made[i].ID == id {
			s.made[i].Start = start
			return s.made[i], nil
		}
	}
	return flow.Appointment{}, flow.ErrGone
}

func (s *shelf) Cancel(_ context.Context, id string) error {
	n := len(s.made)
	s.made = slices.DeleteFunc(s.made, func(a flow.Appointment) bool { return a.ID == id })
	if len(s.made) == n {
		return flow.ErrGone
	}
	return nil
}

// monday is Monday, 4 May 2026, nine in the morning in Dublin.
func monday(t testing.TB) time.Time {
	loc, err := time.LoadLocation("Europe/Dublin")
	if err != nil {
		t.Fatal(err)
	}
	return time.Date(2026, 5, 4, 9, 0, 0, 0, loc)
}

func frontDesk(t testing.TB, cal flow.Calendar, caller string) *flow.Machine {
	def, err := flow.FrontDesk()
	if err != nil {
		t.Fatal(err)
	}
	p, err := flow.Compile(def)
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.New(flow.Deps{Now: func() time.Time { return monday(t) }, Calendar: cal, Caller: caller})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func said(acts []flow.Action) string {
	var b []string
	for _, a := range acts {
		switch a.Kind {
		case flow.DoSay:
			b = append(b, a.Text)
		case flow.DoTransfer, flow.DoHangup:
			b = append(b, "<"+string(a.Kind)+" "+a.Text+">")
		}
	}
	return strings.Join(b, " ")
}

// hold has a conversation: lines are what the caller does, and after "=" what the answer must contain.
func hold(t *testing.T, m *flow.Machine, lines ...string) {
	t.Helper()
	acts := m.Start(context.Background())
	for _, l := range lines {
		in, want, _ := strings.Cut(l, "=")
		in, want = strings.TrimSpace(in), strings.TrimSpace(want)
		switch {
		case in == "": // the greeting
		case in == "?":
			acts = m.Step(context.Background(), flow.Input{Kind: flow.InNoMatch})
		case in == "failed":
			acts = m.Step(context.Background(), flow.Input{Kind: flow.InTransferFailed})
		case strings.HasPrefix(in, "key "):
			acts = m.Step(context.Background(), flow.Input{Kind: flow.InDigits, Text: in[4:]})
		default:
			acts = m.Step(context.Background(), flow.Input{Kind: flow.InText, Text: in})
		}
		if got := said(acts); !strings.Contains(got, want) {
			t.Fatalf("%q was answered by\n  %s\nwant it to contain\n  %s", in, got, want)
		}
	}
}

func TestConversations(t *testing.T) {
	for name, lines := range map[string][]string{
		"hours":             {"= Welcome to Lakeside Clinic", "opening hours = Monday to Friday from 8 AM to 6 PM, and Saturday from 9 AM to 1 PM", "no thank you = <hangup"},
		"address":           {"where are you located = 12 Harbour Road"},
		"book step by step": {"I'd like to book an appointment = What day", "tomorrow = At what time on tomorrow, Tuesday, May 5th", "ten thirty = That is tomorrow, Tuesday, May 5th at 10:30 AM", "yes = confirmation code is 4, 7, 1, 1"},
		"book in one go":    {"book an appointment tomorrow at ten thirty = 10:30 AM", "yes please = You are booked"},
		"next tuesday":      {"book an appointment = What day", "next tuesday = tomorrow, Tuesday, May 5th, or Tuesday, May 12th", "the second = At what time on Tuesday, May 12th"},
		"closed day":        {"book an appointment = What day", "sunday = We are closed on Sunday, May 10th", "monday = At what time"},
		"too early":         {"book an appointment = What day", "tomorrow = time", "six am = We are not open then", "noon = That is tomorrow, Tuesday, May 5th at noon"},
		"off the grid":      {"book an appointment tomorrow at ten twenty = 10:20 AM is not free. I have 10 AM, 10:30 AM, or 11 AM", "the second one = 10:30 AM. Shall I book it", "yes = booked"},
		"changed mind":      {"book an appointment tomorrow at ten = 10 AM", "no at eleven = at 11 AM", "no = What day"},
		"soonest":           {"book an appointment = What day", "the first available = The first free times are 9:30 AM, 10 AM, or 10:30 AM on today", "key 2 = 10 AM. Shall", "key 1 = booked"},
		"by keys":           {"key 3 = What day", "key 1 = ", "key 2 = ", "key 05 = At what time on Tuesday, May 12th", "key 1430 = 2:30 PM", "key 1 = booked"},
		"transfer":          {"billing = <transfer billing>", "failed = nobody answers at billing", "goodbye = <hangup"},
		"operator":          {"operator = <transfer reception>", "failed = How can I help"},
		"not understood":    {"? = Sorry, I did not understand", "? = Sorry", "? = keys of your telephone. For opening hours, press 1", "? = <transfer reception>", "failed = <hangup"},
		"repeat":            {"opening hours = Monday", "repeat = Monday to Friday"},
		"help":              {"help = You can say"},
		"start over":        {"book an appointment = What day", "start over = How can I help you"},
		"ambiguous":         {"change cancel appointment = Did you mean move an appointment, or cancel an appointment?", "cancel = I find no appointment"},
		"nothing to move":   {"move my appointment = four digits of your confirmation code", "1 2 3 4 = There is no appointment with the code 1, 2, 3, 4", "no code = could not find"},
	} {
		t.Run(name, func(t *testing.T) { hold(t, frontDesk(t, &shelf{}, "+35315550100"), lines...) })
	}
}

func TestAppointmentAcrossCalls(t *testing.T) {
	cal := &shelf{}
	hold(t, frontDesk(t, cal, "+35315550100"), "book an appointment tomorrow at half past two in the afternoon = 2:30 PM", "yes = 4, 7, 1, 1")
	hold(t, frontDesk(t, cal, "+35315550199"), "book an appointment tomorrow at 14:30 = 2:30 PM is not free")
	hold(t, frontDesk(t, cal, "+35315550100"), "move my appointment = tomorrow, Tuesday, May 5th at 2:30 PM. Do you want to move it", "yes = What day",
		"the sixth of may at nine = Wednesday, May 6th at 9 AM", "yes = is moved to Wednesday, May 6th at 9 AM")
	hold(t, frontDesk(t, cal, ""), "cancel my appointment = confirmation code", "key 4711 = Wednesday, May 6th at 9 AM. Shall I cancel it", "yes = is cancelled")
	if len(cal.made) != 0 {
		t.Fatalf("appointments left: %v", cal.made)
	}
}

func TestUndo(t *testing.T) {
	m := frontDesk(t, &shelf{}, "")
	hold(t, m, "book an appointment = What day", "tomorrow = At what time")
	if !m.Undo() {
		t.Fatal("a step without consequences can be taken back")
	}
	if got := said(m.Step(context.Background(), flow.Input{Kind: flow.InText, Text: "tomorrow at ten"})); !strings.Contains(got, "10 AM") {
		t.Fatal(got)
	}
	m.Step(context.Background(), flow.Input{Kind: flow.InText, Text: "yes"})
	if m.Undo() {
		t.Fatal("a booking cannot be taken back by going on talking")
	}
}

func TestFrontDeskIsSound(t *testing.T) {
	def, err := flow.FrontDesk()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*flow.Graph{def, flow.Blank()} {
		if p := flow.Validate(d); len(p) > 0 {
			t.Fatalf("problems: %v", p)
		}
	}
}

// Every word of every grammar of the front desk is in the demo recogniser's dictionary.
func TestGrammarWordsAreInTheDictionary(t *testing.T) {
	f, err := os.Open("/usr/share/pocketsphinx/model/en-us/cmudict-en-us.dict")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dict := map[string]bool{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		w, _, _ := strings.Cut(sc.Text(), " ")
		dict[w] = true
	}
	m := frontDesk(t, &shelf{}, "")
	m.Start(context.Background())
	for _, in := range []string{"", "book an appointment", "tomorrow", "ten", "yes", "move my appointment"} {
		if in != "" {
			m.Step(context.Background(), flow.Input{Kind: flow.InText, Text: in})
		}
		e := m.Expect()
		if !strings.HasPrefix(e.Grammar, "#JSGF V1.0;") || len(e.Hints) == 0 {
			t.Fatalf("after %q: %+v", in, e)
		}
		for _, w := range e.Words {
			if !dict[w] {
				t.Errorf("after %q: %q is not in the dictionary", in, w)
			}
		}
	}
}
