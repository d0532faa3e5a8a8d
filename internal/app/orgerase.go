package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/compliance"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/archive"
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

const (
	// OrgErasure is the purpose of the certificate.
	OrgErasure = "parley-organisation-erasure-1"

	endCallsWithin = time.Minute            // calls may take so long to end; then nothing more of them is kept
	endCallsPoll   = 250 * time.Millisecond // how often is looked whether they have
	eraseIDs       = 100_000                // ids of what was erased that are looked for afterwards
)

// ErasedOrganisation is what the certificate of an erasure says.
type ErasedOrganisation struct {
	ID             string                   `json:"id"`
	OrganisationID string                   `json:"organisationId"`
	NameSHA256     string                   `json:"nameSha256" doc:"SHA-256 of the organisation's id, a line feed and its name"`
	Installation   string                   `json:"installation"`
	Reason         string                   `json:"reason"`
	RequestedBy    string                   `json:"requestedBy"`
	Engine         string                   `json:"engine"`
	Placement      string                   `json:"placement"`
	StartedAt      time.Time                `json:"startedAt"`
	DoneAt         time.Time                `json:"doneAt"`
	Tables         map[string]archive.Total `json:"tables" doc:"What there was, with hashes of the contents"`
	Blobs          int64                    `json:"blobs"`
	SpoolFiles     int64                    `json:"spoolFiles"`
	People         int64                    `json:"people" doc:"Who belonged to no other organisation"`
	Keys           []envelope.ShreddedKey   `json:"keys" doc:"Data keys that were destroyed"`
	Proof          []Looked                 `json:"proof"`
}

// Looked is a place that was searched for what is left.
type Looked struct {
	Where string `json:"where"`
	For   string `json:"for"`
	Found int64  `json:"found"`
}

// EraseRequest asks for an organisation to be erased.
type EraseRequest struct {
	Confirm     string // its name
	Reason      string
	RequestedBy string
}

// eraseDetail is how far an erasure is: the task's note. What was counted outlives what was deleted.
type eraseDetail struct {
	NameSHA256  string                   `json:"nameSha256,omitempty"` // the name itself is to be found nowhere afterwards
	Reason      string                   `json:"reason"`
	RequestedBy string                   `json:"requestedBy"`
	Stage       string                   `json:"stage"`
	Placement   string                   `json:"placement"`
	Tables      map[string]archive.Total `json:"tables,omitempty"`
	Blobs       int64                    `json:"blobs"`
	Spool       int64                    `json:"spool"`
	People      int64                    `json:"people"`
	Certificate *compliance.Certificate  `json:"certificate,omitempty"`
}

// EraseOrganisation erases an organisation, or goes on where that was interrupted, and gives the certificate.
func (a *Admin) EraseOrganisation(ctx context.Context, organisation string, r EraseRequest) (compliance.Certificate, error) {
	if err := a.app.openStores(ctx); err != nil {
		return compliance.Certificate{}, err
	}
	orgID, err := a.app.identity.FindOrganisation(ctx, organisation)
	if fault.Is(err, fault.NotFound) && isID([]byte(organisation)) { // perhaps one whose erasure was interrupted
		orgID, err = organisation, nil
	}
	if err != nil {
		return compliance.Certificate{}, err
	}
	if err := a.app.beginErase(ctx, orgID, r); err != nil {
		return compliance.Certificate{}, err
	}
	return a.app.carryErase(ctx, orgID)
}

// beginErase checks that an organisation may be erased and writes down that it is to be.
func (a *App) beginErase(ctx context.Context, orgID string, r EraseRequest) error {
	tasks, err := a.db.Tasks(ctx, db.TaskErase, orgID)
	if err != nil {
		return err
	}
	if len(tasks) > 0 {
		if tasks[0].State == db.TaskDone {
			return fault.New(fault.NotPossible, "the organisation was erased already")
		}
		return nil // it goes on
	}
	name := ""
	err = a.db.ReadSystem(ctx, "erase an organisation", func(ctx context.Context, tx *db.Tx) error {
		name, _, err = a.identity.NameAndPlan(ctx, tx, orgID)
		return err
	})
	if err != nil {
		return err
	}
	if r.Confirm != name {
		return fault.Field("confirm", "repeat the organisation's name, %q, as it is: what is erased does not come back", name)
	}
	held, err := a.trails.HoldsInForce(ctx, orgID)
	if err != nil {
		return err
	}
	if held > 0 {
		return fault.New(fault.NotPossible, "%d legal holds are in force in the organisation; release them first", held)
	}
	sum := sha256.Sum256([]byte(orgID + "\n" + name))
	text, err := json.Marshal(eraseDetail{NameSHA256: hex.EncodeToString(sum[:]), Reason: r.Reason, RequestedBy: r.RequestedBy, Stage: "requested"})
	if err != nil {
		return err
	}
	return a.db.BeginTask(ctx, db.Task{OrganisationID: orgID, Kind: db.TaskErase, State: db.TaskRunning, Detail: string(text)})
}

