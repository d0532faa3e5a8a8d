// Package sso signs people in through the identity provider of their organisation, with OpenID Connect or SAML 2.0.
//
//	service.go      Config, New, what the others share
//	connection.go   connections: how an organisation's identity provider is reached, and whom it may admit
//	domain.go       e-mail domains, proven by a DNS record
//	policy.go       "sign in through the identity provider only"
//	flow.go         a sign-in under way, bound to the browser that began it
//	oidc.go         OpenID Connect Core 1.0, with PKCE (RFC 7636), nonce, state and iss (RFC 9207)
//	saml.go         SAML 2.0 web browser SSO as a service provider
//	response.go     what a SAML response must be before a library may read it
//	admit.go        from what the provider said to a person, a membership and a role
//	probe.go        trying a connection without signing in
//	browser.go      what browsers and providers call under /auth; page.go what they see
//	http.go         operations of the API
//	egress.go       the HTTP client that reaches providers and nothing else
//	store.go        the tables
//
// # Whom a provider may answer for
//
// A provider speaks for the domains that its organisation has proven to own, and only within that organisation.
// Outside of them it speaks only for somebody who is a member already and belongs to no other organisation, and
// only when it says that the address is verified. Otherwise anybody with a provider of their own could become
// anybody else in the installation.
package sso
