package telephony

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/etag"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// trunkAudit is a trunk in the audit trail: never its password, only that there is a new one.
type trunkAudit struct {
	Trunk
	NewPassword bool `json:"newPassword"`
}

// trunkKind is what If-Match compares: not the "trunk" of the audit trail, whose entries do not show that there is a new password.
const trunkKind = "trunk settings"

func auditTrunk(ctx context.Context, tx *db.Tx, action string, before, after *trunkRow, newPassword bool) error {
	c := identity.Change{Action: action, Kind: "trunk"}
	if before != nil {
		c.ID, c.Before = before.ID, trunkAudit{before.show(), false}
	}
	if after != nil {
		c.ID, c.After = after.ID, trunkAudit{after.show(), newPassword}
	}
	return identity.Audit(ctx, tx, tx.OrgID(), c)
}

// permit gives what refuses addresses that an organisation may not reach; nil refuses none.
func (s *Service) permit(ctx context.Context, orgID string) func(host string, addr netip.Addr) error {
	if s.c.Permit == nil {
		return nil
	}
	return s.c.Permit(ctx, orgID)
}

// CreateTrunk adds a trunk.
func (s *Service) CreateTrunk(ctx context.Context, orgID string, n NewTrunk) (Trunk, error) {
	now := s.c.Clock.Now().UnixMilli()
	row := &trunkRow{ID: uuid.Must(uuid.NewV7()).String(), OrganisationID: orgID, Name: n.Name, Address: n.Address, Transport: or(n.Transport, "udp"), Proxy: n.Proxy,
		Username: n.Username, Domain: n.Domain, NumberFormat: or(n.NumberFormat, FormatE164), Prefix: n.Prefix, AssertIdentity: n.AssertIdentity,
		Lines: or(n.Lines, linesDefault), PerSecond: or(n.PerSecond, secondDefault), EncryptedOnly: n.EncryptedOnly, Enabled: !n.Disabled, CreatedAt: now, UpdatedAt: now}
	if err := row.check(s.permit(ctx, orgID)); err != nil {
		return Trunk{}, err
	}
	if err := checkTrunkPassword(n.Password); err != nil {
		return Trunk{}, err
	}
	if n.Password != "" {
		if n.Username == "" {
			return Trunk{}, fault.Field("body.username", "a password needs a user name that it belongs to")
		}
		sealed, err := s.SealTrunkSecret(ctx, orgID, row.ID, []byte(n.Password))
		if err != nil {
			return Trunk{}, err
		}
		row.Secret, row.SecretBy, row.SecretAt = sealed, identity.UserOf(ctx), now
	}
	err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if err := insert(ctx, tx, row, "trunks", trunksMax); err != nil {
			return err
		}
		return auditTrunk(ctx, tx, "trunk.create", nil, row, n.Password != "")
	})
	return row.show(), err
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// ListTrunks gives a page of trunks, and the cursor of the next one ("" at the end).
func (s *Service) ListTrunks(ctx context.Context, orgID, cursor string, limit int) ([]Trunk, string, error) {
	var rows []trunkRow
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		rows, err = listTrunks(ctx, tx, cursor, limit+1)
		return err
	})
	next := ""
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID
	}
	out := make([]Trunk, 0, len(rows))
	for i := range rows {
		out = append(out, rows[i].show())
	}
	return out, next, err
}

// Trunk gives one trunk.
func (s *Service) Trunk(ctx context.Context, orgID, id string) (Trunk, error) {
	row, err := s.trunkRow(ctx, orgID, id)
	if err != nil {
		return Trunk{}, err
	}
	return row.show(), nil
}

func (s *Service) trunkRow(ctx context.Context, orgID, id string) (row *trunkRow, err error) {
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err = trunkByID(ctx, tx, id)
		return err
	})
	return row, err
}

// apply puts a change into a row.
func (c *TrunkChange) apply(row *trunkRow) {
	for _, f := range []struct{ from, to *string }{
		{c.Name, &row.Name}, {c.Address, &row.Address}, {c.Transport, &row.Transport}, {c.Proxy, &row.Proxy}, {c.Username, &row.Username},
		{c.Domain, &row.Domain}, {c.NumberFormat, &row.NumberFormat}, {c.Prefix, &row.Prefix},
	} {
		set(f.to, f.from)
	}
	set(&row.AssertIdentity, c.AssertIdentity)
	set(&row.EncryptedOnly, c.EncryptedOnly)
	set(&row.Enabled, c.Enabled)
	set(&row.Lines, c.Lines)
	set(&row.PerSecond, c.PerSecond)
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// UpdateTrunk changes a trunk. Calls that go on are not touched.
func (s *Service) UpdateTrunk(ctx context.Context, orgID, id string, c TrunkChange) (Trunk, error) {
	if c.Password != nil {
		if err := checkTrunkPassword(*c.Password); err != nil {
			return Trunk{}, err
		}
	}
	if err := s.c.Sealer.Ready(ctx, orgID); err != nil { // it seals within the transaction
		return Trunk{}, fmt.Errorf("seal a trunk's password: %w", err)
	}
	permit := s.permit(ctx, orgID)
	var row *trunkRow
	err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		if row, err = trunkByID(ctx, tx, id); err != nil {
			return err
		}
		was := *row
		if err := etag.Check(ctx, trunkKind, row.show()); err != nil {
			return err
		}
		c.apply(row)
		if err := row.check(permit); err != nil {
			return err
		}
		if err := s.newTrunkPassword(ctx, row, c.Password); err != nil {
			return err
		}
		row.UpdatedAt = max(s.c.Clock.Now().UnixMilli(), was.UpdatedAt+1) // a new password alone is seen by it
		if err := update(ctx, tx, row, "trunk", id); err != nil {
			return err
		}
		return auditTrunk(ctx, tx, "trunk.update", &was, row, c.Password != nil && *c.Password != "")
	})
	if err != nil {
		return Trunk{}, err
	}
	return row.show(), nil
}

