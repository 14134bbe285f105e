//! Instants and dates as text, written digit by digit: a derivation holds dozens, and a format string is read anew each time.

use super::{CivilDate, Timestamp};
use chrono::{Datelike, NaiveDateTime, SecondsFormat, Timelike, Weekday};

/// `2026-03-30T16:00:00Z`; parts of a second are written when there are any, as 3, 6 or 9 digits.
pub fn rfc3339_utc(at: Timestamp) -> String {
    let local = at.naive_utc();
    if !is_plain(local) {
        return at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    }
    let mut text = String::with_capacity(30);
    push_civil(&mut text, local);
    text.push('Z');
    text
}

/// Four digits for the year are enough, and no leap second is running.
pub(super) fn is_plain(local: NaiveDateTime) -> bool {
    (0..=9999).contains(&local.year()) && local.nanosecond() < 1_000_000_000
}

/// `2026-03-30T18:00:00` of a plain time, with the parts of a second.
pub(super) fn push_civil(text: &mut String, local: NaiveDateTime) {
    push_digits(text, local.year().unsigned_abs(), 4);
    for (before, part) in
        [('-', local.month()), ('-', local.day()), ('T', local.hour()), (':', local.minute()), (':', local.second())]
    {
        text.push(before);
        push_digits(text, part, 2);
    }
    let nanos = local.nanosecond();
    if nanos > 0 {
        text.push('.');
        match (nanos % 1_000_000, nanos % 1_000) {
            (0, _) => push_digits(text, nanos / 1_000_000, 3),
            (_, 0) => push_digits(text, nanos / 1_000, 6),
            _ => push_digits(text, nanos, 9),
        }
    }
}

/// The last `width` decimal digits of `n`, with zeros in front.
pub(super) fn push_digits(text: &mut String, n: u32, width: u32) {
    for place in (0..width).rev() {
        text.push(char::from(b'0' + (n / 10_u32.pow(place) % 10) as u8));
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Mon`.
fn weekday(day: CivilDate) -> &'static str {
    match day.weekday() {
        Weekday::Mon => "Mon",
        Weekday::Tue => "Tue",
        Weekday::Wed => "Wed",
        Weekday::Thu => "Thu",
        Weekday::Fri => "Fri",
        Weekday::Sat => "Sat",
        Weekday::Sun => "Sun",
    }
}

/// `Mar`.
fn month(day: CivilDate) -> &'static str {
    MONTHS[day.month0() as usize]
}

/// `Mon 30 Mar`.
pub fn push_short_day(text: &mut String, day: CivilDate) {
    text.push_str(weekday(day));
    text.push(' ');
    push_digits(text, day.day(), if day.day() > 9 { 2 } else { 1 });
    text.push(' ');
    text.push_str(month(day));
}

/// `18:00`.
pub fn push_clock(text: &mut String, local: NaiveDateTime) {
    push_digits(text, local.hour(), 2);
    text.push(':');
    push_digits(text, local.minute(), 2);
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn as_chrono_writes() {
        let seconds = [0, 1, -1, 1_774_886_400, 951_782_400, -62_167_219_200, 253_402_300_799, 253_402_300_800];
        let nanos = [0, 1, 1_000, 120_000, 5_000_000, 999_000_000, 999_999_999];
        for at in seconds.iter().flat_map(|s| nanos.map(|n| DateTime::from_timestamp(*s, n).expect("in range"))) {
            assert_eq!(rfc3339_utc(at), at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        }
    }

    #[test]
    fn days() {
        let mut day = CivilDate::from_ymd_opt(2026, 1, 1).expect("a date");
        for _ in 0..366 {
            let mut text = String::new();
            push_short_day(&mut text, day);
            assert_eq!(text, day.format("%a %-d %b").to_string());
            day = day.succ_opt().expect("a date");
        }
    }
}
