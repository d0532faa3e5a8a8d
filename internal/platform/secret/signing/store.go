package signing

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

//go:embed migrations
var migrations embed.FS

// Migrations is the history of the table.
func Migrations() db.Migrations {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return db.Migrations{Context: "signing", FS: sub, Scope: db.Master}
}

func sealedAs(role, kid string) []byte { return []byte("signing\x00" + role + "\x00" + kid) }

// Sealed lists what is stored sealed.
func Sealed() []envelope.Column {
	return []envelope.Column{{Table: "signing_keys", Column: "private_key", Key: []string{"role", "kid"}, Master: true,
		AAD: func(_ string, key []string) []byte { return sealedAs(key[0], key[1]) }}}
}

type keyRow struct {
	bun.BaseModel `bun:"table:signing_keys"`

	KID         string `bun:"kid,pk"`
	Role        string `bun:"role"`
	PublicKey   []byte `bun:"public_key"`
	PrivateKey  []byte `bun:"private_key"`
	SignsFrom   int64  `bun:"signs_from"`
	SignsUntil  int64  `bun:"signs_until"`
	VerifyUntil int64  `bun:"verify_until"`
}

func lastOf(ctx context.Context, tx *db.Tx, role string) (*keyRow, error) {
	var r keyRow
	err := tx.NewSelect().Model(&r).Where("role = ?", role).Order("signs_from DESC").Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &r, err
}

// insert adds a key unless another process made the one of that time.
func insert(ctx context.Context, tx *db.Tx, r *keyRow) (bool, error) {
	res, err := tx.NewInsert().Model(r).On("CONFLICT (role, signs_from) DO NOTHING").Exec(ctx)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

func published(ctx context.Context, tx *db.Tx, now time.Time) ([]keyRow, error) {
	var rows []keyRow
	err := tx.NewSelect().Model(&rows).Where("verify_until > ?", now.UnixMilli()).Order("signs_from", "kid").Scan(ctx)
	return rows, err
}

// erase forgets the private halves of keys that ended before then. Their public halves stay: old signatures over bytes
// can be verified for ever.
func erase(ctx context.Context, tx *db.Tx, before time.Time) error {
	_, err := tx.NewUpdate().Model((*keyRow)(nil)).Set("private_key = NULL").Where("signs_until < ? AND private_key IS NOT NULL", before.UnixMilli()).Exec(ctx)
	return err
}

func allOf(ctx context.Context, tx *db.Tx, role string) ([]keyRow, error) {
	var rows []keyRow
	err := tx.NewSelect().Model(&rows).ExcludeColumn("private_key").Where("role = ?", role).Order("signs_from", "kid").Scan(ctx)
	return rows, err
}
