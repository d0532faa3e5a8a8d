-- +goose Up
-- The audit trail of each organisation.
CREATE TABLE audit_chains (
    organisation_id TEXT   NOT NULL PRIMARY KEY,
    seq             BIGINT NOT NULL, -- of the last entry
    hash            TEXT   NOT NULL,
    base_seq        BIGINT NOT NULL, -- of the entry before the first that is still kept; 0 when all are
    base_hash       TEXT   NOT NULL,
    verified_seq    BIGINT NOT NULL,
    verified_at     BIGINT,
    broken_seq      BIGINT,
    broken_why      TEXT   NOT NULL
);

CREATE TABLE audit_entries (
    seq             BIGINT NOT NULL,
    organisation_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    actor_kind      TEXT   NOT NULL,
    actor_id        TEXT   NOT NULL,
    token_id        TEXT   NOT NULL,
    impersonator_id TEXT   NOT NULL,
    action          TEXT   NOT NULL,
    outcome         TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    object_id       TEXT   NOT NULL,
    before_state    TEXT   NOT NULL, -- JSON, '' for nothing
    after_state     TEXT   NOT NULL,
    reason          TEXT   NOT NULL,
    ip              TEXT   NOT NULL,
    user_agent      TEXT   NOT NULL,
    request_id      TEXT   NOT NULL,
    operation       TEXT   NOT NULL,
    prev_hash       TEXT   NOT NULL,
    hash            TEXT   NOT NULL,
    PRIMARY KEY (organisation_id, seq)
);
CREATE UNIQUE INDEX audit_entries_id ON audit_entries (organisation_id, id);
CREATE INDEX audit_entries_at ON audit_entries (organisation_id, at);
CREATE INDEX audit_entries_actor ON audit_entries (organisation_id, actor_id, seq);
CREATE INDEX audit_entries_object ON audit_entries (organisation_id, object_id, seq);
CREATE INDEX audit_entries_action ON audit_entries (organisation_id, action, seq);

CREATE TABLE audit_heads (
    organisation_id TEXT   NOT NULL,
    seq             BIGINT NOT NULL,
    hash            TEXT   NOT NULL,
    day             TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    key_id          TEXT   NOT NULL,
    public_key      TEXT   NOT NULL,
    signature       TEXT   NOT NULL,
    PRIMARY KEY (organisation_id, seq)
);

-- The installation's own log: organisation_id is always 'platform'.
CREATE TABLE platform_chains (
    organisation_id TEXT   NOT NULL PRIMARY KEY,
    seq             BIGINT NOT NULL, -- of the last entry
    hash            TEXT   NOT NULL,
    base_seq        BIGINT NOT NULL, -- of the entry before the first that is still kept; 0 when all are
    base_hash       TEXT   NOT NULL,
    verified_seq    BIGINT NOT NULL,
    verified_at     BIGINT,
    broken_seq      BIGINT,
    broken_why      TEXT   NOT NULL
);

CREATE TABLE platform_log (
    seq             BIGINT NOT NULL,
    organisation_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    actor_kind      TEXT   NOT NULL,
    actor_id        TEXT   NOT NULL,
    token_id        TEXT   NOT NULL,
    impersonator_id TEXT   NOT NULL,
    action          TEXT   NOT NULL,
    outcome         TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    object_id       TEXT   NOT NULL,
    before_state    TEXT   NOT NULL, -- JSON, '' for nothing
    after_state     TEXT   NOT NULL,
    reason          TEXT   NOT NULL,
    ip              TEXT   NOT NULL,
    user_agent      TEXT   NOT NULL,
    request_id      TEXT   NOT NULL,
    operation       TEXT   NOT NULL,
    prev_hash       TEXT   NOT NULL,
    hash            TEXT   NOT NULL,
    PRIMARY KEY (organisation_id, seq)
);
CREATE UNIQUE INDEX platform_log_id ON platform_log (organisation_id, id);
CREATE INDEX platform_log_at ON platform_log (organisation_id, at);
CREATE INDEX platform_log_actor ON platform_log (organisation_id, actor_id, seq);
CREATE INDEX platform_log_object ON platform_log (organisation_id, object_id, seq);
CREATE INDEX platform_log_action ON platform_log (organisation_id, action, seq);

CREATE TABLE platform_heads (
    organisation_id TEXT   NOT NULL,
    seq             BIGINT NOT NULL,
    hash            TEXT   NOT NULL,
    day             TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    key_id          TEXT   NOT NULL,
    public_key      TEXT   NOT NULL,
    signature       TEXT   NOT NULL,
    PRIMARY KEY (organisation_id, seq)
);
