//! A store seen by one node: it can fail like a full disk, and the node can die at any await of it.

use breachclock::escalation::Sent;
use breachclock::evidence::{Draft, Head, StreamHead};
use breachclock::law::IncidentId;
use breachclock::store::*;
use breachclock::time::Timestamp;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use tokio::sync::Notify;

pub trait Shared: Store {}
impl<S: Store> Shared for S {}

/// What the world does to one node.
#[derive(Default)]
pub struct Fate {
    /// Awaits of the store until the node dies; negative: it lives.
    pub fuse: AtomicI64,
    /// Writes fail before their effect.
    pub disk_full: AtomicBool,
    /// Told when the fuse has burnt down.
    pub died: Notify,
}

impl Fate {
    pub fn new() -> Arc<Fate> {
        Arc::new(Fate { fuse: AtomicI64::new(-1), ..Fate::default() })
    }

    /// One point at which the process may end.
    async fn point(&self) {
        if self.fuse.load(Ordering::SeqCst) < 0 {
            return;
        }
        if self.fuse.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

pub struct NodeStore<S> {
    pub inner: Arc<S>,
    pub fate: Arc<Fate>,
}

impl<S: Store> NodeStore<S> {
    async fn read<T>(&self, effect: impl Future<Output = T> + Send) -> T {
        self.fate.point().await;
        effect.await
    }

    async fn write<T>(&self, effect: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.fate.point().await;
        if self.fate.disk_full.load(Ordering::SeqCst) {
            return Err(StoreError::Backend("database or disk is full".into()));
        }
        let done = effect.await;
        self.fate.point().await;
        done
    }
}

impl<S: Store> Store for NodeStore<S> {
    async fn commit(&self, change: Changeset) -> Result<Receipt> {
        self.write(self.inner.commit(change)).await
    }
    async fn dossier(&self, id: &IncidentId) -> Result<Dossier> {
        self.read(self.inner.dossier(id)).await
    }
    async fn sent(&self, id: &IncidentId, limit: u32) -> Result<Vec<Sent>> {
        self.read(self.inner.sent(id, limit)).await
    }
    async fn list(&self, query: Query) -> Result<Vec<Dossier>> {
        self.read(self.inner.list(query)).await
    }
    async fn accepted(&self, key: &Idempotency) -> Result<Option<(IncidentId, bool)>> {
        self.read(self.inner.accepted(key)).await
    }
    async fn reported(&self, source: &str, reference: &str) -> Result<Option<IncidentId>> {
        self.read(self.inner.reported(source, reference)).await
    }
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Due> {
        self.read(self.inner.due(now, limit)).await
    }
    async fn claim_outbox(&self, lane: Lane, now: Timestamp, lease_seconds: u32, limit: u32) -> Result<Vec<Claim>> {
        self.write(self.inner.claim_outbox(lane, now, lease_seconds, limit)).await
    }
    async fn next_outbox(&self, lane: Lane) -> Result<Option<Timestamp>> {
        self.read(self.inner.next_outbox(lane)).await
    }
    async fn settle(&self, claims: Vec<(Claim, Settlement, Draft)>) -> Result<Vec<Result<()>>> {
        self.write(self.inner.settle(claims)).await
    }
    async fn entries(&self, range: Range<u64>) -> Result<Vec<StoredEntry>> {
        self.read(self.inner.entries(range)).await
    }
    async fn stream(&self, stream: &str) -> Result<Vec<StoredEntry>> {
        self.read(self.inner.stream(stream)).await
    }
    async fn disclosures(&self, stream: &str) -> Result<BTreeMap<[u8; 32], Vec<u8>>> {
        self.read(self.inner.disclosures(stream)).await
    }
    async fn head(&self) -> Result<Head> {
        self.read(self.inner.head()).await
    }
    async fn nodes(&self, wanted: Vec<(u8, u64)>) -> Result<Vec<Option<[u8; 32]>>> {
        self.read(self.inner.nodes(wanted)).await
    }
    async fn stream_head(&self, stream: &str) -> Result<StreamHead> {
        self.read(self.inner.stream_head(stream)).await
    }
    async fn checkpoint(&self) -> Result<Option<StoredCheckpoint>> {
        self.read(self.inner.checkpoint()).await
    }
    async fn replace_checkpoint(&self, old: Option<u64>, new: StoredCheckpoint) -> Result<()> {
        self.write(self.inner.replace_checkpoint(old, new)).await
    }
    async fn checkpoint_over(&self, size: u64) -> Result<Option<StoredCheckpoint>> {
        self.read(self.inner.checkpoint_over(size)).await
    }
    async fn add_anchor(&self, anchor: StoredAnchor) -> Result<()> {
        self.write(self.inner.add_anchor(anchor)).await
    }
    async fn anchor_over(&self, kind: &'static str, size: u64) -> Result<Option<(StoredCheckpoint, StoredAnchor)>> {
        self.read(self.inner.anchor_over(kind, size)).await
    }
    async fn last_anchor(&self, kind: &'static str) -> Result<Option<StoredAnchor>> {
        self.read(self.inner.last_anchor(kind)).await
    }
    async fn last_anchor_of(&self, kind: &'static str, url: &str) -> Result<Option<StoredAnchor>> {
        self.read(self.inner.last_anchor_of(kind, url)).await
    }
    async fn anchors_at(&self, kind: &'static str, size: u64) -> Result<Vec<StoredAnchor>> {
        self.read(self.inner.anchors_at(kind, size)).await
    }
    async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        self.read(self.inner.tokens()).await
    }

    async fn accounts(&self) -> Result<Vec<AccountRecord>> {
        self.read(self.inner.accounts()).await
    }
    async fn prove(&self, now: Timestamp) -> Result<()> {
        self.write(self.inner.prove(now)).await
    }
}
