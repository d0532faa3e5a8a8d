package flow

import (
	"context"
	"strings"
	"time"
)

// run does what a node does and names the next one, unless it asked something or ended the call.
func (m *Machine) run(ctx context.Context, n *Node) string {
	switch n.Type {
	case TypeStart, TypeSay:
		m.say(n.Data.Text)
	case TypeAsk:
		m.askIntent(n)
		return ""
	case TypeCollect:
		m.collect(n)
		return ""
	case TypeBook:
		return m.book(ctx)
	case TypeMove, TypeCancel:
		return m.findOwn(ctx)
	case TypeInfo:
		m.say(n.Data.Text)
		m.say(m.topic(n.Data.Topic))
	case TypeRoute:
		return m.route(n)
	case TypeRepeat:
		for _, t := range m.last {
			m.say(t)
		}
	case TypeHangup:
		text := n.Data.Text
		if text == "" {
			text = textGoodbye
		}
		m.goodbye(text, "flow_hangup")
		return ""
	}
	return m.exit("next")
}

func intentChoices(ins []Intent) []choice {
	out := make([]choice, 0, len(ins))
	for _, in := range ins {
		label := in.Label
		if label == "" && len(in.Phrases) > 0 {
			label = in.Phrases[0]
		}
		out = append(out, choice{id: in.ID, label: label, phrases: append([]string{label}, in.Phrases...), key: in.Key})
	}
	return out
}

func (m *Machine) askIntent(n *Node) {
	q := &question{kind: "intent", text: n.Data.Text, hint: n.Data.Reprompt, choices: intentChoices(n.Data.Intents)}
	q.answer = func(_ context.Context, m *Machine, a answer) (string, bool) {
		if a.choice == "" {
			return m.which(q, a)
		}
		m.given = a.when
		m.outcome("intent", map[string]any{"node": m.node.ID, "intent": a.choice})
		return m.exit(a.choice), true
	}
	m.ask(q)
}

// which asks which of several things was meant.
func (m *Machine) which(q *question, a answer) (string, bool) {
	if len(a.unsure) < 2 {
		return "", false
	}
	narrow := *q
	narrow.choices = nil
	var names []string
	for _, c := range q.choices {
		for _, id := range a.unsure {
			if c.id == id && len(names) < 4 {
				narrow.choices = append(narrow.choices, c)
				names = append(names, c.label)
			}
		}
	}
	narrow.text = "Did you mean " + list(names, "or") + "?"
	narrow.hint = "Please say: " + list(names, "or") + "."
	inner := q.answer
	narrow.answer = func(ctx context.Context, m *Machine, a answer) (string, bool) {
		if a.choice == "" { // still not clear: no question about a question
			return "", false
		}
		return inner(ctx, m, a)
	}
	m.ask(&narrow)
	return "", true
}

func (m *Machine) collect(n *Node) {
	d := n.Data
	q := &question{text: d.Text, hint: d.Reprompt}
	switch d.Slot {
	case "day":
		q.kind, q.day, q.keyText = "day", true, dayKeys
	case "time":
		q.kind, q.clock, q.keyText = "time", true, timeKeys
	case "yesno":
		q.kind, q.yesNo = "yesno", true
	case "phone":
		q.kind, q.digits = "digits", &digitRule{min: 5, max: 15}
		q.keyText = "Please enter the number, then press hash."
	default:
		lo, hi := max(d.MinDigits, 1), d.MaxDigits
		if hi < lo {
			hi = max(lo, 10)
		}
		q.kind, q.digits, q.keyText = "digits", &digitRule{min: lo, max: min(hi, maxKeys)}, "Please enter the digits, then press hash."
	}
	q.answer = func(_ context.Context, m *Machine, a answer) (string, bool) {
		value, spoken, ok := m.collected(d.Slot, a)
		if !ok {
			return "", false
		}
		if d.Confirm && d.Slot != "yesno" {
			m.readBack(q, d, value, spoken)
			return "", true
		}
		m.set(d.Variable, value)
		if d.Slot == "yesno" {
			return m.exit(value), true
		}
		return m.exit("next"), true
	}
	m.ask(q)
}

const (
	dayKeys  = "Please enter the day and the month as four digits, like 0 4 0 5 for the fourth of May."
	timeKeys = "Please enter the time as four digits, like 1 4 3 0 for half past two."
)

