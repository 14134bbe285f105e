//! The same contract in memory: for tests, and for asking "what if" without a file.
//!
//! One lock, held for each call and never across a wait. Nothing here survives the process.

use super::queue::Queues;
use super::wakes::Wakes;
use super::{
    Access, AccountRecord, Change, Changeset, Claim, Delivery, Dossier, Due, Erasure, Idempotency, Lane, Query,
    Receipt, Record, Result, Settlement, Store, StoreError, StoredAnchor, StoredCheckpoint, StoredEntry, TokenRecord,
    pack,
};
use crate::escalation::{DeliveryState, Message, Sent};
use crate::evidence::{Disclosure, Draft, EvidenceEntry, Head, Nodes, StreamHead, completed_nodes, merkle, seal};
use crate::law::IncidentId;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Row of the house, which is no incident.
const HOUSE: usize = usize::MAX;

/// A store without a file.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    origin: String,
    head: Head,
    /// Complete subtrees by level.
    nodes: Vec<Vec<[u8; 32]>>,
    entries: Vec<StoredEntry>,
    disclosures: BTreeMap<u64, Vec<Disclosure>>,
    streams: BTreeMap<String, Stream>,
    incidents: Vec<StoredIncident>,
    rows: BTreeMap<IncidentId, usize>,
    /// Idempotency keys with their request, references without; see [`pack::request_key`].
    accepted: BTreeMap<[u8; 32], (usize, Option<[u8; 32]>)>,
    sent: Vec<Sent>,
    sent_rows: BTreeMap<(usize, [u8; 16]), usize>,
    /// Messages about no incident; they belong to the row [`HOUSE`].
    house: Vec<usize>,
    wakes: Wakes,
    queue: Queues,
    tokens: BTreeMap<String, TokenRecord>,
    accounts: BTreeMap<String, AccountRecord>,
    checkpoint: Option<StoredCheckpoint>,
    checkpoints: BTreeMap<u64, StoredCheckpoint>,
    anchors: Vec<StoredAnchor>,
}

#[derive(Debug, Default)]
struct Stream {
    head: StreamHead,
    entries: Vec<u64>,
}

#[derive(Debug)]
struct StoredIncident {
    record: Record,
    version: u64,
    wake_at: Option<i64>,
    sent: Vec<usize>,
}

