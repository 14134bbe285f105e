//! Who answers an obligation without the link is known to have been reached.

use crate::support::{at, caller, house, settings, take_messages};
use breachclock::escalation::{DeliveryState, EscalationPolicy, Repeat, Step, StepAt, Who};
use breachclock::law::IncidentId;
use breachclock::store::Store;
use breachclock::store::memory::MemoryStore;
use breachclock::workflow::{AckRequest, Role};

#[tokio::test]
async fn a_message_is_acknowledged_without_its_link() {
    let start = at("2026-06-01T08:00:00Z");
    let step = Step {
        name: "start".into(),
        at: StepAt::parse("start").expect("a step"),
        notify: vec![Who::Person("lea".into()), Who::Person("ines".into())],
        channels: Vec::new(),
        repeat: Some(Repeat::Seconds(3600)),
        needs: Vec::new(),
        lease_seconds: 1800,
    };
    let house = house(MemoryStore::new("test.example/log"), settings(vec![EscalationPolicy::new("one", vec![step])]));
    let report = "title = \"Tape lost\"\nentity = \"acme-fr\"\n[facts]\npersonal_data = true\nrisk = \"risk\"\n\"times.aware\" = \"2026-06-01T08:00:00Z\"\n";
    house.report(&caller(Role::Admin), report, None, start).await.expect("reported");
    let told = take_messages(&house, &[], start).await;
    assert_eq!(told.len(), 2, "two people are told");
    let incident = told[0].incident.0.clone();
    let states = async || -> Vec<(String, DeliveryState)> {
        let sent = house.store.sent(&IncidentId(incident.clone()), 9).await.expect("reads");
        sent.iter().map(|s| (s.message.target.person().unwrap_or_default().to_string(), s.state)).collect()
    };
    let of = async |person: &str| states().await.into_iter().find(|(p, _)| p == person).map(|(_, state)| state);
    assert_eq!(of("lea").await, Some(DeliveryState::HandedOver));
    let id = format!("{incident}~eu-gdpr-33-authority@FR");
    let ask = AckRequest { by: Some("lea".into()), ..AckRequest::default() };
    house.acknowledge(&caller(Role::Responder), &id, ask, None, at("2026-06-01T08:05:00Z")).await.expect("taken");
    assert_eq!(of("lea").await, Some(DeliveryState::Acknowledged));
    assert_eq!(of("ines").await, Some(DeliveryState::HandedOver), "nobody else's");
    let log = house.store.stream(&incident).await.expect("reads");
    let entries = log.iter().filter(|e| String::from_utf8_lossy(&e.bytes).contains("message.acknowledged")).count();
    assert_eq!(entries, 1, "and the log says so");
}
