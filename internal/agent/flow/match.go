package flow

import (
	"slices"
	"strings"
	"unicode"
)

// maxTokens bounds what is looked at of one utterance.
const maxTokens = 80

var halves = strings.NewReplacer("a.m.", "am", "p.m.", "pm", "a.m", "am", "p.m", "pm", "’", "'")

// tokens normalises what was said or typed to plain lower-case words: "10:30", "3 pm", "4th" and
// "4/5" stay readable to the day and time parser, everything else loses its punctuation.
func tokens(s string) []string {
	if len(s) > 4000 {
		s = s[:4000]
	}
	s = halves.Replace(strings.ToLower(s))
	var b strings.Builder
	rs := []rune(s)
	digit := func(i int) bool { return i >= 0 && i < len(rs) && rs[i] >= '0' && rs[i] <= '9' }
	for i, r := range rs {
		between := digit(i-1) && digit(i+1)
		switch {
		case unicode.IsLetter(r) && digit(i-1) && !ordinalSuffix(rs[i:]):
			b.WriteByte(' ')
			b.WriteRune(r)
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		case (r == ':' || r == '/' || r == '-') && between:
			b.WriteRune(r)
		case r == '.' && between:
			b.WriteRune(':')
		case r == '\'': // o'clock, what's, don't: one word
		default:
			b.WriteByte(' ')
		}
	}
	out := strings.Fields(b.String())
	return out[:min(len(out), maxTokens)]
}

func ordinalSuffix(rs []rune) bool {
	if len(rs) < 2 || len(rs) > 2 && (unicode.IsLetter(rs[2]) || unicode.IsDigit(rs[2])) {
		return false
	}
	return slices.Contains([]string{"st", "nd", "rd", "th"}, string(rs[:2]))
}

// fillers carry no meaning of their own in a request.
var fillers = strings.Fields(`a an the i me my you your we it is am are be to of for at on in please would like id want
	wanna need can could may will do does did hi hello hey um uh er well so just some any there that this and with
	have get make lets let us about tell know im ill`)

func isFiller(w string) bool { return slices.Contains(fillers, w) }

// stem folds the endings that do not change what is wanted: booking, books → book.
func stem(w string) string {
	for _, end := range []string{"ing", "es", "s"} {
		if len(w) >= len(end)+4 && strings.HasSuffix(w, end) && !strings.HasSuffix(w, "ss") {
			w = strings.TrimSuffix(w, end)
			break
		}
	}
	if len(w) > 4 && w[len(w)-1] == w[len(w)-2] && strings.HasSuffix(w, "ll") {
		w = w[:len(w)-1] // cancelling → cancel
	}
	return strings.TrimSuffix(w, "e")
}

func meaning(toks []string) []string {
	out := make([]string, 0, len(toks))
	for _, t := range toks {
		if !isFiller(t) {
			out = append(out, stem(t))
		}
	}
	return out
}

// score tells from 0 to 1 how well an utterance says a phrase: 1 word for word, 0.9 when it holds the
// phrase whole, less when it shares only the words that matter.
func score(said []string, phrase []string) float64 {
	if len(said) == 0 || len(phrase) == 0 {
		return 0
	}
	if slices.Equal(said, phrase) {
		return 1
	}
	if contains(said, phrase) {
		// Of two phrases that both occur, the longer says more.
		return 0.9 + 0.01*float64(min(len(phrase), 9))
	}
	s, p := meaning(said), meaning(phrase)
	if len(s) == 0 || len(p) == 0 {
		return 0
	}
	shared := 0
	for _, w := range p {
		if slices.Contains(s, w) {
			shared++
		}
	}
	if shared == 0 {
		return 0
	}
	recall, precision := float64(shared)/float64(len(p)), float64(shared)/float64(len(s))
	f1 := 2 * recall * precision / (recall + precision)
	if recall == 1 {
		return max(0.6+0.05*float64(min(len(p), 3)), 0.89*f1)
	}
	return 0.8 * f1
}

