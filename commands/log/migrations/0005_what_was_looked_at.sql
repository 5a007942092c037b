-- A decision looks at more than its own stream: the actor's rights, the dossier that a payment is
-- for. The log now refuses a command whose view of any of these is out of date, so that whoever
-- decides may do so on what he remembers. In return the caller hands over batches in which no
-- command touches or looked at what an earlier one of the same batch writes.
DROP FUNCTION append_commands(
    uuid[], integer[], integer[], uuid[], text[], bytea[], bytea[], integer[], text[], bytea[]
);

-- Appends the commands of one batch in one transaction and says what became of each:
--   done        its events are in the log (none, where it was already so or was refused)
--   repeated    its key was answered before: the first answer comes back
--   key_reused  its key was answered before, for another command
--   conflict    its stream, or one that it looked at, has moved on; nothing of it was written
-- A command without detail only asks whether its key was answered before.
-- It is PL/pgSQL because each statement needs a snapshot taken after the head is locked.
CREATE FUNCTION append_commands(
    p_stream uuid[], p_expected integer[], p_count integer[],
    p_actor uuid[], p_key text[], p_fingerprint bytea[], p_detail bytea[],
    p_command integer[], p_nth integer[], p_name text[], p_body bytea[],
    p_looker integer[], p_looked uuid[], p_seen integer[]
) RETURNS TABLE (
    outcome text, stream_id uuid, version integer, "position" bigint,
    recorded_at timestamptz, detail bytea
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_head   bigint;
    v_now    timestamptz;
    v_micros bytea;
BEGIN
    SELECT h.position, greatest(clock_timestamp(), h.recorded_at) INTO v_head, v_now
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
        JOIN placed p ON p.nth = f.command AND p.outcome = 'done'
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
           coalesce(p.a_stream, p.stream),
           coalesce(p.a_version, p.expected + p.count),
           coalesce(p.a_position, p.last_position, v_head)::bigint,
           coalesce(p.a_recorded_at, v_now),
           coalesce(p.a_detail, p.detail)
    FROM placed p ORDER BY p.nth;
END $$;
