//! What the log shows by itself: its entries, parsed for reading, and proofs of its tree.

use super::{Answered, Caller, House, Right, Trouble, rejected};
use crate::evidence::{Checkpoint, Hash, Nodes, hex, merkle};
use crate::store::{Store, StoredCheckpoint};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Entries answered per call.
const PAGE: u64 = 1000;

/// RFC 6962 hashes in base64, leaf to root.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[schemars(rename = "Proof")]
pub enum LogProof {
    /// That the entry is in the tree.
    Inclusion { index: u64, size: u64, proof: Vec<String> },
    /// That the tree of size `from` is the beginning of this one.
    Consistency { from: u64, size: u64, proof: Vec<String> },
}

impl<S: Store> House<S> {
    /// The entries of an incident, parsed for reading; the bundle has the exact bytes.
    pub async fn evidence_entries(&self, caller: &Caller, id: &str) -> Answered<Vec<Value>> {
        self.dossier(caller, id).await?;
        let entries = self.store.stream(id).await?;
        Ok(entries.iter().map(|e| entry_json(e.idx, &e.bytes)).collect())
    }

    /// Entries of the whole log by index; for auditors, since it names every incident.
    pub async fn log_entries(&self, caller: &Caller, from: u64, to: u64) -> Answered<Vec<Value>> {
        self.permit(caller, Right::Export)?;
        if !caller.entities.is_empty() {
            return Err(Trouble::NotPermitted("the whole log is for tokens that are not limited to entities".into()));
        }
        let to = to.min(from.saturating_add(PAGE));
        Ok(self.store.entries(from..to).await?.iter().map(|e| entry_json(e.idx, &e.bytes)).collect())
    }

    /// An inclusion proof for `index`, or a consistency proof from the tree of size `from`, to `size` (the current one by default).
    pub async fn log_proof(
        &self,
        caller: &Caller,
        index: Option<u64>,
        from: Option<u64>,
        size: Option<u64>,
    ) -> Answered<LogProof> {
        self.permit(caller, Right::Read)?;
        let head = self.store.head().await?;
        let size = size.unwrap_or(head.size);
        let beyond = |what: &str, n: u64| {
            rejected(&format!("/{what}"), format!("`{n}` is beyond the log, which has {} entries", head.size))
        };
        if size == 0 || size > head.size {
            return Err(beyond("size", size));
        }
        let base64 = |proof: Vec<Hash>| proof.iter().map(|h| STANDARD.encode(h)).collect();
        match (index, from) {
            (Some(index), None) if index < size => {
                let proof = self.inclusion_proofs(&[index], size).await?.remove(0);
                Ok(LogProof::Inclusion { index, size, proof: base64(proof) })
            }
            (Some(index), None) => Err(beyond("index", index)),
            (None, Some(old)) if old <= size && old > 0 => {
                if let Some(why) = self.lost_with_restore(old).await? {
                    return Err(Trouble::NotNow(why));
                }
                let proof = self.with_nodes(|nodes| merkle::consistency(nodes, old, size)).await?;
                Ok(LogProof::Consistency { from: old, size, proof: base64(proof) })
            }
            (None, Some(old)) => Err(beyond("from", old)),
            _ => Err(rejected("/index", "name `index` for an inclusion proof, or `from` for a consistency proof")),
        }
    }

    pub(super) async fn inclusion_proofs(&self, indices: &[u64], size: u64) -> Answered<Vec<Vec<Hash>>> {
        self.with_nodes(|nodes| {
            // every index is asked before giving up, so that one round fetches for all
            let proofs: Vec<Option<Vec<Hash>>> = indices.iter().map(|i| merkle::inclusion(nodes, *i, size)).collect();
            proofs.into_iter().collect()
        })
        .await
    }

    /// Runs a computation over stored nodes, fetching what it misses and running it again: O(log n) rounds.
    pub(super) async fn with_nodes<T>(&self, compute: impl Fn(&Fetched) -> Option<T>) -> Answered<T> {
        let mut known = BTreeMap::new();
        loop {
            let fetched = Fetched { known, missing: RefCell::new(Vec::new()) };
            let answer = compute(&fetched);
            let missing = fetched.missing.into_inner();
            known = fetched.known;
            if let Some(answer) = answer {
                return Ok(answer);
            }
            let mut wanted = missing;
            wanted.sort_unstable();
            wanted.dedup();
            if wanted.is_empty() {
                return Err(Trouble::NotNow("the log has no such proof".into()));
            }
            let nodes = self.store.nodes(wanted.clone()).await?;
            for (at, node) in wanted.into_iter().zip(nodes) {
                match node {
                    Some(hash) => drop(known.insert(at, hash)),
                    None => {
                        return Err(Trouble::NotNow(format!(
                            "node {at:?} of the log is missing; run `breachclock evidence fsck`"
                        )));
                    }
                }
            }
        }
    }

    pub(super) fn signed(&self, stored: &StoredCheckpoint) -> Answered<Checkpoint> {
        Checkpoint::parse(&stored.note)
            .and_then(|c| c.verify(&self.settings.origin, &self.log_key.public()))
            .map_err(|e| Trouble::NotNow(e.to_string()))
    }
}

/// Nodes fetched so far, and those a computation missed.
pub(super) struct Fetched {
    known: BTreeMap<(u8, u64), Hash>,
    missing: RefCell<Vec<(u8, u64)>>,
}

impl Nodes for Fetched {
    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        let found = self.known.get(&(level, index)).copied();
        if found.is_none() {
            self.missing.borrow_mut().push((level, index));
        }
        found
    }
}

fn entry_json(idx: u64, bytes: &[u8]) -> Value {
    let mut entry: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if let Some(entry) = entry.as_object_mut() {
        entry.insert("idx".into(), json!(idx));
        entry.insert("sha256".into(), json!(hex(&crate::evidence::sha256(bytes))));
        entry.insert("leaf_hash".into(), json!(hex(&crate::evidence::leaf_hash(bytes))));
    }
    entry
}
