package sso

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crewjam/saml"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Strength is how well a provider must have made sure of somebody, and for how long that counts.
type Strength struct {
	SecondFactor        bool     `json:"secondFactor" doc:"The provider is asked for a second factor, and who has not proved one there is refused. Off: its own rules count, and a sign-in counts as one by a single factor"`
	FactorContexts      []string `json:"factorContexts" maxItems:"10" doc:"What is asked for and must be in the answer: values of acr (OpenID Connect) or AuthnContextClassRef (SAML). Empty: the REFEDS profile and the provider's usual ones; amr with mfa counts too"`
	LongestSessionHours int      `json:"longestSessionHours" doc:"A session begun through the provider ends after this many hours, whatever the use; 0 is 7 days"`
}

const (
	maxContexts     = 10
	longestSession  = 7 * 24 // hours
	maxContextChars = 300
)

// multiFactor are the usual names of sign-ins by more than one factor: https://refeds.org/profile/mfa, OpenID's PAPE policy,
// and Microsoft's (https://learn.microsoft.com/en-us/entra/identity-platform/reference-saml-tokens).
var multiFactor = []string{"https://refeds.org/profile/mfa", "http://schemas.openid.net/pape/policies/2007/06/multi-factor",
	"http://schemas.microsoft.com/claims/multipleauthn"}

func (s *Strength) contexts() []string {
	if len(s.FactorContexts) > 0 {
		return s.FactorContexts
	}
	return multiFactor
}

func (s *Strength) apply(in SSOConnectionChange) error {
	set(&s.SecondFactor, in.SecondFactor)
	set(&s.FactorContexts, in.FactorContexts)
	set(&s.LongestSessionHours, in.LongestSessionHours)
	if len(s.FactorContexts) > maxContexts {
		return fault.Field("body.factorContexts", "there are more than %d; name those that count as two factors", maxContexts)
	}
	for i, v := range s.FactorContexts {
		if v == "" || len(v) > maxContextChars || strings.ContainsAny(v, " \t\r\n\x00") {
			return fault.Field(fmt.Sprintf("body.factorContexts[%d]", i), "give the value as the identity provider sends it, without spaces")
		}
	}
	if s.LongestSessionHours < 0 || s.LongestSessionHours > longestSession {
		return fault.Field("body.longestSessionHours", "give 1 to %d hours, or 0 for the longest", longestSession)
	}
	return nil
}

// shown has a list where there is none.
func (s Strength) shown() Strength {
	if s.FactorContexts == nil {
		s.FactorContexts = []string{}
	}
	return s
}

// proved reports whether the provider says that somebody signed in there by two factors: by the context that was asked
// for (OpenID Connect Core section 2, acr), or by its methods (amr, RFC 8176 section 2: mfa).
func (s *Strength) proved(who *said) bool {
	for _, c := range who.Contexts {
		if slices.Contains(s.contexts(), c) {
			return true
		}
	}
	return len(s.FactorContexts) == 0 && slices.Contains(who.Methods, "mfa")
}

func errOneFactor(who *said) error {
	says := "nothing of how"
	if list := append(slices.Clone(who.Contexts), who.Methods...); len(list) > 0 {
		says = strings.Join(list, ", ")
		says = says[:min(len(says), maxContextChars)]
	}
	return fault.New(fault.Forbidden, "a second factor is needed, and the identity provider did not say that you used one (it says: %s); set one up there, "+
		"or ask an administrator to check factorContexts of the connection", says)
}

// requested is the RequestedAuthnContext of a SAML request (SAML Core section 3.3.2.2.1). The schema takes several; the
// library's type has one, which is the first: providers that know another are given it in factorContexts.
func (s *Strength) requested() *saml.RequestedAuthnContext {
	if !s.SecondFactor {
		return nil
	}
	return &saml.RequestedAuthnContext{Comparison: "exact", AuthnContextClassRef: s.contexts()[0]}
}

// contextsOf reads how somebody signed in from an assertion.
func contextsOf(a *saml.Assertion) []string {
	var out []string
	for _, st := range a.AuthnStatements {
		if ref := st.AuthnContext.AuthnContextClassRef; ref != nil && ref.Value != "" {
			out = append(out, ref.Value)
		}
	}
	return out
}
