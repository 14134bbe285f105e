//! The time stamps of one export: what the store has of them, and what is asked for now.

use super::anchor::{EXPORT_PATIENCE, host_of};
use super::{Answered, House};
use crate::evidence::tsp::{self, Roots, Stamp};
use crate::evidence::{Bundle, Earlier, EvidenceError, ExportInput, Stamps, Token, export, merkle, sha256};
use crate::store::{Store, StoredAnchor, StoredCheckpoint};
use crate::time::Timestamp;
use std::collections::BTreeMap;

const KIND: &str = StoredAnchor::RFC3161;

impl<S: Store> House<S> {
    /// The stamps for a bundle of the entries at `indices` (ascending) under `checkpoint`. Asks for one over the
    /// checkpoint when there is none, with little patience; the export goes on without.
    pub(super) async fn stamps(
        &self,
        checkpoint: &StoredCheckpoint,
        indices: &[u64],
        now: Timestamp,
    ) -> Answered<Stamps> {
        let mut found = Found { certificates: BTreeMap::new(), house: self };
        let own = self.own_stamp(checkpoint, now).await?;
        let own = own.and_then(|(url, token)| found.token(&checkpoint.note, &url, token));
        let mut earlier = Vec::new();
        let mut rest = indices;
        while let Some(first) = rest.first() {
            let Some((old, anchor)) = self.store.anchor_over(KIND, first + 1).await? else { break };
            if old.size >= checkpoint.size {
                break;
            }
            let covered = rest.iter().take_while(|idx| **idx < old.size).count();
            let (covered, after) = rest.split_at(covered);
            let n = (indices.len() - rest.len()) as u64;
            rest = after;
            // a stamp that does not hold shows nothing: the next one covers these entries too
            let Some(token) = found.token(&old.note, &anchor.url, anchor.token) else { continue };
            let proofs = self.inclusion_proofs(covered, old.size).await?;
            let proofs = covered.iter().zip(proofs).zip(n + 1..).map(|((idx, proof), n)| (n, *idx, proof)).collect();
            let (from, to) = (old.size, checkpoint.size);
            let consistency = self.with_nodes(|nodes| merkle::consistency(nodes, from, to)).await?;
            earlier.push(Earlier { checkpoint: self.signed(&old)?, token, consistency, proofs });
        }
        let pem = |(name, roots): (String, Roots)| (name, tsp::pem(roots.certificates()));
        Ok(Stamps {
            configured: !self.anchors.authorities.is_empty(),
            sums: own.is_some() && !self.anchors.authorities.is_empty(),
            checkpoint: own,
            earlier,
            certificates: found.certificates.into_iter().map(pem).collect(),
        })
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
