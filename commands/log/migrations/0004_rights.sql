-- What the application's role may: read the log and append to it through functions alone; keep the
-- read models, which can be rebuilt, and the notes about NATS.
GRANT USAGE ON SCHEMA public TO hoso_app;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, hoso_app;
GRANT SELECT ON event, answer, catalogue, head, dossier_number TO hoso_app;
GRANT SELECT, INSERT (nth, stream_id, version, name, body) ON event_import TO hoso_app;
GRANT SELECT ON log_identity TO hoso_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON feed_place, bus_trouble TO hoso_app;
GRANT USAGE, CREATE ON SCHEMA view TO hoso_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON view.progress, view.parked TO hoso_app;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leaf_hash TO hoso_app;
GRANT EXECUTE ON FUNCTION append_commands TO hoso_app;
GRANT EXECUTE ON FUNCTION append_staged TO hoso_app;
GRANT EXECUTE ON FUNCTION take_dossier_numbers TO hoso_app;
GRANT EXECUTE ON FUNCTION try_to_write TO hoso_app;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC, hoso_app;

DO $$ BEGIN
    EXECUTE format('REVOKE TEMPORARY, CREATE ON DATABASE %I FROM PUBLIC, hoso_app', current_database());
    -- Only a superuser may take these from everybody; elsewhere it is the server's owner's to do.
    IF (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
        REVOKE EXECUTE ON FUNCTION
            pg_terminate_backend(integer, bigint), pg_cancel_backend(integer),
            lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea), lo_put(oid, bigint, bytea),
            lo_unlink(oid), lo_open(oid, integer), lowrite(integer, bytea),
            lo_truncate(integer, integer), lo_truncate64(integer, bigint)
        FROM PUBLIC;
    END IF;
END $$;
