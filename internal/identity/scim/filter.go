package scim

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	maxFilter = 2_000 // bytes
	maxDepth  = 20    // parentheses within each other
)

// path names an attribute: urn:...:name.sub. RFC 7644 section 3.10.
type path struct {
	urn  string // "" without
	attr string
	sub  string // "" without
}

func (p path) String() string {
	s := p.attr
	if p.urn != "" {
		s = p.urn + ":" + s
	}
	if p.sub != "" {
		s += "." + p.sub
	}
	return s
}

// expr is a filter. Exactly one of its forms is set.
type expr struct {
	op    string // and, or, not; a comparison; "[]" for a value filter
	path  path   // of a comparison or a value filter
	value any    // of a comparison: string, float64, bool or nil
	left  *expr  // of and, or, not and []
	right *expr  // of and, or
}

var comparisons = map[string]bool{"eq": true, "ne": true, "co": true, "sw": true, "ew": true, "gt": true, "ge": true, "lt": true, "le": true, "pr": true}

// parser reads the grammar of RFC 7644 figure 1.
type parser struct {
	text  string
	pos   int
	depth int
}

// parseFilter reads a filter.
func parseFilter(text string) (*expr, error) {
	if len(text) > maxFilter || !utf8.ValidString(text) {
		return nil, badFilter("the filter is longer than %d bytes, or no text", maxFilter)
	}
	p := &parser{text: text}
	e, err := p.or()
	if err == nil && p.peek() != "" {
		err = badFilter("%q is not expected at %d", p.peek(), p.pos)
	}
	return e, err
}

func badFilter(format string, args ...any) error {
	return &problem{status: 400, kind: "invalidFilter", detail: fmt.Sprintf(format, args...)}
}

// peek gives the next word, bracket or string without taking it.
func (p *parser) peek() string {
	pos := p.pos
	w := p.next()
	p.pos = pos
	return w
}

// next takes a token; "" at the end. A string keeps its quotes.
func (p *parser) next() string {
	for p.pos < len(p.text) && p.text[p.pos] == ' ' {
		p.pos++
	}
	start := p.pos
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		if c == '"' && p.pos == start {
			return p.quoted(start)
		}
		if strings.IndexByte(" ()[]\"", c) >= 0 {
			break
		}
		p.pos++
	}
	if p.pos == start && p.pos < len(p.text) {
		p.pos++
	}
	return p.text[start:p.pos]
}

func (p *parser) quoted(start int) string {
	for p.pos = start + 1; p.pos < len(p.text); p.pos++ {
		switch p.text[p.pos] {
		case '\\':
			p.pos++
		case '"':
			p.pos++
			return p.text[start:p.pos]
		}
	}
	p.pos = len(p.text)
	return p.text[start:]
}

func (p *parser) or() (*expr, error) { return p.chain("or", p.and) }

func (p *parser) and() (*expr, error) { return p.chain("and", p.term) }

// chain reads one or more operands that a word joins.
func (p *parser) chain(word string, operand func() (*expr, error)) (*expr, error) {
	left, err := operand()
	for err == nil && strings.EqualFold(p.peek(), word) {
		p.next()
		var right *expr
		if right, err = operand(); err == nil {
			left = &expr{op: word, left: left, right: right}
		}
	}
	return left, err
}

func (p *parser) term() (*expr, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, badFilter("the filter has more than %d parentheses within each other", maxDepth)
	}
	defer func() { p.depth-- }()
	word := p.next()
	switch {
	case word == "(":
		e, err := p.or()
		if err == nil {
			err = p.expect(")")
		}
		return e, err
	case strings.EqualFold(word, "not") && p.peek() == "(":
		p.next()
		e, err := p.or()
		if err == nil {
			err = p.expect(")")
		}
		return &expr{op: "not", left: e}, err
	}
	at, err := parsePath(word)
	if err != nil {
		return nil, err
	}
	op := strings.ToLower(p.next())
	switch {
	case op == "[":
		if at.sub != "" {
			return nil, badFilter("%q has a part already; put the filter after its first name", word)
		}
		e, err := p.or()
		if err == nil {
			err = p.expect("]")
		}
		return &expr{op: "[]", path: at, left: e}, err
	case op == "pr":
		return &expr{op: op, path: at}, nil
	case !comparisons[op]:
		return nil, badFilter("%q is no comparison; use eq, ne, co, sw, ew, gt, ge, lt, le or pr", op)
	}
	value, err := p.value()
	return &expr{op: op, path: at, value: value}, err
}

func (p *parser) expect(want string) error {
	if got := p.next(); got != want {
		return badFilter("%q is missing at %d", want, p.pos)
	}
	return nil
}

