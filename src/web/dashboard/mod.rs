//! The pages. Everything here turns views into words and pictures; what is true is decided elsewhere.
//!
//! Absent here: script that is needed. A page works, and says the same, without any.

pub mod access;
pub mod account;
pub mod ack;
mod bar;
pub mod board;
pub mod decisions;
pub mod evidence;
mod hours;
pub mod incident;
mod items;
mod lanes;
pub mod law;
pub mod law_changes;
mod law_map;
pub mod login;
pub mod obligation;
pub mod people;
mod question;
mod receipt;
pub mod report;
mod row;
pub mod settings;
pub mod sheet;
mod state;
mod story;
mod timeline;
pub mod typed;
pub mod whatif;
mod whatif_chart;
mod words;

use super::error::Problem;
use super::{Shared, assets};
use crate::notify::words::{near_label, short_label};
use crate::store::Store;
use crate::time::{Timestamp, Zone};
use crate::workflow::{Caller, Right, StatusView};
use askama::Template;
use axum::extract::State as Extract;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
pub use typed::unsent;
use typed::{FormFault, Typed};
use words::{instant, iso};

/// One line at the foot of a page.
#[derive(Clone, Debug)]
pub struct FootLine {
    pub icon: &'static str,
    pub is_fault: bool,
    pub text: String,
}

/// What stands around every page.
#[derive(Clone, Debug)]
pub struct Frame {
    pub now_iso: String,
    pub now_label: String,
    pub place: String,
    /// Which entry of the navigation is the current one.
    pub nav: &'static str,
    /// The pages this reader may open: address, name, and the word in `nav`.
    pub links: Vec<(&'static str, &'static str, &'static str)>,
    /// Empty where nobody is logged in.
    pub who: String,
    pub stream: bool,
    /// Where the page can be had again; empty for its own address.
    pub here: String,
    pub foot: Vec<FootLine>,
    /// A fault of the installation, at the head of every page.
    pub alert: Option<String>,
    /// An exercise: a bar over every page says so.
    pub drill: bool,
    pub css: String,
    pub js: String,
    pub icon: String,
}

impl Frame {
    fn bare(zone: Zone, now: Timestamp) -> Frame {
        let minutes = (zone.local(now) - now.naive_utc()).num_minutes();
        let (sign, rest) = (if minutes < 0 { '−' } else { '+' }, minutes.abs());
        let offset = if rest % 60 == 0 { format!("{}", rest / 60) } else { format!("{}:{:02}", rest / 60, rest % 60) };
        let name = zone_name(zone);
        let place = name.rsplit('/').next().unwrap_or(&name).replace('_', " ");
        Frame {
            now_iso: iso(now),
            now_label: short_label(now, zone),
            place: if place == "UTC" { place } else { format!("{place}, UTC{sign}{offset}") },
            nav: "",
            links: Vec::new(),
            who: String::new(),
            stream: false,
            here: String::new(),
            foot: Vec::new(),
            alert: None,
            drill: false,
            css: assets::address("style.css"),
            js: assets::address("app.js"),
            icon: assets::address("icon.svg"),
        }
    }

