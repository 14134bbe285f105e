//! `/`, the board; and `/incidents`.

use super::items::{Folded, Item, fold, together};
use super::lanes::{self, Chart, Due};
use super::row::Row;
use super::state::State;
use super::words::{Limit, When, clock, countdown, instant, plain};
use super::{Frame, error_page, frame, reader_zone, show};
use crate::notify::words::short_label;
use crate::store::Store;
use crate::time::{Timestamp, Zone};
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::error::Answer;
use crate::web::kept::kept;
use crate::web::query::Params;
use crate::workflow::{Caller, IncidentSummary, ObligationView};
use askama::Template;
use axum::extract::State as Extract;
use axum::http::Uri;
use axum::response::Response;
use chrono::TimeDelta;
use std::collections::BTreeSet;

/// Rows a page shows: what a telephone loads in a moment. The next ones have a page of their own.
const ROWS: usize = 80;
/// Incidents whose folded rows are named.
const FOLDED: usize = 12;

/// A group of rows under one heading.
pub struct Band {
    pub title: String,
    pub note: String,
    pub rows: Vec<Row>,
}

/// One of the four views.
pub struct View {
    pub name: &'static str,
    pub title: &'static str,
    pub count: usize,
}

#[derive(Template)]
#[template(path = "board.html")]
struct BoardPage {
    frame: Frame,
    title: String,
    is_empty: bool,
    late: usize,
    next: Option<Next>,
    horizon: Option<[Chart; 2]>,
    horizon_note: String,
    views: Vec<View>,
    view: String,
    entities: Vec<String>,
    entity: String,
    group: String,
    bands: Vec<Band>,
    folded: Vec<Folded>,
    /// Incidents with folded rows that are not named.
    unnamed: usize,
    /// Rows before those that are shown, and those after.
    before: usize,
    more: Option<More>,
    done: usize,
    is_cut: bool,
    may_report: bool,
}

/// The rows after those that are shown.
struct More {
    from: usize,
    left: usize,
    next: usize,
}

/// The nearest limit that is still ahead.
struct Next {
    title: String,
    counts_to: String,
    left: String,
    nobody: bool,
}

pub async fn board<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Visitor(caller): Visitor,
    uri: Uri,
    params: Params,
) -> Response {
    let now = web.now();
    let page = async {
        match board_page(&web, &caller, &params, now).await {
            Ok(page) => show(&page),
            Err(problem) => error_page(&problem, now),
        }
    };
    kept(&web, &caller, &uri.to_string(), page).await
}

