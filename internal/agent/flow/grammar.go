package flow

import (
	"slices"
	"strings"
	"time"
)

// Expect is what can be said now, for a recogniser with a small grammar.
type Expect struct {
	Grammar string   // JSGF 1.0; "" when the conversation is over
	Words   []string // every word of the grammar, sorted
	Hints   []string // phrases likely to be said
}

// Expect describes what the open question understands. Text recognised by it is an Input of kind InText.
func (m *Machine) Expect() Expect {
	if m.q == nil {
		return Expect{}
	}
	return m.q.grammar(m.deps.Now().In(m.loc))
}

// grammar writes the question as JSGF (W3C note "JSpeech Grammar Format", section 2). Words are those of
// the CMU dictionary: lower case, apostrophes kept, numbers spelled out.
func (q *question) grammar(_ time.Time) Expect {
	g := grammarWriter{rules: map[string]string{}}
	var alts []string
	for _, c := range q.choices {
		alts = append(alts, g.phrases(c.phrases)...)
		g.hints = append(g.hints, c.label)
	}
	if q.kind == "intent" && len(alts) > 0 {
		g.rule("wish", strings.Join(alts, " | "))
		alts = []string{"[<polite>] <wish> [please]"}
		g.rule("polite", "i would like to | i want to | can i | please")
	}
	if q.yesNo {
		g.rule("yes", "yes | yeah | yes please | sure | correct | that's right | that is right | okay")
		g.rule("no", "no | nope | no thank you | wrong | that's wrong | that is wrong")
		alts = append(alts, "<yes>", "<no>")
		g.hints = append(g.hints, "yes", "no")
	}
	if q.clock {
		g.clock()
	}
	switch {
	case q.day && q.clock && q.kind == "yesno":
		alts = append(alts, "<no> at <time>") // "no, at eleven"
	case q.day && q.clock:
		// A bare hour after a day would be heard in every hesitation: it needs "at", or minutes.
		if q.kind == "choice" {
			g.nearDay()
			alts = append(alts, "[at] <time>")
		} else {
			g.day()
		}
		alts = append(alts, "<day>", "<day> at <time>", "<day> <hour> <minutes> [<part>]")
		g.hints = append(g.hints, "tomorrow", "next tuesday")
	case q.day:
		g.day()
		alts = append(alts, "<day>")
	case q.clock:
		alts = append(alts, "[at] <time>")
		g.hints = append(g.hints, "ten thirty")
	}
	if q.day || q.clock {
		alts = append(alts, "the first available")
	}
	if q.clock {
		alts = append(alts, "in the morning", "in the afternoon")
	}
	if q.digits != nil {
		g.rule("digit", "zero | oh | one | two | three | four | five | six | seven | eight | nine")
		alts = append(alts, strings.TrimSpace(strings.Repeat("<digit> ", q.digits.min)))
		if q.digits.max > q.digits.min {
			alts[len(alts)-1] += " <digit>*"
		}
	}
	g.rule("command", "repeat | say that again | help | operator | speak to a person | start over | main menu | goodbye")
	alts = append(alts, "<command>")
	return g.write(dedupe(alts))
}

type grammarWriter struct {
	rules map[string]string
	order []string
	hints []string
}

func (g *grammarWriter) rule(name, body string) {
	if g.rules[name] == "" {
		g.order = append(g.order, name)
	}
	g.rules[name] = body
}

// phrases writes phrases as alternatives; what holds digits or signs cannot be said and is left out.
func (g *grammarWriter) phrases(ps []string) []string {
	var out []string
	for _, p := range ps {
		if w := spokenWords(p); w != "" {
			out = append(out, w)
		}
	}
	return dedupe(out)
}

// spokenWords writes a phrase as a recogniser spells it, "" when it is more than plain words.
func spokenWords(p string) string {
	p = strings.ToLower(strings.ReplaceAll(p, "’", "'"))
	words := strings.FieldsFunc(p, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '\'') })
	for i, w := range words {
		words[i] = strings.Trim(w, "'")
		if words[i] == "" || strings.ContainsAny(w, "0123456789") {
			return ""
		}
	}
	for _, r := range p {
		if r > 127 {
			return ""
		}
	}
	return strings.Join(words, " ")
}

// nearDay is for questions that offer something: few words beside it, so that it is heard well.
func (g *grammarWriter) nearDay() {
	g.rule("weekday", weekdayWords)
	g.rule("day", "tomorrow | [on] [next] <weekday>")
}

const weekdayWords = "monday | tuesday | wednesday | thursday | friday | saturday | sunday"

func (g *grammarWriter) day() {
	g.rule("weekday", weekdayWords)
	var names []string
	for mo := time.January; mo <= time.December; mo++ {
		names = append(names, strings.ToLower(mo.String()))
	}
	g.rule("month", strings.Join(names, " | "))
	var nths []string
	for d := 1; d <= 31; d++ {
		nths = append(nths, spokenOrdinal(d))
	}
	g.rule("nth", strings.Join(nths, " | "))
	g.rule("day", "today | tomorrow | [the] day after tomorrow | [on] [next | this] <weekday> | <weekday> next week | "+
		"[on] the <nth> [of <month>] | <month> [the] <nth> | in two weeks")
}

func (g *grammarWriter) clock() {
	g.rule("hour", strings.Join(units[1:13], " | "))
	g.rule("minutes", "fifteen | thirty | forty five | o'clock | ten | twenty | forty | fifty")
	g.rule("part", "a.m. | p.m. | in the morning | in the afternoon | in the evening")
	g.rule("time", "<hour> [<minutes>] [<part>] | half past <hour> [<part>] | quarter past <hour> [<part>] | "+
		"quarter to <hour> [<part>] | noon")
}

func (g *grammarWriter) write(alts []string) Expect {
	var b strings.Builder
	b.WriteString("#JSGF V1.0;\ngrammar flow;\npublic <flow> = " + strings.Join(alts, " | ") + ";\n")
	for _, name := range g.order {
		b.WriteString("<" + name + "> = " + g.rules[name] + ";\n")
	}
	return Expect{Grammar: b.String(), Words: grammarWords(b.String()), Hints: dedupe(g.hints)}
}

// grammarWords lists the words a grammar of ours holds.
func grammarWords(jsgf string) []string {
	_, body, _ := strings.Cut(jsgf, "grammar flow;")
	seen := map[string]bool{}
	var out []string
	for _, w := range strings.FieldsFunc(body, func(r rune) bool { return strings.ContainsRune(" |[]()*;=\n", r) }) {
		if w != "public" && !strings.HasPrefix(w, "<") && !seen[w] {
			seen[w] = true
			out = append(out, w)
		}
	}
	slices.Sort(out)
	return out
}

func dedupe(in []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(in), func(s string) bool {
		dup := seen[s]
		seen[s] = true
		return dup
	})
}
