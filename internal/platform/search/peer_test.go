package search_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/blevesearch/bleve/v2/analysis/tokenizer/unicode"
)

// peer is OUR imitation of the part of OpenSearch that this package uses, for no OpenSearch server can be installed where
// the tests run. The client is OpenSearch's own. The peer is as strict as the published API
// (https://docs.opensearch.org/latest/api-reference/): what it does not know is an error 400, what is written is found
// only after a refresh, routing chooses one of its shards, and text is cut by the tokenizer that the mapping names.
// What it cannot show: that a real server understands the same as we do.
type peer struct {
	t   *testing.T
	srv *httptest.Server

	mu      sync.Mutex
	user    string // "user:password"; "" takes everybody
	fail    int    // HTTP status of every answer, unless 0
	index   string
	alias   string
	shards  [3]map[string]peerDoc // by _id, refreshed
	pending []func()
	seen    []string // method, path and query of each request
}

type peerDoc struct {
	Org  string   `json:"organisation_id"`
	ID   string   `json:"id"`
	Text []string `json:"text"`
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	p := &peer{t: t}
	for i := range p.shards {
		p.shards[i] = map[string]peerDoc{}
	}
	p.srv = httptest.NewServer(p)
	t.Cleanup(p.srv.Close)
	return p
}

func (p *peer) url() string { return p.srv.URL }

func (p *peer) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// deleteIndex is what an administrator may do.
func (p *peer) deleteIndex() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index, p.alias, p.pending = "", "", nil
	for i := range p.shards {
		p.shards[i] = map[string]peerDoc{}
	}
}

type peerError struct {
	status    int
	typ, text string
}

func bad(typ, text string, args ...any) *peerError {
	return &peerError{http.StatusBadRequest, typ, fmt.Sprintf(text, args...)}
}

func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, r.Method+" "+r.URL.Path+"?"+r.URL.RawQuery)
	w.Header().Set("Content-Type", "application/json")
	user, password, _ := r.BasicAuth()
	switch {
	case p.user != "" && user+":"+password != p.user:
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "Unauthorized")
		return
	case p.fail != 0:
		w.WriteHeader(p.fail)
		_, _ = io.WriteString(w, `{"error":"the cluster has a problem","status":500}`)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	answer, fault := p.answer(r, body)
	if fault != nil {
		w.WriteHeader(fault.status)
		answer = map[string]any{"status": fault.status, "error": map[string]any{"type": fault.typ, "reason": fault.text,
			"root_cause": []any{map[string]any{"type": fault.typ, "reason": fault.text}}}}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (p *peer) answer(r *http.Request, body []byte) (any, *peerError) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	if len(parts) == 1 && r.Method == http.MethodPut {
		return p.create(parts[0], body)
	}
	if len(parts) != 2 || r.Method != http.MethodPost {
		return nil, bad("illegal_argument_exception", "no handler for %s %s", r.Method, r.URL.Path)
	}
	if ct := r.Header.Get("Content-Type"); len(body) > 0 && ct != "application/json" {
		return nil, &peerError{http.StatusNotAcceptable, "media_type_header_exception", ct}
	}
	known := map[string][]string{
		"_bulk": {"routing", "refresh", "require_alias"}, "_search": {"routing"}, "_refresh": {}, "_delete_by_query": {"routing", "refresh", "conflicts"},
	}[parts[1]]
	for name := range q {
		if !slices.Contains(known, name) {
			return nil, bad("illegal_argument_exception", "unrecognized parameter: [%s]", name)
		}
	}
	if parts[1] != "_bulk" && (p.alias == "" || parts[0] != p.alias) {
		return nil, &peerError{http.StatusNotFound, "index_not_found_exception", "no such index [" + parts[0] + "]"}
	}
	switch parts[1] {
	case "_bulk":
		return p.bulk(parts[0], q.Get("routing"), q.Get("refresh"), q.Get("require_alias") == "true", body)
	case "_search":
		return p.search(q.Get("routing"), body)
	case "_refresh":
		p.refresh()
		return map[string]any{"_shards": map[string]int{"total": 3, "successful": 3}}, nil
	default:
		return p.deleteByQuery(q.Get("routing"), q.Get("refresh"), body)
	}
}

func (p *peer) refresh() {
	for _, f := range p.pending {
		f()
	}
	p.pending = nil
}

