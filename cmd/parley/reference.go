package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/parley-voice/parley/internal/app"
)

type referenceCmd struct{}

// Run prints docs/configuration.md.
func (referenceCmd) Run(*env) error {
	var b bytes.Buffer
	b.WriteString("# Settings and commands\n\nMade by `make generate`; do not edit.\n\n## Settings\n\n")
	b.WriteString("Each setting is a flag of `parley serve`, a variable of the environment and a line of the settings file\n" +
		"(`--config FILE` or `PARLEY_CONFIG`, YAML). A flag beats a variable, a variable beats the file.\n" +
		"`parley serve --check` says what is wrong with them.\n")
	group := ""
	for _, s := range app.Settings() {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(&b, "\n### %s\n\n| flag and line | variable | default | what it does |\n|---|---|---|---|\n", group)
		}
		def := ""
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", s.Name, s.Env, def, s.Help)
	}
	b.WriteString("\n## Commands\n")
	var c cli
	parser, err := newParser(&c)
	if err != nil {
		return err
	}
	describe(&b, parser.Model.Node, "parley")
	_, err = os.Stdout.Write(b.Bytes())
	return err
}

// describe writes a command and those below it. The server's settings stand above and are not repeated.
func describe(b *bytes.Buffer, n *kong.Node, name string) {
	for _, child := range n.Children {
		if child.Hidden {
			continue
		}
		full := name + " " + child.Name
		if len(child.Children) > 0 {
			describe(b, child, full)
			continue
		}
		fmt.Fprintf(b, "\n### `%s`\n\n%s\n", full, child.Help)
		rows := ""
		for _, p := range child.Positional {
			rows += fmt.Sprintf("| `%s` | | %s |\n", strings.ToUpper(p.Name), p.Help)
		}
		for _, f := range child.Flags {
			if f.Group != nil || f.Name == "help" {
				continue
			}
			def := ""
			if f.HasDefault && f.Default != "" {
				def = "`" + f.Default + "`"
			}
			rows += fmt.Sprintf("| `--%s` | %s | %s |\n", f.Name, def, f.Help)
		}
		if rows != "" {
			b.WriteString("\n| argument | default | what it does |\n|---|---|---|\n" + rows)
		}
	}
}
