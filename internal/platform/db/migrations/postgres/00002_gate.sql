-- +goose Up
-- Where an organisation is not, or may not be written to for a moment: see gate.go. No row: it is here. parley_app
-- has no rights on it, only through the function.
CREATE TABLE org_gate (
    organisation_id TEXT   NOT NULL PRIMARY KEY,
    state           TEXT   NOT NULL, -- closed, gone
    until           BIGINT NOT NULL  -- closed only: Unix ms
);

-- Volatile, so that the row is read in a snapshot newer than the lock. Who moves an organisation takes the first lock
-- alone to close the gate, and the second to remove what nobody reads any more.
-- +goose StatementBegin
CREATE FUNCTION parley_gate(org TEXT, writing BOOLEAN) RETURNS TEXT LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
DECLARE
    s TEXT;
BEGIN
    IF NOT writing THEN
        PERFORM pg_advisory_xact_lock_shared(1885433192, hashtext(org));
    ELSIF NOT pg_try_advisory_xact_lock_shared(1885433191, hashtext(org)) THEN
        RETURN 'closed';
    END IF;
    SELECT g.state INTO s FROM org_gate g WHERE g.organisation_id = org
        AND (g.state = 'gone' OR (writing AND g.until > floor(extract(epoch FROM clock_timestamp()) * 1000)));
    RETURN coalesce(s, '');
END
$$;
-- +goose StatementEnd

-- What changed while an organisation is being moved, written by triggers that last as long as the move.
CREATE TABLE org_changes (
    seq             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    tbl             TEXT NOT NULL,
    pk              TEXT NOT NULL -- JSON array
);
CREATE INDEX org_changes_organisation ON org_changes (organisation_id, seq);
SELECT parley_tenant_table('org_changes');
