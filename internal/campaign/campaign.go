package campaign

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/pace"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Campaign is a list of people who are called.
type Campaign struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	State      State      `json:"state" enum:"draft,checked,scheduled,running,paused,finished,stopped"`
	Why        string     `json:"why" doc:"Why it is in this state, in a sentence; empty where somebody put it there"`
	Settings   Settings   `json:"settings"`
	ProjectID  string     `json:"projectId" doc:"Empty: of no project"`
	CreatedBy  string     `json:"createdBy"`
	CreatedAt  time.Time  `json:"createdAt"`
	UpdatedAt  time.Time  `json:"updatedAt"`
	StartedAt  *time.Time `json:"startedAt" doc:"null: not yet"`
	EndedAt    *time.Time `json:"endedAt" doc:"null: not yet"`
	ArchivedAt *time.Time `json:"archivedAt" doc:"null: it is not archived"`
}

// Settings are what a campaign does.
type Settings struct {
	Agent      string            `json:"agent" maxLength:"64" doc:"The agent that speaks, by slug or id; its published version"`
	Purpose    policy.Purpose    `json:"purpose" enum:"sales,service,survey" doc:"Why people are called: rules on selling are stricter"`
	Country    string            `json:"country" maxLength:"2" doc:"Where numbers without a country code are, ISO 3166-1 alpha-2: US"`
	Callers    Callers           `json:"callers"`
	Dialler    Dialler           `json:"dialler"`
	Schedule   Schedule          `json:"schedule"`
	Retry      dial.Retry        `json:"retry"`
	Voicemail  Voicemail         `json:"voicemail"`
	Disclosure Disclosure        `json:"disclosure"`
	OptOutKey  string            `json:"optOutKey" maxLength:"1" doc:"The key by which a person asks not to be called again: 9; empty: none"`
	Outcomes   map[string]string `json:"outcomes" doc:"What the agent calls its result, to what the report calls it"`
	Budget     Budget            `json:"budget"`
	Lists      []string          `json:"lists" maxItems:"50" doc:"Do-not-call lists that are asked beside the organisation's own"`
	Webhook    string            `json:"webhook" maxLength:"2000" doc:"Where the result is posted when the campaign is over; empty: nowhere"`
	Weight     int               `json:"weight" minimum:"1" maximum:"100" doc:"Its share of lines beside the organisation's other campaigns"`
}

// Callers say which number is shown, and which trunk carries the call.
type Callers struct {
	Trunk   string   `json:"trunk" maxLength:"64" doc:"Id of the trunk; empty: that of the number shown"`
	Numbers []string `json:"numbers" maxItems:"500" doc:"Ids of caller numbers; empty: all of the organisation's"`
	Choice  string   `json:"choice" enum:"rotate,local,first" doc:"rotate: one after the other; local: of the callee's region where there is one; first: the first that can be used"`
}

// Dialler says how fast.
type Dialler struct {
	Mode      pace.Mode `json:"mode" enum:"agentless,preview,progressive,ratio,predictive"`
	Lines     int       `json:"lines" minimum:"1" maximum:"10000" doc:"Calls at once"`
	PerSecond float64   `json:"perSecond" minimum:"0" maximum:"1000" doc:"Calls begun in a second; 0: as many as lines allow"`
	Ratio     float64   `json:"ratio" minimum:"1" maximum:"5" doc:"In the mode ratio: lines for each free operator"`
	Dropped   float64   `json:"mostDropped" minimum:"0" maximum:"0.1" doc:"Share of answered calls that may find nobody; rules of law may be stricter"`
	Ring      int       `json:"ringSeconds" minimum:"15" maximum:"120" doc:"How long it rings before it is given up"`
}

