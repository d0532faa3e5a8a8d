-- +goose Up
ALTER TABLE calls ADD COLUMN user_id TEXT NOT NULL DEFAULT ''; -- who placed it, or whose phone it came from; '': nobody of ours
ALTER TABLE calls ADD COLUMN taken_by TEXT NOT NULL DEFAULT ''; -- whose phone it was put through to
CREATE INDEX calls_by_user ON calls (organisation_id, user_id, started_at DESC, id DESC) WHERE user_id <> '';
CREATE INDEX calls_by_taker ON calls (organisation_id, taken_by, started_at DESC, id DESC) WHERE taken_by <> '';
