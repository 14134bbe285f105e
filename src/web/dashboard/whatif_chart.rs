//! The picture of a supposition: one bar for each obligation with a date, those that change hatched.

use super::bar::percent;
use super::lanes::{Chart, Lane, Rect, Scale, axis, cut};
use super::state::{Dates, State};
use super::words::{clock, instant};
use crate::time::{Timestamp, Zone};
use crate::workflow::{DiffEntry, ObligationView, WhatIf};
use chrono::TimeDelta;

/// More lanes than this no longer fit a page; the list below has all of them.
const MAX_LANES: usize = 12;

/// One lane of the picture.
struct Limit<'v> {
    o: &'v ObligationView,
    dates: Dates,
    is_new: bool,
    /// It is possible already, and would surely run.
    is_known: bool,
    is_gone: bool,
    /// Where it stands today, when it would move.
    was: Option<Timestamp>,
}

/// The limits under the supposition: those that change hatched, the others as they are. `None` when nothing has a date.
pub fn draw(what: &WhatIf, zone: Zone, now: Timestamp) -> Option<[Chart; 2]> {
    let local = |o: &ObligationView| o.law.id.split_once('~').map(|(_, l)| l.to_string()).unwrap_or_default();
    let within = |entries: &[DiffEntry], o: &ObligationView| {
        entries.iter().find(|e| e.id == local(o)).map(|e| e.from.as_deref().and_then(instant))
    };
    let open = |o: &&ObligationView| State::of(o, now).is_open();
    let then = what.then.iter().filter(open).map(|o| Limit {
        o,
        dates: Dates::of(o),
        is_new: within(&what.diff.added, o).is_some() || within(&what.diff.moved, o).is_some(),
        is_known: within(&what.diff.moved, o).is_some(),
        is_gone: false,
        was: within(&what.diff.moved, o).flatten(),
    });
    let gone = what.incident.obligations.iter().filter(open).filter(|o| within(&what.diff.dropped, o).is_some());
    let gone = gone.map(|o| Limit { o, dates: Dates::of(o), is_new: false, is_known: true, is_gone: true, was: None });
    let mut limits: Vec<Limit<'_>> = then.chain(gone).filter(|l| l.dates.conservative.is_some()).collect();
    limits.sort_by_key(|l| (!(l.is_new || l.is_gone), l.dates.conservative, l.o.law.id.clone()));
    limits.truncate(MAX_LANES);
    limits.sort_by_key(|l| (l.dates.conservative, l.o.law.id.clone()));
    let starts = limits.iter().filter_map(|l| l.dates.started).filter(|at| *at < now);
    let from = starts.min()?.max(now - TimeDelta::days(4));
    let ends = limits.iter().filter_map(|l| l.dates.due).filter(|at| *at < now + TimeDelta::days(8)).max();
    let to = ends.unwrap_or(now + TimeDelta::hours(72)).max(now + TimeDelta::hours(12)) + TimeDelta::hours(3);
    let scale = Scale { from: from - TimeDelta::minutes(20), to, bend: None };
    let make = |narrow: bool| {
        let (first, step) = if narrow { (80, 54) } else { (73, 42) };
        let lanes = limits.iter().enumerate();
        let lanes: Vec<Lane> =
            lanes.map(|(at, limit)| lane(limit, &scale, narrow, first + step * at as u32, zone, now)).collect();
        let count = lanes.len() as u32;
        Chart {
            id: if narrow { "wn" } else { "wi" },
            title: "Limits as they would be".to_string(),
            summary: "One bar for each obligation with a date. The list below holds the same changes.".to_string(),
            narrow,
            height: if narrow { 64 + 54 * count } else { 58 + 42 * count },
            top: 30,
            axis: axis(&scale, zone, now),
            lanes,
        }
    };
    Some([make(false), make(true)])
}

fn lane(limit: &Limit<'_>, scale: &Scale, narrow: bool, y: u32, zone: Zone, now: Timestamp) -> Lane {
    let Limit { o, dates, is_new, is_known, is_gone, was } = limit;
    let mut lane = Lane { name: cut(&o.law.title, 30), y, ..Lane::default() };
    lane.sub = match (is_new, is_gone, was) {
        (true, _, None) if *is_known => "would run".to_string(),
        (true, _, None) => "would apply".to_string(),
        (true, _, Some(was)) => format!("would move, from {}", clock(*was, zone, now)),
        (_, true, _) => "would fall away".to_string(),
        _ => cut(&o.law.citation, 34),
    };
    let Some(limit) = dates.conservative else { return lane };
    let (start, end) = (scale.x(dates.started.unwrap_or(now)), scale.x(limit));
    let mut rect = |class, hatched| {
        if end > start {
            lane.rects.push(Rect { class, x: percent(start), y: y - 5, width: percent(end - start), hatched });
        }
    };
    match (is_new, is_gone) {
        (true, _) => {
            rect("maybe", true);
            rect("may", false);
        }
        (_, true) => rect("open", false),
        _ => rect("trk", false),
    }
    if !is_gone && scale.holds(limit) {
        lane.point(narrow, "tick", end);
    }
    let text = match is_gone {
        true => "would fall away".to_string(),
        false => clock(limit, zone, now),
    };
    lane.label(
        narrow,
        end,
        if *is_new {
            "maybe"
        } else if *is_gone {
            ""
        } else {
            "b"
        },
        &text,
    );
    lane
}
