package scim

import (
	"encoding/json"
	"testing"
)

var example = []byte(`{"userName":"ben@corp.example","name":{"givenName":"Ben"},"emails":[{"value":"a@corp.example","type":"work"}],"active":true}`)

func resourceOf(t testing.TB) map[string]any {
	var m map[string]any
	if err := json.Unmarshal(example, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// FuzzFilter: a filter is refused, or can be asked of any resource.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{`userName eq "bjensen"`, `name.familyName co "O'Malley"`, `title pr and userType eq "Employee"`, `emails[type eq "work" and value co "@example.com"]`,
		`not (a pr)`, `userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")`, `urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J"`,
		`meta.lastModified gt "2011-05-13T04:42:34Z"`, `a eq 1.5e3 or b eq null`, `((((a pr`, `"`, `a eq "\`, `a[b[c pr]]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if e, err := parseFilter(s); err == nil {
			e.fits(resourceOf(t))
		}
	})
}

// FuzzPatch: a patch is refused, or leaves a resource that JSON can carry.
func FuzzPatch(f *testing.F) {
	for _, s := range []string{`emails[type eq "work"].value`, `name.givenName`, `members[value eq "x"]`, `urn:a:b:c.d`, `emails[`, `]`, `a[b eq "]"].c`, `active`, ``} {
		for _, op := range []string{"add", "replace", "remove"} {
			f.Add(op, s, `"x"`)
			f.Add(op, s, `{"value":"y","name.givenName":"z"}`)
			f.Add(op, s, `[{"value":1}]`)
		}
	}
	f.Fuzz(func(t *testing.T, op, path, value string) {
		var v any
		if json.Unmarshal([]byte(value), &v) != nil {
			return
		}
		body, err := json.Marshal(map[string]any{"Operations": []any{map[string]any{"op": op, "path": path, "value": v}}})
		if err != nil {
			return
		}
		ops, err := parsePatch(body)
		if err != nil {
			return
		}
		m := resourceOf(t)
		if ops[0].apply(m) != nil {
			return
		}
		if _, err := json.Marshal(m); err != nil {
			t.Fatal(err)
		}
		_, _ = clean(m)
	})
}
