package mediastream

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the carrier's signature is HMAC-SHA1; the choice is not ours
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
)

// SignatureHeader carries the carrier's signature of a webhook.
const SignatureHeader = "X-Twilio-Signature"

// Sign computes the signature of a webhook: base64 of HMAC-SHA1, keyed by the account's auth token, over the
// full URL followed by each POST parameter's name and value, sorted by name
// (https://www.twilio.com/docs/usage/security#validating-requests).
func Sign(authToken, fullURL string, params url.Values) string {
	h := hmac.New(sha1.New, []byte(authToken))
	_, _ = io.WriteString(h, fullURL)
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		// A name that is given several times counts once for each different value.
		values := slices.Clone(params[name])
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			_, _ = io.WriteString(h, name)
			_, _ = io.WriteString(h, v)
		}
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// verifySignature checks a webhook in constant time. A JSON body is not part of the signature itself: its
// SHA-256 is, in the query parameter bodySHA256. The carrier signs the URL with its default port or
// without it; both are tried.
func verifySignature(authToken, fullURL string, form url.Values, body []byte, signature string) bool {
	if authToken == "" || signature == "" {
		return false
	}
	u, err := url.Parse(fullURL)
	if err != nil {
		return false
	}
	if want := u.Query().Get("bodySHA256"); want != "" {
		sum := sha256.Sum256(body)
		if !hmac.Equal([]byte(strings.ToLower(want)), []byte(hex.EncodeToString(sum[:]))) {
			return false
		}
		form = nil
	}
	ok := false
	for _, candidate := range portVariants(fullURL, u) {
		if hmac.Equal([]byte(Sign(authToken, candidate, form)), []byte(signature)) {
			ok = true
		}
	}
	return ok
}

// portVariants gives the URL as it is, with its scheme's port spelt out, and without a port. The rest of
// the URL is left untouched, byte for byte: escaping it again would change the signature.
func portVariants(full string, u *url.URL) []string {
	scheme, rest, found := strings.Cut(full, "://")
	if !found {
		return []string{full}
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	tail := rest[end:]
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.Port() != "" {
		return []string{full, scheme + "://" + host + tail}
	}
	port := "80"
	if scheme == "https" || scheme == "wss" {
		port = "443"
	}
	return []string{full, scheme + "://" + net.JoinHostPort(u.Hostname(), port) + tail}
}
