-- +goose Up
-- Up to which entry the platform log was copied to another place.
CREATE TABLE platform_copies (
    place     TEXT   NOT NULL PRIMARY KEY, -- its address, without who signs in there
    seq       BIGINT NOT NULL,
    copied_at BIGINT NOT NULL
);
