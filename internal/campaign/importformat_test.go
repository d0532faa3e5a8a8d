package campaign

import (
	"slices"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/campaign/leadfile"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func TestFormatSaidByHand(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		c := r.campaign(nil)
		// Commas inside of names are more than the bars between cells; and the bytes can be read as UTF-8.
		i := r.uploaded(c, strings.NewReader("phone|name, first, second\n0151 10000001|Anna, A, B\n0151 10000002|Bernd, C, D\n"))
		if i.Format.Delimiter != "," {
			t.Fatalf("%+v", i.Format)
		}
		look := func(f leadfile.Format) (Import, leadfile.Sample, error) {
			return r.LookAgain(t.Context(), leadsOrg, c.ID, i.ID, f)
		}
		if _, _, err := look(leadfile.Format{Delimiter: `"`}); fieldOf(err) != "format.delimiter" {
			t.Errorf("%v", err)
		}
		now, sample, err := look(leadfile.Format{Delimiter: "|", Encoding: "windows-1252"})
		if err != nil || !slices.Equal(now.Columns, []string{"phone", "name, first, second"}) || now.Mapping["phone"] != leadfile.Phone || len(sample.Rows) != 2 || sample.Rows[0][1] != "Anna, A, B" ||
			now.Format.Encoding != "windows-1252" {
			t.Fatalf("%+v, %+v, %v", now, sample, err)
		}
		if now, err = r.StartImport(t.Context(), leadsOrg, c.ID, i.ID, ImportOptions{Mapping: leadfile.Mapping{"phone": "phone", "name, first, second": "name"}}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := look(leadfile.Format{Delimiter: ","}); !fault.Is(err, fault.Conflict) {
			t.Errorf("a list that is being read was looked at again: %v", err)
		}
		if now = r.carried(now); now.Added != 2 || r.lead(c.ID, "+4915110000002").Name != "Bernd, C, D" {
			t.Errorf("%+v", now)
		}
	})
}
