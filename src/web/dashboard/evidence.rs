//! Evidence of one incident and its export; the log as a whole; and the state of this installation.

use super::typed::Unshown;
use super::words::{When, instant, person};
use super::{Frame, May, Typed, error_page, frame, reader_zone, show as show_template, unsent};
use crate::store::Store;
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::body::Id;
use crate::web::error::{Answer, Problem};
use crate::web::sent::Sent;
use crate::workflow::export::{ExportRequest, Preview};
use crate::workflow::{Caller, Filter, StatusView};
use askama::Template;
use axum::extract::State as Extract;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// An entry of the log, newest first.
pub struct Entry {
    pub number: String,
    pub at: When,
    pub kind: String,
    pub text: String,
    pub by: String,
    pub hash: String,
}

#[derive(Template)]
#[template(path = "evidence.html")]
struct EvidencePage {
    frame: Frame,
    id: String,
    title: String,
    entries: Vec<Entry>,
    checkpoint: String,
    status: StatusView,
    zone: String,
    may: May,
    /// What may be left out of an export: kind, words, number of fields.
    kinds: Vec<(String, String, u64)>,
    /// Code and name.
    languages: [(&'static str, &'static str); 3],
    typed: Typed,
}

pub async fn show<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor, Id(id): Id) -> Response {
    let page = page(&web, &caller, &id, Typed::default()).await;
    page.unwrap_or_else(|unshown| error_page(&unshown.problem, web.now()))
}

async fn page<S: Store>(web: &Shared<S>, caller: &Caller, id: &str, typed: Typed) -> Result<Response, Unshown> {
    let (now, zone, may) = (web.now(), reader_zone(web), May::of(caller));
    let read = async {
        let incident = web.house.incident(caller, id, now).await?;
        Answer::Ok((incident, web.house.evidence_entries(caller, id).await?))
    };
    let (incident, entries) = match read.await {
        Ok(_) if typed.is("export") && !may.export => {
            return Err(Unshown { problem: super::typed::not_here(caller), typed });
        }
        Ok(read) => read,
        Err(problem) => return Err(Unshown { problem, typed }),
    };
    let preview = match may.export {
        true => web.house.bundle_preview(caller, id, "authority", &[], now).await.ok(),
        false => None,
    };
    Ok(show_template(&EvidencePage {
        frame: frame(web, caller, "evidence").await,
        typed,
        languages: [("en", "English"), ("de", "Deutsch"), ("fr", "Français")],
        kinds: preview.as_ref().map(kinds).unwrap_or_default(),
        entries: entries.iter().rev().map(|e| entry(e, zone)).collect(),
        // an empty log has no checkpoint; the page says so
        checkpoint: web.house.checkpoint(now).await.unwrap_or_default(),
        status: web.house.status(now).await,
        zone: super::zone_name(zone),
        may,
        id: incident.id,
        title: incident.title,
    }))
}

/// The kinds of the preview, in words where we have some.
fn kinds(preview: &Preview) -> Vec<(String, String, u64)> {
    let words = |kind: &str| match kind {
        "privileged" => "Notes, which may be legal advice (left out for authorities and clients)".to_string(),
        "people" => "Names of people (left out for clients)".to_string(),
        "reasons" => "Reasons in people’s own words (left out for clients)".to_string(),
        "third-party" => "Facts in free words, which may name others (left out for clients)".to_string(),
        "delivery" => "What mail servers answered (left out for clients)".to_string(),
        "attachments" => "Files that were handed in, with their names".to_string(),
        other => other.replace(['-', '_'], " "),
    };
    preview.withholdable.iter().map(|(kind, n)| (kind.clone(), words(kind), n.as_u64().unwrap_or(0))).collect()
}

/// Members go by several names in the formats of evidence; the first that is there is shown.
fn entry(value: &Value, zone: crate::time::Zone) -> Entry {
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|n| value.get(n).filter(|v| !v.is_null()));
        found.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_string)).unwrap_or_default()
    };
    let at = text(&["ts", "at", "time", "recorded_at"]);
    let kind = text(&["kind", "type"]);
    let said = text(&["text", "summary", "title", "what"]);
    Entry {
        number: text(&["log_index", "idx", "index", "n"]),
        at: if instant(&at).is_some() { When::text(&at, zone) } else { When { iso: String::new(), label: at } },
        text: if said.is_empty() { kind.replace(['.', '_'], " ") } else { said },
        kind,
        by: person(&text(&["actor", "by"])).to_string(),
        hash: text(&["leaf_hash", "hash", "sha256"]),
    }
}

/// Which field a fault is about.
const FIELDS: [(&str, &str); 4] = [("/profile", "exp"), ("/withhold", "exw"), ("/language", "exl"), ("/zone", "exz")];

