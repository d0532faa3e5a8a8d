-- +goose Up
-- A list of people that was sent in, and what became of it. Its file is among the blobs until the list is read.
CREATE TABLE campaign_imports (
    id              TEXT   NOT NULL PRIMARY KEY,
    organisation_id TEXT   NOT NULL,
    campaign_id     TEXT   NOT NULL,
    name            TEXT   NOT NULL, -- of the file
    state           TEXT   NOT NULL, -- uploaded, waiting, running, done, failed, cancelled, undoing, undone
    format          TEXT   NOT NULL, -- JSON
    header          TEXT   NOT NULL, -- JSON: the columns' names
    mapping         TEXT   NOT NULL, -- JSON
    region          TEXT   NOT NULL,
    required        TEXT   NOT NULL, -- JSON: variables that each lead must have
    skip_elsewhere  BOOLEAN NOT NULL,
    file_key        BLOB,            -- sealed; NULL once the file is gone
    bytes           BIGINT NOT NULL,
    -- How far it is: all of this is written with the leads themselves.
    bytes_read      BIGINT NOT NULL,
    line            BIGINT NOT NULL,
    added           BIGINT NOT NULL,
    rejected        BIGINT NOT NULL,
    duplicates      BIGINT NOT NULL,
    elsewhere       BIGINT NOT NULL, -- in another campaign that goes on
    removed         BIGINT NOT NULL, -- by undoing it
    cursor          TEXT   NOT NULL, -- of undoing it: the last lead that was looked at
    error           TEXT   NOT NULL,
    -- Who reads it. Who takes it over adds one to run: what an older one writes is refused.
    run             BIGINT NOT NULL,
    seen_at         BIGINT NOT NULL, -- 0: nobody reads it now
    created_by      TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    started_at      BIGINT NOT NULL,
    done_at         BIGINT NOT NULL
);
CREATE INDEX campaign_imports_by_campaign ON campaign_imports (organisation_id, campaign_id, id);
CREATE INDEX campaign_imports_open ON campaign_imports (state, seen_at) WHERE state IN ('uploaded', 'waiting', 'running', 'undoing');

-- Rows that could not be read, with the reason.
CREATE TABLE campaign_import_rejects (
    organisation_id TEXT   NOT NULL,
    import_id       TEXT   NOT NULL,
    line            BIGINT NOT NULL,
    reason          TEXT   NOT NULL,
    cells           TEXT   NOT NULL, -- JSON, cut
    PRIMARY KEY (import_id, line)
);
CREATE INDEX campaign_import_rejects_organisation ON campaign_import_rejects (organisation_id, import_id, line);

-- What the columns of a header were mapped to the last time.
CREATE TABLE campaign_import_mappings (
    organisation_id TEXT   NOT NULL,
    header          TEXT   NOT NULL, -- SHA-256 of the columns' names
    mapping         TEXT   NOT NULL, -- JSON
    used_at         BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, header)
);

-- What tells whoever is told of a campaign's end that it is us. One for each organisation.
CREATE TABLE campaign_webhook_secrets (
    id              TEXT   NOT NULL PRIMARY KEY,
    organisation_id TEXT   NOT NULL,
    secret          BLOB NOT NULL, -- sealed
    set_by          TEXT   NOT NULL,
    set_at          BIGINT NOT NULL
);
CREATE UNIQUE INDEX campaign_webhook_secrets_one ON campaign_webhook_secrets (organisation_id);

-- That a campaign is over, and whether it was told.
CREATE TABLE campaign_notices (
    id              TEXT   NOT NULL PRIMARY KEY, -- of the message
    organisation_id TEXT   NOT NULL,
    campaign_id     TEXT   NOT NULL,
    url             TEXT   NOT NULL,
    state           TEXT   NOT NULL, -- waiting, delivered, failed
    attempts        BIGINT NOT NULL,
    status          BIGINT NOT NULL, -- of HTTP; 0: no answer
    error           TEXT   NOT NULL,
    body            TEXT   NOT NULL, -- the raw bytes that are signed
    created_at      BIGINT NOT NULL,
    tried_at        BIGINT NOT NULL
);
CREATE INDEX campaign_notices_by_campaign ON campaign_notices (organisation_id, campaign_id, id);

-- Leads in the order of their list.
CREATE INDEX campaign_leads_by_campaign ON campaign_leads (organisation_id, campaign_id, id);

-- +goose Down
DROP INDEX campaign_leads_by_campaign;
DROP TABLE campaign_notices;
DROP TABLE campaign_webhook_secrets;
DROP TABLE campaign_import_mappings;
DROP TABLE campaign_import_rejects;
DROP TABLE campaign_imports;
