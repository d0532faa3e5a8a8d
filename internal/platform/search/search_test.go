package search_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/platform/search"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

func open(t testing.TB, c search.Config) search.Index {
	t.Helper()
	c.Kind = "calls"
	b, err := search.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func put(t testing.TB, b search.Index, org string, texts ...string) {
	t.Helper()
	var docs []search.Doc
	for i, text := range texts {
		docs = append(docs, search.Doc{ID: fmt.Sprint(i), Fields: map[string]string{"text": text, "from": "+4930123456"}})
	}
	if err := b.Put(t.Context(), org, docs); err != nil {
		t.Fatal(err)
	}
}

func find(t testing.TB, b search.Index, org, q string) []string {
	t.Helper()
	ids, err := b.Find(t.Context(), org, q, 100)
	if err != nil {
		t.Fatalf("find %q: %v", q, err)
	}
	slices.Sort(ids)
	return ids
}

// Both engines behave the same. OpenSearch is our own imitation of it: see peer_test.go.
func TestBothEngines(t *testing.T) {
	for name, config := range map[string]func(*testing.T) search.Config{
		"bleve":      func(t *testing.T) search.Config { return search.Config{DataDir: t.TempDir()} },
		"opensearch": func(t *testing.T) search.Config { return search.Config{URL: newPeer(t).url()} },
	} {
		t.Run(name, func(t *testing.T) {
			for name, test := range map[string]func(*testing.T, search.Index){
				"find": testFind, "order": testOrder, "organisations": testOrganisationsAreApart, "many": testMany, "concurrent": testConcurrent,
			} {
				t.Run(name, func(t *testing.T) { test(t, open(t, config(t))) })
			}
		})
	}
}

func testFind(t *testing.T, b search.Index) {
	put(t, b, "a", "Good morning, I want to book an appointment.", "The opening hours, please", "Guten Morgen, ein Termin für Übermorgen", "我想预约")
	for q, want := range map[string][]string{
		"appointment": {"0"}, "APPOINTMENT book": {"0"}, "morning hours": nil, "appoint": {"0"}, "the open": {"1"},
		"übermorgen": {"2"}, "预约": {"3"}, "49301": {"0", "1", "2", "3"}, "+4930123456": {"0", "1", "2", "3"},
		"": nil, "  ?!*": nil, `book" OR text:*`: nil, "appointment~2^9": nil, "an appointment.": {"0"}, strings.Repeat("x ", 5000): nil,
	} {
		if got := find(t, b, "a", q); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", q, got, want)
		}
	}
	put(t, b, "a", "something else") // replaces 0
	if got := find(t, b, "a", "appointment"); got != nil {
		t.Errorf("replaced, and found %v", got)
	}
	if err := b.Delete(t.Context(), "a", []string{"1", "unknown"}); err != nil {
		t.Fatal(err)
	}
	if got := find(t, b, "a", "opening"); got != nil {
		t.Errorf("deleted, and found %v", got)
	}
	for _, limit := range []int{0, -1, 1 << 20} {
		if _, err := b.Find(t.Context(), "a", "x", limit); err == nil {
			t.Errorf("limit %d was taken", limit)
		}
	}
}

// The newest of equals is first: ids are in order of time.
func testOrder(t *testing.T, b search.Index) {
	put(t, b, "a", "same words", "same words", "same words")
	for limit, want := range map[int][]string{3: {"2", "1", "0"}, 2: {"2", "1"}} {
		if got, err := b.Find(t.Context(), "a", "words", limit); err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
}

// More than one batch, by number and by size, is found when Put returns.
func testMany(t *testing.T, b search.Index) {
	texts := make([]string, 230)
	for i := range texts {
		texts[i] = fmt.Sprintf("common n%d", i)
	}
	large := strings.Repeat("padding ", 256<<10/8)
	for i := range 17 {
		texts[i] += " " + large
	}
	put(t, b, "a", texts...)
	ids, err := b.Find(t.Context(), "a", "common", 1000)
	if err != nil || len(ids) != len(texts) {
		t.Errorf("found %d, %v", len(ids), err)
	}
	if err := b.Put(t.Context(), "a", nil); err != nil {
		t.Error(err)
	}
	if err := b.Put(t.Context(), "a", []search.Doc{{}}); err == nil {
		t.Error("a record without an id was taken")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Put(gone, "a", []search.Doc{{ID: "x"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func testOrganisationsAreApart(t *testing.T, b search.Index) {
	put(t, b, "a", "secret plans")
	put(t, b, "b", "nothing")
	if got := find(t, b, "b", "secret"); got != nil {
		t.Errorf("organisation B found %v", got)
	}
	if err := b.Drop(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if got := find(t, b, "a", "secret"); got != nil {
		t.Errorf("dropped, and found %v", got)
	}
	if got := find(t, b, "b", "nothing"); len(got) != 1 {
		t.Errorf("dropped another's: %v", got)
	}
	for _, org := range []string{"", "..", "a/b", "../b", strings.Repeat("x", 65)} {
		if _, err := b.Find(t.Context(), org, "x", 1); err == nil {
			t.Errorf("organisation %q was taken", org)
		}
		if err := b.Drop(t.Context(), org); err == nil {
			t.Errorf("organisation %q was dropped", org)
		}
	}
}

func TestSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	b := open(t, search.Config{DataDir: dir})
	put(t, b, "a", "hello")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Find(t.Context(), "a", "hello", 1); err == nil {
		t.Error("found after Close")
	}
	if got := find(t, open(t, search.Config{DataDir: dir}), "a", "hello"); len(got) != 1 {
		t.Errorf("found %v", got)
	}
}

func TestDamageIsPutAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "search", "calls", "a")
	if err := os.MkdirAll(path, 0o700); err != nil { // a crash while the index was made
		t.Fatal(err)
	}
	b := open(t, search.Config{DataDir: dir})
	put(t, b, "a", "hello")
	if got := find(t, b, "a", "hello"); len(got) != 1 {
		t.Errorf("found %v", got)
	}
	if _, err := os.Stat(path + ".damaged"); err != nil {
		t.Error(err)
	}
}

func TestManyOrganisationsAtOnce(t *testing.T) {
	testConcurrent(t, open(t, search.Config{DataDir: t.TempDir(), MaxOpen: 2}))
}

func testConcurrent(t *testing.T, b search.Index) {
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() {
			org := fmt.Sprint("org", i)
			put(t, b, org, fmt.Sprint("word", i))
			for range 3 {
				if got := find(t, b, org, fmt.Sprint("word", i)); len(got) != 1 {
					t.Errorf("%s found %v", org, got)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkPut(b *testing.B) {
	s := open(b, search.Config{DataDir: b.TempDir()})
	text := strings.Repeat("good morning I would like to book an appointment for tomorrow ", 20)
	docs := make([]search.Doc, 100)
	for i := range docs {
		docs[i] = search.Doc{ID: fmt.Sprint(i), Fields: map[string]string{"text": text}}
	}
	for b.Loop() {
		if err := s.Put(b.Context(), "a", docs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(docs))/b.Elapsed().Seconds(), "docs/s")
}
