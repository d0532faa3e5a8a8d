-- +goose Up
-- How long an organisation keeps what; NULL is for ever.
CREATE TABLE retention_settings (
    organisation_id TEXT   NOT NULL PRIMARY KEY,
    recording_days  BIGINT,
    transcript_days BIGINT,
    event_log_days  BIGINT,
    call_days       BIGINT,
    audit_days      BIGINT,
    updated_at      BIGINT NOT NULL,
    last_run_at     BIGINT,
    last_run        TEXT   NOT NULL -- JSON: what the last run deleted
);

CREATE TABLE legal_holds (
    organisation_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    scope           TEXT   NOT NULL, -- organisation, call, person
    subject         TEXT   NOT NULL, -- a call's id, a number, an e-mail address
    reason          TEXT   NOT NULL,
    created_by      TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    released_at     BIGINT,
    released_by     TEXT   NOT NULL,
    release_reason  TEXT   NOT NULL,
    PRIMARY KEY (organisation_id, id)
);

CREATE TABLE erasures (
    organisation_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    subject         TEXT   NOT NULL, -- '' once it is done
    reason          TEXT   NOT NULL,
    requested_by    TEXT   NOT NULL,
    requested_at    BIGINT NOT NULL,
    state           TEXT   NOT NULL, -- waiting, done
    counts          TEXT   NOT NULL, -- JSON: what earlier tries have erased
    done_at         BIGINT,
    certificate     TEXT   NOT NULL, -- JSON, as it is signed
    key_id          TEXT   NOT NULL,
    public_key      TEXT   NOT NULL,
    signature       TEXT   NOT NULL,
    PRIMARY KEY (organisation_id, id)
);

CREATE TABLE consents (
    organisation_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    subject         TEXT   NOT NULL, -- normalised number or e-mail address
    scope           TEXT   NOT NULL,
    source          TEXT   NOT NULL,
    proof           TEXT   NOT NULL,
    given_at        BIGINT NOT NULL,
    expires_at      BIGINT,
    revoked_at      BIGINT,
    created_by      TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
);
CREATE INDEX consents_subject ON consents (organisation_id, subject, scope);

SELECT parley_tenant_table('retention_settings');
SELECT parley_tenant_table('legal_holds');
SELECT parley_tenant_table('erasures');
SELECT parley_tenant_table('consents');
