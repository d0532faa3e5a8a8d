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
	"start":       {[]State{Draft, Scheduled}, "start a draft"},
	"pause":       {[]State{Scheduled, Running}, "pause a campaign that runs"},
	"resume":      {[]State{Paused}, "resume a campaign that is paused"},
	"stop":        {[]State{Draft, Scheduled, Running, Paused}, "stop a campaign that is not over"},
	"finish":      {[]State{Running}, "finish a campaign that runs"},
	"archive":     {[]State{Draft, Finished, Stopped}, "stop the campaign first"},
	"change":      {[]State{Draft, Scheduled, Running, Paused}, "duplicate a campaign that is over"},
	"delete":      {[]State{Draft, Finished, Stopped}, "stop the campaign first"},
	"delete lead": {[]State{Draft, Scheduled, Running, Paused, Finished, Stopped}, ""},
	"append":      {[]State{Draft, Scheduled, Running, Paused}, "duplicate a campaign that is over"},
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
