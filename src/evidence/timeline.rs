//! What was known when: the entries of one stream in words, in the order in which they were written.
//!
//! Every line stands for an entry and carries its instant, so that nothing is told as known before it was recorded.
//! Entries are read for showing, not judged; see `verify` for that. Absent: names of duties and local times, which the
//! caller has.

use super::{Disclosure, Hash, Timestamp, hex, sha256};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One thing that happened, or became known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Number of the entry in the stream.
    pub n: u64,
    pub at: Timestamp,
    /// incident | fact | clock | message | delivery | acknowledgement | filing | decision | export
    pub kind: &'static str,
    pub text: String,
    /// `<duty>@<place>`.
    pub obligation: Option<String>,
    pub by: Option<String>,
    pub until: Option<Timestamp>,
}

/// Shown where a personal value is not at hand.
const NOT_SHOWN: &str = "(not shown)";

/// Reads `entries`, exact lines of one stream. `disclosures` holds the personal values that may be shown, by their
/// commitment; `name` gives the words for an obligation's id.
pub fn timeline<'e>(
    entries: impl IntoIterator<Item = &'e [u8]>,
    disclosures: &BTreeMap<Hash, Vec<u8>>,
    name: impl Fn(&str) -> String,
) -> Vec<Happening> {
    let values: BTreeMap<String, Value> = disclosures
        .values()
        .filter_map(|bytes| Some((hex(&sha256(bytes)), Disclosure::from_bytes(bytes.clone()).read()?.1)))
        .collect();
    let mut reader = Reader { values, name: &name, facts: BTreeMap::new(), limits: BTreeMap::new(), found: Vec::new() };
    for entry in entries {
        if let Ok(entry) = serde_json::from_slice::<Value>(entry) {
            reader.read(&entry);
        }
    }
    reader.found
}

struct Reader<'r> {
    /// Personal values by the hexadecimal form of their commitment.
    values: BTreeMap<String, Value>,
    name: &'r dyn Fn(&str) -> String,
    facts: BTreeMap<String, String>,
    limits: BTreeMap<String, Limit>,
    found: Vec<Happening>,
}

/// An obligation as last computed.
#[derive(Clone, PartialEq, Eq)]
struct Limit {
    standing: String,
    due: Option<String>,
    conservative: Option<String>,
}

