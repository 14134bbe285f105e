//! What a plan says beside its obligations: places no pack covers, facts that do not fit together.

use super::book::Rulebook;
use super::counts::Counts;
use super::plan::Plan;
use crate::law::{FactBook, Incident};

impl Rulebook {
    pub(super) fn not_covered(&self, incident: &Incident, plan: &mut Plan) {
        let entity = &incident.entity;
        let affected =
            incident.facts.with_prefix("affected.").map(|f| &f.key["affected.".len()..]).filter(|p| *p != "total");
        let mut places: Vec<&str> =
            entity.establishments().chain(entity.operates_in.iter().map(String::as_str)).chain(affected).collect();
        places.sort_unstable();
        places.dedup();
        for place in places {
            let wholes: Vec<&str> = std::iter::once(place).chain(self.places.around(place)).collect();
            if let Some(why) = wholes.iter().find_map(|p| self.without_duty.get(*p)) {
                plan.not_covered.push((place.to_string(), why.clone()));
                continue;
            }
            let inside = format!("{place}-");
            let part = self.covered.range(inside.clone()..).next().is_some_and(|p| p.starts_with(&inside));
            if !part && !wholes.iter().any(|p| self.covered.contains(*p)) {
                plan.not_covered.push((place.to_string(), "no rule pack covers this place: ask counsel".to_string()));
            }
        }
        plan.not_covered.sort();
        plan.not_covered.dedup();
    }

    pub(super) fn warn(&self, incident: &Incident, plan: &mut Plan) {
        let facts = &incident.facts;
        let order = [
            ("times.occurred_from", "times.detected"),
            ("times.detected", "times.aware"),
            ("times.aware", "times.determined"),
            ("times.occurred_from", "times.aware"),
            ("times.occurred_from", "times.occurred_until"),
        ];
        for (first, second) in order {
            if let (Some(a), Some(b)) = (facts.instant(first), facts.instant(second))
                && b < a
            {
                plan.warnings.push((
                    second.to_string(),
                    format!("`{second}` lies before `{first}`: check both; they are kept as stated"),
                ));
            }
        }
        if let Some(total) = facts.count("affected.total") {
            let known = Counts::of(&without_total(facts), &self.places).in_place("total");
            if total.at_most.is_some_and(|most| known.at_least > most) {
                let text = format!(
                    "the places add up to at least {} persons, more than `affected.total` allows",
                    known.at_least
                );
                plan.warnings.push(("affected.total".to_string(), text));
            }
        }
        let entity = &incident.entity;
        let affected = facts.with_prefix("affected.").map(|f| (f.key.as_str(), &f.key["affected.".len()..]));
        let established = entity.establishments().map(|place| ("entity.established_in", place));
        let operating = entity.operates_in.iter().map(|place| ("entity.operates_in", place.as_str()));
        for (key, place) in established.chain(operating).chain(affected) {
            if self.places.is_region(place) {
                plan.warnings.push((
                    key.to_string(),
                    format!("`{place}` is no country: say which of its countries, each has an authority of its own"),
                ));
            }
        }
        if incident.entity.roles.is_empty() {
            plan.warnings.push((
                "entity.roles".to_string(),
                "the entity states no role: every duty that depends on one is only possible".to_string(),
            ));
        }
    }
}

fn without_total(facts: &FactBook) -> FactBook {
    let mut parts = FactBook::default();
    for fact in facts.with_prefix("affected.").filter(|f| f.key != "affected.total") {
        parts.assert(fact.clone());
    }
    parts
}
