package sip

import "github.com/parley-voice/parley/internal/media"

// causes maps why a call ended to SIP, both ways. The first row with a code is the status it is refused
// with; the first row with a status is the code that status becomes.
var causes = []struct {
	code   string
	status int
	text   string
}{
	{"normal", 200, "the call ended"},
	{"busy", 486, "the line is busy"},
	{"busy", 600, "busy everywhere"},
	{"declined", 603, "the call was declined"},
	{"declined", 403, "the call was refused"},
	{"no_answer", 480, "nobody answered"},
	{"no_answer", 408, "no answer in time"},
	{"cancelled", 487, "the caller gave up"},
	{"not_found", 404, "there is nobody of that name"},
	{"not_found", 410, "the number is gone"},
	{"not_found", 484, "the number is not complete"},
	{"not_found", 604, "the number exists nowhere"},
	{"unauthorized", 401, "the credentials were not taken"},
	{"unauthorized", 407, "the credentials were not taken"},
	{"not_acceptable", 488, "no media format is spoken by both sides"},
	{"not_acceptable", 415, "the content type is not taken"},
	{"not_acceptable", 606, "the media are not acceptable"},
	{"unreachable", 503, "the far end cannot be reached"},
	{"unreachable", 502, "the far end cannot be reached"},
	{"overloaded", 503, "too many calls"},
	{"shutdown", 503, "the server stops"},
	{"loop", 482, "the call came round in a loop"},
	{"loop", 483, "the call passed too many servers"},
	{"timeout", 504, "somebody was too slow"},
	{"error", 500, "the far end failed"},
	{"error", 400, "the far end did not understand the call"},
}

// statusOf gives the SIP status to refuse a call with.
func statusOf(c media.Cause) int {
	if c.Status >= 300 && c.Status < 700 {
		return c.Status
	}
	for _, row := range causes {
		if row.code == c.Code && row.status >= 300 {
			return row.status
		}
	}
	return 480
}

// causeOf says what a SIP status means (RFC 3261 section 21.4 and on).
func causeOf(status int, by string) media.Cause {
	class := map[int]int{3: 503, 4: 400, 5: 500, 6: 603}[status/100]
	for _, want := range []int{status, class} {
		for _, row := range causes {
			if row.status == want {
				return media.Cause{By: by, Code: row.code, Status: status, Text: row.text}
			}
		}
	}
	return media.Cause{By: by, Code: "error", Status: status, Text: "the far end failed"}
}
