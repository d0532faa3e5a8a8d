package search

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opensearch-project/opensearch-go/v4"
	"github.com/opensearch-project/opensearch-go/v4/opensearchapi"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	searchTimeout = 15 * time.Second
	dropTimeout   = 5 * time.Minute
	maxBulk       = 4 << 20 // bytes of one request; small hosted clusters take 10 MiB
	maxDocID      = 512     // bytes, of _id
	maxRetries    = 2
)

// indexBody makes an index. The text is searched and not stored, and neither its positions. Words are cut where Unicode
// says (UAX #29), as bleve does; there are no stop words and no stemming, for organisations speak different languages.
// A refresh interval that is named keeps an index that nobody searches from falling asleep, where Put would wait.
const indexBody = `{
  "settings": {
    "index": {"refresh_interval": "1s"},
    "analysis": {"analyzer": {"words": {"type": "custom", "tokenizer": "standard", "filter": ["lowercase"]}}}
  },
  "mappings": {
    "dynamic": "strict",
    "_routing": {"required": true},
    "_source": {"enabled": false},
    "properties": {
      "organisation_id": {"type": "keyword"},
      "id": {"type": "keyword"},
      "text": {"type": "text", "analyzer": "words", "index_options": "freqs"}
    }
  },
  "aliases": {%q: {}}
}`

// OpenSearch is an Index in an OpenSearch cluster (https://docs.opensearch.org/latest/api-reference/). It is safe for
// concurrent use, by any number of processes.
type OpenSearch struct {
	client  *opensearchapi.Client
	idle    func() // closes connections that are not used
	alias   string // requests name it; the index behind it has a version, for a mapping that changes
	timeout time.Duration
}

var _ Index = (*OpenSearch)(nil)

func openOpenSearch(ctx context.Context, c Config) (*OpenSearch, error) {
	u, err := url.Parse(c.URL)
	if err != nil || !slices.Contains([]string{"http", "https"}, u.Scheme) || u.Host == "" {
		return nil, fault.Field("search url", "it is no URL of an OpenSearch server; use https://user:password@host:9200, or leave it empty")
	}
	if c.Timeout <= 0 {
		c.Timeout = searchTimeout
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is documented to be one
	if transport.TLSClientConfig, err = certificates(u); err != nil {
		return nil, fmt.Errorf("search url: %w", err)
	}
	conf := opensearch.Config{
		MaxRetries: maxRetries, HealthCheckMaxRetries: -1, MaxRetryClusterHealth: -1, Transport: transport,
	}
	// Apart from the address, so that no error of the transport shows them.
	if u.User != nil {
		conf.Username = u.User.Username()
		conf.Password, _ = u.User.Password()
		u.User = nil
	}
	conf.Addresses = []string{u.String()}
	client, err := opensearchapi.NewClient(opensearchapi.Config{Client: conf})
	if err != nil {
		return nil, fmt.Errorf("search url: %w", err)
	}
	o := &OpenSearch{client: client, idle: transport.CloseIdleConnections, alias: "parley-" + strings.ToLower(c.Kind), timeout: c.Timeout}
	if err := o.makeIndex(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("search url: %w", err), o.Close())
	}
	return o, nil
}

