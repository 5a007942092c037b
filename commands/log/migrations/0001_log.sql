-- The event log: the only truth. Positions are dense and in commit order because every append
-- holds the one row of head until it commits.
-- What is stored is bounded, whoever writes it; the twins in the program are EVENT_BYTES_MAX
-- (domain/record.py) and the length of a key (api/v1/requests.py).

CREATE TABLE event (
    position    bigint PRIMARY KEY,
    stream_id   uuid NOT NULL,
    version     integer NOT NULL,
    name        text NOT NULL,
    recorded_at timestamptz NOT NULL,
    body        bytea NOT NULL,
    leaf_hash   bytea NOT NULL,
    UNIQUE (stream_id, version),
    CONSTRAINT event_is_bounded CHECK (
        octet_length(body) <= 262144
        AND octet_length(name) BETWEEN 1 AND 100
        AND position >= 1 AND version >= 0
    )
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
    PRIMARY KEY (actor, key),
    CONSTRAINT answer_is_bounded CHECK (
        octet_length(key) <= 1024 AND octet_length(fingerprint) <= 64 AND octet_length(detail) <= 65536
    )
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

-- Which log this is. Every stream in NATS names it in its metadata, so that the streams of another
-- log, or of another database under the same NATS, are recognised and never read.
CREATE TABLE log_identity (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id       uuid NOT NULL DEFAULT gen_random_uuid(),
    made_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO log_identity DEFAULT VALUES;

-- How far each agency has acknowledged its feed, noted every few seconds: its consumer in NATS,
-- should somebody delete it, begins again there.
CREATE TABLE feed_place (
    agency       text PRIMARY KEY,
    acknowledged bigint NOT NULL,
    noted_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What is or was wrong between the log and NATS, by place: a stream, or a follower of it.
CREATE TABLE bus_trouble (
    place    text PRIMARY KEY,
    why      text NOT NULL,
    since    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);
COMMENT ON TABLE bus_trouble IS 'One row a place, the newest trouble there; ended_at once it is over.';

-- Where a bulk append puts its rows, within one transaction, before `append_staged` moves them to
-- the log: the head is held only while they move, never while the client sends. A row that somebody commits
-- instead of moving it is never moved: each append sees its own transaction's rows alone, and what
-- was left lying goes with the next.
CREATE UNLOGGED TABLE event_import (
    nth       bigint NOT NULL,
    stream_id uuid NOT NULL,
    version   integer NOT NULL,
    name      text NOT NULL,
    body      bytea NOT NULL,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id()
);
COMMENT ON TABLE event_import IS 'Empty but within a transaction of a bulk append.';
ALTER TABLE event_import ALTER COLUMN body SET STORAGE EXTERNAL;
