-- +goose Up
-- Who set the secret and when; '' and 0: it is not known.
ALTER TABLE sso_connections ADD COLUMN secret_by TEXT NOT NULL DEFAULT '';
ALTER TABLE sso_connections ADD COLUMN secret_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE scim_tokens ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
