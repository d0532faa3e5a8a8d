package event

// OrganisationMoved says that an organisation's data is in another region now.
type OrganisationMoved struct {
	OrgID string `json:"organisationId"`
	From  string `json:"from"` // region
	To    string `json:"to"`
}

// Type implements Fact.
func (OrganisationMoved) Type() string { return "organisation.moved" }

// Key implements Fact.
func (e OrganisationMoved) Key() string { return e.OrgID }
