//! What parses but is wrong, and what stands unproven: found by reading the rulebook, not the text.

use super::book::{Rulebook, Whose};
use super::condition::{Atom, Comparison, Condition};
use super::contract::contract_faults;
use super::load::did_you_mean;
use crate::law::{
    CalendarSpan, Combination, Duty, DutyPeriod, DutyStatus, Entity, Fact, Place, Recipients, THEIR_NOTICE,
    THEIR_TRIGGER, Trigger, Value,
};
use crate::time::{Anchor, CivilDate};
use chrono::Months;
use std::collections::BTreeSet;
use std::fmt;

/// A calendar must be known this long after the day of the lint.
const HORIZON_MONTHS: u32 = 24;
/// The fact that says whose data or service is affected.
const CLIENTS: &str = "clients";
/// Ids of contracts named in a fault where none is near.
const SHOWN_IDS: usize = 5;

/// Findings as sentences, each naming its duty. Errors of the text itself are found by `load`. `today` decides whether the
/// calendars still reach far enough.
pub fn lint(book: &Rulebook, today: CivilDate) -> Vec<String> {
    let mut findings = Vec::new();
    for duty in book.duties().iter().filter(|d| d.status != DutyStatus::NoDuty) {
        let mut say = |text: String| findings.push(format!("{}: duty `{}` {text}", duty.pack, duty.id));
        if duty.source_url.is_empty() && duty.no_url.is_empty() {
            say("has no `source_url`: give one, or say in `no_url` why there is none".into());
        }
        texts(duty, &mut say);
        triggers(book, duty, &mut say);
        contradictions(duty, &mut say);
        if let Some(Combination::EarliestOf(id) | Combination::LatestOf(id) | Combination::SameClockAs(id)) =
            &duty.combine
            && *id == duty.id
        {
            say("is combined with itself".into());
        }
        if duty.delay_notice.as_ref() == Some(&duty.id) {
            say("announces its own delay: name in `delay_notice` the duty to announce it".into());
        }
        for item in &duty.content {
            for key in item.from.iter().filter(|key| book.catalogue().kind(key).is_none()) {
                say(format!("fills content from `{key}`, which no pack declares"));
            }
        }
    }
    horizons(book, today, &mut findings);
    findings
}

/// Dated texts: gaps, overlaps, ends, targets.
fn texts(duty: &Duty<Condition>, say: &mut impl FnMut(String)) {
    if duty.periods.is_empty() {
        say("has no [[duty.period]]: state at least from when the text applies".into());
    }
    let mut dated: Vec<_> = duty.periods.iter().filter(|p| !p.undated && p.when.is_none()).collect();
    dated.sort_by_key(|p| p.from);
    for pair in dated.windows(2) {
        match (pair[0].until, pair[1].from) {
            (Some(until), Some(from)) if until >= from => {
                say(format!("has two texts on {from}: end the first on the day before"))
            }
            (Some(until), Some(from)) if until.succ_opt() != Some(from) => {
                say(format!("has no text between {until} and {from}: close the gap or split the duty"));
            }
            (None, Some(from)) => say(format!("has an open text that overlaps the one from {from}")),
            _ => {}
        }
    }
    if duty.status == DutyStatus::Repealed && duty.periods.iter().any(|p| p.until.is_none() && !p.undated) {
        say("is repealed but has a text without `until`".into());
    }
    for period in &duty.periods {
        if let (Some(from), Some(until)) = (period.from, period.until)
            && until < from
        {
            say(format!("has a text that ends on {until}, before it begins on {from}"));
        }
        if let (Some(target), Some(limit)) = (period.target, period.period)
            && target >= limit.n
        {
            say(format!("has a target of {target} that is not inside the limit of {}", limit.n));
        }
    }
}

/// Clocks that can never start.
fn triggers(book: &Rulebook, duty: &Duty<Condition>, say: &mut impl FnMut(String)) {
    let waits_for = match &duty.starts {
        Trigger::Filed(ids) | Trigger::FiledLast(ids) | Trigger::Due(ids) => ids.as_slice(),
        _ => &[],
    };
    if waits_for == std::slice::from_ref(&duty.id) {
        say("starts with its own filing".into());
    }
    let performed = |id: &crate::law::DutyId| book.duty(&id.0).is_none_or(|d| d.status != DutyStatus::NoDuty);
    if !waits_for.is_empty() && !waits_for.iter().any(performed) {
        say("waits for what is no duty: its clock can never start".into());
    }
    let counted_from = match &duty.starts {
        Trigger::Fact(key) | Trigger::CalendarEnd { fact: key, .. } => Some(key),
        _ => None,
    };
    for key in counted_from.into_iter().chain(&duty.conservative_starts) {
        if book.catalogue().get(key).is_some_and(|fact| fact.may_be_ahead) {
            say(format!("counts from `{key}`, which `may_be_ahead`: a clock cannot start in the future"));
        }
    }
    let Trigger::CalendarEnd { of, .. } = &duty.starts else { return };
    let anchor = match of {
        CalendarSpan::Year => Anchor::YearEnd,
        CalendarSpan::Quarter => Anchor::QuarterEnd,
    };
    for row in duty.periods.iter().filter_map(|p| p.convention).map(|at| book.convention(at)) {
        if row.convention.anchor != anchor {
            say(format!(
                "starts with `{}`, but `{}` counts from another day: use a convention with that anchor",
                of.as_str(),
                row.id
            ));
        }
    }
}

