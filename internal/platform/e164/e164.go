// Package e164 reads telephone numbers in international form (ITU-T E.164) and tells where they were given out, by the
// numbering plans of libphonenumber.
package e164

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Number is a telephone number and where it was given out. Who has it may be elsewhere.
type Number struct {
	E164    string // + and digits
	Country string // ISO 3166-1 alpha-2; "": it belongs to none, as +800
	Region  string // of the country, as in ISO 3166-2: states and provinces of North America; "": it cannot be told
	Area    string // area code; "": it has none, as most mobile numbers
}

// Parse reads a number as it is dialled from anywhere: a plus, the country code, digits. Spaces, hyphens, dots and brackets
// between them do not count.
func Parse(text string) (Number, error) {
	written := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -.()/", r) {
			return -1
		}
		return r
	}, text)
	if !strings.HasPrefix(written, "+") || len(written) < 4 || len(written) > 16 || strings.Trim(written[1:], "0123456789") != "" {
		return Number{}, errors.New("it is not in international form; write a plus, the country code and at most 15 digits, such as +14155550100")
	}
	p, err := phonenumbers.Parse(written, "ZZ")
	if err != nil {
		return Number{}, errors.New("no country has such numbers")
	}
	if !phonenumbers.IsPossibleNumber(p) {
		return Number{}, fmt.Errorf("numbers of +%d are longer or shorter", p.GetCountryCode())
	}
	n := Number{E164: phonenumbers.Format(p, phonenumbers.E164), Country: phonenumbers.GetRegionCodeForNumber(p)}
	if n.Country == "" || n.Country == "001" { // not valid in any one, or of no country
		n.Country = phonenumbers.GetRegionCodeForCountryCode(int(p.GetCountryCode()))
	}
	if n.Country == "001" || n.Country == "ZZ" {
		n.Country = ""
	}
	n.Region = State(p, n.Country)
	if digits := phonenumbers.GetNationalSignificantNumber(p); p.GetCountryCode() == 1 && len(digits) == 10 {
		n.Area = digits[:3]
	} else if l := phonenumbers.GetLengthOfGeographicalAreaCode(p); l > 0 && l < len(digits) {
		n.Area = digits[:l]
	}
	return n, nil
}

// State is the state or province a North American number was given out in: the data says "Miami, FL" or "Florida".
func State(n *phonenumbers.PhoneNumber, country string) string {
	if n.GetCountryCode() != 1 {
		return ""
	}
	name, err := phonenumbers.GetGeocodingForNumber(n, "en")
	if err != nil || name == "" {
		return ""
	}
	if i := strings.LastIndex(name, ", "); i >= 0 {
		name = name[i+2:]
	}
	if len(name) == 2 {
		return name
	}
	return states[country][name]
}

// states are the names that numbers' data uses, with their codes of ISO 3166-2.
var states = map[string]map[string]string{
	"US": {
		"Alabama": "AL", "Alaska": "AK", "Arizona": "AZ", "Arkansas": "AR", "California": "CA", "Colorado": "CO", "Connecticut": "CT",
		"Delaware": "DE", "Washington D.C.": "DC", "Washington DC": "DC", "District of Columbia": "DC", "Florida": "FL", "Georgia": "GA",
		"Hawaii": "HI", "Idaho": "ID", "Illinois": "IL", "Indiana": "IN", "Iowa": "IA", "Kansas": "KS", "Kentucky": "KY", "Louisiana": "LA",
		"Maine": "ME", "Maryland": "MD", "Massachusetts": "MA", "Michigan": "MI", "Minnesota": "MN", "Mississippi": "MS", "Missouri": "MO",
		"Montana": "MT", "Nebraska": "NE", "Nevada": "NV", "New Hampshire": "NH", "New Jersey": "NJ", "New Mexico": "NM", "New York": "NY",
		"North Carolina": "NC", "North Dakota": "ND", "Ohio": "OH", "Oklahoma": "OK", "Oregon": "OR", "Pennsylvania": "PA",
		"Rhode Island": "RI", "South Carolina": "SC", "South Dakota": "SD", "Tennessee": "TN", "Texas": "TX", "Utah": "UT", "Vermont": "VT",
		"Virginia": "VA", "Washington": "WA", "Washington State": "WA", "West Virginia": "WV", "Wisconsin": "WI", "Wyoming": "WY",
	},
	"CA": {
		"Alberta": "AB", "British Columbia": "BC", "Manitoba": "MB", "New Brunswick": "NB", "Newfoundland and Labrador": "NL",
		"Nova Scotia": "NS", "Northwest Territories": "NT", "Nunavut": "NU", "Ontario": "ON", "Prince Edward Island": "PE", "Quebec": "QC",
		"Saskatchewan": "SK", "Yukon": "YT",
	},
}
