package sso_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml/samlidp"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/identity/sso"
)

// samlProvider is crewjam's samlidp, a provider that nobody here wrote.
type samlProvider struct {
	t    *testing.T
	web  *httptest.Server
	key  *rsa.PrivateKey
	cert *x509.Certificate
	idp  *samlidp.Server
	// people keep their sessions at the provider, as its hashing of passwords is slow.
	people map[string]*http.Client
}

type pair struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

// Keys take long to make, so all providers have one, and strangers another.
var (
	providerKeys = sync.OnceValue(func() pair { return keyPair("provider") })
	otherKeys    = sync.OnceValue(func() pair { return keyPair("other") })
)

func keyPair(name string) pair {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return pair{key, cert}
}

func newSAMLProvider(t *testing.T) *samlProvider {
	t.Helper()
	p := &samlProvider{t: t, people: map[string]*http.Client{}}
	pair := providerKeys()
	p.key, p.cert = pair.key, pair.cert
	mux := http.NewServeMux()
	p.web = httptest.NewServer(mux)
	t.Cleanup(p.web.Close)
	at, _ := url.Parse(p.web.URL)
	idp, err := samlidp.New(samlidp.Options{URL: *at, Key: p.key, Certificate: p.cert, Store: &samlidp.MemoryStore{}, Logger: log.New(io.Discard, "", 0)})
	if err != nil {
		t.Fatal(err)
	}
	idp.IDP.SignatureMethod = dsig.RSASHA256SignatureMethod
	mux.Handle("/", idp)
	p.idp = idp
	return p
}

func (p *samlProvider) put(path string, body []byte) {
	p.t.Helper()
	req, err := http.NewRequest(http.MethodPut, p.web.URL+path, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode >= 300 {
		p.t.Fatalf("PUT %s: %s", path, res.Status)
	}
}

// knows tells the provider of a connection, by its metadata.
func (p *samlProvider) knows(r *rig, c sso.SSOConnection) {
	p.t.Helper()
	_, _, metadata := r.browser().open(c.Here.EntityID)
	if strings.Contains(metadata, "Artifact") || strings.Contains(metadata, "encryption") || !strings.Contains(metadata, c.Here.ACSURL) {
		p.t.Fatalf("metadata offers what we do not do: %s", metadata)
	}
	p.put("/services/"+c.ID, []byte(metadata))
}

func (p *samlProvider) user(email string, groups ...string) {
	p.t.Helper()
	b, err := json.Marshal(map[string]any{"name": email, "password": "secret", "email": email, "common_name": "Ben Bell", "groups": groups})
	if err != nil {
		p.t.Fatal(err)
	}
	p.put("/users/"+email, b)
}

func (p *samlProvider) connection() sso.NewSSOConnection {
	return sso.NewSSOConnection{
		Protocol: sso.SAML, Enabled: true, JustInTime: true, DefaultRole: identity.RoleViewer, RoleClaim: "eduPersonAffiliation",
		SAML:  &sso.SAMLProvider{MetadataURL: p.web.URL + "/metadata"},
		Roles: []identity.RoleRule{{Group: "Staff", Role: identity.RoleAgent}},
	}
}

var hidden = regexp.MustCompile(`name="(\w+)"\s+value="([^"]*)"`)

func fields(body string) url.Values {
	out := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(body, -1) {
		out.Set(m[1], html.UnescapeString(m[2]))
	}
	return out
}

// answer signs somebody in at the provider and gives the form that it has the browser post.
func (p *samlProvider) answer(to, email string) url.Values {
	p.t.Helper()
	person := p.people[email]
	if person == nil {
		jar, err := cookiejar.New(nil)
		if err != nil {
			p.t.Fatal(err)
		}
		person = &http.Client{Jar: jar}
		p.people[email] = person
	}
	page := func(res *http.Response, err error) url.Values {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			p.t.Fatalf("the provider answered %s: %s", res.Status, text)
		}
		return fields(string(text))
	}
	form := page(person.Get(to))
	if form.Get("SAMLResponse") == "" {
		form.Set("user", email)
		form.Set("password", "secret")
		form = page(person.PostForm(p.web.URL+"/sso", form))
	}
	if form.Get("SAMLResponse") == "" {
		p.t.Fatalf("the provider did not answer: %v", form)
	}
	return form
}

