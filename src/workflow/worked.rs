//! The worked cases of one duty, as the rulebook in force computes them: examples to read, taken from those it is tested by.

use super::check_law::{run_case, told};
use super::read::value_json;
use crate::ingest::{self, Kind, Node};
use crate::rules::{FileKind, Rulebook, SourceFile, builtin_files, kind_of, utc};
use serde_json::Value;

/// A case, and what the rulebook makes of it.
#[derive(Clone, Debug)]
pub struct WorkedCase {
    pub name: String,
    pub why: String,
    pub now: String,
    pub facts: Vec<(String, Value)>,
    pub place: String,
    pub standing: &'static str,
    pub due: Option<String>,
    pub conservative_due: Option<String>,
}

/// At most `most` cases of the packs built into this program that speak of the duty and hold under this rulebook. None for
/// the packs of an operator: their cases are not at hand.
pub fn worked(book: &Rulebook, duty: &str, most: usize) -> Vec<WorkedCase> {
    let Some(pack) = book.duty(duty).and_then(|d| d.pack.split('@').next()) else { return Vec::new() };
    let path = format!("{pack}.cases.toml");
    let files = builtin_files().into_iter().filter(|f| f.path == path && kind_of(&f.path) == FileKind::Cases);
    let mut found: Vec<WorkedCase> = Vec::new();
    for file in files {
        let Ok(document) = ingest::toml(&file.text) else { continue };
        let Some(Kind::List(cases)) = document.member("case").map(|node| &node.kind) else { continue };
        let of_duty = cases.iter().filter(|case| speaks_of(case, duty));
        found.extend(of_duty.filter_map(|case| one(book, &file, case, duty)).take(most - found.len().min(most)));
    }
    found
}

fn speaks_of(case: &Node, duty: &str) -> bool {
    let Some(Kind::List(wants)) = case.member("want").map(|node| &node.kind) else { return false };
    wants.iter().any(|want| want.member("duty").and_then(Node::text) == Some(duty))
}

fn one(book: &Rulebook, file: &SourceFile, case: &Node, duty: &str) -> Option<WorkedCase> {
    if !run_case(book, file, case).faults.is_empty() {
        return None;
    }
    let told = told(book, case).ok()?;
    let plan = book.plan(&told.incident, told.now, told.options);
    let text = |key: &str| case.member(key).and_then(Node::text).unwrap_or_default().to_string();
    let o = plan.obligations.iter().find(|o| o.duty.0 == duty);
    let deadline = o.and_then(|o| o.standing.deadline());
    let facts =
        told.incident.facts.current().filter_map(|fact| Some((fact.key.clone(), value_json(fact.value.as_ref()?))));
    Some(WorkedCase {
        name: text("name"),
        why: text("why"),
        now: utc(told.now),
        facts: facts.collect(),
        place: o.map(|o| o.jurisdiction.clone()).unwrap_or_default(),
        standing: o.map_or("does not apply", |o| o.standing.as_str()),
        due: deadline.map(|d| utc(d.due)),
        conservative_due: deadline.map(|d| utc(d.conservative_due)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_of_a_duty_hold_and_have_dates() {
        let book = crate::rules::builtin().expect("the built-in packs load");
        let duty = book.duties().iter().find(|d| d.pack.starts_with("eu/")).expect("a duty").id.0.clone();
        let cases = worked(&book, &duty, 3);
        assert!(!cases.is_empty() && cases.len() <= 3, "{duty}: {cases:?}");
        assert!(cases.iter().all(|case| !case.name.is_empty() && !case.facts.is_empty()), "{cases:?}");
        assert!(worked(&book, "no-such-duty", 3).is_empty());
    }
}
