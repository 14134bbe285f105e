//! What other tools send: alerts, cases and tickets, read into [`Delivered`], one file per format.
//!
//! A tool proposes, it decides nothing: its words become facts that are `suspected` or `estimated`, and the only instant
//! taken from one by itself is `times.detected`. When something was contained or over starts clocks and ends duties, so
//! people say it, or a mapping that the operator wrote.

mod alertmanager;
mod generic;
mod iris;
mod jira;
mod mapping;
mod ocsf;
mod pagerduty;
mod place;
mod thehive;

pub use mapping::{FIELDS, Mapping, is_pointer};

use super::facts::{FUTURE_TOLERANCE_SECONDS, Reading};
use super::node::json;
use super::{Pointer, Rejection};
use crate::law::{Certainty, Fact, Value};
use crate::time::Timestamp;
use place::Place;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Longest title, in characters; longer ones are cut, not refused: the whole stands in the file that is kept.
const TITLE_CHARS: usize = 300;
/// Longest reference, in characters.
const REFERENCE_CHARS: usize = 200;
/// Most alerts, findings or events in one delivery.
const MOST: usize = 1000;

/// Whose form a delivery has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    Ocsf,
    TheHive,
    Iris,
    PagerDuty,
    Jira,
    Alertmanager,
    Generic,
}

impl Tool {
    pub const ALL: [Tool; 7] =
        [Tool::Ocsf, Tool::TheHive, Tool::Iris, Tool::PagerDuty, Tool::Jira, Tool::Alertmanager, Tool::Generic];

    /// As in addresses and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Tool::Ocsf => "ocsf",
            Tool::TheHive => "thehive",
            Tool::Iris => "iris",
            Tool::PagerDuty => "pagerduty",
            Tool::Jira => "jira",
            Tool::Alertmanager => "alertmanager",
            Tool::Generic => "generic",
        }
    }

    pub fn parse(word: &str) -> Option<Tool> {
        Tool::ALL.into_iter().find(|tool| tool.as_str() == word)
    }
}

crate::law::schema_of_words!(Tool);

/// How bad a tool calls it, on the scale of OCSF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    pub const ALL: [Severity; 5] =
        [Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Informational => "informational",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// The words that tools and people use. One that nobody knows is unknown, never low.
    pub fn of_word(word: &str) -> Option<Severity> {
        let word = word.trim().to_ascii_lowercase().replace(['-', ' '], "");
        Some(match word.as_str() {
            "informational" | "information" | "info" | "none" | "p5" | "sev5" | "lowest" => Severity::Informational,
            "low" | "minor" | "p4" | "sev4" => Severity::Low,
            "medium" | "moderate" | "warning" | "p3" | "sev3" => Severity::Medium,
            "high" | "major" | "error" | "page" | "p2" | "sev2" => Severity::High,
            "critical" | "fatal" | "severe" | "emergency" | "blocker" | "highest" | "p1" | "p0" | "sev1" | "sev0" => {
                Severity::Critical
            }
            _ => return None,
        })
    }
}

/// What one delivery says about one case, alert or ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivered {
    /// The tool's own name of the case: the same one again is the same incident.
    pub reference: String,
    /// In one line.
    pub title: String,
    /// What happened to it, in a sentence's part: `case created`.
    pub news: String,
    /// By which the same event is known when it is sent again; `None`: by its bytes.
    pub event: Option<String>,
    /// Whether it may open an incident: `false` for a comment on something.
    pub may_open: bool,
    /// The tool itself calls it no incident, in its own words: a false positive, a duplicate.
    pub dismissed: Option<String>,
    /// `None`: the tool does not say.
    pub severity: Option<Severity>,
    /// The tool itself says whether it suspects a breach.
    pub breach: Option<bool>,
    pub labels: Vec<String>,
    /// Whose it is, in the tool's words: organisation, customer, project.
    pub entity: Option<String>,
    /// Since when, for what comes and goes: the same reference after a closed incident is another occurrence.
    pub began: Option<Timestamp>,
    pub facts: Vec<Fact>,
    /// What was said and could not become a fact, with the reason.
    pub left_out: Vec<Rejection>,
    /// Where it stands in the delivery.
    pub pointer: String,
}

/// What a delivery holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Case(Box<Delivered>),
    /// About no case: a greeting, an object we do not follow. The sentence says what.
    Other(String),
}

