package turn

// begin greets.
func (m *machine) begin() {
	if m.s.Begun {
		return
	}
	m.s.Begun = true
	m.arm(tMax, m.c.MaxDuration)
	if m.c.Detect {
		m.s.detecting = true
		m.arm(tOutset, m.c.DetectFor)
		return
	}
	m.open()
}

// newReply ends the reply alive and begins another generation.
func (m *machine) newReply(line Line) {
	m.cancel()
	s := &m.s
	s.Gen++
	s.Agent, s.reply = AgentThinking, line
	s.asked, s.audible, s.broken = false, false, false
	m.disarm(tIdle, tDigits)
}

// cancel drops the reply alive, if any.
func (m *machine) cancel() {
	s := &m.s
	if s.Agent == AgentQuiet {
		return
	}
	m.do(Action{Kind: Cancel, Gen: s.Gen, Cut: s.audible})
	s.Agent, s.Paused = AgentQuiet, false
	m.disarm(tFiller, tReply, tDecide)
	if s.reply == LineGoodbye {
		m.stay()
	}
}

// stay takes a goodbye back: the caller is there after all.
func (m *machine) stay() {
	m.s.after, m.s.code = AfterListen, ""
	m.disarm(tEnd)
}

// cut ends a paused reply: the caller has something to say. A turn of which nothing was answered yet is
// taken back and continued.
func (m *machine) cut() {
	s := &m.s
	if s.asked && !s.audible && s.reply == 0 && s.input.Kind == InputSpeech {
		s.text = join(s.input.Text, s.text)
		s.conf = s.input.Confidence
		s.continues = true
	}
	m.cancel()
	if s.Caller == CallerQuiet {
		m.newReply(0)
		m.armFiller()
	}
}

// resume lets a paused reply go on.
func (m *machine) resume() {
	s := &m.s
	if !s.Paused {
		return
	}
	s.Paused = false
	m.disarm(tDecide)
	m.do(Action{Kind: Resumed, Gen: s.Gen})
	if s.asked {
		s.spoken = 0
	}
	m.settle()
}

// ask gives a turn to the brain.
func (m *machine) ask(in Input) {
	s := &m.s
	if s.Agent == AgentQuiet || s.asked {
		m.newReply(0)
	}
	s.Turn++
	s.retried = false
	s.reprompts = 0
	s.collecting, s.digits = false, ""
	m.disarm(tDigits, tIdle, tFinal)
	m.forget()
	m.give(in, false)
	if s.timers[tFiller] == 0 {
		m.armFiller()
	}
}

func (m *machine) give(in Input, retry bool) {
	m.s.input, m.s.asked = in, true
	m.arm(tReply, m.c.ReplyTimeout)
	m.do(Action{Kind: Ask, Gen: m.s.Gen, Input: in, Retry: retry})
}

// say speaks a line of the machine's own.
func (m *machine) say(line Line, n int) {
	m.newReply(line)
	m.s.asked = true
	m.arm(tReply, m.c.ReplyTimeout)
	m.do(Action{Kind: Say, Gen: m.s.Gen, Line: line, N: n})
}

func (m *machine) armFiller() {
	if m.c.FillerAfter > 0 {
		m.arm(tFiller, m.c.FillerAfter)
	}
}

// replyEvent is news of the reply alive.
func (m *machine) replyEvent(e Event) {
	s := &m.s
	switch e.Kind {
	case FirstFrame:
		s.Agent, s.audible = AgentSpeaking, true
		m.disarm(tFiller, tReply)
	case ReplyDone:
		m.replyDone()
	case ReplyFail:
		m.replyFail(e.Fatal)
	case Collect:
		if !s.Ending() {
			s.collecting, s.rule, s.digits = true, e.Rule, ""
		}
	case Hangup:
		m.lastWords(AfterHangup, e.Text)
	case Transfer:
		s.target = e.Text
		m.lastWords(AfterTransfer, "transferred")
	}
}

// lastWords: after this reply the agent leaves, and the caller can no longer interrupt.
func (m *machine) lastWords(after After, code string) {
	s := &m.s
	if s.Ending() {
		return
	}
	if s.Paused {
		s.Paused = false
		m.do(Action{Kind: Resumed, Gen: s.Gen})
	}
	m.hush()
	s.after, s.code = after, code
	s.collecting, s.digits = false, ""
	m.arm(tEnd, m.c.EndWithin)
}

// replyDone: everything was heard.
func (m *machine) replyDone() {
	s := &m.s
	if s.audible && !s.broken && s.reply == 0 {
		s.failures = 0
	}
	s.Agent = AgentQuiet
	m.disarm(tFiller, tReply)
	if s.reply == LineDisclosure {
		s.disclosed++
		m.open()
		return
	}
	if s.reply == LineGoodbye && (s.Caller != CallerQuiet || s.awaited[0] != 0) {
		m.stay()
	}
	switch s.after {
	case AfterHangup:
		m.hangup()
		return
	case AfterTransfer:
		s.after, s.handing = AfterListen, true
		m.disarm(tIdle)
		m.arm(tEnd, m.c.EndWithin)
		m.do(Action{Kind: DoTransfer, Text: s.target})
		return
	}
	if s.Paused { // the interruption came too late: it is a turn like any other
		s.Paused = false
		m.disarm(tDecide)
		if s.Caller == CallerTrailing {
			m.armEndpoint()
		}
	}
	if s.Caller == CallerQuiet && s.awaited[0] != 0 { // its words are on their way
		m.newReply(0)
		m.armFiller()
		return
	}
	if s.text != "" {
		m.settle()
		return
	}
	m.listen()
}

func (m *machine) hangup() {
	m.do(Action{Kind: DoHangup, Text: m.s.code})
	m.s.Over = true
}

// replyFail: one more try where nothing was heard, then the apology.
func (m *machine) replyFail(fatal bool) {
	s := &m.s
	switch s.reply {
	case LineApology, LineOptedOut:
		m.hangup()
		return
	case LineDisclosure, LineMessage:
		m.unsaid()
		return
	}
	s.failures++
	switch {
	case fatal || s.failures > 1 || s.reply != 0:
		m.apologise()
	case s.audible:
		s.broken = true // what there is plays to its end; the caller may ask again
	default:
		// The pause of a possible interruption outlives the retry.
		paused, pausedAt, decide := s.Paused, s.pausedAt, s.timers[tDecide]
		in, filler := s.input, s.timers[tFiller]
		m.newReply(0)
		s.Paused, s.pausedAt, s.timers[tDecide], s.timers[tFiller] = paused, pausedAt, decide, filler
		s.retried = true
		m.give(in, true)
	}
}

// apologise is the end of a call that cannot go on.
func (m *machine) apologise() {
	if m.s.AtOutset() {
		m.s.doomed = true
		return
	}
	m.endWith(LineApology, "vendor_failed")
}

func (m *machine) endWith(line Line, code string) {
	s := &m.s
	m.hush()
	s.after, s.handing = AfterListen, false
	s.detecting, s.waiting, s.leaving = false, false, false
	m.disarm(tOutset)
	m.say(line, 0)
	s.after, s.code = AfterHangup, code
	s.collecting, s.digits = false, ""
	if line != LineGoodbye {
		m.disarm(tMax)
	}
	m.arm(tEnd, m.c.EndWithin)
}

func (m *machine) transferFailed(e Event) {
	if !m.s.handing {
		return
	}
	m.s.handing = false
	m.disarm(tEnd)
	m.ask(Input{Kind: InputTransferFailed, Text: e.Text})
}