impl Reader<'_> {
    fn read(&mut self, entry: &Value) {
        let (Some(n), Some(at), Some(kind)) = (entry["n"].as_u64(), instant(&entry["ts"]), entry["type"].as_str())
        else {
            return;
        };
        let body = &entry["body"];
        let by = ["by", "actor"].iter().map(|key| self.shown(&body[*key])).find(|by| !by.is_empty());
        let obligation = body["obligation"].as_str().map(str::to_string);
        let until = instant(&body["until"]);
        let mut say = |kind: &'static str, text: String| {
            let (by, obligation) = (by.clone(), obligation.clone());
            self.found.push(Happening { n, at, kind, text, obligation, by, until });
        };
        let plain = |key: &str| body[key].as_str().unwrap_or_default();
        match kind {
            // an alarm that found nothing to do
            "timer.evaluated" => {}
            "incident.reported" => {
                let title = shown(&self.values, &body["title"]);
                say("incident", format!("reported: {title}"));
                self.facts(n, at, body, by);
            }
            "facts.asserted" | "awareness.set" => self.facts(n, at, body, by),
            "entity.named" => {
                let entity = shown(&self.values, &body["entity"]);
                say("incident", format!("it is about {entity}"));
            }
            "incident.closed" => say("incident", "closed".to_string()),
            "incident.reopened" => say("incident", format!("open again: {}", plain("why"))),
            "deadline.computed" => self.limits(n, at, body),
            "rules.changed" => {
                say("decision", format!("rule packs changed from {} to {}", short(body, "from"), short(body, "to")))
            }
            "rules.signed-off" => {
                let reason = shown(&self.values, &body["reason"]);
                say("decision", format!("later limits of the changed rule packs signed off: {reason}"));
            }
            "acknowledgement.recorded" => say("acknowledgement", format!("{} has it", by.clone().unwrap_or_default())),
            "acknowledgement.declined" => {
                say("acknowledgement", format!("{} cannot take it", by.clone().unwrap_or_default()))
            }
            "acknowledgement.link-refused" => {
                say("acknowledgement", format!("a link was used, and nothing came of it: {}", plain("reason")))
            }
            "notification.filed" => {
                let reference = shown(&self.values, &body["reference"]);
                let reference = if reference.is_empty() { String::new() } else { format!(", reference {reference}") };
                let part = if body["complete"] == true { "" } else { ", a first part" };
                say("filing", format!("notice given at {}{part}{reference}", plain("at")));
            }
            "decision.not-to-notify" => {
                let reason = shown(&self.values, &body["reason"]);
                let text = format!("not to notify ({}): {reason}", plain("state"));
                // whoever agreed made it stand; the entry's own name is that of who proposed it
                let agreed = Some(shown(&self.values, &body["second_approver"]))
                    .filter(|second| !second.is_empty() && plain("state") == "approved");
                match agreed {
                    Some(second) => {
                        let proposed = by.clone().map(|by| format!(", proposed by {by}")).unwrap_or_default();
                        let (text, by) = (format!("{text}{proposed}"), Some(second));
                        self.found.push(Happening { n, at, kind: "decision", text, obligation, by, until });
                    }
                    None => say("decision", text),
                }
            }
            "decision.reopened" => {
                let because: Vec<&str> =
                    body["because"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                say("decision", format!("the decision not to notify ended: {} changed", because.join(", ")));
            }
            "decision.withdrawn" => {
                let reason = shown(&self.values, &body["reason"]);
                say("decision", format!("the decision not to notify is no more, {}: {reason}", plain("how")));
            }
            "attachment.collected" => {
                let name = shown(&self.values, &body["name"]);
                let name = if name.is_empty() { String::new() } else { format!(" `{name}`") };
                let how = [("how", ""), ("tool", "with ")].map(|(key, word)| (word, shown(&self.values, &body[key])));
                let how: String = how
                    .iter()
                    .filter(|(_, said)| !said.is_empty())
                    .map(|(word, said)| format!(", {word}{said}"))
                    .collect();
                say("filing", format!("file{name} ({}) collected at {}{how}", plain("kind"), plain("collected_at")));
            }
            "attachment.read" => say("export", format!("the file of entry {} was read", body["attachment"])),
            "delay.justified" => {
                let reason = shown(&self.values, &body["reason"]);
                say("decision", format!("reasons for the delay: {reason}"));
            }
            "messages.queued" => self.messages(n, at, body),
            "message.attempted" => {
                let answer = shown(&self.values, &body["answer"]);
                say("delivery", format!("{}: {} ({answer})", plain("to"), plain("outcome")));
            }
            "disclosure.erased" => {
                let basis = shown(&self.values, &body["basis"]);
                say("decision", format!("{} personal fields erased ({basis})", count(&body["commitments"])));
            }
            "disclosure.withheld" => {
                let (count, reason) = (count(&body["commitments"]), plain("reason"));
                say("decision", format!("{count} personal fields withheld from exports: {reason}"));
            }
            "erasure.refused" => {
                let ground = shown(&self.values, &body["ground"]);
                say("decision", format!("an erasure was refused, as the incident is held: {ground}"));
            }
            "hold.set" | "hold.lifted" => {
                let ground = shown(&self.values, &body["ground"]);
                let word = if kind == "hold.set" { "nothing may be erased" } else { "erasing is allowed again" };
                say("decision", format!("{word}: {ground}"));
            }
            "export.created" => say("export", format!("exported, profile {}", plain("profile"))),
            _ if kind.starts_with("message.") => {
                let news = [plain("state"), plain("what")].into_iter().find(|word| !word.is_empty()).unwrap_or(kind);
                say("delivery", format!("{}: {news}", plain("to")));
            }
            _ => say("incident", kind.to_string()),
        }
    }

    fn shown(&self, value: &Value) -> String {
        shown(&self.values, value)
    }

    fn facts(&mut self, n: u64, at: Timestamp, body: &Value, by: Option<String>) {
        for fact in body["facts"].as_array().into_iter().flatten() {
            let key = fact["key"].as_str().unwrap_or_default().to_string();
            let value = if fact["value"].is_null() { "unknown again".into() } else { self.shown(&fact["value"]) };
            let before = self.facts.insert(key.clone(), value.clone());
            let before = before.filter(|before| *before != value).map(|b| format!(", before: {b}")).unwrap_or_default();
            let certainty = fact["certainty"].as_str().unwrap_or_default();
            let text = format!("{key} = {value} ({certainty}{before})");
            let said_by = Some(self.shown(&fact["by"])).filter(|by| !by.is_empty()).or_else(|| by.clone());
            self.found.push(Happening { n, at, kind: "fact", text, obligation: None, by: said_by, until: None });
        }
    }

    /// What the computation changed: limits that appear, move, end.
    fn limits(&mut self, n: u64, at: Timestamp, body: &Value) {
        let text = |value: &Value| value.as_str().map(str::to_string);
        let mut seen = BTreeSet::new();
        for o in body["obligations"].as_array().into_iter().flatten() {
            let Some(id) = text(&o["id"]) else { continue };
            let limit = Limit {
                standing: text(&o["standing"]).unwrap_or_default(),
                due: text(&o["due"]),
                conservative: text(&o["conservative_due"]),
            };
            seen.insert(id.clone());
            let before = self.limits.insert(id.clone(), limit.clone());
            if before.as_ref() == Some(&limit) {
                continue;
            }
            let mut words = format!("{}: {}", (self.name)(&id), limit.standing);
            match &before {
                Some(b) if b.conservative != limit.conservative || b.due != limit.due => {
                    words.push_str(&format!(", limit moved from {} to {}", dates(b), dates(&limit)));
                }
                Some(b) => words.push_str(&format!(" (before: {})", b.standing)),
                None if limit.due.is_some() => words.push_str(&format!(", limit {}", dates(&limit))),
                None => {}
            }
            let until = limit.conservative.as_deref().and_then(|at| at.parse().ok());
            self.found.push(Happening { n, at, kind: "clock", text: words, obligation: Some(id), by: None, until });
        }
        let gone: Vec<String> = self.limits.keys().filter(|id| !seen.contains(*id)).cloned().collect();
        for id in gone {
            self.limits.remove(&id);
            let text = format!("{}: no longer applies", (self.name)(&id));
            self.found.push(Happening { n, at, kind: "clock", text, obligation: Some(id), by: None, until: None });
        }
    }

    fn messages(&mut self, n: u64, at: Timestamp, body: &Value) {
        for message in body["messages"].as_array().into_iter().flatten() {
            let word = |key: &str| message[key].as_str().unwrap_or_default();
            let again = match message["repeat"].as_u64() {
                Some(repeat @ 1..) => format!(", repeat {repeat}"),
                _ => String::new(),
            };
            let asks: BTreeSet<&str> =
                message["asks"].as_array().into_iter().flatten().filter_map(|ask| ask["what"].as_str()).collect();
            let asks: String = asks.into_iter().map(|ask| format!(", asks for {}", ask.replace('-', " "))).collect();
            let text = format!("{} to {}, step {}{again}{asks}", word("event"), word("to"), word("step"));
            let obligation = message["obligation"].as_str().map(str::to_string);
            self.found.push(Happening { n, at, kind: "message", text, obligation, by: None, until: None });
        }
    }
}

