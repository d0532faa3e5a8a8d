package telephony

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Phone is a SIP user.
type Phone struct {
	ID          string         `json:"id"`
	Username    string         `json:"username" doc:"What the phone registers as, and is called by"`
	DisplayName string         `json:"displayName"`
	Encrypted   bool           `json:"encryptedOnly" doc:"Whether it registers, calls and is called by TLS with SRTP only"`
	UserID      string         `json:"userId" doc:"Whose phone it is; empty: nobody's"`
	ProjectID   string         `json:"projectId" doc:"Empty: of no project"`
	Registered  bool           `json:"registered" doc:"Whether it can be called now"`
	Contacts    []PhoneContact `json:"contacts" doc:"Where it is registered"`
	CreatedAt   time.Time      `json:"createdAt"`
}

// PhoneContact is one place a phone is registered at.
type PhoneContact struct {
	URI       string    `json:"uri"`
	ExpiresAt time.Time `json:"expiresAt"`
	UserAgent string    `json:"userAgent" doc:"What the phone calls itself"`
	Transport string    `json:"transport" enum:"udp,tcp,tls"`
}

// PhoneServer is what a phone must be told to find the server. Its host is the one people know the server by.
type PhoneServer struct {
	Realm         string `json:"realm" doc:"The domain of the phones' passwords; most phones take it from the server"`
	Port          int    `json:"port" doc:"Port of SIP by UDP and TCP; 0 when SIP is off"`
	TLSPort       int    `json:"tlsPort" doc:"Port of SIP by TLS; 0 when there is none"`
	EncryptedOnly bool   `json:"encryptedOnly" doc:"Whether phones must use TLS and SRTP"`
}

const (
	passwordMin    = 8
	passwordMax    = 128
	displayNameMax = 100
	phonesMax      = 5000 // of one organisation
)

var usernamePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$`)

// checkUsername says what is wrong with a user name. It is kept to what every phone can type and no SIP
// server mangles.
func checkUsername(name string) error {
	if !usernamePattern.MatchString(name) {
		return fault.Field("body.username", "a phone's user name has 1 to 63 letters, digits, dots, dashes or underscores and begins with a letter or digit")
	}
	return nil
}

func checkDisplayName(name string) error {
	if utf8.RuneCountInString(name) > displayNameMax || strings.ContainsAny(name, "\r\n\x00\"<>") {
		return fault.Field("body.displayName", "a display name has at most %d characters, without quotes, brackets or line ends", displayNameMax)
	}
	return nil
}

func checkPassword(p string) error {
	if len(p) < passwordMin || len(p) > passwordMax || strings.ContainsAny(p, "\r\n\x00") {
		return fault.Field("body.password", "a phone's password has %d to %d characters; leave it out to have one made", passwordMin, passwordMax)
	}
	return nil
}
