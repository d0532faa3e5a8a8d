-- +goose Up
ALTER TABLE calls ADD COLUMN recording_gone_at BIGINT; -- when it was deleted because its term was over
ALTER TABLE calls ADD COLUMN transcript_gone_at BIGINT;
ALTER TABLE calls ADD COLUMN log_gone_at BIGINT;
