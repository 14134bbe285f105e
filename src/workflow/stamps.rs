//! What others say of the log of one export, time stamps and cosignatures: what the store has, and what is asked for now.

use super::anchor::{EXPORT_PATIENCE, host_of};
use super::{Answered, House, Trouble};
use crate::evidence::tsp::{self, Roots, Stamp};
use crate::evidence::{
    Bundle, Checkpoint, Earlier, EvidenceError, ExportInput, Rotation, Stamps, Token, export, merkle, sha256,
};
use crate::store::{Store, StoredAnchor, StoredCheckpoint};
use crate::time::Timestamp;
use std::collections::BTreeMap;

const KIND: &str = StoredAnchor::RFC3161;

impl<S: Store> House<S> {
    /// All of it for a bundle of the entries at `indices` (ascending) under `checkpoint`. Asks for what is not yet there over
    /// the checkpoint, with little patience; the export goes on without.
    pub(super) async fn stamps(
        &self,
        checkpoint: &StoredCheckpoint,
        indices: &[u64],
        now: Timestamp,
    ) -> Answered<Stamps> {
        let mut found = Found { certificates: BTreeMap::new(), house: self };
        let (own, cosignatures) = tokio::join!(self.own_stamp(checkpoint, now), self.cosignatures(checkpoint, now));
        let own = own?.and_then(|(url, token)| found.token(&checkpoint.note, &url, token));
        // each entry is dated by the first stamp over it, and seen in the first cosigned tree that has it
        let mut chosen: BTreeMap<u64, (StoredCheckpoint, Option<Token>)> = BTreeMap::new();
        for (old, anchor) in self.first_over(KIND, checkpoint.size, indices).await? {
            // a stamp that does not hold shows nothing: the next one covers these entries too
            let Some(token) = found.token(&old.note, &anchor.url, anchor.token) else { continue };
            chosen.insert(old.size, (old, Some(token)));
        }
        for (old, _) in self.first_over(StoredAnchor::COSIGNATURE, checkpoint.size, indices).await? {
            chosen.entry(old.size).or_insert((old, None));
        }
        let mut earlier = Vec::new();
        let mut rest = indices;
        for (old, token) in chosen.into_values() {
            let cosignatures = self.cosignatures_at(&old).await?;
            if token.is_none() && cosignatures.is_empty() {
                continue;
            }
            let n = (indices.len() - rest.len()) as u64;
            let (covered, after) = rest.split_at(rest.partition_point(|idx| *idx < old.size));
            rest = after;
            let proofs = self.inclusion_proofs(covered, old.size).await?;
            let proofs = covered.iter().zip(proofs).zip(n + 1..).map(|((idx, proof), n)| (n, *idx, proof)).collect();
            let (from, to) = (old.size, checkpoint.size);
            let consistency = self.with_nodes(|nodes| merkle::consistency(nodes, from, to)).await?;
            earlier.push(Earlier { checkpoint: stored(&old)?, token, cosignatures, consistency, proofs });
        }
        let pem = |(name, roots): (String, Roots)| (name, tsp::pem(roots.certificates()));
        Ok(Stamps {
            configured: !self.anchors.authorities.is_empty(),
            sums: own.is_some() && !self.anchors.authorities.is_empty(),
            checkpoint: own,
            witnessed: !self.witnesses.list.is_empty(),
            cosignatures: cosignatures?,
            earlier,
            rotations: self.key_changes(checkpoint.size).await?,
            certificates: found.certificates.into_iter().map(pem).collect(),
        })
    }

    /// Earlier checkpoints with an anchor of this kind: for each entry the first one that covers it.
    async fn first_over(
        &self,
        kind: &'static str,
        size: u64,
        indices: &[u64],
    ) -> Answered<Vec<(StoredCheckpoint, StoredAnchor)>> {
        let (mut found, mut covered) = (Vec::new(), 0);
        for idx in indices {
            if *idx < covered {
                continue;
            }
            let Some((old, anchor)) = self.store.anchor_over(kind, idx + 1).await? else { break };
            if old.size >= size {
                break;
            }
            covered = old.size;
            found.push((old, anchor));
        }
        Ok(found)
    }

