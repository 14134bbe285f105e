//! The count as a picture: one row per local day and 24 columns, or one row per week and seven, for days and months.

use super::bar::percent;
use crate::time::{Timestamp, Zone};
use chrono::{Datelike, NaiveDate, Timelike};
use serde_json::Value;

const LEFT: f64 = 19.0;
const COLUMN: f64 = 17.0 / 6.0;
const WIDTH: f64 = 2.38;
const ROW: u32 = 34;
const TOP: u32 = 26;
/// A longer count is told by its steps alone.
const MAX_HOUR_ROWS: usize = 9;
const MAX_WEEKS: i64 = 14;

#[derive(Clone, Debug)]
pub struct Cell {
    /// `c`, `c now`, `c todo`, `c off`, `hatchb`, `hole`.
    pub class: &'static str,
    pub x: String,
    pub y: u32,
    pub width: String,
    /// What a tooltip and a reader are told; empty for plain cells.
    pub title: String,
}

#[derive(Clone, Debug)]
pub struct Line {
    pub label: String,
    pub sum: String,
    pub y: u32,
}

#[derive(Clone, Debug)]
pub struct Mark {
    pub class: &'static str,
    pub x: String,
    pub top: u32,
    pub bottom: u32,
    pub text: String,
    pub text_y: u32,
    pub anchor: &'static str,
    pub dx: i32,
}

#[derive(Clone, Debug, Default)]
pub struct Hours {
    pub title: String,
    pub summary: String,
    pub height: u32,
    pub heads: Vec<(String, String)>,
    pub lines: Vec<Line>,
    pub cells: Vec<Cell>,
    pub marks: Vec<Mark>,
    pub by_hour: bool,
    pub has_excluded: bool,
    pub has_missing: bool,
    pub holidays: Vec<String>,
}

/// What the picture marks besides the count.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub now: Timestamp,
    pub counting_from: Timestamp,
    pub due: Timestamp,
    pub conservative: Timestamp,
    pub zone: Zone,
}

struct Day {
    date: NaiveDate,
    /// Hours, or days.
    counted: f64,
    sum: String,
    excluded: u32,
    missing: u32,
    repeated: u32,
    holiday: String,
    why: String,
}

/// `None` when there is nothing to draw, or too much.
pub fn draw(grid: &[Value], limits: Limits) -> Option<Hours> {
    let days: Vec<Day> = grid.iter().filter_map(day).collect();
    let (first, last) = (days.first()?.date, days.last()?.date);
    let total: f64 = days.iter().map(|d| d.counted).sum();
    let elapsed = (limits.due - limits.counting_from).num_minutes() as f64 / 60.0;
    // days count one each; a period of one or two hours counts little more, but its limit is near
    if days.iter().any(|d| d.counted > 1.0) || (total > 0.0 && elapsed <= 12.0) {
        let full = |d: &Day| f64::from(24 - d.missing.count_ones() + d.repeated.count_ones());
        // working hours begin somewhere inside the day: the counts alone do not say where
        let whole = days.iter().skip(1).rev().skip(1).all(|d| d.counted == 0.0 || (d.counted - full(d)).abs() < 0.01);
        return (whole && days.len() <= MAX_HOUR_ROWS).then(|| by_hour(&days, limits));
    }
    ((last - first).num_days() / 7 < MAX_WEEKS && total > 0.0).then(|| by_day(&days, limits))
}

fn day(row: &Value) -> Option<Day> {
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
    let sum = text("counted");
    Some(Day {
        date: text("date").parse().ok()?,
        counted: sum.parse::<f64>().ok().filter(|n| n.is_finite() && (0.0..=48.0).contains(n)).unwrap_or(0.0),
        sum,
        excluded: hours(&text("excluded")),
        missing: hours(&text("missing")),
        repeated: hours(&text("repeated")),
        holiday: text("holiday"),
        why: text("excluded"),
    })
}

