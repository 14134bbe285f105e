//! Worked cases of the rule packs: facts in, standings and dates out, compared with what the case says.

use crate::ingest::{self, Format, Kind, Node, Pointer, Reading, Rejection};
use crate::law::{FactBook, Incident, IncidentId, Obligation};
use crate::rules::{FileKind, Options, Plan, Rulebook, Shift, SourceFile, compare_plans, kind_of, utc};
use crate::time::Timestamp;

/// One case and what did not hold.
#[derive(Clone, Debug)]
pub struct CaseOutcome {
    pub file: String,
    pub line: usize,
    pub name: String,
    /// Duties the case states something about.
    pub duties: Vec<String>,
    /// Ids of the common mistakes this case would catch.
    pub traps: Vec<String>,
    pub faults: Vec<String>,
}

/// Runs every `*.cases.toml` among `files`.
pub fn run_cases(book: &Rulebook, files: &[SourceFile]) -> Vec<CaseOutcome> {
    files.iter().filter(|f| kind_of(&f.path) == FileKind::Cases).flat_map(|file| run_file(book, file)).collect()
}

fn run_file(book: &Rulebook, file: &SourceFile) -> Vec<CaseOutcome> {
    let broken = |line: usize, text: String| CaseOutcome {
        file: file.path.clone(),
        line,
        name: String::new(),
        duties: Vec::new(),
        traps: Vec::new(),
        faults: vec![text],
    };
    let document = match ingest::toml(&file.text) {
        Ok(document) => document,
        Err(error) => return vec![broken(error.line, error.text)],
    };
    let mut outcomes = Vec::new();
    for (name, node) in document.members() {
        match (&node.kind, name.as_str()) {
            (Kind::List(cases), "case") => outcomes.extend(cases.iter().map(|case| run_case(book, file, case))),
            _ => outcomes.push(broken(
                node.line.unwrap_or(0),
                format!("`{name}` is not understood; a cases file holds [[case]] tables"),
            )),
        }
    }
    outcomes
}

pub(super) fn run_case(book: &Rulebook, file: &SourceFile, case: &Node) -> CaseOutcome {
    let name = case.member("name").and_then(Node::text).unwrap_or("unnamed").to_string();
    let mut outcome = CaseOutcome {
        file: file.path.clone(),
        line: case.line.unwrap_or(0),
        name,
        duties: Vec::new(),
        traps: Vec::new(),
        faults: Vec::new(),
    };
    if let Err(faults) = judge(book, case, &mut outcome) {
        outcome.faults.extend(faults);
    }
    outcome
}

/// What the cases tell, without what they want.
pub fn incidents_of_cases(book: &Rulebook, files: &[SourceFile]) -> Vec<Told> {
    let mut found = Vec::new();
    for file in files.iter().filter(|f| kind_of(&f.path) == FileKind::Cases) {
        let Ok(document) = ingest::toml(&file.text) else { continue };
        let Some(Kind::List(cases)) = document.member("case").map(|n| &n.kind) else { continue };
        found.extend(cases.iter().filter_map(|case| told(book, case).ok()));
    }
    found
}

/// A case read: what happened, and as of when.
pub struct Told {
    pub incident: Incident,
    pub now: Timestamp,
    pub options: Options,
}

pub(super) fn told(book: &Rulebook, case: &Node) -> Result<Told, Vec<String>> {
    let sentences = |rejections: Vec<Rejection>| rejections.iter().map(Rejection::to_string).collect::<Vec<_>>();
    let text = |key: &str| case.member(key).and_then(Node::text);
    let now = instant(text("now").ok_or_else(|| vec!["the case has no `now`".to_string()])?)?;
    let mut rejections = Vec::new();
    let reading = Reading { catalogue: book.catalogue(), now, by: "case" };
    let entity =
        case.member("entity").map(|e| ingest::entity(e, &Pointer::root(), &mut rejections)).unwrap_or_default();
    let mut facts = FactBook::default();
    if let Some(table) = case.member("facts") {
        for fact in ingest::read(table, &Pointer::root().child("facts"), Format::Toml, &reading, &mut rejections) {
            facts.assert(fact);
        }
    }
    // a later assertion of the same keys, for corrections and repeated filings
    if let Some(Node { kind: Kind::List(later), .. }) = case.member("then") {
        for table in later {
            for fact in ingest::read(table, &Pointer::root().child("then"), Format::Toml, &reading, &mut rejections) {
                facts.assert(fact);
            }
        }
    }
    if !rejections.is_empty() {
        return Err(sentences(rejections));
    }
    let faults = crate::rules::entity_faults(book, &entity);
    if !faults.is_empty() {
        return Err(faults.iter().map(ToString::to_string).collect());
    }
    let known: Vec<&str> = entity.contracts.iter().map(|c| c.id.as_str()).collect();
    let strangers = crate::rules::contract_fact_faults(book, &known, facts.history());
    if !strangers.is_empty() {
        return Err(strangers.into_iter().map(|(_, text)| text).collect());
    }
    let incident = Incident {
        id: IncidentId("case".into()),
        title: text("name").unwrap_or("unnamed").to_string(),
        entity,
        source: None,
        reference: None,
        opened_at: now,
        opened_by: "case".into(),
        closed_at: None,
        facts,
    };
    let include_proposed = matches!(case.member("include_proposed").map(|n| &n.kind), Some(Kind::Bool(true)));
    Ok(Told { incident, now, options: Options { all: false, include_proposed } })
}

