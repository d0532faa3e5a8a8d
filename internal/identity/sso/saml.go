package sso

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/crewjam/saml"
	xrv "github.com/mattermost/xml-roundtrip-validator"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	samlPath      = "/auth/saml/"
	certificate   = 10 * 365 * 24 * time.Hour
	keyBits       = 3072           // 128 bits of strength (NIST SP 800-57 part 1, table 2)
	metadataFor   = 24 * time.Hour // until metadata with a URL is read again
	maxMetadata   = 200_000
	maxAssertions = 256 << 10 // a form with one response
)

func (s *Service) entityID(id string) string { return s.public(samlPath + id + "/metadata") }
func (s *Service) acsURL(id string) string   { return s.public(samlPath + id + "/acs") }

func (s *Service) applySAML(ctx context.Context, c *connection, in SSOConnectionChange) error {
	if in.SAML != nil {
		p := *in.SAML
		if c.SAML != nil && p.MetadataURL != "" && p.MetadataURL == c.SAML.MetadataURL && p.Metadata == "" {
			p.Metadata = c.SAML.Metadata
		} else {
			c.FetchedAt = 0
		}
		c.SAML = &p
	}
	if c.SAML == nil || c.SAML.MetadataURL == "" && strings.TrimSpace(c.SAML.Metadata) == "" {
		return fault.Field("body.saml", "give the identity provider's metadata as a URL or as a document")
	}
	if c.SAML.MetadataURL != "" {
		if err := s.checkSetting("body.saml.metadataUrl", c.SAML.MetadataURL); err != nil {
			return err
		}
		if c.FetchedAt == 0 {
			if err := s.fetchMetadata(ctx, c); err != nil {
				return err
			}
		}
	}
	idp, err := s.parseMetadata([]byte(c.SAML.Metadata))
	if err != nil {
		return fault.Field("body.saml.metadata", "the metadata cannot be used: %v", err)
	}
	c.SAML.EntityID = idp.EntityID
	return nil
}

func (s *Service) fetchMetadata(ctx context.Context, c *connection) error {
	raw, err := s.fetch(ctx, c.SAML.MetadataURL)
	if err != nil {
		return fault.Wrap(fault.Upstream, err, "the metadata could not be read from %s; check the URL or give the document itself", c.SAML.MetadataURL)
	}
	idp, err := s.parseMetadata(raw)
	if err != nil {
		return fault.Field("body.saml.metadataUrl", "the metadata at this URL cannot be used: %v", err)
	}
	c.SAML.Metadata, c.SAML.EntityID, c.FetchedAt = string(raw), idp.EntityID, s.cfg.Clock.Now().UnixMilli()
	return nil
}

// parseMetadata reads a provider's metadata (SAML Metadata sections 2.3 and 2.4), alone or in a list of one.
func (s *Service) parseMetadata(raw []byte) (*saml.EntityDescriptor, error) {
	if len(raw) > maxMetadata {
		return nil, fmt.Errorf("it is longer than %d bytes", maxMetadata)
	}
	if err := xrv.Validate(bytes.NewReader(raw)); err != nil {
		return nil, errors.New("it is no well-formed XML")
	}
	var list struct {
		XMLName  xml.Name
		Entities []saml.EntityDescriptor `xml:"urn:oasis:names:tc:SAML:2.0:metadata EntityDescriptor"`
	}
	entity := &saml.EntityDescriptor{}
	if err := xml.Unmarshal(raw, entity); err != nil {
		if xml.Unmarshal(raw, &list) != nil || list.XMLName.Local != "EntitiesDescriptor" {
			return nil, errors.New("it is no SAML metadata")
		}
		if len(list.Entities) != 1 {
			return nil, fmt.Errorf("it lists %d entities; give the metadata of the one identity provider", len(list.Entities))
		}
		entity = &list.Entities[0]
	}
	if entity.EntityID == "" || len(entity.IDPSSODescriptors) == 0 {
		return nil, errors.New("it describes no identity provider")
	}
	certificates := 0
	for _, d := range entity.IDPSSODescriptors {
		for _, k := range d.KeyDescriptors {
			if k.Use == "" || k.Use == "signing" {
				certificates += len(k.KeyInfo.X509Data.X509Certificates)
				for _, data := range k.KeyInfo.X509Data.X509Certificates {
					if cert, err := parseCertificate(data.Data); err != nil {
						return nil, errors.New("a certificate in it cannot be read")
					} else if err := s.cfg.Strength.Key(cert.PublicKey); err != nil {
						return nil, fmt.Errorf("the identity provider's certificate is not taken: %w", err)
					}
				}
			}
		}
	}
	if certificates == 0 {
		return nil, errors.New("it has no certificate to verify signatures with")
	}
	to := (&saml.ServiceProvider{IDPMetadata: entity}).GetSSOBindingLocation(saml.HTTPRedirectBinding)
	u, err := url.Parse(to)
	if err == nil && to == "" {
		err = errors.New("it has no single sign-on service with the HTTP-Redirect binding; switch that on at the identity provider")
	} else if err == nil {
		err = checkURL(u, s.cfg.PrivateNetworks)
	}
	return entity, err
}

