-- A row that somebody commits to event_import instead of moving it was moved, or refused, with the
-- next bulk append, and with every one after it: each now sees its own transaction's rows alone. What
-- was left lying goes with the next.
ALTER TABLE event_import ADD COLUMN transaction xid8 NOT NULL DEFAULT pg_current_xact_id();
REVOKE INSERT ON event_import FROM hoso_app;
GRANT INSERT (nth, stream_id, version, name, body) ON event_import TO hoso_app;

-- Moves this transaction's rows of event_import to the log, in the order of `nth`; how many.
-- Raises unique_violation when a row's version is not the next of its stream.
CREATE OR REPLACE FUNCTION append_staged(p_now timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_head   bigint;
    v_now    timestamptz;
    v_micros bytea;
    v_count  bigint;
    v_wrong  uuid;
BEGIN
    SELECT h.position, greatest(least(clock_timestamp(), p_now + interval '5 s'), h.recorded_at)
    INTO v_head, v_now
    FROM head h FOR UPDATE;
    v_micros := int8send((extract(epoch FROM v_now) * 1000000)::bigint);

    SELECT s.stream_id INTO v_wrong
    FROM (
        SELECT i.stream_id, i.version,
               first_value(i.version) OVER by_stream AS begins,
               row_number() OVER by_stream AS place
        FROM event_import i WHERE i.transaction = pg_current_xact_id()
        WINDOW by_stream AS (PARTITION BY i.stream_id ORDER BY i.nth)
    ) s
    LEFT JOIN LATERAL (
        SELECT e.version FROM event e WHERE s.place = 1 AND e.stream_id = s.stream_id
        ORDER BY e.version DESC LIMIT 1
    ) latest ON s.place = 1
    WHERE s.version <> s.begins + s.place - 1
       OR (s.place = 1 AND s.begins <> coalesce(latest.version, 0) + 1)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a version of stream % does not follow', v_wrong
            USING ERRCODE = 'unique_violation';
    END IF;

    INSERT INTO event (position, stream_id, version, name, recorded_at, body, leaf_hash)
    SELECT n.position, n.stream_id, n.version, n.name, v_now, n.body,
           sha256('\x00'::bytea || int8send(n.position) || uuid_send(n.stream_id)
                  || int4send(n.version) || v_micros
                  || int4send(octet_length(n.name)) || convert_to(n.name, 'UTF8') || n.body)
    FROM (
        SELECT v_head + row_number() OVER (ORDER BY i.nth) AS position, i.* FROM event_import i
        WHERE i.transaction = pg_current_xact_id()
    ) n;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    DELETE FROM event_import;
    UPDATE head SET position = v_head + v_count, recorded_at = v_now WHERE v_count > 0;
    RETURN v_count;
END $$;
