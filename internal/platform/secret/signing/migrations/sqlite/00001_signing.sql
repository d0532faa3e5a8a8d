-- +goose Up
CREATE TABLE signing_keys (
    kid          TEXT PRIMARY KEY, -- RFC 7638 thumbprint of the public key
    role         TEXT NOT NULL,    -- of the process or purpose that signs with it
    public_key   BLOB NOT NULL,
    private_key  BLOB,             -- sealed; NULL once nothing is signed with it any more
    signs_from   BIGINT NOT NULL,
    signs_until  BIGINT NOT NULL,
    verify_until BIGINT NOT NULL,  -- published until then
    UNIQUE (role, signs_from)
);
