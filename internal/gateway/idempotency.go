package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/coder/quartz"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

const (
	keysFor       = 24 * time.Hour
	keyMost       = 255
	answerMost    = 256 << 10       // a larger answer is not kept, only that it was given
	operationTime = 2 * time.Minute // an operation with a key goes on when its client is gone, this long
)

// KeysConfig is what NewKeys needs.
type KeysConfig struct {
	DB     *db.DB
	Sealer envelope.Sealer
	Clock  quartz.Clock
	Log    *slog.Logger
}

// Keys makes it safe to repeat a POST (draft-ietf-httpapi-idempotency-key-header-07): the first request with a key is
// done, and its repetitions get its answer. Keys belong to who asks and to the operation, and count for a day. Answers
// are kept sealed: some hold a secret that is shown once.
//
// What changed nothing (4xx, 503) is not kept: it may be sent again with its key. A request whose process died is never
// done again with the same key, because nobody knows how far it came.
type Keys struct{ c KeysConfig }

// NewKeys makes the guard of repetitions.
func NewKeys(c KeysConfig) *Keys { return &Keys{c: c} }

type keyRow struct {
	bun.BaseModel `bun:"table:idempotency_keys"`

	OrganisationID string `bun:"organisation_id,pk"`
	ID             string `bun:"id,pk"`
	Fingerprint    string `bun:"fingerprint"`
	Status         *int   `bun:"status"`
	Answer         []byte `bun:"answer"`
	CreatedAt      int64  `bun:"created_at"`
}

// keptAnswer is what a repetition gets.
type keptAnswer struct {
	Header map[string]string `json:"header"`
	Body   []byte            `json:"body"`
}

// keptHeaders are those of an answer that a repetition gets too. A cookie is not among them.
var keptHeaders = []string{"Content-Type", "Location", "ETag", "Link"}

func declareKeys(_ *huma.OpenAPI, op *huma.Operation) {
	if op.Method == http.MethodPost && op.Metadata["permission"] != "public" && op.Metadata["streams"] != true {
		op.Parameters = append(op.Parameters, header("Idempotency-Key",
			"Any name for this request, such as a UUID: sent again within a day with the same name it is not done again but answered as the first time"))
	}
}

func (k *Keys) middleware(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		given := ctx.Header("Idempotency-Key")
		p, known := identity.From(ctx.Context())
		if k == nil || given == "" || ctx.Method() != http.MethodPost || !known || p.OrgID == "" {
			next(ctx)
			return
		}
		if ctx.Operation().Metadata["streams"] == true { // to compare its body with an earlier one would take the whole of it into memory
			f := fault.Field("header.Idempotency-Key", "this operation takes no Idempotency-Key: its body is read only once")
			_ = huma.WriteErr(api, ctx, f.Status, f.Message, f)
			return
		}
		if err := k.once(ctx, next, p, given); err != nil {
			f := faultOf(err)
			_ = huma.WriteErr(api, ctx, f.Status, f.Message, f)
		}
	}
}

func (k *Keys) once(ctx huma.Context, next func(huma.Context), p identity.Principal, given string) error {
	key, err := cleanKey(given)
	if err != nil {
		return err
	}
	print, err := fingerprint(ctx)
	if err != nil {
		return err
	}
	row := &keyRow{OrganisationID: p.OrgID, ID: keyID(p, ctx.Operation().OperationID, key), Fingerprint: print, CreatedAt: k.c.Clock.Now().UnixMilli()}
	before, err := k.begin(ctx.Context(), row)
	if err != nil {
		return err
	}
	if before != nil {
		return k.repeat(ctx, row, before)
	}
	// The client may be gone before the answer: that is what keys are for.
	inner, cancel := context.WithTimeout(context.WithoutCancel(ctx.Context()), operationTime)
	defer cancel()
	a := holdBack(ctx, inner)
	done := false
	defer func() {
		if !done { // a panic: nobody knows how far it came, so the key stays as being worked on
			k.c.Log.Error("a request with an idempotency key was interrupted", "operation", ctx.Operation().OperationID)
		}
	}()
	next(a)
	done = true
	if err := k.end(context.WithoutCancel(ctx.Context()), row, a); err != nil {
		k.c.Log.Error("the answer to an idempotency key cannot be kept; a repetition will be refused", "operation", ctx.Operation().OperationID, "error", err)
	}
	a.send()
	return nil
}

// cleanKey reads the field: a string in quotes (RFC 8941 section 3.3.3), or, as most clients send it, without.
func cleanKey(s string) (string, error) {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	if s == "" || len(s) > keyMost || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return "", fault.Field("header.Idempotency-Key", "the key must have 1 to %d visible ASCII characters; use a UUID", keyMost)
	}
	return s, nil
}

func keyID(p identity.Principal, operation, key string) string {
	who := "token " + p.TokenID
	if p.TokenID == "" {
		who = "user " + p.UserID + " " + p.Impersonator
	}
	sum := sha256.Sum256([]byte(who + "\x00" + operation + "\x00" + key))
	return hex.EncodeToString(sum[:])
}

