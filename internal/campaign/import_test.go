package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/leadfile"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func eachLeads(t *testing.T, fn func(t *testing.T, r *leadsRig)) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) { fn(t, newLeadsRig(t, d, quartz.NewMock(t))) })
}

const smallList = "Telefon;Name;Ort\n0151 10000001;Anna;Berlin\n030123456;Bernd;Bonn\nnobody;Carl;\n;;\n0151 10000001;Anna again;Berlin\n+442079460018;Dora;London\n"

func TestImport(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		c := r.campaign(nil)
		i := r.uploaded(c, strings.NewReader(smallList))
		if i.State != ImportUploaded || i.Format.Delimiter != ";" || i.Mapping["Telefon"] != leadfile.Phone || i.Region != "DE" {
			t.Fatalf("%+v", i)
		}
		i, err := r.StartImport(t.Context(), leadsOrg, c.ID, i.ID, ImportOptions{Mapping: leadfile.Mapping{"Telefon": "phone", "Name": "name", "Ort": "var:city"}})
		if err != nil || i.State != ImportWaiting || !slices.Equal(r.jobs, []string{ImportJob + " " + i.ID}) {
			t.Fatalf("%+v, %v, %v", i, r.jobs, err)
		}
		i = r.carried(i)
		if i.State != ImportDone || i.Rows != 6 || i.Added != 3 || i.Rejected != 1 || i.Duplicates != 1 || i.Empty != 1 || *i.Percent != 100 || i.DoneAt == nil {
			t.Errorf("%+v", i)
		}
		if got := r.agrees(c.ID); got["new"] != 3 {
			t.Errorf("%v", got)
		}
		l := r.lead(c.ID, "+4915110000001")
		if l.Name != "Anna" || l.Variables["city"] != "Berlin" || l.Line != 2 || l.ImportID != i.ID || l.DueAt == nil {
			t.Errorf("%+v", l)
		}
		if n, err := r.blobs.Size(t.Context(), listKey(leadsOrg, i.ID)); err == nil {
			t.Errorf("the list is still there, with %d bytes", n)
		}
		var rejects strings.Builder
		if err := r.WriteRejects(t.Context(), leadsOrg, i, &rejects); err != nil || !strings.HasPrefix(rejects.String(), "line,reason,Telefon,Name,Ort\n4,") || !strings.Contains(rejects.String(), "nobody,Carl") {
			t.Errorf("%s, %v", rejects.String(), err)
		}
		again := r.uploaded(c, strings.NewReader(smallList))
		if again.Mapping["Ort"] != "var:city" {
			t.Errorf("the mapping of this header was not remembered: %v", again.Mapping)
		}
	})
}

func (r *leadsRig) lead(campaign, number string) Lead {
	r.t.Helper()
	var row leadRow
	err := r.db.ReadTenant(r.t.Context(), leadsOrg, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&row).Where("organisation_id = ?", leadsOrg).Where("campaign_id = ?", campaign).Where("number = ?", number).Scan(ctx)
	})
	if err != nil {
		r.t.Fatalf("%s: %v", number, err)
	}
	l, err := row.lead()
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

func list(n int) string {
	var b strings.Builder
	b.WriteString("phone,name\n")
	for i := range n {
		if i%10 == 9 {
			b.WriteString("12,short\n")
			continue
		}
		fmt.Fprintf(&b, "0151%08d,Person %d\n", i, i)
	}
	return b.String()
}

// failing is a store that fails after some large reads, as if the process had been killed there.
type failing struct {
	Blobs
	left *int
}

func (f failing) GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if length > 1000 {
		if *f.left--; *f.left < 0 {
			return nil, errors.New("the store is gone")
		}
	}
	return f.Blobs.GetRange(ctx, key, offset, length)
}

