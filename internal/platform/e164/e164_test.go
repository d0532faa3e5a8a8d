package e164

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[string]Number{
		"+1 (305) 555-0100": {"+13055550100", "US", "FL", "305"},
		"+14165550100":      {"+14165550100", "CA", "ON", "416"},
		"+4930123456":       {"+4930123456", "DE", "", "30"},
		"+442079460000":     {"+442079460000", "GB", "", "20"},
		"+4915112345678":    {"+4915112345678", "DE", "", ""},
		"+971501234567":     {"+971501234567", "AE", "", ""},
		"+80012345678":      {"+80012345678", "", "", ""},
	} {
		got, err := Parse(text)
		if err != nil || got != want {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "+", "030 123456", "004930123456", "+49", "+1234567890123456", "+49x30", "sip:x@y", "+999999999", "+1305555", "+4930\r\n1", "++49301234"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}
