package mediastream

import (
	"net/url"
	"testing"

	"github.com/twilio/twilio-go/client"
)

const (
	docsURL   = "https://mycompany.com/myapp.php?foo=1&bar=2"
	docsToken = "12345"
)

func docsParams() url.Values {
	return url.Values{
		"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675309"}, "Digits": {"1234"},
		"From": {"+14158675309"}, "To": {"+18005551212"},
	}
}

// The vectors are those of the carrier's documentation and helper libraries.
func TestSignatureVectors(t *testing.T) {
	if got := Sign(docsToken, docsURL, docsParams()); got != "RSOYDt4T1cUTdK1PDd93/VVr8B8=" {
		t.Errorf("documented example: %s", got)
	}
	more := docsParams()
	more.Set("ReasonConferenceEnded", "test")
	more.Set("Reason", "Participant")
	if got := Sign(docsToken, docsURL, more); got != "vOEb5UThFn24KEfnOFLQY2AE5FY=" {
		t.Errorf("names that are each other's prefix: %s", got)
	}
	body := []byte(`{"property": "value", "boolean": true}`)
	hash := "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
	for full, sig := range map[string]string{
		docsURL + "&bodySHA256=" + hash:                      "a9nBmqA0ju/hNViExpshrM61xv4=",
		"https://mycompany.com/myapp.php?bodySHA256=" + hash: "y77kIzt2vzLz71DgmJGsen2scGs=",
	} {
		if !verifySignature(docsToken, full, nil, body, sig) {
			t.Errorf("JSON body at %s", full)
		}
		if verifySignature(docsToken, full, nil, append(body, ' '), sig) {
			t.Errorf("changed JSON body at %s", full)
		}
	}
}

func TestSignatureRefuses(t *testing.T) {
	good := Sign(docsToken, docsURL, docsParams())
	changed := docsParams()
	changed.Set("To", "+18005551213")
	for name, ok := range map[string]bool{
		"other parameter": verifySignature(docsToken, docsURL, changed, nil, good),
		"other token":     verifySignature("54321", docsURL, docsParams(), nil, good),
		"other url":       verifySignature(docsToken, docsURL+"3", docsParams(), nil, good),
		"no signature":    verifySignature(docsToken, docsURL, docsParams(), nil, ""),
		"no token":        verifySignature("", docsURL, docsParams(), nil, Sign("", docsURL, docsParams())),
		"not a url":       verifySignature(docsToken, "https://%zz", docsParams(), nil, good),
	} {
		if ok {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The carrier's own library and ours agree, with a port and without.
func TestSignatureAgreesWithCarrierLibrary(t *testing.T) {
	peer := client.NewRequestValidator(docsToken)
	flat := map[string]string{}
	for k, v := range docsParams() {
		flat[k] = v[0]
	}
	for _, signed := range []string{
		docsURL, "https://mycompany.com:443/myapp.php?foo=1&bar=2", "https://a.example/carriers/twilio/voice",
		"http://a.example:80/x", "https://a.example/x?q=%2Fa+b",
	} {
		sig := Sign(docsToken, signed, docsParams())
		if !peer.Validate(signed, flat, sig) {
			t.Errorf("%s: the carrier's library refuses our signature", signed)
		}
		if !verifySignature(docsToken, signed, docsParams(), nil, sig) {
			t.Errorf("%s: we refuse our own signature", signed)
		}
	}
	if sig := Sign(docsToken, "https://mycompany.com:443/myapp.php?foo=1&bar=2", docsParams()); !verifySignature(docsToken, docsURL, docsParams(), nil, sig) {
		t.Error("signed with the default port, seen without")
	}
	if sig := Sign(docsToken, docsURL, docsParams()); !verifySignature(docsToken, "https://mycompany.com:8443/myapp.php?foo=1&bar=2", docsParams(), nil, sig) {
		t.Error("signed without the port, seen with it")
	}
}
