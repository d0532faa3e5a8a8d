package telephony

import (
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// Trunk is a carrier's or an exchange's server that calls to the telephone network go through.
type Trunk struct {
	ID             string    `json:"id"`
	Name           string    `json:"name"`
	Address        string    `json:"address" doc:"host or host:port"`
	Transport      string    `json:"transport" enum:"udp,tcp,tls"`
	Proxy          string    `json:"proxy" doc:"host or host:port that messages go through on their way to the address; empty: they go there"`
	Username       string    `json:"username" doc:"What the carrier knows us by when it asks for a password; empty: it asks for none"`
	PasswordSet    bool      `json:"passwordSet"`
	Domain         string    `json:"domain" doc:"Host of the caller's address (From); empty: this server's own"`
	NumberFormat   string    `json:"numberFormat" enum:"e164,digits" doc:"How the carrier wants numbers: e164 is +4930123456, digits is 4930123456"`
	Prefix         string    `json:"prefix" doc:"Dialled before every number that is called"`
	AssertIdentity bool      `json:"assertIdentity" doc:"Names the caller in P-Asserted-Identity too (RFC 3325)"`
	Lines          int       `json:"lines" doc:"Calls at once"`
	PerSecond      int       `json:"perSecond" doc:"Calls begun a second"`
	EncryptedOnly  bool      `json:"encryptedOnly" doc:"No call without SRTP; needs TLS"`
	Enabled        bool      `json:"enabled"`
	CreatedAt      time.Time `json:"createdAt"`
	UpdatedAt      time.Time `json:"updatedAt"`
}

// The forms of numbers that carriers want.
const (
	FormatE164   = "e164"
	FormatDigits = "digits"
)

const (
	trunksMax     = 200 // of one organisation
	linesDefault  = 10
	linesMost     = 10_000
	secondDefault = 2
	secondMost    = 1000
	prefixMax     = 16
	usernameMax   = 100
	trunkTries    = "udp, tcp or tls"
)

// NewTrunk is what a trunk is made from. What is empty has its default.
type NewTrunk struct {
	Name, Address, Transport, Proxy, Username, Password string
	Domain, NumberFormat, Prefix                        string
	AssertIdentity, EncryptedOnly, Disabled             bool
	Lines, PerSecond                                    int
}

// TrunkChange is what can be changed of a trunk; nil leaves it. An empty password removes it.
type TrunkChange struct {
	Name, Address, Transport, Proxy, Username, Password *string
	Domain, NumberFormat, Prefix                        *string
	AssertIdentity, EncryptedOnly, Enabled              *bool
	Lines, PerSecond                                    *int
}

// check says what is wrong with a trunk as it is to be stored. permit refuses addresses; it may be nil.
func (r *trunkRow) check(permit func(host string, addr netip.Addr) error) error {
	if n := utf8.RuneCountInString(r.Name); n < 1 || n > displayNameMax || strings.ContainsAny(r.Name, "\r\n\x00") {
		return fault.Field("body.name", "a trunk's name has 1 to %d characters in one line", displayNameMax)
	}
	if r.Transport != "udp" && r.Transport != "tcp" && r.Transport != "tls" {
		return fault.Field("body.transport", "a trunk is reached by %s", trunkTries)
	}
	if err := checkHost("body.address", r.Address, permit); err != nil {
		return err
	}
	if r.Proxy != "" {
		if err := checkHost("body.proxy", r.Proxy, permit); err != nil {
			return err
		}
	}
	if r.Domain != "" {
		if _, port, err := sip.HostPort(r.Domain); err != nil || port != 0 {
			return fault.Field("body.domain", "the domain is a host without a port, such as sip.example.com")
		}
	}
	if utf8.RuneCountInString(r.Username) > usernameMax || strings.ContainsAny(r.Username, "\r\n\x00\"<>") {
		return fault.Field("body.username", "a trunk's user name has at most %d characters, without quotes, brackets or line ends", usernameMax)
	}
	if r.NumberFormat != FormatE164 && r.NumberFormat != FormatDigits {
		return fault.Field("body.numberFormat", "numbers are written as e164 or digits")
	}
	if len(r.Prefix) > prefixMax || strings.Trim(r.Prefix, "0123456789*#") != "" {
		return fault.Field("body.prefix", "a prefix has at most %d digits, * or #", prefixMax)
	}
	if r.Prefix != "" && r.NumberFormat == FormatE164 {
		return fault.Field("body.prefix", "nothing can be dialled before a plus; choose digits as number format, or leave the prefix out")
	}
	if r.Lines < 1 || r.Lines > linesMost {
		return fault.Field("body.lines", "a trunk takes 1 to %d calls at once", linesMost)
	}
	if r.PerSecond < 1 || r.PerSecond > secondMost {
		return fault.Field("body.perSecond", "a trunk takes 1 to %d new calls a second", secondMost)
	}
	if r.EncryptedOnly && r.Transport != "tls" {
		return fault.Field("body.encryptedOnly", "the keys of encrypted sound travel in the signalling; choose the transport tls")
	}
	return nil
}

func checkHost(location, text string, permit func(host string, addr netip.Addr) error) error {
	host, _, err := sip.HostPort(text)
	if err != nil || len(text) > 260 {
		return fault.Field(location, "write a host or host:port, such as sip.example.com:5060")
	}
	if addr, err := netip.ParseAddr(host); err == nil && permit != nil {
		if err := permit(host, addr); err != nil {
			return fault.Field(location, "%v", err)
		}
	}
	return nil
}

func checkTrunkPassword(p string) error {
	if len(p) > passwordMax || strings.ContainsAny(p, "\r\n\x00") {
		return fault.Field("body.password", "a trunk's password has at most %d characters in one line", passwordMax)
	}
	return nil
}

// Dialled gives a number of E.164 in the form that the trunk wants to be asked for.
func (t Trunk) Dialled(number string) string { return t.Prefix + t.Shown(number) }

// Shown gives a caller's number of E.164 in the trunk's form.
func (t Trunk) Shown(number string) string {
	if t.NumberFormat == FormatDigits {
		return strings.TrimPrefix(number, "+")
	}
	return number
}

func (r *trunkRow) show() Trunk {
	return Trunk{ID: r.ID, Name: r.Name, Address: r.Address, Transport: r.Transport, Proxy: r.Proxy, Username: r.Username, PasswordSet: len(r.Secret) > 0,
		Domain: r.Domain, NumberFormat: r.NumberFormat, Prefix: r.Prefix, AssertIdentity: r.AssertIdentity, Lines: r.Lines, PerSecond: r.PerSecond,
		EncryptedOnly: r.EncryptedOnly, Enabled: r.Enabled, CreatedAt: time.UnixMilli(r.CreatedAt).UTC(), UpdatedAt: time.UnixMilli(r.UpdatedAt).UTC()}
}
