//! Dates and durations as people read them; also for the pages of `web`.
//!
//! Rules (interface README §2): every date has its zone; "before", not "by", because limits are exclusive; a limit at
//! local midnight is the day that ends; a countdown rounds down, lateness rounds up; up to 96 h in hours and minutes.

use crate::time::{Timestamp, Zone};
use chrono::{Datelike, TimeDelta};

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
/// From here on days and hours say more than hours and minutes.
const LONG: i64 = 96 * HOUR;

/// `Sat 28 Mar 2026, 04:05 CET`.
pub fn date_label(at: Timestamp, zone: Zone) -> String {
    let local = zone.local(at);
    format!(
        "{} {} {}, {} {}",
        local.format("%a"),
        local.day(),
        local.format("%b %Y"),
        local.format("%H:%M"),
        abbreviation(at, zone)
    )
}

/// `Sat 28 Mar, 04:05 CET`: where the year is plain from what stands near.
pub fn short_label(at: Timestamp, zone: Zone) -> String {
    let local = zone.local(at);
    format!(
        "{} {} {}, {} {}",
        local.format("%a"),
        local.day(),
        local.format("%b"),
        local.format("%H:%M"),
        abbreviation(at, zone)
    )
}

/// `04:05 CET`.
pub fn time_label(at: Timestamp, zone: Zone) -> String {
    format!("{} {}", zone.local(at).format("%H:%M"), abbreviation(at, zone))
}

/// `04:05 CET` on the local day of `now`, else `Sat 28 Mar, 04:05 CET`.
pub fn near_label(at: Timestamp, zone: Zone, now: Timestamp) -> String {
    if zone.local(at).date() == zone.local(now).date() { time_label(at, zone) } else { short_label(at, zone) }
}

/// `03:05 UTC`, with its day when that differs from the local one: `Fri 27 Mar, 23:30 UTC`.
pub fn utc_label(at: Timestamp, zone: Zone) -> String {
    // a limit at midnight is written as the day that ends: compare with that day
    let shown = if ends_day(at, zone) { zone.local(at - TimeDelta::seconds(1)) } else { zone.local(at) };
    if shown.date() == at.date_naive() { time_label(at, Zone::UTC) } else { short_label(at, Zone::UTC) }
}

/// A limit, exclusive: the word that goes before the date, and the date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// `before`, or `by` for the end of a day.
    pub word: &'static str,
    /// `Sat 28 Mar 2026, 04:05 CET` or `end of Sun 26 Apr 2026, CEST`.
    pub date: String,
}

/// A limit with its year.
pub fn limit(due: Timestamp, zone: Zone) -> Limit {
    limit_with(due, zone, "%b %Y", date_label)
}

/// A limit without its year.
pub fn short_limit(due: Timestamp, zone: Zone) -> Limit {
    limit_with(due, zone, "%b", short_label)
}

/// `before Sat 28 Mar, 04:05 CET`, or `by end of Sun 26 Apr, CEST` when `due` is a local midnight.
pub fn before_label(due: Timestamp, zone: Zone) -> String {
    let Limit { word, date } = short_limit(due, zone);
    format!("{word} {date}")
}

/// Does a local day end at `at`?
pub fn ends_day(at: Timestamp, zone: Zone) -> bool {
    at == zone.day_start(zone.local(at).date())
}

fn limit_with(due: Timestamp, zone: Zone, month: &str, label: fn(Timestamp, Zone) -> String) -> Limit {
    if !ends_day(due, zone) {
        return Limit { word: "before", date: label(due, zone) };
    }
    let last = due - TimeDelta::seconds(1);
    let day = zone.local(last);
    let date = format!("end of {} {} {}, {}", day.format("%a"), day.day(), day.format(month), abbreviation(last, zone));
    Limit { word: "by", date }
}

/// Time left until `due`, rounded down: at least that much is left. `0 m` when nothing is.
pub fn left(due: Timestamp, now: Timestamp) -> String {
    let seconds = (due - now).num_seconds().max(0);
    if seconds > LONG { days(seconds / HOUR) } else { minutes(seconds / MINUTE) }
}

/// Time since `due` passed, rounded up: at least one minute once it has.
pub fn late(due: Timestamp, now: Timestamp) -> String {
    let seconds =
        (now - due).num_milliseconds().max(0).div_euclid(1000) + i64::from((now - due).num_milliseconds() % 1000 > 0);
    // the limit is exclusive: at the very instant it is already too late
    let seconds = seconds.max(1);
    if seconds > LONG { days((seconds + HOUR - 1) / HOUR) } else { minutes((seconds + MINUTE - 1) / MINUTE) }
}

/// `21 h 50 m`, `5 d 3 h`: a plain duration, rounded down.
pub fn duration(seconds: i64) -> String {
    if seconds > LONG { days(seconds / HOUR) } else { minutes(seconds.max(0) / MINUTE) }
}

