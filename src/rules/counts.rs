//! How many persons of a place are affected, from what is asserted of it, of its parts and of the whole.

use super::condition::{Comparison, Truth};
use super::places::Places;
use crate::law::{Count, FactBook, Value};

/// Bounds on the persons resident in `place` (a country, a subdivision, a region, or `total`).
///
/// The known parts bound a whole from below; the whole, less its other known parts, bounds a part from above.
pub fn count_in(facts: &FactBook, places: &Places, place: &str) -> Count {
    let own = if place == "total" { facts.count("affected.total") } else { facts.count(&format!("affected.{place}")) };
    let mut bounds = own.unwrap_or(Count::UNKNOWN);
    if bounds.at_most == Some(bounds.at_least) {
        return bounds;
    }
    let asserted: Vec<(&str, Count)> = facts
        .with_prefix("affected.")
        .filter_map(|fact| match &fact.value {
            Some(Value::Count(count)) => Some((&fact.key["affected.".len()..], *count)),
            _ => None,
        })
        .collect();

    // parts from below; a part of a part is covered by its own parent when that is asserted too
    let inside = |part: &str, whole: &str| part != whole && places.contains(whole, part);
    let parts: u64 = asserted
        .iter()
        .filter(|(p, _)| inside(p, place))
        .filter(|(p, _)| !asserted.iter().any(|(q, _)| inside(q, place) && inside(p, q)))
        .map(|(_, c)| c.at_least)
        .sum();
    bounds.at_least = bounds.at_least.max(parts);

    // wholes from above
    for (whole, count) in asserted.iter().filter(|(w, _)| inside(place, w)) {
        let Some(most) = count.at_most else { continue };
        let others: u64 = asserted
            .iter()
            .filter(|(p, _)| inside(p, whole) && *p != place && !inside(p, place) && !inside(place, p))
            .filter(|(p, _)| {
                !asserted.iter().any(|(q, _)| inside(q, whole) && inside(p, q) && *q != place && !inside(place, q))
            })
            .map(|(_, c)| c.at_least)
            .sum();
        let room = most.saturating_sub(others);
        bounds.at_most = Some(bounds.at_most.map_or(room, |m| m.min(room)));
    }
    if let Some(most) = bounds.at_most {
        bounds.at_most = Some(most.max(bounds.at_least));
    }
    bounds
}

/// The fact key a person is asked for when the count of `place` decides.
pub fn key_of(places: &Places, place: &str) -> String {
    if places.is_region(place) { "affected.total".to_string() } else { format!("affected.{place}") }
}

pub fn compare(count: Count, comparison: Comparison, n: u64) -> Truth {
    let (least, most) = (count.at_least, count.at_most.unwrap_or(u64::MAX));
    let at_least = |n: u64| match (least >= n, most >= n) {
        (true, _) => Truth::Yes,
        (false, false) => Truth::No,
        _ => Truth::Unknown,
    };
    match comparison {
        Comparison::AtLeast => at_least(n),
        Comparison::More => at_least(n.saturating_add(1)),
        Comparison::Less => !at_least(n),
        Comparison::AtMost => !at_least(n.saturating_add(1)),
    }
}
