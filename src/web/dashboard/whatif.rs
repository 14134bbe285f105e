//! `/incidents/{id}/what-if?KEY=VALUE…`: what would follow if other facts were asserted. A GET, so that an address can be
//! handed on; nothing is saved, nobody is told.

use super::incident::{DiffLine, diff_lines};
use super::lanes::Chart;
use super::question::value_of;
use super::words::{fact_name, fact_value, instant};
use super::{FormFault, Frame, May, error_page, frame, reader_zone, show as show_template};
use crate::law::{FactCatalogue, FactType};
use crate::store::Store;
use crate::time::Zone;
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::body::Id;
use crate::web::error::Problem;
use crate::web::query::{Params, encode};
use crate::workflow::{FactView, IncidentView, WhatIf};
use askama::Template;
use axum::extract::State as Extract;
use axum::response::Response;
use serde_json::{Map, Value, json};

/// Questions that are offered besides what is supposed already.
const OFFERED: usize = 5;
/// A choice of more words is a list to choose from, not buttons.
const MAX_BUTTONS: usize = 4;
const UNKNOWN: &str = "unknown";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Buttons,
    List,
    Number,
    When,
    Text,
}

/// One fact that may be supposed.
pub struct Supposition {
    /// Of the field in the page.
    pub id: String,
    pub key: String,
    pub name: String,
    pub question: String,
    pub kind: Kind,
    /// What may be chosen, with what it is called; the first is "as is".
    pub options: Vec<(String, String)>,
    /// As the field shows it; empty leaves the fact as it is.
    pub value: String,
    pub now: String,
    pub fault: String,
    /// The address names it; the others are offered.
    pub is_asked: bool,
}

/// A supposed fact, on its way to being asserted.
pub struct Carried {
    pub words: String,
    pub address: String,
}

#[derive(Template)]
#[template(path = "whatif.html")]
struct WhatIfPage {
    frame: Frame,
    id: String,
    title: String,
    heading: String,
    zone: String,
    fields: Vec<Supposition>,
    /// The address names a fact; what is offered besides stands folded.
    is_asked: bool,
    keys: Vec<(String, String)>,
    other: (String, String),
    faults: Vec<FormFault>,
    other_fault: String,
    charts: Option<[Chart; 2]>,
    lines: Vec<DiffLine>,
    summary: String,
    carried: Vec<Carried>,
    may: May,
}

/// The page with one fact supposed; without a value, with the question ready to be answered.
pub fn address(incident: &str, key: &str, value: &str) -> String {
    format!("/incidents/{}/what-if?{}={}", encode(incident), encode(key), encode(value))
}

pub async fn show<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Visitor(caller): Visitor,
    Id(id): Id,
    params: Params,
) -> Response {
    let (now, zone) = (web.now(), reader_zone(&web));
    let book = web.house.book();
    let catalogue = book.catalogue();
    let asked = Asked::of(&params);
    let supposed = asked.facts(catalogue, zone);
    let answer = web.house.what_if(&caller, &id, &supposed, now).await.map_err(Problem::from);
    let (what, problem) = match answer {
        Ok(what) => (what, None),
        Err(problem) if !matches!(problem.status, 400 | 422) => return error_page(&problem, now),
        // what is wrong is said beside the field; the incident is shown as it is
        Err(problem) => match web.house.what_if(&caller, &id, &Map::new(), now).await {
            Ok(what) => (what, Some(problem)),
            Err(trouble) => return error_page(&trouble.into(), now),
        },
    };
    let faults = problem.as_ref().map(faults).unwrap_or_default();
    let fields = fields(&what.incident, &asked, &supposed, &faults, catalogue, zone);
    let lines = lines(&what, supposed.is_empty(), zone);
    let mut page_frame = frame(&web, &caller, "incidents").await;
    page_frame.here = format!("/incidents/{}/what-if?{}", encode(&id), asked.query());
    let carried = match problem {
        None => carried(&id, &supposed, zone),
        Some(_) => Vec::new(),
    };
    let led = |key: &str| fields.iter().find(|f| f.key == key);
    let mut response = show_template(&WhatIfPage {
        frame: page_frame,
        heading: heading(&supposed, faults.is_empty(), zone),
        zone: super::zone_name(zone),
        keys: catalogue.iter().map(|d| (d.key.clone(), d.question.clone())).collect(),
        other: asked.other.clone().unwrap_or_default(),
        other_fault: faults.iter().find(|(key, _)| led(key).is_none()).map(|(_, t)| t.clone()).unwrap_or_default(),
        faults: faults.iter().map(|(_, text)| FormFault { field: "", text: text.clone() }).collect(),
        charts: super::whatif_chart::draw(&what, zone, now),
        summary: summary(&lines, supposed.is_empty()),
        lines,
        carried,
        is_asked: fields.iter().any(|f| f.is_asked),
        may: May { report: May::of(&caller).report && what.incident.closed_at.is_none(), ..May::of(&caller) },
        fields,
        id,
        title: what.incident.title,
    });
    if let Some(problem) = problem {
        *response.status_mut() = problem.status();
    }
    response
}

