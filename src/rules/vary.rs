//! One duty with one thing otherwise at a time: which facts decide it, and what each answer makes of it. For whoever reads a
//! pack beside the text it comes from.

use super::answer::utc;
use super::book::Rulebook;
use super::condition::{Atom, Condition};
use super::plan::Options;
use crate::law::{Certainty, Count, Duty, Fact, FactBook, FactType, Incident, Obligation, Place, Trigger, Value};
use crate::time::{CivilDate, Timestamp};
use chrono::{Days, Duration};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// An incident in which one thing is otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Variation {
    /// As a person says it: `personal_data = no`, `affected.XX not known`, `role bank not stated`.
    pub what: String,
    /// One line for each recipient; empty when the duty is not shown.
    pub stands: Vec<String>,
}

/// What a duty reads, with the numbers and words it compares with.
#[derive(Default)]
struct Reads {
    keys: BTreeSet<String>,
    numbers: BTreeMap<String, BTreeSet<u64>>,
    words: BTreeMap<String, BTreeSet<String>>,
    days: BTreeSet<CivilDate>,
    places: BTreeSet<Place>,
    sectors: BTreeSet<String>,
}

impl Rulebook {
    /// How the duty `id` stands in this incident.
    pub fn stands(&self, id: &str, incident: &Incident, now: Timestamp, options: Options) -> Vec<String> {
        let ours = |o: &&Obligation| o.duty.0 == id || o.combines.iter().any(|member| member.0 == id);
        self.plan(incident, now, options).obligations.iter().filter(ours).map(stand).collect()
    }

    /// The duty in this incident with one thing otherwise at a time: each fact that it reads or that is stated, at each of
    /// its answers, on both sides of each number, and not known; each day on which a text changes; roles and places.
    pub fn vary(
        &self,
        duty: &Duty<Condition>,
        incident: &Incident,
        now: Timestamp,
        options: Options,
    ) -> Vec<Variation> {
        let reads = self.reads(duty, incident, now, options);
        let mut found: Vec<(String, Incident, Timestamp)> = Vec::new();
        for key in &reads.keys {
            for (what, value) in self.answers(key, &reads, incident, now) {
                if incident.facts.get(key) != value.as_ref() {
                    found.push((what, with(incident, key, value, now), now));
                }
            }
        }
        if let Some(start) = self.plan(incident, now, options).obligations.iter().find_map(|o| {
            (o.duty == duty.id).then(|| o.started_by.as_ref().map(|s| o.zone.local(s.at).date())).flatten()
        }) {
            for day in &reads.days {
                let moved = Duration::days((*day - start).num_days());
                found.push((
                    format!("all of it so that the clock starts on {day}"),
                    shifted(incident, moved),
                    now + moved,
                ));
            }
        }
        self.elsewhere(duty, incident, &reads, &mut |what, other| found.push((what, other, now)));
        found
            .into_iter()
            .map(|(what, other, now)| Variation { what, stands: self.stands(&duty.id.0, &other, now, options) })
            .collect()
    }

