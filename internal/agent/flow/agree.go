package flow

import (
	"context"
	"slices"
	"time"
)

// settleWhen asks for what is still missing of a day and time until one free slot is agreed on, reads it
// back, and books or moves. It names the next node when it is done, otherwise it has asked something.
func (m *Machine) settleWhen(ctx context.Context) string {
	m.talk.tries++
	if m.talk.tries > maxTries {
		m.say("I am sorry, we could not agree on a time.")
		m.outcome("appointment_failed", map[string]any{"node": m.node.ID})
		return m.exit("failed")
	}
	w := &m.talk.want
	if w.soonest {
		from := m.today()
		if len(w.days) == 1 {
			from = w.days[0]
		}
		return m.offerFrom(ctx, from, "The first free times are ")
	}
	switch len(w.days) {
	case 0:
		m.askDay("What day would you like?")
		return ""
	case 1:
	default:
		m.askWhichDay(w.days)
		return ""
	}
	day := w.days[0]
	if problem := m.dayProblem(day); problem != "" {
		w.days = nil
		m.askDay(problem + " What other day would you like?")
		return ""
	}
	if w.clock == nil {
		if w.part != "" {
			return m.offerPart(ctx, day)
		}
		m.askTime("At what time on " + sayDay(day, m.today()) + "?")
		return ""
	}
	return m.settleTime(ctx, day)
}

// dayProblem says why there can be no appointment on a day.
func (m *Machine) dayProblem(day time.Time) string {
	today := m.today()
	switch {
	case day.Before(today):
		return "That day has passed."
	case day.After(today.AddDate(0, 0, m.def.Data.daysAhead())):
		return "We do not make appointments that far ahead."
	case len(m.def.Data.slots(day)) == 0:
		return "We are closed on " + sayDay(day, today) + "."
	}
	return ""
}

// settleTime makes one moment of a day and a time of day.
func (m *Machine) settleTime(ctx context.Context, day time.Time) string {
	c := m.talk.want.clock
	options := []time.Time{wall(day, c.minutes)}
	if !c.exact && c.minutes < 13*60 {
		options = nil
		for _, minutes := range []int{c.minutes % 720, c.minutes%720 + 720} {
			if t := wall(day, minutes); m.isOpen(t) {
				options = append(options, t)
			}
		}
	}
	if len(options) == 2 {
		m.askHalf(options)
		return ""
	}
	if len(options) == 0 || !m.isOpen(options[0]) {
		m.talk.want.clock = nil
		m.askTime("We are not open then. On " + day.Weekday().String() + " we are open " + m.daySpans(int(day.Weekday())) +
			". At what time would you like to come?")
		return ""
	}
	free, err := m.free(ctx, day)
	if err != nil {
		return m.noCalendar()
	}
	t := options[0]
	if slices.ContainsFunc(free, t.Equal) {
		m.confirm(t)
		return ""
	}
	if len(free) == 0 {
		return m.offerFrom(ctx, day.AddDate(0, 0, 1), "There is nothing free on that day. The next free times are ")
	}
	slices.SortStableFunc(free, func(a, b time.Time) int { return int(a.Sub(t).Abs() - b.Sub(t).Abs()) })
	free = free[:min(3, len(free))]
	slices.SortFunc(free, time.Time.Compare)
	m.offer(free, sayTime(t)+" is not free. I have ")
	return ""
}

func (m *Machine) isOpen(t time.Time) bool {
	step := time.Duration(m.def.Data.slot()) * time.Minute
	return slices.ContainsFunc(m.def.Data.opening(midnight(t)), func(s span) bool {
		return !t.Before(s.from) && !t.Add(step).After(s.to)
	})
}

// free gives the free slots of a day that are still to come.
func (m *Machine) free(ctx context.Context, day time.Time) ([]time.Time, error) {
	slots := m.def.Data.slots(day)
	busy, err := m.deps.Calendar.Busy(ctx, day.AddDate(0, 0, -1), day.AddDate(0, 0, 2))
	if err != nil {
		return nil, err
	}
	step := time.Duration(m.def.Data.slot()) * time.Minute
	now := m.deps.Now()
	return slices.DeleteFunc(slots, func(t time.Time) bool {
		return !t.After(now) || slices.ContainsFunc(busy, func(b time.Time) bool { return b.Sub(t).Abs() < step })
	}), nil
}