// collected turns an answer into the value kept and the words that read it back.
func (m *Machine) collected(slot string, a answer) (value, spoken string, ok bool) {
	switch slot {
	case "day":
		if len(a.when.days) != 1 {
			return "", "", false
		}
		return a.when.days[0].Format(time.DateOnly), sayDay(a.when.days[0], m.today()), true
	case "time":
		if a.when.clock == nil {
			return "", "", false
		}
		t := m.today().Add(time.Duration(a.when.clock.minutes) * time.Minute)
		return t.Format("15:04"), sayTime(t), true
	case "yesno":
		if a.yes == nil {
			return "", "", false
		}
		if *a.yes {
			return "yes", "yes", true
		}
		return "no", "no", true
	}
	return a.digits, sayDigits(a.digits), a.digits != ""
}

func (m *Machine) readBack(again *question, d NodeData, value, spoken string) {
	m.ask(&question{kind: "yesno", yesNo: true, text: "I have " + spoken + ". Is that right?",
		hint: "I have " + spoken + ". Please say yes or no.",
		answer: func(_ context.Context, m *Machine, a answer) (string, bool) {
			switch {
			case a.yes == nil:
				return "", false
			case *a.yes:
				m.set(d.Variable, value)
				return m.exit("next"), true
			}
			m.talk.tries++
			if m.talk.tries >= maxMisses {
				return m.exit("failed"), true
			}
			m.ask(again)
			return "", true
		}})
}

// topic is what an info node tells.
func (m *Machine) topic(name string) string {
	switch name {
	case "hours":
		return m.openNow() + " " + m.hours()
	case "address":
		return "We are at " + m.def.Data.Address + "."
	}
	return m.def.Data.Facts[name]
}

func (m *Machine) route(n *Node) string {
	if n.Data.Department != "" {
		m.say(n.Data.Text)
		return m.toDepartment(n.Data.Department)
	}
	deps := m.def.Data.Departments
	q := &question{kind: "choice", text: n.Data.Text, hint: n.Data.Reprompt}
	var names []string
	for _, d := range deps {
		names = append(names, d.Name)
		q.choices = append(q.choices, choice{id: d.ID, label: d.Name, key: d.Key, phrases: append([]string{d.Name}, d.Phrases...)})
	}
	if q.text == "" {
		q.text = "Which department would you like? " + list(names, "or") + "?"
	}
	if q.hint == "" {
		q.hint = "You can say: " + list(names, "or") + "."
	}
	q.answer = func(_ context.Context, m *Machine, a answer) (string, bool) {
		if a.choice == "" {
			return m.which(q, a)
		}
		return m.toDepartment(a.choice), true
	}
	m.ask(q)
	return ""
}

func (m *Machine) toDepartment(id string) string {
	d := m.def.Data.department(id)
	if d == nil {
		return m.exit("failed")
	}
	m.vars["department"] = d.Name
	absent := d.Message
	if absent == "" {
		absent = "I am sorry, nobody answers at " + d.Name + " at the moment."
	}
	if d.Target == "" {
		m.outcome("routed", map[string]any{"department": d.ID, "transferred": false})
		m.say(absent)
		return m.exit("next")
	}
	m.outcome("transferred", map[string]any{"target": d.Target, "to": d.ID})
	m.say("I am putting you through to " + d.Name + ". One moment, please.")
	m.transfer(d.Target, func(_ context.Context, m *Machine) string {
		m.outcome("transfer_failed", map[string]any{"target": d.Target})
		m.say(absent)
		return m.exit("failed")
	})
	return ""
}

func (m *Machine) today() time.Time { return midnight(m.deps.Now().In(m.loc)) }

// fill puts values in the place of {names}. What it does not know it leaves out.
func (m *Machine) fill(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	text = FillVariables(text, m.deps.Variables)
	var b strings.Builder
	for text != "" {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			b.WriteString(rest)
			break
		}
		b.WriteString(m.value(name))
		text = after
	}
	return b.String()
}

func (m *Machine) value(name string) string {
	if v, ok := m.vars[name]; ok {
		return bare(v)
	}
	switch name {
	case "name":
		return m.def.Data.Name
	case "address":
		return m.def.Data.Address
	case "hours":
		return m.hours()
	case "open":
		return m.openNow()
	}
	return bare(m.def.Data.Facts[name])
}
