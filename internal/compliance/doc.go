// Package compliance keeps what an organisation must be able to prove: who did what (the audit trail), how long data is
// kept, and what was done with one person's data.
//
// A newcomer's map:
//
//	service.go     Config, New, Start, Close
//	chain.go       an entry of the trail, its canonical bytes and its hash (pure)
//	store.go       the tables of a chain: append, pages, heads
//	trail.go       takes audit facts from the bus and appends them, many at a time
//	sign.go        daily: each chain is verified from its first entry and its head is signed
//	walk.go        goes along a chain and says where it breaks (pure)
//	signer.go      the signing key; keys.go the public keys of what was signed
//	copy.go        copies the platform log to another place; package mongolog is one
//	export.go      a whole chain as a file
//	verify.go      reads such a file without a database and names the first broken link
//	query.go       the explorer's lists, the state of a chain, and exports of a part
//	retention.go   how long each class of data is kept, and the daily job that deletes; holds.go what stops it
//	person.go      one person's data: export, erasure and its certificate; consent.go
//	orgexport.go   files of the whole organisation that its owners ask for
//	subject.go     the forms of one number or address
//	http*.go       operations
//
// # The chain
//
// Each organisation has one chain, and the installation has one of its own, the platform log. Entries are numbered from 1
// without a gap. Each holds the hash of the one before it (64 zeros for entry 1) and its own: SHA-256, in lower-case hex,
// over the text "parley-audit-1\n" followed by these fields, each written as a netstring
// (https://cr.yp.to/proto/netstrings.txt: length in bytes as decimal, ":", the bytes, ","), empty ones as "0:,":
//
//	organisationId, seq (decimal), prevHash, id, at (Unix milliseconds, decimal), actorKind, actorId, tokenId,
//	impersonatorId, action, outcome, kind, objectId, before, after, reason, ip, userAgent, requestId, operation
//
// before and after are the JSON text as it stands in the export, without spaces. Lengths make it impossible to move bytes
// from one field to the next.
//
// A head is signed with Ed25519 (RFC 8032) over "parley-audit-head-1\n" and the netstrings of organisationId, seq, hash, date
// (YYYY-MM-DD, UTC) and at. The last line of an export is signed over "parley-audit-end-1\n" and organisationId, the number and
// the hash of the entry before the first, those of the last entry, and at. docs/audit.md is for who verifies.
//
// # What is lost when
//
// An entry commits with its change, in the outbox; the relay and a durable subscription carry it here and repeat it until
// it is in the chain, where its id keeps a repeat out. So entries may come late, and in another order than they
// happened, but none is missing. The order of the chain is that of appending; at says when it happened.
package compliance
