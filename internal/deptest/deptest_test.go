// Package deptest keeps the import rules of ARCHITECTURE.md: a broken one fails with the reason.
package deptest

import (
	"bufio"
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/parley-voice/parley/"

// rule forbids that packages below From import packages below To.
type rule struct {
	from   []string
	to     []string
	except []string // allowed all the same
	why    string
}

// contexts are the packages that own business behaviour.
var contexts = []string{
	"internal/identity", "internal/agent", "internal/conversation", "internal/telephony", "internal/contactcentre", "internal/campaign",
	"internal/crm", "internal/knowledge", "internal/integration", "internal/mcp", "internal/analytics", "internal/billing", "internal/compliance",
}

func rules() []rule {
	rs := []rule{
		{from: []string{"internal/platform", "internal/event"}, to: append([]string{"internal/voice", "internal/media", "internal/gateway", "internal/app"}, contexts...),
			why: "platform and event know no business: they would drag it into everything"},
		{from: []string{"internal/media", "internal/voice"}, to: []string{"internal/platform/db", "internal/platform/jobs", "internal/gateway", "internal/identity", "internal/agent", "internal/conversation"},
			why: "the hot path needs no database and no HTTP server"},
		{from: []string{"internal/voice"}, to: []string{"internal/telephony"},
			why: "the runtime and signalling meet in media, so that either can be tested and replaced alone"},
		{from: []string{"internal/media"}, to: []string{"internal/voice", "internal/telephony"},
			why: "media is what both meet in; it knows neither"},
		{from: []string{"internal"}, to: []string{"internal/app"}, except: []string{"internal/app"},
			why: "only cmd and end-to-end tests build the whole"},
		{from: []string{"internal"}, to: []string{"cmd"}, why: "commands are the outermost layer"},
		{from: append([]string{"internal/voice", "internal/media"}, contexts...), to: []string{"internal/gateway"},
			why: "the gateway mounts routes; contexts only describe them"},
	}
	for _, c := range contexts {
		var others []string
		for _, o := range contexts {
			if o != c && o != "internal/identity" {
				others = append(others, o)
			}
		}
		rs = append(rs, rule{from: []string{c}, to: others,
			why: "contexts share only events and small interfaces that app supplies"})
		if c != "internal/telephony" {
			rs = append(rs, rule{from: []string{c}, to: []string{"internal/voice", "internal/media"},
				why: "a context that needs the runtime declares an interface, and app supplies it"})
		}
	}
	return rs
}

// below reports whether pkg is one of roots or inside it.
func below(pkg string, roots []string) bool {
	for _, r := range roots {
		if pkg == r || strings.HasPrefix(pkg, r+"/") {
			return true
		}
	}
	return false
}

type edge struct{ from, to string }

// edges lists who imports whom, in test files too.
func edges(t *testing.T) []edge {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{$p := .ImportPath}}{{range .Imports}}{{$p}} {{.}}
{{end}}`, "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var es []edge
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		from, to, ok := strings.Cut(s.Text(), " ")
		if ok && strings.HasPrefix(to, module) {
			es = append(es, edge{strings.TrimPrefix(from, module), strings.TrimPrefix(to, module)})
		}
	}
	if len(es) < 10 {
		t.Fatalf("only %d imports found: the test looks at nothing", len(es))
	}
	return es
}

func TestImportRules(t *testing.T) {
	es := edges(t)
	for _, r := range rules() {
		for _, e := range es {
			if below(e.from, r.from) && below(e.to, r.to) && !below(e.from, r.except) {
				t.Errorf("%s imports %s: %s", e.from, e.to, r.why)
			}
		}
	}
}

func TestEveryPackageHasADocComment(t *testing.T) {
	docs := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == "warm" || (strings.HasPrefix(d.Name(), ".") && path != "../..")) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		docs[dir] = docs[dir] || (f.Doc != nil && len(f.Doc.Text()) > 40)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, ok := range docs {
		if !ok {
			t.Errorf("%s has no doc comment: write the newcomer's map", strings.TrimPrefix(dir, "../../"))
		}
	}
}

func TestNoDrawers(t *testing.T) {
	for _, e := range edges(t) {
		for _, part := range strings.Split(e.to, "/") {
			switch part {
			case "util", "utils", "common", "helpers", "misc", "types":
				t.Errorf("%s: a package named %q owns no idea", e.to, part)
			}
		}
	}
}
