package envelope

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
)

// Held is a secret that an organisation gave, or that was made for it: what may be told of it, which is never its value.
type Held struct {
	ID         string // unique within its source; lists are sorted by it
	Kind       string // of secret, such as modelKey
	Name       string // of the thing that it belongs to
	Part       string // which of several secrets of one thing; "": it has one only
	ObjectKind string // of the thing that has it, as the audit trail names it
	ObjectID   string
	SetBy      string     // a user's id; "": nobody signed in, or not known
	SetAt      *time.Time // nil: not known
	LastUsedAt *time.Time // nil: not used yet, or not known
	ExpiresAt  *time.Time
	// Sealed is what is stored. It stays in this process: only the key that it is sealed under is told. nil: a hash is kept.
	Sealed []byte
	UsedBy []Use
}

// Use is one place where a secret is used.
type Use struct{ Kind, ID, Name string }

// Version is one version of an organisation's data key, without the key.
type Version struct {
	Number  int64
	State   string // active, old or retired
	Wrapper string // what wraps it: the kind of key, a colon, and what tells keys of that kind apart
}

// Versions gives the versions of an organisation's data key.
func (k *Keyring) Versions(ctx context.Context, orgID string) (map[KeyID]Version, error) {
	var rows []keyRow
	err := k.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		rows, err = rowsOf(ctx, tx, orgID)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the versions of a data key: %w", err)
	}
	out := make(map[KeyID]Version, len(rows))
	for _, r := range rows {
		id, err := ParseKeyID(r.KeyID)
		if err != nil {
			return nil, err
		}
		out[id] = Version{Number: r.Version, State: r.State, Wrapper: shownWrapper(r.WrapperID)}
	}
	return out, nil
}

// shownWrapper tells wrapping keys apart for people who do not run the installation: where a key service is and what its key
// is called is not theirs to know.
func shownWrapper(id string) string {
	kind, _, _ := strings.Cut(id, ":")
	if kind == "local" {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return kind + ":" + hex.EncodeToString(sum[:8])
}
