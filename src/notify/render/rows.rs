//! The tables of a mail: dates and law, further obligations, who was told.

use super::{is_about_the_house, is_open, limits, target};
use crate::escalation::{Also, Ask, Asked, Brief, Event, Message, Target};
use crate::notify::Context;
use crate::notify::links::obligation_page;
use crate::notify::words::{self, one_line};
use crate::time::Timestamp;

/// Width of plain text, and of its column of labels.
const WIDTH: usize = 72;
const LABEL: usize = 13;
/// Keeps a duration on one line.
pub(super) const NO_BREAK: &str = "\u{a0}";

/// A label with what it stands for.
pub(super) struct Row {
    pub label: String,
    pub value: String,
    pub strong: bool,
    /// Where the value leads, in HTML.
    pub url: Option<String>,
}

impl Row {
    fn new(label: &str, value: impl Into<String>) -> Row {
        Row { label: label.to_string(), value: value.into(), strong: false, url: None }
    }

    pub fn text(&self) -> String {
        hang(&format!("{:<LABEL$}", self.label), &self.value, LABEL)
    }

    pub fn also_text(&self) -> String {
        hang(&format!("  {:<30} ", self.label), &self.value, 33)
    }

    pub fn told_text(&self) -> String {
        hang(&format!("  {:<18} ", self.label), &self.value, 21)
    }
}

/// What, when, by which law.
pub(super) fn rows(message: &Message, now: Timestamp) -> Vec<Row> {
    let (brief, zone) = (&message.brief, message.brief.zone);
    let mut rows = Vec::new();
    if let Some((conservative, due)) = limits(brief) {
        let both = |at| format!("{} ({})", words::limit(at, zone).date, words::utc_label(at, zone));
        let act = match (is_open(brief), words::limit(conservative, zone).word) {
            (true, "by") => "Act by",
            (true, _) => "Act before",
            _ => "Limit was",
        };
        rows.push(Row { strong: true, ..Row::new(act, both(conservative)) });
        if due != conservative {
            rows.push(Row::new("Legal limit", both(due)));
        }
    }
    if let Some(target) = target(message) {
        let date = format!("{} ({})", words::limit(target, zone).date, words::utc_label(target, zone));
        let value = format!("{date}, internal target of your policy, not a limit of the law");
        rows.push(Row { strong: true, ..Row::new("Target", value) });
    }
    rows.extend(message.extra.asks.iter().take(12).map(|ask| asked(message, ask)));
    if let Some(norm) = &brief.promptly {
        let number = if limits(brief).is_none() { "; no number in the law" } else { "" };
        rows.push(Row::new("Promptly", format!("{}{number}", one_line(norm, 200))));
    }
    if brief.standing == "possible" && !brief.missing.is_empty() {
        let missing = brief.missing.iter().take(12).map(|key| one_line(key, 80)).collect::<Vec<_>>().join(", ");
        rows.push(Row::new("Decided by", format!("{missing} (not known yet)")));
    }
    let title = one_line(&brief.incident_title, 200);
    let incident = if title.is_empty() { message.incident.0.clone() } else { format!("{}, {title}", message.incident) };
    if !is_about_the_house(message) {
        rows.push(Row::new("Incident", incident));
    }
    let law = [&brief.law, &brief.citation].map(|part| one_line(part, 200)).join(" ").trim().to_string();
    let because = brief.because.as_deref().map(|because| one_line(because, 300)).filter(|because| !because.is_empty());
    let law = [Some(law).filter(|law| !law.is_empty()), because].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let told = [("Entity", one_line(&brief.entity, 200)), ("To", recipient(brief)), ("Law", law)];
    rows.extend(told.into_iter().filter(|(_, value)| !value.is_empty()).map(|(label, value)| Row::new(label, value)));
    if let (Some(key), Some(at)) = (&brief.started_key, brief.started_at) {
        rows.push(Row::new(&started_label(key), words::date_label(at, zone)));
    }
    if message.event == Event::DeliveryFailed {
        rows.push(Row::new("As of", words::date_label(now, zone)));
    }
    rows
}

