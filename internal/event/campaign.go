package event

// CampaignChanged says that a campaign was started, paused, stopped, finished or changed.
type CampaignChanged struct {
	CampaignID string `json:"campaignId"`
	OrgID      string `json:"organisationId"`
	Name       string `json:"name"`
	State      string `json:"state"` // draft, scheduled, running, paused, finished, stopped
	Was        string `json:"was"`
	Why        string `json:"why,omitempty"`
	At         int64  `json:"at"` // Unix milliseconds
}

// CampaignProgress says how a campaign goes, every few seconds while it runs. It is not kept.
type CampaignProgress struct {
	CampaignID string `json:"campaignId"`
	OrgID      string `json:"organisationId"`
	Now        any    `json:"now"` // what its dialler does: dial.Now
	At         int64  `json:"at"`  // Unix milliseconds
}

// LeadSettled says how an attempt to reach a lead ended, and what becomes of the lead.
type LeadSettled struct {
	CampaignID  string `json:"campaignId"`
	OrgID       string `json:"organisationId"`
	LeadID      string `json:"leadId"`
	AttemptID   string `json:"attemptId"` // the call's id, too
	Number      string `json:"number"`
	Position    int64  `json:"position"` // of the lead's attempts, from 1
	Outcome     string `json:"outcome"`
	Disposition string `json:"disposition,omitempty"`
	State       string `json:"state"`           // of the lead: waiting, done, do_not_call
	DueAt       int64  `json:"dueAt,omitempty"` // Unix milliseconds
	PlannedAt   int64  `json:"plannedAt"`
	AnsweredAt  int64  `json:"answeredAt,omitempty"`
	TalkMS      int64  `json:"talkMs"`
	At          int64  `json:"at"`
}

// Type implements Fact.
func (CampaignChanged) Type() string  { return "campaign.changed" }
func (CampaignProgress) Type() string { return "campaign.progress" }
func (LeadSettled) Type() string      { return "lead.settled" }

// Key implements Fact.
func (e CampaignChanged) Key() string  { return e.CampaignID }
func (e CampaignProgress) Key() string { return e.CampaignID }
func (e LeadSettled) Key() string      { return e.LeadID }
