-- +goose Up
ALTER TABLE calls ADD COLUMN end_status BIGINT NOT NULL DEFAULT 0; -- SIP or HTTP status that it ended with; 0: none
ALTER TABLE calls ADD COLUMN trunk_id TEXT NOT NULL DEFAULT ''; -- that it was placed through; '': none
