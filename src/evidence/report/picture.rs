//! The report's drawings as SVG: the timeline of facts, clocks, filings and messages, and a strip of days per limit.
//!
//! One drawing serves the page and the printed report, so it has no style sheet and no script; colour is never the only
//! difference. Absent: what the table beside it does not say.

use super::html::esc;
use super::words::Words;
use crate::time::{GridDay, Timestamp, Zone};
use chrono::{Datelike, Weekday};
use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 748.0;
const ROW: f64 = 21.0;
const INK: &str = "#14191f";
const SOFT: &str = "#5d6772";
const LINE: &str = "#c9d0d6";
const BLUE: &str = "#2f66a8";
const PALE: &str = "#dbe7f5";
const RED: &str = "#b3261e";
/// More clocks than these make an unreadable drawing; the first ones end first.
const MOST_CLOCKS: usize = 14;
const DAYS_A_ROW: usize = 14;
/// A longer count is told by its steps alone.
const MOST_DAYS: usize = 7 * DAYS_A_ROW;

/// One clock of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    pub name: String,
    pub from: Timestamp,
    pub due: Timestamp,
    pub conservative: Timestamp,
    pub filed: Option<Timestamp>,
    /// Whether it may run only: drawn empty, with a broken line.
    pub possible: bool,
}

/// What the timeline shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    pub facts: Vec<Timestamp>,
    pub clocks: Vec<Clock>,
    pub filings: Vec<Timestamp>,
    pub messages: Vec<Timestamp>,
}

/// The drawing and the same in words; `None` when there is nothing to draw.
pub fn timeline(shown: &Timeline, now: Timestamp, zone: Zone, words: &Words) -> Option<(String, String)> {
    let mut clocks: Vec<&Clock> = shown.clocks.iter().collect();
    clocks.sort_by_key(|clock| (clock.conservative, clock.due));
    clocks.truncate(MOST_CLOCKS);
    let instants = shown.facts.iter().chain(&shown.filings).chain(&shown.messages).copied();
    let starts = clocks.iter().map(|clock| clock.from);
    let from = instants.clone().chain(starts).min()?;
    let to = instants.chain(clocks.iter().map(|clock| clock.due)).chain([now]).max()?;
    let scale = Scale { from, now: now.clamp(from, to), to };
    let mut svg = Svg::default();
    let bottom = 26.0 + ROW * (clocks.len() + 3) as f64;
    svg.days(&scale, zone, bottom, words);
    let mut y = 26.0;
    svg.lane(y, words.get("lane_facts"), &shown.facts, &scale, "circle");
    for clock in &clocks {
        y += ROW;
        svg.clock(y, clock, &scale);
    }
    svg.lane(y + ROW, words.get("lane_filings"), &shown.filings, &scale, "diamond");
    svg.lane(y + 2.0 * ROW, words.get("lane_messages"), &shown.messages, &scale, "tick");
    if scale.now > from && scale.now < to {
        let x = scale.x(scale.now);
        svg.put(format_args!(
            "<path d=\"M{x:.1} 20V{bottom:.1}\" stroke=\"{INK}\" stroke-width=\"1\" stroke-dasharray=\"3 2\"/>"
        ));
    }
    let count = |n: usize| n.to_string();
    let alt = words.fill(
        "picture_alt",
        &[
            ("facts", &count(shown.facts.len())),
            ("clocks", &count(clocks.len())),
            ("filings", &count(shown.filings.len())),
            ("messages", &count(shown.messages.len())),
        ],
    );
    Some((svg.finish(bottom + 6.0, &alt), alt))
}

