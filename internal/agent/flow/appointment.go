package flow

import (
	"context"
	"errors"
	"time"
)

// dialog is the state of the conversation inside book, move and cancel. It is copied with the machine:
// its slices are replaced, never written to.
type dialog struct {
	want   mention
	found  Appointment // to move or cancel
	offers []time.Time
	tries  int
}

// maxTries bounds how often one appointment dialog starts anew: wrong codes, refused times.
const maxTries = 8

// maxCodes bounds how many codes a caller may try.
const maxCodes = 3

func (m *Machine) book(ctx context.Context) string {
	if m.deps.Calendar == nil {
		return m.noCalendar()
	}
	m.say(m.node.Data.Text)
	m.talk.want, m.given = m.given, mention{}
	m.takeVariables()
	return m.settleWhen(ctx)
}

// takeVariables uses a day and time that collect nodes asked for before.
func (m *Machine) takeVariables() {
	if d, err := time.ParseInLocation(time.DateOnly, m.vars["day"], m.loc); err == nil && len(m.talk.want.days) == 0 {
		m.talk.want.days = []time.Time{d}
	}
	if min, ok := minutesOf(m.vars["time"]); ok && m.talk.want.clock == nil {
		m.talk.want.clock = &clock{minutes: min, exact: min >= 13*60}
	}
}

func (m *Machine) noCalendar() string {
	m.say("I am sorry, I cannot reach the calendar at the moment.")
	m.outcome("calendar_failed", map[string]any{"node": m.node.ID})
	return m.exit("failed")
}

// findOwn finds the caller's appointment to move or cancel: by their number, otherwise by their code.
func (m *Machine) findOwn(ctx context.Context) string {
	if m.deps.Calendar == nil {
		return m.noCalendar()
	}
	m.say(m.node.Data.Text)
	m.talk.want, m.given = m.given, mention{}
	phone := m.phone()
	if phone == "" {
		return m.askCode("")
	}
	found, err := m.deps.Calendar.Find(ctx, Query{Phone: phone, After: m.deps.Now()})
	if err != nil {
		return m.noCalendar()
	}
	if len(found) == 0 {
		return m.askCode("I find no appointment under your number. ")
	}
	if len(found) == 1 {
		m.isItThis(found[0])
		return ""
	}
	return m.whichOwn(found[:min(len(found), 4)])
}

func (m *Machine) phone() string {
	if p := m.vars["phone"]; p != "" {
		return p
	}
	return m.deps.Caller
}

func (m *Machine) askCode(before string) string {
	q := &question{kind: "digits", digits: &digitRule{min: 4, max: 4}, choices: noCode,
		text:    before + "Please enter the four digits of your confirmation code on your telephone, or say them.",
		hint:    "Please enter the four digits of your confirmation code. If you have none, say: I don't have one.",
		keyText: "Please enter the four digits of your code."}
	q.answer = func(ctx context.Context, m *Machine, a answer) (string, bool) {
		if a.choice == "none" {
			return m.foundNone(), true
		}
		if a.digits == "" {
			return "", false
		}
		found, err := m.deps.Calendar.Find(ctx, Query{Code: a.digits, After: m.deps.Now()})
		if err != nil {
			return m.noCalendar(), true
		}
		if len(found) > 0 {
			m.isItThis(found[0])
			return "", true
		}
		m.talk.tries++
		if m.talk.tries >= maxCodes {
			return m.foundNone(), true
		}
		m.say("There is no appointment with the code " + sayDigits(a.digits) + ".")
		m.ask(q)
		return "", true
	}
	m.ask(q)
	return ""
}

var noCode = []choice{{id: "none", label: "I don't have one",
	phrases: []string{"i don't have one", "i have none", "i don't have a code", "no code", "i don't know", "no"}}}

func (m *Machine) foundNone() string {
	m.say("I could not find your appointment.")
	m.outcome("appointment_not_found", nil)
	return m.exit("none")
}

