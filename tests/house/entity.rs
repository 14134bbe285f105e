//! A report that does not say which entity it is about: what any of them would owe, until somebody names it.

use crate::support::{at, caller, house, settings};
use breachclock::law::Entity;
use breachclock::store::{MemoryStore, Store};
use breachclock::workflow::{House, IncidentView, Role};

const NOW: &str = "2026-03-28T01:00:00Z";

fn two_entities() -> House<MemoryStore> {
    let mut settings = settings(Vec::new());
    settings.entities.push(Entity {
        id: Some("acme-de".into()),
        name: "Acme Netz GmbH".into(),
        roles: vec!["controller".into(), "essential-entity".into()],
        sectors: vec!["energy".into()],
        established_in: vec!["DE".into()],
        main_establishment: Some("DE".into()),
        zone: Some(breachclock::time::Zone::named("Europe/Berlin").expect("a zone")),
        ..Entity::default()
    });
    house(MemoryStore::new("test.example/log"), settings)
}

fn open(view: &IncidentView) -> Vec<&str> {
    view.obligations.iter().filter(|o| o.law.standing != "withdrawn").map(|o| o.law.duty.as_str()).collect()
}

#[tokio::test]
async fn several_entities_and_none_is_stated() {
    let house = two_entities();
    let report = r#"{"title": "laptop stolen", "facts":
        {"personal_data": true, "risk": "risk", "significant": true, "times.aware": "2026-03-27T15:20:00Z"}}"#;
    let responder = caller(Role::Responder);
    let view = house.report(&responder, report, None, at(NOW)).await.expect("opens").incident;
    assert_eq!(view.entity.name, "not stated: Acme SAS or Acme Netz GmbH");
    let warning = view.warnings.first().expect("a warning");
    assert!(warning.key == "entity" && warning.text.contains("Name the one it is"), "{}", warning.text);
    let owed = open(&view);
    assert!(owed.contains(&"de-nis2-early-warning") && owed.contains(&"eu-gdpr-33-authority"), "{owed:?}");
    // an exception that one of them meets must not take away what another owes
    assert!(view.obligations.iter().all(|o| o.law.standing == "possible"), "nothing is certain of an unknown entity");

    let changed = house
        .set_entity(&responder, &view.id, "acme-fr", Some(view.version), None, at(NOW))
        .await
        .expect("the entity is named");
    assert!(changed.diff.dropped.iter().any(|d| d.id.starts_with("de-nis2-early-warning")));
    let view = house.incident(&responder, &view.id, at(NOW)).await.expect("is there");
    assert_eq!(view.entity.id.as_deref(), Some("acme-fr"));
    assert!(view.warnings.iter().all(|w| w.key != "entity"));
    let notice = view.obligations.iter().find(|o| o.law.duty == "eu-gdpr-33-authority").expect("owed");
    assert_eq!((notice.law.standing, notice.law.jurisdiction.as_str()), ("running", "FR"));
    let entries = house.store.stream(&view.id).await.expect("reads");
    assert!(entries.iter().any(|e| String::from_utf8_lossy(&e.bytes).contains("\"entity.named\"")));
    assert!(house.set_entity(&responder, &view.id, "acme-xx", None, None, at(NOW)).await.is_err());
}
