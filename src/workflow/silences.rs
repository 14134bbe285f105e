//! Where a rule pack is silent: a duty that runs in a worked case, and neither runs nor asks once one thing is less known.
//! Unknown is never no; a duty that falls away with a fact nobody stated must be meant to (a claimed exception or alternative).

use super::check_law::told;
use crate::ingest::{self, Kind, Node};
use crate::law::{Combination, FactBook, Incident};
use crate::rules::{FileKind, Rulebook, SourceFile, kind_of};
use std::collections::BTreeSet;

/// A duty, and what it needs to be told before it shows itself: a fact's key, `role A for B`, or a member of the entity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Silence {
    pub duty: String,
    pub unless_told: String,
}

/// Takes from every worked case one fact, one finer role, one list of places at a time, and collects the duties that were
/// wanted and are then in no plan. Filings and waivers are acts, not facts to ask for, and stay.
pub fn silences(book: &Rulebook, files: &[SourceFile]) -> BTreeSet<Silence> {
    let mut found = BTreeSet::new();
    for file in files.iter().filter(|f| kind_of(&f.path) == FileKind::Cases) {
        let Ok(document) = ingest::toml(&file.text) else { continue };
        let Some(Kind::List(cases)) = document.member("case").map(|n| &n.kind) else { continue };
        for case in cases {
            let Ok(told) = told(book, case) else { continue };
            let wanted = wanted(book, case);
            if wanted.is_empty() {
                continue;
            }
            for (unless_told, less) in less_known(book, &told.incident) {
                let plan = book.plan(&less, told.now, told.options);
                for duty in wanted.iter().filter(|duty| !plan.obligations.iter().any(|o| o.duty.0 == **duty)) {
                    found.insert(Silence { duty: duty.to_string(), unless_told: unless_told.clone() });
                }
            }
        }
    }
    found
}

/// One line per duty and thing: what `jurisdictions/SILENCES.txt` holds.
pub fn page(book: &Rulebook, files: &[SourceFile]) -> String {
    silences(book, files).iter().map(|s| format!("{}: {}\n", s.duty, s.unless_told)).collect()
}

/// Duties the case wants to see. One that another notice carries shows under that one and is left out.
fn wanted<'c>(book: &Rulebook, case: &'c Node) -> Vec<&'c str> {
    let Some(Kind::List(wants)) = case.member("want").map(|n| &n.kind) else { return Vec::new() };
    let text = |want: &'c Node, key: &str| want.member(key).and_then(Node::text);
    wants
        .iter()
        .filter(|want| matches!(text(want, "standing").unwrap_or("running"), "running" | "awaiting" | "possible"))
        .filter_map(|want| text(want, "duty"))
        .filter(|id| {
            book.duty(id).is_some_and(|duty| {
                !matches!(duty.combine, Some(Combination::EarliestOf(_) | Combination::LatestOf(_)))
            })
        })
        .collect()
}

fn less_known(book: &Rulebook, incident: &Incident) -> Vec<(String, Incident)> {
    let mut variants = Vec::new();
    for fact in incident.facts.current().filter(|f| !is_act(&f.key)) {
        let mut facts = FactBook::default();
        incident.facts.history().iter().filter(|f| f.key != fact.key).for_each(|f| facts.assert(f.clone()));
        variants.push((fact.key.clone(), Incident { facts, ..incident.clone() }));
    }
    for (at, role) in incident.entity.roles.iter().enumerate() {
        let Some(wider) = book.roles().wider(role) else { continue };
        let mut less = incident.clone();
        less.entity.roles[at] = wider.to_string();
        variants.push((format!("role {role} for {wider}"), less));
    }
    let mut nowhere = incident.clone();
    nowhere.entity.established_in.clear();
    nowhere.entity.main_establishment = None;
    variants.push(("entity.established_in".to_string(), nowhere));
    if !incident.entity.operates_in.is_empty() {
        let mut less = incident.clone();
        less.entity.operates_in.clear();
        variants.push(("entity.operates_in".to_string(), less));
    }
    variants
}

fn is_act(key: &str) -> bool {
    ["times.filed.", "times.requested.", "times.due.", "waived."].iter().any(|family| key.starts_with(family))
}
