package campaign

import (
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/campaign/leadfile"
)

// Columns become what the agent asks for, however either is spelled: when a list is uploaded, when its header is known, and when
// another agent was chosen meanwhile.
func TestColumnsFitTheAgent(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		const people = "Telefon;First Name;order-number;Phone\n+4930111222333;Anna;4711;2\n"
		c := r.campaign(nil)
		for _, want := range []leadfile.Mapping{
			{"First Name": "var:firstName", "order-number": "var:orderNumber", "Telefon": "phone"},
			{"First Name": "var:first_name", "order-number": "var:ORDERNUMBER", "Telefon": "phone"}, // a known header, and another agent
		} {
			r.facts.Variables = nil
			for _, is := range want {
				if v, ok := strings.CutPrefix(is, "var:"); ok {
					r.facts.Variables = append(r.facts.Variables, v)
				}
			}
			i := r.uploaded(c, strings.NewReader(people))
			for h, is := range want {
				if h != "Telefon" && i.Mapping[h] != is {
					t.Errorf("%s is %s, not %s", h, i.Mapping[h], is)
				}
			}
			if i.Mapping["Telefon"] != leadfile.Phone && i.Mapping["Phone"] != leadfile.Phone {
				t.Errorf("no column is the number: %v", i.Mapping)
			}
			m := i.Mapping
			m["Telefon"], m["Phone"] = leadfile.Phone, ""
			if _, err := r.StartImport(t.Context(), leadsOrg, c.ID, i.ID, ImportOptions{Mapping: m}); err != nil {
				t.Error(err)
			}
		}
		later := r.uploaded(c, strings.NewReader("Telefon;city name\n+4930111222444;Bonn\n"))
		r.facts.Variables = []string{"cityName"}
		if i, err := r.StartImport(t.Context(), leadsOrg, c.ID, later.ID, ImportOptions{}); err != nil || i.Mapping["city name"] != "var:cityName" {
			t.Errorf("%v, %v", i.Mapping, err)
		}
	})
}

// Who is erased is in no rejected row either, however their number is written there.
func TestErasedFromRejectedRows(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		r.facts.Variables = []string{"city"}
		c := r.campaign(nil)
		i := r.imported(c, "Telefon;Name;city\n(030) 1234-5678;Anna;\n+49 30 12345678;Anna;\n030 87654321;Bernd;\n+49 151 10000001;Carl;Bonn\n", ImportOptions{})
		if i.Rejected != 3 || i.Added != 1 {
			t.Fatalf("%+v", i)
		}
		match := func(a string) bool { return a == "+493012345678" }
		if e, _, err := r.ErasePerson(t.Context(), leadsOrg, "2345678", match, func(string, ...string) bool { return true }); err != nil || e["rejectedRows"] != 0 {
			t.Errorf("under legal hold: %v, %v", e, err)
		}
		e, _, err := r.ErasePerson(t.Context(), leadsOrg, "2345678", match, nil)
		if err != nil || e["rejectedRows"] != 2 {
			t.Errorf("%v, %v", e, err)
		}
		var left strings.Builder
		if err := r.WriteRejects(t.Context(), leadsOrg, i, &left); err != nil || strings.Contains(left.String(), "Anna") || !strings.Contains(left.String(), "Bernd") {
			t.Errorf("%s, %v", left.String(), err)
		}
	})
}
