package app

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

// announceRole is what a process says that people do not come to.
func (a *App) announceRole() {
	var b strings.Builder
	fmt.Fprintf(&b, "\nParley %s is running as %s.\n  health        http://%s/health\n", a.version, a.cfg.Role, a.http.Addr())
	if a.sip != nil {
		fmt.Fprintf(&b, "  SIP           %s (UDP and TCP)\n", a.sip.Addr())
	}
	if a.inner != nil {
		fmt.Fprintf(&b, "  gateways      %s\n", a.internalURL())
	}
	fmt.Fprintln(a.out, b.String())
}

// announce tells the person at the terminal what runs and what to do next.
func (a *App) announce(ctx context.Context) {
	base := a.cfg.publicURL(a.http.Addr())
	var b strings.Builder
	if !a.cfg.is(roleGateway) {
		a.announceRole()
		return
	}
	fmt.Fprintf(&b, "\nParley %s is running.\n", a.version)
	fmt.Fprintf(&b, "  web and API   %s\n", base)
	needs, err := a.identity.NeedsOwner(ctx)
	if a.sip != nil {
		when := ""
		if needs {
			when = ", answers once there is an owner"
		}
		fmt.Fprintf(&b, "  SIP           sip:front-desk@%s (UDP and TCP%s)\n", a.sip.Addr(), when)
		if at := a.sip.TLSAddr(); at.IsValid() {
			fmt.Fprintf(&b, "  SIP over TLS  sips:front-desk@%s\n", at)
		}
	}
	if s := a.local.Check(); !s.OK() {
		fmt.Fprintf(&b, "  speech        %s\n", s)
	}
	if err == nil && needs {
		var token string
		if token, err = a.identity.SetupToken(ctx); err == nil {
			fmt.Fprintf(&b, "\nOpen this link once to create the owner's account (valid for 24 hours):\n\n  %s/setup#token=%s\n", base, url.QueryEscape(token))
		}
	}
	if err != nil {
		a.log.Error("set-up link", "error", err)
	}
	fmt.Fprintln(a.out, b.String())
}
