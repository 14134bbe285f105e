//! The derivation of a date: one step after the other, typed while counting, put into words when somebody reads it.

use super::{CivilDate, Timestamp, Unit, Zone, text};
use chrono::{Datelike, NaiveTime, TimeDelta, Timelike, Weekday};

/// Why a day does not count or cannot be the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excluded {
    Weekend(Weekday),
    Holiday(&'static str),
}

/// One step of a count. Cheap to make: words are found by [`Step::text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A trigger on a non-working day is deemed to happen later.
    Shift { day: CivilDate, to: CivilDate, why: Excluded },
    /// The period is initiated by another day than the event's.
    Anchor { to: CivilDate },
    /// The hour of the event is not counted.
    ExcludedHour { event: Timestamp, from: Timestamp },
    /// The day of the event is not counted.
    ExcludedDay { day: CivilDate },
    /// The day of the event is day 1.
    FirstDay { day: CivilDate },
    /// Elapsed minutes or hours.
    Elapsed { n: u32, unit: Unit, from: Timestamp, to: Timestamp },
    /// Clocks change inside the period; elapsed time does not care.
    OffsetChange { at: Timestamp, seconds: i32 },
    /// Hours counted inside working days only.
    WorkingHours { n: u32, from: Timestamp, to: Timestamp, days_skipped: u32 },
    /// Days, weeks, months or years counted to their last day.
    Days { n: u32, unit: Unit, last: CivilDate },
    /// The month lacks the day, so its last day stands in.
    MonthEndClip { day_of_month: u32, last: CivilDate },
    /// A date that did not exist in the zone.
    MissingDay { day: CivilDate },
    /// Working days counted to the last; how many days between did not count.
    WorkingDays { n: u32, first: CivilDate, last: CivilDate, days_skipped: u32 },
    /// The period must include so many working days.
    MinimumWorkingDays { n: u32, inside: u32, last: CivilDate },
    /// The last day is excluded, the period runs on.
    Roll { day: CivilDate, to: CivilDate, why: Excluded, time: Option<NaiveTime> },
    /// When the last day ends: the first instant too late.
    Close { last: CivilDate, at: Timestamp },
    /// A holiday that decided rests on a forecast.
    EstimatedDay { day: CivilDate, name: &'static str },
    /// The count passes the day up to which holidays are announced.
    Horizon { known_until: CivilDate, last: CivilDate },
}

impl Step {
    /// One word for machines.
    pub fn kind(&self) -> &'static str {
        match self {
            Step::Shift { .. } => "shift",
            Step::Anchor { .. } => "anchor",
            Step::ExcludedHour { .. } => "excluded-hour",
            Step::ExcludedDay { .. } => "excluded-day",
            Step::FirstDay { .. } => "first-day",
            Step::Elapsed { .. } => "elapsed",
            Step::OffsetChange { .. } => "offset-change",
            Step::WorkingHours { .. } => "working-hours",
            Step::Days { .. } => "days",
            Step::MonthEndClip { .. } => "month-end-clip",
            Step::MissingDay { .. } => "missing-day",
            Step::WorkingDays { .. } => "working-days",
            Step::MinimumWorkingDays { .. } => "minimum-working-days",
            Step::Roll { .. } => "roll",
            Step::Close { .. } => "close",
            Step::EstimatedDay { .. } => "estimated-day",
            Step::Horizon { .. } => "horizon",
        }
    }

    /// A plain sentence without a full stop, with times as clocks in `zone` show them.
    pub fn text(&self, zone: Zone) -> String {
        match *self {
            Step::Shift { day, to, why } => {
                format!("the event is on {}, {}: deemed to happen on {}", show_day(day), why.words(), show_day(to))
            }
            Step::Anchor { to } => format!("the period is initiated by {}", show_day(to)),
            Step::ExcludedHour { event, from } => format!(
                "the hour of the event ({}) is not counted: counting starts at {}",
                show_instant(event, zone),
                show_instant(from, zone)
            ),
            Step::ExcludedDay { day } => format!("the day of the event, {}, is not counted", show_day(day)),
            Step::FirstDay { day } => format!("the day of the event, {}, is day 1", show_day(day)),
            Step::Elapsed { n, unit, from, to } => format!(
                "{n} elapsed {} from {} end at {}",
                unit.words(n),
                show_instant(from, zone),
                show_instant(to, zone)
            ),
            Step::OffsetChange { at, seconds } => format!(
                "clocks go {} by {} at {}: the wall clock shifts, elapsed hours do not",
                if seconds > 0 { "forward" } else { "back" },
                show_span(seconds),
                show_instant(at, zone)
            ),
            Step::WorkingHours { n, from, to, days_skipped } => format!(
                "{n} {} counted inside working days only, from {}, end at {}; {} skipped",
                Unit::WorkingHour.words(n),
                show_instant(from, zone),
                show_end(to, zone),
                days(days_skipped, "non-working day")
            ),
            Step::Days { n, unit, last } => format!("{n} {}: the last day is {}", unit.words(n), show_day(last)),
            Step::MonthEndClip { day_of_month, last } => {
                format!("the month has no day {day_of_month}: its last day, {}, stands in", show_day(last))
            }
            Step::MissingDay { day } => format!("{day} did not exist in {}: not counted", zone.name()),
            Step::WorkingDays { n, first, last, days_skipped } => format!(
                "{n} {} from {}: the last is {}; {} not counted",
                Unit::WorkingDay.words(n),
                show_day(first),
                show_day(last),
                days(days_skipped, "weekend day or holiday")
            ),
            Step::MinimumWorkingDays { n, inside, last } => format!(
                "the period must include at least {n} {}, it has {inside}: it runs to {}",
                Unit::WorkingDay.words(n),
                show_day(last)
            ),
            Step::Roll { day, to, why, time } => {
                let until = time.map_or(String::new(), |t| format!(", {}", t.format("%H:%M")));
                format!(
                    "the last day, {}, is {}: the period runs to {}{until}",
                    show_day(day),
                    why.words(),
                    show_day(to)
                )
            }
            Step::Close { at, .. } => format!("the period ends at {}", show_end(at, zone)),
            Step::EstimatedDay { day, name } => {
                format!("{name} on {} is an estimate until it is announced", show_day(day))
            }
            Step::Horizon { known_until, last } => format!(
                "holidays are announced up to {}, the count reaches {}: it may change",
                show_day(known_until),
                show_day(last)
            ),
        }
    }

    /// What the step arrives at, in a few words.
    pub fn result(&self, zone: Zone) -> Option<String> {
        Some(match *self {
            Step::Shift { to, .. } | Step::Anchor { to } => show_day(to),
            Step::ExcludedHour { from, .. } => show_instant(from, zone),
            Step::FirstDay { day } => show_day(day),
            Step::Elapsed { to, .. } => show_instant(to, zone),
            Step::WorkingHours { to, .. } => show_end(to, zone),
            Step::Days { last, .. }
            | Step::MonthEndClip { last, .. }
            | Step::WorkingDays { last, .. }
            | Step::MinimumWorkingDays { last, .. } => show_day(last),
            Step::Roll { to, .. } => show_day(to),
            Step::Close { at, .. } => show_end(at, zone),
            Step::ExcludedDay { .. }
            | Step::OffsetChange { .. }
            | Step::MissingDay { .. }
            | Step::EstimatedDay { .. }
            | Step::Horizon { .. } => return None,
        })
    }

    /// The instant the step arrives at, where it is one.
    pub fn at(&self) -> Option<Timestamp> {
        match *self {
            Step::ExcludedHour { from, .. } => Some(from),
            Step::Elapsed { to, .. } | Step::WorkingHours { to, .. } => Some(to),
            Step::OffsetChange { at, .. } | Step::Close { at, .. } => Some(at),
            _ => None,
        }
    }
}

