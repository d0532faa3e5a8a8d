-- +goose Up
-- Lists of numbers that are not called. Each organisation has one of its own, where opt-outs go.
CREATE TABLE do_not_call_lists (
    id              TEXT    NOT NULL PRIMARY KEY,
    organisation_id TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    description     TEXT    NOT NULL,
    scope           TEXT    NOT NULL, -- organisation: asked before every call; campaign: by campaigns that name it
    own             BOOLEAN NOT NULL, -- where opt-outs go
    version         BIGINT  NOT NULL, -- grows with each change of its numbers
    numbers         BIGINT  NOT NULL, -- how many
    created_by      TEXT    NOT NULL,
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL
);
SELECT parley_tenant_table('do_not_call_lists');
CREATE UNIQUE INDEX do_not_call_lists_name ON do_not_call_lists (organisation_id, name);
CREATE UNIQUE INDEX do_not_call_lists_own ON do_not_call_lists (organisation_id) WHERE own;

CREATE TABLE do_not_call_numbers (
    organisation_id TEXT   NOT NULL,
    list_id         TEXT   NOT NULL,
    number          TEXT   NOT NULL, -- E.164
    source          TEXT   NOT NULL, -- voice, key, api, import, person
    reason          TEXT   NOT NULL,
    call_id         TEXT   NOT NULL, -- '': of no call
    added_by        TEXT   NOT NULL,
    added_at        BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, number, list_id)
);
SELECT parley_tenant_table('do_not_call_numbers');
CREATE INDEX do_not_call_numbers_by_list ON do_not_call_numbers (organisation_id, list_id, number);

-- What was taken off a list, and why: it answers for calls that came after.
CREATE TABLE do_not_call_removals (
    id              TEXT   NOT NULL PRIMARY KEY,
    organisation_id TEXT   NOT NULL,
    list_id         TEXT   NOT NULL,
    number          TEXT   NOT NULL,
    source          TEXT   NOT NULL,
    added_at        BIGINT NOT NULL,
    reason          TEXT   NOT NULL,
    removed_by      TEXT   NOT NULL,
    removed_at      BIGINT NOT NULL
);
SELECT parley_tenant_table('do_not_call_removals');
CREATE INDEX do_not_call_removals_by_number ON do_not_call_removals (organisation_id, number, id);

-- Public registers, each version a file among the blobs. One version of a name is asked; the one before is kept beside it.
CREATE TABLE do_not_call_registers (
    id              TEXT    NOT NULL PRIMARY KEY,
    organisation_id TEXT    NOT NULL,
    name            TEXT    NOT NULL, -- as packs of rules name it
    digest          TEXT    NOT NULL,
    numbers         BIGINT  NOT NULL,
    bytes           BIGINT  NOT NULL,
    as_of           BIGINT  NOT NULL, -- when its publisher made it
    asked           BOOLEAN NOT NULL,
    stored          BOOLEAN NOT NULL, -- its file is still there
    imported_by     TEXT    NOT NULL,
    imported_at     BIGINT  NOT NULL,
    replaced_at     BIGINT  NOT NULL  -- 0: it was not
);
SELECT parley_tenant_table('do_not_call_registers');
CREATE UNIQUE INDEX do_not_call_registers_asked ON do_not_call_registers (organisation_id, name) WHERE asked;
CREATE INDEX do_not_call_registers_by_name ON do_not_call_registers (organisation_id, name, id);

-- Decisions of a campaign are a chain: each one's hash covers the one before. The number is in it as a commitment, a hash with
-- a salt of its own: with the number and the salt gone it names nobody, and the chain still holds.
DROP TABLE campaign_decisions;
CREATE TABLE campaign_decisions (
    id              TEXT    NOT NULL,
    organisation_id TEXT    NOT NULL,
    campaign_id     TEXT    NOT NULL,
    seq             BIGINT  NOT NULL, -- in the campaign's chain, from 1
    lead_id         TEXT    NOT NULL,
    number          TEXT    NOT NULL, -- '': it was erased
    salt            TEXT    NOT NULL, -- '': it was erased
    commitment      TEXT    NOT NULL,
    at              BIGINT  NOT NULL,
    allowed         BOOLEAN NOT NULL,
    rule            TEXT    NOT NULL, -- the first that did not pass
    body            TEXT    NOT NULL, -- JSON: rules with their versions, the local time, consent, lists, pacing
    hash            TEXT    NOT NULL,
    PRIMARY KEY (organisation_id, id)
);
SELECT parley_tenant_table('campaign_decisions');
CREATE UNIQUE INDEX campaign_decisions_chain ON campaign_decisions (organisation_id, campaign_id, seq);
CREATE INDEX campaign_decisions_by_lead ON campaign_decisions (organisation_id, lead_id, at, id);
CREATE INDEX campaign_decisions_by_number ON campaign_decisions (organisation_id, number, at, id);
CREATE INDEX campaign_decisions_by_time ON campaign_decisions (organisation_id, at, id);

CREATE TABLE decision_chains (
    organisation_id TEXT   NOT NULL,
    campaign_id     TEXT   NOT NULL, -- it may be gone
    name            TEXT   NOT NULL, -- the campaign's, when the last decision was made
    seq             BIGINT NOT NULL, -- of the last decision
    hash            TEXT   NOT NULL,
    base_seq        BIGINT NOT NULL, -- of the decision before the first that is still kept; 0 when all are
    base_hash       TEXT   NOT NULL,
    verified_seq    BIGINT NOT NULL,
    verified_at     BIGINT NOT NULL, -- 0: not yet
    broken_seq      BIGINT NOT NULL, -- 0: it is not
    broken_why      TEXT   NOT NULL,
    PRIMARY KEY (organisation_id, campaign_id)
);
SELECT parley_tenant_table('decision_chains');

CREATE TABLE decision_heads (
    organisation_id TEXT   NOT NULL,
    campaign_id     TEXT   NOT NULL,
    seq             BIGINT NOT NULL,
    hash            TEXT   NOT NULL,
    day             TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    key_id          TEXT   NOT NULL,
    public_key      TEXT   NOT NULL,
    signature       TEXT   NOT NULL,
    PRIMARY KEY (organisation_id, campaign_id, seq)
);
SELECT parley_tenant_table('decision_heads');

-- +goose Down
DROP TABLE decision_heads;
DROP TABLE decision_chains;
DROP TABLE do_not_call_registers;
DROP TABLE do_not_call_removals;
DROP TABLE do_not_call_numbers;
DROP TABLE do_not_call_lists;
