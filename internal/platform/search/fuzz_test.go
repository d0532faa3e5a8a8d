package search_test

import (
	"testing"

	"github.com/parley-voice/parley/internal/platform/search"
)

// Whatever is typed finds something or nothing, and is never an error.
func FuzzFind(f *testing.F) {
	for _, q := range []string{"book", `"book" AND text:(`, "a* ~2 ^9 /.*/", "预约 \xff", "e\u0301"} {
		f.Add(q)
	}
	b := open(f, search.Config{DataDir: f.TempDir()})
	put(f, b, "a", "I want to book an appointment")
	f.Fuzz(func(t *testing.T, q string) {
		if _, err := b.Find(t.Context(), "a", q, 10); err != nil {
			t.Errorf("%q: %v", q, err)
		}
	})
}
