//! What can go wrong, in words for the person who wrote the input.

use super::{CivilDate, Timestamp};
use chrono::NaiveDateTime;
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// No such zone in the bundled database.
    UnknownZone { name: String, near: Vec<String> },
    /// Clocks went forward over this local time.
    NoSuchLocalTime { local: NaiveDateTime, zone: &'static str, transition: Timestamp },
    /// Clocks went back, the local time occurs twice.
    AmbiguousLocalTime { local: NaiveDateTime, zone: &'static str, first: Timestamp, second: Timestamp },
    /// No such calendar, built in or added.
    UnknownCalendar { id: String, near: Vec<String> },
    /// The calendar has no data for the day.
    CalendarEnds { id: String, asked: CivilDate, from: CivilDate, until: CivilDate },
    /// A word that the field does not know.
    UnknownWord { field: &'static str, word: String, allowed: Vec<String> },
    /// The result lies outside the years that can be written.
    OutOfRange,
    /// No day without a holiday or weekend could be found.
    NoWorkingDay { id: String, from: CivilDate },
    /// A calendar text that cannot be read.
    CalendarText { file: String, line: usize, text: String },
    /// A cron expression that cannot be read.
    Recurrence { expression: String, text: String },
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeError::UnknownZone { name, near } => {
                write!(f, "`{name}` is not a time zone of the IANA database")?;
                did_you_mean(f, near, "write a name such as `Europe/Paris`")
            }
            TimeError::NoSuchLocalTime { local, zone, transition } => write!(
                f,
                "`{}` does not exist in {zone}: clocks went forward at {}; give the time with its UTC offset",
                local.format("%Y-%m-%dT%H:%M:%S"),
                transition.format("%Y-%m-%dT%H:%M:%SZ"),
            ),
            TimeError::AmbiguousLocalTime { local, zone, first, second } => write!(
                f,
                "`{}` occurs twice in {zone}, at {} and at {}: clocks went back; give the time with its UTC offset",
                local.format("%Y-%m-%dT%H:%M:%S"),
                first.format("%Y-%m-%dT%H:%M:%SZ"),
                second.format("%Y-%m-%dT%H:%M:%SZ"),
            ),
            TimeError::UnknownCalendar { id, near } => {
                write!(f, "`{id}` is not a calendar")?;
                did_you_mean(f, near, "write an ISO 3166 id such as a country's two letters, or `WEEKEND`")
            }
            TimeError::CalendarEnds { id, asked, from, until } => write!(
                f,
                "calendar `{id}` says nothing about {asked}: it covers {from} to {until}; add the missing year in an overlay, or use another calendar"
            ),
            TimeError::UnknownWord { field, word, allowed } => {
                write!(f, "`{word}` is not a value of `{field}`; allowed: {}", quoted(allowed))
            }
            TimeError::OutOfRange => {
                write!(f, "the result lies outside the range of dates that can be counted; give a smaller number")
            }
            TimeError::NoWorkingDay { id, from } => {
                write!(f, "calendar `{id}` has no working day within a year after {from}; correct its weekend")
            }
            TimeError::CalendarText { file, line, text } => write!(f, "{file}:{line}: {text}"),
            TimeError::Recurrence { expression, text } => write!(f, "`{expression}`: {text}"),
        }
    }
}

impl std::error::Error for TimeError {}

fn did_you_mean(f: &mut fmt::Formatter<'_>, near: &[String], otherwise: &str) -> fmt::Result {
    if near.is_empty() { write!(f, "; {otherwise}") } else { write!(f, "; did you mean {}?", quoted(near)) }
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
}
