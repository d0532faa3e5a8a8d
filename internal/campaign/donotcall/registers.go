package donotcall

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/campaign/register"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const registerKind = "do-not-call-register"

// Register is a public register that rules name, and the version that is here.
type Register struct {
	Name      string           `json:"name" doc:"As rules name it: us-national"`
	Countries []string         `json:"countries" nullable:"false" doc:"Whose rules ask for it, ISO 3166-1 alpha-2"`
	Purposes  []policy.Purpose `json:"purposes" nullable:"false" doc:"Of calls that may not be made to its numbers; empty: any"`
	Says      string           `json:"says" doc:"What the rule says"`
	Cite      string           `json:"cite" doc:"Where it stands"`
	MaxDays   int              `json:"maxDays" doc:"How old it may be; 0: no rule says"`
	Version   *RegisterVersion `json:"version" doc:"null: it was not imported"`
	TooOld    bool             `json:"tooOld"`
}

// RegisterVersion is a file of a register that was imported.
type RegisterVersion struct {
	ID         string     `json:"id"`
	Numbers    int64      `json:"numbers"`
	Bytes      int64      `json:"bytes"`
	Digest     string     `json:"digest" doc:"SHA-256 of the numbers' hashes: it names the snapshot"`
	AsOf       time.Time  `json:"asOf" doc:"When its publisher made it"`
	ImportedBy string     `json:"importedBy"`
	ImportedAt time.Time  `json:"importedAt"`
	ReplacedAt *time.Time `json:"replacedAt" doc:"null: it is the one that is asked"`
	Stored     bool       `json:"stored" doc:"Its file is still there; that of the version before the last is"`
}

func (r *registerRow) version() RegisterVersion {
	v := RegisterVersion{ID: r.ID, Numbers: r.Numbers, Bytes: r.Bytes, Digest: r.Digest, AsOf: at(r.AsOf), ImportedBy: r.ImportedBy, ImportedAt: at(r.ImportedAt), Stored: r.Stored}
	if r.ReplacedAt > 0 {
		t := at(r.ReplacedAt)
		v.ReplacedAt = &t
	}
	return v
}

// Registers gives the registers that rules name, with what is here of them.
func (s *Service) Registers(ctx context.Context, orgID string) ([]Register, error) {
	var have []registerRow
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		have, err = askedRegisters(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := []Register{}
	for _, n := range s.c.Book.AllRegisters() {
		r := Register{Name: n.Name, Countries: n.Countries, Purposes: n.Purposes, Says: n.Says, Cite: n.Cite, MaxDays: int(n.Fresh / (24 * time.Hour))}
		if r.Purposes == nil {
			r.Purposes = []policy.Purpose{}
		}
		if i := slices.IndexFunc(have, func(h registerRow) bool { return h.Name == n.Name }); i >= 0 {
			v := have[i].version()
			r.Version, r.TooOld = &v, n.Fresh > 0 && s.now().Sub(v.AsOf) > n.Fresh
		}
		out = append(out, r)
	}
	return out, nil
}

// named finds a register among those that rules name.
func (s *Service) named(name string) (policy.Register, error) {
	var names []string
	for _, r := range s.c.Book.AllRegisters() {
		if r.Name == name {
			return r, nil
		}
		names = append(names, r.Name)
	}
	return policy.Register{}, fault.New(fault.NotFound, "no rule names a register %q; there are %s", clip(name), strings.Join(names, ", "))
}

// Versions gives a page of a register's versions, the newest first, and the cursor of the next ("" at the end).
func (s *Service) Versions(ctx context.Context, orgID, name, cursor string, limit int) (out []RegisterVersion, next string, err error) {
	if _, err := s.named(name); err != nil {
		return nil, "", err
	}
	var rows []registerRow
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		q := tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Where("name = ?", name)
		if cursor != "" {
			q = q.Where("id < ?", cursor)
		}
		return q.OrderExpr("id DESC").Limit(int64(limit) + 1).Scan(ctx)
	})
	if err != nil {
		return nil, "", fmt.Errorf("list versions: %w", err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID
	}
	out = make([]RegisterVersion, len(rows))
	for i := range rows {
		out[i] = rows[i].version()
	}
	return out, next, nil
}

// Imported is what became of a register's file.
type Imported struct {
	Intake
	Version RegisterVersion `json:"version"`
}

