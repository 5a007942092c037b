-- A read model may stand beyond the end of the log, or on another log's events: after a restore, or
-- when something else than the log was published. The last record that it took says so: position,
-- stream, version and time of recording are not all the same in two logs.
ALTER TABLE view.progress
    ADD COLUMN last_stream      uuid,
    ADD COLUMN last_version     integer,
    ADD COLUMN last_recorded_at timestamptz;
COMMENT ON COLUMN view.progress.last_stream IS
    'With last_version and last_recorded_at: the record at position; NULL before the first, or if made by an older program.';
