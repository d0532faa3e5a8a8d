-- +goose Up
-- An identity provider made a member of an account that somebody had already: what opens the account proves nothing to this organisation.
ALTER TABLE memberships ADD COLUMN provider_only BOOLEAN NOT NULL DEFAULT FALSE;
