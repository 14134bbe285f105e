//! Limits of earlier rulebooks that stand until somebody signs the change off. They follow the facts as the rulebook that
//! gave them reads them; where that one is no longer at hand they stand as they were stored.

use super::House;
use crate::law::{
    Binding, Confidence, Deadline, DutyId, Incident, Obligation, RecipientKind, Stage, Standing, Started, Value,
};
use crate::rules::{self, Limits, Options, Plan, Rulebook, limits_of, moves_later, utc};
use crate::store::{Kept, Record, Store};
use crate::time::{Timestamp, Zone};
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

/// Rulebooks read back from the archive, by hash; `None` for those it cannot give.
#[derive(Default)]
pub struct EarlierBooks(RwLock<BTreeMap<[u8; 32], Option<Arc<Rulebook>>>>);

/// What earlier rulebooks make of one incident today.
pub(super) struct EarlierPlans(BTreeMap<[u8; 32], (Arc<Rulebook>, Plan)>);

impl EarlierPlans {
    /// The obligation as the rulebook that gave the limit plans it.
    fn obligation(&self, kept: &Kept) -> Option<(&Arc<Rulebook>, &Obligation)> {
        let (book, plan) = self.0.get(&kept.from)?;
        plan.obligations.iter().find(|o| o.id == kept.id).map(|o| (book, o))
    }

    /// The nearer of what was stored and what the rulebook that gave it says with the facts of today.
    pub(super) fn limits(&self, kept: &Kept) -> Limits {
        let stored = (kept.due, kept.conservative_due);
        self.obligation(kept).map_or(stored, |(_, o)| nearer(stored, limits_of(o)))
    }

    /// The limits that stand for `id`, of all rulebooks that gave it one.
    pub(super) fn standing(&self, kept: &[Kept], id: &str) -> Option<Limits> {
        kept.iter().filter(|k| k.id == id).map(|k| self.limits(k)).reduce(nearer)
    }
}

impl<S: Store> House<S> {
    /// An earlier rulebook, read back from the archive once.
    pub(super) fn earlier_book(&self, hash: &[u8; 32]) -> Option<Arc<Rulebook>> {
        let known = self.earlier.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(hash).cloned();
        known.unwrap_or_else(|| {
            let book = rules::restore(hash, &*self.archive).map(Arc::new);
            if book.is_none() {
                tracing::warn!(rulebook = %rules::hex(hash), "an earlier rulebook is not in the archive; limits it gave stand as they were stored");
            }
            self.earlier.0.write().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(*hash, book.clone());
            book
        })
    }

    pub(super) fn earlier_plans(&self, record: &Record, now: Timestamp) -> EarlierPlans {
        let mut plans = BTreeMap::new();
        for kept in &record.kept {
            if !plans.contains_key(&kept.from)
                && let Some(book) = self.earlier_book(&kept.from)
            {
                let plan = book.plan(&record.incident, now, Options::default());
                plans.insert(kept.from, (book, plan));
            }
        }
        EarlierPlans(plans)
    }

    /// Lays the limits that stand over a plan. A duty that the rulebook in force no longer has stays an obligation.
    pub(super) fn keep_limits(&self, book: &Rulebook, plan: &mut Plan, record: &Record, now: Timestamp) {
        if record.kept.is_empty() {
            return;
        }
        let earlier = self.earlier_plans(record, now);
        let mut seen: Vec<&str> = Vec::new();
        for kept in &record.kept {
            if seen.contains(&kept.id.as_str()) {
                continue;
            }
            seen.push(&kept.id);
            let Some(limits) = earlier.standing(&record.kept, &kept.id) else { continue };
            match plan.obligations.iter_mut().find(|o| o.id == kept.id) {
                Some(o) => {
                    let would_be = limits_of(o);
                    if o.standing.is_open() && moves_later(limits, would_be) && lay(o, limits, kept.since) {
                        o.unsigned = Some(would_be);
                        o.because.push(format!(
                            "the rule packs in force since {} say {}: the earlier limit stands until somebody signs the \
                             change off",
                            utc(kept.since),
                            would_be.0.map_or_else(|| "no date".to_string(), utc)
                        ));
                    }
                }
                None => vanished(book, plan, record, &earlier, kept, limits),
            }
        }
        book.order(&mut plan.obligations);
    }
}