/// Conditions no facts can meet.
fn contradictions(duty: &Duty<Condition>, say: &mut impl FnMut(String)) {
    let needed = necessary(&duty.when);
    for (at, a) in needed.iter().enumerate() {
        if let Some(b) = needed[at + 1..].iter().find(|b| exclude_each_other(a, b)) {
            say(format!("can never arise: `{}` and `{}` exclude each other", line(a), line(b)));
        }
        // an exception that is one line, and that line is needed for the duty
        if let Some(unless) = &duty.unless
            && any_of(unless).contains(a)
        {
            say(format!("can never arise: it needs `{}`, and `unless` takes the same away", line(a)));
        }
    }
    if let Some(at_most) = needed.iter().find_map(|a| match a {
        Atom::Affected { place: None, comparison: Comparison::Less, n } => Some(n.saturating_sub(1)),
        Atom::Affected { place: None, comparison: Comparison::AtMost, n } => Some(*n),
        _ => None,
    }) && at_most < duty.min_affected
    {
        say(format!("can never arise: `min_affected` is {}, and its condition allows {at_most}", duty.min_affected));
    }
}

/// Lines that must all hold.
fn necessary(condition: &Condition) -> Vec<&Atom> {
    match condition {
        Condition::All(parts) => parts.iter().flat_map(necessary).collect(),
        Condition::Any(parts) if parts.len() == 1 => necessary(&parts[0]),
        Condition::Atom(atom) => vec![atom],
        Condition::Any(_) | Condition::None(_) => Vec::new(),
    }
}

/// Lines of which one is enough.
fn any_of(condition: &Condition) -> Vec<&Atom> {
    match condition {
        Condition::Any(parts) => parts.iter().flat_map(any_of).collect(),
        Condition::All(parts) if parts.len() == 1 => any_of(&parts[0]),
        Condition::Atom(atom) => vec![atom],
        Condition::All(_) | Condition::None(_) => Vec::new(),
    }
}

fn line(atom: &Atom) -> String {
    Condition::Atom(atom.clone()).text()
}

fn exclude_each_other(a: &Atom, b: &Atom) -> bool {
    match (a, b) {
        (Atom::YesNo { key: k, want: x }, Atom::YesNo { key: l, want: y }) => k == l && x != y,
        (Atom::Choice { key: k, among: x, want: true }, Atom::Choice { key: l, among: y, want: true }) => {
            k == l && !x.iter().any(|word| y.contains(word))
        }
        (Atom::Choice { key: k, among: x, want: true }, Atom::Choice { key: l, among: y, want: false })
        | (Atom::Choice { key: l, among: y, want: false }, Atom::Choice { key: k, among: x, want: true }) => {
            k == l && x.iter().all(|word| y.contains(word))
        }
        (Atom::Day { key: k, day: x, before: true }, Atom::Day { key: l, day: y, before: false })
        | (Atom::Day { key: l, day: y, before: false }, Atom::Day { key: k, day: x, before: true }) => k == l && y >= x,
        (Atom::Affected { place: p, comparison: c, n }, Atom::Affected { place: q, comparison: d, n: m }) => {
            p == q && (floor(*c, *n) > ceiling(*d, *m) || floor(*d, *m) > ceiling(*c, *n))
        }
        _ => false,
    }
}

fn floor(comparison: Comparison, n: u64) -> u64 {
    match comparison {
        Comparison::AtLeast => n,
        Comparison::More => n.saturating_add(1),
        Comparison::Less | Comparison::AtMost => 0,
    }
}

fn ceiling(comparison: Comparison, n: u64) -> u64 {
    match comparison {
        Comparison::Less => n.saturating_sub(1),
        Comparison::AtMost => n,
        Comparison::AtLeast | Comparison::More => u64::MAX,
    }
}

/// Calendars that end too soon for a count that asks them.
fn horizons(book: &Rulebook, today: CivilDate, findings: &mut Vec<String>) {
    let Some(needed) = today.checked_add_months(Months::new(HORIZON_MONTHS)) else { return };
    let mut short: BTreeSet<(String, String)> = BTreeSet::new();
    for duty in book.duties().iter().filter(|d| d.status != DutyStatus::NoDuty) {
        for (id, until) in duty.periods.iter().flat_map(|text| calendars_of(book, duty, text)) {
            if until < needed {
                short.insert((id, until.to_string()));
            }
        }
    }
    findings.extend(short.into_iter().map(|(id, until)| {
        format!("calendars: `{id}` has no data after {until}; extend it, counts are asked until {needed}")
    }));
}