    /// The changes of the log key before a checkpoint, oldest first.
    async fn key_changes(&self, size: u64) -> Answered<Vec<Rotation>> {
        let mut changes = Vec::new();
        for &idx in self.key_changes.iter().filter(|idx| **idx < size) {
            let entry = self.store.entries(idx..idx + 1).await?.pop();
            let checkpoint = self.store.checkpoint_over(idx + 1).await?;
            let (Some(entry), Some(checkpoint)) = (entry, checkpoint) else {
                return Err(Trouble::NotNow(format!("the change of the log key at {idx} has no checkpoint")));
            };
            let at = checkpoint.size;
            let proof = self.inclusion_proofs(&[idx], at).await?.remove(0);
            let consistency = self.with_nodes(|nodes| merkle::consistency(nodes, at, size)).await?;
            changes.push(Rotation { entry: entry.bytes, idx, proof, checkpoint: stored(&checkpoint)?, consistency });
        }
        Ok(changes)
    }

    /// Address and token of the stamp over the checkpoint of an export.
    async fn own_stamp(&self, checkpoint: &StoredCheckpoint, now: Timestamp) -> Answered<Option<(String, Vec<u8>)>> {
        let stored = self.store.anchor_over(KIND, checkpoint.size).await?;
        if let Some((_, anchor)) = stored.filter(|(over, _)| over.size == checkpoint.size) {
            return Ok(Some((anchor.url, anchor.token)));
        }
        match self.ask(&sha256(checkpoint.note.as_bytes()), EXPORT_PATIENCE, &|| now).await {
            Ok(stamped) => {
                self.keep_anchor(checkpoint, &stamped).await?;
                Ok(Some((stamped.url, stamped.token)))
            }
            Err(errors) => {
                let errors: Vec<String> = errors.into_iter().map(|(_, error)| error).collect();
                if !errors.is_empty() {
                    tracing::warn!(errors = %errors.join("; "), "an export is made without a new time stamp");
                }
                Ok(None)
            }
        }
    }

    /// Builds the bundle, with a stamp over the whole of it when an authority answers.
    pub(super) async fn stamped_bundle(
        &self,
        input: &ExportInput<'_>,
        mut stamps: Stamps,
        now: Timestamp,
    ) -> Result<Bundle, EvidenceError> {
        let mut bundle = export::build_stamped(input, &stamps)?;
        if !stamps.sums {
            return Ok(bundle);
        }
        let by = stamps.checkpoint.as_ref().map(|token| token.authority.clone());
        let answer = self.ask(&sha256(&bundle.files["SHA256SUMS"]), EXPORT_PATIENCE, &|| now).await;
        // the README names one authority's certificates for both
        match answer.ok().filter(|stamped| Some(self.authority_name(&stamped.url)) == by) {
            Some(stamped) => {
                bundle.files.insert("SHA256SUMS.tsr".into(), stamped.token);
                Ok(bundle)
            }
            None => {
                stamps.sums = false;
                export::build_stamped(input, &stamps)
            }
        }
    }

    /// The name of its certificates in a bundle. One that is no longer configured goes by its host.
    fn authority_name(&self, url: &str) -> String {
        let known = self.anchors.authorities.iter().find(|authority| authority.url == url);
        let host = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        known.map_or_else(|| host_of(url).chars().map(host).collect(), |authority| authority.name.clone())
    }
}

/// One of our own, as kept: the key that signed it may have been changed since.
fn stored(checkpoint: &StoredCheckpoint) -> Answered<Checkpoint> {
    let read = Checkpoint::parse(&checkpoint.note).map_err(|error| Trouble::NotNow(error.to_string()))?;
    Ok(read.claimed().clone())
}

/// Certificates by the name of the authority, as tokens are taken in.
struct Found<'h, S> {
    certificates: BTreeMap<String, Roots>,
    house: &'h House<S>,
}

impl<S: Store> Found<'_, S> {
    /// A stored token over `note`; `None` when it does not hold.
    fn token(&mut self, note: &str, url: &str, response: Vec<u8>) -> Option<Token> {
        let none = Roots::default();
        let authorities = &self.house.anchors.authorities;
        let roots = authorities.iter().find(|authority| authority.url == url).map_or(&none, |a| &a.roots);
        let check =
            |roots: &Roots| -> Option<Stamp> { tsp::check(&response, &sha256(note.as_bytes()), None, roots).ok() };
        // a root that was exchanged since the stamping vouches for it no longer; its own certificates are shown then
        let Some(stamp) = check(roots).or_else(|| check(&none)) else {
            tracing::error!(url = host_of(url), "a stored time stamp does not hold; it is left out of the export");
            return None;
        };
        let authority = self.house.authority_name(url);
        let certificates = self.certificates.entry(authority.clone()).or_default();
        if stamp.trusted {
            certificates.extend(roots.certificates());
        }
        // without a root to start from, the signer's own certificate is one
        certificates.extend(&stamp.certificates[usize::from(stamp.trusted)..]);
        Some(Token { response, time: stamp.time, at: stamp.at, authority })
    }
}
