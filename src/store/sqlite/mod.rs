//! The store in one SQLite file.
//!
//! ```text
//!  callers ── pack, hash keys ──► channel ──► writer thread: BEGIN; every job that waits; COMMIT; then all answers
//!     │                                          │ tells
//!     ├─ reads ──► reader threads (read-only)    ▼
//!     └─ due, head, tokens … from memory       pacer thread: copies the write-ahead log back, outside the commits
//! ```
//! * One writer, so that checking before writing is enough: a job that is refused has written nothing, and needs no
//!   savepoint. When SQLite itself fails, the whole group is rolled back and each of its jobs is tried alone.
//! * What is in memory (log head, wake-ups, unsettled messages, tokens) is read from the tables at opening, changes only
//!   after COMMIT, and is read anew after a failure.
//! * An exclusive lock on a file in the data folder is held for life.
//!
//! Absent: a clock, and any row that depends on the present.

mod anchor;
mod commit;
mod copy;
mod erase;
mod keys;
mod migrations;
mod outbox;
mod pace;
mod read;
mod settings;
mod writer;

use super::keys::Keeper;
use super::prepared::{Commit, Lease, Leased, Settling, keys_for};
use super::{
    AccountRecord, Changeset, Claim, Dossier, Due, Idempotency, Lane, Query, Receipt, Result, Settlement, Store,
    StoreError, StoredAnchor, StoredCheckpoint, StoredEntry, TokenRecord, pack,
};
use crate::escalation::Sent;
use crate::evidence::{Draft, Head, StreamHead};
use crate::law::IncidentId;
use crate::time::Timestamp;
pub use copy::{FILE, Glance, copy, gather, hold};
use keys::FileKeys;
use pace::Pace;
use read::Readers;
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use writer::{Asked, Job, Published, Work, Writer};

/// Jobs that may wait for the writer; more callers wait for a place.
const WAITING_JOBS: usize = 4096;

/// A data folder, held exclusively. Dropping it finishes what was asked and lets the folder go.
#[derive(Debug)]
pub struct SqliteStore {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    readers: Readers,
    published: Arc<Mutex<Published>>,
    pace: Arc<Pace>,
    keys: Arc<FileKeys>,
    threads: Vec<JoinHandle<()>>,
    /// Last, so that the folder is let go after the threads have ended.
    _lock: File,
}

impl SqliteStore {
    /// Opens the store in `dir`, which must exist, and makes it when there is none. `origin` is the name of its log, for
    /// ever; `keeper` has the key that wraps the data keys. Blocks while it reads the wake-ups.
    pub fn open_with(dir: &Path, origin: &str, keeper: Keeper) -> Result<SqliteStore> {
        SqliteStore::open_as(dir, origin, keeper, false)
    }

    /// As [`SqliteStore::open_with`], also when the log does not hang together at its end: to look at what is left, behind
    /// [`super::ReadOnly`].
    pub fn open_damaged(dir: &Path, origin: &str, keeper: Keeper) -> Result<SqliteStore> {
        SqliteStore::open_as(dir, origin, keeper, true)
    }

    fn open_as(dir: &Path, origin: &str, keeper: Keeper, damaged: bool) -> Result<SqliteStore> {
        let lock = lock(dir)?;
        let file = dir.join(settings::FILE);
        settings::make_private(&file)?;
        let mut connection = settings::writer(&file)?;
        migrations::migrate(&mut connection)?;
        let keys = Arc::new(FileKeys::open(dir, keeper)?);
        erase::seal_plain(&mut connection, &keys)?;
        erase::finish(&connection, &keys)?;
        let pace = Arc::new(Pace::default());
        let (writer, published) = Writer::load(connection, origin, pace.clone(), keys.clone(), damaged)?;
        let readers = Readers::start(&file)?;
        let pacer = pace::start(settings::pacer(&file)?, pace.clone())?;
        let (jobs, waiting) = mpsc::channel(WAITING_JOBS);
        let writer = spawn("store-writer", move || writer.run(waiting))?;
        Ok(SqliteStore { jobs: Some(jobs), readers, published, pace, keys, threads: vec![writer, pacer], _lock: lock })
    }

