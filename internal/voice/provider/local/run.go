package local

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/parley-voice/parley/internal/voice/provider"
)

// maxOutput bounds what a child may write: two minutes of speech.
const maxOutput = 4 << 20

var errTooMuch = errors.New("the program wrote too much")

// run starts a program when a worker is free and gives what it wrote. The child and everything it started
// are killed when ctx ends or its time is up.
func (e *Engine) run(ctx context.Context, s provider.Service, program string, args ...string) ([]byte, error) {
	release, err := e.acquire(ctx, s)
	if err != nil {
		return nil, err
	}
	defer release()
	path := e.programs[program]
	ctx, cancel := context.WithTimeout(ctx, e.c.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // a program found at start, arguments of our own
	cmd.Dir = e.dir
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=" + os.Getenv("PATH"), "HOME=" + e.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 300 * time.Millisecond
	out := &bounded{}
	cmd.Stdout = out
	err = cmd.Run()
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fail(s, "timeout", false, ctx.Err(), "%s took longer than %v", program, e.c.Timeout)
	case ctx.Err() != nil:
		return nil, fail(s, "failed", false, ctx.Err(), "%s was stopped", program)
	case errors.Is(err, errTooMuch):
		return nil, fail(s, "bad_response", false, err, "%s wrote more than %d bytes", program, maxOutput)
	case err != nil:
		return nil, fail(s, "failed", false, err, "%s failed: %v", program, err)
	}
	return out.buf.Bytes(), nil
}

// acquire waits for a free worker.
func (e *Engine) acquire(ctx context.Context, s provider.Service) (release func(), err error) {
	free := func() { <-e.pool }
	select {
	case e.pool <- struct{}{}:
		return free, nil
	default:
	}
	timer := e.c.Clock.NewTimer(e.c.QueueTimeout, "speech", "queue")
	defer timer.Stop()
	select {
	case e.pool <- struct{}{}:
		return free, nil
	case <-timer.C:
		return nil, fail(s, "timeout", false, nil, "all %d workers were busy for %v; the machine is too small for so many calls", e.c.Workers, e.c.QueueTimeout)
	case <-ctx.Done():
		return nil, fail(s, "failed", false, ctx.Err(), "the call no longer waits")
	}
}

// bounded keeps a child's output up to maxOutput; then the child's pipe is closed.
type bounded struct{ buf bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.buf.Len()+len(p) > maxOutput {
		return 0, errTooMuch
	}
	return b.buf.Write(p)
}