/// What the address asks to suppose.
struct Asked {
    /// Key and values as typed, in order; without a value the question is shown and nothing is supposed.
    pairs: Vec<(String, Vec<String>)>,
    /// The free pair of fields, when it could not be taken.
    other: Option<(String, String)>,
}

impl Asked {
    fn of(params: &Params) -> Asked {
        let mut pairs: Vec<(String, Vec<String>)> = Vec::new();
        let mut add = |key: &str, value: &str| {
            let at = pairs.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
                pairs.push((key.to_string(), Vec::new()));
                pairs.len() - 1
            });
            if !value.is_empty() {
                pairs[at].1.push(value.to_string());
            }
        };
        for (key, value) in params.0.iter().filter(|(key, _)| key != "fact" && key != "value") {
            add(key.trim(), value.trim());
        }
        let (fact, value) = (params.get("fact"), params.get("value").unwrap_or_default());
        if let Some(fact) = fact {
            add(fact, value);
        }
        Asked { pairs, other: fact.map(|fact| (fact.to_string(), value.to_string())) }
    }

    fn typed(&self, key: &str) -> Option<&[String]> {
        self.pairs.iter().find(|(known, _)| known == key).map(|(_, values)| values.as_slice())
    }

    /// The facts as a report would state them.
    fn facts(&self, catalogue: &FactCatalogue, zone: Zone) -> Map<String, Value> {
        let mut facts = Map::new();
        for (key, values) in self.pairs.iter().filter(|(_, values)| !values.is_empty()) {
            let kind = catalogue.kind(key);
            let words: Vec<&str> = values.iter().map(String::as_str).collect();
            let typed = words.join(",");
            let is_word = catalogue.get(key).is_some_and(|d| d.values.iter().any(|v| v == UNKNOWN));
            let value = match typed == UNKNOWN && !is_word {
                true => Value::Null,
                false => value_of(&typed, if words.len() > 1 { &words } else { &[] }, kind),
            };
            let fact = match kind {
                Some(FactType::Instant) => json!({ "value": value, "zone": zone }),
                _ => json!({ "value": value }),
            };
            facts.insert(key.clone(), fact);
        }
        facts
    }

    fn query(&self) -> String {
        let pairs = self.pairs.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
        pairs.map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect::<Vec<_>>().join("&")
    }
}

/// Each fault with the fact it is about.
fn faults(problem: &Problem) -> Vec<(String, String)> {
    if problem.errors.is_empty() {
        return vec![(String::new(), problem.detail.clone())];
    }
    let key = |pointer: &str| {
        let member = pointer.strip_prefix("/suppose/").unwrap_or_default().split('/').next().unwrap_or_default();
        member.replace("~1", "/").replace("~0", "~")
    };
    problem.errors.iter().map(|e| (key(&e.pointer), e.detail.clone())).collect()
}

