package campaign

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// WebhookJob is the kind of job that tells that a campaign is over; its id is the notice's.
const WebhookJob = "campaign.webhook"

const (
	webhookTime   = 15 * time.Second // from the connection to the end of the answer
	webhookAnswer = 64 << 10         // of which nothing is kept
	webhookTries  = 10
	webhookError  = 300 // characters that are kept of one
	secretBytes   = 32

	noticeWaiting   = "waiting"
	noticeDelivered = "delivered"
	noticeFailed    = "failed"
)

// noticeRow is a message that a campaign is over, as it is stored.
type noticeRow struct {
	bun.BaseModel `bun:"table:campaign_notices"`

	ID             string `bun:",pk"`
	OrganisationID string
	CampaignID     string
	URL            string `bun:"url"`
	State          string
	Attempts       int64
	Status         int64
	Error          string
	Body           string
	CreatedAt      int64
	TriedAt        int64
}

// Notice is a message that a campaign is over.
type Notice struct {
	ID        string     `json:"id"`
	URL       string     `json:"url"`
	State     string     `json:"state" enum:"waiting,delivered,failed"`
	Attempts  int64      `json:"attempts"`
	Status    int64      `json:"status" doc:"Of the last answer; 0: there was none"`
	Error     string     `json:"error"`
	CreatedAt time.Time  `json:"createdAt"`
	TriedAt   *time.Time `json:"triedAt"`
}

func (r *noticeRow) notice() Notice {
	return Notice{ID: r.ID, URL: r.URL, State: r.State, Attempts: r.Attempts, Status: r.Status, Error: r.Error, CreatedAt: at(r.CreatedAt), TriedAt: maybe(r.TriedAt)}
}

// checkWebhook refuses what cannot be posted to. Where it leads to is judged when it is dialled.
func checkWebhook(at, address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "" || len(address) > 2000 {
		return fault.Field(at, "write an address such as https://crm.example.com/campaigns, without a name and a password in it")
	}
	return nil
}

// announce has whoever wants to know told that a campaign is over, as it stands in row.
func (s *Service) announce(ctx context.Context, tx *db.Tx, c Campaign, row *campaignRow) error {
	if c.Settings.Webhook == "" || s.c.Enqueue == nil {
		return nil
	}
	t, err := readTally(ctx, tx, c.ID, 0, 0)
	if err != nil {
		return err
	}
	var p Progress
	p.count(t.sum())
	base := ""
	if s.c.PublicURL != nil {
		base = s.c.PublicURL()
	}
	body, err := json.Marshal(map[string]any{"type": "campaign." + string(row.State), "timestamp": at(row.EndedAt).Format(time.RFC3339), "data": map[string]any{
		"campaignId": c.ID, "name": row.Name, "state": row.State, "why": row.Why, "startedAt": maybe(row.StartedAt), "endedAt": maybe(row.EndedAt),
		"leads": p.Leads, "attempts": p.Attempts, "outcomes": p.Outcomes, "dispositions": p.Dispositions, "talkMs": p.TalkMS, "cost": p.Cost, "currency": c.Settings.Budget.Currency,
		"report": base + "/api/v1/campaigns/" + c.ID + "/report"}})
	if err != nil {
		return err
	}
	n := &noticeRow{ID: newID(), OrganisationID: tx.OrgID(), CampaignID: c.ID, URL: c.Settings.Webhook, State: noticeWaiting, Body: string(body), CreatedAt: s.now().UnixMilli()}
	if _, err := tx.NewInsert().Model(n).Exec(ctx); err != nil {
		return fmt.Errorf("insert notice: %w", err)
	}
	return s.c.Enqueue(ctx, tx, WebhookJob, n.ID)
}

