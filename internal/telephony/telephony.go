// Package telephony owns the phones of an organisation: the SIP users that may register, call in from
// anywhere with a password, and be called by name. It owns its trunks too, the carriers' servers that calls to
// numbers go through, and the numbers that such calls show.
//
// phone.go is what a phone is and its rules, service.go what can be done with phones, store.go where they are
// kept, http.go the operations under /api/v1/phones. Of trunks: trunk.go, trunkservice.go, trunkstore.go, trunkhttp.go,
// and trunkcheck.go, which asks one whether it is there. caller.go is the numbers, choice.go the pure choice of one. The sub-package sip is the signalling itself; it knows
// this package only as its interface sip.Phones, which Service implements.
//
// A trunk's password is stored sealed, since it has to be given. A phone's password is never stored: the store holds the digests that RFC 8760 needs (HA1 for MD5 and
// SHA-256), sealed with the server's key. The user name is unique on the whole server, because a SIP request
// names no organisation.
package telephony

import (
	"embed"
	"io/fs"

	"github.com/parley-voice/parley/internal/platform/db"
)

//go:embed migrations
var migrations embed.FS

// Migrations is the history of this context's tables.
func Migrations() db.Migrations {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is part of the binary
	}
	return db.Migrations{Context: "telephony", FS: sub, Names: []db.Name{{Kind: phoneName, Table: "phones", Column: "username", Unique: true}}}
}

// phoneName is the kind of a phone's user name in the database's list of names.
const phoneName = "phone"
