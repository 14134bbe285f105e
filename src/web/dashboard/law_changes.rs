//! `/law/changes`: the rule packs in force against those before, in the text of duties and for each open incident.

use super::law::duty_address;
use super::words::{When, instant};
use super::{Frame, error_page, frame, reader_zone, show as show_template};
use crate::notify::words::before_label;
use crate::rules::{Drift, RulebookName, Shift, hex};
use crate::store::Store;
use crate::time::Zone;
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::error::Problem;
use crate::web::query::{Params, encode};
use crate::workflow::law_changes::{IncidentShifts, KnownBook};
use askama::Template;
use axum::extract::State as Extract;
use axum::response::Response;

/// Letters of a value that a change shows.
const LETTERS: usize = 280;
/// Changed duties a page shows at most.
const MOST: usize = 150;

/// One duty whose text differs.
pub struct Changed {
    pub id: String,
    pub address: String,
    pub kind: &'static str,
    pub icon: &'static str,
    /// Field, before, after.
    pub fields: Vec<(String, String, String)>,
}

/// One obligation of an open incident under both.
pub struct Moved {
    pub class: &'static str,
    pub icon: &'static str,
    pub word: &'static str,
    pub title: String,
    pub address: String,
    pub from: String,
    pub to: String,
    /// The older limit stands until somebody signs this off.
    pub waits: bool,
}

pub struct Incident {
    pub id: String,
    pub title: String,
    pub moved: Vec<Moved>,
}

/// A rulebook to compare with.
pub struct Earlier {
    pub hash: String,
    pub label: String,
    pub chosen: bool,
}

#[derive(Template)]
#[template(path = "law_changes.html")]
struct ChangesPage {
    frame: Frame,
    rulebook: RulebookName,
    earlier: Vec<Earlier>,
    from: Option<Earlier>,
    readable: bool,
    added: usize,
    removed: usize,
    changed: usize,
    duties: Vec<Changed>,
    is_cut: bool,
    incidents: Vec<Incident>,
}

pub async fn show<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor, params: Params) -> Response {
    let (now, zone) = (web.now(), reader_zone(&web));
    let wanted = match params.get("from").map(crate::workflow::law_changes::unhex) {
        None => None,
        Some(Some(hash)) => Some(hash),
        Some(None) => {
            let problem = Problem::bad_request("`from` is the SHA-256 of a rulebook: 64 hexadecimal digits");
            return error_page(&problem, now);
        }
    };
    let found = match web.house.law_changes(&caller, wanted, now).await {
        Ok(found) => found,
        Err(trouble) => return error_page(&trouble.into(), now),
    };
    let book = web.house.book();
    let count = |kind: &str| found.duties.iter().filter(|d| d.kind == kind).count();
    let chosen = found.from.as_ref().map(|from| from.sha256);
    let earlier = |known: &KnownBook| Earlier {
        hash: hex(&known.sha256),
        label: label(known, zone),
        chosen: chosen == Some(known.sha256),
    };
    let title = |id: &str| {
        let duty = id.rsplit_once('@').map_or(id, |(duty, _)| duty);
        let place = id.rsplit_once('@').map_or(String::new(), |(_, place)| format!(" ({place})"));
        book.duty(duty).map_or(id.to_string(), |d| format!("{}{place}", d.title))
    };
    show_template(&ChangesPage {
        frame: frame(&web, &caller, "law").await,
        rulebook: book.name(),
        earlier: found.known.iter().map(earlier).collect(),
        from: found.from.as_ref().map(earlier),
        readable: found.readable,
        added: count("added"),
        removed: count("removed"),
        changed: count("changed"),
        is_cut: found.duties.len() > MOST,
        duties: found
            .duties
            .iter()
            .take(MOST)
            .map(|d| Changed {
                id: d.duty.clone(),
                address: if d.kind == "removed" { String::new() } else { duty_address(&d.duty) },
                kind: d.kind,
                icon: match d.kind {
                    "added" => "plus",
                    "removed" => "minus",
                    _ => "move",
                },
                fields: d.fields.iter().map(|f| (f.field.clone(), short(&f.from), short(&f.to))).collect(),
            })
            .collect(),
        incidents: found.incidents.iter().map(|i| incident(i, &title, zone)).collect(),
    })
}

fn label(known: &KnownBook, zone: Zone) -> String {
    let since = known.since.as_deref().map(|at| format!(", in force from {}", When::text(at, zone).label));
    let version = if known.version.is_empty() { "unknown version" } else { &known.version };
    format!("{version}, {}…{}", &hex(&known.sha256)[..12], since.unwrap_or_default())
}

fn incident(shifts: &IncidentShifts, title: &dyn Fn(&str) -> String, zone: Zone) -> Incident {
    let moved = |shift: &Shift| {
        let (class, icon, word) = match shift.direction {
            Drift::Added => ("run", "plus", "Added"),
            Drift::Earlier => ("run", "move", "Earlier"),
            Drift::Standing => ("run", "same", "Standing"),
            Drift::Later => ("soon", "move", "Later"),
            Drift::Removed => ("soon", "minus", "Removed"),
        };
        let dates = |dates: &Option<crate::rules::Dates>| match dates {
            None => "no duty".to_string(),
            Some(d) => match d.conservative_due.as_deref().or(d.due.as_deref()).and_then(instant) {
                Some(at) => format!("{}, {}", d.standing, before_label(at, zone)),
                None => d.standing.clone(),
            },
        };
        let waits = shifts.waiting.contains(&shift.obligation);
        // what vanished has a page only while its older limit stands
        let has_page = shift.to.is_some() || waits;
        let id = format!("{}~{}", shifts.id, shift.obligation);
        Moved {
            class,
            icon,
            word,
            title: title(&shift.obligation),
            address: if has_page { format!("/obligations/{}", encode(&id)) } else { String::new() },
            from: dates(&shift.from),
            to: dates(&shift.to),
            waits,
        }
    };
    Incident { id: shifts.id.clone(), title: shifts.title.clone(), moved: shifts.shifts.iter().map(moved).collect() }
}

/// A value of a pack, short enough to read.
fn short(value: &serde_json::Value) -> String {
    let text = match value {
        serde_json::Value::Null => "nothing".to_string(),
        serde_json::Value::String(text) if text.is_empty() => "nothing".to_string(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    super::lanes::cut(&text, LETTERS)
}
