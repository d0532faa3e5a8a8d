package turn

// The outset of a call that we placed: who answered, what must be said first, and the message for a machine. Until
// the brain is asked for the first time, what the far end says is no turn; it is recognised all the same.

// Codes of hang-ups that are the outset's.
const (
	CodeMachine     = "machine" // and no message was left, or not all of it
	CodeMessage     = "message" // a machine has a message
	CodeUndisclosed = "disclosure_failed"
	CodeOptedOut    = "opted_out"
)

// maxRestarts bounds how often a message is begun anew because another beep came: some machines beep for each
// message that they hold.
const maxRestarts = 3

// lateTurns is how many turns a machine's greeting may have been taken for: it pauses between sentences.
const lateTurns = 2

// AtOutset says that the conversation has not begun.
func (s *State) AtOutset() bool {
	return s.detecting || s.waiting || s.Agent != AgentQuiet && (s.reply == LineDisclosure || s.reply == LineMessage)
}

// Unheard says that an utterance is no turn: it was said before the conversation began.
func (s *State) Unheard(utterance int) bool { return utterance <= s.unheard || s.AtOutset() }

// Detecting says that it is not known yet who answered.
func (s *State) Detecting() bool { return s.detecting }

// Waiting says that a machine's greeting is waited out.
func (s *State) Waiting() bool { return s.waiting }

// Collecting says that dialled digits are an answer to a question.
func (s *State) Collecting() bool { return s.collecting }

func (m *machine) outsetEvent(e Event) {
	s := &m.s
	switch e.Kind {
	case Answered:
		if s.detecting {
			m.talk()
		}
	case AnsweredMachine:
		m.machineAnswered()
	case Unusable:
		if !s.leaving {
			m.leave(e.Text)
		}
	case Record:
		m.record()
	case OptOut:
		if s.reply != LineOptedOut {
			m.optOut()
		}
	}
}

// outsetLate: nobody can say who answered, or the machine never came to its end.
func (m *machine) outsetLate() {
	switch {
	case m.s.detecting:
		m.talk()
	case m.s.waiting:
		m.leave(CodeMachine)
	}
}

// talk begins the conversation.
func (m *machine) talk() {
	s := &m.s
	s.detecting, s.waiting = false, false
	m.disarm(tOutset)
	m.open()
}

// open says what must be said first, one text after the other, and then what the call is about.
func (m *machine) open() {
	s := &m.s
	if s.disclosed < m.c.Disclosures {
		m.say(LineDisclosure, s.disclosed)
		return
	}
	// Who speaks while the conversation begins is heard; what was said before is not answered.
	s.unheard = s.utterance
	if s.Caller != CallerQuiet {
		s.unheard--
	}
	m.forget()
	switch {
	case s.leaving:
		m.say(LineMessage, 0)
		m.hush()
		s.after, s.code = AfterHangup, CodeMessage
		m.arm(tEnd, m.c.MessageFor)
	case s.doomed:
		s.doomed = false
		m.apologise()
	default:
		m.newReply(0)
		m.give(Input{}, false)
	}
}

// machineAnswered: it did from the beginning, or what was taken for a person has turned out to be one. A
// conversation that has gone on for more than lateTurns is not taken back.
func (m *machine) machineAnswered() {
	s := &m.s
	if s.waiting || s.leaving || s.Ending() || s.Turn > lateTurns || !m.c.Detect {
		return
	}
	switch m.c.OnMachine {
	case MachineTalk:
		if s.detecting {
			m.talk()
		}
	case MachineMessage:
		m.cancel()
		s.detecting, s.waiting, s.disclosed = false, true, 0
		s.collecting, s.digits = false, ""
		m.disarm(tIdle, tDigits)
		m.arm(tOutset, m.c.MessageWait)
	default:
		m.leave(CodeMachine)
	}
}

// record says the message, or says it again when the machine begins to record only now.
func (m *machine) record() {
	s := &m.s
	switch {
	case s.waiting:
		s.waiting, s.leaving = false, true
	case s.leaving && s.AtOutset() && s.restarts < maxRestarts:
		s.restarts++
		s.after, s.code = AfterListen, ""
		m.disarm(tEnd)
	default:
		return
	}
	s.disclosed = 0
	m.disarm(tOutset)
	m.open()
}

// unsaid: what had to be said could not be. Without its disclosure a call does not go on.
func (m *machine) unsaid() {
	code := CodeMachine
	if m.s.reply == LineDisclosure {
		code = CodeUndisclosed
	}
	m.leave(code)
}

// leave hangs up at once.
func (m *machine) leave(code string) {
	m.hush()
	m.cancel()
	m.s.code = code
	m.hangup()
}

// optOut acknowledges it and ends the call.
func (m *machine) optOut() {
	if m.s.handing { // somebody else has them
		return
	}
	m.endWith(LineOptedOut, CodeOptedOut)
}
