-- +goose Up
-- The phone registers, calls and is called by TLS with SRTP only.
ALTER TABLE phones ADD COLUMN encrypted_only BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE phones DROP COLUMN encrypted_only;