    fn reads(&self, duty: &Duty<Condition>, incident: &Incident, now: Timestamp, options: Options) -> Reads {
        let mut reads = Reads::default();
        let stated = incident.facts.current().map(|fact| fact.key.clone());
        reads.keys.extend(stated.filter(|key| !key.starts_with("waived.")));
        let plan = self.plan(incident, now, options);
        let own = plan.obligations.iter().find(|o| o.duty == duty.id).map_or(&duty.jurisdiction, |o| &o.jurisdiction);
        let own_count = format!("affected.{own}");
        for condition in duty.conditions() {
            condition.atoms(&mut |atom| {
                reads.keys.extend(atom.keys().into_iter().map(str::to_string));
                match atom {
                    Atom::Affected { place, n, .. } => {
                        let key = place.as_ref().map_or_else(|| own_count.clone(), |place| format!("affected.{place}"));
                        reads.numbers.entry(key.clone()).or_default().insert(*n);
                        reads.keys.insert(key);
                    }
                    Atom::Number { key, n, .. } => {
                        reads.numbers.entry(key.clone()).or_default().insert(*n);
                    }
                    Atom::Choice { key, among: words, .. }
                    | Atom::HasAny { key, items: words }
                    | Atom::HasAll { key, items: words } => {
                        reads.words.entry(key.clone()).or_default().extend(words.iter().cloned());
                    }
                    Atom::Day { day, .. } => reads.days.extend([*day, *day - Days::new(1)]),
                    Atom::OperatesIn(place) | Atom::EstablishedIn(place) => {
                        reads.places.insert(place.clone());
                    }
                    Atom::Sector(sector) => {
                        reads.sectors.insert(sector.clone());
                    }
                    Atom::Filed { named, .. } => {
                        reads.keys.insert(format!("times.filed.{named}"));
                    }
                    _ => {}
                }
            });
        }
        if duty.min_affected > 0 {
            reads.numbers.entry(own_count.clone()).or_default().insert(duty.min_affected);
        }
        match &duty.starts {
            Trigger::Fact(key) | Trigger::CalendarEnd { fact: key, .. } => {
                reads.keys.insert(key.clone());
            }
            Trigger::Filed(ids) | Trigger::FiledLast(ids) => {
                reads.keys.extend(ids.iter().map(|id| format!("times.filed.{id}")));
            }
            _ => {}
        }
        reads.keys.extend(duty.conservative_starts.clone());
        for period in &duty.periods {
            reads.days.extend(period.from.into_iter().flat_map(|day| [day - Days::new(1), day]));
            reads.days.extend(period.until.into_iter().flat_map(|day| [day, day + Days::new(1)]));
        }
        reads.keys.retain(|key| self.catalogue().kind(key).is_some());
        reads
    }

    /// The answers somebody may give about `key`, with the words for it; `None` takes it back.
    fn answers(&self, key: &str, reads: &Reads, incident: &Incident, now: Timestamp) -> Vec<(String, Option<Value>)> {
        let mut answers: Vec<(String, Option<Value>)> = Vec::new();
        match self.catalogue().kind(key) {
            Some(FactType::YesNo) => {
                answers.push((format!("{key} = yes"), Some(Value::YesNo(true))));
                answers.push((format!("{key} = no"), Some(Value::YesNo(false))));
            }
            Some(FactType::Choice) => {
                let declared = self.catalogue().get(key).map(|d| d.values.clone()).unwrap_or_default();
                answers.extend(declared.into_iter().map(|w| (format!("{key} = {w}"), Some(Value::Choice(w)))));
            }
            Some(FactType::Set) => {
                let mut words = reads.words.get(key).cloned().unwrap_or_default();
                words.extend(incident.facts.set(key).unwrap_or_default().iter().cloned());
                answers.push((format!("{key} has nothing"), Some(Value::Set(Vec::new()))));
                answers.extend(words.into_iter().map(|w| (format!("{key} has only {w}"), Some(Value::Set(vec![w])))));
            }
            Some(FactType::Count) => {
                let near = |n: &u64| [n.saturating_sub(1), *n, n + 1];
                let mut numbers: BTreeSet<u64> = reads.numbers.get(key).into_iter().flatten().flat_map(near).collect();
                numbers.extend([0, 1]);
                let exactly = |n| (format!("{key} = {n}"), Some(Value::Count(Count::exactly(n))));
                answers.extend(numbers.into_iter().map(exactly));
            }
            Some(FactType::Instant) if incident.facts.get(key).is_none() => {
                answers.push((format!("{key} = {}", utc(now)), Some(Value::Instant(now))));
            }
            _ => {}
        }
        if incident.facts.get(key).is_some() {
            answers.push((format!("{key} not known"), None));
        }
        answers
    }

