package turn

import "time"

// speechStart: the VAD hears speech.
func (m *machine) speechStart(e Event) {
	s := &m.s
	if s.Ending() || s.Held {
		return
	}
	if s.Caller == CallerTrailing { // not finished after all
		s.Caller = CallerTalking
		m.disarm(tEndpoint)
		m.armDecide()
		return
	}
	if s.Caller == CallerTalking {
		return
	}
	s.Caller = CallerTalking
	s.utterance++
	s.open, s.partial = true, ""
	s.speechAt = m.now - e.Lag
	m.do(Action{Kind: BeginUtterance, Utterance: s.utterance})
	m.arm(tUtterance, m.c.MaxUtterance)
	m.disarm(tIdle, tDigits)
	if s.Agent != AgentQuiet && m.c.Interrupt && s.reply != LineDisclosure {
		if !s.Paused {
			s.Paused, s.pausedAt = true, m.now
			m.do(Action{Kind: Paused, Gen: s.Gen})
		}
		m.armDecide()
	}
}

// armDecide sets when a paused reply is judged: when CutAfter of speech is certain, and at the latest after
// maxPause, however the speech is broken up.
func (m *machine) armDecide() {
	if !m.s.Paused {
		return
	}
	at := m.s.speechAt + m.c.CutAfter + m.c.Hang
	if at <= m.now { // judged once, and still a backchannel: look again
		at = m.now + m.c.CutAfter
	}
	m.s.timers[tDecide] = max(min(at, m.s.pausedAt+m.maxPause()), m.now+1)
}

// maxPause is how long a reply waits at most while the caller makes sounds.
func (m *machine) maxPause() time.Duration { return 3*m.c.CutAfter + m.c.Hang }

// speechEnd: the VAD hears no more; whether the turn is over, the endpoint timer says.
func (m *machine) speechEnd(e Event) {
	s := &m.s
	if s.Caller != CallerTalking {
		return
	}
	s.Caller = CallerTrailing
	s.quietAt = m.now - e.Lag
	m.disarm(tDecide)
	m.armEndpoint()
}

// armEndpoint sets how much silence ends the turn.
func (m *machine) armEndpoint() {
	s := &m.s
	wait := m.c.Endpoint
	if s.Paused {
		wait = m.c.PauseEndpoint
	} else {
		wait = patience(wait, s.partial, s.quietAt-s.speechAt)
	}
	m.arm(tEndpoint, max(0, s.quietAt+wait-m.now))
}

func (m *machine) onPartial(e Event) {
	s := &m.s
	if !s.open || e.Utterance != s.utterance || e.Text == "" {
		return
	}
	s.partial = e.Text
	if s.Paused && !isBackchannel(m.c.Backchannels, e.Text) {
		m.cut()
	}
	if s.Caller == CallerTrailing {
		m.armEndpoint()
	}
}

// endOfSpeech closes the utterance and waits for its words.
func (m *machine) endOfSpeech() {
	s := &m.s
	if s.Caller == CallerTalking {
		s.quietAt = m.now
	}
	s.Caller, s.open = CallerQuiet, false
	m.disarm(tEndpoint, tUtterance, tDecide)
	s.spoken += max(0, s.quietAt-s.speechAt)
	m.await(s.utterance)
	m.do(Action{Kind: EndUtterance, Utterance: s.utterance, Cut: s.Paused})
	m.arm(tFinal, m.c.STTTimeout)
	switch {
	case s.Paused:
		m.arm(tDecide, m.c.Confirm)
	case s.Agent == AgentQuiet && !s.AtOutset():
		m.newReply(0)
		m.armFiller()
	}
}

// await remembers that a final will come.
func (m *machine) await(id int) {
	a := &m.s.awaited
	for i, v := range a {
		if v == 0 {
			a[i] = id
			return
		}
	}
	m.do(Action{Kind: DropUtterance, Utterance: a[0]})
	copy(a[:], a[1:])
	a[maxAwaited-1] = id
}

// arrived forgets an awaited final; false means that nobody waits for it any more.
func (m *machine) arrived(id int) bool {
	for i, v := range m.s.awaited {
		if v == id && id != 0 {
			copy(m.s.awaited[i:], m.s.awaited[i+1:])
			m.s.awaited[maxAwaited-1] = 0
			if m.s.awaited[0] == 0 {
				m.disarm(tFinal)
			}
			return true
		}
	}
	return false
}

func (m *machine) final(e Event) {
	s := &m.s
	if !m.arrived(e.Utterance) {
		return
	}
	if e.Utterance <= s.unheard || s.AtOutset() {
		s.deaf = 0
		m.settle()
		return
	}
	judged := s.Paused && e.Utterance == s.utterance && s.Caller == CallerQuiet
	switch {
	case judged && e.Text == "":
		m.resume()
		return
	case judged && isBackchannel(m.c.Backchannels, e.Text):
		m.do(Action{Kind: Backchannel, Utterance: e.Utterance, Text: e.Text})
		m.resume()
		return
	}
	if e.Text != "" {
		if s.text == "" {
			s.conf = e.Confidence
		}
		s.text, s.conf = join(s.text, e.Text), min(s.conf, e.Confidence)
	}
	s.deaf = 0
	if judged {
		m.cut()
	}
	m.settle()
}