    fn of(status: &StatusView, caller: &Caller, nav: &'static str, zone: Zone, now: Timestamp) -> Frame {
        let (foot, alert) = foot(status, zone, now);
        let (name, role) = (words::person(&caller.name), caller.role.as_str());
        let who = if name == role { name.to_string() } else { format!("{name}, {role}") };
        Frame { nav, links: links(caller), who, stream: true, foot, alert, ..Frame::bare(zone, now) }
    }
}

/// The navigation of somebody with these rights.
fn links(caller: &Caller) -> Vec<(&'static str, &'static str, &'static str)> {
    let oversees = caller.role.may(Right::Oversee);
    [
        (true, ("/", "Board", "board")),
        (true, ("/incidents", "Incidents", "incidents")),
        (oversees || caller.role.may(Right::Approve), ("/decisions", "Decisions", "decisions")),
        (true, ("/evidence", "Evidence", "evidence")),
        (true, ("/people", "People", "people")),
        (true, ("/law", "Law", "law")),
        (true, ("/readiness", "Readiness", "readiness")),
        // the configuration names every entity
        (oversees && caller.entities.is_empty(), ("/settings", "Settings", "settings")),
        (oversees, ("/access", "Access", "access")),
    ]
    .into_iter()
    .filter_map(|(shown, link)| shown.then_some(link))
    .collect()
}

/// The frame of a page for somebody who is logged in.
async fn frame<S: Store>(web: &Shared<S>, caller: &Caller, nav: &'static str) -> Frame {
    let now = web.now();
    let frame = Frame::of(&web.house.status(now).await, caller, nav, reader_zone(web), now);
    Frame { drill: web.house.settings.drill.is_some(), ..frame }
}

/// The frame of a page for whoever comes, in the reader's zone.
fn open_frame<S: Store>(web: &Shared<S>, now: Timestamp) -> Frame {
    Frame { drill: web.house.settings.drill.is_some(), ..Frame::bare(reader_zone(web), now) }
}

/// Id and name of the entities a caller may report for.
fn entities<S: Store>(web: &Shared<S>, caller: &Caller) -> Vec<(String, String)> {
    let visible = web.house.settings.entities.iter().filter(|e| caller.may_see(e));
    visible.filter_map(|e| Some((e.id.clone()?, e.name.clone()))).collect()
}

/// The reader's zone: that of the first entity which has one. Recipients' limits are written in their own.
fn reader_zone<S: Store>(web: &Shared<S>) -> Zone {
    web.house.settings.entities.iter().find_map(|e| e.zone).unwrap_or(Zone::UTC)
}

fn zone_name(zone: Zone) -> String {
    serde_json::to_value(zone).ok().and_then(|v| v.as_str().map(str::to_string)).unwrap_or_else(|| "UTC".into())
}

fn foot(status: &StatusView, zone: Zone, now: Timestamp) -> (Vec<FootLine>, Option<String>) {
    let near = |text: &Option<String>| text.as_deref().and_then(instant).map(|at| near_label(at, zone, now));
    let fine = |text: String| FootLine { icon: "done", is_fault: false, text };
    let mut lines = Vec::new();
    match (near(&status.last_loop), near(&status.next_wake)) {
        (None, _) => lines.push(FootLine { icon: "soon", is_fault: true, text: "Timers: no loop proven yet".into() }),
        (Some(at), None) => lines.push(fine(format!("Timers looked {at}, nothing planned"))),
        (Some(at), Some(next)) => lines.push(fine(format!("Timers looked {at}, next wake {next}"))),
    }
    match near(&status.last_checkpoint) {
        Some(at) => lines.push(fine(format!("Log of {} entries signed {at}", status.log_size))),
        None => lines.push(FootLine {
            icon: "info",
            is_fault: false,
            text: format!("Log of {} entries, not signed yet", status.log_size),
        }),
    }
    if let Some(at) = near(&status.last_anchor) {
        lines.push(fine(format!("Outside time stamp {at}")));
    }
    for fault in &status.faults {
        lines.push(FootLine { icon: "soon", is_fault: true, text: fault.clone() });
    }
    let packs = format!(
        "{} duties, rule packs reviewed {}, zone data {}",
        status.duties, status.rulebook.version, status.rulebook.tzdb
    );
    lines.push(FootLine { icon: "info", is_fault: false, text: packs });
    let alert = match status.faults.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        [first, rest @ ..] => Some(format!("{first}, and {} more", rest.len())),
    };
    (lines, alert)
}

/// A page as an answer. A template that fails is our fault and says so.
fn show<T: Template>(page: &T) -> Response {
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(_) => Problem::internal().into_response(),
    }
}

fn see_other(address: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(place) = HeaderValue::from_str(address) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// The faults of a problem, each led to the field that `fields` names for its pointer.
fn form_faults(problem: &Problem, fields: &[(&str, &'static str)]) -> Vec<FormFault> {
    let lead = |pointer: &str| fields.iter().find(|(p, _)| pointer.starts_with(p)).map_or("", |(_, field)| field);
    if problem.errors.is_empty() {
        return vec![FormFault { field: "", text: problem.detail.clone() }];
    }
    problem.errors.iter().map(|e| FormFault { field: lead(&e.pointer), text: e.detail.clone() }).collect()
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

/// A problem as a page. In UTC: whoever sees it may not be logged in.
pub fn error_page(problem: &Problem, now: Timestamp) -> Response {
    let page = ErrorPage {
        frame: Frame::bare(Zone::UTC, now),
        title: problem.title,
        status: problem.status,
        detail: &problem.detail,
    };
    let mut response = show(&page);
    *response.status_mut() = problem.status();
    response
}

/// What the caller may do here, for the forms a page shows.
#[derive(Clone, Copy, Debug)]
pub struct May {
    pub report: bool,
    pub respond: bool,
    pub approve: bool,
    pub export: bool,
}

impl May {
    fn of(caller: &Caller) -> May {
        let may = |right| caller.role.may(right);
        May {
            report: may(Right::Report),
            respond: may(Right::Respond),
            approve: may(Right::Approve),
            export: may(Right::Export),
        }
    }
}

/// A key that makes pressing a button twice harmless: the page it was on, and when that page was made.
fn page_key(what: &str, version: u64, now: Timestamp) -> String {
    format!("page-{what}-{version}-{}", now.timestamp_micros())
}
