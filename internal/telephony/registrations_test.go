package telephony_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/telephony"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// Several servers store what is registered with each of them, at the same time, and none takes away what another has.
func TestRegistrationsWithSeveralServers(t *testing.T) {
	each(t, func(t *testing.T, _ *db.DB, s *telephony.Service) {
		ctx := t.Context()
		if _, _, err := s.Create(ctx, orgA, telephony.NewPhone{Username: "bob"}); err != nil {
			t.Fatal(err)
		}
		soon := time.Now().Add(time.Hour).Truncate(time.Millisecond)
		contact := func(node, at string, expires time.Time) sip.Contact {
			return sip.Contact{Node: node, URI: "sip:bob@" + at, Transport: "udp", Source: "192.0.2.1:5060", ExpiresAt: expires}
		}
		save := func(node string, contacts ...sip.Contact) {
			t.Helper()
			if err := s.SaveContacts(ctx, "bob", node, contacts); err != nil {
				t.Error(err)
			}
		}
		stored := func() (out []string) {
			t.Helper()
			all, err := s.Contacts(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range all["bob"] {
				out = append(out, c.Node+" "+c.URI)
			}
			slices.Sort(out)
			return out
		}
		is := func(want ...string) {
			t.Helper()
			if got := stored(); !slices.Equal(got, want) {
				t.Errorf("stored are %q, want %q", got, want)
			}
		}
		save("", contact("", "before", soon)) // of when there was one server
		var wg sync.WaitGroup
		for i := range 4 {
			node := fmt.Sprintf("n%d", i)
			wg.Go(func() {
				for range 3 {
					save(node, contact(node, node, soon))
				}
			})
		}
		wg.Wait()
		is("n0 sip:bob@n0", "n1 sip:bob@n1", "n2 sip:bob@n2", "n3 sip:bob@n3")
		save("n3")
		save("n1", contact("n1", "n1", soon), contact("n1", "n0", soon.Add(time.Second))) // the phone moved to n1
		is("n1 sip:bob@n0", "n1 sip:bob@n1", "n2 sip:bob@n2")
		save("n0", contact("n0", "n0", soon)) // which does not know that yet
		is("n1 sip:bob@n0", "n1 sip:bob@n1", "n2 sip:bob@n2")
		nodes, err := s.Elsewhere(ctx, "bob", "n2")
		if err != nil || !slices.Equal(nodes, []string{"n1"}) {
			t.Errorf("elsewhere than at n2: %q, %v", nodes, err)
		}
		if nodes, err := s.Elsewhere(ctx, "nobody", "n2"); err != nil || len(nodes) != 0 {
			t.Errorf("nobody is at %q, %v", nodes, err)
		}
	})
}
