package identity_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

func TestOnePersonsAccount(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := context.Background()
		carla := w.join(w.anna, "carla@example.com", "viewer")
		w.invite(w.anna, "dora@example.com", "viewer")
		match := func(email string) func(string) bool {
			return func(a string) bool { return strings.EqualFold(a, email) }
		}
		var out bytes.Buffer
		put := func(name string, write func(io.Writer) error) error {
			out.WriteString(name + "\n")
			return write(&out)
		}
		for _, email := range []string{carla.email, "dora@example.com", "nobody@example.com"} {
			w.must(w.s.ExportPerson(ctx, w.clinic, email, match(email), put))
		}
		w.must(w.s.ExportPerson(ctx, w.clinic, "0123456", match("+4930123456"), put))
		if s := out.String(); strings.Count(s, "account.json") != 2 || !strings.Contains(s, "carla@example.com") || !strings.Contains(s, "dora@example.com") {
			w.Errorf("exported %s", s)
		}
		no := func(string, ...string) bool { return false }
		for _, c := range []struct {
			email  string
			keep   func(string, ...string) bool
			erased string
			n      int64
			kept   int64
		}{
			{carla.email, func(string, ...string) bool { return true }, "accounts", 0, 1},
			{carla.email, no, "accounts", 1, 0},
			{carla.email, no, "accounts", 0, 0},
			{"dora@example.com", no, "invitations", 1, 0},
			{w.anna.email, no, "accounts", 0, 1}, // the last owner
			{w.bert.email, no, "accounts", 0, 0}, // of another organisation
		} {
			erased, kept, err := w.s.ErasePerson(ctx, w.clinic, c.email, match(c.email), c.keep)
			w.must(err)
			if erased[c.erased] != c.n || kept != c.kept {
				w.Errorf("%s: %v, %d kept", c.email, erased, kept)
			}
		}
		w.want(401, carla, "GET", "/api/v1/me", nil)
		w.me(w.anna)
		w.me(w.bert)
	})
}
