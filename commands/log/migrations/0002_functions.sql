-- The only ways into the log. They run as the owner, with a search path that no other schema can slip
-- into, and check what they can themselves: positions without a gap, versions that follow, sizes,
-- numbers that only grow. What the application's role asks to append it may still choose; that is
-- what it is for.

-- A decision looks at more than its own stream: the actor's rights, the dossier that a payment is
-- for. The log refuses a command whose view of any of these is out of date, so that whoever decides
-- may do so on what he remembers. In return he hands over batches in which no command touches or
-- looked at what an earlier one of the same batch writes.

-- Appends the commands of one batch in one transaction and says what became of each:
--   done        its events are in the log (none, where it was already so or was refused)
--   repeated    its key was answered before: the first answer comes back
--   key_reused  its key was answered before, for another command
--   conflict    its stream, or one that it looked at, has moved on; nothing of it was written
-- Of one that is done, stream and detail are null: whoever asked has them.
-- A command without detail only asks whether its key was answered before; one without a key is
-- done and its answer is not kept.
-- It is PL/pgSQL because each statement needs a snapshot taken after the head is locked.
-- The time of recording is the database's, but never before the newest fact's and never more than
-- five seconds after `p_now`, the caller's clock: one clock that jumps ahead does not stamp the log.
CREATE FUNCTION append_commands(
    p_stream uuid[], p_expected integer[], p_count integer[],
    p_actor uuid[], p_key text[], p_fingerprint bytea[], p_detail bytea[],
    p_command integer[], p_nth integer[], p_name text[], p_body bytea[],
    p_looker integer[], p_looked uuid[], p_seen integer[], p_now timestamptz
) RETURNS TABLE (
    outcome text, stream_id uuid, version integer, "position" bigint,
    recorded_at timestamptz, detail bytea
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_head   bigint;
    v_new    bigint;
    v_now    timestamptz;
    v_micros bytea;
BEGIN
    SELECT h.position, greatest(least(clock_timestamp(), p_now + interval '5 s'), h.recorded_at)
    INTO v_head, v_now
    FROM head h FOR UPDATE;
    v_micros := int8send((extract(epoch FROM v_now) * 1000000)::bigint);

    RETURN QUERY
    WITH moved_on AS MATERIALIZED (
        SELECT DISTINCT l.command
        FROM (
            SELECT t.nth, t.stream, t.expected
            FROM unnest(p_stream, p_expected) WITH ORDINALITY AS t(stream, expected, nth)
            UNION ALL
            SELECT * FROM unnest(p_looker, p_looked, p_seen)
        ) AS l(command, stream, seen)
        LEFT JOIN LATERAL (
            SELECT e.version FROM event e
            WHERE e.stream_id = l.stream ORDER BY e.version DESC LIMIT 1
        ) latest ON true
        WHERE l.seen <> coalesce(latest.version, least(l.seen, 0))
    ), verdict AS MATERIALIZED (
        SELECT c.*, a.stream_id AS a_stream, a.version AS a_version, a.position AS a_position,
               a.recorded_at AS a_recorded_at, a.detail AS a_detail,
               CASE
                   WHEN a.fingerprint = c.fingerprint THEN 'repeated'
                   WHEN a.fingerprint IS NOT NULL THEN 'key_reused'
                   WHEN c.detail IS NULL OR m.command IS NOT NULL THEN 'conflict'
                   ELSE 'done'
               END AS outcome
        FROM unnest(p_stream, p_expected, p_count, p_actor, p_key, p_fingerprint, p_detail)
             WITH ORDINALITY AS c(stream, expected, count, actor, key, fingerprint, detail, nth)
        LEFT JOIN answer a ON a.actor = c.actor AND a.key = c.key
        LEFT JOIN moved_on m ON m.command = c.nth
    ), placed AS MATERIALIZED (
        SELECT v.*,
               v_head + sum(v.count) FILTER (WHERE v.outcome = 'done')
                        OVER (ORDER BY v.nth) AS last_position
        FROM verdict v
    ), written AS (
        -- The hash is `leaf_hash`, written out: called for each event it would cost as much as
        -- all the rest.
        INSERT INTO event (position, stream_id, version, name, recorded_at, body, leaf_hash)
        SELECT n.position, p.stream, n.version, f.name, v_now, f.body,
               sha256('\x00'::bytea || int8send(n.position) || uuid_send(p.stream)
                      || int4send(n.version) || v_micros
                      || int4send(octet_length(f.name)) || convert_to(f.name, 'UTF8') || f.body)
        FROM unnest(p_command, p_nth, p_name, p_body) AS f(command, nth, name, body)
        JOIN placed p ON p.nth = f.command AND p.outcome = 'done' AND f.nth BETWEEN 1 AND p.count
        CROSS JOIN LATERAL (
            SELECT (p.last_position - p.count + f.nth)::bigint AS position,
                   p.expected + f.nth AS version
        ) n
    ), answered AS (
        INSERT INTO answer (actor, key, fingerprint, stream_id, version, position, recorded_at, detail)
        SELECT p.actor, p.key, p.fingerprint, p.stream, p.expected + p.count,
               coalesce(p.last_position, v_head), v_now, p.detail
        FROM placed p WHERE p.outcome = 'done' AND p.key IS NOT NULL
    ), moved AS (
        UPDATE head SET position = (SELECT max(p.last_position) FROM placed p), recorded_at = v_now
        WHERE (SELECT max(p.last_position) FROM placed p) > v_head
    )
    SELECT p.outcome,
           CASE WHEN p.outcome <> 'done' THEN coalesce(p.a_stream, p.stream) END,
           coalesce(p.a_version, p.expected + p.count),
           coalesce(p.a_position, p.last_position, v_head)::bigint,
           coalesce(p.a_recorded_at, v_now),
           CASE WHEN p.outcome <> 'done' THEN coalesce(p.a_detail, p.detail) END
    FROM placed p ORDER BY p.nth;

    -- Whatever the arrays said: as many events as the head has moved, in these places, no other.
    SELECT h.position INTO v_new FROM head h;
    IF (SELECT (count(*), coalesce(max(e.position), v_head)) IS DISTINCT FROM (v_new - v_head, v_new)
        FROM event e WHERE e.position > v_head)
    THEN
        RAISE EXCEPTION 'positions after % would not be dense', v_head
            USING ERRCODE = 'data_exception';
    END IF;
END $$;

-- Moves this transaction's rows of event_import to the log, in the order of `nth`; how many.
-- Raises unique_violation when a row's version is not the next of its stream.
CREATE FUNCTION append_staged(p_now timestamptz) RETURNS bigint
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

-- The last of as many new numbers as asked for, for each agency and day.
CREATE FUNCTION take_dossier_numbers(p_agency text[], p_day date[], p_count integer[])
RETURNS TABLE (agency text, day date, last integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF EXISTS (SELECT FROM unnest(p_agency, p_count) AS w (agency, count)
               WHERE w.count NOT BETWEEN 1 AND 10000 OR octet_length(w.agency) > 35)
    THEN
        RAISE EXCEPTION 'from 1 to 10000 numbers of an agency at a time'
            USING ERRCODE = 'data_exception';
    END IF;
    RETURN QUERY
    INSERT INTO dossier_number AS n (agency, day, last)
    SELECT * FROM unnest(p_agency, p_day, p_count) AS w (agency, day, count)
    ORDER BY w.agency, w.day
    ON CONFLICT (agency, day) DO UPDATE SET last = n.last + excluded.last
    RETURNING n.agency, n.day, n.last;
END $$;

-- Whether the log can be written to, tried: raises what an append would raise. Tells where it ends,
-- and the database's clock.
CREATE FUNCTION try_to_write() RETURNS TABLE (
    "position" bigint, recorded_at timestamptz, clock timestamptz
) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
BEGIN ATOMIC
    UPDATE public.head AS h SET position = h.position
    RETURNING h.position, h.recorded_at, clock_timestamp();
END;
