-- A database user for each of Parley's roles. Run it once, as a superuser, in Parley's database:
--
--   psql -d parley -f roles.sql
--   psql -d parley -c '\\password parley_worker' -c '\\password parley_media' -c '\\password parley_gateway'
--
-- The worker's user owns the tables and brings them up to date. Those of gateways and media processes own nothing: they cannot
-- change or drop a table, and row level security binds them. Run it again after making the database anew; it changes nothing twice.

DO $$
DECLARE
    u text;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'parley_app') THEN
        CREATE ROLE parley_app NOLOGIN NOINHERIT;
    END IF;
    FOREACH u IN ARRAY ARRAY['parley_worker', 'parley_media', 'parley_gateway'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = u) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', u);
        END IF;
        EXECUTE format('GRANT parley_app TO %I', u);
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), u);
    END LOOP;
    -- To make organisations' own databases.
    ALTER ROLE parley_worker CREATEDB;
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO parley_worker', current_schema());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO parley_app', current_schema());
    -- Before PostgreSQL 15 everybody may make tables in the schema public.
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
END
$$;
