package scim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const maxOperations = 1_000

// target is a patch's path: attr, attr.sub, attr[filter] or attr[filter].sub (RFC 7644 figure 7).
type target struct {
	path
	filter *expr // nil without
}

// parseTarget reads a patch's path.
func parseTarget(text string) (target, error) {
	var t target
	if len(text) > maxFilter {
		return t, badPath(text[:100])
	}
	open := strings.IndexByte(text, '[')
	if open < 0 {
		at, err := parsePath(text)
		return target{path: at}, err
	}
	end := strings.LastIndexByte(text, ']')
	if end < open {
		return t, badPath(text)
	}
	at, err := parsePath(text[:open])
	if err != nil {
		return t, err
	}
	if at.sub != "" {
		return t, badPath(text)
	}
	if t.filter, err = parseFilter(text[open+1 : end]); err != nil {
		return t, err
	}
	t.path = at
	if rest := text[end+1:]; rest != "" {
		if rest[0] != '.' || !isName(rest[1:]) {
			return t, badPath(text)
		}
		t.sub = rest[1:]
	}
	return t, nil
}

// patchOp is one operation of a PatchOp message.
type patchOp struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// parsePatch reads a PatchOp message.
func parsePatch(body []byte) ([]patchOp, error) {
	var msg struct {
		Operations []patchOp `json:"Operations"`
	}
	if err := json.Unmarshal(body, &msg); err != nil {
		return nil, badSyntax("the body is no PatchOp message")
	}
	if len(msg.Operations) == 0 || len(msg.Operations) > maxOperations {
		return nil, badSyntax("the message has %d operations; send 1 to %d", len(msg.Operations), maxOperations)
	}
	for i := range msg.Operations {
		op := &msg.Operations[i]
		switch op.Op = strings.ToLower(op.Op); op.Op { // some clients send Replace
		case "add", "replace":
			if op.Value == nil && op.Path == "" {
				return nil, badValue("operation %d has neither path nor value", i+1)
			}
		case "remove":
			if op.Path == "" {
				return nil, &problem{status: 400, kind: "noTarget", detail: fmt.Sprintf("operation %d removes nothing: it has no path", i+1)}
			}
		default:
			return nil, badSyntax("operation %d is %q; use add, replace or remove", i+1, op.Op)
		}
	}
	return msg.Operations, nil
}

func badSyntax(format string, args ...any) error {
	return &problem{status: 400, kind: "invalidSyntax", detail: fmt.Sprintf(format, args...)}
}

func badValue(format string, args ...any) error {
	return &problem{status: 400, kind: "invalidValue", detail: fmt.Sprintf(format, args...)}
}

// apply changes a resource by an operation.
func (op *patchOp) apply(resource map[string]any) error {
	if op.Path != "" {
		t, err := parseTarget(op.Path)
		if err != nil {
			return err
		}
		return op.applyAt(resource, t)
	}
	values, ok := op.Value.(map[string]any)
	if !ok {
		return badValue("without a path the value must be an object")
	}
	for name, value := range values { // a name may itself be a path, as some clients send it: "name.givenName"
		if m, isObject := value.(map[string]any); isObject && strings.HasPrefix(strings.ToLower(name), "urn:") {
			for sub, v := range m {
				if err := (&patchOp{Op: op.Op, Path: name + ":" + sub, Value: v}).apply(resource); err != nil {
					return err
				}
			}
			continue
		}
		if err := (&patchOp{Op: op.Op, Path: name, Value: value}).applyAtName(resource); err != nil {
			return err
		}
	}
	return nil
}

func (op *patchOp) applyAtName(resource map[string]any) error {
	t, err := parseTarget(op.Path)
	if err != nil {
		return err
	}
	return op.applyAt(resource, t)
}

func (op *patchOp) applyAt(resource map[string]any, t target) error {
	if t.urn != "" && !isCore(t.urn) {
		ext, ok := get(resource, t.urn).(map[string]any)
		if !ok {
			ext = map[string]any{}
			put(resource, t.urn, ext)
		}
		resource = ext
	}
	switch {
	case t.filter != nil:
		return op.applyFiltered(resource, t)
	case t.sub != "":
		return op.applySub(resource, t)
	case op.Op == "remove":
		return op.removeFrom(resource, t.attr)
	case op.Op == "add":
		put(resource, t.attr, added(get(resource, t.attr), op.Value))
	default:
		put(resource, t.attr, merged(get(resource, t.attr), op.Value))
	}
	return nil
}

