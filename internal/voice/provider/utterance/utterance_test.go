package utterance_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/provider/utterance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, fn func(ctx context.Context, u utterance.Utterance) (string, float64, error)) *utterance.Stream {
	t.Helper()
	s, err := utterance.New(t.Context(), utterance.Config{Vendor: "test", Rate: 8000, Recognise: fn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func code(err error) string {
	var e *provider.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Speech without an end is kept in bounded memory, and said to be too long.
func TestEndlessSpeech(t *testing.T) {
	s := open(t, func(context.Context, utterance.Utterance) (string, float64, error) {
		t.Error("half an utterance was recognised")
		return "", 0, nil
	})
	s.Begin(1, provider.Expect{})
	for range 31 * 50 {
		s.Write(make([]int16, 160))
	}
	s.End(1)
	if r := <-s.Results(); code(r.Err) != "too_long" || !r.Final || r.Utterance != 1 {
		t.Fatalf("%+v", r)
	}
}

// A vendor that hangs has at most four utterances of a call; further ones fail at once.
func TestHangingVendor(t *testing.T) {
	s := open(t, func(ctx context.Context, _ utterance.Utterance) (string, float64, error) {
		<-ctx.Done()
		return "", 0, ctx.Err()
	})
	for id := range 5 {
		s.Begin(id, provider.Expect{})
		s.End(id)
	}
	if r := <-s.Results(); r.Utterance != 4 || code(r.Err) != "timeout" {
		t.Fatalf("%+v", r)
	}
}

// What a vendor says wrongly still comes out as an error of the contract.
func TestPlainErrorsAreWrapped(t *testing.T) {
	s := open(t, func(context.Context, utterance.Utterance) (string, float64, error) { return "", 0, errors.New("boom") })
	s.Begin(1, provider.Expect{})
	s.End(1)
	if r := <-s.Results(); code(r.Err) != "failed" {
		t.Fatalf("%+v", r)
	}
}

func TestBadRate(t *testing.T) {
	if _, err := utterance.New(t.Context(), utterance.Config{Vendor: "test", Rate: 44100}); code(err) != "refused" {
		t.Fatal(err)
	}
}
