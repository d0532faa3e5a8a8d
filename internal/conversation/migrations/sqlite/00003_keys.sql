-- +goose Up
ALTER TABLE calls ADD COLUMN file_key TEXT NOT NULL DEFAULT ''; -- id of the data key of its files; '' is the master key of before
