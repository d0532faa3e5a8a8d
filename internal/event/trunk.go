package event

// TrunkState says how a trunk fares in one process that places calls through it. It is told when the state changes, and every
// few seconds while calls go through it or it is out of order, so that what is not told for a while counts no more.
type TrunkState struct {
	TrunkID string `json:"trunkId"`
	OrgID   string `json:"organisationId"`
	Node    string `json:"node"`            // the process
	State   string `json:"state"`           // closed: it works; open: calls are kept away from it; half-open: one is tried
	Reason  string `json:"reason"`          // a sentence, "" while it works
	Until   int64  `json:"until,omitempty"` // Unix milliseconds when one is tried again
	Calls   int    `json:"calls"`           // through it now, of this process
	At      int64  `json:"at"`              // Unix milliseconds
}

// Type implements Fact.
func (TrunkState) Type() string { return "trunk.state" }

// Key implements Fact.
func (e TrunkState) Key() string { return e.TrunkID }
