-- One command may write in several streams: a payment, and the book that its receipt is numbered in.
-- All of it comes about, or nothing. `p_leader` says for each row which row is the command itself; the
-- others are its parts in other streams, with its actor, key, fingerprint and detail. They have no
-- answer of their own, and no row of the result.

DROP FUNCTION append_commands(
    uuid[], integer[], integer[], uuid[], text[], bytea[], bytea[], integer[], integer[], text[], bytea[],
    integer[], uuid[], integer[], timestamptz
);

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
    p_looker integer[], p_looked uuid[], p_seen integer[],
    p_leader integer[], p_now timestamptz
) RETURNS TABLE (
    outcome text, stream_id uuid, version integer, "position" bigint,
    recorded_at timestamptz, detail bytea
) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
-- A part that was empty when it was last analysed would be read from end to end while it fills.
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    v_head   bigint;
    v_new    bigint;
    v_now    timestamptz;
    v_micros bytea;
    v_part   smallint;
BEGIN
    SELECT h.position, greatest(least(clock_timestamp(), p_now + interval '5 s'), h.recorded_at)
    INTO v_head, v_now
    FROM head h FOR UPDATE;
    -- A statement of its own: who waited for the head sees the part as it is now.
    SELECT n.part INTO v_part FROM answer_now n;
    v_micros := int8send((extract(epoch FROM v_now) * 1000000)::bigint);

    RETURN QUERY
    WITH moved_on AS MATERIALIZED (
        SELECT DISTINCT p_leader[l.command] AS command
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
        FROM unnest(
                 p_stream, p_expected, p_count, p_actor, p_key, p_fingerprint, p_detail, p_leader
             ) WITH ORDINALITY
             AS c(stream, expected, count, actor, key, fingerprint, detail, leader, nth)
        LEFT JOIN LATERAL (
            SELECT * FROM answer b WHERE b.actor = c.actor AND b.key = c.key LIMIT 1
        ) a ON true
        LEFT JOIN moved_on m ON m.command = c.leader
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
        INSERT INTO answer (
            actor, key, fingerprint, stream_id, version, position, recorded_at, detail, part
        )
        SELECT p.actor, p.key, p.fingerprint, p.stream, p.expected + p.count,
               coalesce(p.last_position, v_head), v_now, p.detail, v_part
        FROM placed p WHERE p.outcome = 'done' AND p.key IS NOT NULL AND p.leader = p.nth
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
    FROM placed p WHERE p.leader = p.nth ORDER BY p.nth;

    -- Whatever the arrays said: as many events as the head has moved, in these places, no other.
    SELECT h.position INTO v_new FROM head h;
    IF (SELECT (count(*), coalesce(max(e.position), v_head)) IS DISTINCT FROM (v_new - v_head, v_new)
        FROM event e WHERE e.position > v_head)
    THEN
        RAISE EXCEPTION 'positions after % would not be dense', v_head
            USING ERRCODE = 'data_exception';
    END IF;
END $$;

REVOKE ALL ON FUNCTION append_commands FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_commands TO hoso_app;