// fingerprint reads the request's body, leaves it to be read again, and hashes what makes the request what it is.
func fingerprint(ctx huma.Context) (string, error) {
	r, _ := humago.Unwrap(ctx)
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00", r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"))
	if r.Body == nil || r.Body == http.NoBody {
		return hex.EncodeToString(h.Sum(nil)), nil
	}
	most := max(ctx.Operation().MaxBodyBytes, 1<<20)
	b, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return "", fault.New(fault.TooLarge, "the request is larger than %d bytes; make it smaller", large.Limit)
		}
		return "", fault.Wrap(fault.Timeout, err, "the request did not arrive whole; send it again")
	}
	if int64(len(b)) > most {
		return "", fault.New(fault.TooLarge, "the request is larger than %d bytes; make it smaller", most)
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	_, _ = h.Write(b)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// begin takes the key, or gives what is there of it.
func (k *Keys) begin(ctx context.Context, row *keyRow) (before *keyRow, err error) {
	oldest := k.c.Clock.Now().Add(-keysFor).UnixMilli()
	err = k.c.DB.InTenant(ctx, row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		before = nil
		_, err := tx.NewDelete().Model((*keyRow)(nil)).Where("organisation_id = ? AND id = ? AND created_at < ?", row.OrganisationID, row.ID, oldest).Exec(ctx)
		if err != nil {
			return err
		}
		res, err := tx.NewInsert().Model(row).On("CONFLICT (organisation_id, id) DO NOTHING").Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		before = &keyRow{}
		err = tx.NewSelect().Model(before).Where("organisation_id = ? AND id = ?", row.OrganisationID, row.ID).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) { // it was let go this moment
			return fault.New(fault.Conflict, "a request with this Idempotency-Key is being worked on; ask again in a moment")
		}
		return err
	})
	return before, err
}

// repeat answers a request whose key is known.
func (k *Keys) repeat(ctx huma.Context, row, before *keyRow) error {
	switch {
	case before.Fingerprint != row.Fingerprint:
		return fault.Field("header.Idempotency-Key", "this Idempotency-Key was used for another request; use a new one for each request")
	case before.Status == nil && k.c.Clock.Now().Sub(time.UnixMilli(before.CreatedAt)) > operationTime:
		return fault.New(fault.Conflict, "the first request with this Idempotency-Key was interrupted, and how far it came is not known; look what there is, then use a new key")
	case before.Status == nil:
		ctx.SetHeader("Retry-After", "1")
		return fault.New(fault.Conflict, "a request with this Idempotency-Key is being worked on; ask again in a moment")
	case before.Answer == nil:
		return fault.New(fault.Conflict, "the request with this Idempotency-Key was done (status %d), but its answer was too large to be kept", *before.Status)
	}
	plain, err := k.c.Sealer.Open(ctx.Context(), row.OrganisationID, before.Answer, aad(row))
	if err != nil {
		return fmt.Errorf("open the answer to an idempotency key: %w", err)
	}
	var kept keptAnswer
	if err := json.Unmarshal(plain, &kept); err != nil {
		return fmt.Errorf("read the answer to an idempotency key: %w", err)
	}
	for name, v := range kept.Header {
		ctx.SetHeader(name, v)
	}
	ctx.SetHeader("Idempotency-Replayed", "true")
	ctx.SetStatus(*before.Status)
	if len(kept.Body) > 0 {
		_, _ = ctx.BodyWriter().Write(kept.Body) // the connection is gone
	}
	return nil
}

func aad(row *keyRow) []byte {
	return []byte("idempotency\x00" + row.OrganisationID + "\x00" + row.ID)
}

// end keeps the answer, or lets the key go where nothing was changed.
func (k *Keys) end(ctx context.Context, row *keyRow, a *answer) error {
	status := a.status
	if status == 0 || status == http.StatusServiceUnavailable || (status >= 400 && status < 500) {
		return k.c.DB.InTenant(ctx, row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.NewDelete().Model(row).WherePK().Where("organisation_id = ?", row.OrganisationID).Exec(ctx)
			return err
		})
	}
	row.Status = &status
	kept := keptAnswer{Header: map[string]string{}, Body: a.body.Bytes()}
	for _, name := range keptHeaders {
		if v := a.header.Get(name); v != "" {
			kept.Header[name] = v
		}
	}
	if len(kept.Body) <= answerMost {
		plain, err := json.Marshal(kept)
		if err != nil {
			return err
		}
		if row.Answer, err = k.c.Sealer.Seal(ctx, row.OrganisationID, plain, aad(row)); err != nil {
			return err
		}
	}
	return k.c.DB.InTenant(ctx, row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Model(row).Column("status", "answer").WherePK().Where("organisation_id = ?", row.OrganisationID).Exec(ctx)
		return err
	})
}

// Sweep forgets keys that are older than a day.
func (k *Keys) Sweep(ctx context.Context) error {
	oldest := k.c.Clock.Now().Add(-keysFor).UnixMilli()
	const why = "forget old idempotency keys"
	return k.c.DB.EachPlacement(ctx, why, func(ctx context.Context, in *db.DB) error {
		var orgs []string
		err := in.ReadSystem(ctx, why, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model((*keyRow)(nil)).ColumnExpr("DISTINCT organisation_id").Where("created_at < ?", oldest).Scan(ctx, &orgs)
		})
		for _, org := range orgs {
			err = errors.Join(err, k.c.DB.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.NewDelete().Model((*keyRow)(nil)).Where("organisation_id = ? AND created_at < ?", org, oldest).Exec(ctx)
				return err
			}))
		}
		return err
	})
}
