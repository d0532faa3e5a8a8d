package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// followTimeout is how long a process waits for streams and buckets that another one makes.
const (
	followTimeout = time.Minute
	followEvery   = 250 * time.Millisecond
)

// Login is how a process proves to an external server who it is, and how it knows the server.
type Login struct {
	// SeedFile holds the seed of an nkey (SU...), as nk -gen user writes it
	// (https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth). The seed never
	// leaves this machine: the server knows the public half and has a nonce signed.
	SeedFile string
	// CA is a PEM file of who signed the server's certificate; "" are the system's.
	CA string
	// Cert and Key are PEM files of this process's certificate, where the server asks for one.
	Cert, Key string
}

// options turns a login into what the client takes. A file that cannot be read is an error now, not at the first loss of the
// connection.
func (l Login) options() (opts []nats.Option, err error) {
	if l.SeedFile != "" {
		o, err := nats.NkeyOptionFromSeed(l.SeedFile)
		if err != nil {
			return nil, fmt.Errorf("nkey seed %s: %w", l.SeedFile, err)
		}
		opts = append(opts, o)
	}
	if l.CA != "" || l.Cert != "" {
		opts = append(opts, nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12}))
	}
	if l.CA != "" {
		opts = append(opts, nats.RootCAs(l.CA))
	}
	if l.Cert != "" {
		opts = append(opts, nats.ClientCert(l.Cert, l.Key))
	}
	return opts, nil
}

// Check reads the files of a login.
func (l Login) Check() error {
	opts, err := l.options()
	if err != nil {
		return err
	}
	o := nats.GetDefaultOptions()
	for _, set := range opts {
		if err := set(&o); err != nil {
			return err
		}
	}
	// The certificate and the authorities are read when they are needed.
	if o.RootCAsCB != nil {
		if _, err := o.RootCAsCB(); err != nil {
			return err
		}
	}
	if o.TLSCertCB != nil {
		if _, err := o.TLSCertCB(); err != nil {
			return err
		}
	}
	return nil
}

// awaitStreams waits until another process has made the streams.
func (b *Bus) awaitStreams(ctx context.Context) error {
	for _, name := range []string{factStream, liveStream} {
		err := b.await(ctx, func(ctx context.Context) error {
			_, err := b.js.Stream(ctx, name)
			return err
		})
		if err != nil {
			return fmt.Errorf("find the stream %s: %w", name, err)
		}
	}
	return nil
}

// await tries until what is looked for is there, or for followTimeout.
func (b *Bus) await(ctx context.Context, look func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	tick := b.c.Clock.NewTicker(followEvery, "bus", "follow")
	defer tick.Stop()
	for {
		err := look(ctx)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrBucketNotFound), errors.Is(err, jetstream.ErrNoStreamResponse),
			errors.Is(err, nats.ErrNoResponders):
		default:
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fault.Wrap(fault.Unavailable, err, "nobody has made it; start a process with the worker role, which does")
		}
	}
}
