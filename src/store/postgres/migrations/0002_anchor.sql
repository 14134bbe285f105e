-- What others outside say about a checkpoint: time stamps, cosignatures. One checkpoint may have several. Never changed.
CREATE TABLE anchor (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    size bigint NOT NULL REFERENCES checkpoint (size),
    kind text NOT NULL,
    url text NOT NULL,
    token bytea NOT NULL,
    requested_at bigint NOT NULL,
    received_at bigint NOT NULL
);

CREATE INDEX anchor_by_size ON anchor (kind, size, id);

CREATE FUNCTION anchor_is_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an anchor is never changed or deleted';
END $$;

CREATE TRIGGER anchor_is_never_changed BEFORE UPDATE OR DELETE ON anchor FOR EACH ROW EXECUTE FUNCTION anchor_is_fixed();
CREATE TRIGGER anchor_is_never_emptied BEFORE TRUNCATE ON anchor FOR EACH STATEMENT EXECUTE FUNCTION anchor_is_fixed();
