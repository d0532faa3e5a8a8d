-- +goose Up
-- What is under way with a whole organisation: it is imported, or erased. Of one that was erased the row stays, with the
-- certificate.
CREATE TABLE org_tasks (
    organisation_id TEXT   NOT NULL PRIMARY KEY,
    kind            TEXT   NOT NULL, -- import, erase
    state           TEXT   NOT NULL, -- running, done
    detail          TEXT   NOT NULL, -- JSON
    started_at      BIGINT NOT NULL,
    seen_at         BIGINT NOT NULL -- whoever works on it says so now and then
);
SELECT parley_tenant_table('org_tasks');
