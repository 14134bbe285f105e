//! RRULE, as far as rotas need it: daily and weekly, every so often, on these days, so many times or until then.

use super::value::{self, Start};
use crate::time::{CivilDate, Timestamp, Zone};
use chrono::{Datelike, Days, Weekday};

/// An occurrence is looked for at most so often: three centuries of days.
const MOST_STEPS: usize = 110_000;

#[derive(Clone, Debug)]
pub(super) struct Repeat {
    weekly: bool,
    interval: u32,
    count: Option<u32>,
    until: Option<Start>,
    /// Empty: every day, or the weekday of the first occurrence.
    days: Vec<Weekday>,
    week_starts: Weekday,
}

impl Repeat {
    pub fn read(text: &str, start: Start, zone: Zone) -> Result<Repeat, String> {
        let mut repeat = Repeat {
            weekly: false,
            interval: 1,
            count: None,
            until: None,
            days: Vec::new(),
            week_starts: Weekday::Mon,
        };
        let mut frequency = None;
        for part in text.split(';').filter(|part| !part.trim().is_empty()) {
            let wrong = |allowed: &str| format!("`{part}` of RRULE is not read; write {allowed}");
            let (name, value) = part.trim().split_once('=').ok_or_else(|| wrong("`NAME=VALUE`"))?;
            let (name, value) = (name.to_ascii_uppercase(), value.to_ascii_uppercase());
            let number = || value.parse::<u32>().ok().filter(|n| (1..=10_000).contains(n));
            match name.as_str() {
                "FREQ" => {
                    frequency = Some(match value.as_str() {
                        "DAILY" => false,
                        "WEEKLY" => true,
                        _ => return Err(wrong("`FREQ=DAILY` or `FREQ=WEEKLY`, or single events")),
                    });
                }
                "INTERVAL" => repeat.interval = number().ok_or_else(|| wrong("a whole number from 1"))?,
                "COUNT" => repeat.count = Some(number().ok_or_else(|| wrong("a whole number from 1"))?),
                "UNTIL" => {
                    let zone = if let Start::Local(_, own) = start { own } else { zone };
                    let until = value::one(&value, None, zone).map_err(|text| format!("`UNTIL`: {text}"))?;
                    if matches!(until, Start::Day(_)) != matches!(start, Start::Day(_)) {
                        // programs differ on whether that day is in or out
                        return Err(
                            "UNTIL and DTSTART are a day and a time; write both as days or both as times".into()
                        );
                    }
                    repeat.until = Some(until);
                }
                "BYDAY" => {
                    for day in value.split(',') {
                        repeat.days.push(weekday(day).ok_or_else(|| wrong("days such as `MO,TU`"))?);
                    }
                }
                "WKST" => repeat.week_starts = weekday(&value).ok_or_else(|| wrong("a day such as `MO`"))?,
                _ => return Err(wrong("FREQ, INTERVAL, COUNT, UNTIL, BYDAY, WKST, or single events")),
            }
        }
        repeat.weekly = frequency.ok_or("RRULE has no FREQ; write `FREQ=DAILY` or `FREQ=WEEKLY`")?;
        if repeat.count.is_some() && repeat.until.is_some() {
            return Err("RRULE has COUNT and UNTIL; keep one".into());
        }
        let first = start.date().weekday();
        if !repeat.days.is_empty() && !repeat.days.contains(&first) {
            // RFC 5545 §3.8.5.3 leaves open what this means
            return Err(format!("the first shift is on a {first}, which BYDAY does not name; move DTSTART"));
        }
        if repeat.weekly && repeat.days.is_empty() {
            repeat.days.push(first);
        }
        Ok(repeat)
    }

    /// The starts before `until`, exceptions not yet taken out.
    pub fn starts(&self, first: Start, zone: Zone, until: Timestamp) -> Vec<Start> {
        let mut starts = Vec::new();
        for date in self.dates(first.date()).take(MOST_STEPS) {
            let start = first.on(date);
            if start.instant(zone) >= until || self.until.is_some_and(|last| is_after(start, last, zone)) {
                break;
            }
            starts.push(start);
            if self.count.is_some_and(|count| starts.len() >= count as usize) {
                break;
            }
        }
        starts
    }

    /// The dates of the rule from the first one on, without an end.
    fn dates(&self, first: CivilDate) -> impl Iterator<Item = CivilDate> {
        let into_week = u64::from(first.weekday().days_since(self.week_starts));
        let week = first - Days::new(into_week);
        let (step, width) = if self.weekly { (7 * u64::from(self.interval), 7) } else { (u64::from(self.interval), 1) };
        let base = if self.weekly { week } else { first };
        let days = self.days.clone();
        (0u64..)
            .map_while(move |n| base.checked_add_days(Days::new(n * step)))
            .flat_map(move |from| (0..width).filter_map(move |day| from.checked_add_days(Days::new(day))))
            .filter(move |date| *date >= first && (days.is_empty() || days.contains(&date.weekday())))
    }
}

/// UNTIL is inclusive.
fn is_after(start: Start, last: Start, zone: Zone) -> bool {
    match last {
        Start::Day(day) => start.date() > day,
        last => start.instant(zone) > last.instant(zone),
    }
}

fn weekday(word: &str) -> Option<Weekday> {
    match word.trim() {
        "MO" => Some(Weekday::Mon),
        "TU" => Some(Weekday::Tue),
        "WE" => Some(Weekday::Wed),
        "TH" => Some(Weekday::Thu),
        "FR" => Some(Weekday::Fri),
        "SA" => Some(Weekday::Sat),
        "SU" => Some(Weekday::Sun),
        _ => None,
    }
}