// orgErase is one erasure under way. Each step may be done again.
type orgErase struct {
	*App
	orgID string
	task  db.Task
	d     eraseDetail
	ids   map[string]bool // of what there was; in a file of this process meanwhile, never in the database
}

// carryErase erases an organisation that was asked for, from where it is.
func (a *App) carryErase(ctx context.Context, orgID string) (cert compliance.Certificate, err error) {
	ctx, cancel := context.WithTimeout(ctx, orgFileTimeout)
	defer cancel()
	tasks, err := a.db.Tasks(ctx, db.TaskErase, orgID)
	if err != nil {
		return cert, err
	}
	if len(tasks) == 0 {
		return cert, fault.New(fault.NotFound, "nobody asked for the organisation to be erased")
	}
	e := &orgErase{App: a, orgID: orgID, task: tasks[0]}
	if err := json.Unmarshal([]byte(e.task.Detail), &e.d); err != nil {
		return cert, fmt.Errorf("read how far the erasure is: %w", err)
	}
	if e.d.Certificate != nil {
		return *e.d.Certificate, nil
	}
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"closing", e.shut}, {"counting", e.count}, {"destroying keys", e.shred}, {"deleting rows", e.rows}, {"deleting files", e.files},
	} {
		if err := e.stage(ctx, step.name); err != nil {
			return cert, err
		}
		if err := step.run(ctx); err != nil {
			return cert, fmt.Errorf("erase the organisation, %s: %w", step.name, err)
		}
	}
	return e.certify(ctx)
}

// stage writes down how far the erasure is.
func (e *orgErase) stage(ctx context.Context, name string) error {
	e.d.Stage = name
	return e.save(ctx)
}

func (e *orgErase) save(ctx context.Context) error {
	text, err := json.Marshal(e.d)
	if err != nil {
		return err
	}
	e.task.Detail = string(text)
	return e.db.SaveTask(ctx, e.task)
}

// shut lets nobody in any more: people first, so that no new calls come; then calls end; then everybody is kept out.
func (e *orgErase) shut(ctx context.Context) error {
	p, err := e.db.Placement(ctx, e.orgID)
	if err != nil {
		return err
	}
	if e.d.Placement == "" {
		e.d.Placement = p.Placement
	}
	closed, err := e.db.IsErased(ctx, e.orgID)
	if err != nil || closed {
		return err
	}
	if err := e.identity.CloseOrganisation(ctx, e.orgID, e.d.Reason); err != nil {
		return err
	}
	if err := e.endCalls(ctx); err != nil {
		return err
	}
	return e.db.CloseForErasure(ctx, e.orgID)
}

// endCalls hangs up this process's calls; the others see the task and hang up theirs. What does not end in time is of a
// process that is gone, or goes on without a place to write to.
func (e *orgErase) endCalls(ctx context.Context) error {
	until := e.clock.Now().Add(endCallsWithin)
	for {
		if e.calls != nil {
			e.calls.endOf(ctx, e.orgID)
		}
		n, err := e.records.Running(ctx, e.orgID)
		if err != nil {
			return err
		}
		if n == 0 && !e.records.Holds(e.orgID) || e.clock.Now().After(until) {
			return nil
		}
		if err := e.pause(ctx); err != nil {
			return err
		}
	}
}