// post sends a form as the provider's page does: from another site, so without our Lax cookie.
func (b *browser) post(to string, form url.Values) (status int, path, body string) {
	b.r.t.Helper()
	bare := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := bare.PostForm(to, form)
	if err != nil {
		b.r.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b.Jar.SetCookies(b.home(), res.Cookies())
	if res.StatusCode == http.StatusSeeOther {
		next, err := b.home().Parse(res.Header.Get("Location"))
		if err != nil {
			b.r.t.Fatal(err)
		}
		return b.open(next.String())
	}
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, res.Request.URL.Path, string(text)
}

func TestSAMLSignsIn(t *testing.T) {
	each(t, func(r *rig) {
		p := newSAMLProvider(t)
		c := r.connect(r.owner, p.connection(), "corp.example")
		p.knows(r, c)
		p.user("ben@corp.example", "Staff")
		b := r.browser()
		form := p.answer(b.start("ben@corp.example"), "ben@corp.example")
		who := b.wantIn(b.post(c.Here.ACSURL, form))
		if m := r.member(r.owner, who.UserID); who.Role != identity.RoleAgent || m.Name != "Ben Bell" || m.Email != "ben@corp.example" {
			t.Fatalf("signed in as %+v, %+v", who, m)
		}
		thief := r.browser()
		thief.wantOut("begin again")(thief.post(c.Here.ACSURL, form)) // replayed
	})
}

// What was said waits for the browser that began: posted elsewhere it signs nobody in.
func TestSAMLBindsTheBrowser(t *testing.T) {
	each(t, func(r *rig) {
		p := newSAMLProvider(t)
		c := r.connect(r.owner, p.connection(), "corp.example")
		p.knows(r, c)
		p.user("eve@corp.example")
		eve, victim := r.browser(), r.browser()
		victim.start("ben@corp.example")
		form := p.answer(eve.start("eve@corp.example"), "eve@corp.example")
		victim.wantOut("another browser")(victim.post(c.Here.ACSURL, form))
	})
}

// alter changes a response and signs its assertion again with key.
func alter(t *testing.T, form url.Values, key *rsa.PrivateKey, cert *x509.Certificate, change func(response, assertion *etree.Element)) url.Values {
	t.Helper()
	return rewrite(t, form, func(doc *etree.Document) {
		response := doc.Root()
		response.RemoveChild(child(response, "Signature"))
		a := child(response, "Assertion")
		at := a.Index()
		a.RemoveChild(child(a, "Signature"))
		change(response, a)
		if key == nil {
			return
		}
		response.RemoveChild(a)
		ctx := dsig.NewDefaultSigningContext(dsig.TLSCertKeyStore(tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}))
		ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
		if err := ctx.SetSignatureMethod(dsig.RSASHA256SignatureMethod); err != nil {
			t.Fatal(err)
		}
		signed, err := ctx.SignEnveloped(a)
		if err != nil {
			t.Fatal(err)
		}
		// The signature comes after the issuer (SAML Core section 2.3.3).
		sig := signed.Child[len(signed.Child)-1]
		signed.RemoveChildAt(len(signed.Child) - 1)
		signed.InsertChildAt(1, sig)
		response.InsertChildAt(at, signed)
	})
}