/// `02`, `17-23` (inclusive), several with commas: as bits. Words are none.
fn hours(text: &str) -> u32 {
    let hour = |t: &str| t.trim().parse::<u32>().ok().filter(|h| *h < 24);
    let mut bits = 0;
    for token in text.split(',') {
        let (from, to) = token.split_once('-').map_or((hour(token), hour(token)), |(a, b)| (hour(a), hour(b)));
        if let (Some(from), Some(to)) = (from, to) {
            (from..=to).for_each(|h| bits |= 1 << h);
        }
    }
    bits
}

/// Which hours of a day count: so many as its sum says, from the start of the count or of the day on.
fn counted_hours(day: &Day, from: u32) -> u32 {
    let (mut bits, mut left) = (0, day.counted);
    for hour in from..24 {
        let bit = 1 << hour;
        if day.missing & bit != 0 {
            continue;
        }
        if left <= 0.0 {
            break;
        }
        bits |= bit;
        left -= if day.repeated & bit != 0 { 2.0 } else { 1.0 };
    }
    bits
}

fn by_hour(days: &[Day], limits: Limits) -> Hours {
    let zone = limits.zone;
    let now = zone.local(limits.now);
    let mut picture = Hours { by_hour: true, ..Hours::default() };
    picture.heads = [(0, "00"), (6, "06"), (12, "12"), (18, "18")]
        .map(|(h, t)| (percent(LEFT + COLUMN * f64::from(h)), t.to_string()))
        .into();
    let mut told = Vec::new();
    let start = zone.local(limits.counting_from);
    let total: f64 = days.iter().map(|d| d.counted).sum();
    for (at, day) in days.iter().enumerate() {
        let y = TOP + ROW * at as u32;
        let counted = counted_hours(day, if day.date == start.date() { start.hour() } else { 0 });
        for hour in 0..24u32 {
            let bit = 1 << hour;
            let x = LEFT + COLUMN * f64::from(hour);
            let is_now = now.date() == day.date && now.hour() == hour;
            let passed = (day.date, hour) < (now.date(), now.hour());
            let (class, title) = if day.missing & bit != 0 {
                picture.has_missing = true;
                ("hole", format!("{hour:02}:00 does not exist: clocks go forward"))
            } else if counted & bit != 0 {
                (
                    if is_now {
                        "c now"
                    } else if passed {
                        "c"
                    } else {
                        "c todo"
                    },
                    String::new(),
                )
            } else if day.excluded & bit != 0 {
                picture.has_excluded = true;
                ("hatchb", format!("{hour:02}:00 is not counted"))
            } else {
                ("c off", String::new())
            };
            if day.repeated & bit != 0 {
                // the hour that happens twice: two halves in its cell
                let half = (WIDTH - 0.2) / 2.0;
                for part in [x, x + half + 0.2] {
                    picture.cells.push(Cell {
                        class,
                        x: percent(part),
                        y,
                        width: percent(half),
                        title: format!("{hour:02}:00 happens twice"),
                    });
                }
            } else {
                picture.cells.push(Cell { class, x: percent(x), y, width: percent(WIDTH), title });
            }
        }
        let label = format!("{} {}", day.date.format("%a"), day.date.day());
        let sum = if day.sum.is_empty() { "0" } else { &day.sum };
        told.push(format!("{}: {sum}", day.date.format("%A")));
        picture.lines.push(Line { label, sum: if counted > 0 { format!("{sum} h") } else { "–".into() }, y: y + 19 });
    }
    let place = |at: Timestamp| {
        let local = zone.local(at);
        let row = days.iter().position(|d| d.date == local.date())?;
        let hour = f64::from(local.hour()) + f64::from(local.minute()) / 60.0;
        Some((LEFT + COLUMN * hour, TOP + ROW * row as u32))
    };
    let bottom = TOP + ROW * days.len() as u32;
    let clock = |at: Timestamp| zone.local(at).format("%H:%M").to_string();
    let differs = limits.conservative < limits.due;
    if let Some((x, y)) = place(limits.conservative) {
        let text = format!("act before {}", clock(limits.conservative));
        let anchor = if x > LEFT + COLUMN * 6.0 { ("end", -4) } else { ("start", 4) };
        // a mark above the last row is read in its own row: the words stand at the foot
        picture.marks.push(Mark {
            class: "cons",
            x: percent(x),
            top: y - 3,
            bottom: y + 32,
            text,
            text_y: bottom + 12,
            anchor: anchor.0,
            dx: anchor.1,
        });
    }
    if let Some((x, y)) = place(limits.due).filter(|_| differs) {
        let text = format!("limit {}", clock(limits.due));
        let end = x > LEFT + COLUMN * 18.0;
        let text_y = if end || x < LEFT + COLUMN * 6.0 { bottom + 28 } else { bottom + 12 };
        let (anchor, dx) = if end { ("end", -3) } else { ("start", 3) };
        picture.marks.push(Mark {
            class: "legal",
            x: percent(x),
            top: y - 3,
            bottom: y + 32,
            text,
            text_y,
            anchor,
            dx,
        });
    }
    picture.height = bottom + 36;
    // fractions of the first and last hour add up to the period, but for rounding
    let total = (total * 100.0).round() / 100.0;
    picture.title = format!("The {total} counted hours");
    picture.summary = format!("{}. Together {total}.", told.join(", "));
    picture
}

