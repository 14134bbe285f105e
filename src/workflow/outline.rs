//! All obligations of open incidents at once, for the board: what is expensive about an incident is remembered until it, the
//! rule packs, or something in it that time moves has changed.
//!
//! Nothing is kept that a restart would miss: the log's size says whether anything changed, on whichever node.

use super::{Answered, Caller, House, ObligationView, Right};
use crate::law::{Entity, IncidentId};
use crate::rules::Rulebook;
use crate::store::{Dossier, Query, Store};
use crate::time::Timestamp;
use chrono::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

const BATCH: u32 = 200;
/// Obligations remembered at most; a house with more sees those of its newest incidents.
const MOST: usize = 50_000;
/// Nothing is remembered longer than this, and a little more for some, so that not all are planned anew in one moment.
const LONGEST: Duration = Duration::minutes(2);
const SPREAD_SECONDS: usize = 240;

/// The obligations of one incident, without what only their own pages show: steps, grid, contents.
pub struct Part {
    entity: Entity,
    version: u64,
    /// What was sent about it, which has no version.
    sent: usize,
    wake_at: Option<Timestamp>,
    book: [u8; 32],
    /// True until then.
    until: Timestamp,
    pub obligations: Vec<ObligationView>,
}

/// What is remembered.
pub struct Outline {
    state: (u64, [u8; 32]),
    at: Timestamp,
    until: Timestamp,
    parts: BTreeMap<IncidentId, Arc<Part>>,
    is_cut: bool,
}

impl<S: Store> House<S> {
    /// What every answer depends on besides the time: the log and the rule packs. Two answers of one state differ by what
    /// time did.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn state(&self) -> Answered<(u64, [u8; 32])> {
        Ok((self.store.head().await?.size, self.book().sha256))
    }

    /// The obligations of every open incident the caller may see, by incident, the newest first; and whether there are more.
    ///
    /// # Errors
    /// When the caller may not read, or the store does not answer.
    pub async fn outline(&self, caller: &Caller, now: Timestamp) -> Answered<(Vec<Arc<Part>>, bool)> {
        self.permit(caller, Right::Read)?;
        let state = self.state().await?;
        let mut kept = self.stats.outline.lock().await;
        let good = kept.as_ref().is_some_and(|one| one.state == state && (one.at..one.until).contains(&now));
        if !good {
            let known = kept.take().map(|one| one.parts).unwrap_or_default();
            *kept = Some(self.sketch(state, known, now).await?);
        }
        let Some(outline) = kept.as_ref() else { return Ok((Vec::new(), false)) };
        let parts = outline.parts.values().rev().filter(|part| caller.may_see(&part.entity));
        Ok((parts.cloned().collect(), outline.is_cut))
    }

    async fn sketch(
        &self,
        state: (u64, [u8; 32]),
        known: BTreeMap<IncidentId, Arc<Part>>,
        now: Timestamp,
    ) -> Answered<Outline> {
        let book = self.book();
        let mut outline = Outline { state, at: now, until: now + LONGEST, parts: BTreeMap::new(), is_cut: false };
        let (mut after, mut count) = (None, 0);
        loop {
            let query = Query { open_only: true, after, limit: BATCH, ..Query::default() };
            let batch = self.store.list(query).await?;
            let is_last = batch.len() < BATCH as usize;
            after = batch.last().map(|last| last.record.incident.id.clone());
            for dossier in batch {
                if count >= MOST {
                    outline.is_cut = true;
                    return Ok(outline);
                }
                let id = dossier.record.incident.id.clone();
                let part = match known.get(&id).filter(|part| part.holds(&dossier, &book, now)) {
                    Some(part) => part.clone(),
                    None => {
                        // planning takes a while: others have their turn
                        tokio::task::yield_now().await;
                        Arc::new(self.part(&dossier, &book, now))
                    }
                };
                count += part.obligations.len();
                outline.until = outline.until.min(part.until);
                outline.parts.insert(id, part);
            }
            if is_last {
                return Ok(outline);
            }
        }
    }

    fn part(&self, dossier: &Dossier, book: &Rulebook, now: Timestamp) -> Part {
        let incident = &dossier.record.incident;
        let plan = self.plan_record(book, &dossier.record, now);
        let spread: usize = incident.id.0.bytes().map(usize::from).sum::<usize>() * 31 % SPREAD_SECONDS;
        let mut until = now + LONGEST + Duration::seconds(spread as i64);
        let mut obligations = Vec::with_capacity(plan.obligations.len());
        for o in &plan.obligations {
            let limits = o.standing.deadline().map(|d| [d.due, d.conservative_due]);
            let holder = dossier.record.acts.get(&o.id).and_then(|act| act.holder(now)).map(|lease| lease.until);
            let turns = limits.into_iter().flatten().chain(holder);
            until = turns.filter(|at| *at > now).fold(until, Timestamp::min);
            obligations.push(slim(self.dress_obligation(dossier, plan.book_of(book, o), o, now)));
        }
        let (entity, wake_at) = (incident.entity.clone(), dossier.wake_at);
        let (version, sent) = (dossier.version, told(dossier));
        Part { entity, version, sent, wake_at, book: book.sha256, until, obligations }
    }
}

impl Part {
    fn holds(&self, dossier: &Dossier, book: &Rulebook, now: Timestamp) -> bool {
        self.version == dossier.version
            && self.wake_at == dossier.wake_at
            && self.sent == told(dossier)
            && self.book == book.sha256
            && now < self.until
    }
}

/// Changes with each message and each attempt.
fn told(dossier: &Dossier) -> usize {
    let word = |state: &str| state.bytes().map(usize::from).sum::<usize>();
    dossier.sent.iter().map(|sent| 1000 + sent.attempts as usize + word(sent.state.as_str()) * 7).sum()
}

fn slim(mut view: ObligationView) -> ObligationView {
    let law = &mut view.law;
    (law.steps, law.grid, law.content, law.contested) = Default::default();
    (law.combines, law.notes) = Default::default();
    view
}
