//! Who answers an obligation without the link is known to have been reached.

use crate::support::{at, caller, house, settings, take_messages};
use breachclock::escalation::{DeliveryState, EscalationPolicy, Repeat, Step, StepAt, Who};
use breachclock::law::IncidentId;
use breachclock::store::Store;
use breachclock::store::memory::MemoryStore;
use breachclock::time::Timestamp;
use breachclock::workflow::{AckRequest, FilingRequest, House, Role, Trouble};

/// A house whose policy tells two people at the start, and the report that starts it.
fn told_at_once(start: Timestamp) -> (House<MemoryStore>, String) {
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
    let report = format!(
        "title = \"Tape lost\"\nentity = \"acme-fr\"\n[facts]\npersonal_data = true\nrisk = \"risk\"\n\"times.aware\" = \"{}\"\n",
        start.format("%Y-%m-%dT%H:%M:%SZ")
    );
    (house, report)
}

/// A link acts for its person and once: what it cannot do any more is refused with the reason, and stands in the log.
#[tokio::test]
async fn a_used_link_is_refused_and_the_log_says_so() {
    let start = at("2026-06-01T08:00:00Z");
    let (house, report) = told_at_once(start);
    let id = house.report(&caller(Role::Admin), &report, None, start).await.expect("reported").incident.id;
    let told = take_messages(&house, &[], start).await;
    let link = |person: &str| {
        let message = told.iter().find(|m| m.target.person() == Some(person)).expect("told");
        message.ack_token.clone().expect("a link")
    };
    let (lea, ines) = (link("lea"), link("ines"));
    let take =
        async |token: &str, when: &str| house.ack_by_link(token, AckRequest::default(), at(when)).await.map(drop);
    take(&lea, "2026-06-01T08:01:00Z").await.expect("taken");
    let filing = FilingRequest { by: Some("ines".into()), ..FilingRequest::default() };
    let duty = format!("{id}~eu-gdpr-33-authority@FR");
    let refusals = [
        (lea.clone(), "2026-06-01T08:02:00Z", "you have this already"),
        (lea, "2026-06-01T10:00:00Z", "open and free"),
        (ines, "2026-09-01T10:00:00Z", "this link has expired"),
    ];
    for (n, (token, when, words)) in refusals.iter().enumerate() {
        if n == 1 {
            house
                .file(&caller(Role::Responder), &duty, filing.clone(), None, at("2026-06-01T09:00:00Z"))
                .await
                .expect("filed");
        }
        match take(token, when).await {
            Err(Trouble::NotNow(said)) => assert!(said.contains(words) || said.contains("nothing to take"), "{said}"),
            other => panic!("{words}: {other:?}"),
        }
        let log = house.store.stream(&id).await.expect("reads");
        let refused = log.iter().filter(|e| String::from_utf8_lossy(&e.bytes).contains("acknowledgement.link-refused"));
        assert_eq!(refused.count(), n + 1, "{words}");
    }
    let forged = house.ack_by_link("bm90.b3Vycw", AckRequest::default(), start).await.map(drop);
    assert!(matches!(forged, Err(Trouble::NotFound(_))), "{forged:?}");
}

#[tokio::test]
async fn a_message_is_acknowledged_without_its_link() {
    let start = at("2026-06-01T08:00:00Z");
    let (house, report) = told_at_once(start);
    house.report(&caller(Role::Admin), &report, None, start).await.expect("reported");
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
