package fleet

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const (
	maxAnnouncement = 4 << 10
	maxPlaces       = 1_000_000 // of calls and capacity: more is a mistake
	maxURL          = 300
	maxVersion      = 100
)

// Instance is what a process says of itself.
type Instance struct {
	// ID is its own in the installation: letters, digits, '-', '_' and '.', at most 64. As ROLE.NAME it can be no other role's:
	// a bus that lets each role write keys of its own only then keeps one from posing as another.
	ID       string    `json:"id"`
	Boot     string    `json:"boot"`               // of this run of the process; Join makes it
	Role     string    `json:"role"`               // gateway, media, worker, or all
	Version  string    `json:"version,omitempty"`  // of the program
	URL      string    `json:"url,omitempty"`      // http[s]://host[:port] of its internal server; "": nothing is sent to it
	Pin      string    `json:"pin,omitempty"`      // SHA-256 of that server's certificate, in hex, where nobody signed it
	Region   string    `json:"region,omitempty"`   // whose organisations it serves; "": everybody's
	Zone     string    `json:"zone,omitempty"`     // where it stands; only a preference
	Calls    int       `json:"calls"`              // running now
	Capacity int       `json:"capacity,omitempty"` // most calls at once; 0: it takes none
	Draining bool      `json:"draining,omitempty"` // takes no new work
	Started  time.Time `json:"started"`            // by its own clock: to be shown, not to be compared
}

var (
	nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)
	pinForm  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	roleForm = regexp.MustCompile(`^[a-z]{1,16}$`)
)

// Valid says what is wrong with an instance.
func (i Instance) Valid() error {
	switch {
	case !nameForm.MatchString(i.ID) || strings.HasSuffix(i.ID, ".") || strings.Contains(i.ID, ".."):
		return fmt.Errorf("fleet: %.70q is no id; use letters, digits, '-', '_' and '.', at most 64", i.ID)
	case !roleForm.MatchString(i.Role):
		return fmt.Errorf("fleet: %.20q is no role", i.Role)
	case strings.Contains(i.ID, ".") && !strings.HasPrefix(i.ID, i.Role+"."):
		return fmt.Errorf("fleet: %s cannot have the role %s; what stands before the dot of an id is the role", i.ID, i.Role)
	case i.Boot != "" && !nameForm.MatchString(i.Boot):
		return fmt.Errorf("fleet: %.70q names no run", i.Boot)
	case i.Pin != "" && !pinForm.MatchString(i.Pin):
		return fmt.Errorf("fleet: %.70q is no SHA-256", i.Pin)
	case i.Region != "" && !nameForm.MatchString(i.Region) || i.Zone != "" && !nameForm.MatchString(i.Zone):
		return fmt.Errorf("fleet: %.70q in %.70q is no place", i.Zone, i.Region)
	case len(i.Version) > maxVersion:
		return fmt.Errorf("fleet: a version of %d bytes", len(i.Version))
	case i.Calls < 0 || i.Calls > maxPlaces || i.Capacity < 0 || i.Capacity > maxPlaces:
		return fmt.Errorf("fleet: %d calls of %d", i.Calls, i.Capacity)
	}
	if i.URL == "" {
		return nil
	}
	_, err := parseURL(i.URL)
	return err
}

// parseURL reads the address of an internal server. Nothing but scheme and host may be in it: what is asked for comes from
// the request.
func parseURL(s string) (*url.URL, error) {
	if len(s) > maxURL {
		return nil, fmt.Errorf("fleet: an address of %d bytes", len(s))
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("fleet: %q is no address", s)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" ||
		u.Fragment != "" || u.Opaque != "" || strings.ContainsAny(u.Host, " \\%") {
		return nil, fmt.Errorf("fleet: %q is no address of an internal server; write http://HOST:PORT or https://HOST:PORT", s)
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !reachable(a) {
		return nil, fmt.Errorf("fleet: nobody serves at %s", a)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// reachable leaves out addresses at which no instance can be, and of which some answer with a machine's secrets
// (169.254.169.254).
func reachable(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// ParseInstance reads an announcement that stands under key. Fields that a newer version has are ignored.
func ParseInstance(key string, data []byte) (Instance, error) {
	var i Instance
	if len(data) > maxAnnouncement {
		return i, fmt.Errorf("fleet: an announcement of %d bytes", len(data))
	}
	if err := json.Unmarshal(data, &i); err != nil {
		return Instance{}, fmt.Errorf("fleet: an unreadable announcement: %w", err)
	}
	if i.ID != key {
		return Instance{}, fmt.Errorf("fleet: %.70q announces itself as %.70q", key, i.ID)
	}
	if i.Boot == "" {
		return Instance{}, fmt.Errorf("fleet: %s names no run", key)
	}
	return i, i.Valid()
}
