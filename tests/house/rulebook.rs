//! Another rulebook comes into force: earlier at once, later only when somebody signed it off.

use crate::support::{at, caller, house, run_until, settings};
use breachclock::escalation::Message;
use breachclock::rules::{Rulebook, SourceFile, builtin_files, load};
use breachclock::store::faulty::{Fault, FaultyStore};
use breachclock::store::{MemoryStore, Store};
use breachclock::time::Calendars;
use breachclock::workflow::{
    AckRequest, FilingRequest, Filter, House, IncidentView, ObligationView, Role, Trouble, WaiverRequest,
};
use std::sync::Arc;

const DUTY: &str = "eu-gdpr-33-authority@FR";
const NOW: &str = "2026-03-28T01:00:00Z";

fn book_with(change: impl Fn(&mut SourceFile)) -> Rulebook {
    let mut files = builtin_files();
    files.iter_mut().for_each(change);
    load(&files, Arc::new(Calendars::builtin().clone())).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// The packs with another number of hours for the notice to the authority.
pub fn hours(n: u32) -> Rulebook {
    book_with(|file| {
        if file.path == "eu/gdpr.toml" {
            file.text =
                file.text.replacen("from = 2018-07-20\nhours = 72", &format!("from = 2018-07-20\nhours = {n}"), 1);
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
    assert_eq!(house.activate(hours(48), at(NOW)).await.expect("activates").incidents, 1);
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
        async move { house.sign_off(&caller(role), &id, &[], reason, None, None, at(NOW)).await }
    };
    let (approver, seen) = (caller(Role::Approver), Some(view.version - 1));
    let stale = house.sign_off(&approver, &id, &[], "as I saw it", seen, None, at(NOW)).await;
    assert!(matches!(stale, Err(Trouble::Stale { current }) if current == view.version), "signed off unseen");
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
async fn a_limit_that_stands_follows_the_facts() {
    let (house, id) = opened().await;
    house.activate(hours(96), at(NOW)).await.expect("activates");
    let aware = |instant: &str| format!(r#"{{"facts": {{"times.aware": "{instant}"}}}}"#);
    let responder = caller(Role::Responder);
    for (instant, conservative) in [
        // 72 hours, as the packs said that gave the limit
        ("2026-03-25T10:00:00Z", "2026-03-28T10:00:00Z"),
        // a slip, corrected: the limit that stood stands again, and nobody has signed the later one off
        ("2026-03-27T15:20:00Z", "2026-03-30T15:20:00Z"),
    ] {
        house.assert_facts(&responder, &id, &aware(instant), None, None, at(NOW)).await.expect("asserts");
        let view = incident(&house, &id).await;
        assert_eq!(notice(&view).law.conservative_due.as_deref(), Some(conservative), "aware at {instant}");
        assert!(view.awaiting_sign_off.iter().any(|k| k.obligation.ends_with(DUTY)), "aware at {instant}");
    }
}

#[tokio::test]
async fn a_duty_that_is_gone_stays_an_obligation_until_it_is_signed_off() {
    let (house, id) = opened().await;
    house.activate(without(), at(NOW)).await.expect("activates");
    let view = incident(&house, &id).await;
    let gone = notice(&view);
    assert_eq!((gone.law.standing, gone.law.title.as_str()), ("running", "Notify the supervisory authority"));
    assert_eq!(gone.law.conservative_due.as_deref(), Some("2026-03-30T15:20:00Z"));
    let waiting = view.awaiting_sign_off.iter().find(|k| k.obligation.ends_with(DUTY)).expect("waits");
    assert!(waiting.gone);
    let warning = view.warnings.iter().find(|w| w.key == DUTY).expect("a warning names it");
    assert!(warning.text.contains("2026-03-30T15:20:00Z"), "{}", warning.text);
    let board = house.obligations(&caller(Role::Responder), Filter { limit: 50, ..Filter::default() }, at(NOW)).await;
    assert!(board.expect("the board").items.iter().any(|o| o.law.id.ends_with(DUTY)));

    // it follows a corrected awareness, under the packs that gave it
    let earlier = r#"{"facts": {"times.aware": "2026-03-25T10:00:00Z"}}"#;
    house.assert_facts(&caller(Role::Responder), &id, earlier, None, None, at(NOW)).await.expect("asserts");
    let view = incident(&house, &id).await;
    assert_eq!(notice(&view).law.conservative_due.as_deref(), Some("2026-03-28T10:00:00Z"));

    let named = [format!("{id}~{DUTY}")];
    let unknown = ["xx@YY".to_string()];
    let approver = caller(Role::Approver);
    assert!(house.sign_off(&approver, &id, &unknown, "no", None, None, at(NOW)).await.is_err());
    let view = house.sign_off(&approver, &id, &named, "repealed", None, None, at(NOW)).await.expect("signs off");
    assert!(!view.warnings.iter().any(|w| w.key == DUTY));
    assert!(!view.obligations.iter().any(|o| o.law.id.ends_with(DUTY)));
}

#[tokio::test]
async fn a_duty_that_is_gone_is_reminded_of_taken_filed_and_waived() {
    let full = |id: &str| format!("{id}~{DUTY}");
    let about = |message: &Message| {
        message.obligation.as_deref() == Some(DUTY) || message.brief.also.iter().any(|a| a.obligation == DUTY)
    };
    let (house, id) = opened().await;
    run_until(&house, at(NOW), at(NOW)).await;
    // once from the archive, once from what was stored
    let (mut bare, other) = opened().await;
    bare.archive = Box::new(|_| None);
    for (house, id) in [(&house, &id), (&bare, &other)] {
        house.activate(without(), at(NOW)).await.expect("activates");
        let sent = run_until(house, at(NOW), at("2026-03-30T16:30:00Z")).await;
        let late: Vec<_> = sent.iter().filter(|(when, m)| *when >= at("2026-03-30T15:20:00Z") && about(m)).collect();
        assert!(!late.is_empty(), "nobody was told at the limit: {sent:?}");
        let view = house.obligation(&caller(Role::Responder), &full(id), at(NOW)).await.expect("is there");
        assert_eq!(
            (view.law.standing, view.law.conservative_due.as_deref()),
            ("running", Some("2026-03-30T15:20:00Z"))
        );
        let ask = AckRequest { by: Some("lea".into()), ..AckRequest::default() };
        let taken = house.acknowledge(&caller(Role::Responder), &full(id), ask, None, at(NOW)).await.expect("takes it");
        assert_eq!(taken.holder.expect("held").name, "Lea Fontaine");
    }

    let now = at("2026-03-30T16:30:00Z");
    let filing = FilingRequest { at: Some(at("2026-03-30T14:00:00Z")), ..FilingRequest::default() };
    house.file(&caller(Role::Responder), &full(&id), filing, None, now).await.expect("files");
    let reason = WaiverRequest { reason: "repealed".into(), ..WaiverRequest::default() };
    bare.waive(&caller(Role::Approver), &full(&other), reason, None, now).await.expect("waives");
    for (house, id, standing) in [(&house, &id, "discharged"), (&bare, &other, "waived")] {
        let view = house.incident(&caller(Role::Responder), id, now).await.expect("is there");
        assert_eq!(notice(&view).law.standing, standing);
        assert!(!view.awaiting_sign_off.iter().any(|k| k.obligation.ends_with(DUTY)), "nothing is left to sign off");
        let sent = run_until(house, now, now + chrono::Duration::days(20)).await;
        assert!(!sent.iter().any(|(_, m)| about(m)), "reminders went on: {sent:?}");
    }
}

#[tokio::test]
async fn filing_one_duty_leaves_the_other_limits_that_stand() {
    const FIRST: &str = "eu-611-2-initial@FR";
    let mut settings = settings(Vec::new());
    settings.entities[0].roles.push("telecom-provider".into());
    let house = house(MemoryStore::new("test.example/log"), settings);
    let report = r#"{"title": "x", "entity": "acme-fr", "facts":
        {"personal_data": true, "risk": "risk", "service_disrupted": false, "times.aware": "2026-03-27T15:20:00Z",
         "times.detected": "2026-03-27T15:20:00Z"}}"#;
    let id = house.report(&caller(Role::Responder), report, None, at(NOW)).await.expect("opens").incident.id;
    let later = book_with(|file| match file.path.as_str() {
        "eu/gdpr.toml" => {
            file.text = file.text.replacen("from = 2018-07-20\nhours = 72", "from = 2018-07-20\nhours = 96", 1)
        }
        "eu/telecom.toml" => file.text = file.text.replacen("hours = 24", "hours = 48", 1),
        _ => {}
    });
    house.activate(later, at(NOW)).await.expect("activates");
    let waiting = |view: &IncidentView| -> Vec<String> {
        view.awaiting_sign_off.iter().filter_map(|k| k.obligation.split_once('~')).map(|(_, o)| o.to_string()).collect()
    };
    let view = incident(&house, &id).await;
    assert!(
        waiting(&view).contains(&FIRST.to_string()) && waiting(&view).contains(&DUTY.to_string()),
        "{:?}",
        waiting(&view)
    );
    let filing = FilingRequest { at: Some(at("2026-03-28T00:50:00Z")), ..FilingRequest::default() };
    house.file(&caller(Role::Responder), &format!("{id}~{FIRST}"), filing, None, at(NOW)).await.expect("files");
    let view = incident(&house, &id).await;
    assert!(
        waiting(&view).contains(&DUTY.to_string()) && !waiting(&view).contains(&FIRST.to_string()),
        "{:?}",
        waiting(&view)
    );
}

#[tokio::test]
async fn what_waits_is_decided_before_the_incident_is_replanned() {
    let (house, id) = opened().await;
    *house.book.write().expect("the book") = Arc::new(without());
    // nobody has replanned the incident yet, and somebody files
    let filing = FilingRequest { at: Some(at("2026-03-28T00:50:00Z")), ..FilingRequest::default() };
    let id_of = format!("{id}~{DUTY}");
    let changed = house.file(&caller(Role::Responder), &id_of, filing, None, at(NOW)).await.expect("files");
    assert!(changed.diff.added.is_empty(), "the packs changed, not the facts");
    let kinds = kinds(&house, &id).await;
    assert!(kinds.contains(&"rules.changed".to_string()) && kinds.contains(&"notification.filed".to_string()));
    assert_eq!(notice(&incident(&house, &id).await).law.standing, "discharged");
}

#[tokio::test]
async fn a_rulebook_that_cannot_be_recorded_does_not_come_into_force() {
    let house = house(FaultyStore::new(MemoryStore::new("test.example/log")), settings(Vec::new()));
    let before = house.book().sha256;
    house.store.fail_next(Fault::Before);
    assert!(house.activate(hours(48), at(NOW)).await.is_err());
    assert_eq!(house.book().sha256, before);
    house.activate(hours(48), at(NOW)).await.expect("activates");
    assert_ne!(house.book().sha256, before);
}

#[tokio::test]
async fn an_incident_that_fails_does_not_keep_the_others_back() {
    let house = house(FaultyStore::new(MemoryStore::new("test.example/log")), settings(Vec::new()));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let report = r#"{"title": "x", "entity": "acme-fr", "facts":
            {"personal_data": true, "risk": "risk", "times.aware": "2026-03-27T15:20:00Z"}}"#;
        ids.push(house.report(&caller(Role::Responder), report, None, at(NOW)).await.expect("opens").incident.id);
    }
    // the first write records the rulebook, the second is the newest incident
    house.store.fail(house.store.writes() + 1, Fault::Before);
    let replanned = house.activate(hours(48), at(NOW)).await.expect("activates");
    let failed: Vec<&str> = replanned.failed.iter().map(|(id, _)| id.0.as_str()).collect();
    assert_eq!((replanned.incidents, failed.len()), (2, 1), "{failed:?}");
    assert!(ids.iter().any(|id| id == failed[0]));
    // whoever reads it sees the dates of the packs in force all the same, and the next run writes them down
    let view = incident(&house, failed[0]).await;
    assert_eq!(notice(&view).law.conservative_due.as_deref(), Some("2026-03-29T15:20:00Z"));
    let again = house.replan_stale(at(NOW)).await.expect("replans");
    assert_eq!((again.incidents, again.failed.len()), (1, 0));
}
