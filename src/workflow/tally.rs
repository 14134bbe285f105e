//! How many obligations are open, late, in nobody's hands: counted for each entity, for `/metrics`. Told only to whoever may
//! read incidents: that there is one need not be known by everybody who watches machines.

use super::{Answered, Caller, House, Right};
use crate::law::{Act, IncidentId};
use crate::store::{Dossier, Query, Store, Tracked};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

const BATCH: u32 = 500;
/// A count is good for so long where nothing changes, and for a moment where something does: a herd of incidents is not
/// read for every scrape.
const KEPT: chrono::Duration = chrono::Duration::seconds(60);
const MOMENT: chrono::Duration = chrono::Duration::seconds(5);
/// Stands for entities that are in no configuration: their names are people's own words.
const OTHERS: &str = "other";

/// The counts of one entity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Applies, and is not done.
    pub open: u64,
    /// A missing fact decides.
    pub possible: u64,
    /// Past the legal limit.
    pub late: u64,
    /// Past the earliest reading, and not past the limit.
    pub past_conservative: u64,
    /// Open, and nobody has it.
    pub without_holder: u64,
    /// The nearest earliest reading of an open one that is still ahead.
    pub next_due: Option<Timestamp>,
}

/// Counts by the id of the entity, and what they were made of.
#[derive(Clone, Debug)]
pub struct Tallies {
    at: Timestamp,
    changes: u64,
    of: Arc<BTreeMap<String, Tally>>,
}

impl Tally {
    fn add(&mut self, o: &Tracked, act: Option<&Act>, now: Timestamp) {
        match o.standing.as_str() {
            "running" => self.open += 1,
            "possible" => return self.possible += 1,
            _ => return,
        }
        self.without_holder += u64::from(act.is_none_or(|act| act.holder(now).is_none()));
        let careful = o.conservative_due.or(o.due);
        match (o.due, careful) {
            (Some(due), _) if now >= due => self.late += 1,
            (_, Some(careful)) if now >= careful => self.past_conservative += 1,
            (_, Some(careful)) => self.next_due = Some(self.next_due.map_or(careful, |next| next.min(careful))),
            _ => {}
        }
    }
}

impl<S: Store> House<S> {
    /// The counts that the caller may see. Every configured entity has one.
    ///
    /// # Errors
    /// When the caller may not read incidents, or the store does not answer.
    pub async fn tallies(&self, caller: &Caller, now: Timestamp) -> Answered<BTreeMap<String, Tally>> {
        self.permit(caller, Right::Read)?;
        let changes = *self.changed.borrow();
        let kept = self.stats.tallies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let good = |kept: &Tallies| {
            let age = now - kept.at;
            age >= chrono::Duration::zero() && age < if kept.changes == changes { KEPT } else { MOMENT }
        };
        let of = match kept.filter(good) {
            Some(kept) => kept.of,
            None => {
                let of = Arc::new(self.count(now).await?);
                let kept = Tallies { at: now, changes, of: of.clone() };
                *self.stats.tallies.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
                of
            }
        };
        let seen = |id: &String| caller.entities.is_empty() || caller.entities.contains(id);
        Ok(of.iter().filter(|(id, _)| seen(id)).map(|(id, tally)| (id.clone(), tally.clone())).collect())
    }

    async fn count(&self, now: Timestamp) -> Answered<BTreeMap<String, Tally>> {
        let ids = self.settings.entities.iter().filter_map(|entity| entity.id.clone());
        let mut all: BTreeMap<String, Tally> = ids.map(|id| (id, Tally::default())).collect();
        let mut after: Option<IncidentId> = None;
        loop {
            let query = Query { open_only: true, after, limit: BATCH, ..Query::default() };
            let batch: Vec<Dossier> = self.store.list(query).await?;
            for Dossier { record, .. } in &batch {
                let known = record.incident.entity.id.as_ref().filter(|id| all.contains_key(*id)).cloned();
                let tally = all.entry(known.unwrap_or_else(|| OTHERS.to_string())).or_default();
                record.tracked.iter().for_each(|o| tally.add(o, record.acts.get(&o.id), now));
            }
            match batch.last() {
                Some(last) if batch.len() == BATCH as usize => after = Some(last.record.incident.id.clone()),
                _ => return Ok(all),
            }
        }
    }

    /// The counts as Prometheus reads them.
    ///
    /// # Errors
    /// As [`House::tallies`].
    pub async fn obligation_metrics(&self, caller: &Caller, now: Timestamp) -> Answered<String> {
        let tallies = self.tallies(caller, now).await?;
        type Read = fn(&Tally, Timestamp) -> Option<i64>;
        let rows: [(&str, &str, Read); 6] = [
            ("breachclock_obligations_open", "obligations that apply and are not done", |t, _| Some(t.open as i64)),
            ("breachclock_obligations_possible", "obligations a missing fact decides about", |t, _| {
                Some(t.possible as i64)
            }),
            ("breachclock_obligations_late", "open ones past the legal limit", |t, _| Some(t.late as i64)),
            (
                "breachclock_obligations_past_conservative",
                "open ones past the earliest reading of their limit, and not past the limit",
                |t, _| Some(t.past_conservative as i64),
            ),
            ("breachclock_obligations_without_holder", "open ones that nobody has", |t, _| {
                Some(t.without_holder as i64)
            }),
            (
                "breachclock_obligations_next_due_seconds",
                "seconds until the nearest earliest reading that is ahead; absent when there is none",
                |t, now| t.next_due.map(|due| (due - now).num_seconds()),
            ),
        ];
        let mut text = String::new();
        for (name, help, read) in rows {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
            for (id, tally) in &tallies {
                if let Some(value) = read(tally, now) {
                    text.push_str(&format!("{name}{{entity=\"{}\"}} {value}\n", label(id)));
                }
            }
        }
        Ok(text)
    }
}

/// A label's value, as the text format quotes it.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_obligation_counts_once_on_its_way_to_being_late() {
        let at = |hour: i64| Timestamp::from_timestamp(hour * 3600, 0).expect("in range");
        let of = |standing: &str, careful, due| Tracked {
            id: "d@FR".into(),
            standing: standing.into(),
            due,
            conservative_due: careful,
            known_at: at(0),
        };
        let dated = of("running", Some(at(10)), Some(at(12)));
        for (now, late, past, next) in [(9, 0, 0, Some(at(10))), (10, 0, 1, None), (11, 0, 1, None), (12, 1, 0, None)] {
            let mut tally = Tally::default();
            tally.add(&dated, None, at(now));
            assert_eq!((tally.open, tally.without_holder), (1, 1));
            assert_eq!((tally.late, tally.past_conservative, tally.next_due), (late, past, next), "{now}");
        }
        let mut tally = Tally::default();
        for standing in ["possible", "awaiting", "discharged", "waived", "withdrawn", "not-applicable"] {
            tally.add(&of(standing, Some(at(10)), Some(at(12))), None, at(20));
        }
        assert_eq!(tally, Tally { possible: 1, ..Tally::default() });
    }

    #[test]
    fn labels_are_quoted() {
        assert_eq!(label("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }
}
