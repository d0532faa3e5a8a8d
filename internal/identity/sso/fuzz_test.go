package sso

import (
	"testing"
	"time"

	"github.com/crewjam/saml"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// FuzzResponse: a response is refused, or has the one shape that may be verified.
func FuzzResponse(f *testing.F) {
	const sig = `<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo><ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/>` +
		`<ds:Reference URI="#a"><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/></ds:Reference></ds:SignedInfo></ds:Signature>`
	for _, s := range []string{
		`<p:Response xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" ID="r"><Assertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion" ID="a">` + sig + `</Assertion></p:Response>`,
		`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, `<a><!-- --></a>`, `<Response ID="x" Id="x"/>`, `<a`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, raw []byte) { _ = checkShape(raw) })
}

// FuzzMetadata: metadata is refused, or has what a sign-in needs.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte(`<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="x"><IDPSSODescriptor/></EntityDescriptor>`))
	f.Add([]byte(`<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata"><EntityDescriptor entityID="x"/></EntitiesDescriptor>`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if m, err := (&Service{}).parseMetadata(raw); err == nil && (m.EntityID == "" || len(m.IDPSSODescriptors) == 0) {
			t.Fatalf("%+v", m)
		}
	})
}

// An assertion that lacks parts is refused, not fallen over.
func TestCheckAssertionOfNothing(t *testing.T) {
	now := time.Now()
	for _, a := range []*saml.Assertion{
		{}, {ID: "a"}, {ID: "a", Subject: &saml.Subject{NameID: &saml.NameID{}}},
		{ID: "a", Subject: &saml.Subject{NameID: &saml.NameID{}, SubjectConfirmations: []saml.SubjectConfirmation{{Method: bearer}}},
			Conditions:      &saml.Conditions{NotOnOrAfter: now.Add(time.Hour), AudienceRestrictions: []saml.AudienceRestriction{{Audience: saml.Audience{Value: "e"}}}},
			AuthnStatements: []saml.AuthnStatement{{}}},
	} {
		if err := checkAssertion(a, "e", "acs", "r", now); err == nil || fault.CodeOf(err) != fault.Internal {
			t.Errorf("%+v: %v", a, err)
		}
	}
}
