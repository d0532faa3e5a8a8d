package telephony

import (
	"context"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// TrunkCheck is what came of asking a trunk by OPTIONS whether it is there (RFC 3261 section 11).
type TrunkCheck struct {
	Verdict  string `json:"verdict" enum:"ready,credentials,refused,overloaded,unreachable" doc:"ready: it takes requests; credentials: it does not take user name and password, or wants some; refused: it knows us not; overloaded: it is there and takes no calls now; unreachable: no answer came"`
	Text     string `json:"text" doc:"A sentence for a person"`
	Status   int    `json:"status" doc:"SIP status of the answer, 0 when none came"`
	Reason   string `json:"reason"`
	Software string `json:"software" doc:"What the server calls itself"`
	Remote   string `json:"remote" doc:"Address and port that answered"`
	TookMS   int64  `json:"tookMs" doc:"From request to answer"`
}

// checkWithin is how long a trunk may take to answer. A datagram that is lost is sent again after 0.5, 1.5 and 3.5 s.
const checkWithin = 8 * time.Second

// CheckTrunk asks a trunk whether it is there. That it is not is an answer, no error.
func (s *Service) CheckTrunk(ctx context.Context, orgID, id string) (TrunkCheck, error) {
	row, err := s.trunkRow(ctx, orgID, id)
	if err != nil {
		return TrunkCheck{}, err
	}
	if s.c.Signalling == nil || s.c.Signalling() == nil {
		return TrunkCheck{}, fault.New(fault.Unavailable, "SIP is off (sip-addr); turn it on to reach trunks")
	}
	l, err := s.line(ctx, row)
	if err != nil {
		return TrunkCheck{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	got, err := s.c.Signalling().Probe(ctx, *l.Via())
	if err != nil {
		return TrunkCheck{Verdict: "unreachable", Text: "No answer came: " + err.Error() + ". Check address, port and transport, and that the carrier knows this server's address."}, nil
	}
	out := TrunkCheck{Status: got.Status, Reason: got.Reason, Software: got.Software, Remote: got.Remote, TookMS: got.Took.Milliseconds()}
	out.Verdict, out.Text = verdict(got.Status, len(row.Secret) > 0)
	return out, nil
}

// verdict says what an answer to OPTIONS means for calls (RFC 3261 section 11.2: who answers is there).
func verdict(status int, password bool) (name, text string) {
	switch {
	case status == 401 || status == 407:
		if password {
			return "credentials", "The trunk does not take the user name and password; check them with the carrier."
		}
		return "credentials", "The trunk wants a user name and a password; the carrier gives them."
	case status == 403:
		return "refused", "The trunk answers and refuses us; check the domain, and that the carrier knows this server's address."
	case status >= 500 && status != 501 && status < 600:
		return "overloaded", "The trunk answers and takes no requests now; try again later."
	}
	return "ready", "The trunk answers." // 404, 405, 481 and the like are about OPTIONS, which some do not know
}
