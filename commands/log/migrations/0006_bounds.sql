-- What nobody but the program ever wrote, the database now refuses from everybody.

-- Streams begin with version 1: an event before it could never be counted again.
ALTER TABLE event ADD CONSTRAINT event_versions_begin CHECK (version >= 1);

-- Numbers of dossiers are for agencies as they are named (QĐ 20/2020/QĐ-TTg), and for days of our time.
ALTER TABLE dossier_number
    ADD CONSTRAINT dossier_number_agency CHECK (agency ~ '^[A-Z][0-9]{2}(\.[1-9][0-9]{0,2}){0,3}$'),
    ADD CONSTRAINT dossier_number_day CHECK (day BETWEEN '2000-01-01' AND '2199-12-31');

-- An answer is that of a command which led to a version of its stream.
ALTER TABLE answer ADD CONSTRAINT answer_versions_begin CHECK (version >= 0 AND position >= 0);