// pause waits before asking again.
func (e *orgErase) pause(ctx context.Context) error {
	t := e.clock.NewTimer(endCallsPoll, "erase")
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// idFile is where the ids of what is erased are until that is done: in the database they would be found.
func (e *orgErase) idFile() string { return filepath.Join(e.cfg.DataDir, ".erase-"+e.orgID) }

func (e *orgErase) keepIDs() error {
	var b bytes.Buffer
	for id := range e.ids {
		b.WriteString(id + "\n")
	}
	return os.WriteFile(e.idFile(), b.Bytes(), 0o600)
}

// knownIDs reads them again; another process that goes on with the erasure does without.
func (e *orgErase) knownIDs() error {
	e.ids = map[string]bool{}
	b, err := os.ReadFile(e.idFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for id := range strings.FieldsSeq(string(b)) {
		e.ids[id] = true
	}
	return err
}

// count notes what there is, with hashes, and ids that are looked for afterwards.
func (e *orgErase) count(ctx context.Context) error {
	if e.d.Tables != nil {
		return e.knownIDs()
	}
	found := map[string]archive.Total{}
	seen := map[string]bool{}
	tenant, err := e.db.Tables(ctx, db.Tenant)
	if err != nil {
		return err
	}
	for i := range tenant {
		total, err := e.countTable(ctx, &tenant[i], seen, func(ctx context.Context, fn func(context.Context, *db.Tx) error) error {
			return e.db.Closed(ctx, e.orgID, fn)
		})
		if err != nil {
			return err
		}
		if total.Count > 0 {
			found[tenant[i].Name] = total
		}
	}
	master, err := e.db.Tables(ctx, db.Master)
	if err != nil {
		return err
	}
	for i := range master {
		if _, theirs := masterTables[master[i].Name]; !theirs || !master[i].Tenant {
			continue
		}
		total, err := e.countTable(ctx, &master[i], seen, func(ctx context.Context, fn func(context.Context, *db.Tx) error) error {
			return e.db.ReadSystem(ctx, "erase an organisation", fn)
		})
		if err != nil {
			return err
		}
		if total.Count > 0 {
			found[master[i].Name] = total
		}
	}
	e.ids = seen
	if err := e.keepIDs(); err != nil {
		return err
	}
	e.d.Tables = found
	return e.save(ctx)
}

func (e *orgErase) countTable(ctx context.Context, t *db.Table, seen map[string]bool, in func(context.Context, func(context.Context, *db.Tx) error) error) (archive.Total, error) {
	var sum archive.Sum
	var after db.Row
	at := t.At("id")
	for {
		var rows []db.Row
		err := in(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			rows, err = t.Page(ctx, tx, e.orgID, after, page(t))
			return err
		})
		if err != nil || len(rows) == 0 {
			return sum.Total(), err
		}
		for _, r := range rows {
			sum.Add(r.Encode())
			if at >= 0 && len(seen) < eraseIDs {
				if id, _ := r[at].(string); isID([]byte(id)) {
					seen[id] = true
				}
			}
		}
		after = rows[len(rows)-1]
	}
}

// shred destroys the data keys: from here on no copy of a secret or a recording can be read, wherever it is.
func (e *orgErase) shred(ctx context.Context) error {
	_, err := e.keyring.Shred(ctx, e.orgID)
	return err
}

func (e *orgErase) rows(ctx context.Context) error {
	plain, err := e.db.Overwriting(ctx)
	if err != nil {
		return err
	}
	defer plain()
	if err := e.db.EraseRows(ctx, e.orgID); err != nil {
		return err
	}
	err = e.db.InSystem(ctx, "erase an organisation", func(ctx context.Context, tx *db.Tx) error {
		n, err := e.identity.EraseOrganisation(ctx, tx, e.orgID)
		e.d.People += n
		return err
	})
	if err != nil {
		return err
	}
	e.identity.Forget(e.orgID, "")
	if err := e.dropJobs(ctx); err != nil {
		return err
	}
	return e.save(ctx)
}

// dropJobs removes jobs of the organisation, those that are over too.
func (e *orgErase) dropJobs(ctx context.Context) error {
	conn := e.db.WriterSQL()
	exists, query := "SELECT count(*) FROM sqlite_master WHERE name = 'river_job'", "DELETE FROM river_job WHERE json_extract(args, '$.organisationId') = ?"
	if e.db.Dialect() == db.Postgres {
		exists, query = "SELECT count(*) FROM pg_class WHERE oid = to_regclass('river_job')", "DELETE FROM river_job WHERE args->>'organisationId' = $1"
	}
	var n int
	if err := conn.QueryRowContext(ctx, exists).Scan(&n); err != nil || n == 0 { // no server has run yet
		return err
	}
	if _, err := conn.ExecContext(ctx, query, e.orgID); err != nil {
		return fmt.Errorf("delete the organisation's jobs: %w", err)
	}
	return nil
}

func (e *orgErase) files(ctx context.Context) error {
	n, err := e.eraseBlobs(ctx, e.orgID)
	e.d.Blobs += n
	if err != nil {
		return err
	}
	n, err = e.records.EraseSpool(e.ids)
	e.d.Spool += n
	if err != nil {
		return err
	}
	if err := e.search.Drop(ctx, e.orgID); err != nil {
		return err
	}
	return e.forgetFacts(ctx, e.orgID)
}

// forgetFacts removes an organisation's facts from the bus, where this process has one.
func (a *App) forgetFacts(ctx context.Context, orgID string) error {
	if !a.ownsStreams() {
		return nil
	}
	return a.bus.Forget(ctx, orgID)
}

// certify looks for what is left, and signs what was done. Of the organisation its id stays, with the certificate.
func (e *orgErase) certify(ctx context.Context) (cert compliance.Certificate, err error) {
	if err := e.stage(ctx, "looking for what is left"); err != nil {
		return cert, err
	}
	looked, err := e.lookFor(ctx)
	if err != nil {
		return cert, err
	}
	for _, l := range looked {
		if l.Found > 0 {
			return cert, fault.New(fault.Internal, "%d of %s were found in %s; run the same command again", l.Found, l.For, l.Where)
		}
	}
	if err := e.db.Bury(ctx, e.orgID); err != nil {
		return cert, err
	}
	proof, err := e.keyring.Shredded(ctx, e.orgID)
	if err == nil && proof == nil {
		err = errors.New("the data keys were not destroyed")
	}
	if err != nil {
		return cert, err
	}
	doc := ErasedOrganisation{ID: uuid.Must(uuid.NewV7()).String(), OrganisationID: e.orgID, NameSHA256: e.d.NameSHA256, Reason: e.d.Reason,
		RequestedBy: e.d.RequestedBy, Engine: e.db.Dialect(), Placement: e.d.Placement, StartedAt: time.UnixMilli(e.task.StartedAt).UTC(),
		DoneAt: e.clock.Now().UTC().Truncate(time.Millisecond), Tables: e.d.Tables, Blobs: e.d.Blobs, SpoolFiles: e.d.Spool, People: e.d.People,
		Keys: proof.Keys, Proof: looked}
	if doc.Installation, err = e.installation(ctx); err != nil {
		return cert, err
	}
	if cert, err = e.trails.Certify(OrgErasure, doc); err != nil {
		return cert, err
	}
	e.d = eraseDetail{Reason: e.d.Reason, RequestedBy: e.d.RequestedBy, Stage: "done", Certificate: &cert}
	e.task.State = db.TaskDone
	if err := errors.Join(e.save(ctx), os.Remove(e.idFile())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cert, err
	}
	return cert, e.db.InSystem(ctx, "erase an organisation", func(ctx context.Context, tx *db.Tx) error {
		return identity.Audit(ctx, tx, identity.Platform, identity.Change{Action: "organisation.erased", Kind: "organisation", ID: e.orgID,
			After: map[string]any{"certificateId": doc.ID, "keyId": cert.KeyID, "signature": cert.Signature}})
	})
}

// eraseBlobs deletes an organisation's blobs and gives how many there were.
func (a *App) eraseBlobs(ctx context.Context, orgID string) (n int64, err error) {
	for _, folder := range blobFolders(orgID) {
		for { // a list must not change while it is read
			var keys []string
			err := a.blobs.List(ctx, folder, func(e blob.Entry) error {
				keys = append(keys, e.Key)
				if len(keys) == blobBatch {
					return errEnough
				}
				return nil
			})
			if err != nil && !errors.Is(err, errEnough) {
				return n, err
			}
			for _, k := range keys {
				if err := a.blobs.Delete(ctx, k); err != nil {
					return n, err
				}
				n++
			}
			if len(keys) < blobBatch {
				break
			}
		}
	}
	return n, nil
}

const blobBatch = 1000

var errEnough = errors.New("enough for now")
