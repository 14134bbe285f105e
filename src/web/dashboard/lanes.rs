//! Charts with lanes: the horizon of the board and the timeline of an incident. Each is made twice, wide and narrow;
//! the style sheet shows one. x in per cent, y in pixels, so that text never scales.

use super::bar::percent;
use crate::time::{Timestamp, Zone};
use chrono::{Datelike, TimeDelta, Weekday};

/// Pixels a wide and a narrow chart are taken to have when labels are placed.
const WIDE_PIXELS: f64 = 860.0;
const NARROW_PIXELS: f64 = 340.0;
const LETTER_PIXELS: f64 = 6.9;

/// Incidents of the horizon: more do not fit on a page.
const LANES: usize = 8;

/// Time to per cent; with a `bend`, the past has a share of its own.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Instant and per cent where the scale changes.
    pub bend: Option<(Timestamp, f64)>,
}

impl Scale {
    pub fn x(&self, at: Timestamp) -> f64 {
        let part = |from: Timestamp, to: Timestamp| {
            (at - from).num_milliseconds() as f64 / (to - from).num_milliseconds().max(1) as f64
        };
        let x = match self.bend {
            Some((bend, share)) if at <= bend => part(self.from, bend) * share,
            Some((bend, share)) => share + part(bend, self.to) * (100.0 - share),
            None => part(self.from, self.to) * 100.0,
        };
        x.clamp(0.0, 100.0)
    }

    pub fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }
}

#[derive(Clone, Debug)]
pub struct Tick {
    pub x: String,
    pub label: String,
}

/// What lies behind every lane: days, weekends, clock changes, the present.
#[derive(Clone, Debug, Default)]
pub struct Axis {
    pub days: Vec<Tick>,
    pub weekends: Vec<(String, String)>,
    pub changes: Vec<Tick>,
    pub now: String,
    pub now_label: String,
    /// Whether there is room right of the line.
    pub now_end: bool,
}

#[derive(Clone, Debug)]
pub struct Rect {
    pub class: &'static str,
    pub x: String,
    pub y: u32,
    pub width: String,
    pub hatched: bool,
}

#[derive(Clone, Debug)]
pub struct Point {
    /// `late`, `soon`, `run`, `maybe`, `done`, `fact`, `plan`, `tick` for the conservative limit.
    pub shape: &'static str,
    pub x: String,
    pub y: u32,
}

#[derive(Clone, Debug)]
pub struct Label {
    pub class: &'static str,
    pub x: String,
    pub dx: i32,
    pub y: u32,
    pub anchor: &'static str,
    pub text: String,
}

#[derive(Clone, Debug, Default)]
pub struct Lane {
    pub name: String,
    pub sub: String,
    /// Middle of the lane.
    pub y: u32,
    pub has_axis: bool,
    pub rects: Vec<Rect>,
    pub points: Vec<Point>,
    pub labels: Vec<Label>,
    /// Pixels taken by labels: from, to, and the height they stand at.
    pub(super) taken: Vec<(f64, f64, u32)>,
}

#[derive(Clone, Debug)]
pub struct Chart {
    pub id: &'static str,
    pub title: String,
    pub summary: String,
    pub narrow: bool,
    pub height: u32,
    /// Where the lanes begin.
    pub top: u32,
    pub axis: Axis,
    pub lanes: Vec<Lane>,
}

impl Lane {
    /// Puts a label beside a point: right, left, or above, wherever nothing stands yet. Without room there is none; the
    /// same words are in the list below the chart.
    pub fn label(&mut self, narrow: bool, x: f64, class: &'static str, text: &str) {
        if text.is_empty() {
            return;
        }
        let pixels = if narrow { NARROW_PIXELS } else { WIDE_PIXELS };
        let (at, length) = (x / 100.0 * pixels, text.chars().count() as f64 * LETTER_PIXELS);
        let (middle, above, below) = (self.y + 4, self.y - 10, self.y + 19);
        let (right, left) = ((at + 11.0, "start", 11, middle), (at - 11.0 - length, "end", -11, middle));
        let over = [(at - 4.0, "start", -4, above), (at + 4.0 - length, "end", 4, above)];
        let under = [(at - 4.0, "start", -4, below), (at + 4.0 - length, "end", 4, below)];
        let mut places = vec![right];
        // words on a bar are hard to read; a narrow chart has the lane's name above
        if self.rects.is_empty() {
            places.push(left);
        }
        if !narrow {
            places.extend(over);
        }
        places.extend(under);
        for (from, anchor, dx, y) in places {
            let to = from + length;
            let is_free = self.taken.iter().all(|(a, b, at)| *at != y || to + 6.0 < *a || *b + 6.0 < from);
            if from >= -2.0 && to <= pixels + 4.0 && is_free {
                self.taken.push((from, to, y));
                self.labels.push(Label { class, x: percent(x), dx, y, anchor, text: text.to_string() });
                return;
            }
        }
    }