// create takes the one index there may be, and wants of it what the peer can do.
func (p *peer) create(name string, body []byte) (any, *peerError) {
	if p.index == name {
		return nil, bad("resource_already_exists_exception", "index [%s] already exists", name)
	}
	var in struct {
		Settings struct {
			Analysis struct {
				Analyzer map[string]struct {
					Type, Tokenizer string
					Filter          []string
				}
			}
		}
		Mappings struct {
			Dynamic string
			Routing struct{ Required bool } `json:"_routing"`
			Source  struct {
				Enabled *bool
			} `json:"_source"`
			Properties map[string]struct{ Type, Analyzer string }
		}
		Aliases map[string]struct{}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, bad("parse_exception", "%v", err)
	}
	text := in.Mappings.Properties["text"]
	words := in.Settings.Analysis.Analyzer[text.Analyzer]
	if name != strings.ToLower(name) || text.Type != "text" || words.Tokenizer != "standard" || !slices.Equal(words.Filter, []string{"lowercase"}) ||
		in.Mappings.Properties["id"].Type != "keyword" || in.Mappings.Properties["organisation_id"].Type != "keyword" ||
		!in.Mappings.Routing.Required || in.Mappings.Dynamic != "strict" || in.Mappings.Source.Enabled == nil || *in.Mappings.Source.Enabled || len(in.Aliases) != 1 {
		return nil, bad("mapper_parsing_exception", "the peer does not know this mapping: %s", body)
	}
	p.index = name
	for alias := range in.Aliases {
		p.alias = alias
	}
	return map[string]any{"acknowledged": true, "shards_acknowledged": true, "index": name}, nil
}

func (p *peer) shard(routing string) map[string]peerDoc {
	h := fnv.New32a()
	_, _ = io.WriteString(h, routing)
	return p.shards[h.Sum32()%uint32(len(p.shards))]
}

// bulk reads lines of actions and documents: https://docs.opensearch.org/latest/api-reference/document-apis/bulk/
func (p *peer) bulk(index, routing, refresh string, requireAlias bool, body []byte) (any, *peerError) {
	if len(body) == 0 || body[len(body)-1] != '\n' {
		return nil, bad("illegal_argument_exception", "The bulk request must be terminated by a newline [\\n]")
	}
	var items []any
	errs := false
	lines := bufio.NewScanner(strings.NewReader(string(body)))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var action map[string]struct {
			ID string `json:"_id"`
		}
		if err := json.Unmarshal(lines.Bytes(), &action); err != nil || len(action) != 1 {
			return nil, bad("illegal_argument_exception", "Malformed action/metadata line: %s", lines.Text())
		}
		for what, meta := range action {
			item := map[string]any{"_index": p.index, "_id": meta.ID, "status": http.StatusOK}
			var doc peerDoc
			if what == "index" {
				lines.Scan()
				d := json.NewDecoder(strings.NewReader(lines.Text()))
				d.DisallowUnknownFields()
				if err := d.Decode(&doc); err != nil {
					item["error"] = map[string]any{"type": "strict_dynamic_mapping_exception", "reason": err.Error()}
				}
			} else if what != "delete" {
				return nil, bad("illegal_argument_exception", "unknown action %s", what)
			}
			switch {
			case requireAlias && index != p.alias:
				item["error"] = map[string]any{"type": "index_not_found_exception", "reason": "no such index [" + index + "] and [require_alias] request flag is [true]"}
			case routing == "":
				item["error"] = map[string]any{"type": "routing_missing_exception", "reason": "routing is required for " + meta.ID}
			case item["error"] == nil:
				shard := p.shard(routing)
				if _, there := shard[meta.ID]; what == "delete" && !there {
					item["status"], item["result"] = http.StatusNotFound, "not_found"
				}
				p.pending = append(p.pending, func() {
					if delete(shard, meta.ID); what == "index" {
						shard[meta.ID] = doc
					}
				})
			}
			errs = errs || item["error"] != nil
			items = append(items, map[string]any{what: item})
		}
	}
	switch refresh {
	case "true", "wait_for":
		p.refresh()
	case "false", "":
	default:
		return nil, bad("illegal_argument_exception", "Unknown value for refresh: [%s].", refresh)
	}
	return map[string]any{"took": 1, "errors": errs, "items": items}, nil
}

func (p *peer) deleteByQuery(routing, refresh string, body []byte) (any, *peerError) {
	var in struct{ Query map[string]json.RawMessage }
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, bad("parsing_exception", "%v", err)
	}
	shard, n := p.shard(routing), 0
	for id, doc := range shard {
		score, fault := eval(in.Query, doc)
		if fault != nil {
			return nil, fault
		}
		if score > 0 {
			n++
			delete(shard, id)
		}
	}
	if refresh != "true" {
		p.t.Error("delete_by_query without a refresh")
	}
	return map[string]any{"took": 1, "total": n, "deleted": n, "failures": []any{}}, nil
}

