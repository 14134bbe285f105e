//! How a legal order counts: the parameters of the algebra (design/time.md section 19), each with the words data files use.
//!
//! Order of evaluation: trigger, shift, anchor, start, count, minimum of working days, roll, close.

use super::period::{Unit, worded, worded_serde};
use super::{CivilDate, TimeError};
use chrono::NaiveTime;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::str::FromStr;

worded! {
    /// Where counting starts. The hour words concern periods in hours, the day words the others.
    Start as "start" {
        /// The instant of the event.
        Instant = "instant",
        /// The hour of the event is excluded: the next full local hour, also for an event on the full hour.
        NextHour = "next_hour",
        /// As `next_hour`, but an event exactly on the full hour starts there.
        NextHourIncl = "next_hour_incl",
        /// The day of the event is excluded.
        NextDay = "next_day",
        /// The day of the event is day 1.
        SameDay = "same_day",
    }
}

worded! {
    /// Which day initiates the period.
    Anchor as "anchor" {
        Event = "event",
        /// 31 December of the event's year.
        YearEnd = "year_end",
        /// The last day of the calendar quarter of the event.
        QuarterEnd = "quarter_end",
    }
}

worded! {
    /// What a trigger on a non-working day is taken for.
    Shift as "shift" {
        None = "none",
        /// Deemed to happen on the next working day.
        NextWorkingDay = "next_wd",
    }
}

worded! {
    /// On which day a period of months or years ends. A day the last month lacks becomes that month's last day.
    MonthRule as "month" {
        /// The day with the event's number.
        EventDate = "event_date",
        /// The day before the one with the first counted day's number.
        StartDate = "start_date",
    }
}

worded! {
    /// Which last days extend a period. Not the same question as which days are working days.
    RollDays as "roll_days" {
        /// Weekend days and holidays.
        NonWorking = "nonworking",
        /// Sundays and holidays: a Saturday stands.
        SundayAndHoliday = "sun+hol",
        /// Holidays only.
        Holiday = "hol",
    }
}

worded! {
    /// Which working days a minimum counts in a period of hours.
    MinMode as "mode" {
        /// Only those wholly inside.
        Whole = "whole",
        /// Those touched as well.
        Touch = "touch",
    }
}

/// When the last day of a period ends. Periods in hours end at their instant whatever stands here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close {
    /// At the event's time of day.
    Instant,
    /// `24:00`: at the first instant of the next local date.
    EndOfDay,
    /// At a local time.
    At(NaiveTime),
}

/// What happens to a period whose last day is excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Roll {
    None,
    /// It runs to the close of the next allowed day.
    Close,
    /// It runs to the same time on the next allowed day.
    SameTime,
    /// `at:12:00`: it runs to a local time on the next allowed day.
    At(NaiveTime),
}

/// A period of at least `if_days_ge` days includes at least `n` working days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinWorkingDays {
    pub n: u32,
    pub if_days_ge: u32,
    /// Matters for periods in hours only: the days of other periods are whole.
    #[serde(default = "whole")]
    pub mode: MinMode,
}

fn whole() -> MinMode {
    MinMode::Whole
}

/// One row of the algebra, without unit, number, calendar and zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Convention {
    pub start: Start,
    pub anchor: Anchor,
    pub shift: Shift,
    pub month: MonthRule,
    pub close: Close,
    pub roll: Roll,
    pub roll_days: RollDays,
    #[serde(rename = "min_wd")]
    pub min_working_days: Option<MinWorkingDays>,
}

impl Default for Convention {
    /// The plainest reading of a period in days: the day of the event does not count, the last day counts to its end, nothing
    /// extends it. A row for hours must say its `start`.
    fn default() -> Convention {
        Convention {
            start: Start::NextDay,
            anchor: Anchor::Event,
            shift: Shift::None,
            month: MonthRule::EventDate,
            close: Close::EndOfDay,
            roll: Roll::None,
            roll_days: RollDays::NonWorking,
            min_working_days: None,
        }
    }
}

impl Convention {
    /// Hours from the instant, nothing else.
    pub fn elapsed() -> Convention {
        Convention { start: Start::Instant, close: Close::Instant, ..Convention::default() }
    }

