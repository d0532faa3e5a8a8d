package event

// JobWanted asks for a job of an organisation whose change is in a database of its own, where no jobs are.
type JobWanted struct {
	OrgID string `json:"organisationId"`
	Kind  string `json:"kind"`
	ID    string `json:"id"` // of what the job works on
}

// Type implements Fact.
func (JobWanted) Type() string { return "job.wanted" }

// Key implements Fact.
func (e JobWanted) Key() string { return e.ID }
