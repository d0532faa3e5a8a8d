// Package db is the only way to the database: SQLite by default, PostgreSQL where DATABASE_URL says so,
// the same code on both.
//
// # Two doors
//
// Organisation data is reached through [DB.InTenant] (write) and [DB.ReadTenant] (read). On PostgreSQL they
// set app.current_tenant_id in the transaction and become the role parley_app, which owns nothing and so
// is bound by row level security even where a query forgets its WHERE. On SQLite they are the transaction
// alone. Every query names organisation_id all the same.
//
// [DB.InSystem] and [DB.ReadSystem] are the other door: across organisations, with a reason, told to
// Config.Audit. Nothing else opens a transaction.
//
// # Placements
//
// An organisation's data is in the master's database, shared with others, or in a database of its own: on PostgreSQL
// a database on the server of its region, on SQLite a file. InTenant and ReadTenant lead where it is; the system door
// leads to the master's database. For tenant tables of all organisations there is [DB.EachPlacement], for one
// [DB.Within]. A context whose tables are the master's says so in its [Migrations] and is given [DB.Master].
//
// Names that outsiders use without an organisation, such as a phone's, are kept in the master: [DB.Claim] before the row
// is stored, [DB.Holders] to find it.
//
// placement.go is where organisations are, place.go how a database of their own is made, pool.go how few are open at
// once, gate.go how a transaction learns that its organisation has moved, tables.go which tables there are. move.go is a
// move, movestate.go who is at it and what became of it, movecopy.go and moveswitch.go what it does. guard.go refuses
// statements on tenant tables through doors that lead past the gate.
//
// # Migrations
//
// A context embeds a folder "migrations" with sqlite/*.sql and postgres/*.sql in goose's format and exports
// func Migrations() db.Migrations. Each context has its own version table, goose_<context>. In the PostgreSQL
// files each table gets one line after it:
//
//	SELECT parley_tenant_table('calls');   -- has organisation_id; seen by its organisation and by the system door
//	SELECT parley_system_table('users');   -- has none; seen through the system door only
//
// Both enable and FORCE row level security, make the policy, and grant parley_app its rights. A table without
// such a line cannot be used at all: parley_app has no rights on it. The connection that migrates has
// app.system on, so that a migration may also change rows.
//
// Ids are TEXT (UUIDv7), times BIGINT Unix milliseconds, booleans BOOLEAN, JSON is TEXT, blobs are BLOB and BYTEA.
//
// # What PostgreSQL needs
//
// Version 14 or newer. DATABASE_URL's user owns the database (or may create in its schema) and need not be a
// superuser. It needs CREATEROLE the first time, to make parley_app; without it an administrator runs once:
//
//	CREATE ROLE parley_app NOLOGIN;
//	GRANT parley_app TO <user>;
//
// A user that is a member of parley_app and owns nothing does all but change the schema: [DB.Migrate] waits until a
// process whose user may has done that.
//
// # SQLite
//
// One connection writes (BEGIN IMMEDIATE), behind a first-come first-served queue; a pool of read-only
// connections reads snapshots meanwhile (WAL). A transaction of many rows costs little more than one of a single
// row, so frequent writers gather rows and commit them together. synchronous=NORMAL: a crash of the process loses
// nothing that was committed, a crash of the machine may lose the last commits but never corrupts the file.
//
// # Outbox
//
// [Tx.Publish] stores a fact in the transaction that made it true, in that database. The relay in platform/bus publishes it under
// the row's id and deletes the row; [DB.OutboxSignal] wakes it.
package db
