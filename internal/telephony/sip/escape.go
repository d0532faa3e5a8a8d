package sip

import (
	"net/url"
	"strings"
)

// escape makes a user part of any text (RFC 3261 section 19.1.2).
func escape(user string) string {
	const plain = "-_.!~*'()&=+$,;?/" // unreserved and user-unreserved
	var b strings.Builder
	for i := range len(user) {
		c := user[i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		const hex = "0123456789ABCDEF"
		b.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return b.String()
}

// unescape reads a user part; what is not well escaped stays as it is.
func unescape(user string) string {
	if s, err := url.PathUnescape(user); err == nil {
		return s
	}
	return user
}
