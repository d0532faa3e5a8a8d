package conversation

// Result is what became of a call that was placed, so that whoever asked for it can decide what to do next.
type Result string

// The results. Only TrunkFailed speaks against the carrier; Failed is our own doing.
const (
	Answered      Result = "answered"
	Busy          Result = "busy"
	NoAnswer      Result = "no_answer"
	Rejected      Result = "rejected"       // by whoever was called
	InvalidNumber Result = "invalid_number" // there is no such number, or not any more
	TrunkFailed   Result = "trunk_failed"   // the way there: refused, unreachable, out of order
	Cancelled     Result = "cancelled"      // by us, before anybody answered
	Failed        Result = "failed"         // by us: the server stopped, the agent was misconfigured
)

// ResultOf tells what became of a placed call from how it ended (RFC 3261 section 21 for the statuses).
func ResultOf(answered bool, by, reason string, status int) Result {
	if answered {
		return Answered
	}
	switch reason {
	case "busy":
		return Busy
	case "no_answer":
		return NoAnswer
	case "not_found":
		return InvalidNumber
	case "declined":
		if status == 403 { // the carrier's word on us, not the callee's
			return TrunkFailed
		}
		return Rejected
	case ReasonNormal, "cancelled":
		if by == "carrier" { // 487 that we did not ask for
			return NoAnswer
		}
		return Cancelled
	}
	if by == "carrier" {
		return TrunkFailed
	}
	return Failed
}

// result is what became of the call; "" for one that goes on or was not placed by us.
func (r *callRow) result() Result {
	if r.EndedAt == nil || r.Direction != "outbound" {
		return ""
	}
	return ResultOf(r.AnsweredAt != nil, r.EndedBy, r.EndReason, r.EndStatus)
}