// removeFrom removes an attribute, or, where a value is given, those items of a list: Entra ID sends
// {"op": "Remove", "path": "members", "value": [{"value": ID}]}.
func (op *patchOp) removeFrom(resource map[string]any, attr string) error {
	list, isList := get(resource, attr).([]any)
	gone := each(op.Value)
	if !isList || len(gone) == 0 {
		put(resource, attr, nil)
		return nil
	}
	left := slices.DeleteFunc(slices.Clone(list), func(item any) bool {
		return slices.ContainsFunc(gone, func(g any) bool { return sameItem(item, g) })
	})
	put(resource, attr, left)
	return nil
}

// applySub changes a part of an object; of a list of objects the part of each.
func (op *patchOp) applySub(resource map[string]any, t target) error {
	items := each(get(resource, t.attr))
	if len(items) == 0 && op.Op != "remove" {
		m := map[string]any{}
		put(resource, t.attr, m)
		items = []any{m}
	}
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			op.applyPart(m, t.sub)
		}
	}
	return nil
}

func (op *patchOp) applyPart(m map[string]any, sub string) {
	if op.Op == "remove" {
		put(m, sub, nil)
		return
	}
	put(m, sub, op.Value)
}

// applyFiltered changes the items of a list that fit. Where none does, and the filter says what such an item is, it is
// made: Entra ID sets emails[type eq "work"].value of people who had no such address.
func (op *patchOp) applyFiltered(resource map[string]any, t target) error {
	list := slices.Clone(each(get(resource, t.attr)))
	var left []any
	found := false
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok || !t.filter.fits(m) {
			left = append(left, item)
			continue
		}
		found = true
		switch {
		case t.sub != "":
			op.applyPart(m, t.sub)
		case op.Op == "remove":
			continue
		default:
			v, isObject := op.Value.(map[string]any)
			if !isObject {
				return badValue("%s takes an object", t.path)
			}
			for k, x := range v {
				put(m, k, x)
			}
		}
		left = append(left, m)
	}
	if !found && op.Op != "remove" {
		m, err := op.newItem(t)
		if err != nil {
			return err
		}
		left = append(left, m)
	}
	put(resource, t.attr, left)
	return nil
}

func (op *patchOp) newItem(t target) (map[string]any, error) {
	none := &problem{status: 400, kind: "noTarget", detail: fmt.Sprintf("nothing in %s fits the filter", t.attr)}
	if t.filter.op != "eq" || t.filter.path.sub != "" {
		return nil, none
	}
	m := map[string]any{t.filter.path.attr: t.filter.value}
	if t.sub != "" {
		m[t.sub] = op.Value
		return m, nil
	}
	v, ok := op.Value.(map[string]any)
	if !ok {
		return nil, none
	}
	for k, x := range v {
		put(m, k, x)
	}
	return m, nil
}

// put sets an attribute under the name it has already; nil and an empty list remove it (RFC 7643 section 2.5).
func put(m map[string]any, name string, value any) {
	for k := range m {
		if strings.EqualFold(k, name) {
			name = k
			break
		}
	}
	if list, ok := value.([]any); value == nil || ok && len(list) == 0 {
		delete(m, name)
		return
	}
	m[name] = value
}

// added joins lists and objects; anything else takes the place of what was there (RFC 7644 section 3.5.2.1).
func added(have, more any) any {
	switch have := have.(type) {
	case []any:
		out := slices.Clone(have)
		for _, item := range each(more) {
			if !slices.ContainsFunc(out, func(x any) bool { return sameItem(x, item) }) {
				out = append(out, item)
			}
		}
		return out
	case map[string]any:
		return merged(have, more)
	}
	return more
}

// merged changes only those parts of an object that are given (RFC 7644 section 3.5.2.3).
func merged(have, more any) any {
	m, ok1 := have.(map[string]any)
	n, ok2 := more.(map[string]any)
	if !ok1 || !ok2 {
		return more
	}
	for k, v := range n {
		put(m, k, v)
	}
	return m
}

// sameItem compares items of a list: by their value, and where both have one by their type.
func sameItem(a, b any) bool {
	m, ok1 := a.(map[string]any)
	n, ok2 := b.(map[string]any)
	if !ok1 || !ok2 {
		x, err1 := json.Marshal(a)
		y, err2 := json.Marshal(b)
		return err1 == nil && err2 == nil && string(x) == string(y)
	}
	v, w := get(m, "value"), get(n, "value")
	if v == nil || w == nil || !sameItem(v, w) {
		return false
	}
	t, u := get(m, "type"), get(n, "type")
	return t == nil || u == nil || sameItem(t, u)
}
