-- +goose Up
-- A session keeps its id while its secret changes.
ALTER TABLE sessions ADD COLUMN hash TEXT NOT NULL DEFAULT ''; -- SHA-256 of the cookie
ALTER TABLE sessions ADD COLUMN previous_hash TEXT NOT NULL DEFAULT ''; -- of the cookie before, for requests under way
ALTER TABLE sessions ADD COLUMN previous_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN rotated_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN ip TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN user_agent TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN method TEXT NOT NULL DEFAULT 'password'; -- password, passkey, oidc, saml, setup, invitation
ALTER TABLE sessions ADD COLUMN verified_at BIGINT NOT NULL DEFAULT 0; -- when the person last proved who they are
ALTER TABLE sessions ADD COLUMN second_factor_at BIGINT; -- NULL: signed in with one factor
ALTER TABLE sessions ADD COLUMN sso_organisation_id TEXT NOT NULL DEFAULT ''; -- whose identity provider answered for the person
UPDATE sessions SET hash = id, verified_at = created_at;
CREATE UNIQUE INDEX sessions_hash ON sessions (hash);
CREATE INDEX sessions_previous_hash ON sessions (previous_hash);
CREATE INDEX sessions_user ON sessions (user_id);

ALTER TABLE organisations ADD COLUMN mfa_required BOOLEAN NOT NULL DEFAULT FALSE;

ALTER TABLE users ADD COLUMN password_changed_at BIGINT; -- NULL: when the account was made

ALTER TABLE api_tokens ADD COLUMN scopes TEXT NOT NULL DEFAULT '[]'; -- JSON: patterns; none: all that its person may do
ALTER TABLE api_tokens ADD COLUMN allowed_ips TEXT NOT NULL DEFAULT '[]'; -- JSON: networks; none: from everywhere
ALTER TABLE api_tokens ADD COLUMN last_used_ip TEXT NOT NULL DEFAULT '';

CREATE TABLE totp_factors (
    user_id      TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret       BLOB NOT NULL, -- sealed
    created_at   BIGINT NOT NULL,
    last_step    BIGINT NOT NULL, -- of the last code taken: no code counts twice (RFC 6238 section 5.2)
    last_used_at BIGINT
);

CREATE TABLE recovery_codes (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash       TEXT NOT NULL, -- SHA-256 of the user's id and the code
    created_at BIGINT NOT NULL,
    used_at    BIGINT,
    PRIMARY KEY (user_id, hash)
);

CREATE TABLE passkeys (
    id            TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id TEXT NOT NULL UNIQUE, -- base64url
    name          TEXT NOT NULL,
    credential    TEXT NOT NULL, -- JSON: public key, counter, flags
    created_at    BIGINT NOT NULL,
    last_used_at  BIGINT
);
CREATE INDEX passkeys_user ON passkeys (user_id);

-- What was begun and waits for its second step.
CREATE TABLE auth_challenges (
    hash       TEXT PRIMARY KEY, -- SHA-256 of the challenge
    kind       TEXT NOT NULL,
    user_id    TEXT REFERENCES users (id) ON DELETE CASCADE, -- NULL: not known yet
    data       BLOB NOT NULL, -- sealed
    tries      BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX auth_challenges_expires ON auth_challenges (expires_at);
CREATE INDEX auth_challenges_user ON auth_challenges (user_id);

CREATE TABLE password_resets (
    hash       TEXT PRIMARY KEY, -- SHA-256 of the link's token
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX password_resets_user ON password_resets (user_id);

-- Failed attempts at signing in, so that a restart does not forget them.
CREATE TABLE sign_in_attempts (
    key     TEXT PRIMARY KEY, -- SHA-256 of what is counted
    count   BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);
CREATE INDEX sign_in_attempts_last ON sign_in_attempts (last_at);

-- Where a person has signed in from before.
CREATE TABLE known_devices (
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash         TEXT NOT NULL, -- SHA-256 of browser, system and network
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, hash)
);
CREATE INDEX known_devices_used ON known_devices (last_used_at);
