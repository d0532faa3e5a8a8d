-- +goose Up
CREATE TABLE outbox (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT   NOT NULL UNIQUE,
    organisation_id TEXT   NOT NULL,
    type            TEXT   NOT NULL,
    key             TEXT   NOT NULL,
    data            TEXT   NOT NULL,
    created_at      BIGINT NOT NULL
);
