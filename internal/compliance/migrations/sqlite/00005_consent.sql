-- +goose Up
-- What of calling a consent allows: channels and purposes, words with spaces between them. No channel: it is for no calls.
ALTER TABLE consents ADD COLUMN channels TEXT NOT NULL DEFAULT '';
ALTER TABLE consents ADD COLUMN purposes TEXT NOT NULL DEFAULT ''; -- '': any
-- How long decisions of campaigns are kept; NULL is for ever.
ALTER TABLE retention_settings ADD COLUMN decision_days BIGINT;

-- +goose Down
ALTER TABLE retention_settings DROP COLUMN decision_days;
ALTER TABLE consents DROP COLUMN purposes;
ALTER TABLE consents DROP COLUMN channels;
