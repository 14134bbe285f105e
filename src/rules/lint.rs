//! What parses but is wrong, and what stands unproven: found by reading the rulebook, not the text.

use super::book::Rulebook;
use crate::law::{Combination, DutyStatus, Entity, Trigger};

/// Findings as sentences, each naming its duty. Errors of the text itself are found by `load`.
pub fn lint(book: &Rulebook) -> Vec<String> {
    let mut findings = Vec::new();
    for duty in book.duties() {
        let mut say = |text: String| findings.push(format!("{}: duty `{}` {text}", duty.pack, duty.id));
        if duty.status == DutyStatus::NoDuty {
            continue;
        }
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
            if let (Some(target), Some(limit)) = (period.target, period.period)
                && target >= limit.n
            {
                say(format!("has a target of {target} that is not inside the limit of {}", limit.n));
            }
        }
        if let Trigger::Filed(ids) | Trigger::FiledLast(ids) = &duty.starts
            && ids.contains(&duty.id)
            && ids.len() == 1
        {
            say("starts with its own filing".into());
        }
        if let Some(Combination::EarliestOf(id) | Combination::LatestOf(id) | Combination::SameClockAs(id)) =
            &duty.combine
            && *id == duty.id
        {
            say("is combined with itself".into());
        }
        for item in &duty.content {
            for key in item.from.iter().filter(|key| book.catalogue().kind(key).is_none()) {
                say(format!("fills content from `{key}`, which no pack declares"));
            }
        }
    }
    findings
}

/// Unknown roles and places of an entity, each as a sentence with the nearest known ones.
pub fn entity_faults(book: &Rulebook, entity: &Entity) -> Vec<String> {
    let mut found = Vec::new();
    for role in entity.roles.iter().filter(|r| !book.roles().is_known(r)) {
        let near = crate::law::nearest_of(role, book.roles().ids());
        found.push(format!("role `{role}` is not known{}", super::load::did_you_mean(&near)));
    }
    let places = entity.established_in.iter().chain(&entity.operates_in).chain(&entity.main_establishment);
    for place in places.filter(|p| !book.places().is_known(p)) {
        let near = crate::law::nearest_of(place, book.places().ids());
        found.push(format!(
            "place `{place}` is not known{}; write ISO 3166 codes such as `FR` or `US-CA`",
            super::load::did_you_mean(&near)
        ));
    }
    found
}
