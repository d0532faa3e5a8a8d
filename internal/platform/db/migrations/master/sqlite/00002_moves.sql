-- +goose Up
-- Who is at a move, and for how long nobody else may be: a process that died lets go of it by that.
ALTER TABLE org_moves ADD COLUMN id TEXT NOT NULL DEFAULT '';
ALTER TABLE org_moves ADD COLUMN holder TEXT NOT NULL DEFAULT '';
ALTER TABLE org_moves ADD COLUMN held_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE org_moves ADD COLUMN cancelled BOOLEAN NOT NULL DEFAULT FALSE; -- it is to be taken back
ALTER TABLE org_moves ADD COLUMN problem TEXT NOT NULL DEFAULT ''; -- of the last try

-- Moves that are over.
CREATE TABLE org_moves_past (
    id              TEXT   NOT NULL PRIMARY KEY,
    organisation_id TEXT   NOT NULL,
    outcome         TEXT   NOT NULL, -- moved, rolled_back
    problem         TEXT   NOT NULL,
    detail          TEXT   NOT NULL, -- JSON
    started_at      BIGINT NOT NULL,
    ended_at        BIGINT NOT NULL
);
CREATE INDEX org_moves_past_organisation ON org_moves_past (organisation_id, id);
