-- A version of the catalogue counts from its day on, and says who published it when. None is ever
-- changed: one for the same day that is published later counts in its place.
ALTER TABLE catalogue RENAME COLUMN loaded_at TO published_at;
ALTER TABLE catalogue ADD COLUMN in_force_from date;
ALTER TABLE catalogue ADD COLUMN published_by text NOT NULL DEFAULT 'hoso'
    CHECK (length(published_by) BETWEEN 1 AND 100);
UPDATE catalogue SET in_force_from = published_on;
ALTER TABLE catalogue ALTER COLUMN in_force_from SET NOT NULL;
ALTER TABLE catalogue ALTER COLUMN published_by DROP DEFAULT;
COMMENT ON TABLE catalogue IS 'Published versions. Never updated, never deleted.';

CREATE FUNCTION refuse_catalogue_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a published catalogue is never changed: % refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
REVOKE ALL ON FUNCTION refuse_catalogue_change FROM PUBLIC;
CREATE TRIGGER catalogue_is_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON catalogue
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_catalogue_change();
