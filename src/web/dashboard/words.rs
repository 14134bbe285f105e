//! Dates and durations as the pages show them. The rules of `notify::words` hold here too; what differs is that a
//! countdown matches the script to the letter, so that the page does not flicker when the script starts.

use crate::notify::words::{ends_day, short_label, short_limit};
use crate::time::{Timestamp, Zone};

/// An instant with its machine form, for `<time datetime>`.
#[derive(Clone, Debug)]
pub struct When {
    pub iso: String,
    pub label: String,
}

impl When {
    /// `Sat 28 Mar, 04:05 CET`.
    pub fn at(at: Timestamp, zone: Zone) -> When {
        When { iso: iso(at), label: short_label(at, zone) }
    }

    /// An RFC 3339 text of ours; what cannot be read is shown as it is.
    pub fn text(text: &str, zone: Zone) -> When {
        match instant(text) {
            Some(at) => When::at(at, zone),
            None => When { iso: text.to_string(), label: text.to_string() },
        }
    }
}

/// A limit: `before` an instant, or `by` the end of a day.
#[derive(Clone, Debug)]
pub struct Limit {
    pub word: &'static str,
    pub when: When,
}

impl Limit {
    pub fn at(due: Timestamp, zone: Zone) -> Limit {
        let limit = short_limit(due, zone);
        Limit { word: limit.word, when: When { iso: iso(due), label: limit.date } }
    }
}

impl Limit {
    /// The earliest reading may end a day in the notifier's zone: then that day is named, as `due` names the recipient's.
    pub fn careful(at: Timestamp, there: Zone, reader: Zone) -> Limit {
        let zone = if !ends_day(at, there) && ends_day(at, reader) { reader } else { there };
        Limit::at(at, zone)
    }
}

/// `Mon 17:20`, `end of Sun`; `27 Apr` when it is more than six days away. For charts, which name the zone once.
pub fn clock(at: Timestamp, zone: Zone, now: Timestamp) -> String {
    let is_end = ends_day(at, zone);
    let local = zone.local(if is_end { at - chrono::TimeDelta::seconds(1) } else { at });
    match ((at - now).num_days().abs() > 6, is_end) {
        (true, true) => local.format("end of %-d %b").to_string(),
        (true, false) => local.format("%-d %b").to_string(),
        (false, true) => local.format("end of %a").to_string(),
        (false, false) => local.format("%a %H:%M").to_string(),
    }
}

pub fn iso(at: Timestamp) -> String {
    crate::rules::utc(at)
}

pub fn instant(text: &str) -> Option<Timestamp> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&chrono::Utc))
}

/// `1 h 51 m`, rounded down: at least that much is left. `15 h 14 m late` once it is not, rounded up.
pub fn countdown(due: Timestamp, now: Timestamp) -> String {
    let millis = (due - now).num_milliseconds();
    if millis < 0 { format!("{} late", plain(-(millis.div_euclid(60_000)))) } else { plain(millis / 60_000) }
}

/// Whole minutes as words; from four days on in days and hours.
pub fn plain(minutes: i64) -> String {
    let (days, hours, rest) = (minutes / 1440, minutes / 60, minutes % 60);
    if days >= 4 {
        format!("{days} d {} h", (minutes % 1440) / 60)
    } else if hours >= 1 {
        format!("{hours} h {rest:02} m")
    } else {
        format!("{rest} m")
    }
}

/// `in 2 h 06 m`, `9 h 54 m ago`.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let minutes = (at - now).num_seconds().div_euclid(60);
    if minutes >= 0 { format!("in {}", plain(minutes)) } else { format!("{} ago", plain((now - at).num_minutes())) }
}

/// `72 h`, `30 days`: the length of a window.
pub fn window(from: Timestamp, to: Timestamp) -> String {
    let hours = (to - from).num_hours();
    if hours <= 96 { format!("{hours} h") } else { format!("{} days", hours / 24) }
}

