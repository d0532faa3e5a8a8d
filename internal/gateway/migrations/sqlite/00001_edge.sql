-- +goose Up

-- Web sites whose pages may call the API with an organisation's tokens. It is asked for across organisations, before it
-- is known who asks, so it belongs to the installation.
CREATE TABLE allowed_origins (
    organisation_id TEXT NOT NULL,
    origin          TEXT NOT NULL, -- scheme://host[:port], lower case
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, origin)
);
CREATE INDEX allowed_origins_origin ON allowed_origins (origin);

CREATE TABLE idempotency_keys (
    organisation_id TEXT NOT NULL,
    id              TEXT NOT NULL, -- SHA-256 of who, which operation and the key
    fingerprint     TEXT NOT NULL, -- SHA-256 of the request
    status          INTEGER,       -- of the answer; NULL while it is worked on
    answer          BLOB,          -- headers and body, sealed
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);
