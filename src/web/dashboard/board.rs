//! `/`, the board; and `/incidents`.

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
use crate::web::query::Params;
use crate::workflow::{Caller, Filter, IncidentSummary, ObligationView};
use askama::Template;
use axum::extract::State as Extract;
use axum::response::Response;
use chrono::TimeDelta;
use std::collections::{BTreeMap, BTreeSet};

const PAGE: u32 = 500;
/// Rows a page shows at most; a board with more has another problem.
const MOST: usize = 2000;

/// Of what may apply to one incident and is not due within [`NEAR`], the board shows the nearest; a title alone leaves
/// hundreds open, which would bury the clocks that run. The page of the incident has them all, with its questions.
const MAYBES: usize = 6;
const NEAR: TimeDelta = TimeDelta::hours(72);

/// What may apply to an incident besides the rows shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    pub incident: String,
    pub title: String,
    pub entity: String,
    pub count: usize,
}

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
    done: usize,
    is_cut: bool,
    may_report: bool,
}

/// The nearest limit that is still ahead.
struct Next {
    title: String,
    counts_to: String,
    left: String,
    nobody: bool,
}

pub async fn board<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor, params: Params) -> Response {
    let now = web.now();
    match board_page(&web, &caller, &params, now).await {
        Ok(page) => show(&page),
        Err(problem) => error_page(&problem, now),
    }
}

async fn board_page<S: Store>(web: &Shared<S>, caller: &Caller, params: &Params, now: Timestamp) -> Answer<BoardPage> {
    let zone = reader_zone(web);
    let (all, mut folded, is_cut) = every_obligation(web, caller, now).await?;
    let book = web.house.book();
    let mut rows: Vec<Row> = all
        .iter()
        .map(|o| Row::of(o, o.law.missing.first().map(|key| book.catalogue().question(key)).as_deref(), zone, now))
        .filter(|r| r.state != State::Ended)
        .collect();
    rows.sort_by_key(|r| {
        (r.dates.conservative.is_none(), r.dates.conservative, r.state == State::Possible, r.title.clone())
    });
    let mut entities: Vec<String> = rows.iter().map(|r| r.entity.clone()).collect();
    entities.sort();
    entities.dedup();
    let entity = params.get("entity").unwrap_or_default().to_string();
    if !entity.is_empty() {
        rows.retain(|r| r.entity == entity);
        folded.retain(|f| f.entity == entity);
    }
    let late = rows.iter().filter(|r| r.state == State::Late).count();
    let next = next_limit(&rows, now);
    let open = Row::is_open;
    let mine =
        |r: &Row| r.state.is_open() && !r.who.holder.is_empty() && r.who.holder == super::words::person(&caller.name);
    let nobody = |r: &Row| r.state.is_open() && r.who.alarm;
    let count = |keep: &dyn Fn(&Row) -> bool| rows.iter().filter(|r| keep(r)).count();
    let views = vec![
        View { name: "open", title: "Open", count: count(&open) },
        View { name: "mine", title: "Mine", count: count(&mine) },
        View { name: "nobody", title: "Nobody has it", count: count(&nobody) },
        View { name: "done", title: "Filed or decided", count: count(&|r| !open(r)) },
    ];
    let view = params.get("view").filter(|v| views.iter().any(|known| known.name == *v)).unwrap_or("open").to_string();
    let done = views[3].count;
    let is_empty = views[0].count == 0;
    let horizon = lanes::horizon(&dues(&rows, zone, now), zone, now);
    rows.retain(|r| match view.as_str() {
        "mine" => mine(r),
        "nobody" => nobody(r),
        "done" => !open(r),
        _ => open(r),
    });
    if view != "open" {
        folded.clear();
    }
    let group =
        params.get("group").filter(|g| matches!(*g, "incident" | "jurisdiction")).unwrap_or("deadline").to_string();
    let lead = match (late, &next) {
        (0, None) => String::new(),
        (0, Some(next)) => format!("next in {} – ", next.left),
        (n, None) => format!("{n} late – "),
        (n, Some(next)) => format!("{n} late, next in {} – ", next.left),
    };
    let mut incidents: Vec<&str> = all.iter().map(|o| o.incident.as_str()).collect();
    incidents.sort_unstable();
    incidents.dedup();
    let many = incidents.len();
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
        done,
        is_cut,
        may_report: super::May::of(caller).report,
    })
}

