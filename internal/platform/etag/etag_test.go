package etag_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/parley-voice/parley/internal/platform/etag"
	"github.com/parley-voice/parley/internal/platform/fault"
)

type view struct {
	Name string `json:"name"`
}

func TestCheck(t *testing.T) {
	t.Parallel()
	a, err := etag.Of(view{"<a>"})
	if err != nil {
		t.Fatal(err)
	}
	var written bytes.Buffer
	enc := json.NewEncoder(&written)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(view{"<a>"}); err != nil {
		t.Fatal(err)
	}
	if got := etag.OfJSON(written.Bytes()); got != a {
		t.Errorf("the answer's tag is %s, that of the view %s", got, a)
	}
	b, err := etag.Of(view{"b"})
	if err != nil || a == b {
		t.Fatalf("%s and %s: %v", a, b, err)
	}
	for _, c := range []struct {
		name     string
		expected *etag.Expected
		current  any
		changed  bool
		compared bool
	}{
		{"the same", &etag.Expected{Kind: "thing", Tags: []string{b, a}}, view{"<a>"}, false, true},
		{"another", &etag.Expected{Kind: "thing", Tags: []string{b}}, view{"<a>"}, true, true},
		{"whatever", &etag.Expected{Kind: "thing", Any: true}, view{"<a>"}, false, true},
		{"another kind", &etag.Expected{Kind: "team", Tags: []string{b}}, view{"<a>"}, false, false},
		{"only made", &etag.Expected{Kind: "thing", Tags: []string{b}}, nil, false, false},
	} {
		err := etag.Check(etag.With(t.Context(), c.expected), "thing", c.current)
		if fault.Is(err, fault.Changed) != c.changed || (err != nil) != c.changed || c.expected.Compared() != c.compared {
			t.Errorf("%s: %v, compared %v", c.name, err, c.expected.Compared())
		}
	}
	if err := etag.Check(t.Context(), "thing", view{"a"}); err != nil {
		t.Errorf("nothing was expected: %v", err)
	}
}
