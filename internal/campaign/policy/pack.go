package policy

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/parley-voice/parley/internal/platform/fault"
)

//go:embed packs/*.yaml
var shipped embed.FS

// Book is a set of packs. It does not change and may be used by many at once.
type Book struct {
	packs []*Pack
	hash  string
}

// Pack is the rules of one jurisdiction, or of a region of it.
type Pack struct {
	ID      string   `yaml:"id"`      // us-fl
	Version string   `yaml:"version"` // the day it was last changed: 2026-11-01
	Title   string   `yaml:"title"`
	Country []string `yaml:"country"` // ISO 3166-1 alpha-2; "*": those that no other pack names; "**": all
	Region  []string `yaml:"region"`  // the second part of ISO 3166-2; empty: the whole country
	Rules   []Rule   `yaml:"rules"`
}

// Source is where a rule stands.
type Source struct {
	Cite string `yaml:"cite"`
	URL  string `yaml:"url"`
}

// Rule is one thing that is asked before a call. What of it is not given asks nothing.
type Rule struct {
	ID        string    `yaml:"id"`
	Says      string    `yaml:"says"` // the rule in a sentence, as people read it when it stops a call
	Source    Source    `yaml:"source"`
	Purposes  []Purpose `yaml:"purposes"`  // calls of these only; empty: any
	Automated bool      `yaml:"automated"` // calls by a machine's voice only
	Unless    Consent   `yaml:"unless"`    // given: who consented is called all the same

	Hours     map[string]string `yaml:"hours"`    // days to spans, on the callee's clock
	Zone      string            `yaml:"zone"`     // hours are of this zone and not the callee's
	Holidays  []Holiday         `yaml:"holidays"` // days without a call
	Caps      []Cap             `yaml:"caps"`
	Consent   bool              `yaml:"consent"`   // must be given
	Withdrawn bool              `yaml:"withdrawn"` // consent must not be withdrawn
	Lists     []string          `yaml:"lists"`     // registers that forbid the call
	Fresh     *Fresh            `yaml:"fresh"`     // how old they may be
	Pause     map[Result]string `yaml:"pause"`     // after an attempt that ended so: 72h, 60d, or for ever
	Dialling  *Dialling         `yaml:"dialling"`

	hours *Hours
	off   *daysOff
	zone  *time.Location
	pause map[Result]time.Duration
}

// Everywhere marks a pack for all countries, Elsewhere one for those that no other pack names.
const (
	Everywhere = "**"
	Elsewhere  = "*"
)

// Cap is at most so many attempts in a time.
type Cap struct {
	Most   int      `yaml:"most" json:"most"`
	Per    string   `yaml:"per" json:"per"`                           // day: the callee's calendar day; or 24h, 7d, 30d: any such stretch
	Counts []Result `yaml:"counts,omitempty" json:"counts,omitempty"` // attempts that ended so; empty: all

	per time.Duration // 0 is a calendar day
}

// Fresh is how old a register may be that a call was compared with.
type Fresh struct {
	Days int    `yaml:"days"`
	Cite string `yaml:"cite"` // where that stands
}

// Dialling is what a jurisdiction asks of a dialler that may answer too late.
type Dialling struct {
	MostDropped float64 `yaml:"mostDropped"` // share of answered calls
	OverDays    int     `yaml:"overDays"`    // in which MostDropped is kept, for each campaign
	Within      string  `yaml:"within"`      // after the callee's greeting somebody must be there: 2s
	Ring        string  `yaml:"ring"`        // at least, before an attempt is given up: 15s

	within, ring time.Duration
}

// forEver is a pause that does not end.
const forEver = time.Duration(1<<63 - 1)

var packID = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Shipped is the book of the packs that come with Parley.
func Shipped() (*Book, error) {
	names, err := shipped.ReadDir("packs")
	if err != nil {
		return nil, err
	}
	var packs []*Pack
	for _, n := range names {
		b, err := shipped.ReadFile("packs/" + n.Name())
		if err != nil {
			return nil, err
		}
		more, err := Parse(n.Name(), b)
		if err != nil {
			return nil, err
		}
		packs = append(packs, more...)
	}
	return NewBook(packs)
}

// NewBook makes a book; ids of its packs differ.
func NewBook(packs []*Pack) (*Book, error) {
	packs = slices.Clone(packs)
	slices.SortFunc(packs, func(a, b *Pack) int { return strings.Compare(a.ID, b.ID) })
	sum := sha256.New()
	for i, p := range packs {
		if i > 0 && packs[i-1].ID == p.ID {
			return nil, fault.Field("id", "pack %q is there twice", p.ID)
		}
		_, _ = io.WriteString(sum, p.ID+"@"+p.Version+"\n")
	}
	return &Book{packs, hex.EncodeToString(sum.Sum(nil))}, nil
}

// Hash names the packs and their versions: books with the same hash decide the same.
func (b *Book) Hash() string { return b.hash }

// Packs gives the packs, by id.
func (b *Book) Packs() []*Pack { return slices.Clone(b.packs) }