/// The calendars a text of a duty may ask, with the last day of their data. A day that is not announced yet is no fault: a
/// count over it says that it is uncertain.
fn calendars_of(book: &Rulebook, duty: &Duty<Condition>, text: &DutyPeriod<Condition>) -> Vec<(String, CivilDate)> {
    let Some((period, row)) = text.period.zip(text.convention.map(|at| book.convention(at))) else { return Vec::new() };
    if !row.convention.asks_calendar(period.unit) {
        return Vec::new();
    }
    let ids: Vec<String> = match &row.calendar {
        Whose::Fixed(id) => vec![id.clone()],
        _ => {
            let scope = duty.region.as_deref().unwrap_or(&duty.jurisdiction);
            let of = |place: &str| {
                let own = row.calendar_of.get(place).cloned();
                own.or_else(|| book.places().get(place).map(|p| p.calendar.clone()))
            };
            book.places().members(scope).into_iter().filter_map(of).collect()
        }
    };
    ids.into_iter().filter_map(|id| Some((id.clone(), book.calendars().get(&id).ok()?.data_until()))).collect()
}

/// Something an entity names and the rulebook does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityFault {
    /// RFC 6901 pointer inside the entity.
    pub pointer: String,
    pub text: String,
}

impl fmt::Display for EntityFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Unknown roles, places and words of contracts, each as a sentence with the nearest known ones.
pub fn entity_faults(book: &Rulebook, entity: &Entity) -> Vec<EntityFault> {
    let mut found = Vec::new();
    for (at, role) in entity.roles.iter().enumerate().filter(|(_, r)| !book.roles().is_known(r)) {
        let near = crate::law::nearest_of(role, book.roles().ids());
        let text = format!("role `{role}` is not known{}", did_you_mean(&near));
        found.push(EntityFault { pointer: format!("/roles/{at}"), text });
    }
    let listed = |name: &'static str, places: &'_ [Place]| -> Vec<(String, Place)> {
        places.iter().enumerate().map(|(at, place)| (format!("/{name}/{at}"), place.clone())).collect()
    };
    let mut places = listed("established_in", &entity.established_in);
    places.extend(listed("operates_in", &entity.operates_in));
    places.extend(entity.main_establishment.iter().map(|place| ("/main_establishment".to_string(), place.clone())));
    for (pointer, place) in places.into_iter().filter(|(_, p)| !book.places().is_known(p)) {
        let near = crate::law::nearest_of(&place, book.places().ids());
        let text = format!(
            "place `{place}` is not known{}; write ISO 3166 codes such as `FR` or `US-CA`",
            did_you_mean(&near)
        );
        found.push(EntityFault { pointer, text });
    }
    for (at, contract) in entity.contracts.iter().enumerate() {
        if entity.contracts[..at].iter().any(|other| other.id == contract.id) {
            let text = format!("two contracts have the id `{}`; give one another id", contract.id);
            found.push(EntityFault { pointer: format!("/contracts/{at}/id"), text });
        }
        for (member, text) in contract_faults(book, contract) {
            let text = format!("contract `{}`: {text}", contract.id);
            found.push(EntityFault { pointer: format!("/contracts/{at}/{member}"), text });
        }
    }
    found
}

/// Facts that name contracts which are not among `known`: the key, and a sentence with the nearest known ids.
pub fn contract_fact_faults(book: &Rulebook, known: &[&str], facts: &[Fact]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for fact in facts {
        let key = fact.key.as_str();
        let named: Vec<&str> = match &fact.value {
            Some(Value::Set(ids)) if key == CLIENTS => ids.iter().map(String::as_str).collect(),
            Some(_) => contract_in(book, key).into_iter().collect(),
            None => Vec::new(),
        };
        for id in named.into_iter().filter(|id| !known.contains(id)) {
            let near = crate::law::nearest_of(id, known.iter().copied());
            let hint = match known {
                [] => "; it has none: add `contracts` to the entity, or the contract to the register".to_string(),
                _ if near.is_empty() => {
                    let some: Vec<String> = known.iter().take(SHOWN_IDS).map(|id| format!("`{id}`")).collect();
                    format!("; it has {}{}", some.join(", "), if known.len() > SHOWN_IDS { ", …" } else { "" })
                }
                _ => did_you_mean(&near),
            };
            found.push((
                fact.key.clone(),
                format!("`{key}` names contract `{id}`, which the entity does not have{hint}"),
            ));
        }
    }
    found
}

/// The contract a key ends in, when its family or its duty is one of contracts.
fn contract_in<'k>(book: &Rulebook, key: &'k str) -> Option<&'k str> {
    if let Some(id) = [THEIR_TRIGGER, THEIR_NOTICE].iter().find_map(|prefix| key.strip_prefix(prefix)) {
        return Some(id);
    }
    let prefixes = ["times.filed.", "times.requested.", "times.due.", "waived."];
    let (duty, id) = prefixes.iter().find_map(|prefix| key.strip_prefix(prefix))?.rsplit_once('@')?;
    book.duty(duty).filter(|duty| duty.recipients == Recipients::EachContract).map(|_| id)
}
