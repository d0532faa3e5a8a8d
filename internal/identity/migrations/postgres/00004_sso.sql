-- +goose Up
CREATE TABLE sso_policies (
    organisation_id TEXT PRIMARY KEY REFERENCES organisations (id) ON DELETE CASCADE,
    sso_only        BOOLEAN NOT NULL,
    updated_at      BIGINT NOT NULL
);
SELECT parley_tenant_table('sso_policies');

CREATE TABLE sso_connections (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    protocol        TEXT NOT NULL, -- oidc, saml
    enabled         BOOLEAN NOT NULL,
    settings        TEXT NOT NULL, -- JSON
    secret          BYTEA, -- sealed: the client's secret, or the service provider's private key; NULL: none
    version         BIGINT NOT NULL, -- raised by every change
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    UNIQUE (organisation_id, name)
);
SELECT parley_tenant_table('sso_connections');

CREATE TABLE sso_domains (
    organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    connection_id   TEXT NOT NULL REFERENCES sso_connections (id) ON DELETE CASCADE,
    domain          TEXT NOT NULL, -- lower case, IDNA's ASCII form
    token           TEXT NOT NULL, -- what the DNS record must hold
    created_at      BIGINT NOT NULL,
    verified_at     BIGINT, -- NULL: captures nobody
    PRIMARY KEY (organisation_id, domain)
);
SELECT parley_tenant_table('sso_domains');
-- A domain signs in at one place only, in the whole installation.
CREATE UNIQUE INDEX sso_domains_verified ON sso_domains (domain) WHERE verified_at IS NOT NULL;
CREATE INDEX sso_domains_connection ON sso_domains (connection_id);

-- Who a person is at an identity provider.
CREATE TABLE sso_links (
    organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    connection_id   TEXT NOT NULL REFERENCES sso_connections (id) ON DELETE CASCADE,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    subject         TEXT NOT NULL, -- OpenID Connect's sub, SAML's persistent NameID
    created_at      BIGINT NOT NULL,
    last_used_at    BIGINT NOT NULL,
    PRIMARY KEY (connection_id, subject),
    UNIQUE (connection_id, user_id)
);
SELECT parley_tenant_table('sso_links');
CREATE INDEX sso_links_user ON sso_links (user_id);

-- A trial of a connection, and what came of it.
CREATE TABLE sso_tests (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    connection_id   TEXT NOT NULL REFERENCES sso_connections (id) ON DELETE CASCADE,
    hash            TEXT NOT NULL UNIQUE, -- SHA-256 of the link's token
    result          TEXT, -- JSON; NULL: not finished
    started_at      BIGINT, -- the link works once
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL
);
SELECT parley_tenant_table('sso_tests');
CREATE INDEX sso_tests_expires ON sso_tests (expires_at);

-- A sign-in under way at an identity provider.
CREATE TABLE sso_flows (
    hash            TEXT PRIMARY KEY, -- SHA-256 of state or RelayState
    organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    connection_id   TEXT NOT NULL REFERENCES sso_connections (id) ON DELETE CASCADE,
    test_id         TEXT REFERENCES sso_tests (id) ON DELETE CASCADE, -- NULL: it signs in
    browser         TEXT NOT NULL, -- SHA-256 of the cookie of the browser that began it
    sealed          BYTEA NOT NULL, -- nonce, PKCE verifier, request id; then what the provider said
    return_to       TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL
);
SELECT parley_tenant_table('sso_flows');
CREATE INDEX sso_flows_expires ON sso_flows (expires_at);

-- Assertions that were taken: none counts twice.
CREATE TABLE sso_replays (
    hash       TEXT PRIMARY KEY, -- SHA-256 of connection and assertion id
    expires_at BIGINT NOT NULL
);
SELECT parley_system_table('sso_replays');
CREATE INDEX sso_replays_expires ON sso_replays (expires_at);

CREATE TABLE scim_tokens (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    connection_id   TEXT NOT NULL REFERENCES sso_connections (id) ON DELETE CASCADE,
    hash            TEXT NOT NULL UNIQUE, -- SHA-256 of the token
    created_at      BIGINT NOT NULL,
    last_used_at    BIGINT
);
SELECT parley_tenant_table('scim_tokens');
CREATE INDEX scim_tokens_connection ON scim_tokens (connection_id);

-- A person as the identity provider describes them.
CREATE TABLE scim_users (
    organisation_id TEXT NOT NULL,
    connection_id   TEXT NOT NULL REFERENCES sso_connections (id) ON DELETE CASCADE,
    user_id         TEXT NOT NULL,
    external_id     TEXT, -- NULL: none
    user_name       TEXT NOT NULL, -- lower case
    resource        TEXT NOT NULL, -- JSON
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, user_id),
    UNIQUE (organisation_id, user_name),
    UNIQUE (connection_id, external_id),
    FOREIGN KEY (organisation_id, user_id) REFERENCES memberships (organisation_id, user_id) ON DELETE CASCADE
);
SELECT parley_tenant_table('scim_users');

-- A group of the identity provider: a team here, and by its name perhaps a role.
CREATE TABLE scim_groups (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    connection_id   TEXT NOT NULL REFERENCES sso_connections (id) ON DELETE CASCADE,
    team_id         TEXT NOT NULL,
    external_id     TEXT, -- NULL: none
    display_name    TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    UNIQUE (organisation_id, team_id),
    UNIQUE (connection_id, external_id),
    FOREIGN KEY (organisation_id, team_id) REFERENCES teams (organisation_id, id) ON DELETE CASCADE
);
SELECT parley_tenant_table('scim_groups');
CREATE INDEX scim_groups_connection ON scim_groups (connection_id, display_name);