fn fields(
    incident: &IncidentView,
    asked: &Asked,
    supposed: &Map<String, Value>,
    faults: &[(String, String)],
    catalogue: &FactCatalogue,
    zone: Zone,
) -> Vec<Supposition> {
    let mut keys: Vec<&str> = asked.pairs.iter().map(|(key, _)| key.as_str()).collect();
    let mut questions: Vec<_> = incident.questions.iter().collect();
    questions.sort_by_key(|q| q.rank);
    keys.extend(questions.iter().map(|q| q.key.as_str()).filter(|key| asked.typed(key).is_none()).take(OFFERED));
    if asked.typed("times.aware").is_none() {
        keys.push("times.aware");
    }
    keys.dedup();
    let mut fields: Vec<Supposition> = Vec::new();
    for key in keys {
        let declared = catalogue.get(key).map(|d| d.values.clone()).unwrap_or_default();
        let Some(kind) = kind_of(catalogue.kind(key), declared.len()) else { continue };
        if fields.iter().any(|f| f.key == key) {
            continue;
        }
        let current = current(incident, key);
        let typed = asked.typed(key).unwrap_or_default().join(",");
        let value = match (kind, supposed.get(key)) {
            (Kind::When, Some(fact)) => civil(&fact["value"], zone).unwrap_or(typed),
            (Kind::Buttons, Some(fact)) => fact["value"].as_bool().map_or(typed, |yes| yes_no(yes).to_string()),
            _ => typed,
        };
        fields.push(Supposition {
            id: format!("s{}", fields.len()),
            key: key.to_string(),
            name: fact_name(key),
            question: catalogue.question(key),
            options: options(kind, catalogue.kind(key), &declared, current.is_some()),
            kind,
            value,
            now: current.map_or("not known".to_string(), |fact| fact_value(&fact.value, zone)),
            is_asked: asked.typed(key).is_some(),
            fault: faults.iter().find(|(at, _)| at == key).map(|(_, text)| text.clone()).unwrap_or_default(),
        });
    }
    fields
}

fn current<'v>(incident: &'v IncidentView, key: &str) -> Option<&'v FactView> {
    incident.facts.iter().find(|f| f.key == key && !f.superseded && !f.value.is_null())
}

fn kind_of(kind: Option<FactType>, words: usize) -> Option<Kind> {
    match kind? {
        FactType::YesNo => Some(Kind::Buttons),
        FactType::Choice if words < MAX_BUTTONS => Some(Kind::Buttons),
        FactType::Choice => Some(Kind::List),
        FactType::Count => Some(Kind::Number),
        FactType::Instant => Some(Kind::When),
        FactType::Set | FactType::Text => Some(Kind::Text),
        FactType::Hold => None,
    }
}

