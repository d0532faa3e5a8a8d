package deptest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var parameterTag = regexp.MustCompile(`\b(path|query|header|cookie):"`)

// huma looks for parameters in exported embedded structs only: those of another would never be read, in silence.
func TestEmbeddedParametersAreRead(t *testing.T) {
	t.Parallel()
	looked := 0
	err := filepath.WalkDir("../../internal", func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		structs, err := structsOf(path)
		if err != nil {
			return err
		}
		for name, s := range structs {
			for _, f := range s.Fields.List {
				id, ok := f.Type.(*ast.Ident)
				if len(f.Names) > 0 || !ok || id.IsExported() || structs[id.Name] == nil {
					continue
				}
				looked++
				for _, inner := range structs[id.Name].Fields.List {
					if inner.Tag != nil && parameterTag.MatchString(inner.Tag.Value) {
						t.Errorf("%s: %s embeds %s, whose parameters huma does not see: export it", strings.TrimPrefix(path, "../../"), name, id.Name)
						break
					}
				}
			}
		}
		return nil
	})
	if err != nil || looked == 0 {
		t.Fatalf("%d embedded structs: %v", looked, err)
	}
}

// structsOf gives the struct types of a folder's Go files, by name.
func structsOf(dir string) (map[string]*ast.StructType, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	out := map[string]*ast.StructType{}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					out[spec.Name.Name] = s
				}
			}
			return true
		})
	}
	return out, nil
}
