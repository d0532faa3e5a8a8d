-- +goose Up
-- Database users who own nothing see how new the tables are. Those of tables to come are shown when they are made.
-- +goose StatementBegin
DO $$
DECLARE
    t regclass;
BEGIN
    FOR t IN
        SELECT oid::regclass FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname LIKE 'goose\_%' ESCAPE '\'
    LOOP
        EXECUTE format('GRANT SELECT ON %s TO parley_app', t);
    END LOOP;
END
$$;
-- +goose StatementEnd
