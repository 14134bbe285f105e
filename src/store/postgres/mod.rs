//! The store in a PostgreSQL database that several nodes share.
//!
//! ```text
//!  node A ─┐                        ┌─ commit, settle: BEGIN; lock the row `log`; check; write; COMMIT
//!          ├─ pool of connections ──┼─ claim:  one statement, FOR UPDATE SKIP LOCKED
//!  node B ─┘                        └─ reads:  one statement each
//! ```
//! * Who appends locks the head of the log first. All writers of all nodes stand in one row, so checking before writing
//!   is enough, indices are dense and in the order of the commits, and no transaction has to be repeated.
//! * Nothing is kept in memory: what another node wrote is seen by the next call. There is no leader and no lock that
//!   outlives a transaction; a node that dies holds the log for 15 seconds at most (see `settings`), its claims until
//!   their leases end.
//! * `synchronous_commit` is at least `on`, whatever the server says. With a synchronous standby configured on the
//!   server, what was acknowledged survives the loss of the primary.
//! * Connections are direct or through a pooler in session mode: prepared statements and settings belong to a session.
//!
//! # Clocks
//! Leases and wake-ups are compared with the `now` of the node that calls, as the contract says; the database's clock
//! decides nothing. Nodes whose clocks differ wake early or late by the difference. A node that is ahead by more than the
//! rest of a lease takes a message over while its holder still works on it: the message goes out twice, with one id; the
//! fencing number lets only the later claim settle it. A node that is behind takes over later. Nothing is lost and the
//! log stays right in either case. A difference of more than five seconds to the database is logged by the proving loop.

mod anchor;
mod batch;
mod commit;
mod erase;
mod keys;
mod migrations;
mod outbox;
mod pool;
mod read;
mod settings;

pub use settings::Settings;

use super::keys::Keeper;
use super::prepared::{Commit, Lease, Leased, Settling, keys_for};
use super::sealed::Sealed;
use super::{
    AccountRecord, Change, Changeset, Claim, Dossier, Due, Idempotency, Lane, Query, Receipt, Result, Settlement,
    Store, StoreError, StoredAnchor, StoredCheckpoint, StoredEntry, TokenRecord, pack,
};
use crate::escalation::Sent;
use crate::evidence::{Checkpoint, Draft, Head, PublicKey, StreamHead, leaf_hash};
use crate::law::IncidentId;
use crate::time::Timestamp;
use batch::{Work, maybe, one, read_head, run};
use deadpool_postgres::Object;
use keys::ServerKeys;
use pool::{Pool, backend, within};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Semaphore;

/// Write transactions of one node at a time: one that commits, one that waits for the log. More would only keep
/// connections from the readers.
const WRITERS: usize = 2;

/// A clock that differs by more from the database's is worth a line in the log, microseconds.
const SKEW: i64 = 5_000_000;

/// A log in a database, shared with other nodes.
pub struct PgStore {
    pool: Pool,
    keys: ServerKeys,
    origin: String,
    writers: Semaphore,
    skewed: AtomicBool,
}

impl fmt::Debug for PgStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PgStore({})", self.origin)
    }
}

impl PgStore {
    /// Connects, makes the tables when there are none, and checks the end of the log. `origin` is the name of its log and
    /// `key` signs its checkpoints, for ever: a database made with others is refused. `keeper` has the key that wraps the
    /// data keys, the same on every node.
    pub async fn open(settings: &Settings, origin: &str, key: &PublicKey, keeper: Keeper) -> Result<PgStore> {
        let pool = Pool::new(settings)?;
        let mut client = pool.get().await?;
        within(migrations::migrate(&mut client)).await?;
        within(belongs(&client, origin, key)).await?;
        within(check_end(&mut client)).await?;
        let keys = ServerKeys::open(settings, keeper).await?;
        erase::seal_plain(&mut client, &keys).await?;
        erase::clear(&client, &keys).await?;
        drop(client);
        let writers = Semaphore::new(WRITERS);
        Ok(PgStore { pool, keys, origin: origin.to_string(), writers, skewed: AtomicBool::new(false) })
    }