// Deliver posts a notice. An error has it tried again, later and later; after ten tries it is given up.
func (s *Service) Deliver(ctx context.Context, orgID, id string) error {
	var found []noticeRow
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&found).Where("organisation_id = ?", orgID).Where("id = ?", id).Scan(ctx)
	})
	if err != nil {
		return fmt.Errorf("read notice: %w", err)
	}
	if len(found) == 0 || found[0].State != noticeWaiting {
		return nil
	}
	n := &found[0]
	status, failure := s.post(ctx, n)
	if ctx.Err() != nil {
		return ctx.Err() // this process ends: it was no try
	}
	n.Attempts, n.Status, n.TriedAt, n.Error = n.Attempts+1, int64(status), s.now().UnixMilli(), ""
	switch {
	case failure == nil:
		n.State = noticeDelivered
	case n.Attempts >= webhookTries || status == http.StatusGone:
		n.State, n.Error = noticeFailed, brief(failure)
		failure = nil
	default:
		n.Error = brief(failure)
	}
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Model(n).Column("state", "attempts", "status", "error", "tried_at").WherePK().Where("organisation_id = ?", orgID).Exec(ctx)
		if err != nil {
			return fmt.Errorf("update notice: %w", err)
		}
		return nil
	})
	return errors.Join(failure, err)
}

func brief(err error) string {
	r := []rune(err.Error())
	return string(r[:min(len(r), webhookError)])
}

// post sends a notice, signed as Standard Webhooks says (https://www.standardwebhooks.com, specification 1.0): HMAC-SHA256 with the
// organisation's secret over the message's id, the time and the raw body, with dots between them.
func (s *Service) post(ctx context.Context, n *noticeRow) (status int, err error) {
	if s.c.Outbound == nil {
		return 0, errors.New("this process connects to nobody")
	}
	key, err := s.webhookKey(ctx, n.OrganisationID)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, webhookTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL, bytes.NewReader([]byte(n.Body)))
	if err != nil {
		return 0, err
	}
	stamp := strconv.FormatInt(s.now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Parley")
	req.Header.Set("Webhook-Id", n.ID)
	req.Header.Set("Webhook-Timestamp", stamp)
	req.Header.Set("Webhook-Signature", signature(key, n.ID, stamp, []byte(n.Body)))
	res, err := s.c.Outbound(ctx, n.OrganisationID).Do(req)
	if err != nil {
		return 0, fmt.Errorf("post: %w", err)
	}
	_, _ = io.CopyN(io.Discard, res.Body, webhookAnswer) // so that the connection can be used again
	_ = res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return res.StatusCode, fmt.Errorf("the answer was %d; 200 to 299 says that it was taken", res.StatusCode)
	}
	return res.StatusCode, nil
}

func signature(key []byte, id, stamp string, body []byte) string {
	m := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(m, "%s.%s.", id, stamp)
	_, _ = m.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// webhookSecretRow is an organisation's secret as it is stored.
type webhookSecretRow struct {
	bun.BaseModel `bun:"table:campaign_webhook_secrets"`

	ID             string `bun:",pk"`
	OrganisationID string
	Secret         []byte
	SetBy          string
	SetAt          int64
}

// WebhookAAD is what an organisation's secret is bound to.
func WebhookAAD(orgID string) []byte { return []byte("campaign webhook\x00" + orgID) }

// Sealed lists what is stored sealed and stays.
func Sealed() []envelope.Column {
	return []envelope.Column{{Table: "campaign_webhook_secrets", Column: "secret", Org: "organisation_id", Key: []string{"id"},
		AAD: func(orgID string, _ []string) []byte { return WebhookAAD(orgID) }}}
}

// webhookSecret gives an organisation's secret as it is stored; nil where there is none.
func (s *Service) webhookSecret(ctx context.Context, orgID string) (*webhookSecretRow, error) {
	var rows []webhookSecretRow
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("read the webhook's secret: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return &rows[0], nil
}

func (s *Service) webhookKey(ctx context.Context, orgID string) ([]byte, error) {
	row, err := s.webhookSecret(ctx, orgID)
	if err != nil {
		return nil, err
	}
	if row == nil || s.c.Sealer == nil {
		return nil, errors.New("the organisation has no secret for webhooks; make one")
	}
	key, err := s.c.Sealer.Open(ctx, orgID, row.Secret, WebhookAAD(orgID))
	if err != nil {
		return nil, fmt.Errorf("open the webhook's secret: %w", err)
	}
	return key, nil
}

// NewWebhookSecret makes the organisation's secret, in place of one before, and gives it this once.
func (s *Service) NewWebhookSecret(ctx context.Context, orgID string) (string, error) {
	if s.c.Sealer == nil {
		return "", fault.New(fault.Unavailable, "this process keeps no secrets; ask one that does")
	}
	key := make([]byte, secretBytes)
	if _, err := rand.Read(key); err != nil {
		return "", fmt.Errorf("make a secret: %w", err)
	}
	sealed, err := s.c.Sealer.Seal(ctx, orgID, key, WebhookAAD(orgID))
	if err != nil {
		return "", fmt.Errorf("seal the webhook's secret: %w", err)
	}
	row := &webhookSecretRow{ID: newID(), OrganisationID: orgID, Secret: sealed, SetBy: identity.UserOf(ctx), SetAt: s.now().UnixMilli()}
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.NewDelete().Table("campaign_webhook_secrets").Where("organisation_id = ?", orgID).Exec(ctx); err != nil {
			return fmt.Errorf("forget the webhook's secret: %w", err)
		}
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return fmt.Errorf("insert the webhook's secret: %w", err)
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "campaign.webhook.secret", Kind: "organisation", ID: orgID})
	})
	if err != nil {
		return "", err
	}
	return "whsec_" + base64.StdEncoding.EncodeToString(key), nil
}

