// Package search finds records by their words. It keeps one index for each kind of record and organisation in the data
// folder (<data>/search/<kind>/<organisation>), with bleve, so that no query can reach another organisation's words.
//
// An index is made of records that live in the database: it may lag behind, and one that is damaged is put aside and
// begun anew. Words are compared without case, all of a query's words must be in a record, and the last one may be
// a beginning.
package search

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/custom"
	"github.com/blevesearch/bleve/v2/analysis/token/lowercase"
	unicodetok "github.com/blevesearch/bleve/v2/analysis/tokenizer/unicode"
	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search/query"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	batchSize   = 100
	defaultOpen = 64
	maxQuery    = 256 // runes
	maxWords    = 16
	maxLimit    = 10_000
	lockWait    = "5s" // for another process that has the index open
)

// Doc is a record's words, by field. Putting a Doc with a known ID replaces it.
type Doc struct {
	ID     string
	Fields map[string]string
}

// Index finds records of one kind.
type Index interface {
	// Put adds or replaces records. It returns once they can be found.
	Put(ctx context.Context, orgID string, docs []Doc) error
	// Delete removes records; unknown ids are no error.
	Delete(ctx context.Context, orgID string, ids []string) error
	// Find gives the ids of up to limit records that have all words of the query, best first.
	Find(ctx context.Context, orgID, query string, limit int) ([]string, error)
	// Drop removes everything of an organisation.
	Drop(ctx context.Context, orgID string) error
	Close() error
}

// Config is what Open needs.
type Config struct {
	DataDir string
	Kind    string       // such as "calls"; names the folder
	MaxOpen int          // indexes open at once; 64
	Log     *slog.Logger // nil discards
}

// Bleve is an Index in the data folder. It is safe for concurrent use, by one process.
type Bleve struct {
	dir     string
	maxOpen int
	log     *slog.Logger

	mu     sync.Mutex
	open   map[string]*shard
	clock  uint64 // counts uses: the least recent is closed first
	closed bool
}

var _ Index = (*Bleve)(nil)

// shard is one organisation's index. Who uses it holds a read lock, so that it is not closed meanwhile.
type shard struct {
	mu   sync.RWMutex
	idx  bleve.Index // nil until opened, and after it was closed
	used uint64
}

var errClosed = errors.New("search: the index is closed")

// Open makes the folder. Indexes are opened when they are first used.
func Open(c Config) (*Bleve, error) {
	if err := checkName(c.Kind); err != nil {
		return nil, fmt.Errorf("search: kind: %w", err)
	}
	if c.MaxOpen <= 0 {
		c.MaxOpen = defaultOpen
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	b := &Bleve{dir: filepath.Join(c.DataDir, "search", c.Kind), maxOpen: c.MaxOpen, log: c.Log, open: map[string]*shard{}}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, fmt.Errorf("search folder: %w", err)
	}
	return b, nil
}

// checkName keeps names inside the folder.
func checkName(s string) error {
	if s == "" || len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '_' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}) {
		return fmt.Errorf("%q is no name: use letters, digits, - and _", s)
	}
	return nil
}

// Put implements Index.
func (b *Bleve) Put(ctx context.Context, orgID string, docs []Doc) error {
	return b.with(orgID, func(idx bleve.Index) error {
		for len(docs) > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(batchSize, len(docs))
			batch := idx.NewBatch()
			for _, d := range docs[:n] {
				if d.ID == "" {
					return errors.New("search: a record without an id")
				}
				fields := make(map[string]any, len(d.Fields))
				for k, v := range d.Fields {
					fields[k] = v
				}
				if err := batch.Index(d.ID, fields); err != nil {
					return err
				}
			}
			if err := idx.Batch(batch); err != nil {
				return err
			}
			docs = docs[n:]
		}
		return nil
	})
}

// Delete implements Index.
func (b *Bleve) Delete(_ context.Context, orgID string, ids []string) error {
	return b.with(orgID, func(idx bleve.Index) error {
		batch := idx.NewBatch()
		for _, id := range ids {
			batch.Delete(id)
		}
		return idx.Batch(batch)
	})
}

// Find implements Index.
func (b *Bleve) Find(ctx context.Context, orgID, text string, limit int) ([]string, error) {
	if limit < 1 || limit > maxLimit {
		return nil, fault.Field("limit", "the limit %d is not in 1..%d", limit, maxLimit)
	}
	q := parse(text)
	if q == nil {
		return nil, nil
	}
	var ids []string
	err := b.with(orgID, func(idx bleve.Index) error {
		req := bleve.NewSearchRequestOptions(q, limit, 0, false)
		req.SortBy([]string{"-_score", "-_id"}) // ids are in order of time: the newest of equals first
		res, err := idx.SearchInContext(ctx, req)
		if err != nil {
			return err
		}
		for _, hit := range res.Hits {
			ids = append(ids, hit.ID)
		}
		return nil
	})
	return ids, err
}