// makeKeyPair makes the key that signs our requests, with a certificate that carries its public half.
func (s *Service) makeKeyPair(c *connection) error {
	key, err := rsa.GenerateKey(s.cfg.Random, keyBits)
	if err != nil {
		return err
	}
	now := s.cfg.Clock.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixMilli()), Subject: pkix.Name{CommonName: s.entityID(c.row.ID)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificate), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if len(template.Subject.CommonName) > 64 { // RFC 5280 appendix A.1, ub-common-name
		template.Subject.CommonName = "parley"
	}
	der, err := x509.CreateCertificate(s.cfg.Random, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	c.secret = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	c.Certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return nil
}

// serviceProvider makes the library's view of a connection.
func (s *Service) serviceProvider(c *connection) (*saml.ServiceProvider, error) {
	keyBlock, _ := pem.Decode([]byte(c.secret))
	certBlock, _ := pem.Decode([]byte(c.Certificate))
	if keyBlock == nil || certBlock == nil {
		return nil, errors.New("sso: a connection has lost its key pair")
	}
	key, err := x509.ParsePKCS1PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, fmt.Errorf("key of connection %s: %w", c.row.ID, err)
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate of connection %s: %w", c.row.ID, err)
	}
	idp, err := s.parseMetadata([]byte(c.SAML.Metadata))
	if err != nil {
		return nil, fmt.Errorf("metadata of connection %s: %w", c.row.ID, err)
	}
	metadata, err1 := url.Parse(s.entityID(c.row.ID))
	acs, err2 := url.Parse(s.acsURL(c.row.ID))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return &saml.ServiceProvider{
		EntityID: metadata.String(), Key: key, Certificate: cert, MetadataURL: *metadata, AcsURL: *acs, IDPMetadata: idp, HTTPClient: s.client,
		SignatureMethod: dsig.RSASHA256SignatureMethod, AuthnNameIDFormat: saml.UnspecifiedNameIDFormat,
	}, nil
}

// metadataOf gives our metadata for a connection. It offers what we do: the POST binding, and no encryption.
func (s *Service) metadataOf(c *connection) ([]byte, error) {
	sp, err := s.serviceProvider(c)
	if err != nil {
		return nil, err
	}
	m := sp.Metadata()
	d := &m.SPSSODescriptors[0]
	d.AssertionConsumerServices = d.AssertionConsumerServices[:1]
	keys := d.KeyDescriptors[:0]
	for _, k := range d.KeyDescriptors {
		if k.Use == "signing" {
			keys = append(keys, k)
		}
	}
	d.KeyDescriptors = keys
	out, err := xml.MarshalIndent(m, "", "  ")
	return append([]byte(xml.Header), out...), err
}

// beginSAML makes the authentication request for the HTTP-Redirect binding (SAML Bindings section 3.4).
func (s *Service) beginSAML(ctx context.Context, c *connection, relay string) (string, flowSecret, error) {
	s.refreshMetadata(ctx, c)
	sp, err := s.serviceProvider(c)
	if err != nil {
		return "", flowSecret{}, err
	}
	req, err := sp.MakeAuthenticationRequest(sp.GetSSOBindingLocation(saml.HTTPRedirectBinding), saml.HTTPRedirectBinding, saml.HTTPPostBinding)
	if err != nil {
		return "", flowSecret{}, err
	}
	id, err := s.random()
	if err != nil {
		return "", flowSecret{}, err
	}
	req.ID = "id-" + id
	req.RequestedAuthnContext = c.requested()
	to, err := req.Redirect(relay, sp)
	if err != nil {
		return "", flowSecret{}, err
	}
	return to.String(), flowSecret{RequestID: req.ID}, nil
}

