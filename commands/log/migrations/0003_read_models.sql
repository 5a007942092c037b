-- Read models: how far each has come, and what it could not take. Their own tables are made by the
-- projection runner, which is the application's role: whatever is here can be rebuilt from the log.

CREATE SCHEMA view;

CREATE TABLE view.progress (
    view       text NOT NULL,
    generation integer NOT NULL,
    live       boolean NOT NULL,
    position   bigint NOT NULL,
    shape      text NOT NULL,
    tables     text[] NOT NULL,
    last_stream      uuid,
    last_version     integer,
    last_recorded_at timestamptz,
    PRIMARY KEY (view, generation)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
COMMENT ON TABLE view.progress IS 'Position of the last fact in each generation of each read model.';
COMMENT ON COLUMN view.progress.live IS 'Read by queries; the others are being built, or were left by a crash.';
COMMENT ON COLUMN view.progress.shape IS 'Digest of the definition that the tables were made by.';
-- A read model may stand beyond the end of the log, or on another log's events: after a restore, or
-- when something else than the log was published. The last record that it took says so: position,
-- stream, version and time of recording are not all the same in two logs.
COMMENT ON COLUMN view.progress.last_stream IS
    'With last_version and last_recorded_at: the record at position; NULL before the first.';
CREATE UNIQUE INDEX one_live_generation ON view.progress (view) WHERE live;

CREATE TABLE view.parked (
    view       text NOT NULL,
    generation integer NOT NULL,
    stream_id  uuid NOT NULL,
    position   bigint NOT NULL,
    error      text NOT NULL,
    parked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (view, generation, stream_id),
    FOREIGN KEY (view, generation) REFERENCES view.progress ON DELETE CASCADE
);
COMMENT ON TABLE view.parked IS
    'Streams that a read model stands still for since an event it could not take; a rebuild frees them.';