/// How one limit was counted: a cell per local day. `None` when there is nothing to draw, or too much.
pub fn strip(grid: &[GridDay], by_hours: bool, words: &Words) -> Option<(String, String)> {
    let (first, last) = (grid.first()?, grid.last()?);
    if grid.len() > MOST_DAYS || grid.iter().all(|day| day.counted.is_empty()) {
        return None;
    }
    let wide = WIDTH / DAYS_A_ROW as f64;
    let mut svg = Svg::default();
    let mut told = Vec::new();
    for (at, day) in grid.iter().enumerate() {
        let (x, y) = ((at % DAYS_A_ROW) as f64 * wide, (at / DAYS_A_ROW) as f64 * 46.0);
        let counted: f64 = day.counted.parse().unwrap_or(0.0);
        let share = if by_hours { (counted / 24.0).clamp(0.0, 1.0) } else { f64::from(counted > 0.0) };
        let date = words.short_day(day.date);
        let inner = wide - 3.0;
        svg.text(x, y + 11.0, "start", 10.0, SOFT, &date);
        svg.put(format_args!(
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{inner:.1}\" height=\"22\" fill=\"#ffffff\" stroke=\"{LINE}\"/>",
            y + 16.0
        ));
        if share > 0.0 {
            // the first day counts from the event on: its share stands at the right
            let from = if at == 0 { x + inner * (1.0 - share) } else { x };
            svg.put(format_args!(
                "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"22\" fill=\"{PALE}\" stroke=\"{BLUE}\"/>",
                y + 16.0,
                inner * share
            ));
        } else {
            svg.put(format_args!(
                "<path d=\"M{x:.1} {:.1}L{:.1} {:.1}\" stroke=\"{LINE}\"/>",
                y + 38.0,
                x + inner,
                y + 16.0
            ));
        }
        let sum = match (by_hours, counted > 0.0) {
            (true, true) => words.fill("strip_hours", &[("n", &day.counted)]),
            (false, true) => "1".to_string(),
            _ => "–".to_string(),
        };
        svg.text(x + inner / 2.0, y + 31.0, "middle", 11.0, INK, &sum);
        let why = [day.holiday.as_str(), &*day.excluded].into_iter().find(|why| !why.is_empty());
        let tells = if counted > 0.0 { sum } else { words.get("strip_off").to_string() };
        told.push(match why.filter(|_| counted == 0.0) {
            Some(why) => format!("{date}: {tells} ({why})"),
            None => format!("{date}: {tells}"),
        });
    }
    let heights = grid.len().div_ceil(DAYS_A_ROW) as f64 * 46.0;
    let days = told.join("; ");
    let title = words.fill("strip", &[("from", &words.day(first.date)), ("to", &words.day(last.date))]);
    let alt = format!("{title}. {}", words.fill("strip_alt", &[("days", &days)]));
    Some((svg.finish(heights, &alt), alt))
}

/// Time to pixels. What was until the report has its own part, so that a far limit does not squeeze it.
struct Scale {
    from: Timestamp,
    now: Timestamp,
    to: Timestamp,
}

impl Scale {
    fn x(&self, at: Timestamp) -> f64 {
        let part = |from: Timestamp, to: Timestamp| {
            (at - from).num_milliseconds() as f64 / (to - from).num_milliseconds().max(1) as f64
        };
        let (past, future) = (self.now > self.from, self.to > self.now);
        let share = match (past, future) {
            (true, true) if at <= self.now => part(self.from, self.now) * 0.55,
            (true, true) => 0.55 + part(self.now, self.to) * 0.45,
            _ => part(self.from, self.to),
        };
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }
}

#[derive(Default)]
struct Svg {
    out: String,
}

