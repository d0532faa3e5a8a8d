package flow

import (
	"context"
	"strings"
)

// input handles one turn while a question is open.
func (m *Machine) input(ctx context.Context, in Input) {
	switch in.Kind {
	case InText:
		m.words(ctx, in.Text)
	case InDigits:
		m.digits(ctx, in.Text, in.Complete)
	case InSilence:
		if m.keys != "" { // the keys that have come must be all there are
			m.digits(ctx, "", true)
			return
		}
		m.missed(ctx, "")
	default:
		m.missed(ctx, "Sorry, I did not understand. ")
	}
}

func (m *Machine) words(ctx context.Context, text string) {
	if strings.TrimSpace(text) == "" {
		m.missed(ctx, "")
		return
	}
	toks := tokens(text)
	if len(toks) == 0 {
		m.missed(ctx, "Sorry, I did not understand. ")
		return
	}
	q := m.q
	a := q.understand(toks, m.deps.Now().In(m.loc))
	cmd, exact := universal(toks)
	if cmd != "" && (exact && !a.exact || a.empty()) {
		m.command(ctx, cmd)
		return
	}
	if !a.empty() && m.answered(ctx, a) {
		return
	}
	if m.q == q {
		m.missed(ctx, "Sorry, I did not understand. ")
	}
}

// digits gathers keys until they are an answer.
func (m *Machine) digits(ctx context.Context, keys string, complete bool) {
	q := m.q
	if complete && keys == "" && m.keys == "" { // only the key that ends digits was pressed
		m.command(ctx, cmdRepeat)
		return
	}
	for i := 0; i < len(keys) && m.q == q && !m.done; i++ {
		k := keys[i]
		if !strings.ContainsRune("0123456789*#", rune(k)) {
			continue
		}
		if m.key(ctx, k) {
			return // the question was answered, or a command given: keys after it belong to nobody
		}
	}
	if complete && m.q == q && m.keys != "" && !m.done {
		m.keyed(ctx)
	}
}

// key takes one key and reports whether it settled something.
func (m *Machine) key(ctx context.Context, k byte) bool {
	rule := m.q.keyRule()
	if rule.Max > 1 {
		switch {
		case k == '#' && m.keys != "":
			m.keyed(ctx)
			return true
		case k == '*' && m.keys != "":
			m.keys = ""
			return false
		case k != '#' && k != '*':
			if c := m.q.byKey(k); c != "" && m.keys == "" && rule.Max <= 1 {
				return m.settle(ctx, answer{choice: c, exact: true})
			}
			m.keys += string(k)
			if len(m.keys) >= rule.Max || len(m.keys) >= maxKeys {
				m.keyed(ctx)
				return true
			}
			return false
		}
	}
	if c := m.q.byKey(k); c != "" {
		return m.settle(ctx, answer{choice: c, exact: true})
	}
	if m.q.yesNo && (k == '1' || k == '2') {
		yes := k == '1'
		return m.settle(ctx, answer{yes: &yes, exact: true})
	}
	switch k {
	case '0':
		m.command(ctx, cmdOperator)
	case '*':
		m.command(ctx, cmdStartOver)
	case '#':
		m.command(ctx, cmdRepeat)
	default:
		m.missed(ctx, "Sorry, there is nothing on that key. ")
	}
	return true
}

func (m *Machine) settle(ctx context.Context, a answer) bool {
	q := m.q
	if !m.answered(ctx, a) && m.q == q {
		m.missed(ctx, "Sorry, that does not work. ")
	}
	return true
}

// keyed takes the gathered keys as the answer.
func (m *Machine) keyed(ctx context.Context) {
	keys := m.keys
	m.keys = ""
	q := m.q
	a := q.fromKeys(keys, m.deps.Now().In(m.loc))
	if a.empty() && len(keys) == 1 { // one key where several were expected may be a command
		if keys == "0" && q.digits == nil {
			m.command(ctx, cmdOperator)
			return
		}
	}
	if a.empty() || !m.answered(ctx, a) {
		if m.q == q {
			m.missed(ctx, "Sorry, those keys do not work. ")
		}
	}
}

