//! The one thread that writes: takes what waits, one transaction, then all answers.

use super::super::queue::{Nexts, Queues};
use super::super::wakes::Wakes;
use super::super::{AccountRecord, Lane, Result, StoreError, StoredCheckpoint, TokenRecord, pack};
use super::keys::FileKeys;
use super::pace::Pace;
use super::{backend, erase, read};
use crate::escalation::Message;
use crate::evidence::{Draft, Head, Nodes, StreamHead, completed_nodes, leaf_hash, seal, sha256};
use rusqlite::{Connection, OptionalExtension, params};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// An error of SQLite's, which costs the transaction.
pub(super) type Sql<T> = rusqlite::Result<T>;

/// Jobs in one transaction at most: bounds how long the first of them waits.
const GROUP: usize = 256;
/// Microseconds; a lease that is read from the file may be younger than this makes it.
const LONGEST_LEASE: i64 = 3_600_000_000;
/// Streams whose end is remembered; then all are forgotten and read again.
const STREAMS: usize = 8192;

/// What others may read without asking the writer; always as of the last COMMIT.
#[derive(Default)]
pub(super) struct Published {
    pub wakes: Wakes,
    pub head: Head,
    pub tokens: Arc<[TokenRecord]>,
    pub accounts: Arc<[AccountRecord]>,
    pub checkpoint: Option<StoredCheckpoint>,
    pub outbox: Nexts,
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Published(size {})", self.head.size)
    }
}

/// Something to write. `apply` must check everything before it writes anything: an inner error means that nothing was
/// written. It may be called again after a rollback.
pub(super) trait Work: Send + 'static {
    type Output: Send;
    fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<Self::Output>>;
}

/// A piece of work with somebody waiting for it.
pub(super) struct Asked<W: Work> {
    work: W,
    outcome: Option<Result<W::Output>>,
    reply: oneshot::Sender<Answer<W>>,
}

/// The outcome, and the work itself: it is freed in the caller's thread, not in the one everybody waits for.
pub(super) type Answer<W> = (Result<<W as Work>::Output>, W);

impl<W: Work> Asked<W> {
    pub fn new(work: W, reply: oneshot::Sender<Answer<W>>) -> Asked<W> {
        Asked { work, outcome: None, reply }
    }
}

