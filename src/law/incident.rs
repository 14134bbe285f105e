//! An incident is our reading of what was reported: an entity, and facts in the order in which they were asserted.

use super::{Count, Entity, Fact, Hold, Value};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

/// `inc-` and a ULID in lower case; also the incident's evidence stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(pub String);

impl IncidentId {
    /// Stands where a message or an entry is about the house itself; also the name of its evidence stream.
    pub const HOUSE: &str = "_system";

    pub fn house() -> IncidentId {
        IncidentId(IncidentId::HOUSE.to_string())
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    pub id: IncidentId,
    pub title: String,
    pub entity: Entity,
    pub source: Option<String>,
    pub reference: Option<String>,
    pub opened_at: Timestamp,
    pub opened_by: String,
    pub closed_at: Option<Timestamp>,
    pub facts: FactBook,
}

/// Every assertion ever made, in order. Reading a key answers the latest; unknown is `None`, never no and never zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactBook {
    history: Vec<Fact>,
    /// Position in `history` of the current assertion of each key.
    current: BTreeMap<String, u32>,
}

impl FactBook {
    pub fn assert(&mut self, fact: Fact) {
        self.current.insert(fact.key.clone(), self.history.len() as u32);
        self.history.push(fact);
    }

    /// Lets `erase` take texts out of every assertion: what is personal may have to go. Keys, instants and numbers stay as
    /// they were asserted.
    pub fn erase(&mut self, erase: impl FnMut(&mut Fact)) {
        self.history.iter_mut().for_each(erase);
    }

    pub fn history(&self) -> &[Fact] {
        &self.history
    }

    /// The current assertion of `key`, also when it says "unknown again" (`value: None`).
    pub fn assertion(&self, key: &str) -> Option<&Fact> {
        self.current.get(key).map(|&at| &self.history[at as usize])
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.assertion(key).and_then(|fact| fact.value.as_ref())
    }

    /// Current assertions whose key starts with `prefix`, in key order.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Fact> {
        self.current
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(_, &at)| &self.history[at as usize])
            .filter(|fact| fact.value.is_some())
    }

    pub fn current(&self) -> impl Iterator<Item = &Fact> {
        self.with_prefix("")
    }

    pub fn yes_no(&self, key: &str) -> Option<bool> {
        match self.get(key) {
            Some(Value::YesNo(yes)) => Some(*yes),
            _ => None,
        }
    }

    pub fn instant(&self, key: &str) -> Option<Timestamp> {
        match self.get(key) {
            Some(Value::Instant(at)) => Some(*at),
            _ => None,
        }
    }

    /// The first instant ever asserted for `key` that was not withdrawn since: filings discharge once.
    pub fn first_instant(&self, key: &str) -> Option<Timestamp> {
        self.get(key)?;
        let withdrawn = self.history.iter().rposition(|f| f.key == key && f.value.is_none()).map_or(0, |at| at + 1);
        self.history[withdrawn..].iter().find_map(|f| match (&f.value, f.key == key) {
            (Some(Value::Instant(at)), true) => Some(*at),
            _ => None,
        })
    }

    pub fn count(&self, key: &str) -> Option<Count> {
        match self.get(key) {
            Some(Value::Count(count)) => Some(*count),
            _ => None,
        }
    }

    pub fn choice(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Value::Choice(word) | Value::Text(word)) => Some(word),
            _ => None,
        }
    }

    pub fn set(&self, key: &str) -> Option<&[String]> {
        match self.get(key) {
            Some(Value::Set(items)) => Some(items),
            _ => None,
        }
    }

    pub fn hold(&self, key: &str) -> Option<&Hold> {
        match self.get(key) {
            Some(Value::Hold(hold)) => Some(hold),
            _ => None,
        }
    }
}
