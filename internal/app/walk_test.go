package app_test

import (
	"bufio"
	"bytes"
	_ "embed"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// accessTable says which roles may use which operation. It is written and reviewed by people: a new operation fails the
// walk until somebody decided who may use it.
//
//go:embed testdata/access.txt
var accessTable []byte

// walkers are the columns of the table; each is somebody of that role. "super" administers the installation and owns
// the first organisation.
func walkers() []string {
	return []string{"super", "owner", "admin", "supervisor", "agent", "viewer"}
}

// access reads the table: OPERATION: WALKER..., where "all" is everybody who signed in and "public" anybody.
func access(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for s := bufio.NewScanner(bytes.NewReader(accessTable)); s.Scan(); {
		line, _, _ := strings.Cut(s.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		id, who, ok := strings.Cut(line, ":")
		if !ok || out[id] != nil {
			t.Fatalf("access table: %q", line)
		}
		names := strings.Fields(who)
		for _, name := range names {
			if !slices.Contains(append(walkers(), "all", "public"), name) {
				t.Fatalf("access table: %q names nobody", line)
			}
		}
		out[id] = names
	}
	return out
}

// ends are the operations after which a walker is somebody else or nobody; they are walked last.
var ends = []string{"sign-out"}

// Every operation of the document is asked by every role, by nobody, and with an expired token, with ids of nothing: it
// lets in whom the table says, and nobody else.
func TestWhoMayUseWhat(t *testing.T) {
	engines(t, func(t *testing.T, newURL func(*testing.T) string, ports int) {
		_, super := openHouse(t, newURL(t), []string{"44000-44019", "44020-44039"}[ports])
		d := readDocument(t, super)
		table := access(t)
		people := map[string]*client{"super": super}
		for _, role := range walkers()[1:] {
			people[role] = super.invite("the-"+role+"@example.com", role)
		}
		expired := expiredToken(t, people["owner"])

		slices.SortStableFunc(d.operations, func(a, b operation) int { return slices.Index(ends, a.id) - slices.Index(ends, b.id) })
		for _, op := range d.operations {
			who, known := table[op.id]
			if !known {
				t.Errorf("%s (%s %s) is not in testdata/access.txt: decide who may use it", op.id, op.method, op.path)
				continue
			}
			delete(table, op.id)
			public := slices.Contains(who, "public")
			if public != op.public {
				t.Errorf("%s: the document says public %v, the table %v", op.id, op.public, public)
			}
			if public {
				knock(t, super.visitor(), op)
				continue
			}
			if status := knock(t, super.visitor(), op); status != http.StatusUnauthorized {
				t.Errorf("%s: %d without a token, want 401", op.id, status)
			}
			for _, nobody := range []*client{expired, super.visitor().with("Authorization", "Bearer pk_nonsense")} {
				// Whoever tries many wrong tokens waits.
				if status := knock(t, nobody, op); status != http.StatusUnauthorized && status != http.StatusTooManyRequests {
					t.Errorf("%s: %d with an expired or a wrong token, want 401", op.id, status)
				}
			}
			for _, name := range walkers() {
				may := slices.Contains(who, "all") || slices.Contains(who, name)
				status := knock(t, people[name], op)
				if let := status != http.StatusForbidden && status != http.StatusUnauthorized; let != may {
					t.Errorf("%s: %d for %s, want let in: %v", op.id, status, name, may)
				}
			}
		}
		for id := range table {
			t.Errorf("%s is in the table and not in the document", id)
		}
	})
}

// knock asks an operation with the id of nothing and an empty body.
func knock(t *testing.T, c *client, op operation) int {
	t.Helper()
	var body any
	if op.body != nil {
		body = map[string]any{}
	}
	res, b := c.ask(op.method, op.at("018f0000-0000-7000-8000-000000000000"), body)
	stackless(t, op.id, res.StatusCode, b)
	if !strings.Contains(res.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("%s: an answer of status %d may be kept: Cache-Control %q", op.id, res.StatusCode, res.Header.Get("Cache-Control"))
	}
	return res.StatusCode
}

// expiredToken makes a token and waits until it is not known any more.
func expiredToken(t *testing.T, c *client) *client {
	t.Helper()
	var key struct{ Secret string }
	c.want(http.StatusCreated, "POST", "/api/v1/tokens", map[string]any{"name": "short", "expiresAt": time.Now().Add(2 * time.Second)}, &key)
	with := c.visitor().with("Authorization", "Bearer "+key.Secret)
	with.want(http.StatusOK, "GET", "/api/v1/me", nil, nil)
	eventually(t, "the end of a token", func() bool {
		res, _ := with.ask("GET", "/api/v1/me", nil)
		return res.StatusCode == http.StatusUnauthorized
	})
	return with
}