/// [`Asked`] without the type of its output.
pub(super) trait Job: Send {
    fn apply(&mut self, batch: &mut Batch<'_>) -> Sql<()>;
    /// After COMMIT, or with the reason why there was none.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

impl<W: Work> Job for Asked<W> {
    fn apply(&mut self, batch: &mut Batch<'_>) -> Sql<()> {
        self.outcome = Some(self.work.apply(batch)?);
        Ok(())
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let stopped = || Err(StoreError::Backend("the transaction was not made".into()));
        let Asked { work, outcome, reply } = *self;
        // whoever asked may have given up; what is written stays written
        let _ = reply.send((failed.map_or_else(|| outcome.unwrap_or_else(stopped), Err), work));
    }
}

/// The transaction that is being made.
pub(super) struct Batch<'w> {
    pub sql: &'w Connection,
    origin: &'w str,
    pub head: &'w mut Head,
    streams: &'w mut HashMap<String, (i64, StreamHead)>,
    pub queue: &'w mut Queues,
    pub effects: Effects,
}

/// What becomes visible after COMMIT.
#[derive(Default)]
pub(super) struct Effects {
    /// Row, its alarm before and after, in microseconds.
    pub wakes: Vec<(i64, Option<i64>, Option<i64>)>,
    pub tokens_changed: bool,
    pub accounts_changed: bool,
    /// Something was erased: what it stood in is to be cleared.
    pub erased: bool,
    pub checkpoint: Option<StoredCheckpoint>,
}

impl Batch<'_> {
    /// Seals `draft` as the next entry of the log. Answers its index and leaf hash.
    pub fn append(&mut self, draft: &Draft, disclosures: Option<&[u8]>) -> Sql<(u64, [u8; 32])> {
        let (row, end) = match self.streams.get(&draft.stream) {
            Some(known) => *known,
            None => self.find_or_make_stream(&draft.stream)?,
        };
        let idx = self.head.size;
        let entry = seal(draft, self.origin, idx, &end);
        let completed = completed_nodes(idx, entry.leaf, self.head);
        let mut nodes = Vec::with_capacity(32 * completed.len());
        completed.iter().for_each(|(_, _, hash)| nodes.extend_from_slice(hash));
        self.sql
            .prepare_cached("INSERT INTO entry (idx, stream, n, nodes, bytes) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![idx as i64, row, entry.n as i64, nodes, entry.bytes])?;
        if let Some(body) = disclosures {
            self.sql
                .prepare_cached("INSERT INTO disclosure (idx, body) VALUES (?1, ?2)")?
                .execute(params![idx as i64, body])?;
        }
        self.head.append(entry.leaf);
        self.remember(&draft.stream, row, StreamHead::after(&entry));
        Ok((idx, entry.leaf))
    }

    /// Row of a stream that exists.
    pub fn find_stream(&mut self, name: &str) -> Sql<Option<i64>> {
        if let Some((row, _)) = self.streams.get(name) {
            return Ok(Some(*row));
        }
        self.sql.prepare_cached("SELECT id FROM stream WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
    }

    pub fn make_stream(&mut self, name: &str) -> Sql<i64> {
        self.sql.prepare_cached("INSERT INTO stream (name) VALUES (?1)")?.execute([name])?;
        let row = self.sql.last_insert_rowid();
        self.remember(name, row, StreamHead::default());
        Ok(row)
    }

    fn find_or_make_stream(&mut self, name: &str) -> Sql<(i64, StreamHead)> {
        let Some(row) = self.find_stream(name)? else { return Ok((self.make_stream(name)?, StreamHead::default())) };
        let end = read::end_of_stream(self.sql, row)?;
        self.remember(name, row, end);
        Ok((row, end))
    }

    fn remember(&mut self, name: &str, row: i64, end: StreamHead) {
        if let Some(known) = self.streams.get_mut(name) {
            *known = (row, end);
            return;
        }
        if self.streams.len() >= STREAMS {
            self.streams.clear();
        }
        self.streams.insert(name.to_string(), (row, end));
    }
}

pub(super) struct Writer {
    sql: Connection,
    origin: String,
    head: Head,
    /// Ends of recently used streams; only ever a copy of the table.
    streams: HashMap<String, (i64, StreamHead)>,
    /// `None` after a failure: read again before the next transaction.
    queue: Option<Queues>,
    published: Arc<Mutex<Published>>,
    pace: Arc<Pace>,
    keys: Arc<FileKeys>,
    /// Something was erased, and may still stand in a key, a free page or the write-ahead log.
    to_clear: bool,
    /// Set when the disk failed in a way after which nothing it says can be believed.
    broken: Option<StoreError>,
}

impl Writer {
    /// Reads what is kept in memory. Refuses a file that holds another log, or whose log does not hang together at its end.
    /// With `damaged` the latter is let pass.
    pub fn load(
        sql: Connection,
        origin: &str,
        pace: Arc<Pace>,
        keys: Arc<FileKeys>,
        damaged: bool,
    ) -> Result<(Writer, Arc<Mutex<Published>>)> {
        sql.execute(
            "INSERT INTO log (one, origin, serial, proven_at) VALUES (1, ?1, 0, 0) ON CONFLICT DO NOTHING",
            [origin],
        )
        .map_err(backend)?;
        let stored: String = sql.query_row("SELECT origin FROM log", [], |row| row.get(0)).map_err(backend)?;
        if stored != origin {
            return Err(StoreError::Backend(format!(
                "the log in this folder is named `{stored}`, not `{origin}`; a log keeps its name"
            )));
        }
        let head = match head_of(&sql) {
            Err(StoreError::Backend(_)) if damaged => nodes_of(&sql)?,
            head => head?,
        };
        let queue = queue_of(&sql).map_err(backend)?;
        let published = Published {
            wakes: wakes_of(&sql).map_err(backend)?,
            head: head.clone(),
            tokens: packed_of(&sql, "token")?,
            accounts: packed_of(&sql, "account")?,
            checkpoint: read::checkpoint(&sql).map_err(backend)?,
            outbox: queue.next(),
        };
        let published = Arc::new(Mutex::new(published));
        let writer = Writer {
            sql,
            origin: origin.to_string(),
            head,
            streams: HashMap::new(),
            queue: Some(queue),
            published: published.clone(),
            pace,
            to_clear: false,
            keys,
            broken: None,
        };
        Ok((writer, published))
    }

    /// Until every sender is gone.
    pub fn run(mut self, mut waiting: mpsc::Receiver<Box<dyn Job>>) {
        let mut jobs = Vec::with_capacity(GROUP);
        while waiting.blocking_recv_many(&mut jobs, GROUP) > 0 {
            match self.transact(&mut jobs) {
                Ok(()) => jobs.drain(..).for_each(|job| job.answer(None)),
                Err(error) if jobs.len() == 1 => jobs.drain(..).for_each(|job| job.answer(Some(error.clone()))),
                // one of them may be what the disk cannot take; the others need not pay for it
                Err(_) => {
                    for mut job in jobs.drain(..) {
                        let failed = self.transact(std::slice::from_mut(&mut job)).err();
                        job.answer(failed);
                    }
                }
            }
            if self.pace.wants_restart() {
                self.pace.restart(&self.sql);
            }
        }
    }

    /// All or none of `jobs`, durable on return.
    fn transact(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<()> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let before = self.head.clone();
        match self.try_transact(jobs) {
            Ok(effects) => {
                self.to_clear |= effects.erased;
                self.publish(effects);
                self.pace.committed();
                // before the answer: who is told that it is erased may look
                if self.to_clear {
                    self.clear();
                }
                Ok(())
            }
            Err(error) => {
                // SQLite may have rolled back by itself
                if !self.sql.is_autocommit() {
                    let _ = self.sql.execute_batch("ROLLBACK");
                }
                self.head = before;
                self.streams.clear();
                self.queue = None;
                let fatal = is_fatal(&error);
                let error = backend(error);
                if fatal {
                    tracing::error!(%error, "the disk failed to keep what it took; nothing more is written until a restart");
                    self.broken = Some(error.clone());
                }
                Err(error)
            }
        }
    }

    /// Clears what erasures left; what cannot be cleared now is tried again after the next transaction.
    fn clear(&mut self) {
        match erase::clear(&self.sql, &self.keys) {
            Ok(()) => self.to_clear = false,
            Err(error) => tracing::warn!(%error, "what was erased could not be cleared from the files yet"),
        }
    }

    fn try_transact(&mut self, jobs: &mut [Box<dyn Job>]) -> Sql<Effects> {
        let queue = match &mut self.queue {
            Some(queue) => queue,
            lost => lost.insert(queue_of(&self.sql)?),
        };
        self.sql.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut batch = Batch {
            sql: &self.sql,
            origin: &self.origin,
            head: &mut self.head,
            streams: &mut self.streams,
            queue,
            effects: Effects::default(),
        };
        for job in jobs {
            job.apply(&mut batch)?;
        }
        let effects = batch.effects;
        self.sql.prepare_cached("COMMIT")?.execute([])?;
        Ok(effects)
    }

    fn publish(&self, effects: Effects) {
        let tokens = effects.tokens_changed.then(|| packed_of(&self.sql, "token"));
        let accounts = effects.accounts_changed.then(|| packed_of(&self.sql, "account"));
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        for (row, before, after) in effects.wakes {
            published.wakes.set(row, before, after);
        }
        published.head.clone_from(&self.head);
        match tokens {
            Some(Ok(tokens)) => published.tokens = tokens,
            // a revoked token must not stay valid because the table cannot be read
            Some(Err(error)) => {
                tracing::error!(%error, "the tokens cannot be read; none is valid until a restart");
                published.tokens = Arc::default();
            }
            None => {}
        }
        match accounts {
            Some(Ok(accounts)) => published.accounts = accounts,
            Some(Err(error)) => {
                tracing::error!(%error, "the accounts cannot be read; nobody can log in until a restart");
                published.accounts = Arc::default();
            }
            None => {}
        }
        if effects.checkpoint.is_some() {
            published.checkpoint = effects.checkpoint;
        }
        published.outbox = self.queue.as_ref().map(Queues::next).unwrap_or_default();
    }
}

/// A failed flush leaves pages of which nobody knows whether they are on the disk; asking again answers yes.
fn is_fatal(error: &rusqlite::Error) -> bool {
    const FLUSH_FAILED: [i32; 2] = [rusqlite::ffi::SQLITE_IOERR_FSYNC, rusqlite::ffi::SQLITE_IOERR_DIR_FSYNC];
    error.sqlite_error().is_some_and(|e| {
        FLUSH_FAILED.contains(&e.extended_code)
            || matches!(e.code, rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    })
}

struct Stored<'c>(&'c Connection);

impl Nodes for Stored<'_> {
    fn node(&self, level: u8, index: u64) -> Option<[u8; 32]> {
        read::node(self.0, level, index).ok().flatten()
    }
}

/// The head from the stored nodes, with the last entry's own hash as a first check.
fn head_of(sql: &Connection) -> Result<Head> {
    let last: Option<i64> = sql.query_row("SELECT max(idx) FROM entry", [], |row| row.get(0)).map_err(backend)?;
    let Some(last) = last else { return Ok(Head::default()) };
    let damaged = || {
        StoreError::Backend(format!(
            "the evidence log is damaged near entry {last}; keep the folder as it is, run `breachclock evidence fsck`, restore a backup; `breachclock serve --read-only` shows what is there"
        ))
    };
    let (nodes, bytes): (Vec<u8>, Vec<u8>) = sql
        .query_row("SELECT nodes, bytes FROM entry WHERE idx = ?1", [last], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(backend)?;
    if nodes.first_chunk() != Some(&leaf_hash(&bytes)) {
        return Err(damaged());
    }
    Head::from_nodes(last as u64 + 1, &Stored(sql)).ok_or_else(damaged)
}

/// The head as far as the stored nodes go: of a log that is damaged.
fn nodes_of(sql: &Connection) -> Result<Head> {
    let last: Option<i64> = sql.query_row("SELECT max(idx) FROM entry", [], |row| row.get(0)).map_err(backend)?;
    Ok(last.and_then(|last| Head::from_nodes(last as u64 + 1, &Stored(sql))).unwrap_or_default())
}

fn wakes_of(sql: &Connection) -> Sql<Wakes> {
    let mut alarms = sql.prepare("SELECT id, wake_at FROM incident WHERE wake_at IS NOT NULL")?;
    alarms.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn queue_of(sql: &Connection) -> Sql<Queues> {
    let mut queue = Queues::default();
    let mut unsettled = sql.prepare(
        "SELECT outbox.id, urgent_at, not_before, settled_at, body FROM outbox JOIN message ON message.id = outbox.id WHERE state = 0",
    )?;
    let mut rows = unsettled.query([])?;
    while let Some(row) = rows.next()? {
        let (id, urgent_at, not_before) = (row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?);
        // one that cannot be read is said to be so when it is claimed
        let message: Result<Message> = pack::unpack_message(row.get_ref(4)?.as_blob()?, "a message");
        let (lane, made_at) = message.map_or((Lane::Mail, 0), |m| (Lane::of(&m.target), pack::micros(m.created_at)));
        if not_before == 0 {
            queue.insert(lane, id, urgent_at, made_at);
            continue;
        }
        // when a lease was taken is not stored, only when the last attempt ended: no lease is longer than an hour. A long
        // wait that the receiver asked for may end early by this, once
        let settled_at: Option<i64> = row.get(3)?;
        queue.insert_waiting(lane, id, urgent_at, not_before, settled_at.unwrap_or(0).max(not_before - LONGEST_LEASE));
    }
    Ok(queue)
}

/// Every row of a table of packed bodies, by id.
fn packed_of<T: DeserializeOwned>(sql: &Connection, table: &'static str) -> Result<Arc<[T]>> {
    let mut find = sql.prepare_cached(&format!("SELECT id, body FROM {table} ORDER BY id")).map_err(backend)?;
    let mut rows = find.query([]).map_err(backend)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(backend)? {
        let (id, body): (String, Vec<u8>) = (row.get(0).map_err(backend)?, row.get(1).map_err(backend)?);
        found.push(pack::unpack(&body, &format!("{table} `{id}`"))?);
    }
    Ok(found.into())
}

/// The last hash of a stream's last entry.
pub(super) fn end_from(n: i64, bytes: &[u8]) -> StreamHead {
    StreamHead { n: n as u64, prev: sha256(bytes) }
}

/// See `SqliteStore::limit_pages`.
pub(super) struct LimitPages(pub u32);

impl Work for LimitPages {
    type Output = ();

    fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<()>> {
        batch.sql.query_row(&format!("PRAGMA max_page_count = {}", self.0), [], |_| Ok(()))?;
        Ok(Ok(()))
    }
}
