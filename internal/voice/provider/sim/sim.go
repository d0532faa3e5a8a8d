// Package sim is the simulated vendor: speech recognition, language model and voice without any engine, for
// tests, load and rehearsal. Each service answers after a latency drawn from a set distribution and fails
// at a set rate; both are zero by default, and all chance comes from one seed.
//
//   - latency.go: the distributions; fault.go: how a service fails
//   - stt.go: tells speech from silence by its energy and gives texts in order
//   - llm.go: answers from templates, word by word, and can use tools
//   - tts.go: speech-like sound, 60 ms a character, cut from a bank made once
//
// New makes the bank; Vendor.Call gives each call its own cheap vendor with its own seed.
package sim

import (
	"math/rand/v2"
	"sync"

	"github.com/coder/quartz"
)

// Name is how the vendor is called in logs and errors.
const Name = "sim"

// Config sets up a Vendor. The zero values, the clock aside, answer at once and never fail.
type Config struct {
	Clock quartz.Clock
	Seed  uint64
	STT   STTConfig
	LLM   LLMConfig
	TTS   TTSConfig
}

// Vendor is all three services: use it as provider.LLM or provider.TTS, and its STT method for
// recognition.
type Vendor struct {
	cfg  Config
	bank *bank

	mu  sync.Mutex
	rnd *rand.Rand
}

// New makes a vendor.
func New(c Config) *Vendor {
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	return newVendor(c, newBank(c.TTS.rate()))
}

func newVendor(c Config, b *bank) *Vendor {
	return &Vendor{cfg: c, bank: b, rnd: rand.New(rand.NewPCG(c.Seed, 0x5eed))}
}

// Call gives a vendor with a seed of its own that shares the bank of sound.
func (v *Vendor) Call(seed uint64) *Vendor {
	c := v.cfg
	c.Seed = seed
	return newVendor(c, v.bank)
}

// draw takes a latency and a fault from the vendor's chance.
func (v *Vendor) draw(l Latency, f Faults) outcome {
	v.mu.Lock()
	defer v.mu.Unlock()
	o := f.draw(v.rnd)
	o.delay += l.draw(v.rnd)
	return o
}
