package donotcall

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
)

const (
	writtenMost = 64 // characters of a number as people write it
	digitsLeast = 7
	digitsMost  = 15 // ITU-T E.164
)

// Parse reads a number as people and registers write it, and gives it in E.164. country is where numbers without a country
// code are. ok is false for what is no number. It is quick for what is written plainly: registers have millions.
func Parse(text, country string) (number string, ok bool) {
	text = strings.TrimSpace(text)
	if len(text) < digitsLeast || len(text) > writtenMost {
		return "", false
	}
	digits := onlyDigits(text)
	switch {
	case digits == "":
	case (country == "US" || country == "CA") && len(digits) == 10 && text[0] != '+':
		if digits[0] < '2' || digits[3] < '2' { // no area code and no exchange begins with 0 or 1
			return "", false
		}
		return "+1" + digits, true
	case (country == "US" || country == "CA") && len(digits) == 11 && digits[0] == '1':
		return "+" + digits, digits[1] >= '2'
	}
	p, err := phonenumbers.Parse(text, country)
	if err != nil || p.GetExtension() != "" || !phonenumbers.IsPossibleNumber(p) {
		return "", false
	}
	out := phonenumbers.Format(p, phonenumbers.E164)
	return out, len(out) > digitsLeast && len(out) <= digitsMost+1 && out[1] != '0'
}

// onlyDigits gives the digits of a number that has nothing else but what people put between them; "" for another.
func onlyDigits(s string) string {
	plain := true
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
		case c == '+' && i == 0, c == ' ', c == '-', c == '.', c == '(', c == ')', c == '/':
			plain = false
		default:
			return ""
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// masked is a number as the audit trail shows it, which outlives an erasure.
func masked(number string) string {
	if len(number) < 8 {
		return "…"
	}
	return number[:4] + strings.Repeat("•", len(number)-6) + number[len(number)-2:]
}