    /// A point, which also takes the room it stands on.
    pub fn point(&mut self, narrow: bool, shape: &'static str, x: f64) {
        let at = x / 100.0 * if narrow { NARROW_PIXELS } else { WIDE_PIXELS };
        self.taken.push((at - 8.0, at + 8.0, self.y + 4));
        self.points.push(Point { shape, x: percent(x), y: self.y });
    }
}

/// Days, weekends and clock changes between the ends of the scale, in `zone`.
pub fn axis(scale: &Scale, zone: Zone, now: Timestamp) -> Axis {
    let now_x = scale.x(now);
    let mut axis = Axis {
        now: percent(now_x),
        now_label: format!("now {}", zone.local(now).format("%H:%M")),
        now_end: now_x > 85.0,
        ..Axis::default()
    };
    let mut date = zone.local(scale.from).date();
    // a chart of many days names every n-th one
    let every = ((scale.to - scale.from).num_days() / 6 + 1) as u32;
    let mut count = 0;
    let mut last_x = -20.0;
    while let Some(next) = date.succ_opt().filter(|_| count < 400) {
        let (start, end) = (zone.day_start(date), zone.day_start(next));
        if start > scale.to {
            break;
        }
        let (x, x_end) = (scale.x(start.max(scale.from)), scale.x(end.min(scale.to)));
        if matches!(date.weekday(), Weekday::Sat | Weekday::Sun) && x_end > x {
            axis.weekends.push((percent(x), percent(x_end - x)));
        }
        let room = x - last_x >= 9.0 && x <= 94.0;
        if count % every == 0 && room {
            axis.days.push(Tick { x: percent(x), label: format!("{} {}", date.format("%a"), date.day()) });
            last_x = x;
        }
        (date, count) = (next, count + 1);
    }
    let offset = |at: Timestamp| (zone.local(at) - at.naive_utc()).num_minutes();
    let mut hour = scale.from;
    while hour < scale.to && (scale.to - scale.from).num_days() < 40 {
        let next = hour + TimeDelta::hours(1);
        let shift = offset(next) - offset(hour);
        if shift != 0 {
            let label = format!(
                "clocks {}{}",
                if shift > 0 { "+" } else { "−" },
                if shift.abs() == 60 { "1 h".into() } else { format!("{} m", shift.abs()) }
            );
            axis.changes.push(Tick { x: percent(scale.x(next)), label });
        }
        hour = next;
    }
    axis
}

/// One mark on the horizon.
pub struct Due {
    pub lane: String,
    pub sub: String,
    pub at: Timestamp,
    pub shape: &'static str,
    pub class: &'static str,
    pub text: String,
    pub short: String,
}

