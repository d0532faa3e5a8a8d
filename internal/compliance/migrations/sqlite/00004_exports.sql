-- +goose Up
-- Files of the whole organisation that its owners asked for.
CREATE TABLE organisation_exports (
    organisation_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    state           TEXT   NOT NULL, -- waiting, running, ready, failed, removed
    passphrase      BLOB,           -- sealed; NULL once the file is made
    stage           TEXT   NOT NULL,
    bytes           BIGINT NOT NULL,
    error           TEXT   NOT NULL,
    summary         TEXT   NOT NULL, -- JSON
    requested_by    TEXT   NOT NULL,
    requested_at    BIGINT NOT NULL,
    seen_at         BIGINT NOT NULL, -- whoever works on it says so now and then
    done_at         BIGINT,
    expires_at      BIGINT,
    downloads       BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
);
CREATE INDEX organisation_exports_expires ON organisation_exports (state, expires_at);
