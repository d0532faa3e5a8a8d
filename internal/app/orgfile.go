package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/compliance"
	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/archive"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// An organisation's file is a platform/archive of its rows, its calls' files and its audit trail, in plain inside the archive's
// encryption: secrets and recordings are opened when it is written and sealed for their new place when it is read. docs/organisations.md
// is for who uses it, decision 15 says why.
//
//	orgfile.go     what is in the file, and what becomes of each table
//	orgexport.go   writes it; orgdownload.go keeps it for an owner who asked for it
//	orgimport.go   reads it: into a staging database, then to its place; orgplace.go writes there, orgmake.go makes the organisation
//	orgundo.go     takes back what an import left that failed or was killed
//	orgids.go      other ids for what was known by others
//	orgerase.go    erases an organisation; orgproof.go looks for what is left of it

const (
	orgFileFormat  = 1
	orgFileTimeout = 24 * time.Hour // of the whole; transactions of an export live as long
	pageRows       = 200
	pageBlobs      = 8 // rows of tables with large columns
)

// OrgFileHead is what an organisation's file says at its beginning.
type OrgFileHead struct {
	Format         int              `json:"format"`
	Parley         string           `json:"parley"`
	Installation   string           `json:"installation"` // the id of the key that signs its audit trails
	OrganisationID string           `json:"organisationId"`
	Name           string           `json:"name"`
	Plan           string           `json:"plan,omitempty"`
	Placement      string           `json:"placement"`
	Region         string           `json:"region,omitempty"`
	Engine         string           `json:"engine"`
	MadeAt         time.Time        `json:"madeAt"`
	Versions       map[string]int64 `json:"versions"` // of the schema, by context
}

// OrgFileNotes is what is known once it was written.
type OrgFileNotes struct {
	CallsLeftOut int      `json:"callsLeftOut"` // they went on, or their files were not stored yet
	FilesGone    int64    `json:"filesGone"`    // deleted while the file was written
	Damaged      []string `json:"damaged"`      // could not be read; what there was is in the file
	AuditSeq     int64    `json:"auditSeq"`     // the last entry of the audit trail
	AuditHash    string   `json:"auditHash"`
}

// OrgFile is what an inspection of a file gives.
type OrgFile struct {
	OrgFileHead
	OrgFileNotes
	Tables map[string]archive.Total `json:"tables"`
	Files  map[string]archive.Total `json:"files"`
}

const fileAudit = "audit"

// leftOut are the tables with an organisation's rows that are not carried, and why.
var leftOut = map[string]string{
	"organisation_exports": "files of the old place",
	"idempotency_keys":     "answers to requests of the old place",
	"phone_contacts":       "where phones are registered just now",
	"call_files":           "carried as files",
	"audit_chains":         "carried as a file", "audit_entries": "carried as a file", "audit_heads": "carried as a file",
	"platform_chains": "the installation's", "platform_log": "the installation's", "platform_heads": "the installation's",
}

// masterTables says of each of the master's tables with an organisation's rows whether it is carried.
var masterTables = map[string]bool{
	"memberships": true, "roles": true, "teams": true, "team_members": true, "projects": true, "sso_policies": true, "sso_connections": true,
	"sso_domains": true, "sso_links": true, "scim_users": true, "scim_groups": true,
	// Not what opens a door, and not what is under way.
	"sessions": false, "api_tokens": false, "scim_tokens": false, "invitations": false, "sso_tests": false, "sso_flows": false,
	"placements": false, "org_moves": false, "org_names": false, "org_tasks": false, "org_moves_past": false, "data_keys": false, "data_key_tombstones": false,
}

// organisationColumns stay behind: they are the installation's.
var organisationColumns = []string{"plan_id", "suspended_at", "suspended_reason"}

// unmapped are columns that were signed as they are.
var unmapped = map[string][]string{"erasures": {"certificate", "signature", "public_key", "key_id"}}