impl Svg {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("writing to a string succeeds");
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, size: f64, fill: &str, text: &str) {
        let text = esc(text);
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"{fill}\">{text}</text>"
        ));
    }

    /// Weekends behind everything, and the names of as many days as there is room for.
    fn days(&mut self, scale: &Scale, zone: Zone, bottom: f64, words: &Words) {
        let mut date = zone.local(scale.from).date();
        let mut free = LEFT;
        for _ in 0..800 {
            let Some(next) = date.succ_opt() else { return };
            let (start, end) = (zone.day_start(date), zone.day_start(next));
            if start > scale.to {
                return;
            }
            let (x, until) = (scale.x(start.max(scale.from)), scale.x(end.min(scale.to)));
            if matches!(date.weekday(), Weekday::Sat | Weekday::Sun) && until > x {
                self.put(format_args!(
                    "<rect x=\"{x:.1}\" y=\"18\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#f1f3f5\"/>",
                    until - x,
                    bottom - 18.0
                ));
            }
            if x >= free && x < RIGHT - 36.0 {
                self.put(format_args!("<path d=\"M{x:.1} 16V{bottom:.1}\" stroke=\"{LINE}\" stroke-width=\"0.6\"/>"));
                self.text(x + 2.0, 12.0, "start", 10.0, SOFT, &words.short_day(date));
                free = x + 52.0;
            }
            date = next;
        }
    }

    fn name(&mut self, y: f64, name: &str) {
        const MOST: usize = 34;
        let short: String = match name.chars().count() > MOST {
            true => name.chars().take(MOST - 1).chain(['…']).collect(),
            false => name.to_string(),
        };
        self.text(0.0, y + 14.0, "start", 10.5, INK, &short);
    }

    fn lane(&mut self, y: f64, name: &str, at: &[Timestamp], scale: &Scale, shape: &str) {
        self.name(y, name);
        let middle = y + 10.0;
        self.put(format_args!("<path d=\"M{LEFT} {middle}H{RIGHT}\" stroke=\"{LINE}\" stroke-width=\"0.6\"/>"));
        // a point that would cover the one before is left out
        let mut last = f64::MIN;
        let mut sorted = at.to_vec();
        sorted.sort_unstable();
        for x in sorted.into_iter().map(|at| scale.x(at)) {
            if x - last < 1.0 {
                continue;
            }
            last = x;
            self.mark(x, middle, shape);
        }
    }

    fn mark(&mut self, x: f64, y: f64, shape: &str) {
        match shape {
            "circle" => self.put(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.6\" fill=\"{INK}\"/>")),
            "diamond" => self.put(format_args!(
                "<path d=\"M{x:.1} {:.1}l5 5l-5 5l-5 -5z\" fill=\"{BLUE}\" stroke=\"{INK}\" stroke-width=\"0.8\"/>",
                y - 5.0
            )),
            _ => {
                self.put(format_args!("<path d=\"M{x:.1} {:.1}v10\" stroke=\"{INK}\" stroke-width=\"1.4\"/>", y - 5.0))
            }
        }
    }

    /// A bar from the start to the limit; a thin line at the earliest reading, a thick one at the limit.
    fn clock(&mut self, y: f64, clock: &Clock, scale: &Scale) {
        self.name(y, &clock.name);
        let (from, due, early) = (scale.x(clock.from), scale.x(clock.due), scale.x(clock.conservative));
        let width = (due - from).max(1.0);
        let (fill, dashes) = if clock.possible { ("#ffffff", " stroke-dasharray=\"4 3\"") } else { (PALE, "") };
        self.put(format_args!(
            "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"10\" fill=\"{fill}\" stroke=\"{BLUE}\" \
             stroke-width=\"0.8\"{dashes}/><path d=\"M{early:.1} {:.1}v14\" stroke=\"{RED}\" stroke-width=\"1\"/>\
             <path d=\"M{due:.1} {:.1}v16\" stroke=\"{RED}\" stroke-width=\"2.4\"/>",
            y + 5.0,
            y + 3.0,
            y + 2.0
        ));
        if let Some(filed) = clock.filed {
            self.mark(scale.x(filed), y + 10.0, "diamond");
        }
    }

    fn finish(self, height: f64, alt: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
             height=\"{height:.0}\" role=\"img\" font-family=\"system-ui, 'Segoe UI', Roboto, Arial, sans-serif\">\
             <title>{}</title>{}</svg>",
            esc(alt),
            self.out
        )
    }
}
