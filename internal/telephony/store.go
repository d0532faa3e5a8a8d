package telephony

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// phoneRow is a phone as it is stored.
type phoneRow struct {
	bun.BaseModel `bun:"table:phones"`

	ID             string `bun:",pk"`
	OrganisationID string
	Username       string
	DisplayName    string
	Secret         []byte
	EncryptedOnly  bool
	UserID         string
	ProjectID      string
	SecretBy       string // who set the password; "": not known
	SecretAt       int64  // when; 0: not known
	SecretUsedAt   int64  // when a phone last registered with it; 0: not yet
	CreatedAt      int64
	UpdatedAt      int64
}

// contactRow is one registration as it is stored.
type contactRow struct {
	bun.BaseModel `bun:"table:phone_contacts"`

	OrganisationID string
	Username       string `bun:",pk"`
	Position       int64  `bun:",pk"`
	Contact        string
	ExpiresAt      int64
}

func insertPhone(ctx context.Context, tx *db.Tx, row *phoneRow) error {
	n, err := tx.NewSelect().Model((*phoneRow)(nil)).Where("organisation_id = ?", row.OrganisationID).Count(ctx)
	if err != nil {
		return fmt.Errorf("count phones: %w", err)
	}
	if n >= phonesMax {
		return fault.New(fault.Conflict, "there are %d phones already; delete one first", n)
	}
	// The name may belong to another phone, which this transaction need not see: the index knows.
	res, err := tx.NewInsert().Model(row).On("CONFLICT (username) DO NOTHING").Exec(ctx)
	if err != nil {
		return fmt.Errorf("insert phone: %w", err)
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return nameTaken(row.Username)
	}
	return nil
}

func nameTaken(username string) error {
	e := fault.New(fault.Conflict, "the user name %q is taken; choose another", username)
	e.Details = []fault.Detail{{Location: "body.username", Message: e.Message, Value: username}}
	return e
}

// phoneByID finds a phone that ctx reaches.
func phoneByID(ctx context.Context, tx *db.Tx, id string) (*phoneRow, error) {
	var row phoneRow
	q := tx.NewSelect().Model(&row).Where("organisation_id = ?", tx.OrgID()).Where("id = ?", id)
	err := identity.ScopeOf(ctx).Where(q, "user_id").Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no phone %q", id)
	}
	if err != nil {
		return nil, fmt.Errorf("select phone: %w", err)
	}
	return &row, nil
}

// listPhones gives a page of phones after the one with id after, oldest first: ids are UUIDv7. Without a project they are
// all that ctx reaches.
func listPhones(ctx context.Context, tx *db.Tx, project, after string, limit int) ([]phoneRow, error) {
	var rows []phoneRow
	q := tx.NewSelect().Model(&rows).Where("organisation_id = ?", tx.OrgID()).Where("id > ?", after)
	if project != "" {
		q = q.Where("project_id = ?", project)
	}
	err := identity.ScopeOf(ctx).Where(q, "user_id").OrderExpr("id").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list phones: %w", err)
	}
	return rows, nil
}

func updatePhone(ctx context.Context, tx *db.Tx, row *phoneRow) error {
	_, err := tx.NewUpdate().Model(row).Column("display_name", "secret", "secret_by", "secret_at", "secret_used_at", "encrypted_only", "user_id", "project_id", "updated_at").
		Where("organisation_id = ?", tx.OrgID()).Where("id = ?", row.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("update phone: %w", err)
	}
	return nil
}

func deletePhone(ctx context.Context, tx *db.Tx, row *phoneRow) error {
	if err := deleteContacts(ctx, tx, row.OrganisationID, row.Username); err != nil {
		return err
	}
	_, err := tx.NewDelete().Model((*phoneRow)(nil)).Where("organisation_id = ?", tx.OrgID()).Where("id = ?", row.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("delete phone: %w", err)
	}
	return nil
}

// phoneByName finds a phone of the transaction's organisation.
func phoneByName(ctx context.Context, tx *db.Tx, username string) (*phoneRow, bool, error) {
	var row phoneRow
	err := tx.NewSelect().Model(&row).Where("organisation_id = ?", tx.OrgID()).Where("username = ?", username).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("select phone by name: %w", err)
	}
	return &row, true, nil
}

func deleteContacts(ctx context.Context, tx *db.Tx, orgID, username string) error {
	_, err := tx.NewDelete().Model((*contactRow)(nil)).Where("organisation_id = ?", orgID).Where("username = ?", username).Exec(ctx)
	if err != nil {
		return fmt.Errorf("delete registrations: %w", err)
	}
	return nil
}

func insertContacts(ctx context.Context, tx *db.Tx, orgID, username string, contacts []sip.Contact) error {
	rows := make([]contactRow, 0, len(contacts))
	for i, c := range contacts {
		text, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("encode registration: %w", err)
		}
		rows = append(rows, contactRow{OrganisationID: orgID, Username: username, Position: int64(i), Contact: string(text),
			ExpiresAt: c.ExpiresAt.UnixMilli()})
	}
	if len(rows) == 0 {
		return nil
	}
	if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
		return fmt.Errorf("insert registrations: %w", err)
	}
	return nil
}

// contactsOf gives the registrations of one phone that have not run out.
func contactsOf(ctx context.Context, tx *db.Tx, username string, now int64) ([]sip.Contact, error) {
	var rows []contactRow
	err := tx.NewSelect().Model(&rows).Where("organisation_id = ?", tx.OrgID()).Where("username = ?", username).Where("expires_at > ?", now).
		OrderExpr("position").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("select registrations: %w", err)
	}
	all, err := contactsIn(rows)
	return all[username], err
}

// liveContacts gives every registration that has not run out.
func liveContacts(ctx context.Context, tx *db.Tx, now int64) (map[string][]sip.Contact, error) {
	var rows []contactRow
	err := tx.NewSelect().Model(&rows).Where("expires_at > ?", now).OrderExpr("username, position").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("select registrations: %w", err)
	}
	return contactsIn(rows)
}

// contactsIn reads rows, by user name.
func contactsIn(rows []contactRow) (map[string][]sip.Contact, error) {
	out := map[string][]sip.Contact{}
	for _, r := range rows {
		var c sip.Contact
		if err := json.Unmarshal([]byte(r.Contact), &c); err != nil {
			return nil, fmt.Errorf("decode registration of %s: %w", r.Username, err)
		}
		out[r.Username] = append(out[r.Username], c)
	}
	return out, nil
}
