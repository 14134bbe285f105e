//! A fact's value in the words of a language: instants in the recipient's zone, how sure somebody was, nothing rounded.

use super::forms::{Range, Render};
use super::words::Words;
use crate::law::{Certainty, Count, Value};
use crate::time::{Timestamp, Zone};
use chrono::Datelike;
use serde::Deserialize;

/// A text with one `{}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct Pattern(String);

impl Pattern {
    pub fn with(&self, value: &str) -> String {
        let (before, after) = self.split();
        format!("{before}{value}{after}")
    }

    pub fn split(&self) -> (&str, &str) {
        self.0.split_once("{}").expect("read with one place")
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Pattern, String> {
        match text.matches("{}").count() {
            1 => Ok(Pattern(text)),
            n => Err(format!("`{text}` has {n} places `{{}}`; it needs one")),
        }
    }
}

/// How a field wants its value.
#[derive(Clone, Copy)]
pub struct Manner<'a> {
    pub words: &'a Words,
    pub zone: Zone,
    pub render: Render,
    pub ranges: &'a [Range],
    pub yes: Option<&'a str>,
    pub no: Option<&'a str>,
}

/// The value in words; `Err` says why it leaves a gap although something is known.
pub fn in_words(value: &Value, certainty: Certainty, manner: Manner<'_>) -> Result<String, String> {
    let words = manner.words;
    let plain = match value {
        Value::YesNo(true) => manner.yes.unwrap_or(&words.yes).to_string(),
        Value::YesNo(false) => manner.no.unwrap_or(&words.no).to_string(),
        Value::Choice(word) => words.value(word),
        Value::Text(text) => text.trim().to_string(),
        Value::Set(items) => {
            let items: Vec<String> = items.iter().map(|item| words.value(item)).collect();
            match manner.render {
                Render::List => items.iter().map(|item| format!("- {item}")).collect::<Vec<_>>().join("\n"),
                _ => words.list(&items),
            }
        }
        Value::Count(count) if !manner.ranges.is_empty() => range(*count, manner)?,
        Value::Count(count) => return Ok(counted(*count, certainty, words)),
        Value::Instant(at) if manner.render == Render::Date => date(*at, manner.zone, words),
        Value::Instant(at) => instant(*at, manner.zone, words),
        Value::Hold(hold) => match hold.until {
            Some(until) => format!("{}, {}", hold.by, instant(until, manner.zone, words)),
            None => hold.by.clone(),
        },
    };
    Ok(match certainty {
        Certainty::Confirmed => plain,
        Certainty::Estimated => words.estimated.with(&plain),
        Certainty::Suspected => words.suspected.with(&plain),
    })
}

/// The one range both bounds lie in.
fn range(count: Count, manner: Manner<'_>) -> Result<String, String> {
    let within = |n: u64| manner.ranges.iter().position(|r| r.up_to.is_none_or(|most| n <= most));
    let (low, high) = (within(count.at_least), count.at_most.map_or(Some(manner.ranges.len() - 1), within));
    match (low, high) {
        (Some(low), Some(high)) if low == high => Ok(manner.ranges[low].says.clone()),
        _ => Err(manner.words.undecided.with(&counted(count, Certainty::Confirmed, manner.words))),
    }
}

fn counted(count: Count, certainty: Certainty, words: &Words) -> String {
    let n = |n: u64| grouped(n, &words.group);
    let plain = match count.at_most {
        Some(most) if most == count.at_least && certainty == Certainty::Estimated => words.about.with(&n(most)),
        Some(most) if most == count.at_least => n(most),
        Some(most) if count.at_least == 0 => words.at_most.with(&n(most)),
        Some(most) => words.between.replacen("{}", &n(count.at_least), 1).replacen("{}", &n(most), 1),
        None => words.at_least.with(&n(count.at_least)),
    };
    match certainty {
        Certainty::Confirmed => plain,
        Certainty::Estimated => words.estimated.with(&plain),
        Certainty::Suspected => words.suspected.with(&plain),
    }
}

fn grouped(n: u64, separator: &str) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push_str(separator);
        }
        text.push(digit);
    }
    text
}

pub fn instant(at: Timestamp, zone: Zone, words: &Words) -> String {
    let local = zone.local(at);
    dated(&words.instant, at, zone, words)
        .replace("{time}", &local.format("%H:%M").to_string())
        .replace("{zone}", zone.abbreviation(at))
        .replace("{utc}", &at.format("%Y-%m-%d %H:%M").to_string())
}

pub fn date(at: Timestamp, zone: Zone, words: &Words) -> String {
    dated(&words.date, at, zone, words)
}

fn dated(pattern: &str, at: Timestamp, zone: Zone, words: &Words) -> String {
    let local = zone.local(at);
    let name = |names: &[String], at: u32| names.get(at as usize).cloned().unwrap_or_default();
    pattern
        .replace("{weekday}", &name(&words.weekdays, local.weekday().num_days_from_monday()))
        .replace("{day}", &local.day().to_string())
        .replace("{month}", &name(&words.months, local.month0()))
        .replace("{year}", &local.year().to_string())
}