// HeldSecrets lists the organisation's secret for webhooks.
func (s *Service) HeldSecrets(ctx context.Context, orgID, after string, limit int) ([]envelope.Held, error) {
	row, err := s.webhookSecret(ctx, orgID)
	if err != nil || row == nil || row.ID <= after || limit < 1 {
		return nil, err
	}
	return []envelope.Held{{ID: row.ID, Kind: "webhookSecret", Name: "Campaigns", ObjectKind: "organisation", ObjectID: orgID, SetBy: row.SetBy, SetAt: maybe(row.SetAt), Sealed: row.Secret}}, nil
}

// LastNotice gives the last message that a campaign is over; nil where there was none.
func (s *Service) LastNotice(ctx context.Context, orgID, campaignID string) (out *Notice, err error) {
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if _, err := campaignByID(ctx, tx, campaignID); err != nil {
			return err
		}
		row, err := lastNotice(ctx, tx, campaignID)
		if row != nil {
			out = new(row.notice())
		}
		return err
	})
	return out, err
}

func lastNotice(ctx context.Context, tx *db.Tx, campaignID string) (*noticeRow, error) {
	var rows []noticeRow
	err := tx.NewSelect().Model(&rows).Where("organisation_id = ?", tx.OrgID()).Where("campaign_id = ?", campaignID).OrderExpr("id DESC").Limit(1).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read notices: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return &rows[0], nil
}

// Resend has a campaign's message posted again.
func (s *Service) Resend(ctx context.Context, orgID, campaignID string) (out Notice, err error) {
	if s.c.Enqueue == nil {
		return out, fault.New(fault.Unavailable, "this process has no jobs; ask one with the worker role")
	}
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if _, err := lockCampaign(ctx, tx, campaignID); err != nil {
			return err
		}
		row, err := lastNotice(ctx, tx, campaignID)
		if err != nil {
			return err
		}
		if row == nil {
			return fault.New(fault.Conflict, "there is no message: the campaign is not over, or has no webhook")
		}
		row.State, row.Attempts, row.Error = noticeWaiting, 0, ""
		if _, err := tx.NewUpdate().Model(row).Column("state", "attempts", "error").WherePK().Where("organisation_id = ?", orgID).Exec(ctx); err != nil {
			return fmt.Errorf("update notice: %w", err)
		}
		if err := s.c.Enqueue(ctx, tx, WebhookJob, row.ID); err != nil {
			return err
		}
		out = row.notice()
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "campaign.webhook.resend", Kind: "campaign", ID: campaignID})
	})
	return out, err
}
