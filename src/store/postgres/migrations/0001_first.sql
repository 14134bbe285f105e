-- Instants are microseconds since 1970, UTC, so that every backend rounds alike. Columns named `body` are packed by
-- store/pack.rs.

-- The log this database holds. Who appends locks this row first: that makes the indices dense and puts all writers into
-- one order. One small row that is rewritten by each commit: most of its page is left free for the next forms of it.
CREATE TABLE log (
    one integer PRIMARY KEY CHECK (one = 1),
    origin text NOT NULL,
    -- public part of the key that signs the checkpoints
    key bytea NOT NULL,
    -- size and frontier of the tree over all entries
    head bytea NOT NULL,
    -- written by the loop that proves the store
    serial bigint NOT NULL,
    proven_at bigint NOT NULL
) WITH (fillfactor = 10);

-- A stream of evidence. An incident has the row number and the name of its stream. Numbers are given while the log is
-- locked: they grow in the order of the commits.
CREATE TABLE stream (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);

-- `nodes` holds the roots of the subtrees that this entry completes, 32 bytes each from the leaf up: the node (level, i)
-- stands in entry ((i + 1) << level) - 1 at place `level`. `bytes` is the exact line.
CREATE TABLE entry (
    idx bigint PRIMARY KEY,
    stream bigint NOT NULL REFERENCES stream (id),
    n bigint NOT NULL,
    nodes bytea NOT NULL,
    bytes bytea NOT NULL,
    UNIQUE (stream, n)
);

CREATE FUNCTION entry_is_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'evidence is never changed';
    END IF;
    RAISE EXCEPTION 'evidence is never deleted';
END $$;

-- Sees the rows that the same statement has inserted before. The name is whole: a session may look elsewhere first.
CREATE FUNCTION entry_is_dense() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.idx IS DISTINCT FROM (SELECT coalesce(max(idx) + 1, 0) FROM breachclock.entry) THEN
        RAISE EXCEPTION 'evidence has no gaps';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER entry_is_never_changed BEFORE UPDATE OR DELETE ON entry FOR EACH ROW EXECUTE FUNCTION entry_is_fixed();
CREATE TRIGGER entry_is_never_emptied BEFORE TRUNCATE ON entry FOR EACH STATEMENT EXECUTE FUNCTION entry_is_fixed();
CREATE TRIGGER entry_is_dense BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION entry_is_dense();

-- also for a session that calls itself a replica
ALTER TABLE entry ENABLE ALWAYS TRIGGER entry_is_never_changed;
ALTER TABLE entry ENABLE ALWAYS TRIGGER entry_is_never_emptied;
ALTER TABLE entry ENABLE ALWAYS TRIGGER entry_is_dense;

-- Personal data beside the log: all disclosures of one entry; rewritten or deleted by erasure.
CREATE TABLE disclosure (
    idx bigint PRIMARY KEY REFERENCES entry (idx),
    body bytea NOT NULL
);

-- What is read often is kept apart from the record, which is large. The house has a row for its messages, of version 0,
-- closed and without a record.
CREATE TABLE incident (
    id bigint PRIMARY KEY REFERENCES stream (id),
    version bigint NOT NULL,
    wake_at bigint,
    closed boolean NOT NULL,
    entity text
);

CREATE INDEX incident_wakes ON incident (wake_at, id) WHERE wake_at IS NOT NULL;

CREATE TABLE record (
    id bigint PRIMARY KEY REFERENCES incident (id),
    body bytea NOT NULL
);

-- Idempotency keys (with the hash of their request) and sources with references (without), by hash.
CREATE TABLE accepted (
    key bytea PRIMARY KEY,
    incident bigint NOT NULL REFERENCES incident (id),
    request bytea
);

-- `key` is the first half of SHA-256 of the message's key.
CREATE TABLE message (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident bigint NOT NULL REFERENCES incident (id),
    key bytea NOT NULL,
    body bytea NOT NULL,
    UNIQUE (incident, key)
);

-- What changes about a message. state: see store/pack.rs; 0 is queued.
-- `attempts` counts claims and is the fencing number of the lease; `not_before` is the end of a lease, or the next attempt,
-- or 0; `set_at` is what the clock showed when `not_before` was set. `since` is from when on the message may be claimed:
-- `not_before`, and for one that nobody tried when it was made.
CREATE TABLE outbox (
    id bigint PRIMARY KEY REFERENCES message (id),
    lane bigint NOT NULL,
    state bigint NOT NULL,
    urgent_at bigint NOT NULL,
    not_before bigint NOT NULL,
    set_at bigint NOT NULL,
    since bigint NOT NULL,
    attempts bigint NOT NULL,
    settled_at bigint,
    detail text
);

CREATE INDEX outbox_urgent ON outbox (lane, urgent_at, id) WHERE state = 0;
CREATE INDEX outbox_waiting ON outbox (lane, since) WHERE state = 0;

CREATE TABLE token (
    id text PRIMARY KEY COLLATE "C",
    body bytea NOT NULL
);

-- One per size, ever.
CREATE TABLE checkpoint (
    size bigint PRIMARY KEY,
    root bytea NOT NULL,
    note text NOT NULL
);
