-- +goose Up
CREATE TABLE trunks (
    id               TEXT PRIMARY KEY,
    organisation_id  TEXT NOT NULL,
    name             TEXT NOT NULL,
    address          TEXT NOT NULL, -- host or host:port
    transport        TEXT NOT NULL, -- udp, tcp, tls
    proxy            TEXT NOT NULL DEFAULT '', -- host or host:port that messages go through
    username         TEXT NOT NULL DEFAULT '',
    secret           BLOB, -- sealed: the password; NULL: none
    domain           TEXT NOT NULL DEFAULT '', -- host of From; '': our own
    number_format    TEXT NOT NULL, -- e164, digits
    prefix           TEXT NOT NULL DEFAULT '', -- dialled before every number
    assert_identity  BOOLEAN NOT NULL DEFAULT FALSE,
    max_lines        BIGINT NOT NULL, -- calls at once
    per_second       BIGINT NOT NULL, -- calls begun
    encrypted_only   BOOLEAN NOT NULL DEFAULT FALSE,
    enabled          BOOLEAN NOT NULL DEFAULT TRUE,
    secret_by        TEXT NOT NULL DEFAULT '',
    secret_at        BIGINT NOT NULL DEFAULT 0,
    secret_used_at   BIGINT NOT NULL DEFAULT 0,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL
);
CREATE INDEX trunks_organisation ON trunks (organisation_id, id);

CREATE TABLE caller_numbers (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    number          TEXT NOT NULL, -- E.164
    display_name    TEXT NOT NULL DEFAULT '',
    trunk_id        TEXT NOT NULL DEFAULT '', -- '': any trunk takes it
    country         TEXT NOT NULL DEFAULT '', -- where the number was given out
    region          TEXT NOT NULL DEFAULT '',
    area            TEXT NOT NULL DEFAULT '',
    enabled         BOOLEAN NOT NULL DEFAULT TRUE,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
CREATE UNIQUE INDEX caller_numbers_number ON caller_numbers (organisation_id, number);
CREATE INDEX caller_numbers_organisation ON caller_numbers (organisation_id, id);
CREATE INDEX caller_numbers_trunk ON caller_numbers (organisation_id, trunk_id);

-- +goose Down
DROP TABLE caller_numbers;
DROP TABLE trunks;
