-- +goose Up
-- The role that transactions run as. It owns nothing, so row level security binds it. Roles belong to the whole
-- server: another database may have made it already, or be making it now.
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'parley_app') THEN
        BEGIN
            CREATE ROLE parley_app NOLOGIN NOINHERIT;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'the database user % may not create roles: let an administrator run CREATE ROLE parley_app NOLOGIN; GRANT parley_app TO %;',
                    current_user, current_user;
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'parley_app', 'MEMBER') THEN
        BEGIN
            EXECUTE format('GRANT parley_app TO %I', current_user);
        EXCEPTION
            WHEN unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'the database user % may not become parley_app: let an administrator run GRANT parley_app TO %;',
                    current_user, current_user;
        END;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO parley_app', current_schema());
END
$$;
-- +goose StatementEnd

-- Grants parley_app its rights on a table, and on the sequences its columns own.
-- +goose StatementBegin
CREATE FUNCTION parley_grant_table(t regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s regclass;
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO parley_app', t);
    FOR s IN
        SELECT d.objid::regclass FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
        WHERE d.refobjid = t AND d.deptype IN ('a', 'i')
    LOOP
        EXECUTE format('GRANT USAGE ON SEQUENCE %s TO parley_app', s);
    END LOOP;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t);
END
$$;
-- +goose StatementEnd

-- For a table with organisation_id: its organisation's rows, or all through the system door.
-- +goose StatementBegin
CREATE FUNCTION parley_tenant_table(t regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM parley_grant_table(t);
    EXECUTE format($f$CREATE POLICY tenant ON %s
        USING (organisation_id = nullif(current_setting('app.current_tenant_id', true), '')
               OR current_setting('app.system', true) = 'on')$f$, t);
END
$$;
-- +goose StatementEnd

-- For a table without organisation_id: the system door only.
-- +goose StatementBegin
CREATE FUNCTION parley_system_table(t regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM parley_grant_table(t);
    EXECUTE format($f$CREATE POLICY system ON %s USING (current_setting('app.system', true) = 'on')$f$, t);
END
$$;
-- +goose StatementEnd

CREATE TABLE outbox (
    seq             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id              TEXT   NOT NULL UNIQUE,
    organisation_id TEXT   NOT NULL,
    type            TEXT   NOT NULL,
    key             TEXT   NOT NULL,
    data            TEXT   NOT NULL,
    created_at      BIGINT NOT NULL
);
SELECT parley_tenant_table('outbox');
