package leadfile

import (
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"
)

// numbers reads telephone numbers as people write them.
type numbers struct{ region string } // of numbers without a country code

// parse gives a number in E.164, or why it is none. country is the row's own.
func (n numbers) parse(text, country string) (string, string) {
	if text == "" {
		return "", "The phone number is empty."
	}
	if strings.Contains(text, "E+") || strings.Contains(text, "e+") {
		return "", "The phone number " + short(text) + " was rounded by a spreadsheet; format the column as text and export it again."
	}
	region := country
	if region == "" {
		region = n.region
	}
	written := strings.TrimPrefix(text, "tel:")
	if strings.HasPrefix(written, "00") && region != "US" && region != "CA" {
		written = "+" + written[2:]
	}
	p, err := phonenumbers.Parse(written, region)
	if err != nil {
		if region == "" && !strings.HasPrefix(written, "+") {
			return "", "The phone number " + short(text) + " has no country code, and no region is set for the list."
		}
		return "", short(text) + " is no phone number."
	}
	if p.GetExtension() != "" {
		return "", "The phone number " + short(text) + " has an extension, which cannot be dialled."
	}
	if !phonenumbers.IsValidNumber(p) {
		return "", "The phone number " + short(text) + " cannot exist" + in(p, region) + "."
	}
	switch phonenumbers.GetNumberType(p) {
	case phonenumbers.PREMIUM_RATE:
		return "", "The phone number " + short(text) + " is a premium-rate number."
	case phonenumbers.SHARED_COST, phonenumbers.UAN, phonenumbers.VOICEMAIL, phonenumbers.PAGER:
		return "", "The phone number " + short(text) + " is no person's number."
	}
	return phonenumbers.Format(p, phonenumbers.E164), ""
}

// Number reads a number as a list in a region has it, "" where it is none that can be called.
func Number(text, region string) string {
	n, _ := numbers{region}.parse(strings.TrimSpace(text), "")
	return n
}

func in(p *phonenumbers.PhoneNumber, region string) string {
	if r := phonenumbers.GetRegionCodeForCountryCode(int(p.GetCountryCode())); r != "" && r != "ZZ" && r != "001" {
		region = r
	}
	if region == "" {
		return ""
	}
	return " in " + region
}

func short(s string) string {
	if r := []rune(s); len(r) > 30 {
		return `"` + string(r[:30]) + `…"`
	}
	return `"` + s + `"`
}

var knownCountries = phonenumbers.GetSupportedRegions()

// checkAddress says what is wrong with a lead's address.
func checkAddress(l *Lead) (field, why string) {
	if l.Country != "" && !knownCountries[l.Country] {
		return "country", "The country " + short(l.Country) + " is no code of two letters, such as US."
	}
	if len(l.Region) > 3 {
		return "region", "The region " + short(l.Region) + " is no code, such as FL."
	}
	if l.Zone != "" {
		if _, err := time.LoadLocation(l.Zone); err != nil || l.Zone == "Local" {
			return "zone", "The time zone " + short(l.Zone) + " is not known; write America/New_York."
		}
	}
	return "", ""
}
