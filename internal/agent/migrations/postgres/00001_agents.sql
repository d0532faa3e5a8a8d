-- +goose Up
CREATE TABLE agents (
    id                TEXT PRIMARY KEY,
    organisation_id   TEXT NOT NULL,
    slug              TEXT NOT NULL,
    name              TEXT NOT NULL,
    kind              TEXT NOT NULL,
    published_version BIGINT,
    latest_version    BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL
);
CREATE UNIQUE INDEX agents_slug ON agents (organisation_id, slug);
CREATE INDEX agents_by_slug ON agents (slug);
CREATE INDEX agents_page ON agents (organisation_id, id);
SELECT parley_tenant_table('agents');

CREATE TABLE agent_versions (
    organisation_id TEXT NOT NULL,
    agent_id        TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    number          BIGINT NOT NULL,
    id              TEXT NOT NULL,
    definition      TEXT NOT NULL, -- JSON
    note            TEXT NOT NULL DEFAULT '',
    created_by      TEXT NOT NULL DEFAULT '',
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (agent_id, number)
);
SELECT parley_tenant_table('agent_versions');

CREATE TABLE models (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    name            TEXT NOT NULL,
    vendor          TEXT NOT NULL,
    settings        TEXT NOT NULL, -- JSON: base URLs, default models
    keys            BYTEA,          -- sealed JSON: a key for each service
    status_ok       BOOLEAN NOT NULL DEFAULT FALSE,
    status_message  TEXT NOT NULL DEFAULT '',
    checked_at      BIGINT,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
CREATE UNIQUE INDEX models_name ON models (organisation_id, name);
SELECT parley_tenant_table('models');

CREATE TABLE appointments (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    agent_id        TEXT NOT NULL,
    call_id         TEXT NOT NULL DEFAULT '',
    code            TEXT NOT NULL,
    name            TEXT NOT NULL DEFAULT '',
    phone           TEXT NOT NULL DEFAULT '',
    start_at        BIGINT NOT NULL,
    minutes         BIGINT NOT NULL,
    status          TEXT NOT NULL, -- booked, moved, cancelled
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
-- Two callers may agree on one slot at the same moment: the index lets one have it.
CREATE UNIQUE INDEX appointments_slot ON appointments (organisation_id, agent_id, start_at) WHERE status <> 'cancelled';
CREATE INDEX appointments_phone ON appointments (organisation_id, agent_id, phone, start_at);
CREATE INDEX appointments_code ON appointments (organisation_id, agent_id, code, start_at);
SELECT parley_tenant_table('appointments');

-- +goose Down
DROP TABLE appointments;
DROP TABLE models;
DROP TABLE agent_versions;
DROP TABLE agents;
