package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command runs one with some standard input, and gives what it prints.
func command(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var c cli
	parser, err := newParser(&c)
	if err != nil {
		t.Fatal(err)
	}
	k, err := parser.Parse(args)
	if err != nil {
		return "", err
	}
	in, out := filepath.Join(t.TempDir(), "in"), filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(in, []byte(stdin), 0o600); err != nil {
		t.Fatal(err)
	}
	swap := func(place **os.File, path string, flag int) func() {
		f, err := os.OpenFile(path, flag, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		was := *place
		*place = f
		return func() { *place = was; _ = f.Close() }
	}
	defer swap(&os.Stdin, in, os.O_RDONLY)()
	done := swap(&os.Stdout, out, os.O_CREATE|os.O_RDWR)
	err = k.Run(&env{ctx: t.Context(), version: "test"})
	done()
	b, rerr := os.ReadFile(out)
	if rerr != nil {
		t.Fatal(rerr)
	}
	return strings.TrimSpace(string(b)), err
}

// The commands of an organisation's life, as somebody at a terminal gives them: made, given a key, exported, inspected, imported,
// and erased with proof.
func TestOrganisationCommands(t *testing.T) {
	dir := t.TempDir()
	data := []string{"--data-dir", filepath.Join(dir, "data")}
	run := func(stdin string, args ...string) string {
		t.Helper()
		out, err := command(t, stdin, append(args, data...)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	refused := func(says, stdin string, args ...string) {
		t.Helper()
		if _, err := command(t, stdin, append(args, data...)...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want something of %q", args, err, says)
		}
	}
	const password, pass = "a long pass phrase of hers\n", "a passphrase for the file\n"
	id := run(password, "org", "create", "--name", "House", "--owner-email", "anna@example.com", "--password-stdin", "--placement", "own")
	if len(id) != 36 {
		t.Errorf("made %q", id)
	}
	refused("password", "short\n", "org", "create", "--name", "Other", "--owner-email", "bert@example.com", "--password-stdin")
	refused("region", password, "org", "create", "--name", "Other", "--owner-email", "anna@example.com", "--password-stdin", "--placement", "own", "--region", "moon")
	second := run(password, "org", "create", "--name", "Second", "--owner-email", "anna@example.com", "--password-stdin")

	for _, org := range []string{"House", second} {
		if key := run("", "token", "create", "--org", org, "--email", "anna@example.com", "--name", "ci"); len(key) < 30 || strings.ContainsAny(key, " \n") {
			t.Errorf("a key of %s: %q", org, key)
		}
	}
	refused("nobody in", "", "token", "create", "--org", "House", "--email", "bert@example.com", "--name", "ci")
	refused("there is no organisation", "", "token", "create", "--org", "Nobody", "--email", "anna@example.com", "--name", "ci")

	file := filepath.Join(dir, "house.parley")
	refused("fewer than", "short\n", "org", "export", "House", "--out", file, "--passphrase-stdin")
	run(pass, "org", "export", "House", "--out", file, "--passphrase-stdin")
	out, err := command(t, pass, "org", "inspect", file, "--passphrase-stdin")
	if err != nil || !strings.Contains(out, `"House"`) || !strings.Contains(out, "agents ") {
		t.Errorf("inspected: %v\n%s", err, out)
	}
	if _, err := command(t, "another passphrase\n", "org", "inspect", file, "--passphrase-stdin"); err == nil || !strings.Contains(err.Error(), "passphrase") {
		t.Errorf("with another passphrase: %v", err)
	}
	words := filepath.Join(dir, "words")
	if err := os.WriteFile(words, []byte(pass), 0o600); err != nil {
		t.Fatal(err)
	}
	other := run("", "org", "import", file, "--name", "Twin", "--passphrase-file", words)
	run(pass, "org", "import", file, "--into", "Second", "--passphrase-stdin")

	refused("repeat the organisation's name", "", "org", "erase", other, "--confirm", "House")
	cert := filepath.Join(dir, "certificate.json")
	run("", "org", "erase", other, "--confirm", "Twin", "--reason", "the contract ended", "--out", cert)
	said, err := command(t, "", "org", "erase", "--verify", cert)
	if err != nil || !strings.Contains(said, "The certificate holds") || !strings.Contains(said, other) || !strings.Contains(said, "0 found") {
		t.Errorf("the certificate: %v\n%s", err, said)
	}
	b, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cert, []byte(strings.Replace(string(b), "the contract ended", "the contract began", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := command(t, "", "org", "erase", "--verify", cert); err == nil || !strings.Contains(err.Error(), "does not hold") {
		t.Errorf("a certificate that was changed: %v", err)
	}
	refused("erased already", "", "org", "erase", other, "--confirm", "Twin")
	run("", "token", "create", "--org", "House", "--email", "anna@example.com", "--name", "after")
}