    /// Connects and asks the server's version; makes and changes nothing.
    pub async fn reach(settings: &Settings) -> Result<String> {
        let client = Pool::new(settings)?.get().await?;
        within(async {
            let row = client.query_one("SELECT current_setting('server_version')", &[]).await.map_err(backend)?;
            row.try_get(0).map_err(backend)
        })
        .await
    }

    async fn write<W: Work>(&self, work: &W) -> Result<W::Output> {
        within(async {
            let _turn = self.writers.acquire().await.map_err(|error| StoreError::Backend(error.to_string()))?;
            batch::write(&mut self.pool.get().await?, &self.origin, work).await
        })
        .await
    }

    /// Says once when the clocks begin to differ, and once when they agree again. Microseconds.
    fn compare_clocks(&self, ours: i64, database: i64) {
        let skewed = ours.abs_diff(database) > SKEW as u64;
        if skewed == self.skewed.swap(skewed, Ordering::Relaxed) {
            return;
        }
        let seconds = (ours - database) / 1_000_000;
        if skewed {
            tracing::warn!(seconds, "the clock of this machine and that of the database differ; set both by NTP");
        } else {
            tracing::info!("the clock of this machine and that of the database agree again");
        }
    }
}

impl Store for PgStore {
    async fn commit(&self, change: Changeset) -> Result<Receipt> {
        let keys = self.keys.take(Commit::keys_for(&change)).await?;
        let erases = matches!(change.change, Change::Erase(_));
        let receipt = self.write(&Commit::prepare(change, keys)?).await?;
        if erases {
            // before the answer: who is told that it is erased may look
            let cleared = async { erase::clear(&self.pool.get().await?, &self.keys).await };
            if let Err(error) = cleared.await {
                tracing::warn!(%error, "what was erased could not be cleared yet; it is cleared at the next start");
            }
        }
        Ok(receipt)
    }

    async fn dossier(&self, id: &IncidentId) -> Result<Dossier> {
        within(async { read::dossier(&self.pool.get().await?, id).await }).await
    }

    async fn sent(&self, id: &IncidentId, limit: u32) -> Result<Vec<Sent>> {
        within(async { read::sent(&self.pool.get().await?, id, limit).await }).await
    }

    async fn list(&self, query: Query) -> Result<Vec<Dossier>> {
        within(async { read::list(&self.pool.get().await?, &query).await }).await
    }

    async fn accepted(&self, key: &Idempotency) -> Result<Option<(IncidentId, bool)>> {
        let hash = pack::request_key(pack::IDEMPOTENCY, &key.principal, &key.key);
        let found = within(async { read::accepted_by(&self.pool.get().await?, &hash).await.map_err(backend) }).await?;
        // after an erasure a request is known by its key alone
        let same = |request: Option<Vec<u8>>| request.is_none_or(|first| first == key.request);
        Ok(found.map(|(id, request)| (IncidentId(id), same(request))))
    }

    async fn reported(&self, source: &str, reference: &str) -> Result<Option<IncidentId>> {
        let hash = pack::request_key(pack::REFERENCE, source, reference);
        let found = within(async { read::accepted_by(&self.pool.get().await?, &hash).await.map_err(backend) }).await?;
        Ok(found.map(|(id, _)| IncidentId(id)))
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Due> {
        within(async { read::due(&self.pool.get().await?, pack::micros(now), limit).await.map_err(backend) }).await
    }

    async fn claim_outbox(&self, lane: Lane, now: Timestamp, lease_seconds: u32, limit: u32) -> Result<Vec<Claim>> {
        let lease = Lease::until(lane, now, lease_seconds, limit);
        let leased = within(async { outbox::claim(&self.pool.get().await?, &lease).await.map_err(backend) }).await?;
        Ok(leased.into_iter().filter_map(Leased::into_claim).collect())
    }

    async fn next_outbox(&self, lane: Lane) -> Result<Option<Timestamp>> {
        let next = within(async { read::next_outbox(&self.pool.get().await?, lane).await.map_err(backend) }).await?;
        Ok(next.map(pack::instant_of))
    }

    async fn settle(&self, claims: Vec<(Claim, Settlement, Draft)>) -> Result<Vec<Result<()>>> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let keys = self.keys.take(keys_for(claims.iter().map(|(_, _, draft)| draft))).await?;
        self.write(&outbox::Settle(Settling::prepare_all(claims, keys))).await
    }