impl MemoryStore {
    /// An empty store whose log is named `origin`.
    pub fn new(origin: &str) -> MemoryStore {
        MemoryStore { state: Mutex::new(State { origin: origin.to_string(), ..State::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // every change below is made after all checks: a panic elsewhere leaves nothing half done
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Nodes for State {
    fn node(&self, level: u8, index: u64) -> Option<[u8; 32]> {
        self.nodes.get(usize::from(level))?.get(usize::try_from(index).ok()?).copied()
    }
}

impl State {
    fn append(&mut self, draft: &Draft) -> (u64, [u8; 32]) {
        let stream = self.streams.entry(draft.stream.clone()).or_default();
        let idx = self.head.size;
        let EvidenceEntry { n, bytes, leaf, sha256, .. } = seal(draft, &self.origin, idx, &stream.head);
        stream.head = StreamHead { n, prev: sha256 };
        stream.entries.push(idx);
        for (level, _, hash) in completed_nodes(idx, leaf, &self.head) {
            let level = usize::from(level);
            if self.nodes.len() == level {
                self.nodes.push(Vec::new());
            }
            self.nodes[level].push(hash);
        }
        self.head.append(leaf);
        self.entries.push(StoredEntry { idx, stream: draft.stream.clone(), n, bytes });
        if !draft.disclosures.is_empty() {
            self.disclosures.insert(idx, draft.disclosures.clone());
        }
        (idx, leaf)
    }

    fn incident(
        &mut self,
        expected: Option<u64>,
        record: Record,
        wake_at: Option<Timestamp>,
        messages: Vec<Message>,
        idempotency: Option<Idempotency>,
    ) -> Result<u64> {
        let asked = idempotency.map(|i| (pack::request_key(pack::IDEMPOTENCY, &i.principal, &i.key), Some(i.request)));
        let reference = match (&record.incident.source, &record.incident.reference, expected) {
            (Some(source), Some(reference), None) => {
                Some((pack::request_key(pack::REFERENCE, source, reference), None))
            }
            _ => None,
        };
        for (key, request) in asked.iter().chain(&reference) {
            if let Some((row, first)) = self.accepted.get(key) {
                let incident = self.incidents[*row].record.incident.id.clone();
                return Err(StoreError::Duplicate { incident, same_request: first.is_none() || first == request });
            }
        }
        let row = self.rows.get(&record.incident.id).copied();
        let stored = row.map(|row| self.incidents[row].version);
        if stored != expected {
            return Err(StoreError::Conflict { stored });
        }
        let (version, wake_at) = (stored.unwrap_or(0) + 1, wake_at.map(pack::micros_up));
        let row = row.unwrap_or_else(|| {
            self.rows.insert(record.incident.id.clone(), self.incidents.len());
            self.incidents.push(StoredIncident { record: record.clone(), version, wake_at: None, sent: Vec::new() });
            self.incidents.len() - 1
        });
        let incident = &mut self.incidents[row];
        self.wakes.set(row as i64, incident.wake_at, wake_at);
        (incident.record, incident.version, incident.wake_at) = (record, version, wake_at);
        for (key, request) in asked.into_iter().chain(reference) {
            self.accepted.insert(key, (row, request));
        }
        for message in messages {
            if let Some(at) = self.queue_message(row, message) {
                self.incidents[row].sent.push(at);
            }
        }
        Ok(version)
    }

    /// Where a new message stands; `None` when it is known.
    fn queue_message(&mut self, row: usize, message: Message) -> Option<usize> {
        let at = self.sent.len();
        match self.sent_rows.entry((row, pack::message_key(&message))) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(free) => free.insert(at),
        };
        let (urgent_at, made_at) = (pack::micros(message.urgent_at), pack::micros(message.created_at));
        self.queue.insert(Lane::of(&message.target), at as i64, urgent_at, made_at);
        self.sent.push(Sent {
            message: message.into(),
            state: DeliveryState::Queued,
            attempts: 0,
            settled_at: None,
            detail: None,
        });
        Some(at)
    }

    fn row_of(&self, id: &IncidentId) -> Option<usize> {
        if *id == IncidentId::house() { Some(HOUSE) } else { self.rows.get(id).copied() }
    }

    /// Rings an incident's alarm at `at`, if it has one that is later.
    fn wake(&mut self, row: usize, at: i64) {
        let Some(incident) = self.incidents.get_mut(row) else { return };
        if incident.record.incident.closed_at.is_none() && incident.wake_at.is_some_and(|before| before > at) {
            self.wakes.set(row as i64, incident.wake_at, Some(at));
            incident.wake_at = Some(at);
        }
    }

    fn advance(&mut self, news: &Delivery) -> Result<()> {
        let row = self.row_of(&news.incident).ok_or(StoreError::NotFound)?;
        let sent = *self.sent_rows.get(&(row, pack::key_of(&news.key))).ok_or(StoreError::NotFound)?;
        if !self.sent[sent].state.may_become(news.state) {
            return Err(StoreError::OldNews);
        }
        let at = pack::micros(news.at);
        self.sent[sent].state = news.state;
        self.sent[sent].settled_at = Some(pack::instant_of(at));
        self.sent[sent].detail = Some(news.detail.clone());
        self.queue.remove(sent as i64);
        self.wake(row, at);
        Ok(())
    }

    fn erase(&mut self, erasure: Erasure) -> Result<u64> {
        let Erasure { expected, record, wake_at, commitments, messages, reference } = erasure;
        let id = record.incident.id.clone();
        let version = self.incident(Some(expected), record, wake_at, Vec::new(), None)?;
        let row = self.rows[&id];
        let entries = self.streams.get(&id.0).map(|stream| stream.entries.as_slice()).unwrap_or_default();
        for idx in entries {
            if let Some(disclosures) = self.disclosures.get_mut(idx) {
                disclosures.retain(|disclosure| !commitments.contains(&disclosure.commitment));
            }
        }
        for (message, detail) in messages {
            let Some(stream) = self.row_of(&message.incident) else { continue };
            if let Some(&at) = self.sent_rows.get(&(stream, pack::message_key(&message))) {
                (self.sent[at].message, self.sent[at].detail) = (message.into(), detail);
            }
        }
        let forgotten = reference.map(|(source, text)| pack::request_key(pack::REFERENCE, &source, &text));
        self.accepted.retain(|key, (incident, request)| {
            if *incident == row {
                *request = None;
            }
            *incident != row || Some(*key) != forgotten
        });
        Ok(version)
    }

    fn commit(&mut self, change: Changeset) -> Result<Receipt> {
        let version = match change.change {
            Change::Incident { expected, record, wake_at, messages, idempotency } => {
                self.incident(expected, record, wake_at, messages, idempotency)?
            }
            Change::Messages(messages) => {
                for message in messages {
                    if let Some(at) = self.queue_message(HOUSE, message) {
                        self.house.push(at);
                    }
                }
                0
            }
            Change::Delivery(news) => {
                self.advance(&news)?;
                0
            }
            Change::Erase(erasure) => self.erase(*erasure)?,
            Change::Token(token) => {
                self.tokens.insert(token.id.clone(), token);
                0
            }
            Change::Access(access) => {
                self.let_in(*access)?;
                0
            }
            Change::Nothing => 0,
        };
        let entries = std::iter::once(&change.first).chain(&change.more).map(|draft| self.append(draft)).collect();
        Ok(Receipt { version, entries })
    }

    fn let_in(&mut self, access: Access) -> Result<()> {
        if let Some(account) = access.account {
            let before = self.accounts.get(&account.id).map_or(0, |before| before.version);
            let taken = self.accounts.values().any(|other| other.login == account.login && other.id != account.id);
            if taken || before + 1 != account.version {
                return Err(StoreError::Conflict { stored: None });
            }
            self.accounts.insert(account.id.clone(), account);
        }
        access.ended.iter().for_each(|id| drop(self.tokens.remove(id)));
        if let Some(token) = access.opened {
            self.tokens.insert(token.id.clone(), token);
        }
        Ok(())
    }

    fn dossier(&self, row: usize) -> Dossier {
        let incident = &self.incidents[row];
        Dossier {
            version: incident.version,
            record: incident.record.clone(),
            wake_at: incident.wake_at.map(pack::instant_of),
            sent: incident.sent.iter().map(|&at| self.sent[at].clone()).collect(),
        }
    }

    fn claim(&mut self, lane: Lane, now: Timestamp, lease_seconds: u32, limit: u32) -> Vec<Claim> {
        let until = pack::micros_up(now).saturating_add(i64::from(lease_seconds) * 1_000_000);
        let set_at = pack::micros(now);
        let rows = self.queue.claimable(lane, set_at, limit as usize);
        let lease = |row: i64| {
            self.queue.wait(row, until, set_at);
            let sent = &mut self.sent[row as usize];
            sent.attempts += 1;
            Claim {
                message: Message::clone(&sent.message),
                attempt: sent.attempts,
                lease: u64::from(sent.attempts),
                leased_until: pack::instant_of(until),
            }
        };
        rows.into_iter().map(lease).collect()
    }

    fn settle(&mut self, claim: &Claim, settlement: &Settlement, draft: &Draft) -> Result<()> {
        let incident = self.row_of(&claim.message.incident).ok_or(StoreError::LeaseLost)?;
        let row = *self.sent_rows.get(&(incident, pack::message_key(&claim.message))).ok_or(StoreError::LeaseLost)?;
        let sent = &mut self.sent[row];
        if sent.state != DeliveryState::Queued || u64::from(sent.attempts) != claim.lease {
            return Err(StoreError::LeaseLost);
        }
        let settled = pack::settled(settlement);
        sent.state = settled.state;
        sent.settled_at = Some(pack::instant_of(pack::micros(settlement.at)));
        sent.detail = Some(settled.detail);
        match settled.state {
            DeliveryState::Queued => self.queue.wait(row as i64, settled.not_before, pack::micros(settlement.at)),
            _ => self.queue.remove(row as i64),
        }
        if settled.state.is_lost() {
            self.wake(incident, pack::micros(settlement.at));
        }
        self.append(draft);
        Ok(())
    }

    fn replace_checkpoint(&mut self, old: Option<u64>, new: StoredCheckpoint) -> Result<()> {
        if self.checkpoint.as_ref() == Some(&new) {
            return Ok(());
        }
        let size = self.checkpoint.as_ref().map(|c| c.size);
        let grows = size.is_none_or(|size| size < new.size) && new.size <= self.head.size;
        if size != old || !grows || merkle::root_at(self, new.size) != Some(new.root) {
            return Err(StoreError::Fork { size: new.size });
        }
        self.checkpoints.insert(new.size, new.clone());
        self.checkpoint = Some(new);
        Ok(())
    }

    fn list(&self, query: &Query) -> Result<Vec<Dossier>> {
        let before = match &query.after {
            None => self.incidents.len(),
            Some(id) => *self.rows.get(id).ok_or(StoreError::NotFound)?,
        };
        let wanted = |row: &usize| {
            let record = &self.incidents[*row].record;
            let incident = &record.incident;
            query.planned_otherwise.is_none_or(|rulebook| record.rulebook != rulebook)
                && (!query.open_only || incident.closed_at.is_none())
                && (query.entity.is_none() || query.entity == incident.entity.id)
        };
        Ok((0..before).rev().filter(wanted).take(query.limit as usize).map(|row| self.dossier(row)).collect())
    }
}

impl Store for MemoryStore {
    async fn commit(&self, change: Changeset) -> Result<Receipt> {
        self.state().commit(change)
    }

    async fn dossier(&self, id: &IncidentId) -> Result<Dossier> {
        let state = self.state();
        state.rows.get(id).map(|&row| state.dossier(row)).ok_or(StoreError::NotFound)
    }

    async fn sent(&self, id: &IncidentId, limit: u32) -> Result<Vec<Sent>> {
        let state = self.state();
        let rows = match state.row_of(id) {
            Some(HOUSE) => &state.house,
            Some(row) => &state.incidents[row].sent,
            None => return Ok(Vec::new()),
        };
        let from = rows.len().saturating_sub(limit as usize);
        Ok(rows[from..].iter().map(|&at| state.sent[at].clone()).collect())
    }

    async fn list(&self, query: Query) -> Result<Vec<Dossier>> {
        self.state().list(&query)
    }

    async fn accepted(&self, key: &Idempotency) -> Result<Option<(IncidentId, bool)>> {
        let state = self.state();
        let first = state.accepted.get(&pack::request_key(pack::IDEMPOTENCY, &key.principal, &key.key));
        Ok(first
            // after an erasure a request is known by its key alone
            .map(|(row, request)| {
                let same = request.is_none_or(|request| request == key.request);
                (state.incidents[*row].record.incident.id.clone(), same)
            }))
    }

    async fn reported(&self, source: &str, reference: &str) -> Result<Option<IncidentId>> {
        let state = self.state();
        let first = state.accepted.get(&pack::request_key(pack::REFERENCE, source, reference));
        Ok(first.map(|(row, _)| state.incidents[*row].record.incident.id.clone()))
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Due> {
        let state = self.state();
        let (rows, next) = state.wakes.due(pack::micros(now), limit as usize);
        let incidents = rows.into_iter().map(|row| state.incidents[row as usize].record.incident.id.clone()).collect();
        Ok(Due { incidents, next_wake: next.map(pack::instant_of) })
    }

    async fn claim_outbox(&self, lane: Lane, now: Timestamp, lease_seconds: u32, limit: u32) -> Result<Vec<Claim>> {
        Ok(self.state().claim(lane, now, lease_seconds, limit))
    }

    async fn next_outbox(&self, lane: Lane) -> Result<Option<Timestamp>> {
        Ok(self.state().queue.next().of(lane).map(pack::instant_of))
    }

    async fn settle(&self, claims: Vec<(Claim, Settlement, Draft)>) -> Result<Vec<Result<()>>> {
        let mut state = self.state();
        Ok(claims.iter().map(|(claim, settlement, draft)| state.settle(claim, settlement, draft)).collect())
    }

    async fn entries(&self, range: Range<u64>) -> Result<Vec<StoredEntry>> {
        let state = self.state();
        let end = range.end.min(state.head.size);
        Ok(state.entries.get(range.start.min(end) as usize..end as usize).unwrap_or_default().to_vec())
    }

    async fn stream(&self, stream: &str) -> Result<Vec<StoredEntry>> {
        let state = self.state();
        let entries = state.streams.get(stream).map(|s| s.entries.as_slice()).unwrap_or_default();
        Ok(entries.iter().map(|&idx| state.entries[idx as usize].clone()).collect())
    }

    async fn disclosures(&self, stream: &str) -> Result<BTreeMap<[u8; 32], Vec<u8>>> {
        let state = self.state();
        let entries = state.streams.get(stream).map(|s| s.entries.as_slice()).unwrap_or_default();
        let disclosed = entries.iter().filter_map(|idx| state.disclosures.get(idx)).flatten();
        Ok(disclosed.map(|d| (d.commitment, d.bytes.clone())).collect())
    }

    async fn head(&self) -> Result<Head> {
        Ok(self.state().head.clone())
    }

    async fn nodes(&self, wanted: Vec<(u8, u64)>) -> Result<Vec<Option<[u8; 32]>>> {
        let state = self.state();
        Ok(wanted.into_iter().map(|(level, index)| state.node(level, index)).collect())
    }

    async fn stream_head(&self, stream: &str) -> Result<StreamHead> {
        Ok(self.state().streams.get(stream).map(|s| s.head).unwrap_or_default())
    }

    async fn checkpoint(&self) -> Result<Option<StoredCheckpoint>> {
        Ok(self.state().checkpoint.clone())
    }

    async fn replace_checkpoint(&self, old: Option<u64>, new: StoredCheckpoint) -> Result<()> {
        self.state().replace_checkpoint(old, new)
    }

    async fn checkpoint_over(&self, size: u64) -> Result<Option<StoredCheckpoint>> {
        Ok(self.state().checkpoints.range(size..).next().map(|(_, checkpoint)| checkpoint.clone()))
    }

    async fn add_anchor(&self, anchor: StoredAnchor) -> Result<()> {
        let mut state = self.state();
        if !state.checkpoints.contains_key(&anchor.size) {
            return Err(StoreError::NotFound);
        }
        let kept = |at| pack::instant_of(pack::micros(at));
        let (requested_at, received_at) = (kept(anchor.requested_at), kept(anchor.received_at));
        state.anchors.push(StoredAnchor { requested_at, received_at, ..anchor });
        Ok(())
    }

    async fn anchor_over(&self, kind: &'static str, size: u64) -> Result<Option<(StoredCheckpoint, StoredAnchor)>> {
        let state = self.state();
        // the first of several of one size: `min_by_key` keeps it
        let anchor = state.anchors.iter().filter(|a| a.kind == kind && a.size >= size).min_by_key(|a| a.size);
        Ok(anchor.map(|anchor| (state.checkpoints[&anchor.size].clone(), anchor.clone())))
    }

    async fn last_anchor(&self, kind: &'static str) -> Result<Option<StoredAnchor>> {
        Ok(self.state().anchors.iter().rfind(|anchor| anchor.kind == kind).cloned())
    }

    async fn last_anchor_of(&self, kind: &'static str, url: &str) -> Result<Option<StoredAnchor>> {
        Ok(self.state().anchors.iter().rfind(|anchor| anchor.kind == kind && anchor.url == url).cloned())
    }

    async fn anchors_at(&self, kind: &'static str, size: u64) -> Result<Vec<StoredAnchor>> {
        Ok(self.state().anchors.iter().filter(|anchor| anchor.kind == kind && anchor.size == size).cloned().collect())
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        Ok(self.state().tokens.values().cloned().collect())
    }

    async fn accounts(&self) -> Result<Vec<AccountRecord>> {
        Ok(self.state().accounts.values().cloned().collect())
    }

    async fn prove(&self, _now: Timestamp) -> Result<()> {
        Ok(())
    }
}
