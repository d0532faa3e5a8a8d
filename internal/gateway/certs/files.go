package certs

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/strength"
)

// lookEvery is how often the files are looked at, by a handshake: no goroutine waits for changes.
const lookEvery = 5 * time.Second

// files keeps the certificate of two files, and reads them again when one of them changed.
type files struct {
	cert, key string
	clock     quartz.Clock
	log       *slog.Logger
	level     strength.Level

	mu     sync.Mutex
	pair   *tls.Certificate
	seen   stamp
	looked time.Time
}

// stamp tells a file's state. A link to another file, which is how Kubernetes replaces secrets, changes it too.
type stamp struct {
	certTime, keyTime time.Time
	certSize, keySize int64
}

func newFiles(c Config) (*files, error) {
	f := &files{cert: c.CertFile, key: c.KeyFile, clock: c.Clock, log: c.Log, level: c.Strength, looked: c.Clock.Now()}
	var err error
	if f.seen, err = f.stamp(); err != nil {
		return nil, err
	}
	f.pair, err = f.read()
	return f, err
}

func (f *files) stamp() (stamp, error) {
	c, err := os.Stat(f.cert)
	if err != nil {
		return stamp{}, fmt.Errorf("certificate: %w", err)
	}
	k, err := os.Stat(f.key)
	if err != nil {
		return stamp{}, fmt.Errorf("key of the certificate: %w", err)
	}
	return stamp{c.ModTime(), k.ModTime(), c.Size(), k.Size()}, nil
}

func (f *files) read() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", f.cert, f.key, err)
	}
	if err := f.level.Certificate(pair.Leaf); err != nil {
		return nil, fmt.Errorf("certificate %s: %w", f.cert, err)
	}
	return &pair, nil
}

// get is tls.Config.GetCertificate. A pair that cannot be read, as while one of two files is replaced, leaves the one
// that is in use.
func (f *files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Now()
	if now.Sub(f.looked) < lookEvery {
		return f.pair, nil
	}
	f.looked = now
	st, err := f.stamp()
	if err == nil && st == f.seen {
		return f.pair, nil
	}
	var pair *tls.Certificate
	if err == nil {
		pair, err = f.read()
	}
	if err != nil {
		f.log.Error("the new certificate is not used; the one before stays", "error", err)
		return f.pair, nil
	}
	f.pair, f.seen = pair, st
	f.log.Info("certificate read again", "file", f.cert, "until", pair.Leaf.NotAfter)
	return f.pair, nil
}