func contains(said, phrase []string) bool {
	for i := 0; i+len(phrase) <= len(said); i++ {
		if slices.Equal(said[i:i+len(phrase)], phrase) {
			return true
		}
	}
	return false
}

// least is the score below which nothing was understood, and near the distance at which two meanings
// are too close to tell apart.
const (
	least = 0.5
	near  = 0.05
)

// match finds what was meant. Several ids mean that it could be any of them.
func match(said []string, choices []choice) (ids []string, exact bool) {
	best := 0.0
	scores := make([]float64, len(choices))
	for i, c := range choices {
		for _, p := range c.phrases {
			scores[i] = max(scores[i], score(said, tokens(p)))
		}
		best = max(best, scores[i])
	}
	if best < least {
		return nil, false
	}
	for i, c := range choices {
		if scores[i] > 0 && scores[i] >= best-near && (best < 1 || scores[i] == 1) && !slices.Contains(ids, c.id) {
			ids = append(ids, c.id)
		}
	}
	return ids, best == 1
}

// The universal commands.
const (
	cmdRepeat    = "repeat"
	cmdHelp      = "help"
	cmdOperator  = "operator"
	cmdStartOver = "start over"
	cmdGoodbye   = "goodbye"
)

// commands are said word for word, give or take a filler; so "cancel that" never ends a call.
var commands = []choice{
	{id: cmdRepeat, phrases: []string{"repeat", "repeat that", "say that again", "say it again", "again please", "pardon",
		"pardon me", "what did you say", "come again", "once more"}},
	{id: cmdHelp, phrases: []string{"help", "help me", "what can i say", "what are my options"}},
	{id: cmdOperator, phrases: []string{"operator", "reception", "talk to a person", "speak to a person", "talk to a human",
		"speak to someone", "talk to someone", "a real person", "representative", "human"}},
	{id: cmdStartOver, phrases: []string{"start over", "start again", "main menu", "go back to the start", "begin again"}},
	{id: cmdGoodbye, phrases: []string{"goodbye", "good bye", "bye", "bye bye", "hang up", "that is all", "thats all",
		"nothing else", "no thank you goodbye", "thank you goodbye", "thanks bye"}},
}

// commandWords are the commands' phrases, read once.
var commandWords = func() (out []spokenCommand) {
	for _, c := range commands {
		for _, p := range c.phrases {
			out = append(out, spokenCommand{c.id, tokens(p)})
		}
	}
	return out
}()

type spokenCommand struct {
	id    string
	words []string
}

// universal finds a command. exact says that it was said word for word.
func universal(said []string) (cmd string, exact bool) {
	for _, c := range commandWords {
		if slices.Equal(said, c.words) {
			return c.id, true
		}
	}
	if len(said) > 8 {
		return "", false
	}
	ids, _ := match(said, commands)
	if len(ids) != 1 {
		return "", false
	}
	return ids[0], false
}

var (
	yesWords = phrases(`yes; yeah; yep; yup; sure; correct; right; ok; okay; that is right; thats right; that is correct;
		thats correct; of course; certainly; absolutely; please do; yes please; go ahead; fine; perfect; it is; exactly`)
	noWords = phrases(`no; nope; nah; no thanks; no thank you; wrong; that is wrong; thats wrong; not right; incorrect;
		that is not right; dont; do not; never mind; neither; none; none of them; not that; another; something else`)
)

func phrases(s string) [][]string {
	var out [][]string
	for p := range strings.SplitSeq(s, ";") {
		out = append(out, tokens(p))
	}
	return out
}

// yesOrNo reads agreement: nil when there is none, or both.
func yesOrNo(said []string) *bool {
	longest := func(ps [][]string) int {
		n := 0
		for _, p := range ps {
			if contains(said, p) {
				n = max(n, len(p))
			}
		}
		return n
	}
	y, n := longest(yesWords), longest(noWords)
	if y == n {
		return nil
	}
	yes := y > n
	return &yes
}
