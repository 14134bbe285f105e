//! The end of a period after closing: what is personal goes by itself, unless it is held. Nothing does by default.

use super::super::{Answered, Caller, House, Trouble};
use super::fields::{Sought, fields};
use super::texts::{self, Place};
use super::{ERASED, hold_of};
use crate::law::Entity;
use crate::rules::utc;
use crate::store::{Dossier, Query, Record, Store, StoreError};
use crate::time::Timestamp;
use chrono::Duration;
use std::collections::BTreeMap;

/// Incidents read per round.
const BATCH: u32 = 100;

/// How long personal values stay after their incident was closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Of every entity that has none of its own; `None` keeps them.
    pub after_closing: Option<Duration>,
    /// By the entity's id.
    pub entities: BTreeMap<String, Duration>,
}

impl Retention {
    /// Whether anything would ever go.
    pub fn is_empty(&self) -> bool {
        self.after_closing.is_none() && self.entities.is_empty()
    }

    fn of(&self, entity: &Entity) -> Option<Duration> {
        entity.id.as_ref().and_then(|id| self.entities.get(id)).copied().or(self.after_closing)
    }
}

impl<S: Store> House<S> {
    /// Erases what is personal about the closed incidents whose period is over, with an entry each. Answers how many. One
    /// that cannot be erased is told in the log of the daemon, and keeps none of the others back.
    pub async fn retain(&self, retention: &Retention, now: Timestamp) -> Answered<usize> {
        let (mut erased, mut after) = (0, None);
        if retention.is_empty() {
            return Ok(0);
        }
        loop {
            let batch = self.store.list(Query { after: after.clone(), limit: BATCH, ..Query::default() }).await?;
            for dossier in &batch {
                let id = &dossier.record.incident.id;
                after = Some(id.clone());
                let incident = &dossier.record.incident;
                let (Some(closed), Some(period)) = (incident.closed_at, retention.of(&incident.entity)) else {
                    continue;
                };
                if closed + period > now || is_bare(&dossier.record) {
                    continue;
                }
                match self.end_of_period(dossier, closed, period, now).await {
                    Ok(true) => erased += 1,
                    Ok(false) => {}
                    Err(Trouble::Store(error @ StoreError::Backend(_))) => return Err(error.into()),
                    Err(error) => tracing::warn!(incident = %id, %error, "what is personal could not be erased yet"),
                }
            }
            if batch.len() < BATCH as usize {
                return Ok(erased);
            }
        }
    }

    async fn end_of_period(
        &self,
        dossier: &Dossier,
        closed: Timestamp,
        period: Duration,
        now: Timestamp,
    ) -> Answered<bool> {
        let id = dossier.record.incident.id.0.as_str();
        let entries = self.store.stream(id).await?;
        let disclosures = self.store.disclosures(id).await?;
        if hold_of(&entries, &disclosures).is_some() {
            return Ok(false);
        }
        let sought = Sought { everything: true, ..Sought::default() };
        let draw = self.draw(dossier, &fields(&entries, &disclosures), &sought, now).await?;
        let basis = format!("retention: {} days after closing on {}", period.num_days(), utc(closed));
        let caller = Caller::system();
        self.commit_erasure(&caller, draw, &basis, "[retention]", &caller.name, now).await?;
        Ok(true)
    }
}

/// Whether nothing is left to erase of a record.
fn is_bare(record: &Record) -> bool {
    let (mut record, mut bare) = (record.clone(), true);
    texts::of_record(&mut record, &mut |place| {
        bare &= match place {
            Place::Text(text) => text == ERASED,
            Place::Proof(proof) => proof.is_none(),
        };
    });
    bare
}
