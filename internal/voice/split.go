package voice

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxChunk   = 240 // characters given to a voice at once
	firstChunk = 24  // the first chunk may end at a comma from here on
)

// Splitter cuts a stream of text into sentences as it comes. The first chunk of an answer may end at a
// comma, so that the voice can begin early. The zero value is ready.
type Splitter struct {
	buf   strings.Builder
	begun bool
}

// Add takes a piece of text and gives the sentences it completes.
func (s *Splitter) Add(text string) (chunks []string) {
	s.buf.WriteString(text)
	rest := s.buf.String()
	for {
		n := s.boundary(rest)
		if n == 0 {
			break
		}
		if c := strings.TrimSpace(rest[:n]); c != "" {
			chunks = append(chunks, c)
			s.begun = true
		}
		rest = rest[n:]
	}
	s.buf.Reset()
	s.buf.WriteString(rest)
	return chunks
}

// Flush gives what is left.
func (s *Splitter) Flush() (chunks []string) {
	rest := strings.TrimSpace(s.buf.String())
	s.buf.Reset()
	s.begun = false
	for len(rest) > maxChunk {
		n := breakAt(rest)
		chunks = append(chunks, strings.TrimSpace(rest[:n]))
		rest = strings.TrimSpace(rest[n:])
	}
	if rest != "" {
		chunks = append(chunks, rest)
	}
	return chunks
}

// sentences cuts a whole text.
func sentences(text string) []string {
	var s Splitter
	return append(s.Add(text), s.Flush()...)
}

// boundary is the length of the first chunk of text, 0 when there is none yet.
func (s *Splitter) boundary(text string) int {
	for i, r := range text {
		end := i + utf8.RuneLen(r)
		if r == utf8.RuneError {
			end = i + 1
		}
		switch r {
		case '\n':
			return end
		case '。', '！', '？':
			return end
		case '.', '!', '?', ':', ';':
			if endsSentence(text, i, end) {
				return end
			}
		case ',', '—', '–':
			if !s.begun && i >= firstChunk && end < len(text) && text[end] == ' ' {
				return end
			}
		}
		if i >= maxChunk {
			return breakAt(text)
		}
	}
	return 0
}

// endsSentence says whether the mark at i closes a sentence: a space follows, and it is neither a decimal
// point, nor an abbreviation, nor a number in a list. Without what follows it is too early to tell.
func endsSentence(text string, i, end int) bool {
	if end >= len(text) {
		return false
	}
	next, _ := utf8.DecodeRuneInString(text[end:])
	if !unicode.IsSpace(next) {
		return false
	}
	if text[i] != '.' {
		return true
	}
	word := text[:i]
	if j := strings.LastIndexFunc(word, unicode.IsSpace); j >= 0 {
		word = word[j+1:]
	}
	if len(word) == 1 && unicode.IsLetter(rune(word[0])) && word != "I" {
		return false // an initial
	}
	switch strings.ToLower(word) {
	case "mr", "mrs", "ms", "dr", "prof", "st", "no", "vs", "approx", "dept", "e.g", "i.e", "a.m", "p.m", "ca", "bzw", "z.b", "nr":
		return false
	}
	return true
}

// breakAt is where text longer than maxChunk is broken: after its last space within, or hard.
func breakAt(text string) int {
	limit := min(maxChunk, len(text))
	if i := strings.LastIndexByte(text[:limit], ' '); i > 0 {
		return i + 1
	}
	for limit > 1 && !utf8.RuneStart(text[min(limit, len(text)-1)]) {
		limit--
	}
	return limit
}

// speakable says whether there is anything in text that a voice can say.
func speakable(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) >= 0
}

// firstPart is the first share (0 to 1) of text, to the last whole word.
func firstPart(text string, share float64) string {
	if share >= 1 {
		return text
	}
	n := int(share * float64(utf8.RuneCountInString(text)))
	end, count := 0, 0
	for i, r := range text {
		if count > n {
			break
		}
		if unicode.IsSpace(r) {
			end = i
		}
		count++
	}
	return strings.TrimSpace(text[:end])
}
