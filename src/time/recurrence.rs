//! Cron expressions for digests and reports, in a zone, with a rule for changes of clocks.
//!
//! Five fields: minute, hour, day of month, month, day of week. Days of the week are written as names (`MON`): the numbers mean
//! different days in different programs. When clocks go forward over a time, it happens at the first instant after the gap. When
//! they go back, a time given by a single hour happens once, at its first occurrence; one that recurs during the day happens at
//! every occurrence, so that every quarter of an hour stays every quarter of an hour.

use super::{Fold, TimeError, Timestamp, Zone};
use chrono::{NaiveDateTime, TimeDelta};
use std::str::FromStr;

/// A cron expression in a zone.
#[derive(Clone, Debug)]
pub struct Recurrence {
    expression: String,
    schedule: cron::Schedule,
    zone: Zone,
    /// More than one hour of the day: every occurrence of a repeated hour counts.
    within_day: bool,
}

impl Recurrence {
    /// Reads five fields. The error says which field and what is expected.
    pub fn parse(expression: &str, zone: Zone) -> Result<Recurrence, TimeError> {
        let fail = |text: &str| TimeError::Recurrence { expression: expression.to_string(), text: text.to_string() };
        let fields: Vec<&str> = expression.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(fail(
                "five fields are expected: minute, hour, day of month, month, day of week, as in `0 8 * * MON-FRI`",
            ));
        };
        if weekday.bytes().any(|b| b.is_ascii_digit()) && !weekday.contains('/') {
            return Err(fail(
                "write days of the week as names, `MON` to `SUN`: numbers mean different days in different programs",
            ));
        }
        if weekday.contains('/') {
            return Err(fail("steps of days of the week are not clear; list the days, as in `MON,WED,FRI`"));
        }
        let schedule = cron::Schedule::from_str(&format!("0 {minute} {hour} {day} {month} {weekday} *"))
            .map_err(|error| fail(&format!("not understood: {error}; an example is `0 8 * * MON-FRI`")))?;
        let within_day = !hour.bytes().all(|b| b.is_ascii_digit());
        Ok(Recurrence { expression: expression.to_string(), schedule, zone, within_day })
    }

    pub fn expression(&self) -> &str {
        &self.expression
    }

    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// The first occurrence later than `after`; `None` when the expression never comes again.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        // no change of clocks within a day is larger than this
        let slack = TimeDelta::hours(4);
        let from = self.zone.local(after).checked_sub_signed(slack)?;
        let mut best: Option<Timestamp> = None;
        // the schedule runs on wall-clock time, written as if it were UTC
        for wall in self.schedule.after(&from.and_utc()).map(|at| at.naive_utc()) {
            if let Some(found) = best
                && wall - slack > self.zone.local(found)
            {
                break;
            }
            for at in self.occurrences(wall).into_iter().flatten() {
                if at > after && best.is_none_or(|found| at < found) {
                    best = Some(at);
                }
            }
        }
        best
    }

    /// The instants at which the wall clock reads `wall`, by the rule of the module.
    fn occurrences(&self, wall: NaiveDateTime) -> [Option<Timestamp>; 2] {
        match self.zone.resolve(wall, Fold::Strict) {
            Ok(at) => [Some(at), None],
            Err(TimeError::NoSuchLocalTime { transition, .. }) => [Some(transition), None],
            Err(TimeError::AmbiguousLocalTime { first, second, .. }) => {
                [Some(first), self.within_day.then_some(second)]
            }
            Err(_) => [None, None],
        }
    }
}

impl PartialEq for Recurrence {
    fn eq(&self, other: &Recurrence) -> bool {
        self.expression == other.expression && self.zone == other.zone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(expression: &str, after: &str) -> String {
        let zone = Zone::named("Europe/Berlin").unwrap();
        let after = after.parse::<Timestamp>().unwrap();
        zone.rfc3339(Recurrence::parse(expression, zone).unwrap().next_after(after).unwrap())
    }

    #[test]
    fn clock_changes() {
        assert_eq!(next("0 8 * * MON-FRI", "2026-03-27T12:00:00Z"), "2026-03-30T08:00:00+02:00");
        // 02:30 does not exist on 29 March: first instant after the gap
        assert_eq!(next("30 2 * * *", "2026-03-28T12:00:00Z"), "2026-03-29T03:00:00+02:00");
        assert_eq!(next("30 2 * * *", "2026-03-29T01:00:00Z"), "2026-03-30T02:30:00+02:00");
        // 02:30 occurs twice on 25 October: once a day means the first time
        assert_eq!(next("30 2 * * *", "2026-10-24T12:00:00Z"), "2026-10-25T02:30:00+02:00");
        assert_eq!(next("30 2 * * *", "2026-10-25T00:30:00Z"), "2026-10-26T02:30:00+01:00");
        // every half hour means every half hour
        assert_eq!(next("*/30 * * * *", "2026-10-25T00:30:00Z"), "2026-10-25T02:00:00+01:00");
        assert_eq!(next("*/30 * * * *", "2026-03-29T00:30:00Z"), "2026-03-29T03:00:00+02:00");
    }

    #[test]
    fn refuses_what_is_unclear() {
        let zone = Zone::UTC;
        for expression in ["0 8 * * 1", "0 8 * *", "0 0 8 * * MON", "x 8 * * *", "0 8 * * MON/2", "60 8 * * *"] {
            assert!(Recurrence::parse(expression, zone).is_err(), "{expression}");
        }
        let never = Recurrence::parse("0 8 30 2 *", zone).unwrap();
        assert_eq!(never.next_after("2026-01-01T00:00:00Z".parse().unwrap()), None);
    }
}
