//! Values of properties: instants, lengths, texts, people.

use super::line::Line;
use crate::time::{CivilDate, Fold, Timestamp, Zone};
use chrono::{NaiveDateTime, NaiveTime, TimeDelta};

/// When something starts, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Utc(NaiveDateTime),
    Local(NaiveDateTime, Zone),
    /// A local day, from its first instant on.
    Day(CivilDate),
}

impl Start {
    /// `zone` is that of days.
    pub fn instant(self, zone: Zone) -> Timestamp {
        match self {
            Start::Utc(at) => at.and_utc(),
            // RFC 5545 §3.3.5: a repeated time is its first occurrence, a missing one is counted from before the gap
            Start::Local(at, zone) => zone.resolve(at, Fold::First).unwrap_or_else(|_| at.and_utc()),
            Start::Day(day) => zone.day_start(day),
        }
    }

    /// The date on the clock it is written for.
    pub fn date(self) -> CivilDate {
        match self {
            Start::Utc(at) | Start::Local(at, _) => at.date(),
            Start::Day(day) => day,
        }
    }

    /// The same time on another date.
    pub fn on(self, date: CivilDate) -> Start {
        match self {
            Start::Utc(at) => Start::Utc(date.and_time(at.time())),
            Start::Local(at, zone) => Start::Local(date.and_time(at.time()), zone),
            Start::Day(_) => Start::Day(date),
        }
    }

    /// Does an exception written so mean this occurrence? A day means whatever starts on it.
    pub fn is(self, occurrence: Start, zone: Zone) -> bool {
        match self {
            Start::Day(day) => day == occurrence.date(),
            at => at.instant(zone) == occurrence.instant(zone),
        }
    }
}

/// How long an event lasts: first so much on the clock on the wall, then so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    wall: TimeDelta,
    exact: TimeDelta,
}

impl Length {
    pub const DAY: Length = Length { wall: TimeDelta::days(1), exact: TimeDelta::zero() };

    /// From DTSTART to DTEND. Between two times of one zone it is counted on the wall clock: a shift from Monday 9 o'clock
    /// to the next ends at 9 o'clock also in the week in which the clocks change, or nobody would have the hour.
    pub fn between(start: Start, end: Start, zone: Zone) -> Result<Length, String> {
        let length = match (start, end) {
            (Start::Day(from), Start::Day(to)) => Length { wall: to - from, exact: TimeDelta::zero() },
            (Start::Day(_), _) | (_, Start::Day(_)) => {
                return Err("DTSTART and DTEND are a day and a time; write both as days or both as times".into());
            }
            (Start::Local(from, a), Start::Local(to, b)) if a == b => {
                Length { wall: to - from, exact: TimeDelta::zero() }
            }
            _ => Length { wall: TimeDelta::zero(), exact: end.instant(zone) - start.instant(zone) },
        };
        if length.wall + length.exact <= TimeDelta::zero() {
            return Err("the event ends before it starts".into());
        }
        Ok(length)
    }

    /// # Errors
    /// When a day would last for hours.
    pub fn fits(self, start: Start) -> Result<Length, String> {
        match start {
            Start::Day(_) if !self.exact.is_zero() => {
                Err("the event starts on a day and lasts for hours; give DTSTART a time".into())
            }
            _ => Ok(self),
        }
    }

    pub fn end(self, start: Start, zone: Zone) -> Timestamp {
        let moved = match start {
            Start::Utc(at) => Start::Utc(at + self.wall),
            Start::Local(at, zone) => Start::Local(at + self.wall, zone),
            Start::Day(day) => Start::Day(day + self.wall),
        };
        moved.instant(zone) + self.exact
    }
}

/// DTSTART and the like: `20260330T090000Z`, with TZID, without a zone, or a day.
pub(super) fn start(line: &Line, zone: Zone) -> Result<Start, String> {
    one(&line.value, line.parameter("TZID"), zone).map_err(|text| format!("`{}`: {text}", line.name))
}

