-- +goose Up
CREATE TABLE plans (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    limits     TEXT NOT NULL, -- JSON; what it leaves out has no limit
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

ALTER TABLE organisations ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'UTC';
ALTER TABLE organisations ADD COLUMN session_idle_minutes BIGINT; -- NULL: the installation's
ALTER TABLE organisations ADD COLUMN plan_id TEXT REFERENCES plans (id); -- NULL: none, so no limits but its own
ALTER TABLE organisations ADD COLUMN limits TEXT NOT NULL DEFAULT '{}'; -- JSON; goes before the plan's
ALTER TABLE organisations ADD COLUMN suspended_at BIGINT;
ALTER TABLE organisations ADD COLUMN suspended_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE organisations ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;

ALTER TABLE users ADD COLUMN super BOOLEAN NOT NULL DEFAULT FALSE;
-- Whoever made the installation administers it.
UPDATE users SET super = TRUE WHERE id IN (SELECT user_id FROM memberships WHERE role = 'owner' ORDER BY created_at, user_id LIMIT 1);

ALTER TABLE memberships ADD COLUMN suspended_at BIGINT;

-- A session in which a super-admin acts as somebody else ends with the one it was begun in.
ALTER TABLE sessions ADD COLUMN impersonator_id TEXT REFERENCES users (id) ON DELETE CASCADE;
ALTER TABLE sessions ADD COLUMN impersonation_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN parent_id TEXT REFERENCES sessions (id) ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE sessions ADD COLUMN ends_at BIGINT; -- whatever the use; NULL: as every session
CREATE INDEX sessions_member ON sessions (organisation_id, user_id);
CREATE INDEX sessions_parent ON sessions (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE roles (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    description     TEXT NOT NULL,
    permissions     TEXT NOT NULL, -- JSON: patterns
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    UNIQUE (organisation_id, name)
);

CREATE TABLE teams (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    description     TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    UNIQUE (organisation_id, name),
    UNIQUE (organisation_id, id)
);

-- The organisation is part of both keys, so that nobody can be in a team of an organisation they do not belong to.
CREATE TABLE team_members (
    organisation_id TEXT NOT NULL,
    team_id         TEXT NOT NULL,
    user_id         TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, team_id, user_id),
    FOREIGN KEY (organisation_id, team_id) REFERENCES teams (organisation_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organisation_id, user_id) REFERENCES memberships (organisation_id, user_id) ON DELETE CASCADE
);
CREATE INDEX team_members_user ON team_members (organisation_id, user_id);

CREATE TABLE projects (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    description     TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    UNIQUE (organisation_id, name)
);

CREATE TABLE invitations (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    email           TEXT NOT NULL, -- lower case
    role            TEXT NOT NULL,
    teams           TEXT NOT NULL, -- JSON: ids
    hash            TEXT NOT NULL UNIQUE, -- SHA-256 of the link's token
    invited_by      TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    sent_at         BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    UNIQUE (organisation_id, email)
);