// Import makes a file of numbers, or one of parley campaign register, the version of a register that is asked from now on. asOf
// is when its publisher made it. It is read as it comes; what is kept of each number meanwhile is 8 bytes.
func (s *Service) Import(ctx context.Context, orgID, name string, asOf time.Time, r io.Reader) (out Imported, err error) {
	need, err := s.named(name)
	if err != nil {
		return out, err
	}
	now := s.now()
	if asOf.IsZero() {
		asOf = now
	}
	if asOf.After(now.Add(24 * time.Hour)) {
		return out, fault.Field("query.asOf", "a register is not of the future")
	}
	row := &registerRow{ID: newID(), OrganisationID: orgID, Name: name, AsOf: asOf.UnixMilli(), Asked: true, Stored: true, ImportedBy: identity.UserOf(ctx), ImportedAt: now.UnixMilli()}
	temp, err := s.cache.temp()
	if err != nil {
		return out, err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // it has its own name by then, or is of no use
	country := ""
	if len(need.Countries) > 0 {
		country = need.Countries[0]
	}
	sum, err := s.build(temp, country, r, &out.Intake)
	if err == nil {
		row.Digest, row.Numbers = sum.Digest, sum.Count
		row.Bytes, err = s.store(ctx, temp, key(orgID, row.ID))
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		return out, err
	}
	gone, err := s.replace(ctx, row)
	if err != nil {
		return out, errors.Join(err, s.c.Blobs.Delete(context.WithoutCancel(ctx), key(orgID, row.ID)))
	}
	if f, err := s.cache.adopt(temp.Name(), row); err == nil {
		s.cache.keep(row.ID, f)
	} // else it is fetched when it is asked
	for _, id := range gone { // what fails stays, and is deleted with the organisation
		if err := s.c.Blobs.Delete(ctx, key(orgID, id)); err != nil {
			s.c.Log.WarnContext(ctx, "an old version of a register could not be deleted", "register", name, "version", id, "error", err)
		}
	}
	out.Version = row.version()
	return out, nil
}

// build writes the register's file.
func (s *Service) build(w *os.File, country string, r io.Reader, found *Intake) (sum register.Summary, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if register.Is(in) {
		if _, err := io.Copy(w, in); err != nil {
			return sum, fault.Wrap(fault.Invalid, err, "the file could not be read to its end; send it again")
		}
		g, err := check(w, "")
		if err != nil {
			return sum, err
		}
		sum = g.Summary()
		*found = Intake{Lines: sum.Count, Numbers: sum.Count, Shown: []Bad{}}
		return sum, nil
	}
	b, err := register.NewBuilder(s.c.Random)
	if err != nil {
		return sum, err
	}
	lines := intake{country: country}
	if err := lines.read(in, b.Add); err != nil {
		return sum, err
	}
	*found = lines.Intake
	if err := lines.wrong(); err != nil {
		return sum, err
	}
	return b.Write(w)
}

// store puts the file among the blobs and gives its size.
func (s *Service) store(ctx context.Context, f *os.File, key string) (int64, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	return size, s.c.Blobs.Put(ctx, key, f)
}

// replace makes a version the one that is asked, and gives the versions whose files are not kept any longer: all but the one
// before.
func (s *Service) replace(ctx context.Context, row *registerRow) (gone []string, err error) {
	err = s.c.DB.InTenant(ctx, row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		if err := tx.Lock(ctx, "do-not-call register "+row.OrganisationID+" "+row.Name); err != nil {
			return err
		}
		if gone, err = unkept(ctx, tx, row.Name); err != nil {
			return err
		}
		before, err := retire(ctx, tx, row.Name, row.ImportedAt)
		if err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return fmt.Errorf("insert register: %w", err)
		}
		change := identity.Change{Action: "do_not_call.register.import", Kind: registerKind, ID: row.Name, After: row.version()}
		if before != nil {
			change.Before = before.version()
		}
		return identity.Audit(ctx, tx, row.OrganisationID, change)
	})
	return gone, err
}

// unkept forgets the files of versions that were replaced before.
func unkept(ctx context.Context, tx *db.Tx, name string) (ids []string, err error) {
	err = tx.NewRaw("SELECT id FROM do_not_call_registers WHERE organisation_id = ? AND name = ? AND stored AND NOT asked", tx.OrgID(), name).Scan(ctx, &ids)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, "UPDATE do_not_call_registers SET stored = FALSE WHERE organisation_id = ? AND name = ? AND NOT asked", tx.OrgID(), name)
	return ids, err
}

// retire has the version that is asked be asked no more; nil where there is none.
func retire(ctx context.Context, tx *db.Tx, name string, now int64) (*registerRow, error) {
	var was registerRow
	err := tx.NewSelect().Model(&was).Where("organisation_id = ?", tx.OrgID()).Where("name = ?", name).Where("asked").Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // nothing is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("select register: %w", err)
	}
	_, err = tx.ExecContext(ctx, "UPDATE do_not_call_registers SET asked = FALSE, replaced_at = ? WHERE organisation_id = ? AND id = ?", now, tx.OrgID(), was.ID)
	return &was, err
}

// Forget has a register be asked no more: rules that name it pass from now on. Its file goes with the next import.
func (s *Service) Forget(ctx context.Context, orgID, name, reason string) error {
	if err := checkReason(reason); err != nil {
		return err
	}
	if _, err := s.named(name); err != nil {
		return err
	}
	return s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		was, err := retire(ctx, tx, name, s.now().UnixMilli())
		if err != nil {
			return err
		}
		if was == nil {
			return fault.New(fault.NotFound, "the register %s was not imported", name)
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "do_not_call.register.forget", Kind: registerKind, ID: name, Before: was.version(), Reason: reason})
	})
}
