package rtp

// adapt decides each tick whether the audio that waits is played as it is, faster, or not yet.
//
// All figures are in ticks of 20 ms, measured just before the tick takes its frame, so that 1 is the least
// with which nothing runs dry.
//
//   - At the start, and after the buffer was empty for a while, playing begins with startTicks waiting.
//   - When the buffer runs dry the frame is concealed and nothing is skipped: the audio that comes late is
//     still played, and the delay has grown by a frame by itself.
//   - The delay shrinks by a frame when a frame was to spare all through the last `patience` ticks.
//     A buffer that ran dry doubles the patience, so that jitter that recurs is not fought each time.
//   - More than highTicks all through the last quickTicks is what a stall leaves behind: every second tick
//     plays a pitch period less until the delay is at the target.
//   - More than limitTicks is dropped, oldest first.
type adapt struct {
	waiting bool // for startTicks of audio
	waited  int  // ticks since the first of it
	dry     int  // ticks in a row without audio

	least, ticks int // least level of the running patience window
	patience     int
	quick        [quickTicks]int16 // levels of the last ticks, in tenths of a tick
	at           int
	rushing      bool
	odd          bool
}

const (
	startTicks  = 2
	spareTicks  = 2 // the level that has a frame to spare
	highTicks   = 4
	targetTicks = 2 // where rushing ends
	limitTicks  = 50
	quickTicks  = 10
	dryTicks    = 3

	minPatience = 100 // 2 s
	maxPatience = 800
)

func newAdapt() adapt { return adapt{waiting: true, patience: minPatience, least: 1 << 30} }

// action is what adapt wants of a tick.
type action uint8

const (
	playOn   action = iota
	playLess        // leave out something
	playNone        // the audio waits
)

// tick takes the level in samples.
func (a *adapt) tick(level, frame int) action {
	if a.waiting {
		if level == 0 {
			a.waited = 0
			return playNone
		}
		if a.waited++; level < startTicks*frame && a.waited <= startTicks {
			return playNone
		}
		*a = adapt{patience: a.patience, least: 1 << 30}
	}
	tenths := int16(min(level*10/frame, 32000))
	a.quick[a.at%quickTicks] = tenths
	a.at++
	a.rush(tenths)
	if a.odd = !a.odd; a.rushing && a.odd {
		return playLess
	}
	a.least = min(a.least, level)
	if a.ticks++; a.ticks < a.patience {
		return playOn
	}
	spare := a.least >= spareTicks*frame
	a.ticks, a.least = 0, 1<<30
	a.patience = max(minPatience, a.patience/2)
	if spare && !a.rushing {
		return playLess
	}
	return playOn
}

func (a *adapt) rush(tenths int16) {
	if a.rushing {
		a.rushing = tenths > targetTicks*10
		return
	}
	if a.at < quickTicks {
		return
	}
	for _, l := range a.quick {
		if l <= highTicks*10 {
			return
		}
	}
	a.rushing = true
}

// fed tells whether a tick found audio.
func (a *adapt) fed(ok bool) {
	if ok {
		a.dry = 0
		return
	}
	if a.dry++; a.dry == 1 {
		a.patience = min(maxPatience, 2*a.patience)
		a.ticks, a.least = 0, 1<<30
	}
	if a.dry >= dryTicks {
		*a = adapt{waiting: true, patience: a.patience, least: 1 << 30}
	}
}
