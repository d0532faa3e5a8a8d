package compliance

import (
	"strings"
	"unicode"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	needleDigits = 7 // the end of a number, as the database looks for it before Go compares
	maxSubject   = 254
)

// subject is a person as others know them: a telephone number or an address with an @.
type subject string

// newSubject reads what somebody typed.
func newSubject(location, s string) (subject, error) {
	n := normal(s)
	digits := strings.TrimPrefix(n, "+")
	isNumber := digits != "" && strings.Trim(digits, "0123456789") == ""
	local, host, at := strings.Cut(n, "@")
	if len(s) > maxSubject || !(isNumber && len(digits) >= 5 || at && local != "" && host != "") {
		return "", fault.Field(location, "give a telephone number with its country code, such as +49 30 123456, or an address such as anna@example.com")
	}
	return subject(n), nil
}

// normal makes the forms of one address equal: sip:+49-30-123456@192.0.2.1;user=phone and 004930123456 are +4930123456,
// Anna@Example.com is anna@example.com.
func normal(address string) string {
	s := strings.ToLower(strings.TrimSpace(address))
	if i, j := strings.IndexByte(s, '<'), strings.LastIndexByte(s, '>'); i >= 0 && j > i {
		s = s[i+1 : j] // a name before it: RFC 3261 section 20.10
	}
	for _, scheme := range []string{"sip:", "sips:", "tel:", "mailto:"} {
		s = strings.TrimPrefix(s, scheme)
	}
	if i := strings.IndexAny(s, ";?"); i >= 0 {
		s = s[:i]
	}
	user, _, _ := strings.Cut(s, "@")
	if number := numberOf(user); number != "" {
		return number
	}
	return s
}

// numberOf gives a telephone number's digits, with + where it has its country code; "" when s is no number.
func numberOf(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case unicode.IsDigit(r) && r < unicode.MaxASCII:
			b.WriteRune(r)
		case r == '+' && i == 0:
			b.WriteByte('+')
		case strings.ContainsRune(" -.()/", r):
		default:
			return ""
		}
	}
	n := b.String()
	if len(strings.TrimPrefix(n, "+")) < 5 { // an extension such as 101 is no person
		return ""
	}
	if rest, ok := strings.CutPrefix(n, "00"); ok {
		return "+" + rest
	}
	return n
}

// match reports whether an address is the person's.
func (s subject) match(address string) bool { return normal(address) == string(s) }

// needle is a part that every form of the address has, for a first look by the database. Separators within a number are
// possible where somebody typed it, so it is short.
func (s subject) needle() string {
	digits := strings.TrimPrefix(string(s), "+")
	if strings.Contains(digits, "@") {
		return digits
	}
	return digits[max(0, len(digits)-needleDigits):]
}
