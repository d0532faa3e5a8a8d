package gateway

import (
	"embed"
	"io/fs"

	"github.com/parley-voice/parley/internal/platform/db"
)

//go:embed migrations
var migrations embed.FS

// Migrations is the history of the tables.
func Migrations() db.Migrations {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return db.Migrations{Context: "gateway", FS: sub, Installation: []string{"allowed_origins"}}
}