// Parse reads packs: YAML documents, of which file is the name in errors. Words that mean nothing are errors.
func Parse(file string, text []byte) ([]*Pack, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	var out []*Pack
	for {
		var p Pack
		err := d.Decode(&p)
		if err == io.EOF { //nolint:errorlint // the decoder's own end
			return out, nil
		}
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "%s is no policy pack", file)
		}
		if err := p.read(file); err != nil {
			return nil, err
		}
		out = append(out, &p)
	}
}

func (p *Pack) read(file string) error {
	at := file + ": " + p.ID
	if !packID.MatchString(p.ID) {
		return fault.Field(file+": id", "%q is no id; use small letters, digits and dashes", p.ID)
	}
	if _, err := time.Parse(time.DateOnly, p.Version); err != nil {
		return fault.Field(at+".version", "%q is no day; write 2026-11-01", p.Version)
	}
	if len(p.Country) == 0 || p.Title == "" || len(p.Rules) == 0 {
		return fault.Field(at, "a pack has a title, a country and rules")
	}
	seen := map[string]bool{}
	for i := range p.Rules {
		r := &p.Rules[i]
		if !packID.MatchString(r.ID) || seen[r.ID] {
			return fault.Field(at+".rules", "each rule has an id of its own; %q is not", r.ID)
		}
		seen[r.ID] = true
		if err := r.read(at + "." + r.ID); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rule) read(at string) error {
	if r.Says == "" || r.Source.Cite == "" {
		return fault.Field(at, "a rule has a sentence (says) and a source (source.cite)")
	}
	for _, u := range r.Purposes {
		if u != Sales && u != Service && u != Survey {
			return fault.Field(at+".purposes", "%q is no purpose; use sales, service or survey", u)
		}
	}
	if r.Unless != NoConsent && r.Unless != Given {
		return fault.Field(at+".unless", "%q is no consent; use given", r.Unless)
	}
	if r.Hours != nil {
		h, err := ParseHours(at+".hours", r.Hours)
		if err != nil {
			return err
		}
		r.hours = &h
	}
	if r.Zone != "" {
		z, err := time.LoadLocation(r.Zone)
		if err != nil || r.hours == nil {
			return fault.Field(at+".zone", "%q is no time zone of hours", r.Zone)
		}
		r.zone = z
	}
	for i := range r.Holidays {
		if err := r.Holidays[i].read(at + ".holidays"); err != nil {
			return err
		}
	}
	if len(r.Holidays) > 0 {
		r.off = &daysOff{holidays: r.Holidays}
	}
	for i := range r.Caps {
		if err := r.Caps[i].Read(at + ".caps"); err != nil {
			return err
		}
	}
	if f := r.Fresh; f != nil && (f.Days < 1 || f.Cite == "" || len(r.Lists) == 0) {
		return fault.Field(at+".fresh", "fresh has days and cite, and stands beside lists")
	}
	r.pause = map[Result]time.Duration{}
	for result, text := range r.Pause {
		d, err := stretch(text)
		if text == "for ever" {
			d, err = forEver, nil
		}
		if err != nil || !isResult(result) {
			return fault.Field(at+".pause", "%q after %q is no pause; write refused: 60d, dropped: 72h or refused: for ever", text, result)
		}
		r.pause[result] = d
	}
	return r.Dialling.read(at + ".dialling")
}

func (d *Dialling) read(at string) error {
	if d == nil {
		return nil
	}
	var err, err2 error
	d.within, err = time.ParseDuration(d.Within)
	d.ring, err2 = time.ParseDuration(d.Ring)
	if d.MostDropped <= 0 || d.MostDropped > 0.1 || d.OverDays < 1 || err != nil || err2 != nil || d.within <= 0 || d.ring <= 0 {
		return fault.Field(at, "dialling has mostDropped of up to 0.1, overDays, within and ring")
	}
	return nil
}

// Read checks a cap and makes it ready. field names it in errors.
func (c *Cap) Read(field string) error {
	if c.Most < 1 || c.Most > 1000 {
		return fault.Field(field+".most", "%d is not from 1 to 1000", c.Most)
	}
	for _, r := range c.Counts {
		if !isResult(r) {
			return fault.Field(field+".counts", "%q is no result; use unanswered, answered, dropped or refused", r)
		}
	}
	if c.Per == "day" {
		return nil
	}
	per, err := stretch(c.Per)
	if err != nil || per < time.Hour || per > MemoryOfAttempts {
		return fault.Field(field+".per", "%q is no time from 1h to 60d; write day, 24h or 7d", c.Per)
	}
	c.per = per
	return nil
}

func isResult(r Result) bool {
	return slices.Contains([]Result{Unanswered, Answered, Dropped, Refused}, r)
}

// stretch reads 72h or 60d.
func stretch(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		d, err := time.ParseDuration(cmp.Or(days, "?") + "h")
		return 24 * d, err
	}
	return time.ParseDuration(s)
}
