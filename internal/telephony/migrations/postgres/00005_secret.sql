-- +goose Up
-- Who set the password and when, and when it was used; 0 and '': it is not known.
ALTER TABLE phones ADD COLUMN secret_by TEXT NOT NULL DEFAULT '';
ALTER TABLE phones ADD COLUMN secret_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE phones ADD COLUMN secret_used_at BIGINT NOT NULL DEFAULT 0;