func (m *Machine) whichOwn(found []Appointment) string {
	q := &question{kind: "choice", hint: "Please say which one."}
	var names []string
	for i, f := range found {
		name := m.sayWhen(f.Start)
		names = append(names, name)
		q.choices = append(q.choices, choice{id: f.ID, label: name, key: string(rune('1' + i)),
			phrases: []string{nth[i], "the " + nth[i], "the " + nth[i] + " one", spokenDay(f.Start.In(m.loc))}})
	}
	q.text = "You have these appointments: " + list(names, "and") + ". Which one do you mean: the first, the second?"
	if len(found) > 2 {
		q.text = "You have these appointments: " + list(names, "and") + ". Which one do you mean: the first, the second, the third?"
	}
	q.answer = func(_ context.Context, m *Machine, a answer) (string, bool) {
		for _, f := range found {
			if f.ID == a.choice {
				m.isItThis(f)
				return "", true
			}
		}
		return m.which(q, a)
	}
	m.ask(q)
	return ""
}

var nth = []string{"first", "second", "third", "fourth"}

// isItThis reads an appointment back before anything happens to it.
func (m *Machine) isItThis(f Appointment) {
	m.talk.found = f
	q := &question{kind: "yesno", yesNo: true}
	cancel := m.node.Type == TypeCancel
	if cancel {
		q.text = "You have an appointment on " + m.sayWhen(f.Start) + ". Shall I cancel it?"
		q.hint = "Shall I cancel your appointment on " + m.sayWhen(f.Start) + "? Please say yes or no."
	} else {
		q.text = "You have an appointment on " + m.sayWhen(f.Start) + ". Do you want to move it?"
		q.hint = "Do you want to move your appointment on " + m.sayWhen(f.Start) + "? Please say yes or no."
	}
	q.answer = func(ctx context.Context, m *Machine, a answer) (string, bool) {
		switch {
		case a.yes == nil:
			return "", false
		case !*a.yes && cancel:
			m.say("All right, it stays as it is.")
			return m.exit("kept"), true
		case !*a.yes:
			m.say("All right, it stays as it is.")
			return m.exit("failed"), true
		case cancel:
			return m.cancelIt(ctx), true
		}
		m.talk.tries = 0
		return m.settleWhen(ctx), true
	}
	m.ask(q)
}

func (m *Machine) cancelIt(ctx context.Context) string {
	f := m.talk.found
	err := m.deps.Calendar.Cancel(ctx, f.ID)
	if err != nil && !errors.Is(err, ErrGone) {
		return m.noCalendar()
	}
	m.committed = true
	m.set("appointment", m.sayWhen(f.Start))
	m.save("appointment", map[string]any{"id": f.ID, "status": "cancelled", "start": f.Start.UnixMilli()})
	m.outcome("appointment_cancelled", map[string]any{"id": f.ID, "start": f.Start.UnixMilli()})
	m.say("Your appointment on " + m.sayWhen(f.Start) + " is cancelled.")
	return m.exit("cancelled")
}

// agreed books or moves after the read-back.
func (m *Machine) agreed(ctx context.Context, start time.Time) string {
	moving := m.node.Type == TypeMove
	var a Appointment
	var err error
	if moving {
		a, err = m.deps.Calendar.Move(ctx, m.talk.found.ID, start)
	} else {
		a, err = m.deps.Calendar.Book(ctx, Booking{Start: start, Minutes: m.def.Data.slot(), Phone: m.phone(), Name: m.deps.Name})
	}
	switch {
	case errors.Is(err, ErrTaken):
		m.say("I am sorry, somebody has just taken that time.")
		return m.settleWhen(ctx)
	case errors.Is(err, ErrGone):
		return m.foundNone()
	case err != nil:
		return m.noCalendar()
	}
	m.committed = true
	status, exit := "booked", "booked"
	if moving {
		status, exit = "moved", "moved"
	}
	m.set("appointment", m.sayWhen(a.Start))
	m.set("code", a.Code)
	m.save("appointment", map[string]any{"id": a.ID, "status": status, "start": a.Start.UnixMilli(), "code": a.Code})
	m.outcome("appointment_"+status, map[string]any{"id": a.ID, "start": a.Start.UnixMilli(), "code": a.Code})
	if moving {
		m.say("Your appointment is moved to " + m.sayWhen(a.Start) + ". Your confirmation code is still " + sayDigits(a.Code) + ".")
	} else {
		m.say("You are booked for " + m.sayWhen(a.Start) + ". Your confirmation code is " + sayDigits(a.Code) + ".")
	}
	return m.exit(exit)
}