/// A list of them, as in EXDATE.
pub(super) fn starts(line: &Line, zone: Zone) -> Result<Vec<Start>, String> {
    let each = line.value.split(',').map(|value| one(value, line.parameter("TZID"), zone));
    each.collect::<Result<Vec<_>, _>>().map_err(|text| format!("`{}`: {text}", line.name))
}

pub(super) fn one(value: &str, tzid: Option<&str>, zone: Zone) -> Result<Start, String> {
    let value = value.trim();
    let wrong = || format!("`{value}` is no date or time; write `20260330T090000Z`, or a day such as `20260330`");
    if value.len() == 8 {
        return day(value).map(Start::Day).ok_or_else(wrong);
    }
    let (local, is_utc) = match value.strip_suffix('Z') {
        Some(local) => (local, true),
        None => (value, false),
    };
    let (date, time) = local.split_once('T').ok_or_else(wrong)?;
    let at = day(date).zip(clock(time)).map(|(date, time)| date.and_time(time)).ok_or_else(wrong)?;
    if is_utc {
        return Ok(Start::Utc(at));
    }
    let zone = match tzid {
        None => zone,
        Some(name) => Zone::named(name.trim_start_matches('/')).map_err(|error| format!("`TZID`: {error}"))?,
    };
    // what the zone cannot place would otherwise surface in the middle of an expansion
    zone.resolve(at, Fold::First).map_err(|error| error.to_string())?;
    Ok(Start::Local(at, zone))
}

fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn day(text: &str) -> Option<CivilDate> {
    let (year, month, day) = (text.get(..4)?, text.get(4..6)?, text.get(6..8).filter(|_| text.len() == 8)?);
    CivilDate::from_ymd_opt(i32::try_from(digits(year)?).ok()?, digits(month)?, digits(day)?)
}

fn clock(text: &str) -> Option<NaiveTime> {
    let (hour, minute, second) = (text.get(..2)?, text.get(2..4)?, text.get(4..6).filter(|_| text.len() == 6)?);
    NaiveTime::from_hms_opt(digits(hour)?, digits(minute)?, digits(second)?)
}

/// `P7D`, `P1W`, `PT12H`, `P1DT30M`. Weeks and days are counted on the wall clock, the rest is time.
pub(super) fn duration(text: &str) -> Result<Length, String> {
    let wrong = || format!("`{text}` is no length; write `PT12H`, `P1D` or `P1W`");
    let rest = text.trim();
    let rest = rest.strip_prefix('+').unwrap_or(rest).strip_prefix('P').ok_or_else(wrong)?;
    let mut length = Length { wall: TimeDelta::zero(), exact: TimeDelta::zero() };
    let (mut in_time, mut number) = (false, String::new());
    for c in rest.chars() {
        if c.is_ascii_digit() && number.len() < 5 {
            number.push(c);
            continue;
        }
        if c == 'T' && !in_time && number.is_empty() {
            in_time = true;
            continue;
        }
        let n: i64 = number.parse().map_err(|_| wrong())?;
        number.clear();
        match (in_time, c) {
            (false, 'W') => length.wall += TimeDelta::weeks(n),
            (false, 'D') => length.wall += TimeDelta::days(n),
            (true, 'H') => length.exact += TimeDelta::hours(n),
            (true, 'M') => length.exact += TimeDelta::minutes(n),
            (true, 'S') => length.exact += TimeDelta::seconds(n),
            _ => return Err(wrong()),
        }
    }
    if !number.is_empty() || (length.wall + length.exact).is_zero() {
        return Err(wrong());
    }
    Ok(length)
}

/// TEXT without its escapes; line breaks become blanks.
pub(super) fn text(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => plain.push(' '),
                Some(other) => plain.push(other),
                None => {}
            },
            c => plain.push(c),
        }
    }
    plain
}

/// The address of an attendee, else the name, else what stands there.
pub(super) fn attendee(line: &Line) -> String {
    let value = line.value.trim();
    match value.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => value[7..].trim().to_string(),
        _ => line.parameter("CN").unwrap_or(value).trim().to_string(),
    }
}
