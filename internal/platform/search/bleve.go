package search

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/custom"
	"github.com/blevesearch/bleve/v2/analysis/token/lowercase"
	unicodetok "github.com/blevesearch/bleve/v2/analysis/tokenizer/unicode"
	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search/query"
)

const (
	defaultOpen = 64
	lockWait    = "5s" // for another process that has the index open
)

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

// openBleve makes the folder. Indexes are opened when they are first used.
func openBleve(c Config) (*Bleve, error) {
	if c.MaxOpen <= 0 {
		c.MaxOpen = defaultOpen
	}
	b := &Bleve{dir: filepath.Join(c.DataDir, "search", c.Kind), maxOpen: c.MaxOpen, log: c.Log, open: map[string]*shard{}}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, fmt.Errorf("search folder: %w", err)
	}
	return b, nil
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
					return errNoID
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
	if err := checkLimit(limit); err != nil {
		return nil, err
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

// parse makes a query of what a person typed, nil when there is no word in it.
func parse(text string) query.Query {
	words := wordsOf(text)
	if len(words) == 0 {
		return nil
	}
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

// Count implements Index.
func (b *Bleve) Count(_ context.Context, orgID string) (n int64, err error) {
	if err := checkName(orgID); err != nil {
		return 0, fmt.Errorf("search: organisation: %w", err)
	}
	if _, err := os.Stat(filepath.Join(b.dir, orgID)); errors.Is(err, fs.ErrNotExist) {
		return 0, nil // to open it would make it
	}
	err = b.with(orgID, func(idx bleve.Index) error {
		docs, err := idx.DocCount()
		n = int64(docs)
		return err
	})
	return n, err
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
