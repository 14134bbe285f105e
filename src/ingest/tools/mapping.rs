//! What an operator adds to a format: where facts stand in a delivery, and what holds for everything a source reports.

use super::place::Place;
use super::{Delivered, Scribe, Severity, TITLE_CHARS, line};
use crate::ingest::facts;
use crate::ingest::node::{Format, Kind, Node};
use crate::ingest::{Pointer, Rejection};
use crate::law::{Certainty, Fact, FactType};

/// What `[ingest.map]` may name besides facts.
pub const FIELDS: [&str; 6] = ["title", "reference", "event", "severity", "labels", "entity"];

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping {
    /// A field of [`FIELDS`], or the key of a fact, and its RFC 6901 pointer into the case.
    pub at: Vec<(String, String)>,
    /// Facts that hold for whatever the source reports, as in a report.
    pub assume: Vec<(String, Node)>,
}

/// Is it an RFC 6901 pointer into something?
pub fn is_pointer(text: &str) -> bool {
    let escapes_are_whole = text.split('~').skip(1).all(|rest| rest.starts_with('0') || rest.starts_with('1'));
    text.starts_with('/') && escapes_are_whole
}

impl Mapping {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.at.iter().find(|(field, _)| field == name).map(|(_, pointer)| pointer.as_str())
    }

    /// Completes what the format's own reader found. What stands in the delivery goes before what is assumed.
    pub(super) fn apply(&self, item: &Place<'_>, case: &mut Delivered, scribe: &mut Scribe<'_>) {
        for (name, pointer) in &self.at {
            let Some(place) = item.pointed(pointer) else { continue };
            match name.as_str() {
                "reference" => {}
                "title" => {
                    if let Some(title) = place.word().and_then(|word| line(&word, TITLE_CHARS)) {
                        case.title = title;
                    }
                }
                "event" => case.event = place.word().or(case.event.take()),
                "severity" => case.severity = place.word().and_then(|word| Severity::of_word(&word)).or(case.severity),
                "labels" => case.labels.extend(place.word().into_iter().chain(place.words_here())),
                "entity" => case.entity = place.word().or(case.entity.take()),
                key => self.map(key, &place, case, scribe),
            }
        }
        for (key, node) in &self.assume {
            if case.facts.iter().all(|fact| fact.key != *key) {
                let pointer = Pointer::root();
                read(key, node.clone(), &pointer, "assumed of what this source reports", case, scribe);
            }
        }
    }

    fn map(&self, key: &str, place: &Place<'_>, case: &mut Delivered, scribe: &mut Scribe<'_>) {
        let node = match scribe.reading.catalogue.kind(key) {
            Some(kind) => fitted(kind, place),
            None => Ok(place.node.clone()),
        };
        case.facts.retain(|fact| fact.key != key);
        let note = format!("as it stands at {}", place.pointer.0);
        match node {
            Ok(node) => read(key, node, &place.pointer, &note, case, scribe),
            Err(text) => scribe.left_out.push(place.fault(format!("`{key}`: {text}"))),
        }
    }
}

/// Reads one fact; what does not read is left out and said.
fn read(key: &str, node: Node, pointer: &Pointer, note: &str, case: &mut Delivered, scribe: &mut Scribe<'_>) {
    let stated = node.member("certainty").is_some();
    let table = Node { line: None, kind: Kind::Table(vec![(key.to_string(), node)]) };
    let mut faults: Vec<Rejection> = Vec::new();
    let read = facts::read(&table, &Pointer::root(), Format::Json, scribe.reading, &mut faults);
    // the document that was read is ours: the place is the sender's
    scribe.left_out.extend(faults.into_iter().map(|fault| Rejection { pointer: pointer.0.clone(), ..fault }));
    for fact in read {
        let certainty = if stated { fact.certainty } else { Certainty::Suspected };
        let note = fact.note.clone().or_else(|| Some(note.to_string()));
        // nobody wrote these words for us: who says so is the source
        let asserted_by = scribe.reading.by.to_string();
        case.facts.push(Fact { certainty, note, asserted_by, ..fact });
    }
}

/// What tools write for a value of this type, as a report has it: `"yes"`, `"1200"`, `{ "value": "High" }`, a number of
/// milliseconds.
fn fitted(kind: FactType, place: &Place<'_>) -> Result<Node, String> {
    // a chosen option, as ticket systems write it; how sure a sender says it is, is not for it to say
    let named = || place.at("name").filter(|_| !matches!(kind, FactType::Count | FactType::Hold));
    if let Some(option) = place.at("value").or_else(named) {
        return fitted(kind, &option);
    }
    let node = |kind| Ok(Node { kind, line: place.node.line });
    match (kind, &place.node.kind) {
        (FactType::YesNo, Kind::Text(word)) => match word.trim().to_ascii_lowercase().as_str() {
            "yes" | "true" => node(Kind::Bool(true)),
            "no" | "false" => node(Kind::Bool(false)),
            _ => Err(format!("`{word}` is neither yes nor no")),
        },
        (FactType::Count, Kind::Text(digits)) => match digits.trim().parse::<u32>() {
            Ok(n) => node(Kind::Integer(n.into())),
            Err(_) => Err(format!("`{digits}` is no whole number")),
        },
        (FactType::Count, Kind::Fraction(n)) if n.fract() == 0.0 && (0.0..1e9).contains(n) => {
            node(Kind::Integer(*n as i128))
        }
        (FactType::Instant, Kind::Integer(_) | Kind::Text(_)) => {
            let at = place.read_instant(false)?;
            node(Kind::Text(at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)))
        }
        (FactType::Choice, Kind::Text(word)) => node(Kind::Text(word.trim().to_lowercase())),
        (FactType::Set, Kind::Text(word)) => {
            let words = word.split(',').map(|word| word.trim().to_lowercase()).filter(|word| !word.is_empty());
            let one = |word| Node { kind: Kind::Text(word), line: place.node.line };
            node(Kind::List(words.map(one).collect()))
        }
        (FactType::Set, Kind::List(_)) => {
            let words = place.list().into_iter().map(|item| {
                let word = item.at("value").or_else(|| item.at("name")).unwrap_or(item).word();
                word.map(|word| Node { kind: Kind::Text(word.to_lowercase()), line: place.node.line })
            });
            words.collect::<Option<_>>().map_or_else(|| Err("it holds more than words".into()), |l| node(Kind::List(l)))
        }
        (FactType::Text, Kind::Integer(n)) => node(Kind::Text(n.to_string())),
        _ => Ok(place.node.clone()),
    }
}
