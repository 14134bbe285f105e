//! Which unknown fact is worth asking for: the one whose answer would move the earliest conservative date comes first.

use super::answer::utc;
use super::book::Rulebook;
use super::plan::{Options, Plan, two_at_once};
use crate::law::{Certainty, Count, Fact, FactType, Incident, Standing, Value};
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// Answers are simulated for this many questions; the rest is listed without.
const SIMULATED: usize = 8;

#[derive(Clone, Serialize, JsonSchema)]
pub struct Question {
    pub key: String,
    /// 1 is worth asking first.
    pub rank: usize,
    pub text: String,
    pub would_add: Vec<String>,
    pub would_move: Vec<String>,
    pub answers: Vec<QuestionAnswer>,
}

#[derive(Clone, Serialize, JsonSchema)]
pub struct QuestionAnswer {
    pub label: String,
    /// As a report would state it.
    #[schemars(with = "BTreeMap<String, Value>")]
    pub assert: serde_json::Value,
    /// Earliest conservative limit under this answer.
    #[schemars(with = "Option<Timestamp>")]
    pub earliest: Option<String>,
}

/// Nearest date a fact decides on, the obligations it would add, and those it would move.
type Asked<'p> = (Option<Timestamp>, Vec<&'p str>, Vec<&'p str>);

pub fn questions(book: &Rulebook, incident: &Incident, plan: &Plan, now: Timestamp) -> Vec<Question> {
    let mut asked: BTreeMap<&str, Asked<'_>> = BTreeMap::new();
    for o in plan.obligations.iter().filter(|o| o.standing.is_open()) {
        for key in &o.missing {
            let entry = asked.entry(key).or_default();
            let due = o.standing.deadline().map(|d| d.conservative_due);
            entry.0 = match (entry.0, due) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            match o.standing {
                Standing::Possible(_) => entry.1.push(&o.id),
                _ => entry.2.push(&o.id),
            }
        }
    }
    let mut ranked: Vec<_> = asked.into_iter().collect();
    // nearest date first; undated last; then what would add most
    ranked.sort_by_key(|(key, (due, adds, moves))| {
        (due.is_none(), *due, std::cmp::Reverse(adds.len() + moves.len()), *key)
    });
    let supposed: Vec<Supposed<'_>> =
        ranked.iter().take(SIMULATED).flat_map(|(key, _)| suppositions(book, key, now)).collect();
    // each is a plan of its own, and none needs another
    let earliest: Vec<Option<Timestamp>> =
        two_at_once(&supposed, 2, |some| some.iter().map(|supposed| supposed.earliest(book, incident, now)).collect());
    let mut answers: BTreeMap<&str, Vec<QuestionAnswer>> = BTreeMap::new();
    for (Supposed { key, label, json, .. }, earliest) in supposed.into_iter().zip(earliest) {
        let assert = serde_json::Value::Object([(key.to_string(), json)].into_iter().collect());
        answers.entry(key).or_default().push(QuestionAnswer { label, assert, earliest: earliest.map(utc) });
    }
    ranked
        .into_iter()
        .enumerate()
        .map(|(at, (key, (_, adds, moves)))| Question {
            key: key.to_string(),
            rank: at + 1,
            text: question_text(book, key),
            would_add: adds.into_iter().map(str::to_string).collect(),
            would_move: moves.into_iter().map(str::to_string).collect(),
            answers: answers.remove(key).unwrap_or_default(),
        })
        .collect()
}

fn question_text(book: &Rulebook, key: &str) -> String {
    match key {
        "entity.roles" => {
            "Which roles does the entity have, in particular the finer ones the rule packs ask for?".to_string()
        }
        _ => book.catalogue().question(key),
    }
}

/// An answer a person may give.
struct Supposed<'k> {
    key: &'k str,
    label: String,
    value: Value,
    json: serde_json::Value,
}

impl Supposed<'_> {
    /// What the earliest conservative date would be.
    fn earliest(&self, book: &Rulebook, incident: &Incident, now: Timestamp) -> Option<Timestamp> {
        let mut supposed = incident.clone();
        supposed.facts.assert(Fact {
            key: self.key.to_string(),
            value: Some(self.value.clone()),
            certainty: Certainty::Suspected,
            asserted_by: "what-if".to_string(),
            asserted_at: now,
            note: None,
        });
        book.plan_by(&supposed, now, Options::default(), usize::MAX).earliest()
    }
}

/// The answers a person is likely to give about `key`.
fn suppositions<'k>(book: &Rulebook, key: &'k str, now: Timestamp) -> Vec<Supposed<'k>> {
    let Some(kind) = book.catalogue().kind(key) else { return Vec::new() };
    let options: Vec<(String, Value, serde_json::Value)> = match kind {
        FactType::YesNo => [(true, "yes"), (false, "no")]
            .into_iter()
            .map(|(yes, label)| (label.to_string(), Value::YesNo(yes), serde_json::Value::Bool(yes)))
            .collect(),
        FactType::Choice => book
            .catalogue()
            .get(key)
            .map(|d| d.values.clone())
            .unwrap_or_default()
            .into_iter()
            .map(|word| (word.clone(), Value::Choice(word.clone()), serde_json::Value::String(word)))
            .collect(),
        FactType::Count => [(0, "none"), (1, "at least one")]
            .into_iter()
            .map(|(n, label)| {
                let count = if n == 0 { Count::exactly(0) } else { Count { at_least: 1, at_most: None } };
                let json = if n == 0 { serde_json::json!(0) } else { serde_json::json!({ "at_least": 1 }) };
                (label.to_string(), Value::Count(count), json)
            })
            .collect(),
        FactType::Instant => {
            vec![("just now".to_string(), Value::Instant(now), serde_json::Value::String(utc(now)))]
        }
        _ => Vec::new(),
    };
    options.into_iter().map(|(label, value, json)| Supposed { key, label, value, json }).collect()
}
