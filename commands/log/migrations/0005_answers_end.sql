-- Answers end. They are kept in two parts by time: new ones go to the part of now, and when that is
-- as old as answers are to be kept, the other part is emptied whole and becomes the part of now. So an
-- answer is kept for at least that time and at most twice as long. A key stands in one part at most:
-- both are looked into before an answer is written, while the head is held. A part that is empty, as
-- the second one is for the first time, costs next to nothing to look into.
-- The key comes first in the index: keys that are UUIDs of version 7 stand together at its end then.

ALTER TABLE answer RENAME TO answer_of_before;
ALTER TABLE answer_of_before RENAME CONSTRAINT answer_pkey TO answer_of_before_pkey;
CREATE TABLE answer (
    actor       uuid NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    stream_id   uuid NOT NULL,
    version     integer NOT NULL,
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    detail      bytea NOT NULL,
    part        smallint NOT NULL DEFAULT 0,
    CONSTRAINT answer_is_bounded CHECK (
        octet_length(key) <= 1024 AND octet_length(fingerprint) <= 64 AND octet_length(detail) <= 65536
    )
) PARTITION BY LIST (part);
CREATE TABLE answer_0 PARTITION OF answer (PRIMARY KEY (key, actor)) FOR VALUES IN (0);
CREATE TABLE answer_1 PARTITION OF answer (PRIMARY KEY (key, actor)) FOR VALUES IN (1);
COMMENT ON TABLE answer IS 'The first answer to each command, given again to each repeat until it ends.';
INSERT INTO answer
SELECT actor, key, fingerprint, stream_id, version, position, recorded_at, detail
FROM answer_of_before;
DROP TABLE answer_of_before;
CREATE TRIGGER answer_is_never_changed BEFORE UPDATE OR TRUNCATE ON answer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Which part new answers go to, and since when.
CREATE TABLE answer_now (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    part     smallint NOT NULL DEFAULT 0 CHECK (part IN (0, 1)),
    since    timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO answer_now DEFAULT VALUES;

-- Ends the answers of the older part if the part of now is as old as `p_keep`; whether it did. For the
-- owner alone. It holds the head, so that no append is under way.
CREATE FUNCTION end_answers(p_keep interval) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_other smallint;
BEGIN
    IF p_keep < interval '1 day' THEN
        RAISE EXCEPTION 'answers are kept for a day at least' USING ERRCODE = 'data_exception';
    END IF;
    PERFORM FROM head FOR UPDATE;
    SELECT 1 - n.part INTO v_other FROM answer_now n WHERE n.since <= clock_timestamp() - p_keep;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('TRUNCATE answer_%s', v_other);
    UPDATE answer_now SET part = v_other, since = clock_timestamp();
    RETURN true;
END $$;

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
CREATE OR REPLACE FUNCTION append_commands(
    p_stream uuid[], p_expected integer[], p_count integer[],
    p_actor uuid[], p_key text[], p_fingerprint bytea[], p_detail bytea[],
    p_command integer[], p_nth integer[], p_name text[], p_body bytea[],
    p_looker integer[], p_looked uuid[], p_seen integer[], p_now timestamptz
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
        LEFT JOIN LATERAL (
            SELECT * FROM answer b WHERE b.actor = c.actor AND b.key = c.key LIMIT 1
        ) a ON true
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
        INSERT INTO answer (
            actor, key, fingerprint, stream_id, version, position, recorded_at, detail, part
        )
        SELECT p.actor, p.key, p.fingerprint, p.stream, p.expected + p.count,
               coalesce(p.last_position, v_head), v_now, p.detail, v_part
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
-- Raises unique_violation when a row's version is not the next of its stream. Codes of dossiers
-- that come in are not given again: `AGENCY-YYMMDD-NNNN` raises the counter of that agency and day.
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
    INSERT INTO dossier_number AS n (agency, day, last)
    SELECT c.parts[1], make_date(2000 + c.parts[2]::integer, c.parts[3]::integer, 1)
                       + (c.parts[4]::integer - 1),
           max(c.parts[5]::integer)
    FROM event_import i
    CROSS JOIN LATERAL regexp_match(
        convert_from(i.body, 'UTF8')::jsonb #>> '{event,code}',
        '^(.{1,35})-(\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])-(\d{4,7})$'
    ) AS c(parts)
    WHERE i.transaction = pg_current_xact_id() AND i.name = 'dossier.accepted'
      AND c.parts IS NOT NULL
    GROUP BY 1, 2
    ON CONFLICT (agency, day) DO UPDATE SET last = greatest(n.last, excluded.last);
    DELETE FROM event_import;
    UPDATE head SET position = v_head + v_count, recorded_at = v_now WHERE v_count > 0;
    RETURN v_count;
END $$;

GRANT SELECT ON answer, answer_0, answer_1, answer_now TO hoso_app;
REVOKE ALL ON FUNCTION end_answers FROM PUBLIC, hoso_app;