// refreshMetadata reads metadata again that has a URL and is a day old. Where that fails the old stays in use.
func (s *Service) refreshMetadata(ctx context.Context, c *connection) {
	now := s.cfg.Clock.Now()
	if c.SAML.MetadataURL == "" || now.Sub(timeOf(c.FetchedAt)) < metadataFor {
		return
	}
	fresh, settings := *c, *c.SAML
	row := *c.row
	fresh.SAML, fresh.row = &settings, &row
	err := s.fetchMetadata(ctx, &fresh)
	if err == nil && fresh.SAML.EntityID != c.SAML.EntityID {
		err = errors.New("it tells of another identity provider")
	}
	if err == nil {
		err = s.store(ctx, &fresh)
	}
	if err == nil {
		err = s.cfg.DB.InTenant(ctx, row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
			return updateConnection(ctx, tx, fresh.row, c.row.Version)
		})
	}
	if err != nil {
		s.cfg.Log.WarnContext(ctx, "metadata of an identity provider was not refreshed", "connection", c.row.ID, "error", err)
		return
	}
	*c = fresh
}

// readResponse verifies a SAML response. requestID is "" for one that nobody asked for.
func (s *Service) readResponse(c *connection, encoded, requestID string) (a *saml.Assertion, err error) {
	raw, err := base64.StdEncoding.DecodeString(strings.Map(noSpace, encoded))
	if err != nil {
		return nil, errors.New("it is no base64")
	}
	if err := checkShape(raw); err != nil {
		return nil, err
	}
	sp, err := s.serviceProvider(c)
	if err != nil {
		return nil, err
	}
	var asked []string
	if requestID == "" {
		sp.AllowIDPInitiated = true // checkAssertion still demands that it answers nothing
	} else {
		asked = []string{requestID}
	}
	defer func() { // the library takes elements for granted that a hostile response leaves out
		if p := recover(); p != nil {
			a, err = nil, fmt.Errorf("it lacks a part that it must have (%v)", p)
		}
	}()
	a, err = sp.ParseXMLResponse(raw, asked, sp.AcsURL)
	if err != nil {
		var invalid *saml.InvalidResponseError
		if errors.As(err, &invalid) && invalid.PrivateErr != nil {
			err = invalid.PrivateErr // the other has the response as its text
		}
		return nil, err
	}
	return a, checkAssertion(a, sp.EntityID, sp.AcsURL.String(), requestID, s.cfg.Clock.Now())
}

func noSpace(r rune) rune {
	if r == ' ' || r == '\r' || r == '\n' || r == '\t' {
		return -1
	}
	return r
}

// Names under which providers send an address and a name: https://docs.oasis-open.org/security/saml/v2.0 (X.500/LDAP
// profile) and Microsoft's claim types.
var (
	emailAttributes = []string{"email", "mail", "emailaddress", "urn:oid:0.9.2342.19200300.100.1.3",
		"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"}
	nameAttributes = []string{"displayname", "urn:oid:2.16.840.1.113730.3.1.241", "http://schemas.microsoft.com/identity/claims/displayname",
		"name", "cn", "urn:oid:2.5.4.3"}
)

// personIn reads the attributes of an assertion.
func personIn(c *connection, a *saml.Assertion) *said {
	values := map[string][]string{}
	claims := map[string]any{}
	for _, st := range a.AttributeStatements {
		for _, attr := range st.Attributes {
			var list []string
			for _, v := range attr.Values {
				list = append(list, strings.TrimSpace(v.Value))
			}
			claims[attr.Name] = list
			for _, name := range []string{attr.Name, attr.FriendlyName} {
				if key := strings.ToLower(name); key != "" {
					values[key] = append(values[key], list...)
				}
			}
		}
	}
	id := a.Subject.NameID
	claims["NameID"], claims["NameID format"] = id.Value, id.Format
	out := &said{Claims: claims, Name: firstOf(values, nameAttributes), Contexts: contextsOf(a)}
	if id.Format != string(saml.TransientNameIDFormat) {
		out.Subject = id.Value
	}
	if c.SAML.EmailAttribute != "" {
		out.Email = firstOf(values, []string{strings.ToLower(c.SAML.EmailAttribute)})
	} else if out.Email = firstOf(values, emailAttributes); out.Email == "" && strings.Contains(id.Value, "@") {
		out.Email = id.Value
	}
	if c.RoleClaim != "" {
		out.Groups = values[strings.ToLower(c.RoleClaim)]
	}
	return out
}

func firstOf(values map[string][]string, names []string) string {
	for _, n := range names {
		if v := values[n]; len(v) > 0 && v[0] != "" {
			return v[0]
		}
	}
	return ""
}

func parseCertificate(data string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(strings.Map(noSpace, data))
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
