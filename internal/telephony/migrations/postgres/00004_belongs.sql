-- +goose Up
ALTER TABLE phones ADD COLUMN user_id TEXT NOT NULL DEFAULT ''; -- whose phone it is; '': nobody's
ALTER TABLE phones ADD COLUMN project_id TEXT NOT NULL DEFAULT '';
CREATE INDEX phones_user ON phones (organisation_id, user_id);
CREATE INDEX phones_project ON phones (organisation_id, project_id);
