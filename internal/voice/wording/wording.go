// Package wording prepares what a recogniser wrote for a search by phrase: the same words in one form, whatever the
// vendor made of case, accents, apostrophes and punctuation.
package wording

import (
	"strings"
	"unicode"
)

// plain is what letters with marks become. Combining marks are dropped.
var plain = map[rune]string{
	'à': "a", 'á': "a", 'â': "a", 'ã': "a", 'ä': "a", 'å': "a", 'æ': "ae", 'ç': "c", 'è': "e", 'é': "e", 'ê': "e", 'ë': "e",
	'ì': "i", 'í': "i", 'î': "i", 'ï': "i", 'ñ': "n", 'ò': "o", 'ó': "o", 'ô': "o", 'õ': "o", 'ö': "o", 'ø': "o", 'œ': "oe",
	'ù': "u", 'ú': "u", 'û': "u", 'ü': "u", 'ý': "y", 'ÿ': "y", 'ß': "ss",
	'أ': "ا", 'إ': "ا", 'آ': "ا", 'ى': "ي", 'ة': "ه", 'ـ': "",
}

// End marks the end of a sentence in what Sentences gives.
const End = "."

// Fold gives the words of text in lower case, without accents; an apostrophe or a hyphen divides words.
func Fold(text string) []string { return fold(text, false) }

// Sentences is Fold with End after each sentence and clause that punctuation ends.
func Sentences(text string) []string { return fold(text, true) }

func fold(text string, ends bool) (words []string) {
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			words = append(words, b.String())
			b.Reset()
		}
	}
	for _, r := range strings.ToLower(text) {
		switch {
		case unicode.Is(unicode.Mn, r): // accents and Arabic vowels
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			if s, ok := plain[r]; ok {
				b.WriteString(s)
			} else {
				b.WriteRune(r)
			}
		default:
			flush()
			if ends && strings.ContainsRune(".,;:!?¡¿…–—،؟؛\n", r) && len(words) > 0 && words[len(words)-1] != End {
				words = append(words, End)
			}
		}
	}
	flush()
	return words
}

// Phrases is a set of phrases to look for.
type Phrases []string

// NewPhrases folds phrases.
func NewPhrases(list ...string) Phrases {
	out := make(Phrases, len(list))
	for i, p := range list {
		out[i] = " " + strings.Join(Fold(p), " ") + " "
	}
	return out
}

// Find gives the first phrase of the set that a folded text holds as whole words.
func (p Phrases) Find(folded string) (phrase string, ok bool) {
	folded = " " + folded + " "
	for _, s := range p {
		if strings.Contains(folded, s) {
			return strings.TrimSpace(s), true
		}
	}
	return "", false
}
