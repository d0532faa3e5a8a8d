package identity

import (
	"github.com/uptrace/bun"
)

type organisationRow struct {
	bun.BaseModel `bun:"table:organisations"`

	ID              string  `bun:"id,pk"`
	Name            string  `bun:"name"`
	Address         string  `bun:"address"`
	TimeZone        string  `bun:"time_zone"`
	IdleMinutes     *int64  `bun:"session_idle_minutes"`
	PlanID          *string `bun:"plan_id"`
	Limits          string  `bun:"limits"` // JSON
	SuspendedAt     *int64  `bun:"suspended_at"`
	SuspendedReason string  `bun:"suspended_reason"`
	CreatedAt       int64   `bun:"created_at"`
	UpdatedAt       int64   `bun:"updated_at"`
}

type userRow struct {
	bun.BaseModel `bun:"table:users"`

	ID           string `bun:"id,pk"`
	Email        string `bun:"email"`
	Name         string `bun:"name"`
	PasswordHash string `bun:"password_hash"`
	Super        bool   `bun:"super"`
	CreatedAt    int64  `bun:"created_at"`
}

type membershipRow struct {
	bun.BaseModel `bun:"table:memberships"`

	UserID         string `bun:"user_id,pk"`
	OrganisationID string `bun:"organisation_id,pk"`
	Role           string `bun:"role"`
	SuspendedAt    *int64 `bun:"suspended_at"`
	ProviderOnly   bool   `bun:"provider_only"` // only the organisation's identity provider lets the person in
	CreatedAt      int64  `bun:"created_at"`
}

type sessionRow struct {
	bun.BaseModel `bun:"table:sessions"`

	ID             string `bun:"id,pk"`
	Hash           string `bun:"hash"`
	PreviousHash   string `bun:"previous_hash"`
	PreviousUntil  int64  `bun:"previous_until"`
	RotatedAt      int64  `bun:"rotated_at"`
	UserID         string `bun:"user_id"`
	OrganisationID string `bun:"organisation_id"`
	CreatedAt      int64  `bun:"created_at"`
	LastUsedAt     int64  `bun:"last_used_at"`
	IP             string `bun:"ip"`
	UserAgent      string `bun:"user_agent"`
	Method         string `bun:"method"`
	VerifiedAt     int64  `bun:"verified_at"`
	SecondFactorAt *int64 `bun:"second_factor_at"`
	// SSOOrganisationID is whose identity provider answered for the person; "": none.
	SSOOrganisationID string `bun:"sso_organisation_id"`

	ImpersonatorID *string `bun:"impersonator_id"`
	Reason         string  `bun:"impersonation_reason"`
	ParentID       *string `bun:"parent_id"`
	EndsAt         *int64  `bun:"ends_at"`
}

type tokenRow struct {
	bun.BaseModel `bun:"table:api_tokens"`

	ID             string `bun:"id,pk"`
	OrganisationID string `bun:"organisation_id"`
	UserID         string `bun:"user_id"`
	Name           string `bun:"name"`
	Hash           string `bun:"hash"`
	CreatedAt      int64  `bun:"created_at"`
	ExpiresAt      *int64 `bun:"expires_at"`
	LastUsedAt     *int64 `bun:"last_used_at"`
	LastUsedIP     string `bun:"last_used_ip"`
	Scopes         string `bun:"scopes"`      // JSON
	AllowedIPs     string `bun:"allowed_ips"` // JSON
}

type setupRow struct {
	bun.BaseModel `bun:"table:setup_links"`

	Hash      string `bun:"hash,pk"`
	CreatedAt int64  `bun:"created_at"`
	ExpiresAt int64  `bun:"expires_at"`
}
