//! How many persons of a place are affected, from what is asserted of it, of its parts and of the whole.

use super::condition::{Comparison, Truth};
use super::places::Places;
use crate::law::{Count, FactBook, Value};
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Everything asserted about numbers of persons, read once per plan; each place is worked out once.
pub struct Counts<'a> {
    places: &'a Places,
    asserted: Vec<(&'a str, Count)>,
    /// For each asserted place the asserted places it lies in, itself left out.
    wholes: Vec<Vec<usize>>,
    known: RefCell<HashMap<String, Count>>,
    /// Places whose residents were asked for, with the answer; see `reach`.
    residents: RefCell<HashMap<String, Truth>>,
    /// Every place that something said points to; see `reach`.
    linked: OnceCell<HashSet<String>>,
}

impl<'a> Counts<'a> {
    pub fn of(facts: &'a FactBook, places: &'a Places) -> Counts<'a> {
        let asserted: Vec<(&str, Count)> = facts
            .with_prefix("affected.")
            .filter_map(|fact| match &fact.value {
                Some(Value::Count(count)) => Some((&fact.key["affected.".len()..], *count)),
                _ => None,
            })
            .collect();
        let position: BTreeMap<&str, usize> =
            asserted.iter().enumerate().map(|(at, (place, _))| (*place, at)).collect();
        let wholes = asserted
            .iter()
            .map(|(part, _)| {
                let around = places.around(part).chain(["total"]).filter(|whole| whole != part);
                let mut wholes: Vec<usize> = around.filter_map(|whole| position.get(whole).copied()).collect();
                wholes.sort_unstable();
                wholes.dedup();
                wholes
            })
            .collect();
        Counts {
            places,
            asserted,
            wholes,
            known: RefCell::default(),
            residents: RefCell::default(),
            linked: OnceCell::new(),
        }
    }

    /// Bounds on the persons resident in `place` (a country, a subdivision, a region, or `total`).
    ///
    /// The known parts bound a whole from below; the whole, less its other known parts, bounds a part from above.
    pub fn in_place(&self, place: &str) -> Count {
        if let Some(count) = self.known.borrow().get(place) {
            return *count;
        }
        let count = self.work_out(place);
        self.known.borrow_mut().insert(place.to_string(), count);
        count
    }

    /// The answer of `ask` about `place`, which is asked once.
    pub fn residents(&self, place: &str, ask: impl FnOnce() -> Truth) -> Truth {
        if let Some(truth) = self.residents.borrow().get(place) {
            return *truth;
        }
        let truth = ask();
        self.residents.borrow_mut().insert(place.to_string(), truth);
        truth
    }

    /// The answer of `find`, which is asked once.
    pub fn linked(&self, find: impl FnOnce() -> HashSet<String>) -> &HashSet<String> {
        self.linked.get_or_init(find)
    }

    fn work_out(&self, place: &str) -> Count {
        let own = self.asserted.iter().find(|(p, _)| *p == place).map(|(_, count)| *count);
        let mut bounds = own.unwrap_or(Count::UNKNOWN);
        if bounds.at_most == Some(bounds.at_least) {
            return bounds;
        }
        let lies_in: Vec<bool> =
            self.asserted.iter().map(|(p, _)| *p != place && self.places.contains(place, p)).collect();
        // parts from below; a part of a part is covered by its own parent when that is asserted too
        let parts = (0..self.asserted.len()).filter(|&p| lies_in[p] && !self.wholes[p].iter().any(|&q| lies_in[q]));
        bounds.at_least = bounds.at_least.max(parts.map(|p| self.asserted[p].1.at_least).sum());

        // wholes from above
        for whole in 0..self.asserted.len() {
            let (name, count) = self.asserted[whole];
            let Some(most) = count.at_most else { continue };
            if name == place || !self.places.contains(name, place) {
                continue;
            }
            // disjoint from `place`, and not already inside another such part of the same whole
            let apart = |p: usize| {
                self.asserted[p].0 != place
                    && !lies_in[p]
                    && !self.places.contains(self.asserted[p].0, place)
                    && self.wholes[p].contains(&whole)
            };
            let others: u64 = (0..self.asserted.len())
                .filter(|&p| apart(p) && !self.wholes[p].iter().any(|&q| apart(q)))
                .map(|p| self.asserted[p].1.at_least)
                .sum();
            // parts that exceed the whole contradict it: then it bounds nothing
            if others.saturating_add(bounds.at_least) > most {
                continue;
            }
            let room = most - others;
            bounds.at_most = Some(bounds.at_most.map_or(room, |m| m.min(room)));
        }
        if let Some(most) = bounds.at_most {
            bounds.at_most = Some(most.max(bounds.at_least));
        }
        bounds
    }
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
