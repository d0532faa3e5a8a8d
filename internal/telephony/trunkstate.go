package telephony

import (
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/breaker"
)

// TrunkView is a trunk with how it fares now.
type TrunkView struct {
	Trunk
	Status TrunkStatus `json:"status"`
}

// TrunkStatus is how a trunk fares now, in all processes that place calls through it.
type TrunkStatus struct {
	State  string     `json:"state" enum:"closed,open,half-open" doc:"Of its circuit breaker. closed: it works; open: too many calls failed by it, and none is placed for a while; half-open: one call at a time tries it"`
	Reason string     `json:"reason" doc:"Why no calls are placed; empty while it works"`
	Until  *time.Time `json:"until" doc:"When a call tries it again; null when that is not waited for"`
	Calls  int        `json:"calls" doc:"That go through it now"`
}

// worse orders the states.
var worse = map[string]int{string(breaker.Closed): 0, string(breaker.HalfOpen): 1, string(breaker.Open): 2}

// views adds to trunks how they fare: the worst state of all processes, and the sum of their calls.
func (s *Service) views(orgID string, trunks []Trunk) []TrunkView {
	var states []event.TrunkState
	if s.c.TrunkStates != nil {
		states = s.c.TrunkStates(orgID)
	}
	out := make([]TrunkView, len(trunks))
	for i, t := range trunks {
		out[i] = TrunkView{Trunk: t, Status: TrunkStatus{State: string(breaker.Closed)}}
		for _, e := range states {
			if e.TrunkID == t.ID {
				out[i].Status.add(e)
			}
		}
	}
	return out
}

func (v *TrunkStatus) add(e event.TrunkState) {
	v.Calls += e.Calls
	if worse[e.State] <= worse[v.State] {
		return
	}
	v.State, v.Reason, v.Until = e.State, e.Reason, nil
	if e.Until > 0 {
		until := time.UnixMilli(e.Until).UTC()
		v.Until = &until
	}
}
