package gateway

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/etag"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// tagged reports whether an operation's answers get an entity tag: what is read as one JSON document.
func tagged(op *huma.Operation) bool {
	ok := op.Responses["200"]
	return op.Method == http.MethodGet && ok != nil && len(ok.Content) == 1 && ok.Content["application/json"] != nil
}

// declareConditions puts into the document which operations compare what (RFC 9110 section 13). An operation that
// changes something declares in its Metadata "ifMatch" the kind of thing, by its name in the audit trail.
func declareConditions(_ *huma.OpenAPI, op *huma.Operation) {
	if tagged(op) {
		op.Metadata = withMetadata(op.Metadata, "tagged", true)
		op.Parameters = append(op.Parameters, header("If-None-Match", "Entity tag of what you have: answered 304 when it is still the same"))
		ok := op.Responses["200"]
		if ok.Headers == nil {
			ok.Headers = map[string]*huma.Param{}
		}
		ok.Headers["ETag"] = &huma.Param{Description: "Names this state of the answer", Schema: &huma.Schema{Type: huma.TypeString}}
		return
	}
	if kind, _ := op.Metadata["ifMatch"].(string); kind != "" && op.Method != http.MethodGet {
		op.Parameters = append(op.Parameters, header("If-Match", "Entity tag of what you read: answered 412 when it was changed since"))
	}
}

func withMetadata(m map[string]any, name string, value any) map[string]any {
	if m == nil {
		m = map[string]any{}
	}
	m[name] = value
	return m
}

func header(name, doc string) *huma.Param {
	most := 1000
	return &huma.Param{Name: name, In: "header", Description: doc, Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &most}}
}

// conditional answers 304 to who has the answer already, and lets a change through only to what the caller read.
func conditional(api huma.API, log *slog.Logger) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		switch match := ctx.Header("If-Match"); {
		case ctx.Operation().Metadata["tagged"] == true:
			readTagged(ctx, next)
		case match != "" && ctx.Method() != http.MethodGet && ctx.Method() != http.MethodHead:
			changeMatching(api, log, ctx, next, match)
		default:
			next(ctx)
		}
	}
}

func readTagged(ctx huma.Context, next func(huma.Context)) {
	a := holdBack(ctx, ctx.Context())
	next(a)
	if a.status != http.StatusOK {
		a.send()
		return
	}
	tag := etag.OfJSON(a.body.Bytes())
	if part := a.header.Get("ETag"); part != "" {
		tag = etag.WithPart(part, tag)
	}
	a.header.Set("ETag", tag)
	for _, known := range tags(ctx.Header("If-None-Match")) {
		// Weak comparison, RFC 9110 section 8.8.3.2; the tag that the client knows is given back.
		if known == "*" || uncodedTag(strings.TrimPrefix(known, "W/")) == tag {
			if known != "*" {
				a.header.Set("ETag", known)
			}
			a.header.Del("Content-Type")
			a.status = http.StatusNotModified
			a.body.Reset()
			break
		}
	}
	a.send()
}

func changeMatching(api huma.API, log *slog.Logger, ctx huma.Context, next func(huma.Context), match string) {
	kind, _ := ctx.Operation().Metadata["ifMatch"].(string)
	if kind == "" {
		f := fault.New(fault.Changed, "this operation does not compare If-Match, so nothing was changed; send it without, or read docs/edge.md for those that do")
		_ = huma.WriteErr(api, ctx, f.Status, f.Message, f)
		return
	}
	e := &etag.Expected{Kind: kind}
	for _, t := range tags(match) {
		e.Any = e.Any || t == "*"
		if !strings.HasPrefix(t, "W/") { // strong comparison: a weak tag matches nothing
			e.Tags = append(e.Tags, uncodedTag(t))
		}
	}
	// PostgreSQL's transactions are made to see no change between the comparison and their own.
	inner := db.Serializable(etag.With(ctx.Context(), e))
	a := holdBack(ctx, inner)
	next(a)
	if a.status < http.StatusBadRequest && a.status != 0 && !e.Compared() {
		log.Error("an operation declares ifMatch and compared nothing", "operation", ctx.Operation().OperationID, "kind", kind)
	}
	a.send()
}

// tags reads a list of entity tags (RFC 9110 section 8.8.3). Ours hold no comma.
func tags(list string) []string {
	out := strings.Split(list, ",")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return slices.DeleteFunc(out, func(t string) bool { return t == "" })
}
