package compliance

import (
	"archive/zip"
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

const (
	certificateContext = "parley-erasure-1\n"
	digestRounds       = 600_000 // OWASP's for PBKDF2 with HMAC-SHA-256

	stateWaiting = "waiting"
	stateDone    = "done"
)

// PersonData holds data of persons, whom it knows by their addresses. Needle is a part of every form of the address, for a
// first look by the database; match decides.
type PersonData interface {
	// ExportPerson hands over all there is of a person, file by file.
	ExportPerson(ctx context.Context, org, needle string, match func(address string) bool, put func(name string, write func(io.Writer) error) error) error
	// ErasePerson deletes all there is of a person, except what keep says is held, and gives how much by kind and how much was
	// kept. It may be called again: what is gone is not counted twice.
	ErasePerson(ctx context.Context, org, needle string, match func(address string) bool, keep func(id string, parties ...string) bool) (erased map[string]int64, kept int64, err error)
}

// ExportPerson writes everything there is of a person as a zip archive.
func (s *Service) ExportPerson(ctx context.Context, org, who string, w io.Writer) error {
	sub, err := newSubject("body.subject", who)
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	put := func(name string, write func(io.Writer) error) error {
		f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: s.clock.Now().UTC()})
		if err != nil {
			return err
		}
		return write(f)
	}
	for _, p := range s.cfg.Persons {
		if err := p.ExportPerson(ctx, org, sub.needle(), sub.match, put); err != nil {
			return fmt.Errorf("export a person's data: %w", err)
		}
	}
	if err := s.exportConsents(ctx, org, sub, put); err != nil {
		return err
	}
	return z.Close()
}

// noteExport records that a person's data is handed out, before it is. The person is not named: entries outlive erasure.
func (s *Service) noteExport(ctx context.Context, org, reason string) error {
	return s.cfg.DB.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return identity.Audit(ctx, tx, org, identity.Change{Action: "person.export", Kind: "person", Reason: reason})
	})
}

// Erasure is the deletion of one person's data.
type Erasure struct {
	ID          string              `json:"id"`
	State       string              `json:"state" enum:"waiting,done"`
	Reason      string              `json:"reason"`
	RequestedBy string              `json:"requestedBy"`
	RequestedAt time.Time           `json:"requestedAt"`
	DoneAt      *time.Time          `json:"doneAt"`
	Certificate *ErasureCertificate `json:"certificate" doc:"null while it waits"`
	KeyID       string              `json:"keyId"`
	PublicKey   string              `json:"publicKey"`
	Hash        string              `json:"hash" doc:"SHA-256 of the certificate's JSON without spaces"`
	Signature   string              `json:"signature" doc:"Ed25519 over the text parley-erasure-1, a line feed, and the certificate's JSON without spaces"`
}

// ErasureCertificate says what was erased. Of whom it proves to those who know the number or the address.
type ErasureCertificate struct {
	ID             string           `json:"id"`
	OrganisationID string           `json:"organisationId"`
	Salt           string           `json:"salt"`
	SubjectDigest  string           `json:"subjectDigest" doc:"PBKDF2 with HMAC-SHA-256, 600000 rounds and 32 bytes, in hex, of the number (+4930123456) or the address in lower case, with the salt's 16 bytes"`
	RequestedAt    time.Time        `json:"requestedAt"`
	DoneAt         time.Time        `json:"doneAt"`
	Erased         map[string]int64 `json:"erased" doc:"How much, by kind"`
	Kept           int64            `json:"kept" doc:"Records that were not erased: under legal hold, or the account of the organisation's last owner"`
}

type erasureRow struct {
	bun.BaseModel `bun:"table:erasures,alias:x"`

	OrganisationID string `bun:"organisation_id,pk"`
	ID             string `bun:"id,pk"`
	Subject        string `bun:"subject"`
	Reason         string `bun:"reason"`
	RequestedBy    string `bun:"requested_by"`
	RequestedAt    int64  `bun:"requested_at"`
	State          string `bun:"state"`
	Counts         string `bun:"counts"`
	DoneAt         *int64 `bun:"done_at"`
	Certificate    string `bun:"certificate"`
	KeyID          string `bun:"key_id"`
	PublicKey      string `bun:"public_key"`
	Signature      string `bun:"signature"`
}

func (r *erasureRow) view() Erasure {
	v := Erasure{ID: r.ID, State: r.State, Reason: r.Reason, RequestedBy: r.RequestedBy, RequestedAt: fromMillis(r.RequestedAt), DoneAt: optional(r.DoneAt),
		KeyID: r.KeyID, PublicKey: r.PublicKey, Signature: r.Signature}
	if r.Certificate != "" {
		v.Certificate = &ErasureCertificate{}
		if json.Unmarshal([]byte(r.Certificate), v.Certificate) != nil {
			v.Certificate = nil
		}
		sum := sha256.Sum256([]byte(r.Certificate))
		v.Hash = hex.EncodeToString(sum[:])
	}
	return v
}