fn minutes(minutes: i64) -> String {
    match (minutes / 60, minutes % 60) {
        (0, m) => format!("{m} m"),
        (h, 0) => format!("{h} h"),
        (h, m) => format!("{h} h {m} m"),
    }
}

fn days(hours: i64) -> String {
    match (hours / 24, hours % 24) {
        (d, 0) => format!("{d} d"),
        (d, h) => format!("{d} d {h} h"),
    }
}

/// Zones without letters answer with a bare offset; `UTC-03` cannot be taken for a time.
fn abbreviation(at: Timestamp, zone: Zone) -> String {
    let short = zone.abbreviation(at);
    if short.starts_with(['+', '-']) { format!("UTC{short}") } else { short.to_string() }
}

/// `1st`, `2nd`, `3rd`, `4th`, `11th`.
pub fn ordinal(n: u32) -> String {
    let ending = match (n % 10, n % 100) {
        (1, t) if t != 11 => "st",
        (2, t) if t != 12 => "nd",
        (3, t) if t != 13 => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// One line without control or direction-changing characters, at most `most` characters: what people typed, made safe
/// for headers, logs and plain text.
pub fn one_line(text: &str, most: usize) -> String {
    let visible = text.chars().map(|c| if c.is_control() || is_format(c) { ' ' } else { c }).collect::<String>();
    let joined = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    match joined.char_indices().nth(most) {
        None => joined,
        Some((cut, _)) => format!("{}…", joined[..cut].trim_end()),
    }
}

/// Line separators and the marks that change the direction in which text is shown.
fn is_format(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("RFC 3339")
    }

    fn zone(name: &str) -> Zone {
        Zone::named(name).expect("known zone")
    }

    #[test]
    fn limits() {
        let cases = [
            ("2026-03-28T03:05:00Z", "Europe/Berlin", "before Sat 28 Mar, 04:05 CET", "03:05 UTC"),
            ("2026-03-30T15:20:00Z", "Europe/Paris", "before Mon 30 Mar, 17:20 CEST", "15:20 UTC"),
            ("2026-04-26T22:00:00Z", "Europe/Paris", "by end of Sun 26 Apr, CEST", "22:00 UTC"),
            // the night of the clock change ends in the old time
            ("2026-03-28T23:00:00Z", "Europe/Paris", "by end of Sat 28 Mar, CET", "23:00 UTC"),
            ("2026-04-28T07:00:00Z", "America/Los_Angeles", "by end of Mon 27 Apr, PDT", "Tue 28 Apr, 07:00 UTC"),
            ("2026-03-30T21:30:00Z", "America/New_York", "before Mon 30 Mar, 17:30 EDT", "21:30 UTC"),
            ("2026-01-01T03:00:00Z", "America/Sao_Paulo", "by end of Wed 31 Dec, UTC-03", "Thu 1 Jan, 03:00 UTC"),
            ("2026-03-27T15:30:00Z", "Asia/Kolkata", "before Fri 27 Mar, 21:00 IST", "15:30 UTC"),
            ("2026-03-27T20:30:00Z", "Asia/Kolkata", "before Sat 28 Mar, 02:00 IST", "Fri 27 Mar, 20:30 UTC"),
        ];
        for (due, name, label, utc) in cases {
            assert_eq!(before_label(at(due), zone(name)), label, "{due} {name}");
            assert_eq!(utc_label(at(due), zone(name)), utc, "{due} {name}");
        }
    }

    #[test]
    fn countdown_rounds_down_and_lateness_up() {
        let cases = [
            (0, "0 m", "1 m"),
            (59, "0 m", "1 m"),
            (60, "1 m", "1 m"),
            (61, "1 m", "2 m"),
            (7_859, "2 h 10 m", "2 h 11 m"),
            (54_840, "15 h 14 m", "15 h 14 m"),
            (96 * 3600, "96 h", "96 h"),
            (96 * 3600 + 1, "4 d", "4 d 1 h"),
            (30 * 86_400 - 1, "29 d 23 h", "30 d"),
        ];
        let base = at("2026-03-28T03:05:00Z");
        for (seconds, before, after) in cases {
            assert_eq!(left(base + TimeDelta::seconds(seconds), base), before, "{seconds}");
            assert_eq!(late(base, base + TimeDelta::seconds(seconds)), after, "{seconds}");
        }
        assert_eq!(late(base, base + TimeDelta::milliseconds(60_001)), "2 m");
    }

    #[test]
    fn what_people_typed_stays_on_one_line() {
        assert_eq!(one_line("a\r\nBcc: x@y\t\u{202e}b", 100), "a Bcc: x@y b");
        assert_eq!(one_line("ääääää", 3), "äää…");
        assert_eq!([1, 2, 3, 4, 11, 12, 21].map(ordinal).join(" "), "1st 2nd 3rd 4th 11th 12th 21st");
    }
}
