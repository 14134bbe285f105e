//! An incident's alarm clock rang: decide again, queue what is due, set the next alarm.

use super::{Answered, House};
use crate::escalation::{DeliveryState, Event, Message, Sent};
use crate::law::IncidentId;
use crate::rules::{Plan, Rulebook, utc};
use crate::store::{Change, Changeset, Query, Record, Store, StoreError};
use crate::time::Timestamp;
use futures_util::StreamExt;
use std::sync::atomic::Ordering;

/// Incidents handled per call, so that the loop proves itself between batches.
const BATCH: u32 = 256;
/// Incidents decided at the same time.
const AT_ONCE: usize = 16;

impl<S: Store> House<S> {
    /// Handles every incident whose wake-up has come. Answers the next instant to look, and whether more are waiting.
    /// One that fails does not hold up the others; its error is answered when all were tried.
    pub async fn wake_due(&self, now: Timestamp) -> Answered<(Option<Timestamp>, bool)> {
        let due = self.store.due(now, BATCH).await?;
        let more = due.incidents.len() == BATCH as usize;
        let mut failed = Ok(());
        // begun in their order; several at a time share one group commit
        let mut woken = futures_util::stream::iter(due.incidents)
            .map(|id| async move {
                let woke = self.wake(&id, now).await;
                (id, woke)
            })
            .buffered(AT_ONCE);
        while let Some((id, woke)) = woken.next().await {
            if let Err(error) = woke {
                tracing::error!(incident = %id, %error, "an incident could not be woken");
                failed = failed.and(Err(error));
            }
        }
        failed.map(|()| (due.next_wake, more))
    }

    /// Tells the webhooks that want to know of each message that failed, once.
    fn failures(&self, record: &Record, book: &Rulebook, plan: &Plan, sent: &[Sent], now: Timestamp) -> Vec<Message> {
        let mut told = Vec::new();
        for failed in sent.iter().filter(|s| s.state == DeliveryState::Failed) {
            // a receiver that fails is not told that it failed
            if failed.message.event == Event::DeliveryFailed {
                continue;
            }
            for mut message in self.broadcast(Event::DeliveryFailed, record, plan, book, now) {
                let is_itself = message.target == failed.message.target;
                message.key = format!("{}/failed/{}", failed.message.key, message.target.label());
                message.obligation.clone_from(&failed.message.obligation);
                message.extra.note = Some(format!("the message to {} failed", failed.message.target.label()));
                if !is_itself && !sent.iter().any(|s| s.message.key == message.key) {
                    told.push(message);
                }
            }
        }
        told
    }

    /// Decides for one incident at `now`. Another node may have done it: then the conflict is the proof.
    pub async fn wake(&self, id: &IncidentId, now: Timestamp) -> Answered<()> {
        self.decide_again(id, now, false).await
    }

    /// Decides for every open incident, whenever its alarm rings. Alarms that were set while the clock was ahead ring at an
    /// instant of that clock: when it is set right, they must be set again. Answers how many changed.
    pub async fn wake_everything(&self, now: Timestamp) -> Answered<usize> {
        let (mut after, mut changed, mut failed) = (None, 0, Ok(()));
        loop {
            let query = Query { open_only: true, after, limit: BATCH, ..Query::default() };
            let batch = self.store.list(query).await?;
            for dossier in &batch {
                let id = &dossier.record.incident.id;
                let before = dossier.version;
                match self.decide_again(id, now, true).await {
                    Ok(()) => changed += usize::from(self.store.dossier(id).await.is_ok_and(|d| d.version != before)),
                    Err(error) => {
                        tracing::error!(incident = %id, %error, "an incident could not be decided again");
                        failed = failed.and(Err(error));
                    }
                }
            }
            match batch.last() {
                Some(last) if batch.len() == BATCH as usize => after = Some(last.record.incident.id.clone()),
                _ => return failed.map(|()| changed),
            }
        }
    }

    /// With `unasked`, also when its alarm does not ring; nothing is committed then that changes nothing.
    async fn decide_again(&self, id: &IncidentId, now: Timestamp, unasked: bool) -> Answered<()> {
        loop {
            let dossier = match self.store.dossier(id).await {
                Ok(dossier) => dossier,
                Err(StoreError::NotFound) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let rings = dossier.wake_at.filter(|at| *at <= now);
            let Some(wake_at) = rings.or_else(|| unasked.then_some(now)) else { return Ok(()) };
            if dossier.record.incident.closed_at.is_some() && rings.is_none() {
                return Ok(());
            }
            let book = self.book();
            let mut record = dossier.record.clone();
            let outlook = self.outlook(&book, &mut record, &dossier.sent, now);
            let mut messages = outlook.decision.messages;
            messages.extend(self.failures(&record, &book, &outlook.plan, &dossier.sent, now));
            // a date that moved by itself, such as after a hold, is evidence like any other
            let moved = record.tracked != dossier.record.tracked;
            if rings.is_none()
                && messages.is_empty()
                && !moved
                && outlook.ruled.is_none()
                && outlook.decision.wake_at == dossier.wake_at
            {
                return Ok(());
            }
            self.dress(&mut messages, &record);
            let mut drafts = Vec::new();
            let recomputed = moved || outlook.ruled.is_some();
            drafts.extend(outlook.ruled.map(|ruled| self.draft_rules_changed(&record.incident, &ruled, now)));
            if recomputed {
                drafts.push(self.draft_computed(&record.incident, &book, &outlook.plan, now));
            }
            if messages.is_empty() {
                let next = outlook.decision.wake_at.map(utc);
                drafts.push(self.draft_evaluated(&record.incident, wake_at, next, now));
            } else {
                drafts.push(self.draft_messages(&record.incident, &messages, now));
            }
            let first = drafts.remove(0);
            let change = Change::Incident {
                expected: Some(dossier.version),
                record,
                wake_at: outlook.decision.wake_at,
                messages,
                idempotency: None,
            };
            match self.commit(Changeset { change, first, more: drafts }).await {
                Ok(_) => {
                    if rings.is_some() {
                        self.stats.wakes.fetch_add(1, Ordering::Relaxed);
                        let lag = (now - wake_at).num_microseconds().unwrap_or(i64::MAX);
                        self.stats.last_lag.store(lag, Ordering::Relaxed);
                    }
                    self.announce();
                    return Ok(());
                }
                Err(StoreError::Conflict { .. }) => {
                    self.stats.conflicts.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
