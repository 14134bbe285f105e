//! DFIR-IRIS: what its webhook module sends about cases and alerts (<https://docs.dfir-iris.org>), with `"use_rendering":
//! false` and a `request_body` such as `{ "cases": "cases", "alerts": "alerts", "object_url": "object_url" }`; also a case
//! or an alert as the API shows it. Times without offset are UTC, as IRIS keeps them.

use super::place::Place;
use super::{Item, Scribe, Severity};

/// The cases and alerts of a delivery. An empty text stands for what the hook was not about.
pub(super) fn items<'a>(root: &Place<'a>) -> Vec<Place<'a>> {
    let lists = ["cases", "alerts", "case", "alert", "data"].into_iter().filter_map(|name| root.at(name));
    let found: Vec<Place<'a>> =
        lists.flat_map(|place| if place.node.text() == Some("") { Vec::new() } else { place.items(&[]) }).collect();
    if found.is_empty() { vec![root.clone()] } else { found }
}

pub(super) fn read(item: &Place<'_>, scribe: &mut Scribe<'_>) -> Option<Item> {
    if item.at("alert_id").is_some() || item.at("alert_title").is_some() {
        return alert(item, scribe);
    }
    if item.at("case_id").is_none() && item.at("case_name").is_none() {
        return match ["asset_name", "ioc_value", "note_title", "task_title", "event_title", "comments", "filename"]
            .iter()
            .find(|name| item.at(name).is_some())
        {
            Some(name) => Some(Item::Other(format!("it is about `{name}`; cases and alerts are followed"))),
            None => {
                let text = "neither `case_id` nor `alert_id` stands here; set `\"use_rendering\": false` and a `request_body` of `{ \"cases\": \"cases\", \"alerts\": \"alerts\" }`";
                scribe.faults.push(item.fault(text.into()));
                None
            }
        };
    }
    let title = item.title("case_name", scribe).or_else(|| item.title("name", scribe));
    let mut case = scribe.case(item, "case_id", title, "case reported".into())?;
    case.reference = format!("case {}", case.reference);
    case.severity = item.whole("severity_id", scribe).and_then(severity);
    case.labels = tags(item, "case_tags");
    case.entity = customer(item, "case_customer", scribe);
    // the outcome an analyst gave
    case.dismissed = (item.whole("status_id", scribe) == Some(1)).then(|| "a false positive".to_string());
    let at = ["initial_date", "open_date"]
        .into_iter()
        .find(|name| item.at(name).is_some_and(|place| place.read_instant(true).is_ok()))
        .and_then(|name| item.instant(name, true, scribe));
    case.facts = scribe.detected(at, "when the case was opened, as IRIS states it");
    Some(Item::Case(Box::new(case)))
}

fn alert(item: &Place<'_>, scribe: &mut Scribe<'_>) -> Option<Item> {
    let title = item.title("alert_title", scribe);
    let mut case = scribe.case(item, "alert_id", title, "alert reported".into())?;
    case.reference = format!("alert {}", case.reference);
    // an alert that was merged goes on as its case
    if let [only] = item.at("cases").map(|list| list.list()).unwrap_or_default().as_slice()
        && let Some(id) = only.word().or_else(|| only.at("case_id")?.word())
    {
        case.reference = format!("case {id}");
    }
    let word = item.at("severity/severity_name").and_then(|place| Severity::of_word(&place.word()?));
    case.severity = word.or_else(|| item.whole("alert_severity_id", scribe).and_then(severity));
    case.labels = tags(item, "alert_tags");
    case.entity = customer(item, "alert_customer_id", scribe);
    let resolution = item.at("resolution_status/resolution_status_name").and_then(|place| place.word());
    case.dismissed = resolution.and_then(|word| match word.to_ascii_lowercase().as_str() {
        "false positive" => Some("a false positive".to_string()),
        "legitimate" => Some("legitimate".to_string()),
        _ => None,
    });
    let place = ["alert_source_event_time", "alert_creation_time"].into_iter().find(|name| item.at(name).is_some());
    let at = place.and_then(|name| item.instant(name, true, scribe));
    case.facts = scribe.detected(at, "when the alert was raised, as IRIS states it");
    Some(Item::Case(Box::new(case)))
}

/// IRIS's own table, as a new installation has it; 1 is unspecified.
fn severity(id: i128) -> Option<Severity> {
    Some(match id {
        2 => Severity::Informational,
        3 => Severity::Low,
        4 => Severity::Medium,
        5 => Severity::High,
        6 => Severity::Critical,
        _ => return None,
    })
}

fn tags(item: &Place<'_>, name: &str) -> Vec<String> {
    let written = item.at(name).and_then(|place| place.word()).unwrap_or_default();
    written.split(',').map(|tag| tag.trim().to_string()).filter(|tag| !tag.is_empty()).collect()
}

fn customer(item: &Place<'_>, id: &str, scribe: &mut Scribe<'_>) -> Option<String> {
    let named = ["customer", "client"].iter().find_map(|name| item.at(name)?.text("customer_name", scribe));
    named.map(str::to_string).or_else(|| item.at(id)?.word())
}