/// Adds an obligation that the rulebook in force does not give: as an earlier one plans it, or as far as it was stored.
fn vanished(book: &Rulebook, plan: &mut Plan, record: &Record, earlier: &EarlierPlans, kept: &Kept, limits: Limits) {
    let of_id = record.kept.iter().filter(|k| k.id == kept.id);
    let (theirs, mut o) = match of_id.filter_map(|k| earlier.obligation(k)).next() {
        Some((theirs, o)) => (Some(theirs.clone()), o.clone()),
        None => (None, as_stored(&record.incident, kept)),
    };
    // what only the earlier rulebook asks for cannot be answered any more
    o.missing.retain(|key| key.starts_with("entity.") || book.catalogue().kind(key).is_some());
    plan.earlier.push((o.id.clone(), theirs));
    if o.standing.is_open() {
        lay(&mut o, limits, kept.since);
        o.unsigned = Some((None, None));
        o.because.push(format!(
            "it no longer arises under the rule packs in force since {}: the earlier limit stands until somebody signs \
             that off",
            utc(kept.since)
        ));
        let before = limits.1.map_or_else(|| "without a date".to_string(), |at| format!("act before {}", utc(at)));
        plan.warnings.push((
            kept.id.clone(),
            format!(
                "`{}` ({before}) no longer arises under the rule packs in force: go by it until somebody signs that off",
                kept.id
            ),
        ));
    }
    plan.obligations.push(o);
}

/// Brings an open obligation down to limits that stand. Answers whether there was a date to lay.
fn lay(o: &mut Obligation, limits: Limits, since: Timestamp) -> bool {
    if matches!(o.standing, Standing::Awaiting { .. }) {
        // under the rulebook that planned it its clock has not even started; the older limit runs on
        o.standing = Standing::Running(None);
    }
    let (Standing::Running(deadline) | Standing::Possible(deadline)) = &mut o.standing else { return false };
    match (deadline, limits) {
        (Some(deadline), (due, conservative)) => {
            deadline.due = due.map_or(deadline.due, |due| due.min(deadline.due));
            let careful = conservative.map_or(deadline.conservative_due, |c| c.min(deadline.conservative_due));
            deadline.conservative_due = careful.min(deadline.due);
        }
        (empty @ None, (Some(due), Some(conservative_due))) => {
            *empty = Some(Deadline {
                due,
                conservative_due,
                counting_from: o.started_by.as_ref().map_or(since, |s| s.at),
                steps: Vec::new(),
                contested: Vec::new(),
                uncertain: false,
            });
        }
        _ => return false,
    }
    // reminders are counted from a start
    let known = |key: &str, at: Timestamp| Started {
        key: key.to_string(),
        at,
        certainty: crate::law::Certainty::Estimated,
        by: "breachclock".to_string(),
    };
    o.started_by.get_or_insert_with(|| known("rules.changed", since));
    true
}

/// An obligation of which the store has the id and the limits, and nothing else is at hand.
fn as_stored(incident: &Incident, kept: &Kept) -> Obligation {
    let (duty, place) = kept.id.rsplit_once('@').unwrap_or((&kept.id, ""));
    let facts = &incident.facts;
    let known = |key: &str| match (facts.assertion(key), facts.instant(key)) {
        (Some(fact), Some(at)) => {
            Some(Started { key: key.to_string(), at, certainty: fact.certainty, by: fact.asserted_by.clone() })
        }
        _ => None,
    };
    let waived =
        [format!("waived.{}", kept.id), format!("waived.{duty}")].into_iter().find_map(|key| match facts.get(&key) {
            Some(Value::Text(reason)) => Some(reason.clone()),
            _ => None,
        });
    let standing = match (rules::filed(facts, duty, place), waived) {
        (Some(filed), _) => Standing::Discharged { at: filed.at, deadline: None },
        (None, Some(reason)) => Standing::Waived { reason, deadline: None },
        (None, None) => Standing::Running(None),
    };
    Obligation {
        id: kept.id.clone(),
        duty: DutyId(duty.to_string()),
        jurisdiction: place.to_string(),
        stage: Stage::Single,
        recipient: RecipientKind::Other,
        recipient_name: format!("the recipient of `{duty}`"),
        channel: None,
        standing,
        zone: incident.entity.zone.unwrap_or(Zone::UTC),
        started_by: ["times.detected", "times.aware", "times.determined"].into_iter().find_map(known),
        earliest: None,
        latest: None,
        bound: None,
        if_started_now: None,
        unsigned: None,
        promptly: None,
        internal_target: None,
        depends_on: Vec::new(),
        combines: Vec::new(),
        binding: Binding::Law,
        confidence: Confidence::Medium,
        unverified: false,
        held: None,
        claimable: Vec::new(),
        missing: Vec::new(),
        because: vec!["the rule packs that gave this limit are not at hand: it stands as it was stored".to_string()],
        convention: None,
        period: None,
    }
}

fn nearer(a: Limits, b: Limits) -> Limits {
    let of = |a: Option<Timestamp>, b: Option<Timestamp>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    (of(a.0, b.0), of(a.1, b.1))
}
