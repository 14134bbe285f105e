//! The question worth asking first, and what a form makes of an answer.

use super::bar::percent;
use super::words::{clock, instant, plain};
use crate::law::{FactCatalogue, FactType};
use crate::rules::Question;
use crate::time::{Timestamp, Zone};
use crate::web::multipart::Fields;
use crate::workflow::IncidentView;
use serde_json::{Value, json};

/// How an answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Buttons alone say it.
    Buttons,
    Number,
    When,
    Words,
    Text,
    /// No fact answers it: a question about the entity itself.
    None,
}

/// One bar of the comparison.
pub struct Compared {
    pub label: String,
    pub end: String,
    /// There is no bar where there is no limit.
    pub has_end: bool,
    pub is_maybe: bool,
    pub y: u32,
}

/// The question shown in large.
pub struct Asked {
    pub key: String,
    pub text: String,
    pub sub: String,
    pub input: Input,
    /// Label and the JSON value it asserts.
    pub buttons: Vec<(String, String)>,
    pub words: Vec<String>,
    pub skip: String,
    /// An answer to suppose, and the address of the page that shows what would follow.
    pub suppose: Vec<(String, String)>,
    pub bars: Vec<Compared>,
    pub now_x: String,
    pub height: u32,
    pub summary: String,
}

/// A question in the list below.
pub struct Other {
    pub text: String,
    pub effect: String,
    /// Where it can be answered without asserting anything.
    pub suppose: String,
}

/// The first question nobody put off, and the rest.
pub fn choose(
    incident: &IncidentView,
    catalogue: &FactCatalogue,
    skip: &[String],
    zone: Zone,
    now: Timestamp,
) -> (Option<Asked>, Vec<Other>) {
    if incident.closed_at.is_some() {
        return (None, Vec::new());
    }
    let mut questions: Vec<&Question> = incident.questions.iter().collect();
    questions.sort_by_key(|q| (skip.contains(&q.key), q.rank));
    let first = questions.first().filter(|q| !skip.contains(&q.key));
    let asked = first.map(|q| ask(q, incident, catalogue, skip, zone, now));
    let rest = questions.iter().skip(usize::from(asked.is_some()));
    let others = rest
        .map(|q| Other {
            text: q.text.clone(),
            effect: effect(q, incident),
            suppose: super::whatif::address(&incident.id, &q.key, ""),
        })
        .collect();
    (asked, others)
}

fn ask(
    q: &Question,
    incident: &IncidentView,
    catalogue: &FactCatalogue,
    skip: &[String],
    zone: Zone,
    now: Timestamp,
) -> Asked {
    let kind = catalogue.kind(&q.key);
    let input = match kind {
        Some(FactType::YesNo | FactType::Choice) => Input::Buttons,
        Some(FactType::Count) => Input::Number,
        Some(FactType::Instant) => Input::When,
        Some(FactType::Set) => Input::Words,
        Some(FactType::Text) => Input::Text,
        Some(FactType::Hold) | None => Input::None,
    };
    let asserted = |assert: &Value| assert.get(&q.key).map(Value::to_string).unwrap_or_default();
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect::<String>())
    };
    let buttons =
        q.answers.iter().map(|a| (capital(&a.label), asserted(&a.assert))).filter(|(_, v)| !v.is_empty()).collect();
    let skip: Vec<&str> = skip.iter().map(String::as_str).chain([q.key.as_str()]).collect();
    let mut asked = Asked {
        key: q.key.clone(),
        text: q.text.clone(),
        sub: effect(q, incident),
        input,
        buttons,
        words: catalogue.get(&q.key).map(|d| d.values.clone()).unwrap_or_default(),
        suppose: Vec::new(),
        skip: skip.iter().map(|k| crate::web::query::encode(k)).collect::<Vec<_>>().join(","),
        bars: Vec::new(),
        now_x: String::new(),
        height: 0,
        summary: String::new(),
    };
    asked.suppose = suppositions(q, &asked, incident);
    compare(&mut asked, q, incident, zone, now);
    asked
}

