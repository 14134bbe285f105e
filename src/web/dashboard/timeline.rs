//! The drawn timeline of one incident: facts, one bar for each obligation, reminders.

use super::bar::percent;
use super::lanes::{Chart, Lane, Rect, Scale, axis};
use crate::time::{Timestamp, Zone};
use chrono::TimeDelta;

/// One bar of the timeline.
pub struct Span {
    pub name: String,
    pub sub: String,
    pub start: Timestamp,
    pub conservative: Option<Timestamp>,
    pub due: Option<Timestamp>,
    pub filed: Option<Timestamp>,
    /// Class of the elapsed part, `may` for a possible one.
    pub kind: &'static str,
    pub text: String,
}

/// What the timeline of one incident shows.
pub struct Story {
    pub facts: Vec<(Timestamp, String)>,
    pub spans: Vec<Span>,
    /// Sent reminders, and whether each was answered for by a hand-over.
    pub sent: Vec<Timestamp>,
    pub acknowledged: Vec<Timestamp>,
    pub planned: Vec<Timestamp>,
}

/// Two scales: the past takes 44 % of the width, since that is where things are known.
pub fn draw(story: &Story, zone: Zone, now: Timestamp) -> [Chart; 2] {
    let past = story.facts.iter().map(|(at, _)| *at).chain(story.spans.iter().map(|s| s.start)).filter(|at| *at < now);
    let from = past.min().unwrap_or(now - TimeDelta::hours(1)).max(now - TimeDelta::days(30));
    let ahead = story.spans.iter().filter_map(|s| s.due).filter(|at| *at > now && *at < now + TimeDelta::days(6)).max();
    let to = ahead.unwrap_or(now + TimeDelta::hours(72)).max(now + TimeDelta::hours(12)) + TimeDelta::hours(1);
    let scale = Scale { from: from - TimeDelta::minutes(20), to, bend: Some((now, 44.0)) };
    let make = |narrow: bool| {
        let (first, step) = if narrow { (80, 54) } else { (73, 42) };
        let y = |at: usize| first + step * at as u32;
        let mut lanes = vec![Lane { name: "Facts".into(), y: y(0), has_axis: true, ..Lane::default() }];
        let seen: Vec<_> = story.facts.iter().filter(|(at, _)| scale.holds(*at)).collect();
        seen.iter().for_each(|(at, _)| lanes[0].point(narrow, "fact", scale.x(*at)));
        seen.iter().for_each(|(at, text)| lanes[0].label(narrow, scale.x(*at), "", text));
        for (at, span) in story.spans.iter().enumerate() {
            lanes.push(bar(span, &scale, narrow, y(at + 1), now));
        }
        let mut told = Lane { name: "Reminders".into(), y: y(lanes.len()), has_axis: true, ..Lane::default() };
        let groups = [("run", &story.sent), ("done", &story.acknowledged), ("plan", &story.planned)];
        for (shape, times) in groups {
            times.iter().filter(|at| scale.holds(**at)).for_each(|at| told.point(narrow, shape, scale.x(*at)));
        }
        lanes.push(told);
        let count = lanes.len() as u32;
        Chart {
            id: if narrow { "tn" } else { "tl" },
            title: "Timeline of the incident".to_string(),
            summary:
                "Facts, one bar for each obligation, and reminders. The tables below hold the same facts and dates."
                    .to_string(),
            narrow,
            height: if narrow { 64 + 54 * count } else { 58 + 42 * count },
            top: 30,
            axis: axis(&scale, zone, now),
            lanes,
        }
    };
    [make(false), make(true)]
}

fn bar(span: &Span, scale: &Scale, narrow: bool, y: u32, now: Timestamp) -> Lane {
    let mut lane = Lane { name: span.name.clone(), sub: span.sub.clone(), y, ..Lane::default() };
    let start = scale.x(span.start);
    let mut rect = |class, from: f64, to: f64, hatched| {
        if to > from {
            lane.rects.push(Rect { class, x: percent(from), y: y - 5, width: percent(to - from), hatched });
        }
    };
    let Some(due) = span.due else {
        let end = span.filed.map_or(100.0, |at| scale.x(at));
        rect(
            if span.filed.is_some() {
                "el done"
            } else if span.kind == "may" {
                "open maybe"
            } else {
                "open"
            },
            start,
            end,
            false,
        );
        if span.filed.is_some() {
            lane.point(narrow, "done", end);
        }
        lane.label(narrow, end.min(60.0), if span.kind == "may" { "maybe" } else { "" }, &span.text);
        return lane;
    };
    let (end, careful) = (scale.x(due), scale.x(span.conservative.unwrap_or(due)));
    if span.kind == "may" {
        rect("may", start, end, false);
    } else {
        rect("trk", start, end, false);
        let until = span.filed.unwrap_or(now);
        // late: the bar goes on past the limit until somebody files
        let until = if span.filed.is_none() && span.kind != "el late" { until.min(due) } else { until };
        rect(span.kind, start, scale.x(until), false);
        if span.filed.is_none() {
            rect("", careful, end, true);
        }
    }
    match span.filed {
        Some(at) => {
            lane.point(narrow, "done", scale.x(at));
            lane.label(narrow, end.max(scale.x(at)), "done", &span.text);
        }
        None => {
            if span.kind != "may" {
                lane.point(narrow, "tick", careful);
            }
            let class = if span.kind == "may" {
                "maybe"
            } else if span.kind == "el late" {
                "late"
            } else {
                "b"
            };
            let at = if span.kind == "el late" { scale.x(now).max(end) } else { end };
            lane.label(narrow, at, class, &span.text);
        }
    }
    lane
}