/// `IM` for Ines Marchetti; a single word gives its first two letters.
pub fn initials(name: &str) -> String {
    let bare = name.rsplit_once(':').map_or(name, |(_, n)| n);
    let words: Vec<&str> = bare.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let letters: String = match words.as_slice() {
        [] => "–".to_string(),
        [only] => only.chars().take(2).collect(),
        [first, .., last] => first.chars().take(1).chain(last.chars().take(1)).collect(),
    };
    letters.to_uppercase()
}

/// A message of ours as a sentence.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// A name as people say it: tokens are shown by their label, accounts by their login.
pub fn person(name: &str) -> &str {
    name.strip_prefix("token:").or_else(|| name.strip_prefix("user:")).unwrap_or(name)
}

/// `times.aware` as `Aware`, `affected.US-CA` as `People in US-CA`; what nobody named stays as it is.
pub fn fact_name(key: &str) -> String {
    if let Some(place) = key.strip_prefix("affected.") {
        return if place == "total" { "People affected".into() } else { format!("People in {place}") };
    }
    if let Some(duty) = key.strip_prefix("times.filed.") {
        return format!("Filed: {duty}");
    }
    let bare = key.strip_prefix("times.").unwrap_or(key).replace(['_', '.'], " ");
    let mut letters = bare.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A fact's value in words: `yes`, `about`-free numbers, lists, dates with their zone.
pub fn fact_value(value: &serde_json::Value, zone: Zone) -> String {
    use serde_json::Value;
    let number = |v: &Value| v.as_u64().map(group).unwrap_or_default();
    match value {
        Value::Null => "not known".to_string(),
        Value::Bool(true) => "yes".to_string(),
        Value::Bool(false) => "no".to_string(),
        Value::Number(_) => number(value),
        Value::String(text) => instant(text).map_or_else(|| text.clone(), |at| short_label(at, zone)),
        Value::Array(items) => items.iter().map(|i| fact_value(i, zone)).collect::<Vec<_>>().join(", "),
        Value::Object(members) => match (members.get("at_least"), members.get("at_most")) {
            (Some(least), Some(most)) => format!("{} to {}", number(least), number(most)),
            (Some(least), None) => format!("at least {}", number(least)),
            (None, Some(most)) => format!("at most {}", number(most)),
            (None, None) => {
                let parts =
                    members.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| format!("{k} {}", fact_value(v, zone)));
                parts.collect::<Vec<_>>().join(", ")
            }
        },
    }
}

/// `40 000`: thin groups of three.
fn group(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digits.len() > 4 {
            grouped.push('\u{a0}');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countdowns_match_the_script() {
        let due = instant("2026-03-28T03:05:00Z").expect("instant");
        let cases = [
            (-6_690, "1 h 51 m"),
            (-30, "0 m"),
            (0, "0 m"),
            (1, "1 m late"),
            (54_840, "15 h 14 m late"),
            (-223_590, "62 h 06 m"),
            (-30 * 86_400, "30 d 0 h"),
        ];
        for (seconds, words) in cases {
            assert_eq!(countdown(due, due + chrono::TimeDelta::seconds(seconds)), words, "{seconds}");
        }
    }

    #[test]
    fn names_and_values() {
        assert_eq!(initials("Ines Marchetti"), "IM");
        assert_eq!(initials("token:responder"), "RE");
        assert_eq!(initials(""), "–");
        assert_eq!(fact_name("times.aware"), "Aware");
        assert_eq!(fact_name("affected.US-CA"), "People in US-CA");
        assert_eq!(fact_value(&serde_json::json!({ "at_least": 40_000 }), Zone::UTC), "at least 40\u{a0}000");
        assert_eq!(fact_value(&serde_json::json!(null), Zone::UTC), "not known");
        assert_eq!(fact_value(&serde_json::json!("2026-03-27T15:20:00Z"), Zone::UTC), "Fri 27 Mar, 15:20 UTC");
    }
}
