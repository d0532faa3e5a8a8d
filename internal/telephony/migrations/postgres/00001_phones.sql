-- +goose Up
CREATE TABLE phones (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    username        TEXT NOT NULL,
    display_name    TEXT NOT NULL DEFAULT '',
    secret          BYTEA NOT NULL, -- sealed: digests of the password for MD5 and SHA-256
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
-- A SIP request names no organisation, so the name is unique on the whole server.
CREATE UNIQUE INDEX phones_username ON phones (username);
CREATE INDEX phones_organisation ON phones (organisation_id, id);
SELECT parley_tenant_table('phones');

CREATE TABLE phone_contacts (
    organisation_id TEXT NOT NULL,
    username        TEXT NOT NULL,
    position        BIGINT NOT NULL,
    contact         TEXT NOT NULL, -- JSON
    expires_at      BIGINT NOT NULL,
    PRIMARY KEY (username, position)
);
CREATE INDEX phone_contacts_organisation ON phone_contacts (organisation_id, username);
SELECT parley_tenant_table('phone_contacts');

-- +goose Down
DROP TABLE phone_contacts;
DROP TABLE phones;
