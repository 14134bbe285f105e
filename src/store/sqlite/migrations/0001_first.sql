-- Instants are microseconds since 1970, UTC. Blobs named `body` are packed by store/pack.rs.
-- Rows are added at the right edge of their tables, so that a group of commits shares the pages it writes; the only
-- random key is that of `accepted`.

-- The log this file holds.
CREATE TABLE log (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    origin TEXT NOT NULL,
    -- written by the loop that proves the store
    serial INTEGER NOT NULL,
    proven_at INTEGER NOT NULL
) STRICT;

-- A stream of evidence. An incident has the row number and the name of its stream.
CREATE TABLE stream (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- `nodes` holds the roots of the subtrees that this entry completes, 32 bytes each from the leaf up: the node (level, i)
-- stands in entry ((i + 1) << level) - 1 at place `level`. `bytes` is the exact line.
CREATE TABLE entry (
    idx INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL REFERENCES stream (id),
    n INTEGER NOT NULL,
    nodes BLOB NOT NULL,
    bytes BLOB NOT NULL,
    UNIQUE (stream, n)
) STRICT;

CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry
BEGIN
    SELECT RAISE(ABORT, 'evidence is never changed');
END;

CREATE TRIGGER entry_is_never_deleted BEFORE DELETE ON entry
BEGIN
    SELECT RAISE(ABORT, 'evidence is never deleted');
END;

-- also refuses INSERT OR REPLACE, which fires no DELETE trigger
CREATE TRIGGER entry_is_dense BEFORE INSERT ON entry
WHEN NEW.idx IS NOT (SELECT coalesce(max(idx) + 1, 0) FROM entry)
BEGIN
    SELECT RAISE(ABORT, 'evidence has no gaps');
END;

-- Personal data beside the log: all disclosures of one entry; rewritten or deleted by erasure.
CREATE TABLE disclosure (
    idx INTEGER PRIMARY KEY REFERENCES entry (idx),
    body BLOB NOT NULL
) STRICT;

-- What is read often or at every start is kept apart from the record, which is large.
CREATE TABLE incident (
    id INTEGER PRIMARY KEY REFERENCES stream (id),
    version INTEGER NOT NULL,
    wake_at INTEGER,
    closed INTEGER NOT NULL,
    entity TEXT
) STRICT;

CREATE TABLE record (
    id INTEGER PRIMARY KEY REFERENCES incident (id),
    body BLOB NOT NULL
) STRICT;

-- Idempotency keys (with the hash of their request) and sources with references (without), by hash.
CREATE TABLE accepted (
    key BLOB PRIMARY KEY,
    incident INTEGER NOT NULL REFERENCES incident (id),
    request BLOB
) STRICT, WITHOUT ROWID;

-- `key` is the first half of SHA-256 of the message's key.
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    incident INTEGER NOT NULL REFERENCES incident (id),
    key BLOB NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (incident, key)
) STRICT;

-- What changes about a message. state: 0 queued, 1 handed over, 2 failed.
-- `attempts` counts claims and is the fencing number of the lease; `not_before` is the end of a lease, or the next attempt.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY REFERENCES message (id),
    state INTEGER NOT NULL,
    urgent_at INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    settled_at INTEGER,
    detail TEXT
) STRICT;

CREATE INDEX outbox_unsettled ON outbox (id) WHERE state = 0;

CREATE TABLE token (
    id TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One per size, ever.
CREATE TABLE checkpoint (
    size INTEGER PRIMARY KEY,
    root BLOB NOT NULL,
    note TEXT NOT NULL
) STRICT;
