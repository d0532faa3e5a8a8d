package deptest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	apiPath      = regexp.MustCompile(`^  (/\S*):$`)
	apiMethod    = regexp.MustCompile(`^    (get|post|put|patch|delete):$`)
	apiOperation = regexp.MustCompile(`^      operationId: (\S+)$`)
	wayRow       = regexp.MustCompile(`^\| ([^|]+) \| [^|]+ \| [^|]+ \|$`)
)

// publicOperations are those of the API document that name no security.
func publicOperations(document string) map[string]bool {
	out, id, public := map[string]bool{}, "", false
	end := func() {
		if id != "" && public {
			out[id] = true
		}
		id, public = "", true
	}
	for line := range strings.Lines(document) {
		line = strings.TrimRight(line, "\n")
		switch {
		case apiPath.MatchString(line), apiMethod.MatchString(line):
			end()
		case apiOperation.MatchString(line):
			id = apiOperation.FindStringSubmatch(line)[1]
		case line == "      security:":
			public = false
		}
	}
	end()
	return out
}

// mounted are the lines by which the composition root gives the web server its handlers.
func mounted(t *testing.T, source string) []string {
	t.Helper()
	_, body, found := strings.Cut(source, "func (a *App) mount(")
	body, _, ended := strings.Cut(body, "\n}\n")
	if !found || !ended {
		t.Fatal("internal/app/http.go has no func mount any more; tell this test where handlers are mounted")
	}
	var out []string
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "mux") && !strings.HasSuffix(line, "{") || strings.HasPrefix(line, "a.routes(") {
			out = append(out, line)
		}
	}
	return out
}

// Each way in is documented, and each that is documented is there: nobody can add an operation that asks for nothing, or a
// handler beside the API, without saying which way into Parley it is.
func TestWaysIn(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	ways := map[string]bool{}
	_, section, _ := strings.Cut(read("docs/security/policy.md"), "## Ways in\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if m := wayRow.FindStringSubmatch(strings.TrimSpace(line)); m != nil && m[1] != "way" && !strings.HasPrefix(m[1], "---") {
			ways[m[1]] = false
		}
	}
	table := map[string]string{}
	for line := range strings.Lines(read("internal/deptest/testdata/waysin.txt")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndex(line, ": ")
		if i < 0 || table[line[:i]] != "" {
			t.Fatalf("waysin.txt: %q", line)
		}
		what, way := line[:i], line[i+2:]
		table[what] = way
		if _, known := ways[way]; way != "-" && !known {
			t.Errorf("waysin.txt: %s is %q, which is no row of docs/security/policy.md", what, way)
		}
		ways[way] = true
	}
	document := read("api/openapi.yaml")
	public := publicOperations(document)
	for id := range public {
		if table[id] == "" {
			t.Errorf("the operation %s asks for nothing: say in testdata/waysin.txt which way in it is", id)
		}
	}
	if len(public) < 10 {
		t.Errorf("only %d operations ask for nothing: the document cannot be read", len(public))
	}
	handlers := map[string]bool{}
	for _, line := range mounted(t, read("internal/app/http.go")) {
		handlers[line] = true
		if table[line] == "" {
			t.Errorf("%s is mounted: say in testdata/waysin.txt which way in it is", line)
		}
	}
	for what := range table {
		_, err := os.Stat(filepath.Join("..", "..", what))
		if !public[what] && !handlers[what] && err != nil && !strings.Contains(document, "operationId: "+what+"\n") {
			t.Errorf("waysin.txt: %s is not there any more", what)
		}
	}
	for way, used := range ways {
		if !used {
			t.Errorf("docs/security/policy.md: nothing is the way in by %s", way)
		}
	}
}
