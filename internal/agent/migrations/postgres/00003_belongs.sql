-- +goose Up
ALTER TABLE agents ADD COLUMN owner_id TEXT NOT NULL DEFAULT ''; -- who made it or was given it; '': nobody's
ALTER TABLE agents ADD COLUMN project_id TEXT NOT NULL DEFAULT '';
-- Who made its first version made the agent.
UPDATE agents SET owner_id = coalesce((SELECT v.created_by FROM agent_versions AS v
    WHERE v.organisation_id = agents.organisation_id AND v.agent_id = agents.id AND v.number = 1), '');
CREATE INDEX agents_owner ON agents (organisation_id, owner_id);
CREATE INDEX agents_project ON agents (organisation_id, project_id);
