package policy

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nyaruka/phonenumbers"

	"github.com/parley-voice/parley/internal/platform/e164"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Place is where a callee may be.
type Place struct {
	Country []string `json:"country"` // ISO 3166-1 alpha-2
	// Region is of the country, as in ISO 3166-2; empty: it cannot be told, so each of them counts.
	Region []string `json:"region"`
	Zones  []string `json:"zones"` // IANA; the callee may be in any of them
	// Certain is false where the number alone does not tell one zone and no address does.
	Certain bool `json:"certain"`

	zones []*time.Location
}

// unknownZone is what the phone number data calls a place it does not know.
const unknownZone = "Etc/Unknown"

// everywhere are the zones of a number that tells no country: the ends of the world and its middle, so that hours which are
// right in all of them are hardly ever; such a number wants an address.
var everywhere = []string{"Pacific/Honolulu", "America/New_York", "Europe/London", "Asia/Dubai", "Asia/Tokyo", "Pacific/Auckland"}

// Locate tells where a callee may be, by the number and by the address: where they disagree both count.
func Locate(number, country, region, zone string) (Place, error) {
	n, err := phonenumbers.Parse(number, "ZZ")
	if err != nil || !strings.HasPrefix(number, "+") {
		return Place{}, fault.Field("number", "%q is no telephone number in international form; write +14155550100", clip(number))
	}
	country, region = strings.ToUpper(country), strings.ToUpper(region)
	var p Place
	home := phonenumbers.GetRegionCodeForNumber(n)
	if home == "" || home == "001" {
		home = country
	}
	add(&p.Country, home)
	add(&p.Country, country)
	zones, _ := phonenumbers.GetTimezonesForNumber(n)
	if len(zones) == 0 || slices.Contains(zones, unknownZone) {
		zones = nil
	}
	if zone != "" {
		if _, err := location(zone); err != nil {
			return p, fault.Field("zone", "%q is no time zone; write America/New_York", clip(zone))
		}
	}
	p.Certain = len(zones) == 1 || zone != "" && (len(zones) == 0 || !geographic(n))
	switch {
	case zone != "" && !geographic(n):
		zones = nil // a number that belongs to no place; the address says where
	case len(zones) == 0 && zone == "":
		zones = everywhere
	}
	for _, z := range zones {
		add(&p.Zones, z)
	}
	add(&p.Zones, zone)
	state := e164.State(n, home)
	for _, z := range split[home+"-"+state] {
		p.Certain = p.Certain && (zone != "" || slices.Contains(zones, z))
		add(&p.Zones, z)
	}
	add(&p.Region, state)
	add(&p.Region, region)
	for _, z := range p.Zones {
		l, err := location(z)
		if err != nil {
			return p, fault.Wrap(fault.Internal, err, "the time zone %s is not known here", z)
		}
		p.zones = append(p.zones, l)
	}
	return p, nil
}

// geographic tells whether a number was given out in one place, as most are.
func geographic(n *phonenumbers.PhoneNumber) bool {
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.TOLL_FREE, phonenumbers.PREMIUM_RATE, phonenumbers.SHARED_COST, phonenumbers.VOIP, phonenumbers.PERSONAL_NUMBER,
		phonenumbers.UAN, phonenumbers.UNKNOWN, phonenumbers.PAGER, phonenumbers.VOICEMAIL:
		return false
	}
	return true
}

func add(to *[]string, s string) {
	if s != "" && !slices.Contains(*to, s) {
		*to = append(*to, s)
	}
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// locations are kept: loading one reads its file. There are some 600, so this is bounded.
var locations sync.Map

func location(name string) (*time.Location, error) {
	if l, ok := locations.Load(name); ok {
		return l.(*time.Location), nil
	}
	if name == "" || name == "Local" {
		return nil, fault.Field("zone", "%q is no time zone", name)
	}
	l, err := time.LoadLocation(name)
	if err == nil {
		locations.Store(name, l)
	}
	return l, err
}

// split are the states and provinces with more than one time zone. An area code is given out on both sides of the line, and
// the data puts it on one.
var split = map[string][]string{
	"US-AK": {"America/Anchorage", "America/Adak"},
	"US-FL": {"America/New_York", "America/Chicago"},
	"US-ID": {"America/Boise", "America/Los_Angeles"},
	"US-IN": {"America/Indiana/Indianapolis", "America/Chicago"},
	"US-KS": {"America/Chicago", "America/Denver"},
	"US-KY": {"America/New_York", "America/Chicago"},
	"US-MI": {"America/Detroit", "America/Chicago"},
	"US-ND": {"America/Chicago", "America/Denver"},
	"US-NE": {"America/Chicago", "America/Denver"},
	"US-OR": {"America/Los_Angeles", "America/Boise"},
	"US-SD": {"America/Chicago", "America/Denver"},
	"US-TN": {"America/New_York", "America/Chicago"},
	"US-TX": {"America/Chicago", "America/Denver"},
	"CA-BC": {"America/Vancouver", "America/Edmonton", "America/Fort_Nelson"},
	"CA-NL": {"America/St_Johns", "America/Goose_Bay"},
	"CA-ON": {"America/Toronto", "America/Winnipeg"},
	"CA-QC": {"America/Toronto", "America/Halifax"},
	"CA-SK": {"America/Regina", "America/Edmonton"},
	"CA-NU": {"America/Iqaluit", "America/Winnipeg", "America/Edmonton"},
}

// Clock gives a clock that the callee may look at: the first of the place's zones, UTC where none is known.
func (p Place) Clock() *time.Location {
	if len(p.zones) == 0 {
		return time.UTC
	}
	return p.zones[0]
}