/// The board's horizon, wide and narrow: one lane per incident, from the oldest late limit to 72 hours ahead.
/// `None` when no limit lies there.
pub fn horizon(dues: &[Due], zone: Zone, now: Timestamp) -> Option<[Chart; 2]> {
    let to = now + TimeDelta::hours(72);
    let earliest = dues.iter().map(|d| d.at).min()?.min(now - TimeDelta::hours(8));
    // a limit that passed long ago must not squeeze the days ahead
    let from =
        zone.day_start(zone.local(earliest.max(now - TimeDelta::hours(30))).date()).max(now - TimeDelta::hours(40));
    let scale = Scale { from, to, bend: None };
    let shown: Vec<&Due> = dues.iter().filter(|d| d.at <= to).collect();
    if shown.is_empty() {
        return None;
    }
    let mut names: Vec<(&str, &str)> = Vec::new();
    for due in &shown {
        if names.len() < LANES && !names.contains(&(due.lane.as_str(), due.sub.as_str())) {
            names.push((&due.lane, &due.sub));
        }
    }
    let make = |narrow: bool| {
        let (first, step) = if narrow { (78, 54) } else { (66, 44) };
        let mut lanes: Vec<Lane> = names
            .iter()
            .enumerate()
            .map(|(at, (name, sub))| Lane {
                name: if narrow { cut(name, 38) } else { name.to_string() },
                sub: sub.to_string(),
                y: first + step * at as u32,
                has_axis: true,
                ..Lane::default()
            })
            .collect();
        // what is urgent is drawn over what may not apply
        let rank = |d: &&&Due| ["maybe", "run", "soon", "late"].iter().position(|s| *s == d.shape);
        let mut drawn: Vec<&&Due> = shown.iter().collect();
        drawn.sort_by_key(rank);
        for due in drawn {
            let Some(lane) = names.iter().position(|n| *n == (due.lane.as_str(), due.sub.as_str())) else { continue };
            lanes[lane].point(narrow, due.shape, scale.x(due.at));
        }
        for due in &shown {
            let Some(lane) = names.iter().position(|n| *n == (due.lane.as_str(), due.sub.as_str())) else { continue };
            lanes[lane].label(narrow, scale.x(due.at), due.class, if narrow { &due.short } else { &due.text });
        }
        let count = names.len() as u32;
        Chart {
            id: if narrow { "hn" } else { "hz" },
            title: "Limits until three days from now".to_string(),
            summary: format!(
                "{} of {}. The list below holds the same dates.",
                counted(shown.len(), "limit"),
                counted(count as usize, "incident")
            ),
            narrow,
            height: if narrow { 50 + 54 * count } else { 50 + 44 * count },
            top: 26,
            axis: axis(&scale, zone, now),
            lanes,
        }
    };
    Some([make(false), make(true)])
}

/// At most `most` letters, the last one an ellipsis when something is missing.
pub fn cut(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 1).collect::<String>().trim_end().to_string() + "…",
        false => text.to_string(),
    }
}

/// `1 limit`, `2 limits`.
fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        super::super::words::instant(text).expect("instant")
    }

    #[test]
    fn the_past_has_its_share() {
        let (from, now, to) = (at("2026-03-27T14:00:00Z"), at("2026-03-28T01:00:00Z"), at("2026-03-31T01:00:00Z"));
        let scale = Scale { from, to, bend: Some((now, 44.0)) };
        assert_eq!([from, now, to].map(|t| scale.x(t).round()), [0.0, 44.0, 100.0]);
        assert_eq!(scale.x(to + TimeDelta::days(9)), 100.0);
    }

    #[test]
    fn days_weekends_and_clock_changes() {
        let now = at("2026-03-28T01:13:30Z");
        let scale = Scale { from: at("2026-03-27T08:00:00Z"), to: now + TimeDelta::hours(72), bend: None };
        let axis = axis(&scale, Zone::named("Europe/Paris").expect("zone"), now);
        assert_eq!(
            axis.days.iter().map(|d| d.label.as_str()).collect::<Vec<_>>(),
            ["Fri 27", "Sat 28", "Sun 29", "Mon 30"]
        );
        assert_eq!((axis.weekends.len(), axis.changes.len()), (2, 1));
        assert_eq!((axis.changes[0].label.as_str(), axis.now_label.as_str()), ("clocks +1 h", "now 02:13"));
    }

    #[test]
    fn labels_do_not_cover_each_other() {
        let mut lane = Lane { y: 66, ..Lane::default() };
        for _ in 0..9 {
            lane.label(false, 50.0, "", "the same place again");
        }
        let mut places: Vec<_> = lane.labels.iter().map(|l| (l.y, l.anchor)).collect();
        places.dedup();
        assert!(lane.labels.len() < 9 && places.len() == lane.labels.len(), "{places:?}");
    }
}
