// Package providertest holds the conformance suites of speech and language vendors: one for each kind,
// run against every adapter. They test what package provider promises and the session relies on; what is
// particular to a vendor (its wire, its errors) the adapter tests itself.
//
// An adapter's test calls STT, LLM or TTS with a case that builds it against a real engine or a server
// of the test's own:
//
//	func TestConformance(t *testing.T) {
//		providertest.TTS(t, providertest.TTSCase{
//			New:     func(t testing.TB) provider.TTS { return newAdapter(t, goodServer(t)) },
//			Hanging: func(t testing.TB) provider.TTS { return newAdapter(t, silentServer(t)) },
//			Failing: func(t testing.TB) provider.TTS { return newAdapter(t, brokenServer(t)) },
//		})
//	}
//
// Builders register their clean-up with t.Cleanup; every sub-test checks afterwards that no goroutine is
// left, so idle connections must be closed there too.
package providertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/voice/provider"
)

// patience is how long a suite waits for what must come. It bounds a failing test; a passing one never
// waits that long.
const patience = 20 * time.Second

// promptly is the second that the contract allows after a context's end, and slack for a busy machine.
const promptly = 4 * time.Second

// run is one sub-test: nothing it starts may outlive it.
func run(t *testing.T, name string, fn func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		before := goleak.IgnoreCurrent()
		// Clean-ups run last in, first out: this one comes after those of the adapter's builder.
		t.Cleanup(func() {
			if err := goleak.Find(before); err != nil {
				t.Errorf("goroutines are left: %v", err)
			}
		})
		fn(t)
	})
}

// within runs fn and fails when it takes longer than d.
func within(t *testing.T, d time.Duration, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); fn() }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s did not return within %v", what, d)
	}
}

// wantVendorError fails unless err is a *provider.Error of service s with everything a log needs.
func wantVendorError(t *testing.T, err error, s provider.Service) {
	t.Helper()
	var e *provider.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %T %v, want a *provider.Error", err, err)
	}
	if e.Service != s || e.Vendor == "" || e.Code == "" || e.Message == "" {
		t.Fatalf("the error says too little: %+v", e)
	}
}

// ended is a context that is over already.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
