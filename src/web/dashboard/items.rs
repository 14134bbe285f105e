//! What the board sorts, counts and leaves out, before it is words.

use super::state::{Dates, State};
use super::words::{instant, person};
use crate::time::Timestamp;
use crate::workflow::{ObligationView, Part};
use chrono::TimeDelta;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Of what may apply to one incident and is not due within [`NEAR`], the board shows the nearest; a title alone leaves
/// hundreds open, which would bury the clocks that run. The page of the incident has them all, with its questions.
const MAYBES: usize = 6;
const NEAR: TimeDelta = TimeDelta::hours(72);

/// What may apply to an incident besides the rows shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    pub incident: String,
    pub title: String,
    pub entity: String,
    pub count: usize,
}

/// An obligation as far as it is sorted and counted; a row of words is made of those that are shown.
pub struct Item<'o> {
    pub o: &'o ObligationView,
    pub state: State,
    pub dates: Dates,
}

impl<'o> Item<'o> {
    pub fn of(o: &'o ObligationView, now: Timestamp) -> Item<'o> {
        Item { o, state: State::of(o, now), dates: Dates::of(o) }
    }

    /// Somebody must still do something about it.
    pub fn is_open(&self) -> bool {
        self.state.is_open() || self.o.reasons_missing
    }

    /// It runs, and nobody has it.
    pub fn is_alone(&self) -> bool {
        let runs = matches!(self.state, State::Late | State::Soon | State::Running | State::Soft | State::Undated);
        runs && self.o.holder.is_none()
    }

    fn is_held_by(&self, name: &str) -> bool {
        self.state.is_open() && self.o.holder.as_ref().is_some_and(|h| person(&h.name) == name)
    }

    pub fn is_in(&self, view: &str, me: &str) -> bool {
        match view {
            "mine" => self.is_held_by(me),
            "nobody" => self.is_alone(),
            "done" => !self.is_open(),
            _ => self.is_open(),
        }
    }
}

/// What belongs to one group stands together, in the order of the first of each.
pub fn together(lines: &mut [Item<'_>], group: &str) {
    let name = |l: &Item<'_>| match group {
        "incident" => l.o.incident.clone(),
        _ => l.o.law.jurisdiction.clone(),
    };
    if group == "deadline" {
        return;
    }
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        first.entry(name(line)).or_insert(at);
    }
    lines.sort_by_key(|line| first.get(&name(line)).copied());
}

/// Leaves out what may apply beyond the nearest of each incident, and counts it.
pub fn fold(parts: &[Arc<Part>], now: Timestamp) -> (Vec<&ObligationView>, Vec<Folded>) {
    let due = |o: &ObligationView| o.law.conservative_due.as_deref().and_then(instant);
    let is_far = |o: &ObligationView| o.law.standing == "possible" && due(o).is_none_or(|at| at > now + NEAR);
    let (mut all, mut folded) = (Vec::new(), Vec::new());
    for part in parts {
        let mut far: Vec<(bool, Option<Timestamp>, &str)> = part
            .obligations
            .iter()
            .filter(|o| is_far(o))
            .map(|o| (due(o).is_none(), due(o), o.law.id.as_str()))
            .collect();
        if far.len() <= MAYBES {
            all.extend(part.obligations.iter());
            continue;
        }
        far.sort();
        let hidden: BTreeSet<&str> = far.iter().skip(MAYBES).map(|(.., id)| *id).collect();
        all.extend(part.obligations.iter().filter(|o| !hidden.contains(o.law.id.as_str())));
        if let Some(one) = part.obligations.first() {
            folded.push(Folded {
                incident: one.incident.clone(),
                title: one.incident_title.clone(),
                entity: one.entity.clone(),
                count: hidden.len(),
            });
        }
    }
    (all, folded)
}