// Erase asks for a person's data to be erased. A job does it, so that it is done though this process ends.
func (s *Service) Erase(ctx context.Context, org, who, reason string) (Erasure, error) {
	sub, err := newSubject("body.subject", who)
	if err != nil {
		return Erasure{}, err
	}
	if reason = clean(strings.TrimSpace(reason), maxText); reason == "" {
		return Erasure{}, fault.Field("body.reason", "say why, such as the person's request and its date")
	}
	if s.cfg.Enqueue == nil {
		return Erasure{}, fault.New(fault.Unavailable, "this process has no jobs; ask one with the worker role")
	}
	p, _ := identity.From(ctx)
	row := &erasureRow{OrganisationID: org, ID: newID(), Subject: string(sub), Reason: reason, RequestedBy: p.UserID,
		RequestedAt: s.clock.Now().UnixMilli(), State: stateWaiting, Counts: "{}"}
	err = s.cfg.DB.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return err
		}
		if err := s.cfg.Enqueue(ctx, tx, row.ID); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, org, identity.Change{Action: "person.erase", Kind: "erasure", ID: row.ID, Reason: reason})
	})
	return row.view(), err
}

// progress is what earlier tries of an erasure have done.
type progress struct {
	Erased map[string]int64 `json:"erased"`
}

// Carry does an erasure that was asked for. It may be called again after a crash or an error, and after it was done.
func (s *Service) Carry(ctx context.Context, org, id string) error {
	row, err := s.erasure(ctx, org, id)
	if err != nil || row.State == stateDone {
		return err
	}
	sub := subject(row.Subject)
	h, err := s.held(ctx, org)
	if err != nil {
		return err
	}
	done := progress{Erased: map[string]int64{}}
	if err := json.Unmarshal([]byte(row.Counts), &done); err != nil {
		return fmt.Errorf("erasure %s: %w", id, err)
	}
	var all error
	kept := int64(0)
	for _, p := range s.cfg.Persons {
		erased, n, err := p.ErasePerson(ctx, org, sub.needle(), sub.match, h.keeps)
		for k, v := range erased {
			done.Erased[k] += v
		}
		kept += n
		all = errors.Join(all, err)
	}
	if all != nil { // what was erased so far must be in the certificate all the same
		return errors.Join(all, s.noteProgress(ctx, org, id, done))
	}
	return s.certify(ctx, &row, sub, h, done, kept)
}

func (s *Service) erasure(ctx context.Context, org, id string) (row erasureRow, err error) {
	err = s.cfg.DB.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&row).Where("x.organisation_id = ? AND x.id = ?", org, id).Scan(ctx)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.NotFound, "there is no erasure %q", clean(id, 64))
	}
	return row, err
}

func (s *Service) noteProgress(ctx context.Context, org, id string, p progress) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return s.cfg.DB.InTenant(context.WithoutCancel(ctx), org, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Model((*erasureRow)(nil)).Set("counts = ?", string(text)).Where("organisation_id = ? AND id = ?", org, id).Exec(ctx)
		return err
	})
}

// certify erases what this context itself has of the person, forgets who it was, and signs what was done.
func (s *Service) certify(ctx context.Context, row *erasureRow, sub subject, h *held, done progress, kept int64) error {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	// Numbers are few: what hashes them must be slow, or the certificate would name the person.
	digest, err := pbkdf2.Key(sha256.New, string(sub), salt, digestRounds, sha256.Size)
	if err != nil {
		return fmt.Errorf("make the certificate: %w", err)
	}
	return s.cfg.DB.InTenant(ctx, row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		if !h.all && !h.persons[string(sub)] {
			n, err := eraseConsents(ctx, tx, row.OrganisationID, sub)
			if err != nil {
				return err
			}
			done.Erased["consents"] += n
		}
		now := tx.Now().UnixMilli()
		cert := ErasureCertificate{ID: row.ID, OrganisationID: row.OrganisationID, Salt: hex.EncodeToString(salt), SubjectDigest: hex.EncodeToString(digest),
			RequestedAt: fromMillis(row.RequestedAt), DoneAt: fromMillis(now), Erased: done.Erased, Kept: kept}
		text, err := json.Marshal(cert)
		if err != nil {
			return err
		}
		sig, err := s.cfg.Signer.Sign(append([]byte(certificateContext), text...))
		if err != nil {
			return fmt.Errorf("sign the certificate: %w", err)
		}
		row.Subject, row.State, row.DoneAt, row.Certificate, row.Counts = "", stateDone, &now, string(text), "{}"
		row.KeyID, row.PublicKey, row.Signature = sig.KeyID, hashchain.Encode64(sig.Public), hashchain.Encode64(sig.Bytes)
		if _, err := tx.NewUpdate().Model(row).WherePK().Exec(ctx); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, row.OrganisationID, identity.Change{Action: "person.erased", Kind: "erasure", ID: row.ID,
			After: map[string]any{"erased": cert.Erased, "kept": kept, "signature": row.Signature}})
	})
}

// Erasures gives a page of erasures, newest first, and the cursor of the next.
func (s *Service) Erasures(ctx context.Context, org, cursor string, limit int) ([]Erasure, string, error) {
	var rows []erasureRow
	err := s.cfg.DB.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		q := tx.NewSelect().Model(&rows).Where("x.organisation_id = ?", org).OrderExpr("x.id DESC").Limit(int64(limit) + 1)
		if cursor != "" {
			q = q.Where("x.id < ?", cursor)
		}
		return q.Scan(ctx)
	})
	if err != nil {
		return nil, "", fmt.Errorf("list erasures: %w", err)
	}
	next := ""
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID
	}
	out := make([]Erasure, len(rows))
	for i := range rows {
		out[i] = rows[i].view()
	}
	return out, next, nil
}