func (p *peer) search(routing string, body []byte) (any, *peerError) {
	var in struct {
		Query       map[string]json.RawMessage
		Sort        []map[string]struct{ Order string }
		Size        int
		TrackHits   bool   `json:"track_total_hits"`
		TimeoutText string `json:"timeout"`
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, bad("parsing_exception", "%v", err)
	}
	if len(in.Sort) != 2 || in.Sort[0]["_score"].Order != "desc" || in.Sort[1]["id"].Order != "desc" || in.Size < 1 || in.Size > 10000 {
		return nil, bad("illegal_argument_exception", "the peer does not know this order: %+v", in.Sort)
	}
	type hit struct {
		id    string
		doc   peerDoc
		score float64
	}
	shards := p.shards[:]
	if routing != "" {
		shards = []map[string]peerDoc{p.shard(routing)}
	}
	var hits []hit
	for _, shard := range shards {
		for id, doc := range shard {
			score, fault := eval(in.Query, doc)
			if fault != nil {
				return nil, fault
			}
			if score > 0 {
				hits = append(hits, hit{id, doc, score})
			}
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		if a.score != b.score {
			return int(b.score - a.score)
		}
		return strings.Compare(b.doc.ID, a.doc.ID)
	})
	out := []any{}
	for _, h := range hits[:min(in.Size, len(hits))] {
		out = append(out, map[string]any{"_index": p.index, "_id": h.id, "_score": h.score, "_routing": routing, "sort": []any{h.score, h.doc.ID}})
	}
	return map[string]any{"took": 1, "timed_out": false, "_shards": map[string]int{"total": 1, "successful": 1}, "hits": map[string]any{"hits": out}}, nil
}

// eval gives the score of a query, 0 when it does not match: https://docs.opensearch.org/latest/query-dsl/
func eval(query map[string]json.RawMessage, doc peerDoc) (float64, *peerError) {
	if len(query) != 1 {
		return 0, bad("parsing_exception", "a query has one name, not %v", slices.Collect(maps.Keys(query)))
	}
	for name, body := range query {
		switch name {
		case "bool":
			return evalBool(body, doc)
		case "term":
			var in map[string]string
			if err := json.Unmarshal(body, &in); err != nil || in["organisation_id"] == "" {
				return 0, bad("parsing_exception", "[term] %s", body)
			}
			return truth(in["organisation_id"] == doc.Org), nil
		case "match":
			var in map[string]struct{ Query, Operator string }
			if err := json.Unmarshal(body, &in); err != nil || in["text"].Operator != "and" {
				return 0, bad("parsing_exception", "[match] %s", body)
			}
			have, want := tokens(doc.Text...), tokens(in["text"].Query)
			return truth(!slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(have, w) })), nil
		case "prefix": // a term-level query: its value is not cut
			var in map[string]struct{ Value string }
			if err := json.Unmarshal(body, &in); err != nil || in["text"].Value == "" {
				return 0, bad("parsing_exception", "[prefix] %s", body)
			}
			return truth(slices.ContainsFunc(tokens(doc.Text...), func(w string) bool { return strings.HasPrefix(w, in["text"].Value) })), nil
		}
		return 0, bad("parsing_exception", "unknown query [%s]", name)
	}
	return 0, nil
}

func evalBool(body json.RawMessage, doc peerDoc) (float64, *peerError) {
	var in struct {
		Filter, Must, Should []map[string]json.RawMessage
		Least                int `json:"minimum_should_match"`
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return 0, bad("parsing_exception", "[bool] %v", err)
	}
	score, should := 1.0, 0
	for i, q := range slices.Concat(in.Filter, in.Must, in.Should) {
		s, fault := eval(q, doc)
		switch {
		case fault != nil:
			return 0, fault
		case i >= len(in.Filter)+len(in.Must):
			should += int(truth(s > 0))
		case s == 0:
			return 0, nil
		}
	}
	if should < in.Least {
		return 0, nil
	}
	return score + float64(should), nil
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// tokens cuts text by UAX #29, as OpenSearch's standard tokenizer does, into lower case.
func tokens(texts ...string) []string {
	var out []string
	for _, text := range texts {
		for _, tok := range unicode.NewUnicodeTokenizer().Tokenize([]byte(text)) {
			out = append(out, strings.ToLower(string(tok.Term)))
		}
	}
	return out
}