async fn every_obligation<S: Store>(
    web: &Shared<S>,
    caller: &Caller,
    now: Timestamp,
) -> Answer<(Vec<ObligationView>, Vec<Folded>, bool)> {
    let (mut all, mut folded) = (Vec::new(), Vec::new());
    let mut after = None;
    loop {
        let page = web.house.obligations(caller, Filter { limit: PAGE, after, ..Filter::default() }, now).await?;
        all.extend(page.items);
        fold(&mut all, &mut folded, now);
        after = page.next;
        if after.is_none() || all.len() >= MOST {
            return Ok((all, folded, after.is_some()));
        }
    }
}

/// Takes out what may apply beyond the nearest of each incident, and counts it.
fn fold(all: &mut Vec<ObligationView>, folded: &mut Vec<Folded>, now: Timestamp) {
    let due = |o: &ObligationView| o.law.conservative_due.as_deref().and_then(instant);
    let is_far = |o: &ObligationView| o.law.standing == "possible" && due(o).is_none_or(|at| at > now + NEAR);
    let mut far: BTreeMap<String, Vec<(bool, Option<Timestamp>, String)>> = BTreeMap::new();
    for o in all.iter().filter(|o| is_far(o)) {
        far.entry(o.incident.clone()).or_default().push((due(o).is_none(), due(o), o.law.id.clone()));
    }
    far.retain(|_, list| list.len() > MAYBES);
    let shown: BTreeSet<(String, String)> = far
        .iter_mut()
        .flat_map(|(incident, list)| {
            list.sort();
            list.iter().take(MAYBES).map(|(.., id)| (incident.clone(), id.clone()))
        })
        .collect();
    all.retain(|o| {
        let stays =
            !is_far(o) || !far.contains_key(&o.incident) || shown.contains(&(o.incident.clone(), o.law.id.clone()));
        if !stays {
            match folded.iter_mut().find(|f| f.incident == o.incident) {
                Some(known) => known.count += 1,
                None => folded.push(Folded {
                    incident: o.incident.clone(),
                    title: o.incident_title.clone(),
                    entity: o.entity.clone(),
                    count: 1,
                }),
            }
        }
        stays
    });
}

fn next_limit(rows: &[Row], now: Timestamp) -> Option<Next> {
    let ahead = |r: &&Row| matches!(r.state, State::Soon | State::Running);
    let limit = |r: &Row| r.dates.conservative.filter(|at| *at > now).or(r.dates.due);
    let row = rows.iter().filter(ahead).min_by_key(|r| limit(r))?;
    let at = limit(row)?;
    Some(Next {
        title: row.title.clone(),
        counts_to: super::words::iso(at),
        left: plain((at - now).num_minutes()),
        nobody: row.who.alarm,
    })
}

fn dues(rows: &[Row], zone: Zone, now: Timestamp) -> Vec<Due> {
    let dated = rows.iter().filter_map(|row| {
        let (shape, class, at) = match row.state {
            State::Late => ("late", "late", row.dates.due?),
            State::Soon => ("soon", "soon", row.dates.conservative?),
            State::Running => ("run", "", row.dates.conservative?),
            State::Possible => ("maybe", "maybe", row.dates.conservative?),
            _ => return None,
        };
        let clock = clock(at, zone, now);
        let name = lanes::cut(&row.title, 28);
        let (text, short) = match row.state {
            State::Late => (format!("{name}, {}", countdown(at, now)), countdown(at, now)),
            State::Possible => (format!("{name}?"), String::new()),
            _ => (format!("{name} {clock}"), clock),
        };
        Some(Due { lane: row.incident_title.clone(), sub: row.entity.clone(), at, shape, class, text, short })
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