fn dates(limit: &Limit) -> String {
    match (&limit.conservative, &limit.due) {
        (Some(conservative), Some(due)) if conservative != due => format!("{conservative} (legal {due})"),
        (Some(at), _) | (None, Some(at)) => at.clone(),
        (None, None) => "none".to_string(),
    }
}

/// A value as a line of words: plain, or behind its commitment.
fn shown(values: &BTreeMap<String, Value>, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(map) => match map.get("$c").and_then(Value::as_str) {
            Some(commitment) => values.get(commitment).map_or(NOT_SHOWN.to_string(), |value| shown(values, value)),
            None => value.to_string(),
        },
        other => other.to_string(),
    }
}

fn count(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

/// Enough of a hash to tell two apart.
fn short(body: &Value, key: &str) -> String {
    body[key].as_str().unwrap_or_default().chars().take(12).collect()
}

fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Draft, Sealer, StreamHead, seal};
    use serde_json::json;

    fn log(bodies: Vec<(&'static str, &str, Value)>) -> Vec<Vec<u8>> {
        let mut head = StreamHead::default();
        let mut entries = Vec::new();
        for (idx, (kind, ts, body)) in bodies.into_iter().enumerate() {
            let draft = Draft::unchecked("inc-1", kind, ts.parse().expect("RFC 3339"), [0; 16], &body);
            let entry = seal(&draft, "test.example/log", idx as u64, &head);
            head = StreamHead::after(&entry);
            entries.push(entry.bytes);
        }
        entries
    }

    #[test]
    fn facts_supersede_and_limits_move() {
        let mut sealer = Sealer::new(|| [7; 32]);
        let by = serde_json::to_value(sealer.seal("/facts/0/by", "Lea")).expect("JSON");
        let disclosures: BTreeMap<Hash, Vec<u8>> =
            sealer.into_disclosures().into_iter().map(|d| (d.commitment, d.bytes)).collect();
        let fact = |value: &str| json!({ "by": "token", "facts": [{ "key": "times.aware", "value": value, "certainty": "confirmed", "by": by }] });
        let limit = |standing: &str, due: &str| json!({ "obligations": [{ "id": "duty@XX", "standing": standing, "due": due, "conservative_due": due }] });
        let entries = log(vec![
            ("awareness.set", "2026-06-01T08:00:00Z", fact("2026-06-01T07:00:00Z")),
            ("deadline.computed", "2026-06-01T08:00:00Z", limit("running", "2026-06-04T07:00:00Z")),
            ("timer.evaluated", "2026-06-01T09:00:00Z", json!({})),
            ("awareness.set", "2026-06-02T08:00:00Z", fact("2026-06-01T05:00:00Z")),
            ("deadline.computed", "2026-06-02T08:00:00Z", limit("running", "2026-06-04T05:00:00Z")),
            ("deadline.computed", "2026-06-02T09:00:00Z", limit("running", "2026-06-04T05:00:00Z")),
            ("deadline.computed", "2026-06-03T08:00:00Z", json!({ "obligations": [] })),
        ]);
        let lines = |disclosures: &BTreeMap<Hash, Vec<u8>>| -> Vec<String> {
            timeline(entries.iter().map(Vec::as_slice), disclosures, |id| format!("Notice ({id})"))
                .into_iter()
                .map(|h| {
                    format!("{} {} {}{}", h.n, h.kind, h.text, h.by.map(|by| format!(" by {by}")).unwrap_or_default())
                })
                .collect()
        };
        assert_eq!(
            lines(&disclosures),
            [
                "1 fact times.aware = 2026-06-01T07:00:00Z (confirmed) by Lea",
                "2 clock Notice (duty@XX): running, limit 2026-06-04T07:00:00Z",
                "4 fact times.aware = 2026-06-01T05:00:00Z (confirmed, before: 2026-06-01T07:00:00Z) by Lea",
                "5 clock Notice (duty@XX): running, limit moved from 2026-06-04T07:00:00Z to 2026-06-04T05:00:00Z",
                "7 clock Notice (duty@XX): no longer applies",
            ]
        );
        assert!(lines(&BTreeMap::new())[0].ends_with("by (not shown)"), "an erased name leaves its line");
    }
}
