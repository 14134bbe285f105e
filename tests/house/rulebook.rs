//! Another rulebook comes into force: earlier at once, later only when somebody signed it off.

use crate::support::{at, caller, house, settings};
use breachclock::rules::{Rulebook, SourceFile, builtin_files, load};
use breachclock::store::{MemoryStore, Store};
use breachclock::time::Calendars;
use breachclock::workflow::{House, IncidentView, ObligationView, Role, Trouble};
use std::sync::Arc;

const DUTY: &str = "eu-gdpr-33-authority@FR";
const NOW: &str = "2026-03-28T01:00:00Z";

fn book_with(change: impl Fn(&mut SourceFile)) -> Rulebook {
    let mut files = builtin_files();
    files.iter_mut().for_each(change);
    load(&files, Arc::new(Calendars::builtin().clone())).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// The packs with another number of hours for the notice to the authority.
fn hours(n: u32) -> Rulebook {
    book_with(|file| {
        if file.path == "eu/gdpr.toml" {
            file.text = file.text.replacen("hours = 72", &format!("hours = {n}"), 1);
        }
    })
}

/// The packs without the General Data Protection Regulation.
fn without() -> Rulebook {
    let files: Vec<SourceFile> = builtin_files()
        .into_iter()
        .filter(|f| f.path != "eu/gdpr.toml" && !f.path.ends_with(".cases.toml"))
        .map(|mut f| {
            // rows that refer to it lose the reference
            let refers = |line: &str| line.contains("eu-gdpr-") && !line.starts_with("id =");
            f.text = f.text.lines().filter(|l| !refers(l)).map(|l| format!("{l}\n")).collect();
            f
        })
        .collect();
    load(&files, Arc::new(Calendars::builtin().clone())).unwrap_or_else(|faults| panic!("{faults:?}"))
}

async fn opened() -> (House<MemoryStore>, String) {
    let house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    let report = r#"{"title": "x", "entity": "acme-fr", "facts":
        {"personal_data": true, "risk": "risk", "times.aware": "2026-03-27T15:20:00Z"}}"#;
    let id = house.report(&caller(Role::Responder), report, None, at(NOW)).await.expect("opens").incident.id;
    (house, id)
}

async fn incident<S: Store>(house: &House<S>, id: &str) -> IncidentView {
    house.incident(&caller(Role::Responder), id, at(NOW)).await.expect("is there")
}

fn notice(incident: &IncidentView) -> &ObligationView {
    incident.obligations.iter().find(|o| o.law.id.ends_with(DUTY)).expect("the obligation is there")
}

fn kind_of(entry: &[u8]) -> String {
    let entry: serde_json::Value = serde_json::from_slice(entry).expect("an entry is JSON");
    entry["type"].as_str().expect("a type").to_string()
}

async fn kinds<S: Store>(house: &House<S>, id: &str) -> Vec<String> {
    house.store.stream(id).await.expect("reads").into_iter().map(|e| kind_of(&e.bytes)).collect()
}

#[tokio::test]
async fn an_earlier_date_takes_effect_at_once() {
    let (house, id) = opened().await;
    assert_eq!(house.activate(hours(48), at(NOW)).await.expect("activates"), 1);
    let view = incident(&house, &id).await;
    assert_eq!(notice(&view).law.conservative_due.as_deref(), Some("2026-03-29T15:20:00Z"));
    assert!(view.awaiting_sign_off.is_empty());
    assert!(kinds(&house, &id).await.contains(&"rules.changed".to_string()));
}

