-- The event log: the only truth. Positions are dense and in commit order because every append
-- holds the one row of head until it commits.

CREATE TABLE event (
    position    bigint PRIMARY KEY,
    stream_id   uuid NOT NULL,
    version     integer NOT NULL,
    name        text NOT NULL,
    recorded_at timestamptz NOT NULL,
    body        bytea NOT NULL,
    leaf_hash   bytea NOT NULL,
    UNIQUE (stream_id, version)
);
COMMENT ON TABLE event IS 'Facts. Never updated, never deleted.';
ALTER TABLE event ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE head (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
INSERT INTO head (position, recorded_at) VALUES (0, '-infinity');

CREATE TABLE answer (
    actor       uuid NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    stream_id   uuid NOT NULL,
    version     integer NOT NULL,
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    detail      bytea NOT NULL,
    PRIMARY KEY (actor, key)
);
COMMENT ON TABLE answer IS 'The first answer to each command, given again to each repeat.';

-- What a leaf of the Merkle tree binds (RFC 6962, section 2.1: 0x00 before the entry).
CREATE FUNCTION leaf_hash(
    "position" bigint, stream_id uuid, version integer, name text, recorded_at timestamptz, body bytea
) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN sha256(
    '\x00'::bytea
    || int8send("position")
    || uuid_send(stream_id)
    || int4send(version)
    || int8send((extract(epoch FROM recorded_at) * 1000000)::bigint)
    || int4send(octet_length(name)) || convert_to(name, 'UTF8')
    || body
);

-- Appends the commands of one batch in one transaction and says what became of each:
--   done        its events are in the log (none, where it was already so or was refused)
--   repeated    its key was answered before: the first answer comes back
--   key_reused  its key was answered before, for another command
--   conflict    its stream has moved on; nothing of it was written
-- A command without detail only asks whether its key was answered before.
-- It is PL/pgSQL because each statement needs a snapshot taken after the head is locked.
CREATE FUNCTION append_commands(
    p_stream uuid[], p_expected integer[], p_count integer[],
    p_actor uuid[], p_key text[], p_fingerprint bytea[], p_detail bytea[],
    p_command integer[], p_name text[], p_body bytea[]
) RETURNS TABLE (
    outcome text, stream_id uuid, version integer, "position" bigint,
    recorded_at timestamptz, detail bytea
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_head bigint;
    v_now  timestamptz;
BEGIN
    SELECT h.position, greatest(clock_timestamp(), h.recorded_at) INTO v_head, v_now
    FROM head h FOR UPDATE;

    RETURN QUERY
    WITH command AS (
        SELECT c.*,
               row_number() OVER (PARTITION BY c.stream, c.count > 0 ORDER BY c.nth) AS nth_of_stream,
               row_number() OVER (PARTITION BY c.actor, c.key ORDER BY c.nth) AS nth_of_key
        FROM unnest(p_stream, p_expected, p_count, p_actor, p_key, p_fingerprint, p_detail)
             WITH ORDINALITY AS c(stream, expected, count, actor, key, fingerprint, detail, nth)
    ), verdict AS (
        SELECT c.*, a.stream_id AS a_stream, a.version AS a_version, a.position AS a_position,
               a.recorded_at AS a_recorded_at, a.detail AS a_detail,
               CASE
                   WHEN a.fingerprint = c.fingerprint THEN 'repeated'
                   WHEN a.fingerprint IS NOT NULL THEN 'key_reused'
                   WHEN c.detail IS NULL THEN 'conflict'
                   WHEN c.key IS NOT NULL AND c.nth_of_key > 1 THEN 'conflict'
                   WHEN c.count > 0 AND (
                       c.nth_of_stream > 1 OR c.expected <> coalesce(latest.version, least(c.expected, 0))
                   ) THEN 'conflict'
                   ELSE 'done'
               END AS outcome
        FROM command c
        LEFT JOIN answer a ON a.actor = c.actor AND a.key = c.key
        LEFT JOIN LATERAL (
            SELECT e.version FROM event e
            WHERE e.stream_id = c.stream ORDER BY e.version DESC LIMIT 1
        ) latest ON true
    ), placed AS (
        SELECT v.*,
               v_head + sum(CASE WHEN v.outcome = 'done' THEN v.count ELSE 0 END)
                        OVER (ORDER BY v.nth) AS last_position
        FROM verdict v
    ), fact AS (
        SELECT f.command, f.name, f.body, row_number() OVER (PARTITION BY f.command ORDER BY f.nth) AS nth
        FROM unnest(p_command, p_name, p_body) WITH ORDINALITY AS f(command, name, body, nth)
    ), written AS (
        INSERT INTO event (position, stream_id, version, name, recorded_at, body, leaf_hash)
        SELECT n.position, p.stream, p.expected + f.nth::integer, f.name, v_now, f.body,
               leaf_hash(n.position, p.stream, p.expected + f.nth::integer, f.name, v_now, f.body)
        FROM placed p
        JOIN fact f ON f.command = p.nth
        CROSS JOIN LATERAL (SELECT (p.last_position - p.count + f.nth)::bigint AS position) n
        WHERE p.outcome = 'done'
        ORDER BY n.position
    ), answered AS (
        INSERT INTO answer (actor, key, fingerprint, stream_id, version, position, recorded_at, detail)
        SELECT p.actor, p.key, p.fingerprint, p.stream, p.expected + p.count,
               p.last_position::bigint, v_now, p.detail
        FROM placed p WHERE p.outcome = 'done' AND p.key IS NOT NULL
    ), moved AS (
        UPDATE head SET position = (SELECT max(p.last_position) FROM placed p), recorded_at = v_now
        WHERE (SELECT max(p.last_position) FROM placed p) > v_head
    )
    SELECT p.outcome,
           coalesce(p.a_stream, p.stream),
           coalesce(p.a_version, p.expected + p.count),
           coalesce(p.a_position, p.last_position::bigint),
           coalesce(p.a_recorded_at, v_now),
           coalesce(p.a_detail, p.detail)
    FROM placed p ORDER BY p.nth;
END $$;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the event log is never changed: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER event_is_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER answer_is_never_changed BEFORE UPDATE OR TRUNCATE ON answer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The next dossier code of each agency and day.
CREATE TABLE dossier_number (
    agency text NOT NULL,
    day    date NOT NULL,
    last   integer NOT NULL,
    PRIMARY KEY (agency, day)
);

CREATE TABLE catalogue (
    version      integer PRIMARY KEY,
    sha256       bytea NOT NULL,
    published_on date NOT NULL,
    content      jsonb NOT NULL,
    loaded_at    timestamptz NOT NULL DEFAULT now()
);

GRANT USAGE ON SCHEMA public TO hoso_app;
GRANT SELECT, INSERT ON event, answer, catalogue TO hoso_app;
GRANT SELECT, UPDATE ON head TO hoso_app;
GRANT SELECT, INSERT, UPDATE ON dossier_number TO hoso_app;
