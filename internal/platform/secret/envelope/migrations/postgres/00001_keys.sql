-- +goose Up
-- Data keys, wrapped. What they seal names organisation and key.
CREATE TABLE data_keys (
    organisation_id TEXT   NOT NULL, -- or 'installation'
    key_id          TEXT   NOT NULL, -- 16 bytes in hex
    version         BIGINT NOT NULL,
    state           TEXT   NOT NULL, -- active: seals; old: opens; retired: nothing uses it any more
    wrapper_id      TEXT   NOT NULL, -- what it is wrapped by
    wrapped         BYTEA  NOT NULL,
    fingerprint     TEXT   NOT NULL, -- tells keys apart; not the key
    created_at      BIGINT NOT NULL,
    changed_at      BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, key_id),
    UNIQUE (organisation_id, version)
);
CREATE UNIQUE INDEX data_keys_active ON data_keys (organisation_id) WHERE state = 'active';

-- Organisations whose data keys were destroyed: what was destroyed, and that none is made again.
CREATE TABLE data_key_tombstones (
    organisation_id TEXT   NOT NULL PRIMARY KEY,
    shredded_at     BIGINT NOT NULL,
    keys            TEXT   NOT NULL -- JSON
);

-- One row: what wraps new data keys, and how often something changed that processes keep in memory.
CREATE TABLE data_key_state (
    id         BIGINT NOT NULL PRIMARY KEY,
    wrapper_id TEXT   NOT NULL,
    changes    BIGINT NOT NULL,
    adopted    BOOLEAN NOT NULL -- the master key of before is kept, or there was none
);

-- The installation's own secrets that must outlive the key that wraps, sealed under its data key.
CREATE TABLE kept_secrets (
    name       TEXT   NOT NULL PRIMARY KEY,
    sealed     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL
);
SELECT parley_system_table('data_keys');
SELECT parley_system_table('data_key_tombstones');
SELECT parley_system_table('data_key_state');
SELECT parley_system_table('kept_secrets');
