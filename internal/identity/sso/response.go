package sso

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
)

const (
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsDSig      = "http://www.w3.org/2000/09/xmldsig#"
	bearer      = "urn:oasis:names:tc:SAML:2.0:cm:bearer"

	clockSkew   = 90 * time.Second
	maxElements = 5_000
)

// transforms are the ones that SAML allows (SAML Core section 5.4.4).
var transforms = map[string]bool{
	"http://www.w3.org/2000/09/xmldsig#enveloped-signature": true,
	"http://www.w3.org/2001/10/xml-exc-c14n#":               true,
	"http://www.w3.org/2001/10/xml-exc-c14n#WithComments":   true,
}

// checkShape refuses a response that could be read in two ways, before a library verifies one reading and uses another
// (signature wrapping): one assertion, in its place, with a signature of its own; each signature covers the element it
// is in and nothing else; no id twice; no comments, instructions, entities or encrypted parts.
func checkShape(raw []byte) error {
	if err := checkTokens(raw); err != nil {
		return err
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(raw); err != nil {
		return err
	}
	root := doc.Root()
	if root == nil || root.Tag != "Response" || root.NamespaceURI() != nsProtocol {
		return errors.New("it is no SAML response")
	}
	w := &walker{ids: map[string]bool{}}
	if err := w.walk(root); err != nil {
		return err
	}
	if len(w.assertions) != 1 || w.assertions[0].Parent() != root {
		return fmt.Errorf("it has %d assertions, not one in its place", len(w.assertions))
	}
	signed := false
	for _, sig := range w.signatures {
		parent := sig.Parent()
		if parent != root && parent != w.assertions[0] {
			return errors.New("a signature is out of its place")
		}
		if err := checkSignature(sig, parent); err != nil {
			return err
		}
		signed = signed || parent == w.assertions[0]
	}
	if !signed {
		return errUnsigned
	}
	return nil
}

var errUnsigned = errors.New("the assertion is not signed")

// checkTokens looks at the text as the parser of the standard library sees it.
func checkTokens(raw []byte) error {
	d := xml.NewDecoder(bytes.NewReader(raw))
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.Comment, xml.Directive:
			return errors.New("it has a comment or a document type")
		case xml.ProcInst:
			if t.Target != "xml" {
				return errors.New("it has a processing instruction")
			}
		}
	}
}

type walker struct {
	ids        map[string]bool
	assertions []*etree.Element
	signatures []*etree.Element
	n          int
}

func (w *walker) walk(el *etree.Element) error {
	if w.n++; w.n > maxElements {
		return errors.New("it has too many elements")
	}
	for _, a := range el.Attr {
		if !strings.EqualFold(a.Key, "id") {
			continue
		}
		if w.ids[a.Value] {
			return errors.New("it has an id twice")
		}
		w.ids[a.Value] = true
	}
	switch el.Tag { // whatever the namespace: a prefix must not hide one
	case "Assertion":
		w.assertions = append(w.assertions, el)
	case "Signature":
		w.signatures = append(w.signatures, el)
	case "EncryptedAssertion", "EncryptedID", "EncryptedAttribute":
		return errors.New("it is encrypted, which is not supported; switch the encryption of assertions off at the identity provider")
	}
	for _, child := range el.ChildElements() {
		if err := w.walk(child); err != nil {
			return err
		}
	}
	return nil
}

// checkSignature demands the form of SAML Core section 5.4: one reference, to the parent, with the usual transforms, and
// algorithms that still hold.
func checkSignature(sig, parent *etree.Element) error {
	refs := sig.FindElements(".//Reference")
	if len(refs) != 1 || refs[0].Parent() == nil || refs[0].Parent().Tag != "SignedInfo" || refs[0].Parent().Parent() != sig {
		return errors.New("a signature has not one reference")
	}
	id := parent.SelectAttrValue("ID", "")
	if id == "" || refs[0].SelectAttrValue("URI", "") != "#"+id {
		return errors.New("a signature covers another element than the one it is in")
	}
	if len(sig.FindElements(".//Object")) > 0 {
		return errors.New("a signature carries content")
	}
	for _, t := range sig.FindElements(".//Transform") {
		if !transforms[t.SelectAttrValue("Algorithm", "")] {
			return errors.New("a signature transforms what it covers")
		}
	}
	for _, tag := range []string{"SignatureMethod", "DigestMethod"} {
		for _, el := range sig.FindElements(".//" + tag) {
			alg := el.SelectAttrValue("Algorithm", "")
			if !strings.Contains(alg, "sha256") && !strings.Contains(alg, "sha384") && !strings.Contains(alg, "sha512") {
				return fmt.Errorf("it is signed with %q; choose SHA-256 at the identity provider", alg)
			}
		}
	}
	return nil
}

// checkAssertion does what the library leaves to us, or leaves out where an element is missing: SAML Core sections 2.4
// and 2.5, SAML Profiles section 4.1.4.3. requestID is "" for a sign-in that began at the provider.
func checkAssertion(a *saml.Assertion, entityID, acs, requestID string, now time.Time) error {
	switch {
	case a.ID == "" || a.Subject == nil || a.Subject.NameID == nil:
		return errors.New("the assertion names nobody")
	case a.Conditions == nil || len(a.Conditions.AudienceRestrictions) == 0:
		return errors.New("the assertion does not say for whom it is")
	case len(a.AuthnStatements) == 0:
		return errors.New("the assertion does not say that anybody signed in")
	}
	for _, r := range a.Conditions.AudienceRestrictions {
		if r.Audience.Value != entityID {
			return errors.New("the assertion is for another audience")
		}
	}
	if a.Conditions.NotBefore.After(now.Add(clockSkew)) || a.IssueInstant.After(now.Add(clockSkew)) {
		return errors.New("the assertion is not valid yet; compare the clocks")
	}
	if !a.Conditions.NotOnOrAfter.After(now.Add(-clockSkew)) {
		return errors.New("the assertion has expired")
	}
	for _, st := range a.AuthnStatements {
		if st.SessionNotOnOrAfter != nil && !st.SessionNotOnOrAfter.After(now.Add(-clockSkew)) {
			return errors.New("the session at the identity provider has expired")
		}
	}
	return checkConfirmation(a, acs, requestID, now)
}

func checkConfirmation(a *saml.Assertion, acs, requestID string, now time.Time) error {
	problem := errors.New("the assertion is not confirmed for its bearer")
	for _, c := range a.Subject.SubjectConfirmations {
		d := c.SubjectConfirmationData
		switch {
		case c.Method != bearer || d == nil:
		case d.Recipient != acs:
			problem = errors.New("the assertion is for another recipient")
		case d.InResponseTo != requestID:
			problem = errors.New("the assertion answers another request")
		case !d.NotOnOrAfter.After(now.Add(-clockSkew)):
			problem = errors.New("the assertion has expired")
		case d.NotBefore.After(now.Add(clockSkew)):
			problem = errors.New("the assertion is not valid yet; compare the clocks")
		default:
			return nil
		}
	}
	return problem
}
