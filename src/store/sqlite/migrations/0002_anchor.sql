-- What others outside say about a checkpoint: time stamps, cosignatures. One checkpoint may have several. Never changed.
CREATE TABLE anchor (
    id INTEGER PRIMARY KEY,
    size INTEGER NOT NULL REFERENCES checkpoint (size),
    kind TEXT NOT NULL,
    url TEXT NOT NULL,
    token BLOB NOT NULL,
    requested_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL
) STRICT;

CREATE INDEX anchor_by_size ON anchor (kind, size, id);

CREATE TRIGGER anchor_is_never_changed BEFORE UPDATE ON anchor
BEGIN
    SELECT RAISE(ABORT, 'an anchor is never changed');
END;

CREATE TRIGGER anchor_is_never_deleted BEFORE DELETE ON anchor
BEGIN
    SELECT RAISE(ABORT, 'an anchor is never deleted');
END;
