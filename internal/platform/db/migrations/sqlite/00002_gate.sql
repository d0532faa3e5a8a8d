-- +goose Up
-- Where an organisation is not, or may not be written to for a moment: see gate.go. No row: it is here.
CREATE TABLE org_gate (
    organisation_id TEXT   NOT NULL PRIMARY KEY,
    state           TEXT   NOT NULL, -- closed, gone
    until           BIGINT NOT NULL  -- closed only: Unix ms
);

-- What changed while an organisation is being moved, written by triggers that last as long as the move.
CREATE TABLE org_changes (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    organisation_id TEXT NOT NULL,
    tbl             TEXT NOT NULL,
    pk              TEXT NOT NULL -- JSON array
);
CREATE INDEX org_changes_organisation ON org_changes (organisation_id, seq);
