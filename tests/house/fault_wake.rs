//! One incident that cannot be woken, and the others.

use crate::support::{at, caller, house, settings, take_messages};
use breachclock::store::faulty::{Fault, FaultyStore};
use breachclock::store::{MemoryStore, Store};
use breachclock::workflow::Role;

#[tokio::test]
async fn an_incident_that_cannot_be_woken_does_not_hold_up_the_others() {
    let house = house(FaultyStore::new(MemoryStore::new("test.example/log")), settings(Vec::new()));
    let report = r#"{"title": "x", "entity": "acme-fr", "facts": {"personal_data": true, "risk": "risk", "times.aware": "2026-03-27T11:00:00Z"}}"#;
    for _ in 0..3 {
        house.report(&caller(Role::Responder), report, None, at("2026-03-27T11:00:00Z")).await.expect("accepted");
    }
    take_messages(&house, &[], at("2026-03-27T11:00:00Z")).await;
    let half = at("2026-03-28T23:00:00Z");
    assert_eq!(house.store.due(half, 10).await.expect("due").incidents.len(), 3);
    house.store.fail_next(Fault::Before);
    house.wake_due(half).await.expect_err("it is said that one failed");
    assert_eq!(take_messages(&house, &[], half).await.len(), 4, "the other two were told");
    house.wake_due(half).await.expect("the next round");
    assert_eq!(take_messages(&house, &[], half).await.len(), 2);
}
