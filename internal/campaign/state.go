package campaign

import (
	"slices"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// State is where a campaign is in its life.
type State string

// The states.
const (
	Draft     State = "draft"
	Checked   State = "checked"   // a draft in whose way nothing was when it was looked at
	Scheduled State = "scheduled" // its time begins later
	Running   State = "running"
	Paused    State = "paused"
	Finished  State = "finished" // every lead is done
	Stopped   State = "stopped"  // somebody ended it
)

// leads says from where somebody or something may bring a campaign where.
var leads = map[string]struct {
	from []State
	says string
}{
	"start":       {[]State{Draft, Checked, Scheduled}, "start a draft"},
	"check":       {[]State{Draft, Checked}, "only a draft is checked beforehand"},
	"pause":       {[]State{Scheduled, Running}, "pause a campaign that runs"},
	"resume":      {[]State{Paused}, "resume a campaign that is paused"},
	"stop":        {[]State{Draft, Checked, Scheduled, Running, Paused}, "stop a campaign that is not over"},
	"finish":      {[]State{Running}, "finish a campaign that runs"},
	"archive":     {[]State{Draft, Checked, Finished, Stopped}, "stop the campaign first"},
	"change":      {[]State{Draft, Checked, Scheduled, Running, Paused}, "duplicate a campaign that is over"},
	"delete":      {[]State{Draft, Checked, Finished, Stopped}, "stop the campaign first"},
	"delete lead": {[]State{Draft, Checked, Scheduled, Running, Paused, Finished, Stopped}, ""},
	"append":      {[]State{Draft, Checked, Scheduled, Running, Paused}, "duplicate a campaign that is over"},
}

// may refuses to do with a campaign what its state does not allow.
func (s State) may(do string) error {
	l := leads[do]
	if slices.Contains(l.from, s) {
		return nil
	}
	return fault.New(fault.Conflict, "the campaign is %s; %s", s, l.says)
}

// over reports whether nobody is called any more.
func (s State) over() bool { return s == Finished || s == Stopped }

// begun reports whether decisions were made for a campaign, or are about to be: it was started.
func (s State) begun() bool { return s != Draft && s != Checked }
