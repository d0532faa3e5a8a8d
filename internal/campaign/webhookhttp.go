package campaign

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Service) webhookRoutes(api huma.API) {
	const of = "/api/v1/campaigns/{id}/webhook"
	const secret = "/api/v1/campaign-webhook-secret"
	huma.Register(api, operation("get-campaign-webhook", "GET", of, "campaign:read", "Whether it was told that a campaign is over", 200), s.httpNotice)
	huma.Register(api, operation("resend-campaign-webhook", "POST", of, "campaign:run", "Tell once more that a campaign is over", http.StatusAccepted), s.httpResend)
	huma.Register(api, operation("get-campaign-webhook-secret", "GET", secret, "campaign:webhook", "Whether there is a secret that webhooks are signed with", 200), s.httpSecret)
	up := operation("create-campaign-webhook-secret", "POST", secret, "campaign:webhook", "Make the secret that webhooks are signed with, in place of one before; it is shown this once", 201)
	up.Description = "Webhooks are signed as Standard Webhooks 1.0 says: `webhook-signature` is `v1,` and the HMAC-SHA256, in base64, over `webhook-id`, `webhook-timestamp` and the raw body with dots between them. " +
		"The key is what follows `whsec_`, decoded from base64."
	huma.Register(api, up, s.httpNewSecret)
}

type noticeBody struct {
	Body struct {
		Notice *Notice `json:"notice" doc:"null: the campaign is not over, or has no webhook"`
	}
}

type resentBody struct{ Body Notice }

type webhookSecretBody struct {
	Body struct {
		Set   bool       `json:"set"`
		SetAt *time.Time `json:"setAt"`
		SetBy string     `json:"setBy" doc:"A user's id"`
	}
}

type newWebhookSecretBody struct {
	Body struct {
		Secret string `json:"secret" doc:"It is not shown again"`
	}
}

func (s *Service) httpNotice(ctx context.Context, in *campaignPath) (*noticeBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	out := &noticeBody{}
	out.Body.Notice, err = s.LastNotice(ctx, org, in.ID)
	return out, err
}

func (s *Service) httpResend(ctx context.Context, in *campaignPath) (*resentBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	n, err := s.Resend(ctx, org, in.ID)
	return &resentBody{n}, err
}

func (s *Service) httpSecret(ctx context.Context, _ *struct{}) (*webhookSecretBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	row, err := s.webhookSecret(ctx, org)
	out := &webhookSecretBody{}
	if row != nil {
		out.Body.Set, out.Body.SetAt, out.Body.SetBy = true, maybe(row.SetAt), row.SetBy
	}
	return out, err
}

func (s *Service) httpNewSecret(ctx context.Context, _ *struct{}) (*newWebhookSecretBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	out := &newWebhookSecretBody{}
	out.Body.Secret, err = s.NewWebhookSecret(ctx, org)
	return out, err
}