fn options(kind: Kind, fact: Option<FactType>, declared: &[String], is_known: bool) -> Vec<(String, String)> {
    let pair = |value: &str, word: &str| (value.to_string(), word.to_string());
    if !matches!(kind, Kind::Buttons | Kind::List) {
        return Vec::new();
    }
    let mut options = match fact {
        Some(FactType::YesNo) => vec![pair("yes", "Yes"), pair("no", "No")],
        _ => declared.iter().map(|word| pair(word, &capital(word))).collect(),
    };
    if is_known {
        options.push(pair(UNKNOWN, "Not known"));
    }
    options.push(pair("", "As is"));
    options
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// An instant as a field for a local time holds it.
fn civil(value: &Value, zone: Zone) -> Option<String> {
    let text = value.as_str()?;
    let local = match instant(text) {
        Some(at) => zone.local(at).format("%Y-%m-%dT%H:%M").to_string(),
        None => text.chars().take(16).collect(),
    };
    Some(local)
}

/// Key and value of a supposed fact in words.
fn said(key: &str, fact: &Value, zone: Zone) -> (String, String) {
    let value = match fact["value"].as_str().filter(|_| fact.get("zone").is_some()) {
        Some(text) => instant(text).map_or(text.replace('T', " "), |at| crate::notify::words::short_label(at, zone)),
        None => fact_value(&fact["value"], zone),
    };
    (fact_name(key), value)
}

fn heading(supposed: &Map<String, Value>, is_fine: bool, zone: Zone) -> String {
    if supposed.is_empty() || !is_fine {
        return "What if?".to_string();
    }
    let clause = |(key, fact): (&String, &Value)| {
        let (name, value) = said(key, fact, zone);
        // acronyms keep their letters
        let second_is_small = name.chars().nth(1).is_none_or(char::is_lowercase);
        let name = match name.get(..1).filter(|_| second_is_small) {
            Some(first) => first.to_lowercase() + &name[1..],
            None => name,
        };
        format!("{name}: {value}")
    };
    format!("What if {}?", supposed.iter().map(clause).collect::<Vec<_>>().join(", and "))
}

/// Each supposed fact with the form in which it can be asserted, filled in.
fn carried(id: &str, supposed: &Map<String, Value>, zone: Zone) -> Vec<Carried> {
    let one = |(key, fact): (&String, &Value)| {
        let (name, words) = said(key, fact, zone);
        let value = match &fact["value"] {
            Value::Null => return None,
            Value::Bool(yes) => yes_no(*yes).to_string(),
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            text @ Value::String(_) if fact.get("zone").is_some() => civil(text, zone)?,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let address = format!("/incidents/{}?fact={}&value={}#add", encode(id), encode(key), encode(&value));
        Some(Carried { words: format!("{name}: {words}"), address })
    };
    supposed.iter().filter_map(one).collect()
}

/// The strip of the incident's page, in the words of a supposition.
fn lines(what: &WhatIf, nothing_supposed: bool, zone: Zone) -> Vec<DiffLine> {
    if nothing_supposed {
        return Vec::new();
    }
    let would = |line: DiffLine| {
        let runs = line.word == "Moved" && line.to == "running";
        let (class, word) = match line.word {
            _ if runs => ("maybe", "Would run"),
            "Added" => ("maybe", "Would apply"),
            "Moved" => (if line.class == "soon" { "soon" } else { "maybe" }, "Would move"),
            "Dropped" => ("soon", "Would fall away"),
            "Filled" => ("maybe", "Supposed"),
            other => (line.class, other),
        };
        // that it was unknown and is supposed now, the form says
        let because = if word == "Supposed" { String::new() } else { line.because };
        DiffLine { class, word, because, ..line }
    };
    diff_lines(&what.diff, &what.incident, &what.then, zone).into_iter().map(would).collect()
}

/// `1 would run, 2 would apply`: how many lines of each word there are.
fn summary(lines: &[DiffLine], nothing_supposed: bool) -> String {
    if nothing_supposed {
        return "nothing is supposed yet".to_string();
    }
    let words = ["Would run", "Would apply", "Would move", "Would fall away"];
    let count = |word: &&'static str| (lines.iter().filter(|line| line.word == *word).count(), word.to_lowercase());
    let found: Vec<String> =
        words.iter().map(count).filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if found.is_empty() { "no obligation would change".to_string() } else { found.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Asked {
        Asked::of(&Params::of(&format!("/x?{query}").parse().expect("an address")).expect("readable"))
    }

    #[test]
    fn an_address_says_what_is_supposed() {
        let book = crate::rules::builtin().expect("the built-in packs load");
        let catalogue = book.catalogue();
        let zone = Zone::named("Europe/Paris").expect("zone");
        let facts = |query: &str| Value::Object(asked(query).facts(catalogue, zone));
        assert_eq!(facts("personal_data=yes&risk="), json!({ "personal_data": { "value": true } }));
        assert_eq!(facts("affected.total=1%20200"), json!({ "affected.total": { "value": 1200 } }));
        assert_eq!(facts("risk=unknown"), json!({ "risk": { "value": null } }));
        assert_eq!(facts("fact=risk&value=high"), json!({ "risk": { "value": "high" } }));
        let aware = facts("times.aware=2026-03-27T16:20");
        assert_eq!(aware["times.aware"], json!({ "value": "2026-03-27T16:20", "zone": "Europe/Paris" }));
        // the two names of the free pair are no facts
        assert!(["fact", "value"].iter().all(|name| catalogue.kind(name).is_none()));
    }

    #[test]
    fn what_is_supposed_can_be_asserted_as_it_was_typed() {
        let supposed = json!({ "times.aware": { "value": "2026-03-27T15:20:00Z", "zone": "UTC" }, "encrypted": { "value": false } });
        let carried = carried("inc-1", supposed.as_object().expect("facts"), Zone::UTC);
        let addresses: Vec<&str> = carried.iter().map(|c| c.address.as_str()).collect();
        assert!(addresses.contains(&"/incidents/inc-1?fact=encrypted&value=no#add"), "{addresses:?}");
        assert!(addresses.contains(&"/incidents/inc-1?fact=times.aware&value=2026-03-27T15%3A20#add"), "{addresses:?}");
    }
}
