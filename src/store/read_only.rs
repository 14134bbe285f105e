//! A store that only answers: to look at a log that must not grow.

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

/// Refuses every write, in words that say why.
#[derive(Debug)]
pub struct ReadOnly<S>(pub S);

fn refused<T>() -> Result<T> {
    Err(StoreError::Backend(
        "this daemon was started with `--read-only`: nothing is recorded and nobody is told".into(),
    ))
}

impl<S: Store> Store for ReadOnly<S> {
    async fn commit(&self, _: Changeset) -> Result<Receipt> {
        refused()
    }

    async fn claim_outbox(&self, _: Lane, _: Timestamp, _: u32, _: u32) -> Result<Vec<Claim>> {
        refused()
    }

    async fn settle(&self, _: Vec<(Claim, Settlement, Draft)>) -> Result<Vec<Result<()>>> {
        refused()
    }

    async fn replace_checkpoint(&self, _: Option<u64>, _: StoredCheckpoint) -> Result<()> {
        refused()
    }

    async fn prove(&self, _: Timestamp) -> Result<()> {
        refused()
    }

    fn sent(&self, id: &IncidentId, limit: u32) -> impl Future<Output = Result<Vec<Sent>>> + Send {
        self.0.sent(id, limit)
    }

    fn dossier(&self, id: &IncidentId) -> impl Future<Output = Result<Dossier>> + Send {
        self.0.dossier(id)
    }

    fn list(&self, query: Query) -> impl Future<Output = Result<Vec<Dossier>>> + Send {
        self.0.list(query)
    }

    fn accepted(&self, key: &Idempotency) -> impl Future<Output = Result<Option<(IncidentId, bool)>>> + Send {
        self.0.accepted(key)
    }

    fn reported(&self, source: &str, reference: &str) -> impl Future<Output = Result<Option<IncidentId>>> + Send {
        self.0.reported(source, reference)
    }

    fn due(&self, now: Timestamp, limit: u32) -> impl Future<Output = Result<Due>> + Send {
        self.0.due(now, limit)
    }

    fn next_outbox(&self, lane: Lane) -> impl Future<Output = Result<Option<Timestamp>>> + Send {
        self.0.next_outbox(lane)
    }

    fn entries(&self, range: Range<u64>) -> impl Future<Output = Result<Vec<StoredEntry>>> + Send {
        self.0.entries(range)
    }

    fn stream(&self, stream: &str) -> impl Future<Output = Result<Vec<StoredEntry>>> + Send {
        self.0.stream(stream)
    }

    fn disclosures(&self, stream: &str) -> impl Future<Output = Result<BTreeMap<[u8; 32], Vec<u8>>>> + Send {
        self.0.disclosures(stream)
    }

    fn head(&self) -> impl Future<Output = Result<Head>> + Send {
        self.0.head()
    }

    fn nodes(&self, wanted: Vec<(u8, u64)>) -> impl Future<Output = Result<Vec<Option<[u8; 32]>>>> + Send {
        self.0.nodes(wanted)
    }

    fn stream_head(&self, stream: &str) -> impl Future<Output = Result<StreamHead>> + Send {
        self.0.stream_head(stream)
    }

    fn checkpoint(&self) -> impl Future<Output = Result<Option<StoredCheckpoint>>> + Send {
        self.0.checkpoint()
    }

    fn checkpoint_over(&self, size: u64) -> impl Future<Output = Result<Option<StoredCheckpoint>>> + Send {
        self.0.checkpoint_over(size)
    }

    async fn add_anchor(&self, _: StoredAnchor) -> Result<()> {
        refused()
    }

    fn anchor_over(
        &self,
        kind: &'static str,
        size: u64,
    ) -> impl Future<Output = Result<Option<(StoredCheckpoint, StoredAnchor)>>> + Send {
        self.0.anchor_over(kind, size)
    }

    fn last_anchor(&self, kind: &'static str) -> impl Future<Output = Result<Option<StoredAnchor>>> + Send {
        self.0.last_anchor(kind)
    }

    fn last_anchor_of(
        &self,
        kind: &'static str,
        url: &str,
    ) -> impl Future<Output = Result<Option<StoredAnchor>>> + Send {
        self.0.last_anchor_of(kind, url)
    }

    fn anchors_at(&self, kind: &'static str, size: u64) -> impl Future<Output = Result<Vec<StoredAnchor>>> + Send {
        self.0.anchors_at(kind, size)
    }

    fn tokens(&self) -> impl Future<Output = Result<Vec<TokenRecord>>> + Send {
        self.0.tokens()
    }

    fn accounts(&self) -> impl Future<Output = Result<Vec<AccountRecord>>> + Send {
        self.0.accounts()
    }
}
