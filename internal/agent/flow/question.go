package flow

import (
	"context"
	"strings"
	"time"
)

// choice is one of several things to say.
type choice struct {
	id      string
	label   string // how it is offered
	phrases []string
	key     string
}

// digitRule bounds a number that is asked for.
type digitRule struct{ min, max int }

// question is what the caller is being asked. It does not change once it was asked; answer gets the
// machine handed in, so that a machine can be copied.
type question struct {
	kind    string // intent, choice, yesno, day, time, digits
	text    string
	hint    string // re-prompt: what can be said
	keyText string // how to answer by keys, when the choices do not say it
	choices []choice
	yesNo   bool
	day     bool // a day is an answer
	clock   bool // a time is one
	digits  *digitRule
	// answer takes an answer and names the next node, unless it asked something itself. False means that
	// the answer does not fit here.
	answer func(ctx context.Context, m *Machine, a answer) (next string, ok bool)
}

// answer is what an utterance may mean to a question.
type answer struct {
	text   string
	choice string
	unsure []string // choices it could be
	yes    *bool
	when   mention
	digits string
	exact  bool // said word for word
}

func (a *answer) empty() bool {
	return a.choice == "" && len(a.unsure) == 0 && a.yes == nil && a.when.empty() && a.digits == ""
}

// understand reads words as an answer to the question.
func (q *question) understand(toks []string, now time.Time) answer {
	a := answer{text: strings.Join(toks, " ")}
	if ids, exact := match(toks, q.choices); len(ids) == 1 {
		a.choice, a.exact = ids[0], exact
	} else if len(ids) > 1 {
		a.unsure = ids
	}
	if q.yesNo {
		a.yes = yesOrNo(toks)
	}
	if q.digits != nil {
		if d := spokenDigits(toks); len(d) >= q.digits.min && len(d) <= q.digits.max {
			a.digits = d
		}
	}
	// What is said beside an intent is kept for later: "book an appointment tomorrow at ten".
	a.when = parseWhen(toks, now, hearing{day: q.day, clock: q.clock})
	if !q.day && !q.clock && a.choice == "" {
		a.when = mention{}
	}
	return a
}

// fromKeys reads gathered keys as an answer.
func (q *question) fromKeys(keys string, now time.Time) answer {
	var a answer
	switch {
	case len(keys) == 1 && q.byKey(keys[0]) != "":
		a.choice = q.byKey(keys[0])
	case q.digits != nil:
		if len(keys) >= q.digits.min && len(keys) <= q.digits.max {
			a.digits = keys
		}
	case q.day && q.kind == "day":
		a.when = keyedDay(keys, now)
	case q.clock:
		a.when = keyedClock(keys)
	}
	return a
}

func (q *question) byKey(k byte) string {
	for _, c := range q.choices {
		if c.key == string(k) {
			return c.id
		}
	}
	return ""
}

// keyRule says how many keys an answer has.
func (q *question) keyRule() KeyRule {
	switch {
	case q.digits != nil:
		return KeyRule{Max: q.digits.max, Terminator: '#'}
	case q.kind == "day" || q.kind == "time":
		return KeyRule{Max: 4, Terminator: '#'}
	}
	return KeyRule{Max: 1}
}

func (q *question) listen(partial bool) *Listen {
	return &Listen{Kind: q.kind, Keys: q.keyRule(), Partial: partial}
}

// keypad tells how to answer by keys.
func (q *question) keypad() string {
	if q.keyText != "" {
		return q.keyText
	}
	var parts []string
	for _, c := range q.choices {
		if c.key != "" {
			parts = append(parts, "For "+c.label+", press "+keyName(c.key)+".")
		}
	}
	if q.yesNo && len(parts) == 0 {
		parts = append(parts, "For yes, press 1. For no, press 2.")
	}
	if len(parts) == 0 {
		return "To speak to a person, press 0."
	}
	return strings.Join(parts, " ")
}

func keyName(k string) string {
	switch k {
	case "*":
		return "star"
	case "#":
		return "hash"
	}
	return k
}

// help tells what can be said.
func (q *question) help() string {
	if q.hint != "" {
		return q.hint
	}
	if len(q.choices) > 0 {
		var names []string
		for _, c := range q.choices {
			names = append(names, c.label)
		}
		return "You can say: " + list(names, "or") + "."
	}
	return q.text
}

// list joins names as a person would.
func list(names []string, last string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + ", " + last + " " + names[len(names)-1]
}

// spokenDigits reads "four seven double two" as 4722. Anything else in it means that it is no number.
func spokenDigits(toks []string) string {
	var b strings.Builder
	times := 1
	for _, t := range toks {
		switch {
		case t == "double":
			times = 2
			continue
		case t == "triple":
			times = 3
			continue
		case isFiller(t) || t == "number" || t == "code" || t == "its":
			continue
		case strings.Trim(t, "0123456789") == "":
			b.WriteString(t)
		default:
			v, ok := cardinal(t)
			if !ok || v > 9 {
				return ""
			}
			b.WriteString(strings.Repeat(string(rune('0'+v)), times))
		}
		times = 1
	}
	return b.String()
}