// An import whose process dies goes on in another one after what was written, and nothing is counted twice.
func TestImportGoesOnAfterACrash(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		c := r.campaign(nil)
		const n = 2500 // more than a chunk of the stored file, and several batches
		i := r.uploaded(c, strings.NewReader(strings.ReplaceAll(list(n), "\n", ","+strings.Repeat("x", 600)+"\n")))
		i, err := r.StartImport(t.Context(), leadsOrg, c.ID, i.ID, ImportOptions{Mapping: leadfile.Mapping{"phone": "phone"}})
		if err != nil {
			t.Fatal(err)
		}
		whole := r.c.Blobs
		r.c.Blobs = failing{whole, new(2)} // the end, to see that it is whole, and the first chunk
		if err := r.CarryImport(t.Context(), leadsOrg, i.ID); err == nil {
			t.Fatal("a store that is gone was no error")
		}
		if i = r.look(i); i.State != ImportRunning || i.Added == 0 || i.Added+i.Rejected >= n {
			t.Fatalf("%+v", i)
		}
		if got := r.agrees(c.ID); got["new"] != i.Added {
			t.Fatalf("%v, %+v", got, i)
		}
		r.c.Blobs = whole
		if i = r.carried(i); i.State != ImportDone || i.Added != n*9/10 || i.Rejected != n/10 || i.Duplicates != 0 || i.Rows != n {
			t.Errorf("%+v", i)
		}
		r.agrees(c.ID)
	})
}

// A process that was held up and lost an import to another one writes nothing more.
func TestImportIsCarriedByOne(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		c := r.campaign(nil)
		i := r.uploaded(c, strings.NewReader(list(50)))
		i, err := r.StartImport(t.Context(), leadsOrg, c.ID, i.ID, ImportOptions{})
		if err != nil {
			t.Fatal(err)
		}
		old, err := r.claimImport(t.Context(), leadsOrg, i.ID)
		if err != nil || old == nil {
			t.Fatal(old, err)
		}
		if other, err := r.claimImport(t.Context(), leadsOrg, i.ID); err != nil || other != nil {
			t.Fatalf("claimed twice: %+v, %v", other, err)
		}
		r.clock().Advance(2 * importDead)
		if err := r.TendImports(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i = r.look(i); i.State != ImportDone || i.Added != 45 {
			t.Fatalf("%+v", i)
		}
		late := &batch{leads: []leadfile.Lead{{Row: 2, Number: "+4930111222333"}}, line: 2}
		if err := r.add(t.Context(), old, late); !errors.Is(err, errNotMine) {
			t.Errorf("the old reader: %v", err)
		}
		if got := r.agrees(c.ID); got["new"] != 45 {
			t.Errorf("%v", got)
		}
	})
}

func (r *leadsRig) clock() *quartz.Mock { return r.c.Clock.(*quartz.Mock) }

func TestCancelAndUndo(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		c := r.campaign(nil)
		first := r.imported(c, list(1000), ImportOptions{})
		second := r.uploaded(c, strings.NewReader("phone\n+4930111222333\n"))
		second, err := r.StartImport(t.Context(), leadsOrg, c.ID, second.ID, ImportOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if second, err = r.CancelImport(t.Context(), leadsOrg, c.ID, second.ID); err != nil || second.State != ImportCancelled {
			t.Fatal(second, err)
		}
		if second = r.carried(second); second.State != ImportCancelled || second.Added != 0 {
			t.Errorf("%+v", second)
		}
		called := r.lead(c.ID, "+4915100000005") // who was called stays
		err = r.db.InTenant(t.Context(), leadsOrg, func(ctx context.Context, tx *db.Tx) error {
			row, err := leadByID(ctx, tx, c.ID, called.ID)
			if err != nil {
				return err
			}
			counts := tally{}
			row.Attempts = 1
			row.apply(dial.Next{State: dial.Done}, monday, counts)
			return errors.Join(setLead(ctx, tx, row), counts.save(ctx, tx, c.ID))
		})
		if err != nil {
			t.Fatal(err)
		}
		if first, err = r.UndoImport(t.Context(), leadsOrg, c.ID, first.ID); err != nil || first.State != ImportUndoing {
			t.Fatal(first, err)
		}
		if first = r.carried(first); first.State != ImportUndone || first.Removed != 899 {
			t.Errorf("%+v", first)
		}
		if got := r.agrees(c.ID); got["done"] != 1 || got["new"] != 0 {
			t.Errorf("%v", got)
		}
		if _, err := r.UndoImport(t.Context(), leadsOrg, c.ID, first.ID); !fault.Is(err, fault.Conflict) {
			t.Errorf("undone twice: %v", err)
		}
	})
}

