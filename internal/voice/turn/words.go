package turn

import (
	"strings"
	"time"
	"unicode"
)

// Backchannels are the words by which a listener says "go on", by primary language subtag. Alone they do
// not interrupt; as the answer to a question they count like any other.
func Backchannels(language string) map[string]bool {
	lang, _, _ := strings.Cut(strings.ToLower(language), "-")
	words, ok := map[string]string{
		"en": "uh-huh uhhuh mm mhm mm-hmm mmhmm hmm hm uh um ah oh aha okay ok yeah yep yes yup right sure i see got it great good",
		"de": "mhm hm hmm ah aha oh okay ok ja jaja jo genau gut richtig klar verstehe ach so",
		"fr": "mm mhm hm ah oh oui ouais ok okay bien d'accord voilà je vois",
		"es": "mm mhm ajá ah oh sí si vale ok okay bueno claro ya entiendo",
		"it": "mm mhm ah oh sì si ok okay va bene certo capisco",
		"nl": "mm mhm hm ah oh ja ok okay goed precies juist",
		"pt": "mm mhm ah oh sim ok okay certo tá bom entendo",
	}[lang]
	if !ok {
		words = "mm mhm hm hmm ah oh ok okay"
	}
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

// isBackchannel says that text is nothing but a few words of the listener's.
func isBackchannel(set map[string]bool, text string) bool {
	words := fields(text)
	if len(words) == 0 || len(words) > 3 {
		return false
	}
	for _, w := range words {
		if !set[w] {
			return false
		}
	}
	return true
}

// fields gives the words of text in lower case, without punctuation.
func fields(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '\''
	})
}

// unfinished are words after which an English sentence goes on.
var unfinished = map[string]bool{
	"and": true, "or": true, "but": true, "the": true, "a": true, "an": true, "to": true, "my": true, "is": true,
	"of": true, "for": true, "with": true, "um": true, "uh": true, "so": true, "because": true, "at": true, "on": true,
	"in": true, "i": true, "i'd": true, "i'm": true, "it's": true,
}

// patience adjusts the silence that ends a turn by what was said so far: a finished sentence needs less, an
// open one more, and a short answer ("yes", "Tuesday") is likely to be all.
func patience(base time.Duration, partial string, spoken time.Duration) time.Duration {
	partial = strings.TrimSpace(partial)
	if partial == "" {
		return base
	}
	words := fields(partial)
	switch last := partial[len(partial)-1]; {
	case last == ',' || len(words) > 0 && unfinished[words[len(words)-1]]:
		return base * 9 / 5
	case last == '.' || last == '?' || last == '!':
		return base * 7 / 10
	case len(words) <= 2 && spoken < 800*time.Millisecond:
		return base * 8 / 10
	}
	return base
}

func join(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return a + " " + b
}