/// What the law wants besides the filing. Of another obligation in the same mail it names that one.
fn asked(message: &Message, ask: &Ask) -> Row {
    let of_head = message.obligation.as_deref() == Some(&ask.obligation);
    let about = if of_head { String::new() } else { format!("{}: ", one_line(&ask.duty_title, 160)) };
    match &ask.what {
        Asked::NoticeOfDelay { before, law } => {
            let recipient = match one_line(&ask.recipient_name, 120) {
                name if name.is_empty() => "the recipient".to_string(),
                name => name,
            };
            let limit = words::before_label(*before, ask.zone);
            let value = format!(
                "{about}if this limit cannot be met, send {recipient} a notice of delay {limit} ({}), and record it with its reasons",
                one_line(law, 160)
            );
            Row { strong: true, ..Row::new("Delay notice", value) }
        }
        Asked::ReasonsForDelay => {
            let value =
                format!("{about}nobody has recorded why it is late; write the reasons down now, while they are known");
            Row { strong: true, ..Row::new("Reasons", value) }
        }
    }
}

fn recipient(brief: &Brief) -> String {
    let name = one_line(&brief.recipient_name, 120);
    let place = one_line(&brief.jurisdiction, 20);
    match (name.is_empty(), place.is_empty()) {
        (true, _) => String::new(),
        (false, true) => name,
        (false, false) => format!("{name} ({place})"),
    }
}

/// `times.aware` → `Aware`, `times.classified_major` → `Classified major`, `times.filed.<duty>` → `Filed`.
fn started_label(key: &str) -> String {
    let word = key.strip_prefix("times.").unwrap_or(key);
    let word = word.split('.').next().unwrap_or(word).replace('_', " ");
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).take(40).collect()).unwrap_or_default()
}

/// The incident's further obligations that this mail also tells about.
pub(super) fn also(message: &Message, context: &Context) -> Vec<Row> {
    let row = |also: &Also| {
        let limit = also.conservative_due.map(|due| words::before_label(due, also.zone));
        let limit =
            limit.unwrap_or_else(|| if also.standing == "awaiting" { "waiting".into() } else { "promptly".into() });
        let possible = if also.standing == "possible" { "possible: " } else { "" };
        let (title, to) = (one_line(&also.duty_title, 160), one_line(&also.recipient_name, 80));
        let to = if to.is_empty() || title.contains(&to) { String::new() } else { format!(", {to}") };
        let url = obligation_page(message, context, &also.obligation);
        Row { url, ..Row::new(&limit, format!("{possible}{title}{to}")) }
    };
    message.brief.also.iter().map(row).collect()
}

/// Who was told, and who is next.
pub(super) fn told(message: &Message, now: Timestamp) -> Vec<Row> {
    let brief = &message.brief;
    let reader = match &message.target {
        Target::Email { name, .. } | Target::Channel { name, .. } => name.as_str(),
        Target::Webhook { .. } => "",
    };
    let person = |name: &str| {
        let you = if name == reader { " (you)" } else { "" };
        format!("{}{you}", one_line(name, 60))
    };
    let line = |what: &str, at: Timestamp| {
        let (what, when) = (one_line(what, 120), words::near_label(at, brief.zone, now));
        if what.is_empty() { when } else { format!("{when}, {what}") }
    };
    let rows = brief.told.iter().map(|told| Row::new(&person(&told.name), line(&told.what, told.at)));
    let next = brief
        .next
        .iter()
        .map(|next| Row::new(&person(&next.name), format!("next, {}", words::near_label(next.at, brief.zone, now))));
    rows.chain(next).collect()
}

/// `value` after `head`, wrapped with a hanging indent; words longer than a line stay whole (links).
pub(super) fn hang(head: &str, value: &str, indent: usize) -> String {
    let mut lines = vec![head.to_string()];
    let mut empty = true;
    for word in value.split([' ', '\n']).filter(|word| !word.is_empty()) {
        let length = lines.last().map_or(0, |line| line.chars().count());
        if !empty && length + 1 + word.chars().count() > WIDTH {
            lines.push(" ".repeat(indent));
            empty = true;
        }
        let line = lines.last_mut().expect("never empty");
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.join("\n").replace(NO_BREAK, " ")
}