// value reads a JSON string, number, boolean or null.
func (p *parser) value() (any, error) {
	word := p.next()
	var v any
	if err := json.Unmarshal([]byte(word), &v); err != nil {
		switch strings.ToLower(word) { // some clients send True
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, badFilter("%q is no value; write strings in double quotes", word)
	}
	switch v.(type) {
	case string, float64, bool, nil:
		return v, nil
	}
	return nil, badFilter("%q is no value; write strings in double quotes", word)
}

// parsePath reads urn:...:attr.sub.
func parsePath(word string) (path, error) {
	var at path
	name := word
	if i := strings.LastIndexByte(word, ':'); i >= 0 {
		at.urn, name = word[:i], word[i+1:]
		// The version in a schema's URN has a dot, so a URN may not end inside it: urn:...:2.0:User:name.givenName.
		if len(at.urn) < 5 || !strings.EqualFold(at.urn[:4], "urn:") {
			return at, badPath(word)
		}
	}
	at.attr, at.sub, _ = strings.Cut(name, ".")
	if !isName(at.attr) || at.sub != "" && !isName(at.sub) || strings.HasSuffix(name, ".") {
		return at, badPath(word)
	}
	return at, nil
}

func badPath(word string) error {
	return &problem{status: 400, kind: "invalidPath", detail: fmt.Sprintf("%q is no attribute", word)}
}

// isName: RFC 7643 section 2.1, and $ref.
func isName(s string) bool {
	if s == "$ref" {
		return true
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '-' && c != '_') {
			return false
		}
	}
	return s != ""
}

// fits reports whether a resource fits the filter.
func (e *expr) fits(resource map[string]any) bool {
	switch e.op {
	case "and":
		return e.left.fits(resource) && e.right.fits(resource)
	case "or":
		return e.left.fits(resource) || e.right.fits(resource)
	case "not":
		return !e.left.fits(resource)
	}
	values := lookUp(resource, e.path)
	if e.op == "[]" {
		for _, v := range values {
			if m, ok := v.(map[string]any); ok && e.left.fits(m) {
				return true
			}
		}
		return false
	}
	if e.op == "ne" {
		for _, v := range values {
			if compare("eq", e.path, v, e.value) {
				return false
			}
		}
		return true
	}
	for _, v := range values {
		if e.op == "pr" && present(v) || e.op != "pr" && compare(e.op, e.path, v, e.value) {
			return true
		}
	}
	return false
}

func present(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

// lookUp gives the values that a path names: each one of a list. A list of objects without a part stands for their
// "value" (RFC 7644 section 3.4.2.2).
func lookUp(resource map[string]any, at path) []any {
	if at.urn != "" && !isCore(at.urn) {
		ext, ok := get(resource, at.urn).(map[string]any)
		if !ok {
			return nil
		}
		resource = ext
	}
	var out []any
	for _, v := range each(get(resource, at.attr)) {
		if at.sub != "" {
			m, ok := v.(map[string]any)
			if !ok {
				continue
			}
			out = append(out, each(get(m, at.sub))...)
			continue
		}
		out = append(out, v)
	}
	return out
}

func each(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

// get reads an attribute; names are case-insensitive (RFC 7643 section 2.1).
func get(m map[string]any, name string) any {
	if v, ok := m[name]; ok {
		return v
	}
	for k, v := range m {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return nil
}

// exact are the attributes whose case counts (RFC 7643 sections 3.1 and 7).
var exact = map[string]bool{"id": true, "externalid": true, "$ref": true, "location": true}

func compare(op string, at path, have, want any) bool {
	if m, ok := have.(map[string]any); ok {
		have = get(m, "value")
	}
	switch want := want.(type) {
	case string:
		have, ok := have.(string)
		if !ok {
			return false
		}
		if at.sub == "" && !exact[strings.ToLower(at.attr)] || at.sub != "" && !exact[strings.ToLower(at.sub)] {
			have, want = strings.ToLower(have), strings.ToLower(want)
		}
		return compareText(op, have, want)
	case float64:
		have, ok := have.(float64)
		return ok && compareOrder(op, have-want)
	case bool:
		have, ok := have.(bool)
		return ok && op == "eq" && have == want
	}
	return op == "eq" && have == nil
}

func compareText(op, have, want string) bool {
	switch op {
	case "co":
		return strings.Contains(have, want)
	case "sw":
		return strings.HasPrefix(have, want)
	case "ew":
		return strings.HasSuffix(have, want)
	}
	return compareOrder(op, float64(strings.Compare(have, want)))
}

func compareOrder(op string, diff float64) bool {
	switch op {
	case "eq":
		return diff == 0
	case "gt":
		return diff > 0
	case "ge":
		return diff >= 0
	case "lt":
		return diff < 0
	case "le":
		return diff <= 0
	}
	return false
}

// equals gives the text that an attribute must equal, when that is all the filter says: such filters ask the database.
func (e *expr) equals() (attr, value string, ok bool) {
	if e.op != "eq" {
		return "", "", false
	}
	v, isText := e.value.(string)
	return strings.ToLower(e.path.attr + "." + e.path.sub), v, isText
}