async fn board_page<S: Store>(web: &Shared<S>, caller: &Caller, params: &Params, now: Timestamp) -> Answer<BoardPage> {
    let zone = reader_zone(web);
    let (parts, is_cut) = web.house.outline(caller, now).await?;
    let many = parts.len();
    let (all, mut folded) = fold(&parts, now);
    let mut lines: Vec<Item<'_>> =
        all.into_iter().map(|o| Item::of(o, now)).filter(|l| l.state != State::Ended).collect();
    let order = |l: &Item<'_>| (l.dates.conservative.is_none(), l.dates.conservative, l.state == State::Possible);
    lines.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.o.law.title.cmp(&b.o.law.title)));
    let entities: BTreeSet<&str> = lines.iter().map(|l| l.o.entity.as_str()).collect();
    let entities = entities.into_iter().map(str::to_string).collect();
    let entity = params.get("entity").unwrap_or_default().to_string();
    if !entity.is_empty() {
        lines.retain(|l| l.o.entity == entity);
        folded.retain(|f| f.entity == entity);
    }
    let late = lines.iter().filter(|l| l.state == State::Late).count();
    let next = next_limit(&lines, now);
    let me = super::words::person(&caller.name);
    let views = [("open", "Open"), ("mine", "Mine"), ("nobody", "Nobody has it"), ("done", "Filed or decided")];
    let views = views
        .map(|(name, title)| View { name, title, count: lines.iter().filter(|l| l.is_in(name, me)).count() })
        .into_iter()
        .collect::<Vec<_>>();
    let view = params.get("view").filter(|v| views.iter().any(|known| known.name == *v)).unwrap_or("open").to_string();
    let done = views[3].count;
    let is_empty = views[0].count == 0;
    let horizon = lanes::horizon(&dues(&lines, zone, now), zone, now);
    lines.retain(|l| l.is_in(&view, me));
    if view != "open" {
        folded.clear();
    }
    let unnamed = folded.len().saturating_sub(FOLDED);
    folded.truncate(FOLDED);
    let group =
        params.get("group").filter(|g| matches!(*g, "incident" | "jurisdiction")).unwrap_or("deadline").to_string();
    together(&mut lines, &group);
    let from = params.whole("from")?.map_or(0, |from| usize::try_from(from).unwrap_or(usize::MAX)).min(lines.len());
    let to = lines.len().min(from + ROWS);
    let more = (to < lines.len()).then(|| More { from: to, left: lines.len() - to, next: ROWS.min(lines.len() - to) });
    let book = web.house.book();
    let question = |o: &ObligationView| o.law.missing.first().map(|key| book.catalogue().question(key));
    let rows = lines[from..to].iter().map(|l| Row::of(l.o, question(l.o).as_deref(), zone, now)).collect();
    let lead = match (late, &next) {
        (0, None) => String::new(),
        (0, Some(next)) => format!("next in {} – ", next.left),
        (n, None) => format!("{n} late – "),
        (n, Some(next)) => format!("{n} late, next in {} – ", next.left),
    };
    Ok(BoardPage {
        frame: frame(web, caller, "board").await,
        title: format!("{lead}Board"),
        is_empty,
        late,
        next,
        horizon,
        horizon_note: format!(
            "{many} open incident{}, times in {}",
            if many == 1 { "" } else { "s" },
            super::zone_name(zone)
        ),
        views,
        view,
        entities,
        entity,
        bands: bands(rows, &group, zone, now),
        group,
        folded,
        unnamed,
        before: from,
        more,
        done,
        is_cut,
        may_report: super::May::of(caller).report,
    })
}

