//! PagerDuty V3 webhooks (<https://developer.pagerduty.com/docs/webhooks-overview>): one event about an incident. Resolved
//! says that nobody is paged any more, not that a breach is contained; it is kept as it came and becomes no fact.

use super::place::Place;
use super::{Item, Scribe, Severity};

pub(super) fn read(root: &Place<'_>, scribe: &mut Scribe<'_>) -> Option<Item> {
    let Some(event) = root.at("event") else {
        let text = "`event` is missing; a V3 webhook of PagerDuty has one (V2 webhooks are no longer sent)";
        scribe.faults.push(root.fault(text.into()));
        return None;
    };
    let Some(kind) = event.text("event_type", scribe) else {
        if event.at("event_type").is_none() {
            scribe.faults.push(event.fault("`event_type` is missing; it says what happened".into()));
        }
        return None;
    };
    if !kind.starts_with("incident.") {
        return Some(Item::Other(format!("`{kind}` is about no incident")));
    }
    let Some(data) = event.at("data") else {
        scribe.faults.push(event.fault("`data` is missing; it holds the incident".into()));
        return None;
    };
    // notes, status updates and responders name the incident they belong to
    let (incident, whole) = match data.at("incident") {
        Some(incident) => (incident, false),
        None => (data, true),
    };
    let title = incident.title("title", scribe).or_else(|| incident.title("summary", scribe));
    let news = kind.replace(['.', '_'], " ");
    let mut case = scribe.case(&incident, "id", title, news)?;
    case.may_open = whole;
    case.event = event.at("id").and_then(|place| place.word());
    // a priority says more than the urgency, which many services set to high for everything
    let priority = incident.at("priority").and_then(|p| p.text("summary", scribe)).and_then(Severity::of_word);
    let urgency = || incident.text("urgency", scribe).and_then(Severity::of_word);
    case.severity = priority.or_else(urgency);
    case.labels = ["service/summary", "incident_type/name"]
        .iter()
        .filter_map(|path| incident.at(path)?.word())
        .chain(
            incident
                .at("teams")
                .map(|teams| teams.list())
                .unwrap_or_default()
                .iter()
                .filter_map(|team| team.at("summary")?.word()),
        )
        .collect();
    case.entity = incident.at("service/id").and_then(|place| place.word());
    let at = incident.instant("created_at", false, scribe);
    case.facts = scribe.detected(at, "when the incident was opened, as PagerDuty states it");
    Some(Item::Case(Box::new(case)))
}
