//! The outbox empties: claim, one attempt, settle with evidence. A crash in between means the message goes out again.

use super::{Answered, House};
use crate::escalation::{Outcome, Target};
use crate::notify::{Context, LogHead, Notifiers, retry};
use crate::store::{Claim, Settlement, Store, StoreError};
use crate::time::Timestamp;
use base64::Engine;
use std::sync::atomic::Ordering;

/// A lease outlives the slowest attempt by far; a daemon that dies loses the message for this long at most.
const LEASE_SECONDS: u32 = 120;
const BATCH: u32 = 64;

impl<S: Store> House<S> {
    /// Attempts every message that may be claimed at `now`. Answers how many were claimed.
    pub async fn deliver_due(&self, notifiers: &Notifiers, clock: fn() -> Timestamp) -> Answered<usize> {
        let now = clock();
        let claims = self.store.claim_outbox(now, LEASE_SECONDS, BATCH).await?;
        let claimed = claims.len();
        if claimed == 0 {
            return Ok(0);
        }
        let context = Context {
            now,
            wall: self.settings.drill.map_or(now, |drill| (drill.wall)(now)),
            public_url: self.settings.public_url.clone(),
            checkpoint: self.log_head().await?,
            drill: self.settings.drill.is_some(),
        };
        // a slow webhook must not hold up the mails, nor one webhook the others
        let (mails, hooks): (Vec<Claim>, Vec<Claim>) =
            claims.into_iter().partition(|c| matches!(c.message.target, Target::Email { .. }));
        let mail_run = async {
            let mut done = Vec::with_capacity(mails.len());
            for claim in mails {
                let outcome = notifiers.deliver(&claim.message, &context).await;
                done.push((claim, outcome));
            }
            done
        };
        let hook_run = futures_util::future::join_all(hooks.into_iter().map(|claim| {
            let context = &context;
            async move {
                let outcome = notifiers.deliver(&claim.message, context).await;
                (claim, outcome)
            }
        }));
        let (mails, hooks) = tokio::join!(mail_run, hook_run);
        let settled_at = clock();
        let settlements = mails
            .into_iter()
            .chain(hooks)
            .map(|(claim, outcome)| {
                let settlement = self.settlement(&claim, outcome, settled_at);
                let draft = self.draft_attempt(&claim.message, claim.attempt, &settlement, settled_at);
                (claim, settlement, draft)
            })
            .collect();
        for result in self.store.settle(settlements).await? {
            match result {
                // somebody else has it by now and will settle it
                Ok(()) | Err(StoreError::LeaseLost) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.announce();
        Ok(claimed)
    }

    fn settlement(&self, claim: &Claim, outcome: Outcome, at: Timestamp) -> Settlement {
        let retry_at = match &outcome {
            Outcome::Retry { after_seconds, .. } => {
                let seed = claim
                    .message
                    .key
                    .bytes()
                    .fold(u64::from(claim.attempt), |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
                let next = retry::next_attempt(claim.attempt, at, claim.message.brief.conservative_due, seed);
                let asked = after_seconds.map(|s| at + chrono::Duration::seconds(i64::from(s)));
                // the peer's wish counts as long as the limit allows
                match (next, asked) {
                    (Some(next), Some(asked)) if claim.message.brief.conservative_due.is_none_or(|due| asked < due) => {
                        Some(next.max(asked))
                    }
                    (next, _) => next,
                }
            }
            _ => None,
        };
        match &outcome {
            Outcome::HandedOver { .. } => self.stats.messages_handed_over.fetch_add(1, Ordering::Relaxed),
            _ if retry_at.is_some() => 0,
            _ => self.stats.messages_failed.fetch_add(1, Ordering::Relaxed),
        };
        Settlement { outcome, at, retry_at }
    }

    /// The head of the log for the foot of each message: each reader becomes a witness.
    async fn log_head(&self) -> Answered<Option<LogHead>> {
        let checkpoint = self.store.checkpoint().await?;
        Ok(checkpoint.map(|c| LogHead {
            origin: self.settings.origin.clone(),
            size: c.size,
            root: base64::engine::general_purpose::STANDARD.encode(c.root),
        }))
    }
}
