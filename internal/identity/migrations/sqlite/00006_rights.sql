-- +goose Up
ALTER TABLE projects ADD COLUMN owner_id TEXT NOT NULL DEFAULT ''; -- who made it; '': not known
