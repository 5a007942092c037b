-- Which log this is. Every stream in NATS names it in its metadata, so that the streams of another
-- log, or of another database under the same NATS, are recognised and never read.
CREATE TABLE log_identity (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id       uuid NOT NULL DEFAULT gen_random_uuid(),
    made_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO log_identity DEFAULT VALUES;
GRANT SELECT ON log_identity TO hoso_app;

-- How far each agency has acknowledged its feed, noted every few seconds: its consumer in NATS,
-- should somebody delete it, begins again there.
CREATE TABLE feed_place (
    agency       text PRIMARY KEY,
    acknowledged bigint NOT NULL,
    noted_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON feed_place TO hoso_app;

-- What is or was wrong between the log and NATS, by place: a stream, or a follower of it.
CREATE TABLE bus_trouble (
    place    text PRIMARY KEY,
    why      text NOT NULL,
    since    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);
COMMENT ON TABLE bus_trouble IS 'One row a place, the newest trouble there; ended_at once it is over.';
GRANT SELECT, INSERT, UPDATE, DELETE ON bus_trouble TO hoso_app;
