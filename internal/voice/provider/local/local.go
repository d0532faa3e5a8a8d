// Package local is the built-in speech vendor: it needs no account and no network, only small programs of
// the operating system. flite and espeak-ng speak; pocketsphinx understands the menu of a flow and nothing
// else, which is why people are shown it as the demo recogniser.
//
//	local.go      the engine, its settings and what is missing of it
//	run.go        child processes: bounded in number, time and output, killed with everything they started
//	tts.go        speech from text, with a cache of sentences
//	trim.go       audio clean-up: WAV header, silence, noise
//	stt.go        recognition streams
//	recognise.go  one utterance: grammar decode, phone-loop decode, the decision
//	grammar.go    grammars: their words and pronunciations
//	calibrate.go  a threshold for each grammar that is used often
//
// An Engine is shared by all calls. Every child runs in the engine's own directory, which Close removes.
package local

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/coder/quartz"
	"github.com/maypok86/otter/v2"

	"github.com/parley-voice/parley/internal/voice/provider"
)

// Vendor is the name in errors and logs.
const Vendor = "local"

// RecogniserName is what people are shown.
const RecogniserName = "demo recogniser"

// Config sets an Engine up. Zero values mean the default in brackets.
type Config struct {
	Workers      int           // child processes at once [number of cores]
	QueueTimeout time.Duration // wait for a free one [5 s]
	Timeout      time.Duration // of one child [8 s]
	CacheBytes   uint64        // synthesised sentences kept in memory [32 MiB]
	ModelDir     string        // pocketsphinx's English model [/usr/share/pocketsphinx/model/en-us]
	TempDir      string        // where the private directory is made [the system's]
	Path         string        // where programs are searched [PATH]
	// Threshold is how much worse, per frame, an utterance may fit the grammar than free phones [36, or 32 for wide-band sound].
	Threshold float64
	Seed      uint64 // of the noise added before recognition
	Clock     quartz.Clock
	Log       *slog.Logger
}

// Engine is the vendor: a provider.STT and a provider.TTS.
type Engine struct {
	c        Config
	dir      string
	programs map[string]string // name → path, of those that are there
	model    bool
	pool     chan struct{}
	spoken   *otter.Cache[sentence, []int16]
	grammars *otter.Cache[string, *grammar]

	calibration *calibration
}

// New makes an engine. Missing programs are no error: Check tells of them, and their services say so.
func New(c Config) (*Engine, error) {
	c = c.withDefaults()
	dir, err := os.MkdirTemp(c.TempDir, "parley-speech-") // 0700: what callers say is nobody's business
	if err != nil {
		return nil, fmt.Errorf("local: make a private directory for speech: %w; set a temporary directory that can be written", err)
	}
	e := &Engine{c: c, dir: dir, programs: map[string]string{}, pool: make(chan struct{}, c.Workers), calibration: newCalibration()}
	for _, p := range []string{flite, espeak, pocketsphinx} {
		if path := find(p, c.Path); path != "" {
			e.programs[p] = path
		}
	}
	_, err = os.Stat(filepath.Join(c.ModelDir, "cmudict-en-us.dict"))
	e.model = err == nil
	e.spoken, err = otter.New(&otter.Options[sentence, []int16]{MaximumWeight: c.CacheBytes,
		Weigher: func(k sentence, pcm []int16) uint32 { return uint32(2*len(pcm) + len(k.text) + 100) }}) //nolint:gosec // bounded by maxOutput
	if err != nil {
		return nil, errors.Join(fmt.Errorf("local: make the cache of sentences: %w", err), os.RemoveAll(dir))
	}
	e.grammars, err = otter.New(&otter.Options[string, *grammar]{MaximumSize: maxGrammars})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("local: make the cache of grammars: %w", err), os.RemoveAll(dir))
	}
	return e, nil
}

func (c Config) withDefaults() Config {
	if c.Workers <= 0 {
		c.Workers = runtime.NumCPU()
	}
	if c.QueueTimeout <= 0 {
		c.QueueTimeout = 5 * time.Second
	}
	if c.Timeout <= 0 {
		c.Timeout = 8 * time.Second
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 32 << 20
	}
	if c.ModelDir == "" {
		c.ModelDir = "/usr/share/pocketsphinx/model/en-us"
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Close ends calibration and removes the engine's directory. Running children end with their own contexts.
func (e *Engine) Close() error {
	e.calibration.stop()
	e.spoken.StopAllGoroutines()
	e.grammars.StopAllGoroutines()
	return os.RemoveAll(e.dir)
}

// The programs.
const (
	flite        = "flite"
	espeak       = "espeak-ng"
	pocketsphinx = "pocketsphinx_batch"
)

// find looks for a program in path, or in PATH when that is empty.
func find(name, path string) string {
	if path == "" {
		p, err := exec.LookPath(name)
		if err != nil {
			return ""
		}
		return p
	}
	for _, dir := range filepath.SplitList(path) {
		full := filepath.Join(dir, name)
		if info, err := os.Stat(full); err == nil && info.Mode().IsRegular() && info.Mode()&fs.FileMode(0o111) != 0 {
			return full
		}
	}
	return ""
}

// Status is what of the engine works.
type Status struct {
	Speech      bool     // text can be spoken
	Recognition bool     // menus can be understood
	Missing     []string // Debian packages that would add something
}

// OK reports whether everything is there.
func (s Status) OK() bool { return s.Speech && s.Recognition && len(s.Missing) == 0 }

// String says in a line what is missing and what works all the same.
func (s Status) String() string {
	if len(s.Missing) == 0 {
		return "Built-in speech is ready: voices, and the " + RecogniserName + " for menus."
	}
	works := "the agent sim, and agents with a speech server (see Models)"
	if s.Speech { // an agent that cannot speak cannot hold a call, whatever the caller uses
		works += "; built-in: speaking, typing and telephone keys"
		if s.Recognition {
			works += ", understanding menus"
		}
	}
	return fmt.Sprintf("Built-in speech is incomplete; install %s. What works: %s.", strings.Join(s.Missing, " "), works)
}

// Check tells what of the engine works.
func (e *Engine) Check() Status {
	s := Status{Speech: e.programs[flite] != "" || e.programs[espeak] != "",
		Recognition: e.programs[pocketsphinx] != "" && e.model}
	for _, p := range []struct {
		there   bool
		pkgName string
	}{{e.programs[flite] != "", "flite"}, {e.programs[espeak] != "", "espeak-ng"}, {e.programs[pocketsphinx] != "", "pocketsphinx"},
		{e.model, "pocketsphinx-en-us"}} {
		if !p.there {
			s.Missing = append(s.Missing, p.pkgName)
		}
	}
	return s
}

// Check tells what of an engine set up by c would work, without making one.
func Check(c Config) Status {
	c = c.withDefaults()
	e := Engine{c: c, programs: map[string]string{}}
	for _, p := range []string{flite, espeak, pocketsphinx} {
		if path := find(p, c.Path); path != "" {
			e.programs[p] = path
		}
	}
	_, err := os.Stat(filepath.Join(c.ModelDir, "cmudict-en-us.dict"))
	e.model = err == nil
	return e.Check()
}

func fail(s provider.Service, code string, fatal bool, cause error, format string, args ...any) *provider.Error {
	return &provider.Error{Service: s, Vendor: Vendor, Code: code, Fatal: fatal, Cause: cause, Message: fmt.Sprintf(format, args...)}
}