func rewrite(t *testing.T, form url.Values, change func(doc *etree.Document)) url.Values {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(form.Get("SAMLResponse"))
	if err != nil {
		t.Fatal(err)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(raw); err != nil {
		t.Fatal(err)
	}
	change(doc)
	out, err := doc.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	return url.Values{"RelayState": {form.Get("RelayState")}, "SAMLResponse": {base64.StdEncoding.EncodeToString(out)}}
}

func child(el *etree.Element, tag string) *etree.Element {
	for _, c := range el.ChildElements() {
		if c.Tag == tag {
			return c
		}
	}
	return nil
}

func TestSAMLRefuses(t *testing.T) {
	each(t, func(r *rig) {
		p := newSAMLProvider(t)
		c := r.connect(r.owner, p.connection(), "corp.example")
		p.knows(r, c)
		p.user("ben@corp.example")
		other := otherKeys()
		attr := func(path, name, value string) func(_, a *etree.Element) {
			return func(_, a *etree.Element) { a.FindElement(path).CreateAttr(name, value) }
		}
		past := time.Now().Add(-10 * time.Minute).UTC().Format("2006-01-02T15:04:05.999Z07:00")
		future := time.Now().Add(10 * time.Minute).UTC().Format("2006-01-02T15:04:05.999Z07:00")
		remove := func(path string) func(_, a *etree.Element) {
			return func(_, a *etree.Element) {
				el := a.FindElement(path)
				el.Parent().RemoveChild(el)
			}
		}
		for _, x := range []struct {
			name   string
			key    *rsa.PrivateKey
			cert   *x509.Certificate
			change func(response, a *etree.Element)
		}{
			{"unsigned", nil, nil, func(_, _ *etree.Element) {}},
			{"signed by another key", other.key, other.cert, func(_, _ *etree.Element) {}},
			{"wrong audience", p.key, p.cert, func(_, a *etree.Element) { a.FindElement(".//Audience").SetText("https://other.example") }},
			{"no audience", p.key, p.cert, remove(".//AudienceRestriction")},
			{"no conditions", p.key, p.cert, remove("./Conditions")},
			{"no subject", p.key, p.cert, remove("./Subject")},
			{"no confirmation", p.key, p.cert, remove(".//SubjectConfirmation")},
			{"no confirmation data", p.key, p.cert, remove(".//SubjectConfirmationData")},
			{"holder of key only", p.key, p.cert, attr(".//SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key")},
			{"wrong recipient", p.key, p.cert, attr(".//SubjectConfirmationData", "Recipient", "https://other.example/acs")},
			{"answers another request", p.key, p.cert, attr(".//SubjectConfirmationData", "InResponseTo", "id-other")},
			{"expired", p.key, p.cert, attr(".//SubjectConfirmationData", "NotOnOrAfter", past)},
			{"conditions expired", p.key, p.cert, attr("./Conditions", "NotOnOrAfter", past)},
			{"not yet valid", p.key, p.cert, attr("./Conditions", "NotBefore", future)},
			{"issued long ago", p.key, p.cert, func(_, a *etree.Element) { a.CreateAttr("IssueInstant", past) }},
			{"another issuer", p.key, p.cert, func(_, a *etree.Element) { child(a, "Issuer").SetText("https://other.example") }},
			{"nobody signed in", p.key, p.cert, remove("./AuthnStatement")},
			{"a failure", p.key, p.cert, func(resp, _ *etree.Element) {
				resp.FindElement(".//StatusCode").CreateAttr("Value", "urn:oasis:names:tc:SAML:2.0:status:Responder")
			}},
			{"another destination", p.key, p.cert, func(resp, _ *etree.Element) { resp.CreateAttr("Destination", "https://other.example/acs") }},
		} {
			b := r.browser()
			form := p.answer(b.start("ben@corp.example"), "ben@corp.example")
			status, path, body := b.post(c.Here.ACSURL, alter(t, form, x.key, x.cert, x.change))
			if _, in := b.who(); in || status != http.StatusForbidden || strings.Contains(body, "corp.example") {
				t.Errorf("%s: signed in %v, %d at %s: %s", x.name, in, status, path, textOf(body))
			}
		}
		p.idp.IDP.SignatureMethod = "" // its default is SHA-1
		b := r.browser()
		b.wantOut("not valid")(b.post(c.Here.ACSURL, p.answer(b.start("ben@corp.example"), "ben@corp.example")))
		p.idp.IDP.SignatureMethod = dsig.RSASHA256SignatureMethod
		// What alter makes of a good response is good: the refusals above are for what was changed.
		b = r.browser()
		form := p.answer(b.start("ben@corp.example"), "ben@corp.example")
		b.wantIn(b.post(c.Here.ACSURL, alter(t, form, p.key, p.cert, func(_, _ *etree.Element) {})))
	})
}

// Signature wrapping: the signed assertion is moved, and a forged one is put where it is read
// (https://www.usenix.org/conference/usenixsecurity12/technical-sessions/presentation/somorovsky).
func TestSAMLRefusesWrappedSignatures(t *testing.T) {
	each(t, func(r *rig) {
		p := newSAMLProvider(t)
		c := r.connect(r.owner, p.connection(), "corp.example")
		p.knows(r, c)
		p.user("eve@corp.example")
		forged := func(a *etree.Element) *etree.Element {
			f := a.Copy()
			f.RemoveChild(child(f, "Signature"))
			f.CreateAttr("ID", "id-forged")
			for _, v := range f.FindElements(".//AttributeValue") {
				v.SetText(strings.ReplaceAll(v.Text(), "eve@", "ben@"))
			}
			return f
		}
		for name, wrap := range map[string]func(doc *etree.Document){
			"before the signed one": func(doc *etree.Document) {
				a := child(doc.Root(), "Assertion")
				doc.Root().InsertChildAt(a.Index(), forged(a))
			},
			"after the signed one": func(doc *etree.Document) { doc.Root().AddChild(forged(child(doc.Root(), "Assertion"))) },
			"the signed one in extensions": func(doc *etree.Document) {
				a := child(doc.Root(), "Assertion")
				f := forged(a)
				doc.Root().RemoveChild(a)
				doc.Root().CreateElement("samlp:Extensions").AddChild(a)
				doc.Root().AddChild(f)
			},
			"the signed one in the forged one's signature": func(doc *etree.Document) {
				a := child(doc.Root(), "Assertion")
				f := forged(a)
				sig := child(a, "Signature").Copy()
				doc.Root().RemoveChild(a)
				sig.CreateElement("ds:Object").AddChild(a)
				f.InsertChildAt(1, sig)
				doc.Root().AddChild(f)
			},
			"the forged one has the signed one's id": func(doc *etree.Document) {
				a := child(doc.Root(), "Assertion")
				f := forged(a)
				f.CreateAttr("ID", a.SelectAttrValue("ID", ""))
				f.InsertChildAt(1, child(a, "Signature").Copy())
				doc.Root().AddChild(f)
			},
			"the whole response within another": func(doc *etree.Document) {
				old := doc.Root().Copy()
				a := child(doc.Root(), "Assertion")
				f := forged(a)
				doc.Root().RemoveChild(a)
				doc.Root().AddChild(f)
				doc.Root().CreateElement("samlp:Extensions").AddChild(old)
			},
			"a comment in the address": func(doc *etree.Document) { // canonicalisation leaves comments out
				el := doc.FindElement("//NameID")
				text := el.Text()
				el.SetText(text[:3])
				el.CreateComment("x")
				el.CreateText(text[3:])
			},
			"an attribute changed": func(doc *etree.Document) {
				for _, v := range doc.FindElements("//AttributeValue") {
					v.SetText(strings.ReplaceAll(v.Text(), "eve@", "ben@"))
				}
			},
		} {
			b := r.browser()
			form := p.answer(b.start("eve@corp.example"), "eve@corp.example")
			status, path, body := b.post(c.Here.ACSURL, rewrite(t, form, wrap))
			if who, in := b.who(); in || status != http.StatusForbidden {
				t.Errorf("%s: signed in as %+v, %d at %s: %s", name, who, status, path, textOf(body))
			}
		}
	})
}

// A response for one connection does not count at another's address, and one that nobody asked for only where that is
// allowed, once, and when it answers nothing.
func TestSAMLUnaskedAndMisdirected(t *testing.T) {
	each(t, func(r *rig) {
		p := newSAMLProvider(t)
		in := p.connection()
		c := r.connect(r.owner, in, "corp.example")
		p.knows(r, c)
		in.Name = "Second"
		second := r.connect(r.owner, in, "second.example")
		p.user("ben@corp.example")
		b := r.browser()
		form := p.answer(b.start("ben@corp.example"), "ben@corp.example")
		b.wantOut("begin again")(b.post(second.Here.ACSURL, form))

		unasked := func(f url.Values) url.Values {
			out := alter(t, f, p.key, p.cert, func(resp, a *etree.Element) {
				resp.RemoveAttr("InResponseTo")
				a.FindElement(".//SubjectConfirmationData").RemoveAttr("InResponseTo")
			})
			out.Set("RelayState", "/calls")
			return out
		}
		b.wantOut("begin again")(b.post(c.Here.ACSURL, unasked(form)))
		allowed := &sso.SAMLProvider{MetadataURL: p.web.URL + "/metadata", IDPInitiated: true}
		if _, err := r.sso.UpdateConnection(r.as(r.owner), r.owner.OrgID, c.ID, sso.SSOConnectionChange{SAML: allowed}); err != nil {
			t.Fatal(err)
		}
		stolen := url.Values{"SAMLResponse": form["SAMLResponse"], "RelayState": {"/calls"}}
		b.wantOut("not valid")(b.post(c.Here.ACSURL, stolen)) // it answers somebody's request
		out := unasked(form)
		status, path, page := b.post(c.Here.ACSURL, out)
		thief := r.browser() // the link is of use to the browser that was asked only
		thief.wantOut("another browser")(thief.open(b.r.web.URL + html.UnescapeString(signInLink.FindStringSubmatch(page)[1])))
		b.wantIn(b.press(status, path, page))
		again := r.browser()
		again.wantOut("used before")(again.post(c.Here.ACSURL, out))
	})
}

func TestSAMLMetadataIsJudged(t *testing.T) {
	each(t, func(r *rig) {
		p := newSAMLProvider(t)
		_, _, good := r.browser().open(p.web.URL + "/metadata")
		for name, doc := range map[string]string{
			"empty": "", "no XML": "hello", "other XML": "<a/>", "no certificate": regexp.MustCompile(`(?s)<KeyDescriptor.*?</KeyDescriptor>`).ReplaceAllString(good, ""),
			"no redirect binding": strings.ReplaceAll(good, "HTTP-Redirect", "HTTP-POST"), "not https": strings.ReplaceAll(good, p.web.URL+"/sso", "http://login.example/sso"),
			"a script": strings.ReplaceAll(good, p.web.URL+"/sso", "javascript:alert(1)"), "too long": good + strings.Repeat(" ", 200_001),
		} {
			in := p.connection()
			in.SAML = &sso.SAMLProvider{Metadata: doc}
			if _, err := r.sso.CreateConnection(r.as(r.owner), r.owner.OrgID, in); err == nil {
				t.Errorf("%s: taken", name)
			} else {
				wantCode(t, err, "invalid")
			}
		}
		in := p.connection()
		in.Name, in.SAML = "By document", &sso.SAMLProvider{Metadata: good}
		if c, err := r.sso.CreateConnection(r.as(r.owner), r.owner.OrgID, in); err != nil || c.SAML.EntityID != p.web.URL+"/metadata" {
			t.Fatalf("%+v, %v", c, err)
		}
	})
}
