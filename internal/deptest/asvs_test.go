package deptest

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const asvsFile = "docs/security/asvs.md"

var (
	asvsRow   = regexp.MustCompile(`^\| (V[0-9.]+) \| ([0-9]) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`)
	asvsTotal = regexp.MustCompile(`^\| (met|partly|open|does not apply) \| ([0-9]+) \|$`)
	codeSpan  = regexp.MustCompile("`([^`]+)`")
	testName  = regexp.MustCompile(`^([a-z0-9]+)\.((?:Test|Fuzz)\w+)$`)
	testFunc  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

// TestASVS compares docs/security/asvs.md with the list of requirements and with what there is: each requirement has one
// row, and what a row names as proof exists. Whether it proves what the row says is for its reader.
func TestASVS(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	levels := asvsLevels(t)
	tests := testsByPackage(t, root)
	text, err := os.ReadFile(filepath.Join(root, asvsFile))
	if err != nil {
		t.Fatal(err)
	}
	seen, counted, totals := map[string]bool{}, map[string]int{}, map[string]string{}
	for n, line := range strings.Split(string(text), "\n") {
		at := fmt.Sprintf("%s:%d", asvsFile, n+1)
		if m := asvsTotal.FindStringSubmatch(line); m != nil {
			totals[m[1]] = m[2]
			continue
		}
		m := asvsRow.FindStringSubmatch(line)
		if m == nil {
			if strings.HasPrefix(line, "| V") {
				t.Errorf("%s: a row has five cells: id, level, requirement, state, proof: %s", at, line)
			}
			continue
		}
		id, level, state, proof := m[1], m[2], m[4], m[5]
		if seen[id] {
			t.Errorf("%s: %s is there twice", at, id)
		}
		seen[id] = true
		counted[state]++
		if want, ok := levels[id]; !ok || want != level {
			t.Errorf("%s: %s is no requirement of level %s", at, id, level)
		}
		named, wrong := proofs(root, tests, proof)
		for _, w := range wrong {
			t.Errorf("%s: %s: %s", at, id, w)
		}
		switch state {
		case "met":
			if named == 0 {
				t.Errorf("%s: %s is said to be met; name the test or file that proves it", at, id)
			}
		case "partly", "open", "does not apply":
		default:
			t.Errorf("%s: %q is no state; use met, partly, open or does not apply", at, state)
		}
	}
	for id := range levels {
		if !seen[id] {
			t.Errorf("%s lacks %s", asvsFile, id)
		}
	}
	for state, n := range counted {
		if totals[state] != fmt.Sprint(n) {
			t.Errorf("%s says that %q are %s; %d", asvsFile, totals[state], state, n)
		}
	}
}

// proofs counts what a cell names that exists, and tells what does not: `package.TestName`, and paths from the root.
func proofs(root string, tests map[string]bool, cell string) (named int, wrong []string) {
	for _, m := range codeSpan.FindAllStringSubmatch(cell, -1) {
		span := m[1]
		if test := testName.FindStringSubmatch(span); test != nil {
			if !tests[span] {
				wrong = append(wrong, fmt.Sprintf("there is no test %s in a package %s", test[2], test[1]))
			}
			named++
			continue
		}
		if !strings.ContainsAny(span, "/.") && span != "Makefile" {
			continue // a setting or a character
		}
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(span))); err != nil {
			wrong = append(wrong, fmt.Sprintf("there is no file %s", span))
		}
		named++
	}
	return named, wrong
}

// asvsLevels reads the list of requirements.
func asvsLevels(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("testdata/asvs-5.0.0.csv")
	if err != nil {
		t.Fatal(err)
	}
	levels := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		if id, level, ok := strings.Cut(strings.TrimSpace(line), ","); ok && strings.HasPrefix(id, "V") {
			levels[id] = level
		}
	}
	if len(levels) != 253 {
		t.Fatalf("the list has %d requirements; ASVS 5.0.0 has 253 of levels 1 and 2", len(levels))
	}
	return levels
}

// testsByPackage gives every test as folder.TestName, by the folder's last element.
func testsByPackage(t *testing.T, root string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, top := range []string{"cmd", "internal"} {
		err := fs.WalkDir(os.DirFS(root), top, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(p, "_test.go") {
				return err
			}
			text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p)))
			if err != nil {
				return err
			}
			for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
				out[path.Base(path.Dir(p))+"."+m[1]] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}