fn by_day(days: &[Day], limits: Limits) -> Hours {
    const STEP: f64 = 10.4;
    const WIDE: f64 = 9.6;
    let zone = limits.zone;
    let today = zone.local(limits.now).date();
    // a limit at midnight belongs to the day that ends
    let last_day = |at: Timestamp| zone.local(at - chrono::TimeDelta::seconds(1)).date();
    let (due, conservative) = (last_day(limits.due), last_day(limits.conservative));
    let mut picture = Hours::default();
    let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    picture.heads = names.iter().enumerate().map(|(at, n)| (percent(LEFT + STEP * at as f64), n.to_string())).collect();
    let monday = |d: NaiveDate| d - chrono::TimeDelta::days(i64::from(d.weekday().num_days_from_monday()));
    let first = monday(days[0].date);
    let mut counted_total = 0;
    for day in days {
        let week = (monday(day.date) - first).num_days() / 7;
        let y = TOP + ROW * week as u32;
        if picture.lines.last().is_none_or(|l| l.y != y + 19) {
            let start = monday(day.date).max(days[0].date);
            picture.lines.push(Line {
                label: format!("{} {}", start.day(), start.format("%b")),
                sum: String::new(),
                y: y + 19,
            });
        }
        let counted = day.counted > 0.0;
        counted_total += u32::from(counted);
        let class = match (counted, day.date == today, day.date < today) {
            (false, ..) if !day.holiday.is_empty() => "hatchb",
            (false, ..) => "c off",
            (true, true, _) => "c now",
            (true, _, true) => "c",
            _ => "c todo",
        };
        if !day.holiday.is_empty() {
            picture.holidays.push(format!("{} {}: {}", day.date.day(), day.date.format("%b"), day.holiday));
        }
        picture.has_excluded |= !counted;
        let x = LEFT + STEP * f64::from(day.date.weekday().num_days_from_monday());
        let title = [day.holiday.as_str(), day.why.as_str()]
            .into_iter()
            .find(|t| !t.is_empty())
            .unwrap_or_default()
            .to_string();
        picture.cells.push(Cell { class, x: percent(x), y, width: percent(WIDE), title });
        for (date, class, text) in [(conservative, "cons", "act by the end"), (due, "legal", "limit, end")] {
            if date == day.date && (class == "cons" || due != conservative) {
                let text = format!("{text} of {} {}", date.format("%a"), date.day());
                let mark = Mark {
                    class,
                    x: percent(x + WIDE),
                    top: y - 3,
                    bottom: y + 32,
                    text,
                    text_y: 0,
                    anchor: "end",
                    dx: 0,
                };
                picture.marks.push(mark);
            }
        }
    }
    let bottom = picture.lines.last().map_or(TOP, |l| l.y + 15);
    for (at, mark) in picture.marks.iter_mut().enumerate() {
        mark.text_y = bottom + 12 + 16 * at as u32;
    }
    picture.height = bottom + 40;
    picture.title = format!("The {counted_total} counted days");
    picture.summary = format!("From {} to {}, {counted_total} days counted.", days[0].date, days[days.len() - 1].date);
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn limits() -> Limits {
        let at = |t: &str| super::super::words::instant(t).expect("instant");
        Limits {
            now: at("2026-03-28T01:13:30Z"),
            counting_from: at("2026-03-27T16:00:00Z"),
            due: at("2026-03-30T16:00:00Z"),
            conservative: at("2026-03-30T15:20:00Z"),
            zone: Zone::named("Europe/Paris").expect("zone"),
        }
    }

    #[test]
    fn the_72_hours_of_the_sample_story() {
        let grid = [
            json!({"date": "2026-03-27", "counted": "7", "excluded": "16", "missing": "", "repeated": "", "holiday": ""}),
            json!({"date": "2026-03-28", "counted": "24"}),
            json!({"date": "2026-03-29", "counted": "23", "missing": "02"}),
            json!({"date": "2026-03-30", "counted": "18"}),
        ];
        let picture = draw(&grid, limits()).expect("a picture");
        assert_eq!(picture.lines.iter().map(|l| l.sum.as_str()).collect::<Vec<_>>(), ["7 h", "24 h", "23 h", "18 h"]);
        assert_eq!(picture.summary, "Friday: 7, Saturday: 24, Sunday: 23, Monday: 18. Together 72.");
        assert!(picture.has_missing && picture.has_excluded);
        assert_eq!(picture.cells.iter().filter(|c| c.class == "c now").count(), 1);
        assert_eq!(picture.marks.iter().map(|m| m.x.as_str()).collect::<Vec<_>>(), ["68.11%", "70.00%"]);
    }

    #[test]
    fn days_are_drawn_by_week() {
        let grid: Vec<Value> = (23..=30)
            .map(|d| json!({"date": format!("2026-03-{d}"), "counted": if d == 28 || d == 29 { "" } else { "1" }, "holiday": if d == 25 { "Lady Day" } else { "" }}))
            .collect();
        let picture = draw(&grid, limits()).expect("a picture");
        assert_eq!((picture.by_hour, picture.lines.len(), picture.holidays.len()), (false, 2, 1));
    }

    #[test]
    fn nonsense_draws_nothing() {
        assert!(draw(&[], limits()).is_none());
        assert!(draw(&[json!({"date": "soon", "counted": "x"})], limits()).is_none());
        assert!(draw(&[json!(null)], limits()).is_none());
        let far = [json!({"date": "2026-01-01", "counted": "1"}), json!({"date": "2027-01-01", "counted": "1"})];
        assert!(draw(&far, limits()).is_none());
    }

    #[test]
    fn working_hours_have_no_place_in_the_day() {
        let grid = ["4", "8", "8", "4"]
            .iter()
            .enumerate()
            .map(|(at, n)| json!({"date": format!("2026-03-2{at}"), "counted": n}));
        assert!(draw(&grid.collect::<Vec<_>>(), limits()).is_none());
    }

    #[test]
    fn the_hour_that_happens_twice_counts_twice() {
        let day = day(&json!({"date": "2026-10-25", "counted": "25", "repeated": "02"})).expect("a day");
        assert_eq!(counted_hours(&day, 0), 0xff_ffff);
    }
}
