package conversation

import (
	"context"
	"errors"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// Keys gives what a call's files are encrypted with; an envelope.Keyring does.
type Keys interface {
	// CachedFileKey gives an organisation's key for new files from memory; it waits for nothing.
	CachedFileKey(orgID, purpose string) (envelope.FileKey, bool)
	// FileKey may ask the database and a key management service.
	FileKey(ctx context.Context, orgID, purpose string) (envelope.FileKey, error)
	FileKeyByID(ctx context.Context, orgID string, id envelope.KeyID, purpose string) ([]byte, error)
	// LegacyFileKey is the key of files from before there were data keys; nil where there was none.
	LegacyFileKey(purpose string) []byte
}

const (
	filePurpose  = "records"
	keyWait      = 3 * time.Second  // for a new call's key: what it says meanwhile is kept in memory
	keyTryAgain  = 15 * time.Second // for the event log of a call that got none
	keyUncertain = 10 * time.Second // for a reader
)

// errNoFileKey says that a call's files cannot be begun.
var errNoFileKey = errors.New("the organisation's data key cannot be had")

// callKey is a call's key, or why there is none.
type callKey struct {
	envelope.FileKey
	err error
}

// obtainKey has the call's key come: at once where it is in memory. It needs s.mu, and that the service is not closed.
func (c *Call) obtainKey() {
	c.keyed.Store(nil)
	if f, ok := c.s.keys.CachedFileKey(c.org, filePurpose); ok {
		c.setKey(f, nil)
		return
	}
	c.s.wait.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), keyWait)
		defer cancel()
		f, err := c.s.keys.FileKey(ctx, c.org, filePurpose)
		c.setKey(f, err)
	})
}

func (c *Call) setKey(f envelope.FileKey, err error) {
	k := &callKey{f, nil}
	if err != nil {
		k.err = errors.Join(errNoFileKey, err)
	} else {
		c.state.mu.Lock()
		c.state.row.FileKey = f.ID.String()
		c.state.mu.Unlock()
	}
	c.keyed.Store(k)
	select {
	case c.keyCame <- struct{}{}:
	default:
	}
}

// awaitKey reports whether the call's key came, or was refused. Only a flush waits for it.
func (c *Call) awaitKey(wait bool) bool {
	for c.keyed.Load() == nil {
		if !wait {
			return false
		}
		<-c.keyCame // obtainKey is bounded
	}
	return true
}

// fileKey gives the call's key. Where it was refused a while ago it is asked for again.
func (f *files) fileKey(c *Call) (envelope.FileKey, error) {
	k := c.keyed.Load()
	if k == nil {
		return envelope.FileKey{}, errNoFileKey
	}
	now := c.s.clock.Now()
	if k.err != nil && f.keyTried.IsZero() {
		f.keyTried = now
	}
	if k.err != nil && now.Sub(f.keyTried) >= keyTryAgain {
		f.keyTried = now
		c.s.mu.RLock()
		if !c.s.closed {
			c.obtainKey()
		}
		c.s.mu.RUnlock()
	}
	return k.FileKey, k.err
}

// keyOf gives what opens files of a call. org is "" for a file that nothing but itself is known of.
func (s *Service) keyOf(ctx context.Context, org string) keyFinder {
	return func(h fileHead) ([]byte, error) {
		if h.legacy {
			if k := s.keys.LegacyFileKey(filePurpose); k != nil {
				return k, nil
			}
			return nil, errors.Join(errForged, envelope.ErrNoKey)
		}
		if org == "" {
			org = h.org
		}
		ctx, cancel := context.WithTimeout(ctx, keyUncertain)
		defer cancel()
		return s.keys.FileKeyByID(ctx, org, h.key, filePurpose)
	}
}

// UsesKey reports whether files of an organisation's calls are encrypted under a version of its data key.
func (s *Service) UsesKey(ctx context.Context, org string, id envelope.KeyID) (used bool, err error) {
	err = s.db.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		used, err = tx.NewSelect().Model((*callRow)(nil)).Where("c.organisation_id = ? AND c.file_key = ?", org, id.String()).
			Where("c.rec_key <> '' OR c.log_gone_at IS NULL").Exists(ctx)
		return err
	})
	return used, err
}
