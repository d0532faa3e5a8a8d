// Package search finds records by their words. It keeps them in one of two engines:
//
//   - bleve, the default: one index for each kind of record and organisation in the data folder
//     (<data>/search/<kind>/<organisation>), for one process.
//   - OpenSearch, when Config.URL names one: one index for each kind, for any number of processes. Every request
//     names the organisation as a filter and as the routing, so that no query can reach another organisation's words.
//
// An index is made of records that live in the database: it may lag behind, and may be lost. Words are compared
// without case, all of a query's words must be in a record, and the last one may be a beginning. Neither
// engine stores the text.
package search

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	batchSize = 100
	maxQuery  = 256 // runes
	maxWords  = 16
	maxLimit  = 10_000 // also OpenSearch's index.max_result_window
)

var errNoID = errors.New("search: a record without an id")

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
	// Count gives how many records there are of an organisation.
	Count(ctx context.Context, orgID string) (int64, error)
	// Drop removes everything of an organisation.
	Drop(ctx context.Context, orgID string) error
	Close() error
}

// Config is what Open needs.
type Config struct {
	URL     string // of an OpenSearch server, https://user:password@host:9200; "" is bleve in DataDir
	DataDir string
	Kind    string        // such as "calls"; names the folder or the index
	MaxOpen int           // bleve: indexes open at once; 64
	Timeout time.Duration // OpenSearch: of one operation; 15 s
	Log     *slog.Logger  // nil discards
}

// Open opens the engine that the URL names, and proves that it can be reached.
func Open(ctx context.Context, c Config) (Index, error) {
	if err := checkName(c.Kind); err != nil {
		return nil, fmt.Errorf("search: kind: %w", err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.URL != "" {
		return openOpenSearch(ctx, c)
	}
	return openBleve(c)
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

func checkLimit(limit int) error {
	if limit < 1 || limit > maxLimit {
		return fault.Field("limit", "the limit %d is not in 1..%d", limit, maxLimit)
	}
	return nil
}

// wordsOf gives the words of what a person typed, in lower case. Nothing in it has a special meaning.
func wordsOf(text string) []string {
	if r := []rune(text); len(r) > maxQuery {
		text = string(r[:maxQuery])
	}
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	return words[:min(len(words), maxWords)]
}
