package deptest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const apiBefore = `openapi: 3.1.0
info: {title: t, version: "1"}
paths:
  /things:
    get: {operationId: list-things, responses: {"200": {description: fine}}}
    post: {operationId: make-thing, responses: {"200": {description: fine}}}
`

// A breaking change passes CI only when it is announced.
func TestBreakingChangesAreAnnounced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	before := file("before.yaml", apiBefore)
	broken := file("after.yaml", strings.Replace(apiBefore, "    post: {operationId: make-thing, responses: {\"200\": {description: fine}}}\n", "", 1))
	more := file("more.yaml", apiBefore+"    delete: {operationId: end-things, responses: {\"200\": {description: fine}}}\n")
	silent := file("silent.md", "# Changes\n\nNone.\n")
	other := file("other.md", "# Changes\n\n- DELETE /things api removed without deprecation\n")
	announced := file("announced.md", "# Changes\n\n## 2026-11-21\n\n- POST /things api removed without deprecation: use PUT\n")
	for _, c := range []struct {
		name, after, changes string
		passes               bool
	}{
		{"nothing changed", before, silent, true}, {"something new", more, silent, true}, {"broken in silence", broken, silent, false},
		{"something else announced", broken, other, false}, {"announced", broken, announced, true},
	} {
		cmd := exec.Command("bash", "../../scripts/api-check.sh", before, c.after, c.changes) //nolint:noctx // ends with its comparison
		out, err := cmd.CombinedOutput()
		if (err == nil) != c.passes {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
	}
}