// offerFrom offers the first free times from a day on.
func (m *Machine) offerFrom(ctx context.Context, day time.Time, intro string) string {
	m.talk.want = mention{}
	last := m.today().AddDate(0, 0, m.def.Data.daysAhead())
	for i := 0; i < 31 && !day.After(last); i++ {
		if len(m.def.Data.slots(day)) > 0 {
			free, err := m.free(ctx, day)
			if err != nil {
				return m.noCalendar()
			}
			if len(free) > 0 {
				m.offer(free[:min(3, len(free))], intro)
				return ""
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	m.askDay("I find nothing free there. What day would you like?")
	return ""
}

// offerPart offers free times of the morning, the afternoon or the evening.
func (m *Machine) offerPart(ctx context.Context, day time.Time) string {
	free, err := m.free(ctx, day)
	if err != nil {
		return m.noCalendar()
	}
	bounds := map[string][2]int{"morning": {0, 12}, "afternoon": {12, 17}, "evening": {17, 24}}[m.talk.want.part]
	in := slices.DeleteFunc(slices.Clone(free), func(t time.Time) bool { return t.Hour() < bounds[0] || t.Hour() >= bounds[1] })
	part := m.talk.want.part
	m.talk.want.part = ""
	if len(in) == 0 {
		m.askTime("There is nothing free in the " + part + ". At what other time on " + sayDay(day, m.today()) + "?")
		return ""
	}
	m.offer(in[:min(3, len(in))], "In the "+part+" I have ")
	return ""
}

// reconsider takes a day or time said in answer to anything, and goes on from there.
func (m *Machine) reconsider(ctx context.Context, w mention) (string, bool) {
	m.talk.want = m.talk.want.merge(w)
	return m.settleWhen(ctx), true
}

func (m *Machine) askDay(text string) {
	m.ask(&question{kind: "day", text: text, day: true, clock: true, keyText: dayKeys,
		hint: "You can say: tomorrow, next Tuesday, or the fourth of May. What day would you like?",
		answer: func(ctx context.Context, m *Machine, a answer) (string, bool) {
			if a.when.empty() {
				return "", false
			}
			return m.reconsider(ctx, a.when)
		}})
}

func (m *Machine) askTime(text string) {
	m.ask(&question{kind: "time", text: text, clock: true, keyText: timeKeys,
		hint: "You can say: ten thirty, or half past two in the afternoon. At what time?",
		answer: func(ctx context.Context, m *Machine, a answer) (string, bool) {
			if a.when.empty() {
				return "", false
			}
			return m.reconsider(ctx, a.when)
		}})
}

func (m *Machine) askWhichDay(days []time.Time) {
	days = days[:min(2, len(days))]
	q := &question{kind: "choice", day: true, clock: true}
	var names []string
	for i, d := range days {
		names = append(names, sayDay(d, m.today()))
		q.choices = append(q.choices, choice{id: d.Format(time.DateOnly), label: names[i], key: string(rune('1' + i)),
			phrases: []string{"the " + nth[i], nth[i], "the " + nth[i] + " one"}})
	}
	q.text = "Do you mean " + list(names, "or") + "?"
	q.hint = q.text
	q.answer = func(ctx context.Context, m *Machine, a answer) (string, bool) {
		if a.choice != "" {
			for _, d := range days {
				if d.Format(time.DateOnly) == a.choice {
					return m.reconsider(ctx, mention{days: []time.Time{d}})
				}
			}
		}
		if len(a.when.days) == 1 { // "the first of December" names a day, or one of them by its weekday alone
			return m.reconsider(ctx, a.when)
		}
		return "", false
	}
	m.ask(q)
}

// askHalf asks whether morning or afternoon was meant.
func (m *Machine) askHalf(options []time.Time) {
	q := &question{kind: "choice", clock: true,
		text: "Do you mean " + sayTime(options[0]) + " in the morning, or " + sayTime(options[1]) + " in the afternoon?",
		hint: "Please say: in the morning, or in the afternoon.",
		choices: []choice{
			{id: "am", label: "the morning", key: "1", phrases: []string{"morning", "in the morning", "am"}},
			{id: "pm", label: "the afternoon", key: "2", phrases: []string{"afternoon", "in the afternoon", "evening", "in the evening", "pm"}}}}
	q.answer = func(ctx context.Context, m *Machine, a answer) (string, bool) {
		i := map[string]int{"am": 0, "pm": 1}[a.choice]
		if a.choice == "" {
			if a.when.clock == nil || !a.when.clock.exact {
				return "", false
			}
			return m.reconsider(ctx, a.when)
		}
		t := options[i]
		return m.reconsider(ctx, mention{clock: &clock{minutes: t.Hour()*60 + t.Minute(), exact: true}})
	}
	m.ask(q)
}

// offer lets the caller choose among free times.
func (m *Machine) offer(free []time.Time, intro string) {
	free = slices.Clone(free)
	m.talk.offers = free
	m.talk.want = mention{days: []time.Time{midnight(free[0])}}
	q := &question{kind: "choice", day: true, clock: true}
	var names []string
	for i, t := range free {
		names = append(names, sayTime(t))
		q.choices = append(q.choices, choice{id: t.Format(time.RFC3339), label: sayTime(t), key: string(rune('1' + i)),
			phrases: []string{nth[i], "the " + nth[i], "the " + nth[i] + " one", spokenClock(t)}})
	}
	q.choices = append(q.choices, choice{id: "other", label: "another time", key: "9",
		phrases: []string{"another time", "another day", "neither", "none of them", "no", "something else"}})
	q.text = intro + list(names, "or") + " on " + sayDay(midnight(free[0]), m.today()) + ". Which would you like?"
	q.hint = "You can say: " + list(names, "or") + ", or: another day."
	q.answer = func(ctx context.Context, m *Machine, a answer) (string, bool) {
		if a.choice == "other" {
			m.talk.want = mention{}
			m.askDay("What day would you like?")
			return "", true
		}
		if t, err := time.Parse(time.RFC3339, a.choice); err == nil && (a.when.clock == nil || a.exact) {
			m.confirm(t.In(m.loc))
			return "", true
		}
		if a.when.empty() {
			return "", false
		}
		if c := a.when.clock; c != nil && len(a.when.days) == 0 {
			for _, t := range free {
				if min := t.Hour()*60 + t.Minute(); min == c.minutes || !c.exact && min%720 == c.minutes%720 {
					m.confirm(t)
					return "", true
				}
			}
		}
		return m.reconsider(ctx, a.when)
	}
	m.ask(q)
}

// confirm reads a moment back before anything is booked.
func (m *Machine) confirm(t time.Time) {
	text := "That is " + m.sayWhen(t) + ". Shall I book it?"
	if m.node.Type == TypeMove {
		text = "I will move your appointment to " + m.sayWhen(t) + ". Is that right?"
	}
	m.ask(&question{kind: "yesno", yesNo: true, day: true, clock: true, text: text,
		hint: text + " Please say yes or no.",
		answer: func(ctx context.Context, m *Machine, a answer) (string, bool) {
			switch {
			case a.yes != nil && *a.yes && (a.when.empty() || m.same(a.when, t)):
				m.talk.want = mention{days: []time.Time{midnight(t)}}
				return m.agreed(ctx, t), true
			case !a.when.empty(): // "no, at eleven"
				m.talk.want = mention{days: []time.Time{midnight(t)}}
				return m.reconsider(ctx, a.when)
			case a.yes != nil:
				m.talk.want = mention{}
				m.askDay("All right. What day would you like?")
				return "", true
			}
			return "", false
		}})
}

// same reports whether a mention only says a moment again: "yes, tomorrow at ten".
func (m *Machine) same(w mention, t time.Time) bool {
	if len(w.days) > 0 && !slices.ContainsFunc(w.days, midnight(t).Equal) {
		return false
	}
	return w.clock == nil || (w.clock.minutes%720 == (t.Hour()*60+t.Minute())%720)
}