func TestImportLeavesOutOtherCampaigns(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		other := r.campaign(nil)
		r.imported(other, list(20), ImportOptions{})
		draft := r.campaign(nil)
		if i := r.imported(draft, list(20), ImportOptions{SkipElsewhere: true}); i.Added != 18 || i.Elsewhere != 0 {
			t.Errorf("a draft calls nobody: %+v", i)
		}
		if _, err := r.Start(t.Context(), leadsOrg, other.ID); err != nil {
			t.Fatal(err)
		}
		c := r.campaign(nil)
		if i := r.imported(c, list(30), ImportOptions{SkipElsewhere: true}); i.Added != 9 || i.Elsewhere != 18 || i.Rejected != 3 || i.Empty != 0 {
			t.Errorf("%+v", i)
		}
		if i := r.imported(c, list(30), ImportOptions{}); i.Added != 18 || i.Duplicates != 9 {
			t.Errorf("%+v", i)
		}
	})
}

// What cannot be imported says why, and leaves nothing behind.
func TestImportRefuses(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		c := r.campaign(nil)
		for name, in := range map[string]string{"empty": "", "old Excel": "\xd0\xcf\x11\xe0 and more"} {
			if _, _, err := r.Upload(t.Context(), leadsOrg, c.ID, "x", strings.NewReader(in)); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		broken := errors.New("the line broke")
		if _, _, err := r.Upload(t.Context(), leadsOrg, c.ID, "x", io.MultiReader(strings.NewReader(list(10)), errReader{broken})); !errors.Is(err, broken) {
			t.Errorf("half a list: %v", err)
		}
		i := r.uploaded(c, strings.NewReader("a,b\n1,2\n"))
		start := func(o ImportOptions) error {
			_, err := r.StartImport(t.Context(), leadsOrg, c.ID, i.ID, o)
			return err
		}
		if err := start(ImportOptions{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("without a number: %v", err)
		}
		r.facts.Variables = []string{"city"}
		if err := start(ImportOptions{Mapping: leadfile.Mapping{"a": "phone"}}); err == nil || !strings.Contains(err.Error(), "city") {
			t.Errorf("without a variable of the agent's: %v", err)
		}
		if err := start(ImportOptions{Mapping: leadfile.Mapping{"a": "phone", "b": "var:city"}, Region: new("Germany")}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a region that is none: %v", err)
		}
		if _, err := r.Stop(t.Context(), leadsOrg, c.ID); err != nil {
			t.Fatal(err)
		}
		if err := start(ImportOptions{Mapping: leadfile.Mapping{"a": "phone", "b": "var:city"}}); !fault.Is(err, fault.Conflict) {
			t.Errorf("to a campaign that is over: %v", err)
		}
		if _, _, err := r.Upload(t.Context(), leadsOrg, c.ID, "x", strings.NewReader(list(1))); !fault.Is(err, fault.Conflict) {
			t.Errorf("to a campaign that is over: %v", err)
		}
		r.clock().Advance(uploadsKept + time.Minute)
		if err := r.TendImports(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i = r.look(i); i.State != ImportCancelled {
			t.Errorf("nobody started it for a day: %+v", i)
		}
		n := 0
		if err := r.blobs.List(t.Context(), BlobKind+"/", func(blobEntry) error { n++; return nil }); err != nil || n != 0 {
			t.Errorf("%d lists were left behind, %v", n, err)
		}
	})
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// A campaign is not finished while a list of it is read.
func TestCampaignWaitsForItsList(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		c := r.campaign(nil)
		r.imported(c, "phone\n+4930111222333\n", ImportOptions{})
		if _, err := r.Start(t.Context(), leadsOrg, c.ID); err != nil {
			t.Fatal(err)
		}
		if err := r.complete(t.Context(), leadsOrg, c.ID); !errors.Is(err, errMoreToCome) {
			t.Errorf("with somebody to call: %v", err)
		}
		i := r.uploaded(c, strings.NewReader(list(10)))
		if _, err := r.StartImport(t.Context(), leadsOrg, c.ID, i.ID, ImportOptions{}); err != nil {
			t.Fatal(err)
		}
		err := r.db.InTenant(t.Context(), leadsOrg, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE campaign_leads SET due_at = NULL WHERE organisation_id = ?", leadsOrg)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.complete(t.Context(), leadsOrg, c.ID); !errors.Is(err, errMoreToCome) {
			t.Errorf("while a list is read: %v", err)
		}
		if _, err := r.CancelImport(t.Context(), leadsOrg, c.ID, i.ID); err != nil {
			t.Fatal(err)
		}
		if err := r.complete(t.Context(), leadsOrg, c.ID); err != nil {
			t.Errorf("nobody is left: %v", err)
		}
	})
}
