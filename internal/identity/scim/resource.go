package scim

import (
	"encoding/json"
	"maps"
	"strings"
	"time"
)

// The URNs of RFC 7643 and RFC 7644.
const (
	urnUser   = "urn:ietf:params:scim:schemas:core:2.0:User"
	urnGroup  = "urn:ietf:params:scim:schemas:core:2.0:Group"
	urnList   = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	urnError  = "urn:ietf:params:scim:api:messages:2.0:Error"
	urnPatch  = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	urnConfig = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
	urnType   = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
	urnSchema = "urn:ietf:params:scim:schemas:core:2.0:Schema"
)

func isCore(urn string) bool {
	return strings.EqualFold(urn, urnUser) || strings.EqualFold(urn, urnGroup)
}

const maxText = 500 // of one attribute

// clean keeps of a User what our schema names, in its types. What else is sent is ignored, as RFC 7644 section 3.3
// allows, and a password is never kept. Booleans may be text, as Entra ID sends them.
func clean(in map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for _, a := range userAttributes {
		v := get(in, a.Name)
		if v == nil || a.Mutability == readOnly {
			continue
		}
		c, err := a.clean(v)
		if err != nil {
			return nil, err
		}
		if c != nil {
			out[a.Name] = c
		}
	}
	return out, nil
}

func (a *attribute) clean(v any) (any, error) {
	if !a.MultiValued {
		return a.cleanOne(v)
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	if len(list) > 100 {
		return nil, badValue("%s has more than 100 items", a.Name)
	}
	var out []any
	for _, item := range list {
		c, err := a.cleanOne(item)
		if err != nil {
			return nil, err
		}
		if c != nil {
			out = append(out, c)
		}
	}
	if out == nil {
		return nil, nil
	}
	return out, nil
}

func (a *attribute) cleanOne(v any) (any, error) {
	switch a.Type {
	case "boolean":
		switch v := v.(type) {
		case bool:
			return v, nil
		case string:
			if strings.EqualFold(v, "true") || strings.EqualFold(v, "false") {
				return strings.EqualFold(v, "true"), nil
			}
		}
		return nil, badValue("%s must be true or false", a.Name)
	case "complex":
		m, ok := v.(map[string]any)
		if !ok {
			if a.MultiValued && len(a.SubAttributes) > 0 { // "emails": ["a@b"] for what RFC 7643 section 2.4 makes objects
				m, ok = map[string]any{"value": v}, true
			}
			if !ok {
				return nil, badValue("%s must be an object", a.Name)
			}
		}
		out := map[string]any{}
		for _, sub := range a.SubAttributes {
			if v := get(m, sub.Name); v != nil {
				c, err := sub.cleanOne(v)
				if err != nil {
					return nil, err
				}
				out[sub.Name] = c
			}
		}
		if len(out) == 0 {
			return nil, nil
		}
		return out, nil
	}
	s, ok := v.(string)
	if !ok || len(s) > maxText || strings.ContainsRune(s, 0) {
		return nil, badValue("%s must be text of at most %d bytes", a.Name, maxText)
	}
	return s, nil
}

func text(m map[string]any, name string) string {
	s, _ := get(m, name).(string)
	return strings.TrimSpace(s)
}

// emailIn gives the address of a User: the primary one, else the first, else the userName.
func emailIn(u map[string]any) string {
	first := ""
	for _, item := range each(get(u, "emails")) {
		m, ok := item.(map[string]any)
		if !ok {
			continue
		}
		v := strings.ToLower(text(m, "value"))
		if primary, _ := get(m, "primary").(bool); primary && v != "" {
			return v
		}
		if first == "" {
			first = v
		}
	}
	if first != "" {
		return first
	}
	return strings.ToLower(text(u, "userName"))
}

// nameIn gives the name of a User.
func nameIn(u map[string]any) string {
	if n := text(u, "displayName"); n != "" {
		return n
	}
	name, _ := get(u, "name").(map[string]any)
	if n := text(name, "formatted"); n != "" {
		return n
	}
	return strings.TrimSpace(text(name, "givenName") + " " + text(name, "familyName"))
}

func activeIn(u map[string]any) bool {
	active, ok := get(u, "active").(bool)
	return active || !ok
}

// resource shows a person to the provider.
func (r *personRow) resource(base string, active bool) map[string]any {
	u := map[string]any{}
	_ = json.Unmarshal([]byte(r.Resource), &u) // this package wrote it
	u["schemas"] = []any{urnUser}
	u["id"], u["active"] = r.UserID, active
	u["meta"] = meta("User", base+"/Users/"+r.UserID, r.CreatedAt, r.UpdatedAt)
	return u
}

func meta(kind, location string, created, updated int64) map[string]any {
	at := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }
	return map[string]any{"resourceType": kind, "location": location, "created": at(created), "lastModified": at(updated)}
}

// shown leaves out what a request does not want (RFC 7644 section 3.9). id and schemas are always there.
func shown(resource map[string]any, want, exclude []string) map[string]any {
	if len(want) == 0 && len(exclude) == 0 {
		return resource
	}
	has := func(list []string, name string) bool {
		for _, raw := range list {
			if p, err := parsePath(raw); err == nil && strings.EqualFold(p.attr, name) {
				return true
			}
		}
		return false
	}
	out := maps.Clone(resource)
	for name := range resource {
		if name == "id" || name == "schemas" {
			continue
		}
		if len(want) > 0 && !has(want, name) || len(want) == 0 && has(exclude, name) {
			delete(out, name)
		}
	}
	return out
}
