-- +goose Up
-- sip:AGENT.ADDRESS@host reaches the organisation's agents.
ALTER TABLE organisations ADD COLUMN address TEXT NOT NULL DEFAULT '';
UPDATE organisations SET address = 'org-' || id;
CREATE UNIQUE INDEX organisations_address ON organisations (address);
