-- +goose Up
CREATE TABLE campaigns (
    id              TEXT   NOT NULL PRIMARY KEY,
    organisation_id TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    state           TEXT   NOT NULL,
    why             TEXT   NOT NULL, -- why it is in this state, in a sentence
    settings        TEXT   NOT NULL, -- JSON
    project_id      TEXT   NOT NULL,
    created_by      TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    started_at      BIGINT NOT NULL, -- 0: not yet
    ended_at        BIGINT NOT NULL,
    archived_at     BIGINT NOT NULL,
    -- Whose turn it is to dial. Who takes it over adds one to fence: what carries an older one is refused.
    holder          TEXT   NOT NULL,
    fence           BIGINT NOT NULL,
    held_until      BIGINT NOT NULL
);
CREATE INDEX campaigns_by_id ON campaigns (organisation_id, id);
CREATE INDEX campaigns_running ON campaigns (state, held_until) WHERE state IN ('scheduled', 'running', 'paused');
SELECT parley_tenant_table('campaigns');

CREATE TABLE campaign_leads (
    id              TEXT   NOT NULL PRIMARY KEY,
    organisation_id TEXT   NOT NULL,
    campaign_id     TEXT   NOT NULL,
    import_id       TEXT   NOT NULL, -- '': added one by one
    line            BIGINT NOT NULL, -- of the file
    number          TEXT   NOT NULL, -- E.164
    name            TEXT   NOT NULL,
    country         TEXT   NOT NULL,
    region          TEXT   NOT NULL,
    zone            TEXT   NOT NULL,
    variables       TEXT   NOT NULL, -- JSON
    state           TEXT   NOT NULL,
    outcome         TEXT   NOT NULL, -- of the last attempt
    disposition     TEXT   NOT NULL, -- what the agent or the outcome mapping made of it
    attempts        BIGINT NOT NULL,
    why             TEXT   NOT NULL,
    urgency         BIGINT NOT NULL, -- 0: asked for a call; 1: tried before; 2: new
    due_at          BIGINT,          -- NULL: not to be called
    updated_at      BIGINT NOT NULL
);
-- Whose time has come, in order; who is not to be called is not in it.
CREATE INDEX campaign_leads_due ON campaign_leads (organisation_id, campaign_id, urgency, due_at, id) WHERE due_at IS NOT NULL;
-- A number is in a campaign once; across campaigns it is found.
CREATE UNIQUE INDEX campaign_leads_number ON campaign_leads (organisation_id, number, campaign_id);
SELECT parley_tenant_table('campaign_leads');

-- An attempt is written before the call is placed: its id is the call's. Nobody calls without one.
CREATE TABLE campaign_attempts (
    id              TEXT   NOT NULL PRIMARY KEY,
    organisation_id TEXT   NOT NULL,
    campaign_id     TEXT   NOT NULL,
    lead_id         TEXT   NOT NULL,
    position        BIGINT NOT NULL, -- of the lead's attempts, from 1
    number          TEXT   NOT NULL,
    zone            TEXT   NOT NULL, -- the clock that the callee may look at
    fence           BIGINT NOT NULL, -- of the campaign, when it was planned
    decision_id     TEXT   NOT NULL,
    planned_at      BIGINT NOT NULL,
    answered_at     BIGINT NOT NULL, -- 0: not
    ended_at        BIGINT,          -- NULL: it is open
    outcome         TEXT   NOT NULL,
    disposition     TEXT   NOT NULL,
    callback_at     BIGINT NOT NULL, -- when the person asked to be called; 0: they did not
    reason          TEXT   NOT NULL, -- as the call's record says
    status          BIGINT NOT NULL, -- of SIP; 0: none
    talk_ms         BIGINT NOT NULL,
    cost            BIGINT NOT NULL, -- millionths of the campaign's currency
    trunk_id        TEXT   NOT NULL,
    caller          TEXT   NOT NULL, -- the number shown
    UNIQUE (lead_id, position)
);
CREATE INDEX campaign_attempts_by_lead ON campaign_attempts (organisation_id, lead_id, position);
CREATE INDEX campaign_attempts_by_number ON campaign_attempts (organisation_id, number, planned_at);
CREATE INDEX campaign_attempts_by_time ON campaign_attempts (organisation_id, campaign_id, planned_at, id);
-- One call to a number at a time, whatever campaigns it is in.
CREATE UNIQUE INDEX campaign_attempts_open ON campaign_attempts (organisation_id, number) WHERE ended_at IS NULL;
CREATE INDEX campaign_attempts_running ON campaign_attempts (organisation_id, campaign_id, planned_at) WHERE ended_at IS NULL;
SELECT parley_tenant_table('campaign_attempts');

-- Why a number was called, or was not.
CREATE TABLE campaign_decisions (
    id              TEXT   NOT NULL PRIMARY KEY,
    organisation_id TEXT   NOT NULL,
    campaign_id     TEXT   NOT NULL,
    lead_id         TEXT   NOT NULL,
    number          TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    allowed         BOOLEAN NOT NULL,
    rule            TEXT   NOT NULL, -- the first that did not pass
    body            TEXT   NOT NULL  -- JSON: every rule with its version, the local time, consent, lists, pacing
);
CREATE INDEX campaign_decisions_by_lead ON campaign_decisions (organisation_id, lead_id, at, id);
CREATE INDEX campaign_decisions_by_time ON campaign_decisions (organisation_id, campaign_id, at, id);
SELECT parley_tenant_table('campaign_decisions');

-- Counts, kept with every change: nobody counts a million leads to show a page.
CREATE TABLE campaign_tally (
    organisation_id TEXT   NOT NULL,
    campaign_id     TEXT   NOT NULL,
    hour            BIGINT NOT NULL, -- Unix hour; 0: since the beginning
    what            TEXT   NOT NULL, -- lead:STATE, outcome:OUTCOME, disposition:NAME, talkMs, cost, refused:RULE
    n               BIGINT NOT NULL,
    PRIMARY KEY (campaign_id, hour, what)
);
CREATE INDEX campaign_tally_organisation ON campaign_tally (organisation_id, campaign_id, hour);
SELECT parley_tenant_table('campaign_tally');

-- +goose Down
DROP TABLE campaign_tally;
DROP TABLE campaign_decisions;
DROP TABLE campaign_attempts;
DROP TABLE campaign_leads;
DROP TABLE campaigns;
