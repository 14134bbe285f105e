//! A store that fails on command, for tests: each write can fail before its effect, or after it with the answer lost.

use super::{
    AccountRecord, Changeset, Claim, Dossier, Due, Idempotency, Lane, Query, Receipt, Result, Settlement, Store,
    StoreError, StoredAnchor, StoredCheckpoint, StoredEntry, TokenRecord,
};
use crate::escalation::Sent;
use crate::evidence::{Draft, Head, StreamHead};
use crate::law::IncidentId;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Where a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was written.
    Before,
    /// Everything was written and the caller is told that it was not.
    After,
}

/// A store whose writes are counted from 0 and fail where [`FaultyStore::fail`] says.
#[derive(Debug)]
pub struct FaultyStore<S> {
    inner: S,
    writes: AtomicU64,
    faults: Mutex<BTreeMap<u64, Fault>>,
}

impl<S: Store> FaultyStore<S> {
    pub fn new(inner: S) -> FaultyStore<S> {
        FaultyStore { inner, writes: AtomicU64::new(0), faults: Mutex::new(BTreeMap::new()) }
    }

    /// Write number `nth` (counted over all kinds of writes, from 0) will fail. The ones after it succeed.
    pub fn fail(&self, nth: u64, fault: Fault) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).insert(nth, fault);
    }

    /// The next write will fail.
    pub fn fail_next(&self, fault: Fault) {
        self.fail(self.writes(), fault);
    }

    /// Writes attempted so far.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    pub fn inner(&self) -> &S {
        &self.inner
    }

    async fn write<T>(&self, effect: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let nth = self.writes.fetch_add(1, Ordering::SeqCst);
        let fault = self.faults.lock().unwrap_or_else(PoisonError::into_inner).remove(&nth);
        let told = |when: &str| StoreError::Backend(format!("a test made write {nth} fail {when} its effect"));
        match fault {
            None => effect.await,
            Some(Fault::Before) => Err(told("before")),
            Some(Fault::After) => {
                effect.await?;
                Err(told("after"))
            }
        }
    }
}

impl<S: Store> Store for FaultyStore<S> {
    async fn commit(&self, change: Changeset) -> Result<Receipt> {
        self.write(self.inner.commit(change)).await
    }

    async fn sent(&self, id: &IncidentId, limit: u32) -> Result<Vec<Sent>> {
        self.inner.sent(id, limit).await
    }

    async fn claim_outbox(&self, lane: Lane, now: Timestamp, lease_seconds: u32, limit: u32) -> Result<Vec<Claim>> {
        self.write(self.inner.claim_outbox(lane, now, lease_seconds, limit)).await
    }

    async fn settle(&self, claims: Vec<(Claim, Settlement, Draft)>) -> Result<Vec<Result<()>>> {
        self.write(self.inner.settle(claims)).await
    }

    async fn replace_checkpoint(&self, old: Option<u64>, new: StoredCheckpoint) -> Result<()> {
        self.write(self.inner.replace_checkpoint(old, new)).await
    }

    async fn add_anchor(&self, anchor: StoredAnchor) -> Result<()> {
        self.write(self.inner.add_anchor(anchor)).await
    }

    async fn prove(&self, now: Timestamp) -> Result<()> {
        self.write(self.inner.prove(now)).await
    }

    fn dossier(&self, id: &IncidentId) -> impl Future<Output = Result<Dossier>> + Send {
        self.inner.dossier(id)
    }

    fn list(&self, query: Query) -> impl Future<Output = Result<Vec<Dossier>>> + Send {
        self.inner.list(query)
    }

    fn accepted(&self, key: &Idempotency) -> impl Future<Output = Result<Option<(IncidentId, bool)>>> + Send {
        self.inner.accepted(key)
    }

    fn reported(&self, source: &str, reference: &str) -> impl Future<Output = Result<Option<IncidentId>>> + Send {
        self.inner.reported(source, reference)
    }

    fn due(&self, now: Timestamp, limit: u32) -> impl Future<Output = Result<Due>> + Send {
        self.inner.due(now, limit)
    }

    fn next_outbox(&self, lane: Lane) -> impl Future<Output = Result<Option<Timestamp>>> + Send {
        self.inner.next_outbox(lane)
    }

    fn entries(&self, range: Range<u64>) -> impl Future<Output = Result<Vec<StoredEntry>>> + Send {
        self.inner.entries(range)
    }

    fn stream(&self, stream: &str) -> impl Future<Output = Result<Vec<StoredEntry>>> + Send {
        self.inner.stream(stream)
    }

    fn disclosures(&self, stream: &str) -> impl Future<Output = Result<BTreeMap<[u8; 32], Vec<u8>>>> + Send {
        self.inner.disclosures(stream)
    }

    fn head(&self) -> impl Future<Output = Result<Head>> + Send {
        self.inner.head()
    }

    fn nodes(&self, wanted: Vec<(u8, u64)>) -> impl Future<Output = Result<Vec<Option<[u8; 32]>>>> + Send {
        self.inner.nodes(wanted)
    }

    fn stream_head(&self, stream: &str) -> impl Future<Output = Result<StreamHead>> + Send {
        self.inner.stream_head(stream)
    }

    fn checkpoint(&self) -> impl Future<Output = Result<Option<StoredCheckpoint>>> + Send {
        self.inner.checkpoint()
    }

    fn checkpoint_over(&self, size: u64) -> impl Future<Output = Result<Option<StoredCheckpoint>>> + Send {
        self.inner.checkpoint_over(size)
    }

    fn anchor_over(
        &self,
        kind: &'static str,
        size: u64,
    ) -> impl Future<Output = Result<Option<(StoredCheckpoint, StoredAnchor)>>> + Send {
        self.inner.anchor_over(kind, size)
    }

    fn last_anchor(&self, kind: &'static str) -> impl Future<Output = Result<Option<StoredAnchor>>> + Send {
        self.inner.last_anchor(kind)
    }

    fn last_anchor_of(
        &self,
        kind: &'static str,
        url: &str,
    ) -> impl Future<Output = Result<Option<StoredAnchor>>> + Send {
        self.inner.last_anchor_of(kind, url)
    }

    fn anchors_at(&self, kind: &'static str, size: u64) -> impl Future<Output = Result<Vec<StoredAnchor>>> + Send {
        self.inner.anchors_at(kind, size)
    }

    fn tokens(&self) -> impl Future<Output = Result<Vec<TokenRecord>>> + Send {
        self.inner.tokens()
    }

    fn accounts(&self) -> impl Future<Output = Result<Vec<AccountRecord>>> + Send {
        self.inner.accounts()
    }
}
