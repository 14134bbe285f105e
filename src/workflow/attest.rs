//! Checkpoints: the signed head of the log, one per size, ever.

use super::anchor::kind_of;
use super::evidence_of::SYSTEM;
use super::{Answered, House, Trouble};
use crate::evidence::{Checkpoint, Detail, Draft, KeyRotated, Made, SigningKey, leaf_hash, merkle};
use crate::store::{Change, Changeset, Store, StoreError, StoredCheckpoint};
use crate::time::Timestamp;
use std::sync::atomic::Ordering;

impl<S: Store> House<S> {
    /// Signs the present head when the log grew since the last checkpoint. Answers the current one.
    pub async fn attest(&self, now: Timestamp) -> Answered<Option<StoredCheckpoint>> {
        loop {
            let last = self.store.checkpoint().await?;
            let head = self.store.head().await?;
            if head.size == 0 || last.as_ref().is_some_and(|c| c.size >= head.size) {
                return Ok(last);
            }
            let root = head.root();
            let signed = Checkpoint::sign(&self.settings.origin, head.size, root, &self.log_key)
                .map_err(|e| Trouble::NotNow(e.to_string()))?;
            let new = StoredCheckpoint { size: head.size, root, note: signed.note };
            let old = last.map(|c| c.size);
            match self.store.replace_checkpoint(old, new.clone()).await {
                Ok(()) => {}
                // another node signed a later head between our reading and our writing: that one counts
                Err(StoreError::Fork { .. }) if self.store.checkpoint().await?.map(|c| c.size) > old => continue,
                Err(error) => return Err(error.into()),
            }
            self.stats.last_checkpoint.store(now.timestamp_micros(), Ordering::Relaxed);
            return Ok(Some(new));
        }
    }

    /// Changes the log key to `new`: an entry that names both, and a checkpoint over it that both sign. `self` has the old
    /// key still; whoever asked opens the log with the new one from then on. Nobody else may write meanwhile.
    ///
    /// # Errors
    /// When somebody wrote in between, or the store fails.
    pub async fn rotate_key(&self, new: &SigningKey, now: Timestamp) -> Answered<StoredCheckpoint> {
        let old = self.attest(now).await?.map(|checkpoint| checkpoint.size);
        let origin = &self.settings.origin;
        let vkey = |key: &SigningKey| key.public().to_vkey(origin);
        let body = KeyRotated { key: "log", old: Made::of(vkey(&self.log_key)), new: Made::of(vkey(new)) };
        let first = Draft::new(SYSTEM.to_string(), "key.rotated", now, self.nonce(), &body);
        let receipt = self.commit(Changeset { change: Change::Nothing, first, more: Vec::new() }).await?;
        let head = self.store.head().await?;
        if receipt.entries.first().map(|(idx, _)| idx + 1) != Some(head.size) {
            return Err(Trouble::NotNow("somebody else writes to the log; stop every daemon of it and repeat".into()));
        }
        let signed = Checkpoint::sign(origin, head.size, head.root(), new)
            .map_err(|error| Trouble::NotNow(error.to_string()))?
            .also_signed(&self.log_key);
        let checkpoint = StoredCheckpoint { size: head.size, root: head.root(), note: signed.note };
        self.store.replace_checkpoint(old, checkpoint.clone()).await?;
        Ok(checkpoint)
    }

    /// Where the log says that its key was changed. A change that was begun and has no checkpoint of both keys is none.
    pub async fn find_key_changes(&self) -> Answered<Vec<u64>> {
        let mut changes = Vec::new();
        for entry in self.store.stream(SYSTEM).await?.iter().filter(|entry| kind_of(&entry.bytes) == "key.rotated") {
            let checkpoint = self.store.checkpoint_over(entry.idx + 1).await?;
            if checkpoint.is_some_and(|c| c.size == entry.idx + 1 && c.note.lines().count() == 6) {
                changes.push(entry.idx);
            }
        }
        Ok(changes)
    }

    /// The current checkpoint as a signed note.
    pub async fn checkpoint(&self, now: Timestamp) -> Answered<String> {
        let checkpoint = self.attest(now).await?;
        checkpoint.map(|c| c.note).ok_or_else(|| Trouble::NotNow("the log is empty".into()))
    }

    pub async fn record_system(&self, kind: &'static str, detail: Detail, now: Timestamp) -> Answered<()> {
        let first = self.draft_system(kind, "breachclock", detail, now);
        self.commit(Changeset { change: Change::Nothing, first, more: Vec::new() }).await?;
        Ok(())
    }

    /// Rebuilds the root from the stored entries and compares it with the last signed checkpoint.
    pub async fn check_log(&self) -> Result<(), String> {
        let Some(last) = self.store.checkpoint().await.map_err(|e| e.to_string())? else { return Ok(()) };
        let wrong = |what: String| {
            format!(
                "the evidence log does not match its last signed checkpoint: {what}. do not write to it; keep the data folder as it is, \
                 run `breachclock evidence fsck`, and restore from a backup"
            )
        };
        let signed = Checkpoint::parse(&last.note)
            .and_then(|c| c.verify(&self.settings.origin, &self.log_key.public()))
            .map_err(|error| wrong(error.to_string()))?;
        if signed.size != last.size || signed.root != last.root {
            return Err(wrong("the stored checkpoint is not the one that was signed".into()));
        }
        let head = self.store.head().await.map_err(|e| e.to_string())?;
        if head.size < last.size {
            return Err(wrong(format!("{} entries are stored, {} were signed", head.size, last.size)));
        }
        const BATCH: u64 = 10_000;
        let mut leaves = Vec::with_capacity(last.size as usize);
        while (leaves.len() as u64) < last.size {
            let from = leaves.len() as u64;
            let entries = self.store.entries(from..(from + BATCH).min(last.size)).await.map_err(|e| e.to_string())?;
            if entries.is_empty() {
                return Err(wrong(format!("entry {from} is missing")));
            }
            leaves.extend(entries.iter().map(|e| leaf_hash(&e.bytes)));
        }
        if merkle::root(&leaves) != last.root {
            return Err(wrong("an entry was changed".into()));
        }
        Ok(())
    }
}