/// Each answer there is a button for, supposed; where the answer is typed, the form for it.
fn suppositions(q: &Question, asked: &Asked, incident: &IncidentView) -> Vec<(String, String)> {
    let to = |value: &str| super::whatif::address(&incident.id, &q.key, value);
    let plain = |json: &str| match serde_json::from_str::<Value>(json) {
        Ok(Value::Bool(yes)) => if yes { "yes" } else { "no" }.to_string(),
        Ok(Value::String(word)) => word,
        Ok(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        _ => json.to_string(),
    };
    match (asked.input, asked.buttons.is_empty()) {
        (Input::None, _) => Vec::new(),
        (_, true) => vec![("Suppose an answer".to_string(), to(""))],
        _ => asked.buttons.iter().map(|(label, json)| (label.clone(), to(&plain(json)))).collect(),
    }
}

/// The earliest limit as things stand, and under each answer.
fn compare(asked: &mut Asked, q: &Question, incident: &IncidentView, zone: Zone, now: Timestamp) {
    let dates = |o: &crate::workflow::ObligationView| super::state::Dates::of(o);
    let running = incident.obligations.iter().filter(|o| o.law.standing == "running");
    let today = running.filter_map(|o| dates(o).conservative).filter(|at| *at > now).min();
    let mut ends: Vec<(String, Option<Timestamp>, bool)> = vec![("As things stand".to_string(), today, false)];
    ends.extend(q.answers.iter().map(|a| (format!("If {}", a.label), a.earliest.as_deref().and_then(instant), true)));
    ends.truncate(4);
    let known: Vec<Timestamp> = ends.iter().filter_map(|(_, at, _)| *at).filter(|at| *at > now).collect();
    let Some(last) = known.iter().max().copied().filter(|_| known.len() > 1) else { return };
    let started =
        incident.obligations.iter().filter_map(|o| dates(o).started).filter(|at| *at < now).min().unwrap_or(now);
    let x = |at: Timestamp| (at - started).num_seconds() as f64 / (last - started).num_seconds().max(1) as f64 * 92.0;
    asked.now_x = percent(x(now));
    for (label, at, is_maybe) in ends {
        let y = 18 + 46 * asked.bars.len() as u32;
        let words = match at {
            Some(at) if at > now => {
                format!("{label}: {}, in {}", clock(at, zone, now), plain((at - now).num_minutes()))
            }
            Some(at) => format!("{label}: {}, passed", clock(at, zone, now)),
            None => format!("{label}: no limit"),
        };
        asked.bars.push(Compared { label: words, end: percent(at.map_or(0.0, x)), has_end: at.is_some(), is_maybe, y });
    }
    asked.height = 46 * asked.bars.len() as u32 + 6;
    asked.summary = asked.bars.iter().map(|b| b.label.as_str()).collect::<Vec<_>>().join(". ");
}

fn title<'v>(incident: &'v IncidentView, id: &'v str) -> &'v str {
    let full = format!("{}~{id}", incident.id);
    incident.obligations.iter().find(|o| o.law.id == full || o.law.id == id).map_or(id, |o| o.law.title.as_str())
}

/// What the answer would add or move, by the titles people know.
fn effect(q: &Question, incident: &IncidentView) -> String {
    let names = |ids: &[String]| {
        let mut names: Vec<&str> = ids.iter().map(|id| title(incident, id)).collect();
        names.dedup();
        let more = names.len().saturating_sub(3);
        names.truncate(3);
        let list = names.join("; ");
        if more > 0 { format!("{list}; and {more} more") } else { list }
    };
    match (q.would_add.is_empty(), q.would_move.is_empty()) {
        (false, true) => format!("would decide: {}", names(&q.would_add)),
        (false, false) => format!("would decide: {}; would move {}", names(&q.would_add), names(&q.would_move)),
        (true, false) => format!("would move: {}", names(&q.would_move)),
        (true, true) => "moves no date".to_string(),
    }
}

/// The request a form stands for. What cannot be read is passed on as typed, so that the refusal names it.
pub fn body_of(fields: &Fields, key: &str, kind: Option<FactType>) -> String {
    let typed = ["value", "number", "at", "text"].into_iter().find_map(|name| fields.get(name)).unwrap_or_default();
    let words: Vec<&str> = fields.all("words").collect();
    let value = value_of(typed, &words, kind);
    let mut fact = json!({ "value": value });
    if let Some(certainty) = fields.get("certainty") {
        fact["certainty"] = json!(certainty);
    }
    if let Some(note) = fields.get("note") {
        fact["note"] = json!(note);
    }
    if let Some(zone) = fields.get("zone").filter(|_| kind == Some(FactType::Instant)) {
        fact["zone"] = json!(zone);
    }
    let mut facts = serde_json::Map::new();
    facts.insert(key.to_string(), fact);
    json!({ "facts": facts }).to_string()
}

/// A fact's value from what was typed, or ticked among `words`. What cannot be read is passed on as typed.
pub fn value_of(typed: &str, words: &[&str], kind: Option<FactType>) -> Value {
    let button = serde_json::from_str::<Value>(typed).ok();
    match kind {
        Some(FactType::YesNo) => match typed.to_ascii_lowercase().as_str() {
            "yes" | "true" => json!(true),
            "no" | "false" => json!(false),
            _ => json!(typed),
        },
        Some(FactType::Count) => button.filter(|v| v.is_number() || v.is_object()).unwrap_or_else(|| {
            let digits: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
            digits.parse::<u64>().map_or_else(|_| json!(typed), |n| json!(n))
        }),
        Some(FactType::Set) if !words.is_empty() => json!(words),
        Some(FactType::Set) => json!(typed.split(',').map(str::trim).filter(|w| !w.is_empty()).collect::<Vec<_>>()),
        Some(FactType::Hold) => button.unwrap_or_else(|| json!(typed)),
        _ => button.filter(Value::is_string).unwrap_or_else(|| json!(typed)),
    }
}
