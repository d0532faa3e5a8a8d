package turn

// expire handles every deadline that has passed, the earliest first.
func (m *machine) expire() {
	for range 2 * int(numTimers) { // each handler disarms or postpones its timer; the bound is a belt
		t, ok := m.due()
		if !ok || m.s.Over {
			return
		}
		m.s.timers[t] = 0
		m.fire(t)
	}
}

func (m *machine) due() (first timer, ok bool) {
	for i, at := range m.s.timers {
		t := timer(i)
		if at == 0 || at > m.now || m.s.suspended(t) {
			continue
		}
		if !ok || at < m.s.timers[first] {
			first, ok = t, true
		}
	}
	return first, ok
}

func (m *machine) fire(t timer) {
	s := &m.s
	switch t {
	case tEndpoint, tUtterance:
		if s.Caller != CallerQuiet {
			m.endOfSpeech()
		}
	case tDecide:
		m.decide()
	case tFinal:
		m.do(Action{Kind: Failed, Text: "stt"})
		last := m.lastAwaited()
		for _, id := range s.awaited {
			if id != 0 {
				m.do(Action{Kind: DropUtterance, Utterance: id})
			}
		}
		s.awaited = [maxAwaited]int{}
		if last <= s.unheard {
			m.settle()
			return
		}
		m.notRecognised()
	case tFiller:
		m.filler()
	case tReply:
		if s.Paused { // it may not sound: no fault of the vendor's
			m.arm(tReply, m.c.CutAfter)
			return
		}
		m.do(Action{Kind: Failed, Gen: s.Gen, Text: "reply"})
		m.replyFail(false)
	case tIdle:
		m.idle()
	case tDigits:
		if s.Agent == AgentQuiet && s.Caller == CallerQuiet {
			m.dialled()
		}
	case tMax:
		if !s.Ending() {
			m.endWith(LineTimeUp, "max_duration")
		}
	case tEnd:
		if s.reply == LineMessage {
			s.code = CodeMachine
		}
		m.cancel()
		m.hangup()
	case tOutset:
		m.outsetLate()
	}
}

// decide judges a paused reply.
func (m *machine) decide() {
	s := &m.s
	if !s.Paused {
		return
	}
	switch s.Caller {
	case CallerTalking:
		long := m.now >= s.pausedAt+m.maxPause()
		if s.partial != "" && isBackchannel(m.c.Backchannels, s.partial) && !long {
			m.armDecide()
			return
		}
		m.cut()
	case CallerQuiet: // short, and no words of it came: noise
		if a := m.lastAwaited(); a == s.utterance {
			m.arrived(a)
			m.do(Action{Kind: DropUtterance, Utterance: a})
		}
		m.resume()
	case CallerTrailing: // the endpoint comes first
		m.arm(tDecide, m.c.PauseEndpoint)
	}
}

func (m *machine) lastAwaited() int {
	last := 0
	for _, id := range m.s.awaited {
		last = max(last, id)
	}
	return last
}

func (m *machine) filler() {
	s := &m.s
	if s.Agent != AgentThinking || s.Ending() || s.audible {
		return
	}
	m.arm(tFiller, 4*m.c.FillerAfter)
	if s.Paused || s.Caller != CallerQuiet {
		return
	}
	m.do(Action{Kind: Filler, Gen: s.Gen, N: s.fillers})
	s.fillers++
}

func (m *machine) idle() {
	s := &m.s
	if s.Agent != AgentQuiet || s.Caller != CallerQuiet || s.Ending() {
		return
	}
	if s.reprompts < m.c.Reprompts {
		s.reprompts++
		m.say(LineReprompt, s.reprompts-1)
		return
	}
	m.endWith(LineGoodbye, "idle")
}