func (s *Service) newTrunkPassword(ctx context.Context, row *trunkRow, password *string) (err error) {
	if password != nil {
		row.Secret, row.SecretBy, row.SecretAt, row.SecretUsedAt = nil, "", 0, 0
		if *password != "" {
			if row.Secret, err = s.SealTrunkSecret(ctx, row.OrganisationID, row.ID, []byte(*password)); err != nil {
				return err
			}
			row.SecretBy, row.SecretAt = identity.UserOf(ctx), s.c.Clock.Now().UnixMilli()
		}
	}
	if len(row.Secret) > 0 && row.Username == "" {
		return fault.Field("body.username", "a password needs a user name that it belongs to; remove the password with it")
	}
	return nil
}

// DeleteTrunk removes a trunk that no caller number belongs to.
func (s *Service) DeleteTrunk(ctx context.Context, orgID, id string) error {
	return s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := trunkByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := etag.Check(ctx, trunkKind, row.show()); err != nil {
			return err
		}
		theirs, err := listCallers(ctx, tx, id, "", callersMax)
		if err != nil {
			return err
		}
		if len(theirs) > 0 {
			return fault.New(fault.Conflict, "%d caller numbers belong to the trunk; delete them or give them to another first", len(theirs))
		}
		if err := remove[trunkRow](ctx, tx, "trunk", id); err != nil {
			return err
		}
		return auditTrunk(ctx, tx, "trunk.delete", row, nil, false)
	})
}

// Line is a trunk that calls can be placed through.
type Line struct {
	Trunk
	via sip.Trunk
}

// Via is what a sip.DialRequest needs of it. It holds the password.
func (l Line) Via() *sip.Trunk {
	v := l.via
	return &v
}

// Line gives a trunk that calls are placed through: the one with the id, or the first that is switched on.
func (s *Service) Line(ctx context.Context, orgID, id string) (Line, error) {
	var row *trunkRow
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		if id == "" {
			row, err = firstTrunk(ctx, tx)
			return err
		}
		row, err = trunkByID(ctx, tx, id)
		return err
	})
	switch {
	case fault.Is(err, fault.NotFound):
		return Line{}, fault.Field("body.trunkId", "there is no trunk %q", clip(id))
	case err != nil:
		return Line{}, err
	case row == nil:
		return Line{}, fault.New(fault.NotPossible, "there is no trunk that is switched on; add one under Trunks, to call numbers")
	case !row.Enabled:
		return Line{}, fault.New(fault.NotPossible, "the trunk %q is switched off; switch it on or choose another", row.Name)
	}
	l, err := s.line(ctx, row)
	if err == nil && len(row.Secret) > 0 {
		err = s.trunkUsed(ctx, row)
	}
	return l, err
}

func firstTrunk(ctx context.Context, tx *db.Tx) (*trunkRow, error) {
	rows, err := listTrunks(ctx, tx, "", trunksMax)
	for i := range rows {
		if rows[i].Enabled {
			return &rows[i], err
		}
	}
	return nil, err
}

func (s *Service) line(ctx context.Context, row *trunkRow) (Line, error) {
	host, port, err := sip.HostPort(row.Address)
	if err != nil {
		return Line{}, fmt.Errorf("the address of trunk %s: %w", row.ID, err)
	}
	l := Line{Trunk: row.show(), via: sip.Trunk{Host: host, Port: port, Transport: row.Transport, Proxy: row.Proxy, Domain: row.Domain,
		SRTP: row.EncryptedOnly, Assert: row.AssertIdentity, Permit: s.permit(ctx, row.OrganisationID)}}
	if len(row.Secret) == 0 {
		return l, nil
	}
	plain, err := s.OpenTrunkSecret(ctx, row.OrganisationID, row.ID, row.Secret)
	if err != nil {
		return Line{}, fmt.Errorf("open the password of trunk %s: %w", row.ID, err)
	}
	l.via.Auth = sip.Auth{Username: row.Username, Password: string(plain)}
	return l, nil
}

// usedEvery is how often it is noted that a trunk's password is in use: not with every call.
const usedEvery = 60 * 60 * 1000

func (s *Service) trunkUsed(ctx context.Context, row *trunkRow) error {
	now := s.c.Clock.Now().UnixMilli()
	if now-row.SecretUsedAt < usedEvery {
		return nil
	}
	return s.c.DB.InTenant(ctx, row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Model((*trunkRow)(nil)).Set("secret_used_at = ?", now).Where("organisation_id = ? AND id = ?", tx.OrgID(), row.ID).Exec(ctx)
		if err != nil {
			return fmt.Errorf("note that a trunk's password was used: %w", err)
		}
		return nil
	})
}