    /// The earliest defensible reading: hours from the instant, no deeming of the trigger, no minimum of working days, no roll.
    /// What the text itself fixes stays: the excluded day, the anchor, the close. Source: design/time.md section 20.
    pub fn conservative(&self, unit: Unit) -> Convention {
        Convention {
            // hours that run from the start of the day begin before the instant already
            start: if unit.is_elapsed() && self.start != Start::SameDay { Start::Instant } else { self.start },
            shift: Shift::None,
            roll: Roll::None,
            min_working_days: None,
            ..*self
        }
    }

    /// Does the count look at the calendar at all?
    pub fn asks_calendar(&self, unit: Unit) -> bool {
        matches!(unit, Unit::WorkingDay | Unit::WorkingHour)
            || self.shift != Shift::None
            || self.roll != Roll::None
            || self.min_working_days.is_some()
    }
}

impl Close {
    pub fn as_str(self) -> Cow<'static, str> {
        match self {
            Close::Instant => "instant".into(),
            Close::EndOfDay => "24:00".into(),
            Close::At(time) => time.format("%H:%M").to_string().into(),
        }
    }
}

impl FromStr for Close {
    type Err = TimeError;

    fn from_str(word: &str) -> Result<Close, TimeError> {
        match word {
            "instant" => Ok(Close::Instant),
            "24:00" => Ok(Close::EndOfDay),
            _ => clock(word).map(Close::At).ok_or_else(|| unknown("close", word, &["instant", "24:00", "HH:MM"])),
        }
    }
}

impl Roll {
    pub fn as_str(self) -> Cow<'static, str> {
        match self {
            Roll::None => "none".into(),
            Roll::Close => "close".into(),
            Roll::SameTime => "same_time".into(),
            Roll::At(time) => time.format("at:%H:%M").to_string().into(),
        }
    }
}

impl FromStr for Roll {
    type Err = TimeError;

    fn from_str(word: &str) -> Result<Roll, TimeError> {
        match word {
            "none" => Ok(Roll::None),
            "close" => Ok(Roll::Close),
            "same_time" => Ok(Roll::SameTime),
            _ => word
                .strip_prefix("at:")
                .and_then(clock)
                .map(Roll::At)
                .ok_or_else(|| unknown("roll", word, &["none", "close", "same_time", "at:HH:MM"])),
        }
    }
}

worded_serde!(Close);
worded_serde!(Roll);

/// `HH:MM`, two digits each.
fn clock(word: &str) -> Option<NaiveTime> {
    let (hours, minutes) = word.split_once(':')?;
    let two =
        |digits: &str| (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok());
    NaiveTime::from_hms_opt(two(hours)??, two(minutes)??, 0)
}

fn unknown(field: &'static str, word: &str, allowed: &[&str]) -> TimeError {
    TimeError::UnknownWord { field, word: word.to_string(), allowed: allowed.iter().map(|w| w.to_string()).collect() }
}

/// The day `months` later with the number of `date`, and whether it had to be clipped to the end of the month.
pub(super) fn corresponding_date(date: CivilDate, months: u32) -> Result<(CivilDate, bool), TimeError> {
    use chrono::Datelike;
    let later = date.checked_add_months(chrono::Months::new(months)).ok_or(TimeError::OutOfRange)?;
    Ok((later, later.day() != date.day()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_round_trip() {
        for word in ["instant", "24:00", "17:30"] {
            assert_eq!(word.parse::<Close>().unwrap().as_str(), word);
        }
        for word in ["none", "close", "same_time", "at:12:00"] {
            assert_eq!(word.parse::<Roll>().unwrap().as_str(), word);
        }
        for word in ["25:00", "7:30", "at:12:00", ""] {
            assert!(word.parse::<Close>().is_err(), "{word}");
        }
    }

    #[test]
    fn months_are_clipped_not_sticky() {
        let day = |text: &str| text.parse::<CivilDate>().unwrap();
        assert_eq!(corresponding_date(day("2026-01-31"), 1).unwrap(), (day("2026-02-28"), true));
        assert_eq!(corresponding_date(day("2026-02-28"), 1).unwrap(), (day("2026-03-28"), false));
    }
}
