package identity

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const maxPasskeys = 20 // of one person

type passkeyRow struct {
	bun.BaseModel `bun:"table:passkeys"`

	ID           string `bun:"id,pk"`
	UserID       string `bun:"user_id"`
	CredentialID string `bun:"credential_id"`
	Name         string `bun:"name"`
	Credential   string `bun:"credential"` // JSON
	CreatedAt    int64  `bun:"created_at"`
	LastUsedAt   *int64 `bun:"last_used_at"`
}

// Passkey is a WebAuthn credential of a person.
type Passkey struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Synced     bool       `json:"synced" doc:"Kept by a password manager on several devices"`
	CreatedAt  time.Time  `json:"createdAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
}

func (r *passkeyRow) parsed() (c webauthn.Credential, err error) {
	err = json.Unmarshal([]byte(r.Credential), &c)
	return c, err
}

func (r *passkeyRow) view() Passkey {
	c, _ := r.parsed() // this package wrote it
	return Passkey{ID: r.ID, Name: r.Name, Synced: c.Flags.BackupState, CreatedAt: timeOf(r.CreatedAt), LastUsedAt: optionalTime(r.LastUsedAt)}
}

func passkeyRows(ctx context.Context, tx *db.Tx, userID string) ([]passkeyRow, error) {
	var rows []passkeyRow
	err := tx.NewSelect().Model(&rows).Where("user_id = ?", userID).Order("created_at", "id").Scan(ctx)
	return rows, err
}

func passkeysOf(ctx context.Context, tx *db.Tx, userID string) ([]Passkey, error) {
	rows, err := passkeyRows(ctx, tx, userID)
	out := make([]Passkey, len(rows))
	for i := range rows {
		out[i] = rows[i].view()
	}
	return out, err
}

// holder is a person as go-webauthn wants to see them.
type holder struct {
	user userRow
	keys []webauthn.Credential
}

func (h *holder) WebAuthnID() []byte                         { return []byte(h.user.ID) }
func (h *holder) WebAuthnName() string                       { return h.user.Email }
func (h *holder) WebAuthnDisplayName() string                { return h.user.Name }
func (h *holder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

func holderOf(ctx context.Context, tx *db.Tx, userID string) (*holder, error) {
	h := &holder{}
	if err := one(ctx, tx, &h.user, "person", "id = ?", userID); err != nil {
		return nil, err
	}
	rows, err := passkeyRows(ctx, tx, userID)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		c, err := rows[i].parsed()
		if err != nil {
			return nil, fmt.Errorf("read a passkey: %w", err)
		}
		h.keys = append(h.keys, c)
	}
	return h, nil
}

// relyingParty is who the passkeys are for: the host of the public URL. A browser takes no IP address, so on this
// machine it is localhost, at whichever port the page has.
func (s *Service) relyingParty(origin string) (*webauthn.WebAuthn, error) {
	base := ""
	if s.cfg.PublicURL != nil {
		base = s.cfg.PublicURL()
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	host, allowed := u.Hostname(), u.Scheme+"://"+u.Host
	ip := net.ParseIP(host)
	if host == "" || host == "localhost" || ip != nil && ip.IsLoopback() {
		page, err := url.Parse(origin)
		if err != nil || page.Hostname() != "localhost" || page.Scheme != "http" && page.Scheme != "https" {
			return nil, fault.New(fault.NotPossible, "passkeys need a name: on this machine open the page as http://localhost, elsewhere set public-url")
		}
		host, allowed = "localhost", page.Scheme+"://"+page.Host
	} else if ip != nil {
		return nil, fault.New(fault.NotPossible, "passkeys need a name, and public-url has an IP address; give it a name with https")
	}
	return webauthn.New(&webauthn.Config{
		RPID: host, RPDisplayName: "Parley", RPOrigins: []string{allowed}, AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
		},
	})
}

// PasskeyQuestion is what a page hands to the browser's passkey functions.
type PasskeyQuestion struct {
	Challenge string
	Options   any // PublicKeyCredentialCreationOptions or PublicKeyCredentialRequestOptions, as JSON
}

// pendingPasskey waits for the browser's answer.
type pendingPasskey struct {
	Session json.RawMessage `json:"session"`
}

// BeginPasskey asks the browser to make a passkey.
func (s *Service) BeginPasskey(ctx context.Context, p Principal, origin string) (PasskeyQuestion, error) {
	var out PasskeyQuestion
	rp, err := s.relyingParty(origin)
	if err != nil {
		return out, err
	}
	err = s.cfg.DB.InSystem(ctx, "set up a passkey", func(ctx context.Context, tx *db.Tx) error {
		if err := s.freshOwn(ctx, tx, p); err != nil {
			return err
		}
		h, err := holderOf(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		if len(h.keys) >= maxPasskeys {
			return fault.New(fault.Conflict, "you have %d passkeys, the most there may be; delete one first", len(h.keys))
		}
		options, session, err := rp.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.keys).CredentialDescriptors()))
		if err != nil {
			return err
		}
		out.Options = options.Response
		out.Challenge, err = s.passkeyChallenge(ctx, tx, kindPasskeyNew, p.UserID, session)
		return err
	})
	return out, err
}

func (s *Service) passkeyChallenge(ctx context.Context, tx *db.Tx, kind, userID string, session *webauthn.SessionData) (string, error) {
	b, err := json.Marshal(session)
	if err != nil {
		return "", err
	}
	return s.newChallenge(ctx, tx, kind, userID, pendingPasskey{Session: b})
}

func errPasskey(cause error) error {
	var pe *protocol.Error
	if errors.As(cause, &pe) {
		cause = fmt.Errorf("%w: %s %s", cause, pe.Details, pe.DevInfo)
	}
	return fault.Wrap(fault.Unauthorized, cause, "the passkey was not accepted; try again or use another way to sign in")
}

// FinishPasskey stores the passkey that the browser made.
func (s *Service) FinishPasskey(ctx context.Context, p Principal, name string, proof Proof) (Enrolled, error) {
	rp, err := s.relyingParty(proof.Origin)
	if err != nil {
		return Enrolled{}, err
	}
	if name, err = checkName("body.name", name, deviceOf(OriginOf(ctx).UserAgent)); err != nil {
		return Enrolled{}, err
	}
	return s.enrol(ctx, p, "auth.mfa.passkey_add", func(ctx context.Context, tx *db.Tx) (any, error) {
		var pending pendingPasskey
		row, err := s.findChallenge(ctx, tx, kindPasskeyNew, proof.Challenge, &pending)
		if err != nil {
			return nil, err
		}
		if row.UserID == nil || *row.UserID != p.UserID {
			return nil, errChallenge()
		}
		if err := endChallenge(ctx, tx, row); err != nil {
			return nil, err
		}
		var session webauthn.SessionData
		if err := json.Unmarshal(pending.Session, &session); err != nil {
			return nil, err
		}
		h, err := holderOf(ctx, tx, p.UserID)
		if err != nil {
			return nil, err
		}
		parsed, err := protocol.ParseCredentialCreationResponseBytes(proof.Credential)
		if err != nil {
			return nil, errRefused{errPasskey(err)}
		}
		c, err := rp.CreateCredential(h, session, parsed)
		if err != nil {
			return nil, errRefused{errPasskey(err)}
		}
		return s.addPasskey(ctx, tx, p.UserID, name, c)
	})
}

func (s *Service) addPasskey(ctx context.Context, tx *db.Tx, userID, name string, c *webauthn.Credential) (any, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	key := &passkeyRow{
		ID: newID(), UserID: userID, CredentialID: base64.RawURLEncoding.EncodeToString(c.ID), Name: name, Credential: string(b), CreatedAt: s.cfg.Clock.Now().UnixMilli(),
	}
	ok, err := affected(tx.NewInsert().Model(key).On("CONFLICT (credential_id) DO NOTHING").Exec(ctx))
	if err == nil && !ok {
		return nil, fault.New(fault.Conflict, "this passkey is registered already")
	}
	return key.view(), err
}

// RenamePasskey gives a passkey another name.
func (s *Service) RenamePasskey(ctx context.Context, p Principal, id, name string) (Passkey, error) {
	name, err := requiredName("body.name", name)
	if err != nil {
		return Passkey{}, err
	}
	var row passkeyRow
	err = s.cfg.DB.InSystem(ctx, "rename a passkey", func(ctx context.Context, tx *db.Tx) error {
		if err := one(ctx, tx, &row, "passkey", "id = ? AND user_id = ?", id, p.UserID); err != nil {
			return err
		}
		before := row.view()
		row.Name = name
		if _, err := tx.NewUpdate().Model(&row).Set("name = ?", name).WherePK().Exec(ctx); err != nil {
			return err
		}
		return s.auditOwn(ctx, tx, p.UserID, Change{Action: "auth.mfa.passkey_rename", Kind: "passkey", ID: id, Before: before, After: row.view()})
	})
	return row.view(), err
}

// RemovePasskey deletes a passkey.
func (s *Service) RemovePasskey(ctx context.Context, p Principal, id string) error {
	return s.unenrol(ctx, p, Change{Action: "auth.mfa.passkey_remove", Kind: "passkey", ID: id}, func(ctx context.Context, tx *db.Tx) error {
		ok, err := affected(tx.NewDelete().Model((*passkeyRow)(nil)).Where("id = ? AND user_id = ?", id, p.UserID).Exec(ctx))
		if err == nil && !ok {
			return fault.New(fault.NotFound, "there is no such passkey")
		}
		return err
	})
}

// AskPasskey asks the browser for one of a person's passkeys, to confirm who sits at the session.
func (s *Service) AskPasskey(ctx context.Context, p Principal, origin string) (PasskeyQuestion, error) {
	var out PasskeyQuestion
	err := s.cfg.DB.InSystem(ctx, "ask for a passkey", func(ctx context.Context, tx *db.Tx) error {
		options, session, err := s.askPasskey(ctx, tx, p.UserID, origin)
		if err != nil {
			return err
		}
		out.Options = options
		out.Challenge, err = s.passkeyChallenge(ctx, tx, kindPasskeyIdentify, p.UserID, session)
		return err
	})
	return out, err
}

// AskSecondPasskey asks the browser for a passkey as the second factor of a sign-in that began with the password.
func (s *Service) AskSecondPasskey(ctx context.Context, challenge, origin string) (PasskeyQuestion, error) {
	out := PasskeyQuestion{Challenge: challenge}
	err := s.cfg.DB.InSystem(ctx, "ask for a passkey", func(ctx context.Context, tx *db.Tx) error {
		var pending pendingSignIn
		row, err := s.findChallenge(ctx, tx, kindSecondFactor, challenge, &pending)
		if err != nil {
			return err
		}
		options, session, err := s.askPasskey(ctx, tx, *row.UserID, origin)
		if err != nil {
			return err
		}
		out.Options = options
		if pending.Passkey, err = json.Marshal(session); err != nil {
			return err
		}
		if err := uncountTry(ctx, tx, row); err != nil {
			return err
		}
		return s.changeChallenge(ctx, tx, row, pending)
	})
	return out, err
}

func (s *Service) askPasskey(ctx context.Context, tx *db.Tx, userID, origin string) (any, *webauthn.SessionData, error) {
	rp, err := s.relyingParty(origin)
	if err != nil {
		return nil, nil, err
	}
	h, err := holderOf(ctx, tx, userID)
	if err != nil {
		return nil, nil, err
	}
	if len(h.keys) == 0 {
		return nil, nil, fault.New(fault.NotPossible, "there is no passkey; use another way")
	}
	options, session, err := rp.BeginLogin(h)
	if err != nil {
		return nil, nil, err
	}
	return options.Response, session, nil
}

// usePasskey checks a passkey's answer for a person. It reports whether the device made sure who used it. An error of
// code Unauthorized says that the answer is wrong.
func (s *Service) usePasskey(ctx context.Context, tx *db.Tx, userID string, proof Proof, asked json.RawMessage) (verified bool, err error) {
	var session webauthn.SessionData
	if asked == nil {
		return false, errPasskey(errors.New("none was asked for"))
	}
	if err := json.Unmarshal(asked, &session); err != nil {
		return false, err
	}
	rp, err := s.relyingParty(proof.Origin)
	if err != nil {
		return false, err
	}
	h, err := holderOf(ctx, tx, userID)
	if err != nil {
		return false, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(proof.Credential)
	if err != nil {
		return false, errPasskey(err)
	}
	var c *webauthn.Credential
	if len(session.UserID) == 0 {
		_, c, err = rp.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
			if !bytes.Equal(handle, h.WebAuthnID()) {
				return nil, errors.New("another person's passkey")
			}
			return h, nil
		}, session, parsed)
	} else {
		c, err = rp.ValidateLogin(h, session, parsed)
	}
	if err != nil {
		return false, errPasskey(err)
	}
	if c.Authenticator.CloneWarning { // WebAuthn section 7.2 step 22: its counter went back, so there may be two of it
		return false, errPasskey(errors.New("the passkey's counter went back"))
	}
	b, err := json.Marshal(c)
	if err != nil {
		return false, err
	}
	ok, err := affected(tx.NewUpdate().Model((*passkeyRow)(nil)).Set("credential = ?", string(b)).Set("last_used_at = ?", s.cfg.Clock.Now().UnixMilli()).
		Where("user_id = ? AND credential_id = ?", userID, base64.RawURLEncoding.EncodeToString(c.ID)).Exec(ctx))
	if err == nil && !ok {
		err = errPasskey(errors.New("the passkey was deleted"))
	}
	return parsed.Response.AuthenticatorData.Flags.HasUserVerified(), err
}