impl Excluded {
    fn words(self) -> String {
        match self {
            Excluded::Weekend(day) => format!("a {} and so not a working day", weekday_name(day)),
            Excluded::Holiday(name) => format!("a holiday ({name})"),
        }
    }
}

fn days(n: u32, what: &str) -> String {
    let plural = what.replacen("day", "days", 1).replace("holiday", "holidays");
    match n {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        _ => format!("{n} {plural}"),
    }
}

fn weekday_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "Monday",
        Weekday::Tue => "Tuesday",
        Weekday::Wed => "Wednesday",
        Weekday::Thu => "Thursday",
        Weekday::Fri => "Friday",
        Weekday::Sat => "Saturday",
        Weekday::Sun => "Sunday",
    }
}

/// `Mon 30 Mar 2026`.
fn show_day(day: CivilDate) -> String {
    let mut text = String::with_capacity(32);
    push_day(&mut text, day);
    text
}

fn push_day(text: &mut String, day: CivilDate) {
    text::push_short_day(text, day);
    text.push(' ');
    match day.year() {
        year @ 1000..=9999 => text::push_digits(text, year.unsigned_abs(), 4),
        year => text.push_str(&year.to_string()),
    }
}

/// `Mon 30 Mar 2026, 18:00 CEST`.
fn show_instant(at: Timestamp, zone: Zone) -> String {
    let local = zone.local(at);
    let mut shown = show_day(local.date());
    shown.push_str(", ");
    text::push_clock(&mut shown, local);
    if local.second() > 0 {
        shown.push(':');
        text::push_digits(&mut shown, local.second(), 2);
    }
    shown.push(' ');
    shown.push_str(zone.abbreviation(at));
    shown
}

/// As `show_instant`, but an instant that ends a day is shown as the end of that day.
fn show_end(at: Timestamp, zone: Zone) -> String {
    let last = zone.local(at - TimeDelta::nanoseconds(1));
    if at == zone.day_start(zone.local(at).date()) {
        let before = zone.abbreviation(at - TimeDelta::nanoseconds(1));
        format!("the end of {} {before}", show_day(last.date()))
    } else {
        show_instant(at, zone)
    }
}

/// `1 h`, `30 min`, `24 h`.
fn show_span(seconds: i32) -> String {
    let minutes = seconds.unsigned_abs() / 60;
    match (minutes / 60, minutes % 60) {
        (0, m) => format!("{m} min"),
        (h, 0) => format!("{h} h"),
        (h, m) => format!("{h} h {m} min"),
    }
}
