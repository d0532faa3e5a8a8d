package simulate

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// People is how the people who are called behave.
type People struct {
	// Answer is the chance that a person takes a call, by the hour of their clock.
	Answer [24]float64 `json:"answer"`
	// Of those who do not take it themselves: a machine does, the line is busy, or it rings on.
	Machine float64 `json:"machine" doc:"Share of the calls that no person takes which a machine answers"`
	Busy    float64 `json:"busy" doc:"Share of the calls that no person takes where the line is busy"`
	Invalid float64 `json:"invalid" doc:"Share of the numbers that do not exist"`
	Failed  float64 `json:"failed" doc:"Share of the calls that the carrier fails to carry"`

	RingSeconds float64 `json:"ringSeconds" doc:"Until somebody answers, on average"`
	TalkSeconds float64 `json:"talkSeconds" doc:"Of a conversation: the median"`
	TalkSpread  float64 `json:"talkSpread" doc:"Of the conversations' length: the standard deviation of its logarithm"`

	Refuse   float64 `json:"refuse" doc:"Share of the people spoken to who say no"`
	OptOut   float64 `json:"optOut" doc:"Share of the people spoken to who ask not to be called again"`
	Callback float64 `json:"callback" doc:"Share of the people spoken to who ask to be called another time"`

	Operators     int     `json:"operators" doc:"Who take calls, in modes with operators"`
	WrapUpSeconds float64 `json:"wrapUpSeconds" doc:"After each call of an operator"`
}

// UsualPeople is a guess of ours: more people answer after work than at noon.
func UsualPeople() People {
	p := People{Machine: 0.35, Busy: 0.05, Invalid: 0.02, Failed: 0.01, RingSeconds: 9, TalkSeconds: 60, TalkSpread: 0.7, Refuse: 0.1, OptOut: 0.02, Callback: 0.05, WrapUpSeconds: 20}
	for h := range p.Answer {
		switch {
		case h < 8 || h > 20:
			p.Answer[h] = 0.1
		case h >= 17:
			p.Answer[h] = 0.35
		default:
			p.Answer[h] = 0.22
		}
	}
	return p
}

// Check says what is wrong with it; field is put before the names of its fields.
func (p *People) Check(field string) error {
	for h, share := range p.Answer {
		if !isShare(share) {
			return fault.Field(field+"answer", "the chance at %d o'clock is from 0 to 1", h)
		}
	}
	for _, s := range []struct {
		name  string
		share float64
	}{{"machine", p.Machine}, {"busy", p.Busy}, {"invalid", p.Invalid}, {"failed", p.Failed}, {"refuse", p.Refuse}, {"optOut", p.OptOut}, {"callback", p.Callback}} {
		if !isShare(s.share) {
			return fault.Field(field+s.name, "from 0 to 1")
		}
	}
	switch {
	case p.Machine+p.Busy > 1:
		return fault.Field(field+"busy", "machine and busy are at most 1 together")
	case p.Refuse+p.OptOut+p.Callback > 1:
		return fault.Field(field+"callback", "refuse, optOut and callback are at most 1 together")
	case !(p.RingSeconds >= 0 && p.RingSeconds <= 300):
		return fault.Field(field+"ringSeconds", "from 0 to 300")
	case !(p.TalkSeconds > 0 && p.TalkSeconds <= 7200):
		return fault.Field(field+"talkSeconds", "from 0 to 7200")
	case !(p.TalkSpread >= 0 && p.TalkSpread <= 2):
		return fault.Field(field+"talkSpread", "from 0 to 2")
	case !(p.WrapUpSeconds >= 0 && p.WrapUpSeconds <= 3600):
		return fault.Field(field+"wrapUpSeconds", "from 0 to 3600")
	case p.Operators < 0 || p.Operators > 10_000:
		return fault.Field(field+"operators", "from 0 to 10000")
	}
	return nil
}

func isShare(x float64) bool { return x >= 0 && x <= 1 }

// reaction is what one person does with one call.
type reaction struct {
	outcome  dial.Outcome
	after    time.Duration // until it is answered, or over where nobody answers
	answered bool          // by somebody or something
	talk     time.Duration
	callback time.Duration // from the end of the call
}

// react makes up what a person does with a call that begins at a local time.
func (p *People) react(r *rand.Rand, local time.Time, ring time.Duration) reaction {
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	rung := seconds(p.RingSeconds * (0.4 + 1.2*r.Float64()))
	switch {
	case r.Float64() < p.Failed:
		return reaction{outcome: dial.Failed, after: seconds(0.5 + r.Float64())}
	case r.Float64() < p.Invalid:
		return reaction{outcome: dial.Invalid, after: seconds(0.5 + r.Float64())}
	case r.Float64() < p.Answer[local.Hour()] && rung <= ring:
		talk := seconds(p.TalkSeconds * math.Exp(p.TalkSpread*r.NormFloat64()))
		return p.spoken(r, rung, min(talk, 2*time.Hour))
	}
	switch x := r.Float64(); {
	case x < p.Machine:
		return reaction{outcome: dial.Machine, after: min(seconds(15+10*r.Float64()), ring), answered: true, talk: seconds(4)}
	case x < p.Machine+p.Busy:
		return reaction{outcome: dial.Busy, after: seconds(1 + r.Float64())}
	}
	return reaction{outcome: dial.NoAnswer, after: ring}
}

// spoken is what comes of a conversation.
func (p *People) spoken(r *rand.Rand, rung, talk time.Duration) reaction {
	out := reaction{outcome: dial.Answered, after: rung, answered: true, talk: talk}
	switch x := r.Float64(); {
	case x < p.Refuse:
		out.outcome, out.talk = dial.Refused, talk/3
	case x < p.Refuse+p.OptOut:
		out.outcome, out.talk = dial.OptOut, talk/4
	case x < p.Refuse+p.OptOut+p.Callback:
		out.outcome, out.talk = dial.Callback, talk/2
		out.callback = time.Duration(1+r.IntN(47)) * time.Hour
	}
	return out
}