// parse makes a query of what a person typed, nil when there is no word in it. Nothing in it has a special meaning.
func parse(text string) query.Query {
	if r := []rune(text); len(r) > maxQuery {
		text = string(r[:maxQuery])
	}
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	if len(words) == 0 {
		return nil
	}
	words = words[:min(len(words), maxWords)]
	all := func(ws []string) query.Query {
		m := bleve.NewMatchQuery(strings.Join(ws, " "))
		m.SetOperator(query.MatchQueryOperatorAnd)
		return m
	}
	last := len(words) - 1
	begins := query.Query(bleve.NewPrefixQuery(words[last]))
	if last > 0 {
		begins = bleve.NewConjunctionQuery(all(words[:last]), begins)
	}
	return bleve.NewDisjunctionQuery(all(words), begins)
}

// Drop implements Index.
func (b *Bleve) Drop(_ context.Context, orgID string) error {
	if err := checkName(orgID); err != nil {
		return fmt.Errorf("search: organisation: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.open[orgID]; s != nil {
		if err := s.close(); err != nil {
			return err
		}
		delete(b.open, orgID)
	}
	return os.RemoveAll(filepath.Join(b.dir, orgID))
}

// Close closes all indexes, once nobody uses them. It is safe twice.
func (b *Bleve) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	var err error
	for org, s := range b.open {
		err = errors.Join(err, s.close())
		delete(b.open, org)
	}
	return err
}

// with runs fn on an organisation's index.
func (b *Bleve) with(orgID string, fn func(bleve.Index) error) error {
	s, err := b.take(orgID)
	if err != nil {
		return err
	}
	defer s.mu.RUnlock()
	if err := fn(s.idx); err != nil {
		return fmt.Errorf("search: %w", err)
	}
	return nil
}

// take gives an organisation's index, opened and read-locked. Opening happens under the lock of all: it is rare.
func (b *Bleve) take(orgID string) (*shard, error) {
	if err := checkName(orgID); err != nil {
		return nil, fmt.Errorf("search: organisation: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	b.clock++
	if s := b.open[orgID]; s != nil {
		s.used = b.clock
		s.mu.RLock()
		return s, nil
	}
	if len(b.open) >= b.maxOpen {
		if err := b.evict(); err != nil {
			b.log.Warn("an index could not be closed", "error", err)
		}
	}
	idx, err := b.openOne(orgID)
	if err != nil {
		return nil, fmt.Errorf("search: open the index: %w", err)
	}
	s := &shard{idx: idx, used: b.clock}
	s.mu.RLock()
	b.open[orgID] = s
	return s, nil
}

// evict closes the index that was used least recently. The caller holds mu.
func (b *Bleve) evict() error {
	oldest := ""
	for org, s := range b.open {
		if oldest == "" || s.used < b.open[oldest].used {
			oldest = org
		}
	}
	s := b.open[oldest]
	delete(b.open, oldest)
	return s.close()
}

// close waits for those who use the index.
func (s *shard) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idx.Close()
}

func (b *Bleve) openOne(orgID string) (bleve.Index, error) {
	path := filepath.Join(b.dir, orgID)
	conf := map[string]any{"bolt_timeout": lockWait}
	idx, err := bleve.OpenUsing(path, conf)
	if err == nil {
		return idx, nil
	}
	if !errors.Is(err, bleve.ErrorIndexPathDoesNotExist) {
		if strings.Contains(err.Error(), "timeout") { // bbolt's lock
			return nil, fmt.Errorf("another process uses %s: %w", path, err)
		}
		aside := path + ".damaged"
		b.log.Error("a damaged index was put aside; what it held is found again once it is indexed anew", "path", aside, "error", err)
		if err := errors.Join(os.RemoveAll(aside), os.Rename(path, aside)); err != nil {
			return nil, err
		}
	}
	m, err := newMapping()
	if err != nil {
		return nil, err
	}
	return bleve.NewUsing(path, m, bleve.Config.DefaultIndexType, bleve.Config.DefaultKVStore, conf)
}

// newMapping indexes every field's words and stores none of them: the database has the text.
func newMapping() (mapping.IndexMapping, error) {
	m := bleve.NewIndexMapping()
	// No stop words and no stemming: organisations speak different languages.
	err := m.AddCustomAnalyzer("words", map[string]any{
		"type": custom.Name, "tokenizer": unicodetok.Name, "token_filters": []string{lowercase.Name},
	})
	if err != nil {
		return nil, err
	}
	m.DefaultAnalyzer = "words"
	m.StoreDynamic, m.DocValuesDynamic = false, false
	return m, nil
}
