//! `law diff OLD NEW`: what another set of rule packs changes.

use super::client::{Connection, Server};
use super::exit;
use crate::ingest::{self, EntityRef, Reading};
use crate::law::{FactBook, Incident, IncidentId};
use crate::rules::{Drift, DutyChange, Options, Rulebook, Shift, compare_books, compare_plans};
use crate::time::Timestamp;
use crate::workflow::check_law::shifts_of_cases;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the packs in force; `built-in` for those of this program
    old: PathBuf,
    /// Folder of the packs to come; `built-in` for those of this program
    new: PathBuf,
    /// Also plan the server's open incidents under both; `--server` asks for it, too
    #[arg(long)]
    open_incidents: bool,
    #[command(flatten)]
    to: Connection,
}

pub fn run(args: Args) -> i32 {
    match diff(args) {
        Ok(()) => exit::DONE,
        Err(code) => code,
    }
}

fn diff(args: Args) -> Result<(), i32> {
    let load = |dir: &PathBuf| super::rulebook(Some(dir.as_path()).filter(|d| *d != std::path::Path::new("built-in")));
    let (old, old_files) = load(&args.old)?;
    let (new, new_files) = load(&args.new)?;
    let duties = compare_books(&old, &new);
    let mut cases = shifts_of_cases(&old, &new, &new_files);
    // a case that was taken out may be the one that shows the change
    for (name, shifts) in shifts_of_cases(&old, &new, &old_files) {
        let title = |name: &str| name.splitn(3, ':').nth(2).unwrap_or_default().to_string();
        if !cases.iter().any(|(known, _)| title(known) == title(&name)) {
            cases.push((name, shifts));
        }
    }
    let incidents = if args.open_incidents || args.to.names_a_server() {
        Some(open_incidents(&old, &new, &args.to)?)
    } else {
        None
    };
    if args.to.wants_json() {
        let rows = |found: &[(String, Vec<Shift>)]| -> Vec<Value> {
            found.iter().map(|(name, shifts)| json!({ "name": name, "obligations": shifts })).collect()
        };
        super::print_json(&json!({
            "from": old.name(), "to": new.name(), "duties": duties, "cases": rows(&cases),
            "incidents": incidents.as_deref().map(rows),
        }));
    } else {
        super::print(&text_of(&duties, &cases, incidents.as_deref()));
    }
    Ok(())
}

fn text_of(
    duties: &[DutyChange],
    cases: &[(String, Vec<Shift>)],
    incidents: Option<&[(String, Vec<Shift>)]>,
) -> String {
    let mut text = String::new();
    let count = |kind: &str| duties.iter().filter(|d| d.kind == kind).count();
    text.push_str(&format!(
        "{} duties added, {} removed, {} changed\n",
        count("added"),
        count("removed"),
        count("changed")
    ));
    for duty in duties {
        text.push_str(&format!("\n{} {}\n", duty.kind, duty.duty));
        for field in &duty.fields {
            text.push_str(&format!("  {}: {} -> {}\n", field.field, short(&field.from), short(&field.to)));
        }
    }
    let mut by_duty: BTreeMap<(&str, &str), (usize, &str, &Shift)> = BTreeMap::new();
    for (name, shifts) in cases {
        for shift in shifts {
            let duty = shift.obligation.split('@').next().unwrap_or_default();
            by_duty.entry((duty, word(shift.direction))).or_insert((0, name, shift)).0 += 1;
        }
    }
    text.push_str(&format!("\nworked cases: {} with other dates or standings\n", cases.len()));
    for ((duty, direction), (times, name, shift)) in by_duty {
        text.push_str(&format!("  {duty}: {direction} in {times}, e.g. {name}\n    {}\n", line(shift)));
    }
    if let Some(incidents) = incidents {
        text.push_str(&format!("\nopen incidents: {} with other dates or standings\n", incidents.len()));
        for (name, shifts) in incidents {
            text.push_str(&format!("  {name}\n"));
            for shift in shifts {
                text.push_str(&format!("    {} {}: {}\n", word(shift.direction), shift.obligation, line(shift)));
            }
        }
        text.push_str("a date that moves later, and a duty that vanishes, stay until somebody signs that off\n");
    }
    text
}

fn word(direction: Drift) -> &'static str {
    match direction {
        Drift::Added => "added",
        Drift::Earlier => "earlier",
        Drift::Standing => "standing",
        Drift::Later => "LATER",
        Drift::Removed => "REMOVED",
    }
}

fn line(shift: &Shift) -> String {
    let show = |dates: &Option<crate::rules::Dates>| match dates {
        None => "nothing".to_string(),
        Some(d) => match &d.due {
            Some(due) => format!("{} {due}", d.standing),
            None => d.standing.clone(),
        },
    };
    format!("{} -> {}", show(&shift.from), show(&shift.to))
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(160) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

/// Every open incident the token may see, planned under both rulebooks.
fn open_incidents(old: &Rulebook, new: &Rulebook, to: &Connection) -> Result<Vec<(String, Vec<Shift>)>, i32> {
    let server = Server::new(to)?;
    let now = crate::daemon::clock::now();
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let cursor = after.as_ref().map_or(String::new(), |after| format!("&after={after}"));
        let page = server.get(&format!("/api/v1/incidents?limit=200{cursor}"))?;
        for summary in page["items"].as_array().into_iter().flatten() {
            let id = summary["id"].as_str().unwrap_or_default();
            let view = server.get(&format!("/api/v1/incidents/{id}"))?;
            if !view["closed_at"].is_null() {
                continue;
            }
            let name = format!("{id}: {}", view["title"].as_str().unwrap_or_default());
            let (Some(before), Some(after)) = (incident_of(old, &view, now), incident_of(new, &view, now)) else {
                eprintln!("warning: {name}: one of the rulebooks does not know all of its facts; it was left out");
                continue;
            };
            let plan = |book: &Rulebook, incident: &Incident| book.plan(incident, now, Options::default());
            let shifts = compare_plans(&plan(old, &before), &plan(new, &after));
            if !shifts.is_empty() {
                found.push((name, shifts));
            }
        }
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_string()),
            None => return Ok(found),
        }
    }
}

/// The incident a view shows, as a report would state it. `None` when the rulebook refuses a fact.
fn incident_of(book: &Rulebook, view: &Value, now: Timestamp) -> Option<Incident> {
    let reading = Reading { catalogue: book.catalogue(), now, by: "diff" };
    let mut entity = view["entity"].clone();
    entity.as_object_mut()?.retain(|_, value| !value.is_null());
    let mut facts = FactBook::default();
    // one by one, in their order: an earlier filing counts as well as the latest
    for fact in view["facts"].as_array()?.iter().filter(|f| !f["value"].is_null()) {
        let wrapper =
            json!({ "value": fact["value"], "certainty": fact["certainty"], "by": fact["by"], "at": fact["at"] });
        let text = json!({ fact["key"].as_str()?: wrapper }).to_string();
        ingest::facts_only(&text, &reading).ok()?.into_iter().for_each(|fact| facts.assert(fact));
    }
    let report = ingest::report(&json!({ "title": "diff", "entity": entity }).to_string(), &reading, true).ok()?;
    let EntityRef::Inline(entity) = report.entity else { return None };
    let opened_at = ingest::instant(view["opened_at"].as_str()?, None).ok()?;
    Some(Incident {
        id: IncidentId(view["id"].as_str()?.to_string()),
        title: report.title,
        entity: *entity,
        source: None,
        reference: None,
        opened_at,
        opened_by: "diff".into(),
        closed_at: None,
        facts,
    })
}