/// What another rulebook makes of the worked cases: obligations whose standing or dates differ, by case.
pub fn shifts_of_cases(old: &Rulebook, new: &Rulebook, files: &[SourceFile]) -> Vec<(String, Vec<Shift>)> {
    let mut found = Vec::new();
    for file in files.iter().filter(|f| kind_of(&f.path) == FileKind::Cases) {
        let Ok(document) = ingest::toml(&file.text) else { continue };
        let Some(Kind::List(cases)) = document.member("case").map(|n| &n.kind) else { continue };
        for case in cases {
            // a case that only one of the two understands is about a duty or fact that only one has
            let (Ok(before), Ok(after)) = (told(old, case), told(new, case)) else { continue };
            let shifts = compare_plans(
                &old.plan(&before.incident, before.now, before.options),
                &new.plan(&after.incident, after.now, after.options),
            );
            if !shifts.is_empty() {
                found.push((format!("{}:{}: {}", file.path, case.line.unwrap_or(0), after.incident.title), shifts));
            }
        }
    }
    found
}

fn judge(book: &Rulebook, case: &Node, outcome: &mut CaseOutcome) -> Result<(), Vec<String>> {
    let Told { incident, now, options } = told(book, case)?;
    let mut faults: Vec<String> = Vec::new();
    let plan = book.plan(&incident, now, options);
    for (key, node) in case.members() {
        match key.as_str() {
            "name" | "why" | "now" | "entity" | "facts" | "then" | "include_proposed" => {}
            "trap" => match &node.kind {
                Kind::List(ids) if ids.iter().all(|id| id.text().is_some()) => {
                    outcome.traps.extend(ids.iter().filter_map(Node::text).map(str::to_string));
                }
                _ => faults.push("`trap` is a list of the ids of the mistakes this case would catch".to_string()),
            },
            "want" => {
                let Kind::List(wants) = &node.kind else { return Err(vec!["`want` is a list of tables".into()]) };
                for want in wants {
                    compare(book, &plan, want, outcome, &mut faults)?;
                }
            }
            "they_owe" => {
                let Kind::List(wants) = &node.kind else { return Err(vec!["`they_owe` is a list of tables".into()]) };
                for want in wants {
                    compare_owed(&plan, want, now, &mut faults)?;
                }
            }
            other => faults.push(format!(
                "`{other}` is not a member of a case; it has name, why, trap, now, entity, facts, then, want, they_owe"
            )),
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn compare(
    book: &Rulebook,
    plan: &Plan,
    want: &Node,
    outcome: &mut CaseOutcome,
    faults: &mut Vec<String>,
) -> Result<(), Vec<String>> {
    let text = |key: &str| want.member(key).and_then(Node::text);
    let duty = text("duty").ok_or_else(|| vec!["a `want` has no `duty`".to_string()])?;
    let place = text("place");
    outcome.duties.push(duty.to_string());
    if book.duty(duty).is_none() {
        return Err(vec![format!(
            "no pack has the duty `{duty}`{}",
            crate::rules::did_you_mean(&book.nearest_duties(duty))
        )]);
    }
    let found: Vec<&Obligation> =
        plan.obligations.iter().filter(|o| o.duty.0 == duty && place.is_none_or(|p| p == o.jurisdiction)).collect();
    let label = place.map_or_else(|| duty.to_string(), |p| format!("{duty}@{p}"));
    let standing = text("standing").unwrap_or("running");
    let obligation = match found.as_slice() {
        [] if standing == "not-applicable" => return Ok(()),
        [] => {
            faults.push(format!("{label}: wanted {standing}, but it does not apply"));
            return Ok(());
        }
        [one] => *one,
        many => {
            let places: Vec<&str> = many.iter().map(|o| o.jurisdiction.as_str()).collect();
            faults.push(format!("{label}: {} obligations ({}); name the `place`", many.len(), places.join(", ")));
            return Ok(());
        }
    };
    if obligation.standing.as_str() != standing {
        faults.push(format!(
            "{label}: wanted {standing}, is {} (missing: {})",
            obligation.standing.as_str(),
            obligation.missing.join(", ")
        ));
    }
    let deadline = obligation.standing.deadline();
    for (key, node) in want.members() {
        let expected = |at: Option<Timestamp>| -> Result<Option<String>, Vec<String>> {
            let wanted = node.text().map(instant).transpose()?;
            Ok((wanted != at).then(|| format!("{label}: `{key}` should be {}, is {}", show(wanted), show(at))))
        };
        match key.as_str() {
            "duty" | "place" | "standing" | "why" => {}
            "due" => faults.extend(expected(deadline.map(|d| d.due))?),
            "conservative_due" => faults.extend(expected(deadline.map(|d| d.conservative_due))?),
            "internal_target" => faults.extend(expected(obligation.internal_target)?),
            "projected_due" => {
                let projected = match &obligation.standing {
                    crate::law::Standing::Awaiting { projected_due, .. } => *projected_due,
                    _ => None,
                };
                faults.extend(expected(projected)?);
            }
            "missing" | "claimable" => {
                let keys = if key == "missing" { &obligation.missing } else { &obligation.claimable };
                let wanted: Vec<&str> = match &node.kind {
                    Kind::List(items) => items.iter().filter_map(Node::text).collect(),
                    _ => Vec::new(),
                };
                let (mut wanted_sorted, mut is): (Vec<&str>, Vec<&str>) =
                    (wanted, keys.iter().map(String::as_str).collect());
                wanted_sorted.sort_unstable();
                is.sort_unstable();
                if wanted_sorted != is {
                    faults.push(format!(
                        "{label}: `{key}` should be [{}], is [{}]",
                        wanted_sorted.join(", "),
                        is.join(", ")
                    ));
                }
            }
            "unverified" | "promptly" | "no_due" | "held" => {
                let is = match key.as_str() {
                    "unverified" => obligation.unverified,
                    "promptly" => obligation.promptly.is_some(),
                    "held" => obligation.held.is_some(),
                    _ => deadline.is_none(),
                };
                if node.kind != Kind::Bool(is) {
                    faults.push(format!("{label}: `{key}` is {is}"));
                }
            }
            "period" => {
                let is = obligation.period.map(|p| format!("{} {}", p.n, p.unit.words(p.n)));
                let is = is.as_deref().unwrap_or("none");
                if node.text() != Some(is) {
                    faults.push(format!("{label}: `period` is {is}"));
                }
            }
            "binding" => {
                if node.text() != Some(obligation.binding.as_str()) {
                    faults.push(format!("{label}: `binding` is {}", obligation.binding.as_str()));
                }
            }
            "recipient_name" => {
                if node.text() != Some(&obligation.recipient_name) {
                    faults.push(format!("{label}: `recipient_name` is {}", obligation.recipient_name));
                }
            }
            "content" => {
                let item = node.text().unwrap_or_default();
                let items = book.duty(duty).map(|d| d.content.as_slice()).unwrap_or_default();
                if item.is_empty() || !items.iter().any(|c| c.item.contains(item)) {
                    faults.push(format!("{label}: no content item says `{item}`"));
                }
            }
            other => faults.push(format!("{label}: `{other}` is not a member of `want`")),
        }
    }
    Ok(())
}

/// A notice a counterparty owes us: the contract, its standing, and its due when there is one.
fn compare_owed(plan: &Plan, want: &Node, now: Timestamp, faults: &mut Vec<String>) -> Result<(), Vec<String>> {
    let text = |key: &str| want.member(key).and_then(Node::text);
    let id = text("contract").ok_or_else(|| vec!["a `they_owe` has no `contract`".to_string()])?;
    let Some(owed) = plan.they_owe.iter().find(|owed| owed.contract.id == id) else {
        faults.push(format!("they_owe `{id}`: no counterparty owes us a notice under it"));
        return Ok(());
    };
    if let Some(stray) = want.members().iter().find(|(key, _)| !["contract", "standing", "due"].contains(&key.as_str()))
    {
        faults.push(format!("they_owe `{id}`: `{}` is not a member of `they_owe`", stray.0));
    }
    let standing = text("standing").unwrap_or("awaited");
    if owed.standing(now) != standing {
        faults.push(format!("they_owe `{id}`: wanted {standing}, is {}", owed.standing(now)));
    }
    let (wanted, due) = (text("due").map(instant).transpose()?, owed.deadline.as_ref().map(|d| d.due));
    if wanted != due {
        faults.push(format!("they_owe `{id}`: `due` should be {}, is {}", show(wanted), show(due)));
    }
    Ok(())
}

fn instant(text: &str) -> Result<Timestamp, Vec<String>> {
    ingest::instant(text, None).map_err(|e| vec![e])
}

fn show(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "none".to_string(), utc)
}