// Schedule says when.
type Schedule struct {
	Zone   string            `json:"zone" maxLength:"64" doc:"Whose days the campaign is counted by, IANA: Europe/Berlin"`
	Starts *time.Time        `json:"starts,omitempty" doc:"Not before; left out: when it is started"`
	Ends   *time.Time        `json:"ends,omitempty" doc:"Nobody is called from then on; left out: when every lead is done"`
	Hours  map[string]string `json:"hours" doc:"On the callee's clock: {\"mon-fri\": \"09:00-12:00 14:00-18:00\"}; empty: whenever the rules of the place allow"`
}

// Voicemail says what happens when a machine answers.
type Voicemail struct {
	Rule    string `json:"rule" enum:"hangup,message,talk" doc:"hangup: at once; message: leave it after the tone; talk: machines are not told from people"`
	Message string `json:"message" maxLength:"2000" doc:"What is said after the tone"`
}

// Disclosure is what everybody hears first. It is logged as played.
type Disclosure struct {
	AI        string `json:"ai" maxLength:"500" doc:"That an AI speaks, where the agent is one; empty: nothing is said"`
	Recording string `json:"recording" maxLength:"500" doc:"That the call is recorded; empty: nothing is said"`
}

// Budget is what the campaign may cost. Calls are reckoned by these prices; nothing is asked of a carrier.
type Budget struct {
	Currency  string  `json:"currency" maxLength:"3" doc:"ISO 4217: EUR"`
	PerMinute float64 `json:"perMinute" minimum:"0" maximum:"1000" doc:"Price of a minute, reckoned by the second"`
	PerCall   float64 `json:"perCall" minimum:"0" maximum:"1000" doc:"Price of an answered call beside its minutes"`
	Most      float64 `json:"most" minimum:"0" maximum:"1000000000" doc:"The campaign pauses when so much is spent; 0: no limit"`
}

// Usual is what a campaign has until somebody says otherwise.
func Usual() Settings {
	return Settings{Purpose: policy.Service, Callers: Callers{Numbers: []string{}, Choice: "rotate"},
		Dialler:  Dialler{Mode: pace.Agentless, Lines: 5, PerSecond: 1, Ratio: 1, Dropped: 0.03, Ring: 30},
		Schedule: Schedule{Zone: "UTC", Hours: map[string]string{}}, Retry: dial.UsualRetry(), Voicemail: Voicemail{Rule: "hangup"},
		Disclosure: Disclosure{AI: "Hello, this is an AI assistant calling."}, OptOutKey: "9", Outcomes: map[string]string{}, Budget: Budget{Currency: "EUR"}, Lists: []string{}, Weight: 1}
}

const (
	nameMax     = 100
	agentMax    = 64
	listsMax    = 50
	outcomesMax = 100
)

var (
	currencyForm = regexp.MustCompile(`^[A-Z]{3}$`)
	countryForm  = regexp.MustCompile(`^[A-Z]{2}$`)
	keyForm      = regexp.MustCompile(`^[0-9*#]?$`)
)

func checkCampaignName(name string) error {
	if strings.TrimSpace(name) == "" || utf8.RuneCountInString(name) > nameMax || strings.ContainsAny(name, "\r\n\x00") {
		return fault.Field("body.name", "a campaign's name has 1 to %d characters and no line ends", nameMax)
	}
	return nil
}