func (m *machine) recogniseFail(e Event) {
	if e.Fatal {
		m.arrived(e.Utterance)
		m.apologise()
		return
	}
	switch {
	case !m.arrived(e.Utterance):
	case e.Utterance <= m.s.unheard:
		m.settle()
	default:
		m.notRecognised()
	}
}

// notRecognised: the words of an utterance will never come.
func (m *machine) notRecognised() {
	s := &m.s
	if s.Paused && s.Caller == CallerQuiet {
		m.resume()
	}
	s.deaf++
	if s.deaf > 1 {
		m.apologise()
		return
	}
	if !s.AtOutset() {
		s.spoken = max(s.spoken, m.c.UnclearAfter) // something was said: ask about it
	}
	m.settle()
}

// settle gives the turn to the brain when the caller has finished and all words are there.
func (m *machine) settle() {
	s := &m.s
	if s.Caller != CallerQuiet || s.awaited[0] != 0 || s.Paused || s.Ending() {
		return
	}
	if s.AtOutset() {
		m.forget()
		return
	}
	if s.Agent != AgentQuiet && s.asked {
		if !m.c.Interrupt {
			m.forget() // talked over the agent, who does not let itself be interrupted
		}
		return
	}
	switch {
	case s.text != "":
		m.ask(Input{Kind: InputSpeech, Text: s.text, Confidence: s.conf, Continues: s.continues})
	case s.continues: // a noise took the answer's place: answer what was said before
		in := s.input
		in.Continues = true
		m.ask(in)
	case s.spoken >= m.c.UnclearAfter:
		m.ask(Input{Kind: InputUnclear})
	case s.Agent == AgentThinking: // a noise
		m.cancel()
		m.listen()
	default:
		m.listen()
	}
}

// forget drops what was gathered for the next turn.
func (m *machine) forget() {
	s := &m.s
	s.text, s.conf, s.spoken, s.continues = "", 0, 0, false
}

// hush drops the utterance under way and those awaited: something else counts now.
func (m *machine) hush() {
	s := &m.s
	if s.open {
		m.do(Action{Kind: DropUtterance, Utterance: s.utterance})
	}
	for _, id := range s.awaited {
		if id != 0 {
			m.do(Action{Kind: DropUtterance, Utterance: id})
		}
	}
	s.awaited = [maxAwaited]int{}
	s.open, s.Caller, s.Paused = false, CallerQuiet, false
	m.disarm(tEndpoint, tUtterance, tDecide, tFinal)
	m.forget()
}

func (m *machine) typed(e Event) {
	if m.s.Ending() || m.s.AtOutset() || e.Text == "" {
		return
	}
	m.hush()
	m.ask(Input{Kind: InputText, Text: e.Text, Confidence: 1})
}

func (m *machine) digit(e Event) {
	s := &m.s
	if s.Ending() || s.AtOutset() {
		return
	}
	m.hush() // the tone itself may have sounded like speech
	if s.Agent != AgentQuiet {
		m.cancel()
	}
	rule := m.c.Digits
	if s.collecting {
		rule = s.rule
	}
	m.disarm(tIdle)
	if e.Digit == rule.Terminator && rule.Terminator != 0 {
		if s.digits != "" || s.collecting {
			m.dialled()
			return
		}
	} else {
		s.digits += string(rune(e.Digit))
	}
	if len(s.digits) >= rule.Max {
		m.dialled()
		return
	}
	m.arm(tDigits, rule.Inter)
}

// dialled gives the digits to the brain.
func (m *machine) dialled() {
	if m.s.digits == "" {
		m.ask(Input{Kind: InputSilence})
		return
	}
	m.ask(Input{Kind: InputDigits, Text: m.s.digits, Confidence: 1})
}

// hold stops the clocks, all but those that bound the call.
func (m *machine) hold(on bool) {
	s := &m.s
	if on == s.Held {
		return
	}
	s.Held = on
	if on {
		s.heldAt = m.now
		if s.Caller == CallerTalking {
			m.speechEnd(Event{})
		}
		return
	}
	away := m.now - s.heldAt
	for t := range s.timers {
		if s.timers[t] != 0 && timer(t) != tMax && timer(t) != tEnd {
			s.timers[t] += away
		}
	}
	s.pausedAt += away
	s.quietAt += away
	s.speechAt += away
}

// listen waits for the caller.
func (m *machine) listen() {
	s := &m.s
	if s.Agent != AgentQuiet || s.Caller != CallerQuiet || s.awaited[0] != 0 {
		return
	}
	m.forget()
	if s.collecting || s.digits != "" {
		wait := s.rule.First
		if s.digits != "" {
			wait = s.rule.Inter
		}
		m.arm(tDigits, positive(wait, m.c.Idle))
		return
	}
	m.arm(tIdle, m.c.Idle)
}

func positive(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
