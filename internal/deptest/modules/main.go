// Command modules writes docs/modules.md: which part of the program depends on which, as the code has it.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const module = "github.com/parley-voice/parley/"

type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string
}

// part is a folder below internal (below platform: each of its folders) with all that is in it.
type part struct {
	name, doc string
	uses      map[string]bool
	usedBy    map[string]bool
}

func main() {
	text, err := page()
	if err == nil {
		_, err = io.WriteString(os.Stdout, text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func list() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports", "./...") //nolint:noctx // ends with its output
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		pkgs = append(pkgs, p)
	}
}

// partOf names the part that a package belongs to; "" for those of others, and for tests' own.
func partOf(path string) string {
	rest, ok := strings.CutPrefix(path, module+"internal/")
	if !ok || strings.HasPrefix(rest, "deptest") {
		return ""
	}
	dirs := strings.Split(rest, "/")
	if strings.HasSuffix(dirs[len(dirs)-1], "test") {
		return ""
	}
	if dirs[0] == "platform" && len(dirs) > 1 {
		return "platform/" + dirs[1]
	}
	return dirs[0]
}

func collect(pkgs []pkg) map[string]*part {
	parts := map[string]*part{}
	get := func(name string) *part {
		if parts[name] == nil {
			parts[name] = &part{name: name, uses: map[string]bool{}, usedBy: map[string]bool{}}
		}
		return parts[name]
	}
	for _, p := range pkgs {
		name := partOf(p.ImportPath)
		if name == "" {
			continue
		}
		it := get(name)
		if strings.TrimPrefix(p.ImportPath, module+"internal/") == name {
			it.doc = p.Doc
		}
		for _, i := range p.Imports {
			if to := partOf(i); to != "" && to != name {
				it.uses[to] = true
				get(to).usedBy[name] = true
			}
		}
	}
	return parts
}

// what is the doc comment's first sentence without "Package name".
func what(p *part) string {
	words := strings.Fields(p.doc)
	if len(words) > 2 && words[0] == "Package" {
		words = words[2:]
	}
	return strings.ReplaceAll(strings.Join(words, " "), "|", "\\|")
}

func page() (string, error) {
	pkgs, err := list()
	if err != nil {
		return "", err
	}
	parts := collect(pkgs)
	names := slices.Sorted(maps.Keys(parts))
	var b strings.Builder
	b.WriteString("# Modules\n\nMade by `make generate`; do not edit. An arrow says that a part imports another; tests are left out. The rules that these\n" +
		"arrows obey, with their reasons, are in `internal/deptest`.\n\nWithout `app`, which joins all, and `platform`, which nearly all use:\n\n```mermaid\nflowchart LR\n")
	inner := func(n string) bool {
		return n != "app" && n != "event" && n != "platform" && !strings.HasPrefix(n, "platform/")
	}
	for _, n := range names {
		for _, to := range slices.Sorted(maps.Keys(parts[n].uses)) {
			if inner(n) && inner(to) {
				fmt.Fprintf(&b, "    %s --> %s\n", n, to)
			}
		}
	}
	b.WriteString("```\n\n| part | what it is | imports | is imported by |\n|---|---|---|---|\n")
	for _, n := range names {
		p := parts[n]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", n, what(p), join(p.uses), join(p.usedBy))
	}
	return b.String(), nil
}

func join(set map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(set)), ", ")
}
