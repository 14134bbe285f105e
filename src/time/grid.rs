//! The picture of a count: one row per local day, with the hours or the day that count.

use super::calendar::CalendarView;
use super::{CivilDate, Convention, Period, Step, TimeError, Timestamp, Transition, Unit, Zone, count};
use chrono::{TimeDelta, Timelike};
use schemars::JsonSchema;
use serde::Serialize;
use std::borrow::Cow;

/// One local day of a count. Hours are two digits, spans of hours inclusive: `17-23`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GridDay {
    pub date: CivilDate,
    /// How much of the day counts: hours for periods in hours (`7`, `17.5`), else `1` or nothing.
    pub counted: Cow<'static, str>,
    /// What does not count: the hour of the event (`16`), or why the day does not (`day of the event`, `weekend`).
    pub excluded: Cow<'static, str>,
    /// Hours that clocks skipped: `02`.
    pub missing: String,
    /// Hours that occur twice: `02`.
    pub repeated: String,
    /// Name of the holiday.
    pub holiday: String,
}

/// No picture is longer: a year and a little.
const MAX_DAYS: i64 = 400;

/// The days from the event to the last one. Sums of `counted` are the period, for hours and working days.
pub fn grid(
    trigger: Timestamp,
    period: Period,
    convention: &Convention,
    zone: Zone,
    calendar: CalendarView<'_>,
) -> Result<Vec<GridDay>, TimeError> {
    let counted = count(trigger, period, convention, zone, calendar)?;
    let first = zone.local(trigger).date().min(zone.local(counted.counting_from).date());
    let margin = TimeDelta::nanoseconds(1);
    let changes = zone.transitions_between(bounds(first, zone).0 - margin, bounds(counted.last_day, zone).1 + margin);
    let mut rows = Vec::with_capacity(((counted.last_day - first).num_days() + 1).clamp(0, MAX_DAYS) as usize);
    let mut day = first;
    while day <= counted.last_day && (day - first).num_days() < MAX_DAYS {
        if !zone.skips(day) {
            let mut row = GridDay { date: day, ..GridDay::default() };
            row.holiday = calendar.holiday_name(day).unwrap_or_default().to_string();
            changes.iter().for_each(|change| clock_change(&mut row, change));
            if period.unit.is_elapsed() {
                hours(&mut row, trigger, &counted, period, zone, calendar)?;
            } else {
                whole_day(&mut row, &counted, period, zone, calendar)?;
            }
            rows.push(row);
        }
        day = day.succ_opt().ok_or(TimeError::OutOfRange)?;
    }
    Ok(rows)
}

fn bounds(day: CivilDate, zone: Zone) -> (Timestamp, Timestamp) {
    (zone.day_start(day), zone.day_start(day.succ_opt().unwrap_or(day)))
}

fn hours(
    row: &mut GridDay,
    trigger: Timestamp,
    counted: &super::Counted,
    period: Period,
    zone: Zone,
    calendar: CalendarView<'_>,
) -> Result<(), TimeError> {
    let (start, end) = bounds(row.date, zone);
    if period.unit == Unit::WorkingHour && !calendar.is_working(row.date)? {
        row.excluded = why(row, calendar);
        return Ok(());
    }
    let (from, to) = (counted.counting_from.max(start), elapsed_end(counted).min(end));
    if to > from {
        row.counted = show_hours(to - from).into();
    }
    if counted.counting_from > trigger && trigger >= start && trigger < end {
        row.excluded =
            show_span(zone.local(trigger).hour(), zone.local(counted.counting_from - TimeDelta::nanoseconds(1)).hour())
                .into();
    }
    Ok(())
}

/// Where the hours themselves end, before a minimum or a roll made the period longer.
fn elapsed_end(counted: &super::Counted) -> Timestamp {
    counted
        .steps
        .iter()
        .find_map(|step| match step {
            Step::Elapsed { to, .. } | Step::WorkingHours { to, .. } => Some(*to),
            _ => None,
        })
        .unwrap_or(counted.due)
}

fn whole_day(
    row: &mut GridDay,
    counted: &super::Counted,
    period: Period,
    zone: Zone,
    calendar: CalendarView<'_>,
) -> Result<(), TimeError> {
    let first = zone.local(counted.counting_from).date();
    let last = counted
        .steps
        .iter()
        .find_map(|step| match step {
            Step::Days { last, .. } | Step::WorkingDays { last, .. } => Some(*last),
            _ => None,
        })
        .unwrap_or(counted.last_day);
    if row.date < first {
        row.excluded = "day of the event".into();
    } else if row.date > last {
        row.excluded = if row.date == counted.last_day { "extended to here".into() } else { why(row, calendar) };
    } else if period.unit == Unit::WorkingDay && !calendar.is_working(row.date)? {
        row.excluded = why(row, calendar);
    } else {
        row.counted = "1".into();
        if calendar.is_weekend(row.date) {
            row.excluded = "".into();
        }
    }
    Ok(())
}

fn why(row: &GridDay, calendar: CalendarView<'_>) -> Cow<'static, str> {
    if calendar.is_weekend(row.date) {
        "weekend".into()
    } else if row.holiday.is_empty() {
        "".into()
    } else {
        "holiday".into()
    }
}

/// Names the hours that clocks skip or repeat on that day.
fn clock_change(row: &mut GridDay, change: &Transition) {
    let wall_before = change.at.naive_utc() + TimeDelta::seconds(change.offset_before.into());
    let wall_after = change.at.naive_utc() + TimeDelta::seconds(change.offset_after.into());
    let forward = wall_after > wall_before;
    let (from, to) = if forward { (wall_before, wall_after) } else { (wall_after, wall_before) };
    let last = to - TimeDelta::nanoseconds(1);
    if from.date() != row.date && last.date() != row.date {
        return;
    }
    let from = if from.date() == row.date { from.hour() } else { 0 };
    let to = if last.date() == row.date { last.hour() } else { 23 };
    let field = if forward { &mut row.missing } else { &mut row.repeated };
    *field = show_span(from, to);
}

fn show_span(from: u32, to: u32) -> String {
    if from == to { format!("{from:02}") } else { format!("{from:02}-{to:02}") }
}

/// Hours with as few decimals as needed, at most two.
fn show_hours(span: TimeDelta) -> String {
    let hundredths = (span.num_seconds() * 100 + 1800) / 3600;
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}