// certificates takes the files out of a URL's query: cert and key are what this process shows (PEM), which OpenSearch's security
// takes for a user (https://docs.opensearch.org/latest/security/authentication-backends/client-auth/), and ca is who signed the
// server's; without it the system's authorities count.
func certificates(u *url.URL) (*tls.Config, error) {
	q := u.Query()
	cert, key, ca := q.Get("cert"), q.Get("key"), q.Get("ca")
	for _, name := range []string{"cert", "key", "ca"} {
		q.Del(name)
	}
	if u.RawQuery = q.Encode(); u.RawQuery != "" {
		return nil, errors.New("its query may have cert, key and ca only")
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if cert+key != "" {
		if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
			return nil, fmt.Errorf("certificate %s with key %s: %w", cert, key, err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { // read anew: certificates are short-lived
			pair, err := tls.LoadX509KeyPair(cert, key)
			return &pair, err
		}
	}
	if ca != "" {
		pem, err := os.ReadFile(ca) //nolint:gosec // the settings name it
		if err != nil {
			return nil, fmt.Errorf("authorities: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", ca)
		}
	}
	return c, nil
}

// makeIndex makes the index unless it is there: another process may be faster, which is as good.
func (o *OpenSearch) makeIndex(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	res, err := o.client.Indices.Create(ctx, opensearchapi.IndicesCreateReq{
		Index: o.alias + "-v1", Body: strings.NewReader(fmt.Sprintf(indexBody, o.alias)),
	})
	if err == nil {
		return nil
	}
	var known *opensearch.StructError
	if errors.As(err, &known) && known.Err.Type == "resource_already_exists_exception" {
		return nil
	}
	return explain(err, res.Inspect().Response)
}

// document is a record as it is indexed.
type document struct {
	Org  string   `json:"organisation_id"`
	ID   string   `json:"id"`
	Text []string `json:"text"`
}

// Put implements Index.
func (o *OpenSearch) Put(ctx context.Context, orgID string, docs []Doc) error {
	lines := make([][]byte, 0, len(docs))
	for _, d := range docs {
		doc := document{Org: orgID, ID: d.ID, Text: make([]string, 0, len(d.Fields))}
		for _, text := range d.Fields {
			doc.Text = append(doc.Text, text)
		}
		slices.Sort(doc.Text) // what is sent does not depend on the map
		line, err := action("index", orgID, d.ID)
		if err != nil {
			return err
		}
		body, err := json.Marshal(doc)
		if err != nil {
			return fmt.Errorf("search: %w", err)
		}
		lines = append(lines, append(append(line, body...), '\n'))
	}
	return o.bulk(ctx, orgID, lines)
}

// Delete implements Index.
func (o *OpenSearch) Delete(ctx context.Context, orgID string, ids []string) error {
	lines := make([][]byte, 0, len(ids))
	for _, id := range ids {
		line, err := action("delete", orgID, id)
		if err != nil {
			return err
		}
		lines = append(lines, line)
	}
	return o.bulk(ctx, orgID, lines)
}

// action is a line of a bulk request. Ids of different organisations must differ: an index has one of each.
func action(what, orgID, id string) ([]byte, error) {
	if id == "" {
		return nil, errNoID
	}
	id = orgID + ":" + id
	if len(id) > maxDocID {
		return nil, fmt.Errorf("search: the id of a record is %d bytes long; %d are possible", len(id), maxDocID)
	}
	line, err := json.Marshal(map[string]any{what: map[string]string{"_id": id}})
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return append(line, '\n'), nil
}

// bulk sends lines in requests of bounded size. The last one waits for the index's refresh: an organisation's records
// are in one shard, so what came before is visible then, too.
func (o *OpenSearch) bulk(ctx context.Context, orgID string, lines [][]byte) error {
	if err := checkName(orgID); err != nil {
		return fmt.Errorf("search: organisation: %w", err)
	}
	for len(lines) > 0 {
		n, size := 0, 0
		for n < len(lines) && n < batchSize && (n == 0 || size+len(lines[n]) <= maxBulk) {
			size += len(lines[n])
			n++
		}
		refresh := "false"
		if n == len(lines) {
			refresh = "wait_for"
		}
		err := o.send(ctx, orgID, lines[:n], refresh)
		if fault.Is(err, fault.NotFound) { // somebody deleted the index
			if err = o.makeIndex(ctx); err == nil {
				err = o.send(ctx, orgID, lines[:n], refresh)
			}
		}
		if err != nil {
			return err
		}
		lines = lines[n:]
	}
	return nil
}

func (o *OpenSearch) send(ctx context.Context, orgID string, lines [][]byte, refresh string) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	res, err := o.client.Bulk(ctx, opensearchapi.BulkReq{
		Index: o.alias, Body: bytes.NewReader(bytes.Join(lines, nil)),
		// Without the alias OpenSearch would make an index by itself, and guess what is in it.
		Params: opensearchapi.BulkParams{Routing: orgID, Refresh: refresh, RequireAlias: new(true)},
	})
	if err != nil {
		return explain(err, res.Inspect().Response)
	}
	for _, item := range res.Items {
		for what, r := range item {
			switch {
			case r.Error == nil: // a record to delete that is not there has a status of 404 and no error
			case r.Error.Type == "index_not_found_exception":
				return fault.New(fault.NotFound, "the OpenSearch index is gone")
			default:
				return fault.New(fault.Upstream, "OpenSearch did not %s a record: %s: %s", what, r.Error.Type, r.Error.Reason)
			}
		}
	}
	return nil
}

type clause map[string]any

// ofOrg is the query that holds for an organisation's records only.
func ofOrg(orgID string, must ...clause) clause {
	b := clause{"filter": []clause{{"term": clause{"organisation_id": orgID}}}}
	if len(must) > 0 {
		b["must"] = must
	}
	return clause{"bool": b}
}

func allWords(words []string) clause {
	return clause{"match": clause{"text": clause{"query": strings.Join(words, " "), "operator": "and"}}}
}

// Find implements Index.
func (o *OpenSearch) Find(ctx context.Context, orgID, text string, limit int) ([]string, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	if err := checkName(orgID); err != nil {
		return nil, fmt.Errorf("search: organisation: %w", err)
	}
	words := wordsOf(text)
	if len(words) == 0 {
		return nil, nil
	}
	last := len(words) - 1
	begins := clause{"prefix": clause{"text": clause{"value": words[last]}}}
	if last > 0 {
		begins = clause{"bool": clause{"must": []clause{allWords(words[:last]), begins}}}
	}
	body, err := json.Marshal(clause{
		"query": ofOrg(orgID, clause{"bool": clause{"should": []clause{allWords(words), begins}, "minimum_should_match": 1}}),
		// Ids are in order of time: the newest of equals first.
		"sort": []clause{{"_score": clause{"order": "desc"}}, {"id": clause{"order": "desc"}}},
		"size": limit, "track_total_hits": false, "timeout": fmt.Sprintf("%dms", o.timeout.Milliseconds()),
	})
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	res, err := o.client.Search(ctx, &opensearchapi.SearchReq{
		Indices: []string{o.alias}, Body: bytes.NewReader(body), Params: opensearchapi.SearchParams{Routing: []string{orgID}},
	})
	if err != nil {
		if err = explain(err, res.Inspect().Response); fault.Is(err, fault.NotFound) {
			return nil, nil // no index: nothing was put
		}
		return nil, err
	}
	if res.Timeout || res.Shards.Failed > 0 {
		return nil, fault.New(fault.Upstream, "OpenSearch answered in part only (time-out: %v, failed shards: %d)", res.Timeout, res.Shards.Failed)
	}
	var ids []string
	for _, hit := range res.Hits.Hits {
		id, ours := strings.CutPrefix(hit.ID, orgID+":")
		if !ours {
			return nil, fmt.Errorf("search: OpenSearch gave a record of another organisation: %q", hit.ID)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Count implements Index.
func (o *OpenSearch) Count(ctx context.Context, orgID string) (int64, error) {
	if err := checkName(orgID); err != nil {
		return 0, fmt.Errorf("search: organisation: %w", err)
	}
	body, err := json.Marshal(clause{"query": ofOrg(orgID), "size": 0, "track_total_hits": true})
	if err != nil {
		return 0, fmt.Errorf("search: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	res, err := o.client.Search(ctx, &opensearchapi.SearchReq{
		Indices: []string{o.alias}, Body: bytes.NewReader(body), Params: opensearchapi.SearchParams{Routing: []string{orgID}},
	})
	if err != nil {
		if err = explain(err, res.Inspect().Response); fault.Is(err, fault.NotFound) {
			return 0, nil // no index: nothing was put
		}
		return 0, err
	}
	return int64(res.Hits.Total.Value), nil
}

// Drop implements Index.
func (o *OpenSearch) Drop(ctx context.Context, orgID string) error {
	if err := checkName(orgID); err != nil {
		return fmt.Errorf("search: organisation: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, dropTimeout)
	defer cancel()
	// A query sees what was refreshed only, and would leave the rest.
	if res, err := o.client.Indices.Refresh(ctx, &opensearchapi.IndicesRefreshReq{Index: []string{o.alias}}); err != nil {
		if err = explain(err, res.Inspect().Response); fault.Is(err, fault.NotFound) {
			return nil
		}
		return err
	}
	body, err := json.Marshal(clause{"query": ofOrg(orgID)})
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	res, err := o.client.Document.DeleteByQuery(ctx, opensearchapi.DocumentDeleteByQueryReq{
		Indices: []string{o.alias}, Body: bytes.NewReader(body),
		Params: opensearchapi.DocumentDeleteByQueryParams{Routing: []string{orgID}, Refresh: new(true), Conflicts: "proceed"},
	})
	if err != nil {
		return explain(err, res.Inspect().Response)
	}
	if res.TimedOut || res.VersionConflicts > 0 || len(res.Failures) > 0 {
		return fault.New(fault.Conflict, "OpenSearch deleted %d of %d records of the organisation: others were changed meanwhile; try again", res.Deleted, res.Total)
	}
	return nil
}

// Close implements Index.
func (o *OpenSearch) Close() error {
	err := o.client.Close()
	o.idle()
	return err
}

// explain makes an error a person can do something about. It shows no address and no credentials.
func explain(err error, res *opensearch.Response) error {
	status := 0
	if res != nil {
		status = res.StatusCode
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fault.Wrap(fault.Unavailable, err, "OpenSearch refused our credentials (HTTP %d); check the user and password of the search url, and that the user may make, read and write indexes named parley-*", status)
	case status == http.StatusNotFound:
		return fault.Wrap(fault.NotFound, err, "the OpenSearch index is gone")
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("search: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, err, "OpenSearch took too long")
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return fault.Wrap(fault.Unavailable, err, "OpenSearch has a problem (HTTP %d); see its log", status)
	case status != 0:
		return fault.Wrap(fault.Upstream, err, "OpenSearch did not take the request (HTTP %d); is it OpenSearch 2 or later?", status)
	}
	return fault.Wrap(fault.Unavailable, err, "OpenSearch cannot be reached; check that the server of the search url is up")
}