// sealed is a column with a secret.
type sealed struct {
	column string
	open   func(ctx context.Context, orgID, id string, sealed []byte) ([]byte, error)
	seal   func(ctx context.Context, orgID, id string, plain []byte) ([]byte, error)
}

// sealedColumns are the columns with secrets, by table; the row's id is in the column id.
func (a *App) sealedColumns() map[string]sealed {
	return map[string]sealed{
		"models": {"keys", a.agents.OpenSecret, a.agents.SealSecret},
		"phones": {"secret", a.phones.OpenSecret, a.phones.SealSecret},
		"trunks": {"secret", a.phones.OpenTrunkSecret, a.phones.SealTrunkSecret},
		"campaign_webhook_secrets": {"secret", func(ctx context.Context, orgID, _ string, b []byte) ([]byte, error) {
			return a.keyring.Open(ctx, orgID, b, campaign.WebhookAAD(orgID))
		}, func(ctx context.Context, orgID, _ string, b []byte) ([]byte, error) {
			return a.keyring.Seal(ctx, orgID, b, campaign.WebhookAAD(orgID))
		}},
		"sso_connections": {"secret", a.sso.OpenSecret, a.sso.SealSecret},
	}
}

// openStores opens what the command line has not opened yet.
func (a *App) openStores(ctx context.Context) (err error) {
	if a.records != nil {
		return nil
	}
	if _, err := a.files.open(ctx); err != nil {
		return err
	}
	if a.search, err = a.openSearch(ctx); err != nil {
		return err
	}
	a.onStop("search", func(context.Context) error { return a.search.Close() })
	a.records, err = conversation.New(conversation.Config{DB: a.db, Blobs: a.blobs, Keys: a.keyring, DataDir: a.cfg.DataDir, Live: nobodyWatches{},
		Search: a.search, Clock: a.clock, Log: a.log})
	if err != nil {
		return err
	}
	if a.trails == nil {
		a.trails, err = a.newTrails(ctx, compliance.Config{})
	}
	return err
}

// nobodyWatches is the live feed of the command line.
type nobodyWatches struct{}

// PublishLive implements conversation.Publisher.
func (nobodyWatches) PublishLive(string, event.Fact) bool { return false }

// InspectOrganisation verifies a file from its beginning to its end and gives its manifest.
func InspectOrganisation(ctx context.Context, file, passphrase string) (OrgFile, error) {
	f, r, err := openOrgFile(file, passphrase)
	if err != nil {
		return OrgFile{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	head, err := readHead(r)
	if err != nil {
		return OrgFile{}, err
	}
	for {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			return describe(head, r.Manifest())
		} else if err != nil {
			return OrgFile{}, err
		}
		if err := ctx.Err(); err != nil {
			return OrgFile{}, err
		}
	}
}

func openOrgFile(file, passphrase string) (*os.File, *archive.Reader, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, fmt.Errorf("open the file: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	if !st.Mode().IsRegular() {
		return nil, nil, errors.Join(fault.New(fault.Invalid, "%s is no file: it is read several times, so it cannot come through a pipe", file), f.Close())
	}
	r, err := archive.Open(f, st.Size(), passphrase)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, r, nil
}

func readHead(r *archive.Reader) (OrgFileHead, error) {
	var h OrgFileHead
	if err := r.Head(&h); err != nil {
		return h, err
	}
	if h.Format != orgFileFormat || !isID([]byte(h.OrganisationID)) {
		return h, fault.New(fault.Invalid, "the file is of format %d, this Parley reads format %d; use the Parley that made it (%s)", h.Format, orgFileFormat, h.Parley)
	}
	return h, nil
}

func describe(h OrgFileHead, m *archive.Manifest) (OrgFile, error) {
	out := OrgFile{OrgFileHead: h, Tables: m.Tables, Files: m.Files}
	d := json.NewDecoder(bytes.NewReader(m.Extra))
	if err := d.Decode(&out.OrgFileNotes); err != nil {
		return out, fault.Wrap(fault.Invalid, err, "the manifest of the file cannot be read")
	}
	return out, nil
}