    /// The entity with other roles and places.
    fn elsewhere(
        &self,
        duty: &Duty<Condition>,
        incident: &Incident,
        reads: &Reads,
        found: &mut dyn FnMut(String, Incident),
    ) {
        let mut other = |what: String, change: &dyn Fn(&mut Incident)| {
            let mut changed = incident.clone();
            change(&mut changed);
            if changed.entity != incident.entity {
                found(what, changed);
            }
        };
        for role in &incident.entity.roles {
            other(format!("role {role} not stated"), &|i| i.entity.roles.retain(|r| r != role));
            if let Some(wider) = self.roles().wider(role) {
                let widen = |r: &mut String| {
                    if r == role {
                        *r = wider.to_string()
                    }
                };
                other(format!("role {wider} for {role}"), &|i| i.entity.roles.iter_mut().for_each(widen));
            }
        }
        other("no role stated".to_string(), &|i| i.entity.roles.clear());
        let mut roles: Vec<&str> = duty.roles.iter().map(String::as_str).collect();
        roles.extend(duty.when.roles());
        roles.sort_unstable();
        roles.dedup();
        for role in roles {
            other(format!("only role {role}"), &|i| i.entity.roles = vec![role.to_string()]);
        }
        for sector in &reads.sectors {
            other(format!("only sector {sector}"), &|i| i.entity.sectors = vec![sector.clone()]);
        }
        other("no sector stated".to_string(), &|i| i.entity.sectors.clear());
        other("establishment not known".to_string(), &|i| {
            i.entity.established_in.clear();
            i.entity.main_establishment = None;
        });
        other("places of operation not known".to_string(), &|i| i.entity.operates_in.clear());
        let home = duty.region.as_ref().unwrap_or(&duty.jurisdiction);
        let far =
            self.places().ids().find(|place| !self.places().is_region(place) && !self.places().touch(home, place));
        for place in reads.places.iter().map(String::as_str).chain(far) {
            other(format!("established and operating only in {place}"), &|i| {
                i.entity.established_in = vec![place.to_string()];
                i.entity.main_establishment = None;
                i.entity.operates_in = vec![place.to_string()];
            });
            other(format!("established only in {place}"), &|i| {
                i.entity.established_in = vec![place.to_string()];
                i.entity.main_establishment = None;
            });
        }
    }
}

/// `running, until 2026-03-29T15:20:00Z (careful reading: ...)`, with what is asked.
fn stand(o: &Obligation) -> String {
    let mut text = format!("{}@{} {}", o.duty, o.jurisdiction, o.standing.as_str());
    match o.standing.deadline() {
        Some(d) => {
            text.push_str(&format!(", until {}", utc(d.due)));
            if d.conservative_due != d.due {
                text.push_str(&format!(" (careful reading: {})", utc(d.conservative_due)));
            }
            text.push_str(&format!(", counted from {}", utc(d.counting_from)));
        }
        None => match o.started_by.as_ref() {
            Some(started) => text.push_str(&format!(", since {}, no number", utc(started.at))),
            None => text.push_str(", not started"),
        },
    }
    if !o.missing.is_empty() {
        text.push_str(&format!(", asks {}", o.missing.join(", ")));
    }
    if !o.claimable.is_empty() {
        text.push_str(&format!(", may be ended by claiming {}", o.claimable.join(", ")));
    }
    text
}

/// `incident` with another answer about `key`; without one it was never stated.
fn with(incident: &Incident, key: &str, value: Option<Value>, now: Timestamp) -> Incident {
    let mut facts = FactBook::default();
    incident.facts.history().iter().filter(|f| f.key != key).for_each(|f| facts.assert(f.clone()));
    if let Some(value) = value {
        facts.assert(Fact {
            key: key.to_string(),
            value: Some(value),
            certainty: Certainty::Confirmed,
            asserted_by: "vary".to_string(),
            asserted_at: now,
            note: None,
        });
    }
    Incident { facts, ..incident.clone() }
}

/// The same incident, earlier or later.
fn shifted(incident: &Incident, by: Duration) -> Incident {
    let mut facts = FactBook::default();
    for fact in incident.facts.history() {
        let mut fact = fact.clone();
        fact.asserted_at += by;
        match &mut fact.value {
            Some(Value::Instant(at)) => *at += by,
            Some(Value::Hold(hold)) => {
                hold.from.iter_mut().chain(&mut hold.until).for_each(|at| *at += by);
            }
            _ => {}
        }
        facts.assert(fact);
    }
    Incident { facts, opened_at: incident.opened_at + by, ..incident.clone() }
}
