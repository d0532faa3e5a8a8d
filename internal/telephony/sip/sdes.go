package sip

import (
	"encoding/base64"
	"strings"

	"github.com/pion/sdp/v3"
)

// SDES, RFC 4568: the SRTP master key travels in the SDP, so it is only as secret as the signalling.

// offeredSuite is the one every phone has (RFC 4568 section 6.2.1).
const offeredSuite = "AES_CM_128_HMAC_SHA1_80"

// suites are the crypto suites we take, with the length of master key and salt together.
var suites = map[string]int{
	"AES_CM_128_HMAC_SHA1_80": 30,
	"AES_CM_128_HMAC_SHA1_32": 30,
	"AEAD_AES_128_GCM":        28, // RFC 7714 section 14.2
	"AEAD_AES_256_GCM":        44,
}

// cryptoLine is an a=crypto line that we can use.
type cryptoLine struct{ tag, suite, key string }

// pickCrypto takes the first usable a=crypto line (RFC 4568 section 5.1.2).
func pickCrypto(m *sdp.MediaDescription) (cryptoLine, bool) {
	for _, a := range m.Attributes {
		if a.Key != "crypto" {
			continue
		}
		if c, ok := parseCrypto(a.Value); ok {
			return c, true
		}
	}
	return cryptoLine{}, false
}

// parseCrypto reads "1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^20|1:4". A master key index (MKI), several keys
// and session parameters are refused: we would have to honour them.
func parseCrypto(v string) (cryptoLine, bool) {
	f := strings.Fields(v)
	if len(f) != 3 || len(f[0]) > 9 || strings.Trim(f[0], "0123456789") != "" {
		return cryptoLine{}, false
	}
	size, known := suites[f[1]]
	inline, ok := strings.CutPrefix(f[2], "inline:")
	if !known || !ok || strings.Contains(inline, ";") {
		return cryptoLine{}, false
	}
	parts := strings.Split(inline, "|")
	for _, p := range parts[1:] {
		if strings.Contains(p, ":") {
			return cryptoLine{}, false
		}
	}
	raw, err := base64.StdEncoding.DecodeString(parts[0])
	if err != nil || len(raw) != size {
		return cryptoLine{}, false
	}
	return cryptoLine{f[0], f[1], parts[0]}, true
}