    /// [`SqliteStore::open_with`] the key in the folder, and where there is none one that everybody knows: for tests.
    #[doc(hidden)]
    pub fn open(dir: &Path, origin: &str) -> Result<SqliteStore> {
        SqliteStore::open_with(dir, origin, Keeper::of_tests_in(dir))
    }

    /// Lets the file grow to this many pages and no further: stands for a full disk in tests.
    #[doc(hidden)]
    pub async fn limit_pages(&self, pages: u32) -> Result<()> {
        self.write(writer::LimitPages(pages)).await
    }

    /// Hands `work` to the writer and waits until its transaction is durable.
    async fn write<W: Work>(&self, work: W) -> Result<W::Output> {
        let stopped = || StoreError::Backend("the writer has stopped; restart breachclock".into());
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.send(Box::new(Asked::new(work, reply))).await.map_err(|_| stopped())?;
        let (outcome, _work) = answer.await.map_err(|_| stopped())?;
        outcome
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.jobs = None;
        self.pace.stop();
        self.readers.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Store for SqliteStore {
    async fn commit(&self, change: Changeset) -> Result<Receipt> {
        let keys = self.keys.take(Commit::keys_for(&change))?;
        self.write(Commit::prepare(change, keys)?).await
    }

    async fn dossier(&self, id: &IncidentId) -> Result<Dossier> {
        let id = id.clone();
        self.readers.read(move |sql| read::dossier(sql, &id)).await
    }

    async fn sent(&self, id: &IncidentId, limit: u32) -> Result<Vec<Sent>> {
        let id = id.clone();
        self.readers.read(move |sql| read::sent_about(sql, &id, limit)).await
    }

    async fn list(&self, query: Query) -> Result<Vec<Dossier>> {
        self.readers.read(move |sql| read::list(sql, &query)).await
    }

    async fn accepted(&self, key: &Idempotency) -> Result<Option<(IncidentId, bool)>> {
        let (hash, request) = (pack::request_key(pack::IDEMPOTENCY, &key.principal, &key.key), key.request);
        self.readers.read(move |sql| read::accepted(sql, &hash, &request)).await
    }

    async fn reported(&self, source: &str, reference: &str) -> Result<Option<IncidentId>> {
        let hash = pack::request_key(pack::REFERENCE, source, reference);
        let found = self.readers.read(move |sql| read::accepted(sql, &hash, &[0; 32])).await?;
        Ok(found.map(|(id, _)| id))
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Due> {
        let (rows, next) = self.published().wakes.due(pack::micros(now), limit as usize);
        let next_wake = next.map(pack::instant_of);
        if rows.is_empty() {
            return Ok(Due { incidents: Vec::new(), next_wake });
        }
        let incidents = self.readers.read(move |sql| read::names(sql, &rows)).await?;
        Ok(Due { incidents, next_wake })
    }

    async fn claim_outbox(&self, lane: Lane, now: Timestamp, lease_seconds: u32, limit: u32) -> Result<Vec<Claim>> {
        // a lane with nothing to claim is answered without a transaction
        if !self.published().outbox.may_have(lane, pack::micros(now)) {
            return Ok(Vec::new());
        }
        let leased = self.write(Lease::until(lane, now, lease_seconds, limit)).await?;
        Ok(leased.into_iter().filter_map(Leased::into_claim).collect())
    }

    async fn next_outbox(&self, lane: Lane) -> Result<Option<Timestamp>> {
        Ok(self.published().outbox.of(lane).map(pack::instant_of))
    }

    async fn settle(&self, claims: Vec<(Claim, Settlement, Draft)>) -> Result<Vec<Result<()>>> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let keys = self.keys.take(keys_for(claims.iter().map(|(_, _, draft)| draft)))?;
        self.write(outbox::Settle(Settling::prepare_all(claims, keys))).await
    }

    async fn entries(&self, range: Range<u64>) -> Result<Vec<StoredEntry>> {
        self.readers.read(move |sql| read::entries(sql, range)).await
    }

    async fn stream(&self, stream: &str) -> Result<Vec<StoredEntry>> {
        let stream = stream.to_string();
        self.readers.read(move |sql| read::stream(sql, &stream)).await
    }

    async fn disclosures(&self, stream: &str) -> Result<BTreeMap<[u8; 32], Vec<u8>>> {
        let (stream, keys) = (stream.to_string(), self.keys.clone());
        self.readers.read(move |sql| read::disclosures(sql, &stream, &keys)).await
    }

    async fn head(&self) -> Result<Head> {
        Ok(self.published().head.clone())
    }

    async fn nodes(&self, wanted: Vec<(u8, u64)>) -> Result<Vec<Option<[u8; 32]>>> {
        self.readers
            .read(move |sql| {
                wanted.iter().map(|&(level, index)| read::node(sql, level, index).map_err(backend)).collect()
            })
            .await
    }

    async fn stream_head(&self, stream: &str) -> Result<StreamHead> {
        let stream = stream.to_string();
        self.readers.read(move |sql| read::stream_head(sql, &stream)).await
    }

    async fn checkpoint(&self) -> Result<Option<StoredCheckpoint>> {
        Ok(self.published().checkpoint.clone())
    }

    async fn replace_checkpoint(&self, old: Option<u64>, new: StoredCheckpoint) -> Result<()> {
        self.write(commit::ReplaceCheckpoint { old, new }).await
    }

    async fn checkpoint_over(&self, size: u64) -> Result<Option<StoredCheckpoint>> {
        self.readers.read(move |sql| anchor::checkpoint_over(sql, size)).await
    }

    async fn add_anchor(&self, anchor: StoredAnchor) -> Result<()> {
        self.write(anchor::Add(anchor)).await
    }

    async fn anchor_over(&self, kind: &'static str, size: u64) -> Result<Option<(StoredCheckpoint, StoredAnchor)>> {
        self.readers.read(move |sql| anchor::over(sql, kind, size)).await
    }

    async fn last_anchor(&self, kind: &'static str) -> Result<Option<StoredAnchor>> {
        self.readers.read(move |sql| anchor::last(sql, kind)).await
    }

    async fn last_anchor_of(&self, kind: &'static str, url: &str) -> Result<Option<StoredAnchor>> {
        let url = url.to_string();
        self.readers.read(move |sql| anchor::last_of(sql, kind, &url)).await
    }

    async fn anchors_at(&self, kind: &'static str, size: u64) -> Result<Vec<StoredAnchor>> {
        self.readers.read(move |sql| anchor::all_at(sql, kind, size)).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        let tokens = self.published().tokens.clone();
        Ok(tokens.to_vec())
    }

    async fn accounts(&self) -> Result<Vec<AccountRecord>> {
        let accounts = self.published().accounts.clone();
        Ok(accounts.to_vec())
    }

    async fn prove(&self, now: Timestamp) -> Result<()> {
        let written = self.write(commit::Prove(pack::micros(now))).await?;
        let read = self.readers.read(read::serial).await?;
        if read < written {
            return Err(StoreError::Backend("a write cannot be read back; check the disk and restart".into()));
        }
        Ok(())
    }
}

/// Takes the folder's lock, without waiting.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("breachclock.lock");
    let unusable =
        |error: std::io::Error| StoreError::Backend(format!("`{}` cannot be locked: {error}", path.display()));
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(dir.display().to_string())),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(body)
        .map_err(|error| StoreError::Backend(format!("a thread cannot be started: {error}")))
}

fn backend(error: rusqlite::Error) -> StoreError {
    StoreError::Backend(format!("{error}; free space or check the disk"))
}