    async fn entries(&self, range: Range<u64>) -> Result<Vec<StoredEntry>> {
        within(async { read::entries(&self.pool.get().await?, range).await.map_err(backend) }).await
    }

    async fn stream(&self, stream: &str) -> Result<Vec<StoredEntry>> {
        within(async { read::stream(&self.pool.get().await?, stream).await.map_err(backend) }).await
    }

    async fn disclosures(&self, stream: &str) -> Result<BTreeMap<[u8; 32], Vec<u8>>> {
        let stored = within(async { read::disclosures(&self.pool.get().await?, stream).await }).await?;
        let keys = self.keys.find(stored.iter().map(|one| one.key)).await?;
        let opened = |one: Sealed| keys.get(&one.key).map(|key| Ok((one.commitment, one.open(key)?)));
        stored.into_iter().filter_map(opened).collect()
    }

    async fn head(&self) -> Result<Head> {
        within(async { stored_head(&self.pool.get().await?).await }).await
    }

    async fn nodes(&self, wanted: Vec<(u8, u64)>) -> Result<Vec<Option<[u8; 32]>>> {
        within(async { read::nodes(&self.pool.get().await?, &wanted).await.map_err(backend) }).await
    }

    async fn stream_head(&self, stream: &str) -> Result<StreamHead> {
        within(async { read::stream_head(&self.pool.get().await?, stream).await.map_err(backend) }).await
    }

    async fn checkpoint(&self) -> Result<Option<StoredCheckpoint>> {
        within(async { read::checkpoint(&self.pool.get().await?).await.map_err(backend) }).await
    }

    async fn replace_checkpoint(&self, old: Option<u64>, new: StoredCheckpoint) -> Result<()> {
        self.write(&commit::ReplaceCheckpoint { old, new }).await
    }

    async fn checkpoint_over(&self, size: u64) -> Result<Option<StoredCheckpoint>> {
        within(async { anchor::checkpoint_over(&self.pool.get().await?, size).await.map_err(backend) }).await
    }

    async fn add_anchor(&self, anchor: StoredAnchor) -> Result<()> {
        within(async { anchor::add(&self.pool.get().await?, &anchor).await }).await
    }

    async fn anchor_over(&self, kind: &'static str, size: u64) -> Result<Option<(StoredCheckpoint, StoredAnchor)>> {
        within(async { anchor::over(&self.pool.get().await?, kind, size).await.map_err(backend) }).await
    }

    async fn last_anchor(&self, kind: &'static str) -> Result<Option<StoredAnchor>> {
        within(async { anchor::last(&self.pool.get().await?, kind).await.map_err(backend) }).await
    }

    async fn last_anchor_of(&self, kind: &'static str, url: &str) -> Result<Option<StoredAnchor>> {
        within(async { anchor::last_of(&self.pool.get().await?, kind, url).await.map_err(backend) }).await
    }

    async fn anchors_at(&self, kind: &'static str, size: u64) -> Result<Vec<StoredAnchor>> {
        within(async { anchor::all_at(&self.pool.get().await?, kind, size).await.map_err(backend) }).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        within(async { read::packed(&self.pool.get().await?, "token").await }).await
    }

    async fn accounts(&self) -> Result<Vec<AccountRecord>> {
        within(async { read::packed(&self.pool.get().await?, "account").await }).await
    }

