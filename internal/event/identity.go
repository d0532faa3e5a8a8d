package event

// IdentityChanged says that who may do what in an organisation is no longer what it was: of one person, or of
// everybody where UserID is empty. Processes that remember it ask again.
type IdentityChanged struct {
	OrgID  string `json:"organisationId"`
	UserID string `json:"userId,omitempty"`
}

// Type implements Fact.
func (IdentityChanged) Type() string { return "identity.changed" }

// Key implements Fact.
func (e IdentityChanged) Key() string { return e.OrgID }

// ProjectDeleted says that a project is no more: what it grouped stays, and belongs to none.
type ProjectDeleted struct {
	OrgID     string `json:"organisationId"`
	ProjectID string `json:"projectId"`
}

// Type implements Fact.
func (ProjectDeleted) Type() string { return "project.deleted" }

// Key implements Fact.
func (e ProjectDeleted) Key() string { return e.ProjectID }
