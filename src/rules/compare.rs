//! What another set of rule packs changes: in the text of duties, and in the dates of an incident.

use super::answer::utc;
use super::book::Rulebook;
use super::plan::Plan;
use crate::law::{DutyId, Obligation};
use crate::time::Timestamp;
use serde::Serialize;

/// A duty whose text differs between two rulebooks.
#[derive(Clone, Debug, Serialize)]
pub struct DutyChange {
    pub duty: String,
    /// `added`, `removed` or `changed`.
    pub kind: &'static str,
    pub fields: Vec<FieldChange>,
}

#[derive(Clone, Debug, Serialize)]
pub struct FieldChange {
    pub field: String,
    pub from: serde_json::Value,
    pub to: serde_json::Value,
}

/// Which way a date goes. Later is the dangerous one: somebody may act too late on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Drift {
    Added,
    Earlier,
    /// Nothing moves that somebody still has to meet.
    Standing,
    Later,
    Removed,
}

impl Drift {
    pub fn as_str(self) -> &'static str {
        match self {
            Drift::Added => "added",
            Drift::Earlier => "earlier",
            Drift::Standing => "standing",
            Drift::Later => "later",
            Drift::Removed => "removed",
        }
    }
}

/// One obligation of one incident under two rulebooks.
#[derive(Clone, Debug, Serialize)]
pub struct Shift {
    pub obligation: String,
    pub direction: Drift,
    pub from: Option<Dates>,
    pub to: Option<Dates>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dates {
    pub standing: String,
    pub due: Option<String>,
    pub conservative_due: Option<String>,
}

/// Limits of an obligation: legal and conservative.
pub type Limits = (Option<Timestamp>, Option<Timestamp>);

pub fn limits_of(o: &Obligation) -> Limits {
    let deadline = o.standing.deadline();
    (deadline.map(|d| d.due), deadline.map(|d| d.conservative_due))
}

/// Does one of the limits move later, or vanish?
pub fn moves_later(from: Limits, to: Limits) -> bool {
    let later = |from: Option<Timestamp>, to: Option<Timestamp>| from.is_some() && to.is_none_or(|to| Some(to) > from);
    later(from.0, to.0) || later(from.1, to.1)
}

/// Duties added, removed and changed, in the order of their ids.
pub fn compare_books(old: &Rulebook, new: &Rulebook) -> Vec<DutyChange> {
    let mut ids: Vec<&DutyId> = old.duties.iter().chain(&new.duties).map(|duty| &duty.id).collect();
    ids.sort();
    ids.dedup();
    ids.into_iter().filter_map(|id| change(old, new, &id.0)).collect()
}

fn change(old: &Rulebook, new: &Rulebook, id: &str) -> Option<DutyChange> {
    let listed = |book: &Rulebook| book.duty(id).and_then(|duty| serde_json::to_value(book.list_duty(duty)).ok());
    let (kind, fields) = match (listed(old), listed(new)) {
        (None, None) => return None,
        (None, Some(_)) => ("added", Vec::new()),
        (Some(_), None) => ("removed", Vec::new()),
        (Some(was), Some(is)) => {
            let fields: Vec<FieldChange> = is
                .as_object()
                .into_iter()
                .flatten()
                // the name of the pack carries its review date, which stands in `reviewed` too
                .filter(|(field, value)| *field != "pack" && was[field.as_str()] != **value)
                .map(|(field, value)| FieldChange {
                    field: field.clone(),
                    from: was[field.as_str()].clone(),
                    to: value.clone(),
                })
                .collect();
            if fields.is_empty() {
                return None;
            }
            ("changed", fields)
        }
    };
    Some(DutyChange { duty: id.to_string(), kind, fields })
}

/// An obligation as two plans, or a plan and what was stored of an earlier one, are compared.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub id: &'a str,
    pub standing: &'a str,
    pub limits: Limits,
}

impl<'a> Seen<'a> {
    pub fn of(o: &'a Obligation) -> Seen<'a> {
        Seen { id: &o.id, standing: o.standing.as_str(), limits: limits_of(o) }
    }

    /// Somebody must still do something about it.
    fn is_open(self) -> bool {
        matches!(self.standing, "running" | "possible" | "awaiting")
    }

    fn dates(self) -> Dates {
        let (due, conservative) = self.limits;
        Dates { standing: self.standing.to_string(), due: due.map(utc), conservative_due: conservative.map(utc) }
    }
}

/// Obligations of one incident whose standing or dates differ.
pub fn compare_plans(before: &Plan, after: &Plan) -> Vec<Shift> {
    let before: Vec<Seen<'_>> = before.obligations.iter().map(Seen::of).collect();
    compare_seen(&before, after)
}

/// As [`compare_plans`], with what was stored of the earlier plan.
pub fn compare_seen(before: &[Seen<'_>], after: &Plan) -> Vec<Shift> {
    let mut shifts = Vec::new();
    for o in after.obligations.iter().map(Seen::of) {
        let old = before.iter().find(|b| b.id == o.id);
        let direction = match old {
            None => Drift::Added,
            // what is filed or waived has no limit to miss any more
            Some(old) if old.is_open() && o.is_open() && moves_later(old.limits, o.limits) => Drift::Later,
            Some(old) if old.is_open() && old.limits != o.limits => Drift::Earlier,
            Some(old) if old.limits != o.limits || old.standing != o.standing => Drift::Standing,
            Some(_) => continue,
        };
        let (from, to) = (old.map(|old| old.dates()), Some(o.dates()));
        shifts.push(Shift { obligation: o.id.to_string(), direction, from, to });
    }
    for old in before.iter().filter(|b| !after.obligations.iter().any(|o| o.id == b.id)) {
        let from = Some(old.dates());
        shifts.push(Shift { obligation: old.id.to_string(), direction: Drift::Removed, from, to: None });
    }
    shifts
}