/// A POST: the export becomes an entry of the log, and looking never acts.
pub async fn export<S: Store>(Extract(web): Extract<Shared<S>>, Id(id): Id, sent: Sent) -> Response {
    let result = async {
        let fields = sent.whole()?;
        let wanted = ExportRequest {
            profile: fields.get("profile").unwrap_or("authority").to_string(),
            withhold: fields.all("withhold").map(str::to_string).collect(),
            language: fields.get("language").unwrap_or("en").to_string(),
            zone: fields.get("zone").map(str::to_string),
        };
        Answer::Ok(web.house.bundle(&sent.caller, &id, &wanted, web.now()).await?)
    };
    match result.await {
        Ok((name, bytes)) => {
            let named = format!("attachment; filename=\"{}\"", crate::web::evidence::file_name(&name));
            let mut response = bytes.into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
            if let Ok(value) = HeaderValue::from_str(&named) {
                response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
            }
            response
        }
        Err(problem) => {
            let typed = Typed::refused("export", sent.fields, &problem, &FIELDS);
            let mut response = with(&web, &sent.caller, &id, typed, (&problem, &sent.action)).await;
            *response.status_mut() = problem.status();
            response
        }
    }
}

/// Filled again after a login.
pub async fn again<S: Store>(web: &Shared<S>, id: &str, sent: Sent) -> Response {
    let problem = super::typed::not_here(&sent.caller);
    with(web, &sent.caller, id, Typed::again("export", sent.fields, &sent.caller), (&problem, &sent.action)).await
}

async fn with<S: Store>(
    web: &Shared<S>,
    caller: &Caller,
    id: &str,
    typed: Typed,
    (problem, action): (&Problem, &str),
) -> Response {
    match page(web, caller, id, typed).await {
        Ok(response) => response,
        Err(unshown) => unsent(web, problem, action, unshown.typed.fields()),
    }
}

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    frame: Frame,
    status: StatusView,
    checkpoint: String,
    incidents: Vec<(String, String, When)>,
}

pub async fn overview<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor) -> Response {
    let (now, zone) = (web.now(), reader_zone(&web));
    let page = match web.house.incidents(&caller, Filter { limit: 100, ..Filter::default() }, now).await {
        Ok(page) => page,
        Err(trouble) => return error_page(&trouble.into(), now),
    };
    show_template(&LogPage {
        frame: frame(&web, &caller, "evidence").await,
        status: web.house.status(now).await,
        checkpoint: web.house.checkpoint(now).await.unwrap_or_default(),
        incidents: page.items.into_iter().map(|i| (i.id, i.title, When::text(&i.opened_at, zone))).collect(),
    })
}

#[derive(Template)]
#[template(path = "readiness.html")]
struct ReadinessPage {
    frame: Frame,
    status: StatusView,
    rows: Vec<(&'static str, String)>,
}

pub async fn readiness<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor) -> Response {
    let (now, zone) = (web.now(), reader_zone(&web));
    let status = web.house.status(now).await;
    let rows = readiness_rows(&status, zone);
    show_template(&ReadinessPage { frame: frame(&web, &caller, "readiness").await, status, rows })
}

/// The state of the installation, line by line.
pub fn readiness_rows(status: &StatusView, zone: crate::time::Zone) -> Vec<(&'static str, String)> {
    let at = |text: &Option<String>| text.as_deref().map_or("never".to_string(), |t| When::text(t, zone).label);
    let mut rows = vec![
        ("Store", status.store.clone()),
        ("Last proven loop", at(&status.last_loop)),
        ("Lag of the last wake-up", format!("{:.1} s", status.scheduler_lag_seconds)),
        ("Next wake-up", status.next_wake.as_deref().map_or("nothing planned".into(), |t| When::text(t, zone).label)),
        (
            "Messages waiting since",
            status.outbox_next.as_deref().map_or("none waits".into(), |t| When::text(t, zone).label),
        ),
        ("Evidence log", format!("{} entries", status.log_size)),
        ("Last signed checkpoint", at(&status.last_checkpoint)),
        ("Last outside time stamp", at(&status.last_anchor)),
        ("Last verification", at(&status.last_verification)),
        ("Rule packs", format!("reviewed {}, {} duties", status.rulebook.version, status.duties)),
        ("Rulebook SHA-256", status.rulebook.sha256.clone()),
        ("Zone data", status.rulebook.tzdb.clone()),
        ("Calendars", status.rulebook.calendars.clone()),
        ("breachclock", status.version.to_string()),
    ];
    for one in &status.witnesses {
        let (name, last) = (&one.name, at(&one.last_cosignature));
        let size = one.size.map(|size| format!(", at {size} entries")).unwrap_or_default();
        let fault = match (one.saw_another_log, &one.failing_since) {
            (true, _) => "; saw another log",
            (false, Some(_)) => "; does not cosign at present",
            (false, None) => "",
        };
        rows.push(("Witness of the log", format!("{name}: {last}{size}{fault}")));
    }
    rows
}