// check says what is wrong with settings in themselves; whether the campaign can run is Preflight's business. What is left out
// of a draft is not wrong.
func (s *Settings) check() error {
	const at = "body.settings."
	switch {
	case len(s.Agent) > agentMax:
		return fault.Field(at+"agent", "name an agent by its slug or id")
	case !slices.Contains([]policy.Purpose{policy.Sales, policy.Service, policy.Survey}, s.Purpose):
		return fault.Field(at+"purpose", "%q is no purpose; use sales, service or survey", string(s.Purpose))
	case s.Country != "" && !countryForm.MatchString(s.Country):
		return fault.Field(at+"country", "%q is no country; write two letters such as US", s.Country)
	case !slices.Contains([]string{"rotate", "local", "first"}, s.Callers.Choice):
		return fault.Field(at+"callers.choice", "use rotate, local or first")
	case !slices.Contains([]string{"hangup", "message", "talk"}, s.Voicemail.Rule):
		return fault.Field(at+"voicemail.rule", "use hangup, message or talk")
	case s.Voicemail.Rule == "message" && strings.TrimSpace(s.Voicemail.Message) == "":
		return fault.Field(at+"voicemail.message", "say what is left on a machine, or let it hang up")
	case !keyForm.MatchString(s.OptOutKey):
		return fault.Field(at+"optOutKey", "use one key: a digit, * or #")
	case s.Budget.Currency != "" && !currencyForm.MatchString(s.Budget.Currency):
		return fault.Field(at+"budget.currency", "%q is no currency; write three letters such as EUR", s.Budget.Currency)
	case s.Budget.PerMinute < 0 || s.Budget.PerCall < 0 || s.Budget.Most < 0 || s.Budget.PerMinute > 1000 || s.Budget.PerCall > 1000 || s.Budget.Most > 1e9:
		return fault.Field(at+"budget", "prices are from 0 to 1000, the budget from 0 to 1000000000")
	case s.Weight < 1 || s.Weight > 100:
		return fault.Field(at+"weight", "from 1 to 100")
	case s.Dialler.Ring < 15 || s.Dialler.Ring > 120:
		return fault.Field(at+"dialler.ringSeconds", "from 15 to 120 seconds: shorter is an abandoned call in many places")
	case len(s.Lists) > listsMax || len(s.Outcomes) > outcomesMax:
		return fault.Field(at+"lists", "at most %d lists and %d outcomes", listsMax, outcomesMax)
	}
	if err := s.pace().Check(at + "dialler."); err != nil {
		return err
	}
	if err := s.Retry.Check(at + "retry."); err != nil {
		return err
	}
	if err := checkWebhook(at+"webhook", s.Webhook); err != nil {
		return err
	}
	return s.Schedule.check(at + "schedule.")
}

func (s *Schedule) check(at string) error {
	if _, err := time.LoadLocation(s.Zone); err != nil || s.Zone == "Local" {
		return fault.Field(at+"zone", "%q is no time zone; write Europe/Berlin", s.Zone)
	}
	if _, err := policy.ParseHours(at+"hours", s.Hours); err != nil {
		return err
	}
	if s.Starts != nil && s.Ends != nil && !s.Starts.Before(*s.Ends) {
		return fault.Field(at+"ends", "it would end before it starts")
	}
	return nil
}

// pace is the dialler's side of the settings.
func (s *Settings) pace() pace.Config {
	d := s.Dialler
	return pace.Config{Mode: d.Mode, Lines: d.Lines, PerSecond: d.PerSecond, Ratio: d.Ratio, MostDropped: d.Dropped}
}

// rules are what the dialler asks.
func (s *Settings) rules(book *policy.Book) (dial.Rules, error) {
	r := dial.Rules{Book: book, Purpose: s.Purpose, Automated: s.Dialler.Mode == pace.Agentless, Retry: s.Retry}
	if len(s.Schedule.Hours) > 0 {
		h, err := policy.ParseHours("settings.schedule.hours", s.Schedule.Hours)
		if err != nil {
			return r, err
		}
		r.Hours = &h
	}
	if s.Schedule.Starts != nil {
		r.Starts = *s.Schedule.Starts
	}
	if s.Schedule.Ends != nil {
		r.Ends = *s.Schedule.Ends
	}
	return r, nil
}

// zone is whose days the campaign is counted by.
func (s *Settings) zone() *time.Location {
	z, err := time.LoadLocation(s.Schedule.Zone)
	if err != nil {
		return time.UTC
	}
	return z
}

// cost reckons a call in millionths of the currency.
func (b *Budget) cost(talk time.Duration, answered bool) int64 {
	if !answered {
		return 0
	}
	return int64(1e6*b.PerCall + 1e6*b.PerMinute*talk.Minutes())
}