/// Reads a delivery. Nothing of it is taken when anything that identifies a case is wrong.
///
/// # Errors
/// Every fault, with its pointer.
pub fn read(tool: Tool, bytes: &[u8], mapping: &Mapping, reading: &Reading<'_>) -> Result<Vec<Item>, Vec<Rejection>> {
    let whole = |line, text: String| vec![Rejection { pointer: String::new(), line, text }];
    let text = std::str::from_utf8(bytes).map_err(|_| whole(None, "the body is not UTF-8 text; send JSON".into()))?;
    let node = json(text.trim_start_matches('\u{feff}')).map_err(|e| whole(Some(e.line), e.text))?;
    let root = Place { node: &node, pointer: Pointer::root() };
    let items = match tool {
        Tool::Ocsf => root.items(&["events"]),
        Tool::Alertmanager => root.items(&["alerts"]),
        Tool::Iris => iris::items(&root),
        _ => vec![root.clone()],
    };
    if items.len() > MOST {
        return Err(whole(None, format!("the body holds {} items; send at most {MOST} at a time", items.len())));
    }
    let mut faults = Vec::new();
    if items.is_empty() {
        faults.push(root.fault("it holds nothing; an empty list reports nothing".into()));
    }
    let mut found = Vec::new();
    for item in items {
        let mut scribe = Scribe { reading, faults: &mut faults, left_out: Vec::new() };
        let read = match tool {
            Tool::Ocsf => ocsf::read(&item, &mut scribe),
            Tool::TheHive => thehive::read(&item, &mut scribe),
            Tool::Iris => iris::read(&item, &mut scribe),
            Tool::PagerDuty => pagerduty::read(&item, &mut scribe),
            Tool::Jira => jira::read(&item, &mut scribe),
            Tool::Alertmanager => alertmanager::read(&root, &item, &mut scribe),
            Tool::Generic => generic::read(&item, mapping, &mut scribe),
        };
        match read {
            Some(Item::Case(mut case)) => {
                mapping.apply(&item, &mut case, &mut scribe);
                case.left_out = scribe.left_out;
                case.pointer = item.pointer.0.clone();
                found.push(Item::Case(case));
            }
            other => found.extend(other),
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

/// The bytes of what stands at `pointer`, exactly as they were sent.
pub fn part<'a>(bytes: &'a [u8], pointer: &str) -> Option<&'a [u8]> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let whole: &RawValue = serde_json::from_slice(bytes).ok()?;
    let steps = pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
    let found = steps.into_iter().try_fold(whole, |raw, step| match raw.get().as_bytes().first()? {
        b'[' => serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok()?.get(step.parse::<usize>().ok()?).copied(),
        _ => serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()).ok()?.get(&step).copied(),
    })?;
    Some(found.get().as_bytes())
}

/// What the readers of the formats write into.
struct Scribe<'a> {
    reading: &'a Reading<'a>,
    faults: &'a mut Vec<Rejection>,
    left_out: Vec<Rejection>,
}

impl Scribe<'_> {
    /// A case known by `reference`, or a fault where it should stand.
    fn case(&mut self, place: &Place<'_>, path: &str, title: Option<String>, news: String) -> Option<Delivered> {
        match place.at(path) {
            Some(name) => self.case_named(&name, title, news),
            None => {
                let pointer = format!("{}/{path}", place.pointer.0);
                let text = format!("`{path}` is missing; it says which case this is about");
                self.faults.push(Rejection { pointer, line: place.node.line, text });
                None
            }
        }
    }

    /// A case known by what stands at `name`.
    fn case_named(&mut self, name: &Place<'_>, title: Option<String>, news: String) -> Option<Delivered> {
        let reference = name.name(self)?;
        Some(Delivered {
            title: title.unwrap_or_else(|| format!("reported as {reference}")),
            reference,
            news,
            event: None,
            may_open: true,
            dismissed: None,
            severity: None,
            breach: None,
            labels: Vec::new(),
            entity: None,
            began: None,
            facts: Vec::new(),
            left_out: Vec::new(),
            pointer: String::new(),
        })
    }

    /// `times.detected`, when the tool states an instant that is not ahead of us.
    fn detected(&mut self, at: Option<(Timestamp, Pointer)>, note: &str) -> Vec<Fact> {
        let Some((at, pointer)) = at else { return Vec::new() };
        if (at - self.reading.now).num_seconds() > FUTURE_TOLERANCE_SECONDS {
            let text = format!(
                "`{}` is later than now: the sender's clock is ahead; set it right, and state `times.detected` by hand",
                at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            );
            self.left_out.push(Rejection { pointer: pointer.0, line: None, text });
            return Vec::new();
        }
        vec![self.fact("times.detected", Value::Instant(at), Certainty::Estimated, note)]
    }

    fn fact(&self, key: &str, value: Value, certainty: Certainty, note: &str) -> Fact {
        Fact {
            key: key.into(),
            value: Some(value),
            certainty,
            asserted_by: self.reading.by.to_string(),
            asserted_at: self.reading.now,
            note: Some(note.to_string()),
        }
    }
}

/// One line of at most so many characters; `None` when nothing is left.
fn line(text: &str, chars: usize) -> Option<String> {
    // marks that turn the direction of writing could make one title read like another
    let turns =
        |c: &char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text: String = text.chars().filter(|c| !turns(c)).collect();
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let whole = words.collect::<Vec<_>>().join(" ");
    match whole.chars().count() {
        0 => None,
        n if n <= chars => Some(whole),
        _ => Some(whole.chars().take(chars - 1).chain(['…']).collect()),
    }
}
