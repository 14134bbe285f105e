//! The words of the mail for ways out that have their own looks: chat rooms, paging services, push and text messages.
//!
//! Everything people typed is disarmed here once: no mention rings, no tag forms, no address becomes a link. Each channel
//! adds what its own markup asks for. Absent here: the list of who was told, which is for the people of the incident.

use super::{SOON_SECONDS, asks_why, is_drill, is_open, limits, mail, target};
use crate::escalation::{Event, Message};
use crate::law::Phase;
use crate::notify::Context;
use crate::notify::links::{is_about_the_house, obligation_page};
use crate::time::Timestamp;

/// How much a message presses; each service has its own word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Nothing to do: a filing is recorded, a sign of life.
    Info,
    /// Something is open, and there is time.
    Open,
    /// Less than six hours to the earliest reading, or past it, or past an internal target.
    Soon,
    /// The legal limit has passed.
    Late,
}

/// A message in words, without looks. No text in it has a line break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// `[act before 04:05 CET] Early warning to BSI: nobody has it`, with `DRILL` in front of an exercise.
    pub subject: String,
    pub drill: bool,
    /// Heading, standing and holder in a sentence where that says more than the subject; what happened.
    pub lines: Vec<String>,
    /// Plain words of a message that is not about an obligation, line by line.
    pub note: Vec<String>,
    /// Labels and values: dates, law, incident.
    pub facts: Vec<(String, String)>,
    /// Dates and names of the incident's further obligations, nearest first.
    pub also: Vec<(String, String)>,
    pub why: String,
    /// Head of the evidence log.
    pub log: Option<String>,
    /// The person's own link: shows the case, changes nothing by itself.
    pub ack: Option<String>,
    /// Where the page of the obligation, or else of the incident, is.
    pub page: Option<String>,
    pub urgency: Urgency,
}

/// What stands first in the text of every exercise.
pub const DRILL: &str = "DRILL. This is an exercise: nothing happened, nothing is to be filed.";
/// More further obligations than this are counted, not listed.
const ALSO: usize = 12;

/// The words of `message` at `context.now`. Cannot fail.
pub fn short(message: &Message, context: &Context) -> Short {
    let mail = mail(message, context);
    let pair = |row: &super::Row| (row.label.clone(), disarmed(&row.value));
    let says_more = !mail.standing.is_empty() || mail.holder.is_some();
    let lead = says_more.then(|| disarmed(&mail.lead_sentence()));
    let mut also: Vec<(String, String)> = mail.also.iter().take(ALSO).map(pair).collect();
    if mail.also.len() > ALSO {
        also.push(("and more".to_string(), format!("{} on the page of the incident", mail.also.len() - ALSO)));
    }
    let house = is_about_the_house(message);
    let page = message.obligation.as_ref().filter(|_| !house).and_then(|id| obligation_page(message, context, id));
    Short {
        subject: disarmed(&mail.subject),
        drill: is_drill(message, context),
        lines: lead.into_iter().chain(mail.event.map(str::to_string)).collect(),
        note: mail.note.iter().map(|line| disarmed(line)).collect(),
        facts: mail.rows.iter().map(pair).collect(),
        also,
        why: disarmed(&mail.why),
        log: mail.log.as_ref().map(|log| format!("Evidence log {}, size {}, {}", log.origin, log.size, log.root)),
        ack: mail.ack_url,
        page: page.or(mail.incident_url),
        urgency: urgency(message, context.now),
    }
}

fn urgency(message: &Message, now: Timestamp) -> Urgency {
    if asks_why(message) {
        return Urgency::Open;
    }
    if matches!(
        message.event,
        Event::DaemonAlive | Event::DaemonSelfTest | Event::DigestDue | Event::EvidenceCheckpoint
    ) || message.event == Event::ObligationDischarged
        || !is_open(&message.brief)
    {
        return Urgency::Info;
    }
    match (limits(&message.brief), target(message)) {
        (Some((conservative, due)), _) => match Phase::at(due, conservative, now) {
            Phase::Late => Urgency::Late,
            Phase::PastConservative => Urgency::Soon,
            Phase::InTime if (conservative - now).num_seconds() < SOON_SECONDS => Urgency::Soon,
            Phase::InTime => Urgency::Open,
        },
        (None, Some(target)) if (target - now).num_seconds() < SOON_SECONDS => Urgency::Soon,
        (None, None) if message.brief.standing == "awaiting" => Urgency::Info,
        _ => Urgency::Open,
    }
}

impl Short {
    /// What is said before the table: the lines, then the note.
    pub fn sentences(&self) -> Vec<&str> {
        self.lines.iter().chain(&self.note).map(String::as_str).collect()
    }

    /// Everything but subject and links as plain text, paragraph by paragraph; at most `most` characters.
    pub fn text(&self, most: usize) -> String {
        let rows = |rows: &[(String, String)]| {
            rows.iter().map(|(label, value)| format!("{label}: {value}")).collect::<Vec<_>>().join("\n")
        };
        let drill = if self.drill { DRILL.to_string() } else { String::new() };
        let also =
            if self.also.is_empty() { String::new() } else { format!("Also in this incident\n{}", rows(&self.also)) };
        let parts = [drill, self.sentences().join("\n"), rows(&self.facts), also, self.why.clone()];
        let log = self.log.iter().cloned();
        cut(&parts.into_iter().filter(|part| !part.is_empty()).chain(log).collect::<Vec<_>>().join("\n\n"), most)
    }
}

/// At most `most` characters, with a mark where something is missing.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_string(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Invisible, and enough to part what would ring or link.
const GAP: char = '\u{200b}';

/// Text in which nothing is a mention, a tag or a link any more. It looks the same.
fn disarmed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        // the pages' own characters for "do not break here" are for mail
        out.push(if c == '\u{a0}' { ' ' } else { c });
        let rest = &text[at + c.len_utf8()..];
        let before = &text[..at];
        let www = c == '.' && before.len() >= 3 && before.as_bytes()[at - 3..].eq_ignore_ascii_case(b"www");
        if matches!(c, '@' | '<') || (c == ':' && rest.starts_with("//")) || www {
            out.push(GAP);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_typed_rings_or_links() {
        let cases = [
            ("plain § 32(1), 3 < 4", "plain § 32(1), 3 <\u{200b} 4"),
            ("<!channel> @all", "<\u{200b}!channel> @\u{200b}all"),
            ("https://evil.example and WWW.evil.example", "https:\u{200b}//evil.example and WWW.\u{200b}evil.example"),
            ("é.www", "é.www"),
            ("wwé.x", "wwé.x"),
        ];
        for (text, wanted) in cases {
            assert_eq!(disarmed(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_cut_shows_itself() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
    }
}
