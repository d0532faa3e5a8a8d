package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const (
	badRequests = 5_000 // on each engine
	badSeed     = 20_260
)

// Ten thousand wrong requests, made of the API's own document: none is answered with our failure or with what only the
// log may know, each refusal is problem+json, and what was refused has changed nothing.
func TestBadRequests(t *testing.T) {
	engines(t, func(t *testing.T, newURL func(*testing.T) string, ports int) {
		badly(t, newURL(t), []string{"44300-44319", "44320-44339"}[ports])
	})
}

func badly(t *testing.T, databaseURL, rtp string) {
	_, c := openHouse(t, databaseURL, rtp)
	w := &wrong{T: t, d: readDocument(t, c), c: c, rnd: rand.New(rand.NewPCG(badSeed, 1))}
	state := &crossing{T: t, d: w.d}
	for id := range state.lists(c) {
		state.ids = append(state.ids, id)
	}
	slices.Sort(state.ids)
	var ops []operation
	for _, op := range w.d.operations {
		if !slices.Contains(walkedApart, op.id) {
			ops = append(ops, op)
		}
	}
	before := state.state(c)
	for i := range badRequests {
		w.send(ops[i%len(ops)])
	}
	if w.refused < badRequests*9/10 {
		t.Errorf("only %d of %d requests were refused: these are not bad ones", w.refused, badRequests)
	}
	if after := state.state(c); len(w.changed) == 0 && after != before {
		t.Errorf("what was refused changed something:\n%s\nbefore:\n%s", after, before)
	}
	t.Logf("%d of %d refused; let in: %v", w.refused, badRequests, slices.Sorted(maps.Keys(w.changed)))
}

// wrong makes and sends wrong requests.
type wrong struct {
	*testing.T
	d       *document
	c       *client
	rnd     *rand.Rand
	refused int
	changed map[string]bool // operations that took a request which changes something
}

// oddities are values that fit no field, or only just.
func oddities() []any {
	return []any{
		nil, true, -1, 1e308, json.Number("123456789012345678901234567890"), "", " ", "\x00", "\u202e", "ÿ\ufffd", strings.Repeat("x", 5000), "../../etc/passwd", "' OR 1=1 --",
		"<script>alert(1)</script>", "${jndi:ldap://127.0.0.1/a}", "0x00", "2026-13-45T99:99:99Z", "http://169.254.169.254/", []any{}, []any{nil, 1, "a"},
		map[string]any{}, map[string]any{"$ref": "x"}, nested(60),
	}
}

func nested(depth int) any {
	var v any = "deep"
	for range depth {
		v = map[string]any{"a": []any{v}}
	}
	return v
}

func (w *wrong) pick(list []any) any { return list[w.rnd.IntN(len(list))] }

func (w *wrong) send(op operation) {
	path := op.path
	broken := w.rnd.IntN(3) // the path, the query or the body
	if pathParam.MatchString(path) {
		id := "018f0000-0000-7000-8000-000000000000"
		if s, ok := w.pick(oddities()).(string); ok && s != "" && broken == 0 {
			id = s
		}
		path = op.at(id)
	}
	query := url.Values{}
	for _, q := range op.query {
		if w.rnd.IntN(2) == 0 {
			query.Set(q.name, fmt.Sprint(w.pick(oddities())))
		}
	}
	if op.body == nil && len(query) == 0 && !pathParam.MatchString(op.path) {
		path += "/" + url.PathEscape(fmt.Sprint(w.pick([]any{"none", "..", "\x00", "a b", strings.Repeat("y", 3000)})))
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	kind, body := w.body(op)
	req, err := http.NewRequest(op.method, w.c.base+path, bytes.NewReader(body))
	if err != nil {
		w.Fatalf("%s: %v", op.id, err)
	}
	req.Header = w.c.header.Clone()
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if w.rnd.IntN(8) == 0 {
		req.Header.Set("If-Match", fmt.Sprint(w.pick([]any{`"x"`, `W/"x"`, "*", "nonsense", `"`})))
	}
	if w.rnd.IntN(8) == 0 {
		req.Header.Set("Idempotency-Key", strings.Repeat("k", w.rnd.IntN(400)))
	}
	res, err := w.c.http.Do(req)
	if err != nil {
		w.Fatalf("%s %s: %v", op.method, path, err)
	}
	answer, err := io.ReadAll(res.Body)
	if err := res.Body.Close(); err != nil {
		w.Fatal(err)
	}
	if err != nil {
		w.Fatalf("%s %s: %v", op.method, path, err)
	}
	w.judge(op, path, body, res, answer)
}

func (w *wrong) judge(op operation, path string, body []byte, res *http.Response, answer []byte) {
	what := fmt.Sprintf("%s %.120s %.300q", op.method, path, body)
	stackless(w.T, what, res.StatusCode, answer)
	switch {
	case res.StatusCode >= 400:
		w.refused++
		if kind := res.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/problem+json") {
			w.Errorf("%s: %d as %s: %.200s", what, res.StatusCode, kind, answer)
		}
	case op.method != http.MethodGet && res.StatusCode < 300:
		if w.changed == nil {
			w.changed = map[string]bool{}
		}
		w.changed[op.id] = true
	}
}

// body makes a body with one thing wrong, and its type.
func (w *wrong) body(op operation) (string, []byte) {
	const js = "application/json"
	if op.body == nil {
		return "", nil
	}
	switch w.rnd.IntN(8) {
	case 0:
		raw := []string{"", "{", "[", "null", "\xff\xfe{}", `{"a":`, `{"a":1}{"b":2}`, "NaN", strings.Repeat("[", 20_000), `"text"`, "12"}
		return js, []byte(raw[w.rnd.IntN(len(raw))])
	case 1:
		return []string{"text/plain", "application/xml", "multipart/form-data", "application/cbor", "a/b/c"}[w.rnd.IntN(5)], []byte("<a>1</a>")
	}
	v := w.d.example(op.body, 0)
	m, ok := v.(map[string]any)
	if !ok || len(m) == 0 {
		return js, []byte("[]")
	}
	w.spoil(m)
	b, err := json.Marshal(m)
	if err != nil {
		w.Fatal(err)
	}
	return js, b
}

// spoil makes one field of an object, or of one inside it, wrong: another type, missing or unknown.
func (w *wrong) spoil(m map[string]any) {
	names := slices.Sorted(maps.Keys(m))
	if len(names) == 0 || w.rnd.IntN(10) == 0 {
		m["unheardOf"] = w.pick(oddities())
		return
	}
	name := names[w.rnd.IntN(len(names))]
	if inner, ok := m[name].(map[string]any); ok && len(inner) > 0 && w.rnd.IntN(2) == 0 {
		w.spoil(inner)
		return
	}
	was := fmt.Sprintf("%T", m[name])
	for range 20 {
		if v := w.pick(oddities()); fmt.Sprintf("%T", v) != was {
			m[name] = v
			return
		}
	}
	delete(m, name)
}
