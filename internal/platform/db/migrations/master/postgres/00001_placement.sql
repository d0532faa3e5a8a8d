-- +goose Up
-- Where organisations' data is. No row: in the shared database.
CREATE TABLE placements (
    organisation_id TEXT   NOT NULL PRIMARY KEY,
    placement       TEXT   NOT NULL, -- shared, own
    region          TEXT   NOT NULL,
    dbname          TEXT   NOT NULL, -- of an own database: its name, or its file's
    state           TEXT   NOT NULL, -- making, active
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
SELECT parley_tenant_table('placements');

-- Moves that are under way or failed; see move.go for the states.
CREATE TABLE org_moves (
    organisation_id TEXT   NOT NULL PRIMARY KEY,
    placement       TEXT   NOT NULL,
    region          TEXT   NOT NULL,
    dbname          TEXT   NOT NULL,
    state           TEXT   NOT NULL,
    detail          TEXT   NOT NULL, -- JSON
    started_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
SELECT parley_tenant_table('org_moves');

-- Names that outsiders use without naming an organisation, such as a phone's: whose they are.
CREATE TABLE org_names (
    kind            TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    organisation_id TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (kind, name, organisation_id)
);
CREATE INDEX org_names_organisation ON org_names (organisation_id);
SELECT parley_tenant_table('org_names');
