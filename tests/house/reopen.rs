//! A closed incident in which a new fact makes an obligation run, or possible, is open again, and somebody is reminded.

use crate::support::{at, caller, house, run_until, settings};
use breachclock::store::{MemoryStore, Store};
use breachclock::workflow::{FilingRequest, House, Role};

const DUTY: &str = "eu-gdpr-33-authority@FR";
const NOW: &str = "2026-03-28T01:00:00Z";

/// Filed and closed.
async fn closed() -> (House<MemoryStore>, String) {
    let house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    let report = r#"{"title": "x", "entity": "acme-fr", "facts":
        {"personal_data": true, "risk": "risk", "times.aware": "2026-03-27T15:20:00Z"}}"#;
    let (responder, now) = (caller(Role::Responder), at(NOW));
    let id = house.report(&responder, report, None, now).await.expect("opens").incident.id;
    house.file(&responder, &format!("{id}~{DUTY}"), FilingRequest::default(), None, now).await.expect("files");
    let view = house.close(&caller(Role::Approver), &id, None, None, now).await.expect("closes");
    assert!(view.closed_at.is_some());
    run_until(&house, now, now).await;
    (house, id)
}

#[tokio::test]
async fn a_fact_that_makes_an_obligation_run_opens_the_incident_again() {
    // what it says, whether it opens, and what runs then
    let cases = [
        (r#"{"times.contained": "2026-03-28T00:30:00Z"}"#, None),
        (r#"{"risk": "high"}"#, Some("eu-gdpr-34-individuals@FR")),
        (r#"{"times.filed.eu-gdpr-33-authority@FR": null}"#, Some(DUTY)),
    ];
    for (facts, runs) in cases {
        let (house, id) = closed().await;
        let now = at("2026-03-28T02:00:00Z");
        let responder = caller(Role::Responder);
        let changed = house.assert_facts(&responder, &id, facts, None, None, now).await.expect("asserts");
        let view = house.incident(&responder, &id, now).await.expect("is there");
        assert_eq!((changed.reopened, view.closed_at.is_none()), (runs.is_some(), runs.is_some()), "{facts}");
        let entries = house.store.stream(&id).await.expect("reads");
        let of_kind = |kind: &str| {
            let entries = entries.iter().map(|e| serde_json::from_slice::<serde_json::Value>(&e.bytes).expect("JSON"));
            entries.filter(|e| e["type"] == kind).collect::<Vec<_>>()
        };
        let until = at("2026-03-30T16:00:00Z");
        let (sent, reopened) = (run_until(&house, now, until).await, of_kind("incident.reopened"));
        let Some(runs) = runs else {
            assert!(sent.is_empty() && reopened.is_empty(), "{facts}: {sent:?}");
            continue;
        };
        assert_eq!(reopened.len(), 1, "{facts}");
        let named = reopened[0]["body"]["obligations"].as_array().expect("named");
        assert!(named.iter().any(|o| *o == runs), "{facts}: {named:?}");
        let about = |m: &breachclock::escalation::Message| {
            m.obligation.as_deref() == Some(runs) || m.brief.also.iter().any(|a| a.obligation == runs)
        };
        assert!(sent.iter().any(|(_, m)| about(m)), "{facts}: nobody was told: {sent:?}");
    }
}
