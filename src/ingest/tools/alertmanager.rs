//! Prometheus Alertmanager, and Grafana's webhook contact point, which sends the same form
//! (<https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>). Each alert is a case of its own, known by
//! its fingerprint. One that fires again after its incident was closed is another occurrence.

use super::place::Place;
use super::{Item, Scribe, Severity};
use crate::ingest::node::Kind;

pub(super) fn read(root: &Place<'_>, alert: &Place<'_>, scribe: &mut Scribe<'_>) -> Option<Item> {
    if root.at("alerts").is_none() {
        scribe.faults.push(root.fault("`alerts` is missing; a webhook of Alertmanager lists them".into()));
        return None;
    }
    if !matches!(root.at("alerts")?.node.kind, Kind::List(_)) {
        scribe.faults.push(root.at("alerts")?.fault("`alerts` is no list".into()));
        return None;
    }
    let label = |name: &str| alert.at(&format!("labels/{name}")).and_then(|place| place.word());
    let summary = alert.at("annotations").and_then(|notes| notes.title("summary", scribe));
    let title = summary.or_else(|| label("alertname"));
    let status = alert.text("status", scribe).unwrap_or("firing").to_string();
    let mut case = scribe.case(alert, "fingerprint", title, format!("alert {status}"))?;
    let start = alert.instant("startsAt", false, scribe);
    case.began = start.as_ref().map(|(at, _)| *at);
    // the same alert is sent again every few hours for as long as it fires
    let starts = alert.at("startsAt").and_then(|place| place.word()).unwrap_or_default();
    case.event = Some(format!("{} {starts} {status}", case.reference));
    case.severity = ["severity", "priority", "level"].iter().find_map(|name| Severity::of_word(&label(name)?));
    case.labels = alert.at("labels").map(|labels| of_labels(&labels)).unwrap_or_default();
    case.entity = ["entity", "tenant", "customer"].iter().find_map(|name| label(name));
    case.facts = scribe.detected(start, "when the alert began to fire, as Alertmanager states it");
    Some(Item::Case(Box::new(case)))
}

/// `name=value` and the value alone, so that either can be asked for.
fn of_labels(labels: &Place<'_>) -> Vec<String> {
    let pairs = labels.node.members().iter().filter_map(|(name, node)| Some((name, node.text()?)));
    pairs.flat_map(|(name, value)| [format!("{name}={value}"), value.to_string()]).collect()
}
