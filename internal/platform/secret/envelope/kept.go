package envelope

import (
	"context"
	"fmt"
	"io"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret"
)

// legacyName is the kept secret that is the master key of before there were data keys.
const legacyName = "legacy master key"

func keptAAD(name string) []byte { return []byte("kept secret\x00" + name) }

// Kept gives a secret of 32 bytes that the installation keeps for ever, whatever wraps its data keys. Where there is none
// it is first, or else random; of two processes that make it at once both get the same.
func (k *Keyring) Kept(ctx context.Context, name string, first []byte) ([]byte, error) {
	if s, err := k.kept(ctx, name); err != nil || s != nil {
		return s, err
	}
	if first == nil {
		first = make([]byte, secret.KeySize)
		if _, err := io.ReadFull(k.c.Rand, first); err != nil {
			return nil, fmt.Errorf("no randomness for a secret: %w", err)
		}
	}
	sealed, err := k.Seal(ctx, Installation, first, keptAAD(name))
	if err != nil {
		return nil, err
	}
	err = k.write(ctx, func(ctx context.Context, tx *db.Tx) error {
		r := &keptRow{Name: name, Sealed: sealed, CreatedAt: k.c.Clock.Now().UnixMilli()}
		_, err := tx.NewInsert().Model(r).On("CONFLICT (name) DO NOTHING").Exec(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keep the secret %q: %w", name, err)
	}
	return k.kept(ctx, name)
}

func (k *Keyring) kept(ctx context.Context, name string) ([]byte, error) {
	var r keptRow
	var found *keptRow
	err := k.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		found, err = noRow(&r, tx.NewSelect().Model(&r).Where("name = ?", name).Scan(ctx))
		return err
	})
	if err != nil || found == nil {
		return nil, err
	}
	plain, err := k.Open(ctx, Installation, r.Sealed, keptAAD(name))
	if err != nil {
		return nil, fmt.Errorf("the kept secret %q: %w", name, err)
	}
	return plain, nil
}

// startKept reads the master key of before, or keeps the one that is given when this installation begins to have data keys.
func (k *Keyring) startKept(ctx context.Context, before func(context.Context) (*secret.Key, error)) error {
	s, err := k.readState(ctx)
	if err != nil {
		return err
	}
	var old *secret.Key
	if !s.Adopted && before != nil {
		if old, err = before(ctx); err != nil {
			return err
		}
	}
	var raw []byte
	if old == nil {
		raw, err = k.kept(ctx, legacyName)
	} else {
		raw, err = k.Kept(ctx, legacyName, old.Bytes())
	}
	if err != nil {
		return err
	}
	if !s.Adopted {
		err := k.write(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.NewUpdate().Model((*stateRow)(nil)).Set("adopted = ?", true).Where("id = 1").Exec(ctx)
			return err
		})
		if err != nil {
			return fmt.Errorf("begin to keep data keys: %w", err)
		}
	}
	if raw == nil {
		return nil
	}
	key, err := secret.NewKey(raw)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.legacy = key
	return nil
}

// Legacy is the master key that sealed everything before there were data keys; nil where there was none.
func (k *Keyring) Legacy() *secret.Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.legacy
}
