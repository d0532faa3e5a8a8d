// Package etag keeps two people from overwriting each other: an entity tag names what somebody read (RFC 9110 section
// 8.8.3), and a change that names it with If-Match is made only while that is still what there is (section 13.1.1).
//
// The tag is a hash of what the API shows. The gateway puts what was asked for into the request's context; the
// transaction of the change compares it with what it is about to replace, so that nothing comes between.
package etag

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Of gives the strong tag of what the API shows, quotes included.
func Of(view any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // as the API writes it
	if err := enc.Encode(view); err != nil {
		return "", fmt.Errorf("entity tag: %w", err)
	}
	return OfJSON(b.Bytes()), nil
}

// OfJSON gives the tag of an answer as it was written.
func OfJSON(b []byte) string {
	sum := sha256.Sum256(bytes.TrimSpace(b))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`
}

// WithPart makes the tag of an answer of which a change compares only a part: that part's tag and the whole's. What
// changes by itself, as where a phone is registered, then makes a new answer but refuses nobody's change.
func WithPart(part, whole string) string {
	return strings.TrimSuffix(part, `"`) + "." + strings.TrimPrefix(whole, `"`)
}

// partOf gives the tag that a change compares.
func partOf(tag string) string {
	if part, _, ok := strings.Cut(tag, "."); ok {
		return part + `"`
	}
	return tag
}

// Expected is what a change may replace.
type Expected struct {
	Kind string   // of thing, as the audit trail names it
	Tags []string // any of them
	Any  bool     // whatever there is (If-Match: *)

	compared atomic.Bool
}

// Compared reports whether the change was compared.
func (e *Expected) Compared() bool { return e.compared.Load() }

type expectedKey struct{}

// With puts e into ctx.
func With(ctx context.Context, e *Expected) context.Context {
	return context.WithValue(ctx, expectedKey{}, e)
}

// From gives what ctx expects; nil where nothing is.
func From(ctx context.Context) *Expected {
	e, _ := ctx.Value(expectedKey{}).(*Expected)
	return e
}

// Check refuses to replace current when the request named another state of it. It is called in the transaction of the
// change. Things of other kinds than the request named, and what is only being made, pass.
func Check(ctx context.Context, kind string, current any) error {
	e := From(ctx)
	if e == nil || e.Kind != kind || current == nil {
		return nil
	}
	e.compared.Store(true)
	if e.Any {
		return nil
	}
	tag, err := Of(current)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(e.Tags, func(t string) bool { return partOf(t) == tag }) {
		return Changed()
	}
	return nil
}

// Changed is the answer to a change of what somebody else changed meanwhile.
func Changed() error {
	return fault.New(fault.Changed, "it was changed since you read it; read it again and repeat your change")
}