#[tokio::test]
async fn a_later_date_waits_for_a_sign_off() {
    let (house, id) = opened().await;
    house.activate(hours(96), at(NOW)).await.expect("activates");
    let view = incident(&house, &id).await;
    assert_eq!(notice(&view).law.due.as_deref(), Some("2026-03-30T16:00:00Z"), "the older limit stands");
    assert_eq!(notice(&view).law.conservative_due.as_deref(), Some("2026-03-30T15:20:00Z"));
    let would_be = notice(&view).law.awaiting_sign_off.as_ref().expect("waits");
    assert_eq!(would_be.conservative_due.as_deref(), Some("2026-03-31T15:20:00Z"));
    assert!(notice(&view).law.because.iter().any(|b| b.contains("until somebody signs the change off")));
    let waiting: Vec<&str> = view.awaiting_sign_off.iter().map(|k| k.obligation.as_str()).collect();
    assert!(waiting.iter().any(|w| w.ends_with(DUTY)), "{waiting:?}");
    // a third rulebook, later still, does not make it slip
    house.activate(hours(120), at(NOW)).await.expect("activates");
    let view = incident(&house, &id).await;
    assert_eq!(notice(&view).law.due.as_deref(), Some("2026-03-30T16:00:00Z"));

    let sign = |role, reason| {
        let (house, id) = (&house, id.clone());
        async move { house.sign_off(&caller(role), &id, &[], reason, None, at(NOW)).await }
    };
    assert!(matches!(sign(Role::Responder, "looks right").await, Err(Trouble::NotPermitted(_))));
    assert!(sign(Role::Approver, " ").await.is_err(), "a sign-off needs its reason");
    let view = sign(Role::Approver, "the Regulation was amended").await.expect("signs off");
    assert_eq!(notice(&view).law.conservative_due.as_deref(), Some("2026-04-01T15:20:00Z"));
    assert!(view.awaiting_sign_off.is_empty());
    assert!(matches!(sign(Role::Approver, "again").await, Err(Trouble::NotNow(_))));
    let kinds = kinds(&house, &id).await;
    assert_eq!(kinds.iter().filter(|k| *k == "rules.changed").count(), 2, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|k| *k == "rules.signed-off").count(), 1, "{kinds:?}");
}

#[tokio::test]
async fn what_is_filed_needs_no_sign_off() {
    let (house, id) = opened().await;
    house.activate(hours(96), at(NOW)).await.expect("activates");
    let filed = format!(r#"{{"facts": {{"times.filed.{DUTY}": "2026-03-28T00:50:00Z"}}}}"#);
    house.assert_facts(&caller(Role::Responder), &id, &filed, None, None, at(NOW)).await.expect("asserts");
    let view = incident(&house, &id).await;
    assert_eq!(notice(&view).law.standing, "discharged");
    assert!(!view.awaiting_sign_off.iter().any(|k| k.obligation.ends_with(DUTY)));
}

#[tokio::test]
async fn an_earlier_fact_still_moves_a_limit_that_stands() {
    let (house, id) = opened().await;
    house.activate(hours(96), at(NOW)).await.expect("activates");
    let earlier = r#"{"facts": {"times.aware": "2026-03-25T10:00:00Z"}}"#;
    house.assert_facts(&caller(Role::Responder), &id, earlier, None, None, at(NOW)).await.expect("asserts");
    let view = incident(&house, &id).await;
    // 96 hours from the corrected awareness end before the limit that stood
    assert_eq!(notice(&view).law.conservative_due.as_deref(), Some("2026-03-29T10:00:00Z"));
    assert!(!view.awaiting_sign_off.iter().any(|k| k.obligation.ends_with(DUTY)), "nothing is later any more");
}

#[tokio::test]
async fn a_duty_that_is_gone_is_named_until_it_is_signed_off() {
    let (house, id) = opened().await;
    house.activate(without(), at(NOW)).await.expect("activates");
    let view = incident(&house, &id).await;
    assert!(!view.obligations.iter().any(|o| o.law.id.ends_with(DUTY)));
    let warning = view.warnings.iter().find(|w| w.key == DUTY).expect("a warning names it");
    assert!(warning.text.contains("2026-03-30T15:20:00Z"), "{}", warning.text);
    let named = [format!("{id}~{DUTY}")];
    let unknown = ["xx@YY".to_string()];
    let approver = caller(Role::Approver);
    assert!(house.sign_off(&approver, &id, &unknown, "no", None, at(NOW)).await.is_err());
    let view = house.sign_off(&approver, &id, &named, "repealed", None, at(NOW)).await.expect("signs off");
    assert!(!view.warnings.iter().any(|w| w.key == DUTY));
}