fn next_limit(lines: &[Item<'_>], now: Timestamp) -> Option<Next> {
    let ahead = |l: &&Item<'_>| matches!(l.state, State::Soon | State::Running);
    let limit = |l: &Item<'_>| l.dates.conservative.filter(|at| *at > now).or(l.dates.due);
    let line = lines.iter().filter(ahead).min_by_key(|l| limit(l))?;
    let at = limit(line)?;
    Some(Next {
        title: line.o.law.title.clone(),
        counts_to: super::words::iso(at),
        left: plain((at - now).num_minutes()),
        nobody: line.is_alone(),
    })
}

fn dues(lines: &[Item<'_>], zone: Zone, now: Timestamp) -> Vec<Due> {
    let dated = lines.iter().filter_map(|line| {
        let (shape, class, at) = match line.state {
            State::Late => ("late", "late", line.dates.due?),
            State::Soon => ("soon", "soon", line.dates.conservative?),
            State::Running => ("run", "", line.dates.conservative?),
            State::Possible => ("maybe", "maybe", line.dates.conservative?),
            _ => return None,
        };
        // no chart reaches further
        if at > now + TimeDelta::hours(73) {
            return None;
        }
        let clock = clock(at, zone, now);
        let name = lanes::cut(&line.o.law.title, 28);
        let (text, short) = match line.state {
            State::Late => (format!("{name}, {}", countdown(at, now)), countdown(at, now)),
            State::Possible => (format!("{name}?"), String::new()),
            _ => (format!("{name} {clock}"), clock),
        };
        Some(Due { lane: line.o.incident_title.clone(), sub: line.o.entity.clone(), at, shape, class, text, short })
    });
    dated.collect()
}

fn bands(rows: Vec<Row>, group: &str, zone: Zone, now: Timestamp) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    for row in rows {
        let (title, note) = match group {
            "incident" => (row.incident_title.clone(), row.entity.clone()),
            "jurisdiction" => (row.jurisdiction.clone(), String::new()),
            _ => band_of(&row, zone, now),
        };
        match bands.iter_mut().find(|b| b.title == title && b.note == note) {
            Some(band) => band.rows.push(row),
            None => bands.push(Band { title, note, rows: vec![row] }),
        }
    }
    if group == "deadline" {
        let order = [
            "Late",
            "Filed late",
            "No date could be computed",
            "Next 24 hours",
            "Next 3 days",
            "Later",
            "No date yet",
            "Held",
            "Waiting for another step",
            "Filed or decided",
        ];
        bands.sort_by_key(|b| order.iter().position(|t| *t == b.title));
    }
    bands
}

fn band_of(row: &Row, zone: Zone, now: Timestamp) -> (String, String) {
    let at = row.dates.conservative;
    let (title, note) = match (row.state, at) {
        (State::Late, _) => ("Late", "Still due. The reasons for the delay go with the notification.".to_string()),
        (State::Filed, _) if row.may_explain => ("Filed late", "The reasons for the delay are missing".to_string()),
        (State::Undated, _) => ("No date could be computed", "Treat it as due now".to_string()),
        (State::Awaiting, _) => ("Waiting for another step", String::new()),
        (State::Held, _) => ("Held", "The law lets a request of an authority delay these".to_string()),
        (State::Filed | State::Waived | State::Ended, _) => ("Filed or decided", String::new()),
        (State::Possible, Some(at)) if at < now => {
            ("May be late", "The date has passed if these apply. Answer what decides, or give the notice".to_string())
        }
        (_, None) => ("No date yet", "No number in the law, or the clock has not started".to_string()),
        (_, Some(at)) if at < now + TimeDelta::hours(24) => {
            ("Next 24 hours", format!("until {}", short_label(now + TimeDelta::hours(24), zone)))
        }
        (_, Some(at)) if at < now + TimeDelta::hours(72) => {
            ("Next 3 days", clock_change(zone, now).unwrap_or_default())
        }
        _ => ("Later", String::new()),
    };
    (title.to_string(), note)
}

/// A clock change within three days, said in words.
fn clock_change(zone: Zone, now: Timestamp) -> Option<String> {
    let offset = |at: Timestamp| (zone.local(at) - at.naive_utc()).num_minutes();
    // zones change at full hours or quarters; a quarter's step finds the instant
    let start = now - TimeDelta::seconds(now.timestamp().rem_euclid(900));
    let step = |n: i64| start + TimeDelta::minutes(15 * n);
    let n = (0..72 * 4).find(|n| offset(step(*n)) != offset(step(*n + 1)))?;
    let shift = offset(step(n + 1)) - offset(step(n));
    let amount = if shift.abs() == 60 { "one hour".to_string() } else { format!("{} minutes", shift.abs()) };
    let way = if shift > 0 { "forward" } else { "back" };
    let before = When::at(step(n + 1) - TimeDelta::seconds(1), zone).label;
    Some(format!("Clocks go {way} {amount} after {before}"))
}

/// One incident in the list.
struct Line {
    id: String,
    title: String,
    entity: String,
    opened: When,
    is_closed: bool,
    open: usize,
    overdue: usize,
    next: Option<(Limit, String)>,
}

#[derive(Template)]
#[template(path = "incidents.html")]
struct IncidentsPage {
    frame: Frame,
    lines: Vec<Line>,
    next: Option<String>,
    may_report: bool,
}

pub async fn incidents<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Visitor(caller): Visitor,
    params: Params,
) -> Response {
    let (now, zone) = (web.now(), reader_zone(&web));
    let filter = match params.filter() {
        Ok(filter) => filter,
        Err(problem) => return error_page(&problem, now),
    };
    match web.house.incidents(&caller, filter, now).await {
        Ok(page) => show(&IncidentsPage {
            frame: frame(&web, &caller, "incidents").await,
            lines: page.items.into_iter().map(|i| line(i, zone, now)).collect(),
            next: page.next.map(|next| format!("/incidents?after={}", crate::web::query::encode(&next))),
            may_report: super::May::of(&caller).report,
        }),
        Err(trouble) => error_page(&trouble.into(), now),
    }
}

fn line(incident: IncidentSummary, zone: Zone, now: Timestamp) -> Line {
    let next = incident.next_due.as_deref().and_then(instant).map(|at| (Limit::at(at, zone), countdown(at, now)));
    Line {
        opened: When::text(&incident.opened_at, zone),
        is_closed: incident.closed_at.is_some(),
        id: incident.id,
        title: incident.title,
        entity: incident.entity.name,
        open: incident.open_obligations,
        overdue: incident.overdue,
        next,
    }
}