    async fn prove(&self, now: Timestamp) -> Result<()> {
        let now = pack::micros(now);
        let proof = "UPDATE log SET serial = serial + 1, proven_at = $1
                     RETURNING serial, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let (written, database): (i64, i64) = within(async {
            let row = one(&self.pool.get().await?, proof, &[&now]).await.map_err(backend)?;
            Ok((row.try_get(0).map_err(backend)?, row.try_get(1).map_err(backend)?))
        })
        .await?;
        self.compare_clocks(now, database);
        let read = within(async { read::serial(&self.pool.get().await?).await.map_err(backend) }).await?;
        if read < written {
            return Err(StoreError::Backend("a write cannot be read back; check the database server".into()));
        }
        Ok(())
    }
}

/// Refuses the database of another log.
async fn belongs(client: &Object, origin: &str, key: &PublicKey) -> Result<()> {
    run(
        client,
        "INSERT INTO log (one, origin, key, head, serial, proven_at) VALUES (1, $1, $2, $3, 0, 0) ON CONFLICT DO NOTHING",
        &[&origin, &&key.0[..], &Head::default().to_bytes()],
    )
    .await
    .map_err(backend)?;
    let row = one(client, "SELECT origin, key FROM log", &[]).await.map_err(backend)?;
    let (stored, stored_key): (String, Vec<u8>) = (row.try_get(0).map_err(backend)?, row.try_get(1).map_err(backend)?);
    if stored != origin {
        return Err(StoreError::Backend(format!(
            "the log in this database is named `{stored}`, not `{origin}`; a log keeps its name"
        )));
    }
    // a change of the key: the newest checkpoint is signed by both, so that this one was put in force by the one before
    let followed = match read::checkpoint(client).await.map_err(backend)? {
        Some(newest) if stored_key != key.0 => {
            Checkpoint::parse(&newest.note).and_then(|note| note.verify(origin, key)).is_ok()
        }
        _ => false,
    };
    if followed {
        run(client, "UPDATE log SET key = $1", &[&&key.0[..]]).await.map_err(backend)?;
    } else if stored_key != key.0 {
        return Err(StoreError::Backend(
            "the log in this database is signed with another key; copy `keys/` from the data folder of the node that made it"
                .into(),
        ));
    }
    Ok(())
}

async fn stored_head(sql: &impl deadpool_postgres::GenericClient) -> Result<Head> {
    let row = one(sql, "SELECT head FROM log", &[]).await.map_err(backend)?;
    read_head(row.try_get(0).map_err(backend)?)
}

/// Compares the stored head with the stored nodes, and the last entry with its own hash. Other nodes go on meanwhile.
async fn check_end(client: &mut Object) -> Result<()> {
    let snapshot = tokio_postgres::IsolationLevel::RepeatableRead;
    let sql = client.build_transaction().isolation_level(snapshot).read_only(true).start().await.map_err(backend)?;
    let head = stored_head(&sql).await?;
    let last = maybe(&sql, "SELECT idx, nodes, bytes FROM entry ORDER BY idx DESC LIMIT 1", &[]);
    let (size, sound) = match last.await.map_err(backend)? {
        None => (0, true),
        Some(row) => {
            let (idx, nodes, bytes): (i64, &[u8], &[u8]) =
                (row.try_get(0).map_err(backend)?, row.try_get(1).map_err(backend)?, row.try_get(2).map_err(backend)?);
            (idx as u64 + 1, nodes.first_chunk() == Some(&leaf_hash(bytes)))
        }
    };
    let stored = commit::head_at(&sql, size).await.map_err(backend)?;
    if sound && stored.as_ref() == Some(&head) {
        return Ok(());
    }
    Err(StoreError::Backend(format!(
        "the evidence log is damaged near entry {}; keep the database as it is, run `breachclock evidence fsck`, restore a backup",
        size.saturating_sub(1)
    )))
}

/// Text as the database takes it: it knows no NUL, which only a hostile or broken peer sends.
fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