// answered hands an answer to whoever asked, and walks on. False means that it did not fit.
func (m *Machine) answered(ctx context.Context, a answer) bool {
	q := m.q
	misses := m.misses
	m.q, m.keys = nil, ""
	next, ok := q.answer(ctx, m, a)
	if !ok {
		if m.q == nil && !m.done {
			m.q, m.misses = q, misses
			return false
		}
		return true
	}
	m.allMisses, m.sideTrips = 0, 0
	if m.q == nil && !m.done {
		m.misses = 0
		m.walk(ctx, next)
	}
	return true
}

// missed asks again: twice in other words, then by keys, then for a person.
func (m *Machine) missed(ctx context.Context, sorry string) {
	m.misses++
	m.allMisses++
	m.keys = ""
	q := m.q
	if m.misses >= maxMisses || m.allMisses >= maxAllMiss {
		m.giveUp(ctx)
		return
	}
	switch m.misses {
	case 1, 2:
		hint := q.hint
		if hint == "" || m.misses == 1 && q.text != "" && q.kind != "intent" {
			hint = q.text
		}
		m.say(sorry + hint)
	default:
		m.say("I am sorry, I still do not understand. You can use the keys of your telephone. " + q.keypad())
	}
}

// giveUp leaves a question nobody could answer: by the node's own exit, to a person, or with a goodbye.
func (m *Machine) giveUp(ctx context.Context) {
	name := "failed"
	if m.node.Type == TypeAsk {
		name = "nomatch"
	}
	if t, ok := m.edges[m.node.ID][name]; ok && m.allMisses < maxAllMiss {
		m.q = nil
		m.walk(ctx, t)
		return
	}
	if m.def.Data.Reception.Target != "" {
		m.say("I am sorry that I could not help you.")
	}
	m.reception(ctx, "I am sorry that I could not help you. Please call again. Goodbye.", true)
}

// reception puts the caller through to a person. With final there is no way back but goodbye.
func (m *Machine) reception(ctx context.Context, otherwise string, final bool) {
	r := m.def.Data.Reception
	sorry := r.Message
	if sorry == "" {
		sorry = "I am sorry, nobody can take your call at the moment."
	}
	if r.Target == "" {
		if final {
			m.outcome("not_understood", nil)
			m.goodbye(otherwise, "not_understood")
			return
		}
		m.say(sorry)
		m.askAgain()
		return
	}
	m.outcome("transferred", map[string]any{"target": r.Target, "to": "reception"})
	m.say("I am putting you through to reception. One moment, please.")
	m.transfer(r.Target, func(_ context.Context, m *Machine) string {
		m.outcome("transfer_failed", map[string]any{"target": r.Target})
		if final || m.sideTrips > maxSideTrip {
			m.goodbye(sorry+" Goodbye.", "transfer_failed")
			return ""
		}
		m.say(sorry)
		return m.menu()
	})
}

func (m *Machine) askAgain() {
	if m.q != nil {
		m.say(m.q.text)
	}
}

// command does what a caller can always ask for.
func (m *Machine) command(ctx context.Context, cmd string) {
	m.sideTrips++
	m.keys = ""
	if m.sideTrips > maxSideTrip {
		m.giveUp(ctx)
		return
	}
	switch cmd {
	case cmdRepeat:
		for _, t := range m.last {
			m.say(t)
		}
		if len(m.last) == 0 {
			m.askAgain()
		}
	case cmdHelp:
		m.say(m.q.help() + " You can also say: repeat, start over, operator, or goodbye.")
	case cmdOperator:
		m.reception(ctx, "", false)
	case cmdStartOver:
		m.vars, m.given = map[string]string{}, mention{}
		m.walk(ctx, m.menu())
	case cmdGoodbye:
		m.goodbye(textGoodbye, "caller_goodbye")
	}
}
