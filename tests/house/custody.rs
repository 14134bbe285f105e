//! Files with their chain of custody, filings that name them, and decisions not to notify that do not last for ever.

use crate::support::{at, caller, house, run_until, schema, settings};
use crate::web::Server;
use breachclock::evidence::{verify_bundle, zipfile};
use breachclock::store::{MemoryStore, Store};
use breachclock::workflow::export::ExportRequest;
use breachclock::workflow::{Caller, House, Role, Score, WaiverRequest};
use serde_json::{Value, json};

const DUTY: &str = "eu-gdpr-33-authority@FR";

async fn entries<S: Store>(house: &House<S>, id: &str) -> Vec<Value> {
    schema::holds(&*house.store).await;
    let entries = house.store.stream(id).await.expect("a stream");
    entries.iter().map(|e| serde_json::from_slice(&e.bytes).expect("JSON")).collect()
}

fn of_kind<'e>(entries: &'e [Value], kind: &str) -> Vec<&'e Value> {
    entries.iter().filter(|e| e["type"] == kind).collect()
}

fn withholding(withhold: Vec<String>) -> ExportRequest {
    ExportRequest { withhold, ..ExportRequest::of("authority") }
}

fn auditor() -> Caller {
    Caller { name: "auditor".into(), role: Role::Auditor, entities: Vec::new() }
}

#[tokio::test]
async fn a_file_is_kept_with_who_when_how_and_who_read_it() {
    let server = Server::start().await;
    let (incident, id) = server.breach("A list went astray").await;
    let path = format!("/api/v1/incidents/{incident}/attachments");
    let described = "?name=mailbox.eml&kind=eml&by=Lea%20Fontaine&at=2026-03-28T01%3A00%3A00Z&how=exported%20from%20the%20mailbox&tool=mutt%202.2";
    let taken = server.post(Role::Reporter, &format!("{path}{described}"), &[], "From: somebody\r\n\r\nHello").await;
    assert_eq!(taken.status, 201, "{}", taken.body);
    let entry = taken.json()["entry"].as_u64().expect("a number");
    // again under one key: one file
    for status in [201, 200] {
        let again =
            server.post(Role::Reporter, &format!("{path}?kind=letter"), &[("idempotency-key", "k1")], "A letter").await;
        assert_eq!(again.status, status, "{}", again.body);
        assert_eq!(again.json()["entry"].as_u64().map(|n| n > entry), Some(true), "{}", again.body);
    }
    let listed = server.get(Role::Auditor, &path).await.json();
    let file = &listed["items"][0];
    for (key, value) in [
        ("kind", "eml"),
        ("name", "mailbox.eml"),
        ("collected_by", "Lea Fontaine"),
        ("collected_at", "2026-03-28T01:00:00Z"),
        ("how", "exported from the mailbox"),
        ("tool", "mutt 2.2"),
        ("actor", "reporter"),
        ("state", "kept"),
    ] {
        let found = file[key].as_str().unwrap_or_default();
        assert!(found == value || (key == "actor" && !found.is_empty()), "{key}: {file}");
    }
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(file["read"].as_array().map(Vec::len), Some(0));
    let read = server.get(Role::Auditor, &format!("{path}/{entry}")).await;
    assert_eq!((read.status, read.body.as_str()), (200, "From: somebody\r\n\r\nHello"));
    assert_eq!(read.header("content-type"), "application/octet-stream");
    assert!(read.header("content-disposition").contains("mailbox.eml"));
    let listed = server.get(Role::Auditor, &path).await.json();
    assert_eq!(listed["items"][0]["read"].as_array().map(Vec::len), Some(1), "{listed}");
    // nothing of it in the log in clear
    let entries = entries(&server.house, &incident).await;
    let text = of_kind(&entries, "attachment.collected")[0].to_string();
    for secret in ["mailbox", "Lea", "mutt", listed["items"][0]["sha256"].as_str().expect("a hash")] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    for (query, body, status) in [
        ("?kind=film", "x", 400),
        ("?color=red", "x", 400),
        ("?at=2027-01-01T00:00:00Z", "x", 422),
        ("", "", 422),
        (&format!("?obligation={id}x"), "x", 404),
        ("?obligation=inc-other~x@FR", "x", 422),
    ] {
        let refused = server.post(Role::Reporter, &format!("{path}{query}"), &[], body).await;
        assert_eq!(refused.status, status, "{query}: {}", refused.body);
    }
    assert_eq!(server.post(Role::Auditor, &path, &[], "x").await.status, 403);
    assert_eq!(server.get(Role::Auditor, &format!("{path}/1")).await.status, 404);
    assert_eq!(server.get(Role::Auditor, &format!("{path}/one")).await.status, 404);
}

#[tokio::test]
async fn a_filing_keeps_its_proof_and_the_bundle_carries_it() {
    let server = Server::start().await;
    let (incident, id) = server.breach("Filed with proof").await;
    let path = format!("/api/v1/incidents/{incident}/attachments");
    let receipt =
        server.post(Role::Responder, &format!("{path}?kind=receipt&obligation={id}"), &[], "received, no. 7").await;
    let receipt = receipt.json()["entry"].as_u64().expect("a number");
    let filing = format!("/api/v1/obligations/{id}/filing");
    let unknown = json!({ "documents": [receipt, 1] });
    let refused = server.post(Role::Responder, &filing, &[], &unknown.to_string()).await;
    assert_eq!((refused.status, refused.json()["errors"][0]["pointer"].as_str()), (422, Some("/documents/1")));
    let filed =
        json!({ "at": "2026-03-28T02:00:00+01:00", "reference": "R-1", "proof": "aGVsbG8=", "documents": [receipt] });
    let reply = server.post(Role::Responder, &filing, &[], &filed.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let log = entries(&server.house, &incident).await;
    let named = &of_kind(&log, "notification.filed")[0]["body"]["documents"];
    assert_eq!(named[0], receipt);
    let proof = named[1].as_u64().expect("the proof came with the filing");
    let read = server.get(Role::Auditor, &format!("{path}/{proof}")).await;
    assert_eq!((read.status, read.body.as_str()), (200, "hello"));

    let now = at("2026-03-28T02:00:00Z");
    let hello = "attachments/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    for (withhold, carried, withheld) in [(vec![], true, 0), (vec!["attachments".to_string()], false, 2)] {
        let (_, zip) =
            server.house.bundle(&auditor(), &incident, &withholding(withhold.clone()), now).await.expect("a bundle");
        let files = zipfile::read(&zip).expect("a ZIP file");
        assert_eq!(files.contains_key(hello), carried, "{withhold:?}");
        let report = verify_bundle(&files);
        let faults: Vec<_> = report.checks.iter().filter(|c| !c.ok).collect();
        assert!(report.ok, "{withhold:?}: {faults:?}");
        assert!(report.withheld >= withheld, "{withhold:?}: {}", report.withheld);
    }
}

#[tokio::test]
async fn a_file_that_was_lost_is_declared_and_the_bundle_still_verifies() {
    let server = Server::start().await;
    let (incident, _) = server.breach("Lost on disk").await;
    let path = format!("/api/v1/incidents/{incident}/attachments");
    server.post(Role::Reporter, &path, &[], "kept").await;
    let second = server.post(Role::Reporter, &path, &[], "lost").await.json();
    // what lies under its name is not what the entry names
    let log = entries(&server.house, &incident).await;
    let named =
        of_kind(&log, "attachment.collected")[1]["body"]["sha256"]["$c"].as_str().expect("a commitment").to_string();
    server.house.attachments.put(&incident, &named, b"something else").expect("put");
    let refused = server.get(Role::Auditor, &format!("{path}/{}", second["entry"])).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(refused.body.contains("missing or damaged"));
    let now = at("2026-03-28T02:00:00Z");
    let (_, zip) = server.house.bundle(&auditor(), &incident, &withholding(Vec::new()), now).await.expect("a bundle");
    let files = zipfile::read(&zip).expect("a ZIP file");
    assert_eq!(files.keys().filter(|name| name.starts_with("attachments/")).count(), 1);
    assert!(verify_bundle(&files).ok);
    let log = entries(&server.house, &incident).await;
    let declared = &of_kind(&log, "export.created")[0]["body"]["withheld"][0];
    assert_eq!(
        (declared["reason"].as_str(), declared["commitments"][0].as_str()),
        (Some("unavailable"), Some(named.as_str()))
    );
}

/// An incident whose notice is decided against, with these words.
async fn decided(ask: WaiverRequest) -> (House<MemoryStore>, String) {
    let house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    let report = r#"{"title": "x", "entity": "acme-fr", "facts":
        {"personal_data": true, "risk": "risk", "encrypted": true, "affected.FR": 20, "times.aware": "2026-03-27T15:20:00Z"}}"#;
    let now = at("2026-03-28T01:00:00Z");
    let id = house.report(&caller(Role::Responder), report, None, now).await.expect("opens").incident.id;
    house.waive(&caller(Role::Approver), &format!("{id}~{DUTY}"), ask, None, now).await.expect("decides");
    run_until(&house, now, now).await;
    (house, id)
}

fn decision() -> WaiverRequest {
    WaiverRequest {
        reason: "the data were encrypted, and the key is safe".into(),
        grounds: vec!["encrypted".into(), "risk:unlikely".into()],
        inputs: vec!["encrypted".into(), "affected.FR".into(), "key_compromised".into()],
        score: Some(Score { method: "enisa-2013".into(), value: "1.25".into(), band: Some("low".into()) }),
        reopen_when: vec!["key_compromised".into(), "risk".into()],
        review_on: Some("2026-04-20".into()),
        ..WaiverRequest::default()
    }
}

#[tokio::test]
async fn a_decision_records_what_it_rests_on() {
    let (house, id) = decided(decision()).await;
    let log = entries(&house, &id).await;
    let body = &of_kind(&log, "decision.not-to-notify")[0]["body"];
    assert_eq!(body["grounds"], json!(["encrypted", "risk:unlikely"]));
    assert_eq!(body["score"], json!({ "method": "enisa-2013", "value": "1.25", "band": "low" }));
    // what nobody has stated is no input
    let keys: Vec<&str> = body["facts"].as_array().expect("facts").iter().filter_map(|f| f["key"].as_str()).collect();
    assert_eq!(keys, ["encrypted", "affected.FR"]);
    assert_eq!(body["facts"][1]["value"], 20);
    assert!(!body.to_string().contains("key is safe"), "reasons are personal");

    let wrong = |change: fn(&mut WaiverRequest)| {
        let mut ask = decision();
        change(&mut ask);
        ask
    };
    let approver = caller(Role::Approver);
    let obligation = format!("{id}~eu-gdpr-34-individuals@FR");
    for (ask, pointer) in [
        (wrong(|ask| ask.reopen_when = vec!["rsik".into()]), "/reopen_when/0"),
        (wrong(|ask| ask.inputs = vec!["encrypted".into(), "affected.XX".into()]), "/inputs/1"),
        (wrong(|ask| ask.grounds = vec!["two words".into()]), "/grounds/0"),
        (wrong(|ask| ask.score = Some(Score { method: "a b".into(), ..Score::default() })), "/score/0"),
    ] {
        match house.waive(&approver, &obligation, ask, None, at("2026-03-28T01:00:00Z")).await {
            Err(breachclock::workflow::Trouble::Rejected(faults)) => assert_eq!(faults[0].pointer, pointer),
            Err(other) => panic!("{pointer}: {other}"),
            Ok(_) => panic!("{pointer}: taken"),
        }
    }
}

#[tokio::test]
async fn a_decision_ends_when_a_fact_it_depends_on_changes() {
    // what is asserted, and whether it ends the decision
    for (facts, ends) in [
        (r#"{"times.contained": "2026-03-28T00:30:00Z"}"#, false),
        (r#"{"risk": "risk"}"#, false),
        (r#"{"key_compromised": true}"#, true),
        (r#"{"risk": null}"#, true),
    ] {
        let (house, id) = decided(decision()).await;
        let (responder, now) = (caller(Role::Responder), at("2026-03-28T02:00:00Z"));
        let closing = house.close(&caller(Role::Approver), &id, None, None, now).await;
        house.assert_facts(&responder, &id, facts, None, None, now).await.expect("asserts");
        let view = house.incident(&responder, &id, now).await.expect("is there");
        let o = view.obligations.iter().find(|o| o.law.duty == "eu-gdpr-33-authority").expect("the notice");
        assert_eq!((o.law.standing == "waived", o.waiver.is_some()), (!ends, !ends), "{facts}: {}", o.law.standing);
        let log = entries(&house, &id).await;
        let ended = of_kind(&log, "decision.reopened");
        assert_eq!(ended.len(), usize::from(ends), "{facts}");
        if let [entry] = ended.as_slice() {
            assert_eq!(entry["body"]["obligation"], DUTY);
            let key = if facts.contains("risk") { "risk" } else { "key_compromised" };
            assert_eq!(entry["body"]["because"], json!([key]));
            assert!(view.closed_at.is_none(), "{facts}");
            let until = at("2026-03-30T16:00:00Z");
            let sent = run_until(&house, now, until).await;
            assert!(!sent.is_empty(), "{facts}: nobody is told that the clock runs again");
        } else {
            assert_eq!(view.closed_at.is_some(), closing.is_ok(), "{facts}");
        }
    }
}

#[tokio::test]
async fn a_review_is_asked_for_on_its_day_and_every_day_until_somebody_decides() {
    let (house, id) = decided(decision()).await;
    let closed = house.close(&caller(Role::Approver), &id, None, None, at("2026-03-28T02:00:00Z")).await;
    let reviews = |sent: Vec<(breachclock::time::Timestamp, breachclock::escalation::Message)>| -> Vec<String> {
        let about = sent.into_iter().filter(|(_, m)| m.reason.policy == "review");
        let mut days: Vec<String> = about.map(|(_, m)| m.reason.due_at.to_rfc3339()).collect();
        days.dedup();
        days
    };
    let sent = run_until(&house, at("2026-03-28T02:00:00Z"), at("2026-04-20T06:59:59Z")).await;
    assert_eq!(reviews(sent), [""; 0]);
    let sent = run_until(&house, at("2026-04-20T06:59:59Z"), at("2026-04-22T06:00:00Z")).await;
    let first = sent.iter().find(|(_, m)| m.reason.policy == "review").map(|(_, m)| m.clone()).expect("asked");
    assert!(first.extra.note.as_deref().is_some_and(|note| note.contains("2026-04-20")), "{first:?}");
    assert_eq!(reviews(sent), ["2026-04-20T07:00:00+00:00", "2026-04-21T07:00:00+00:00"]);
    // before the day it cannot be decided anew, on it it can
    let again = WaiverRequest { review_on: Some("2026-09-01".into()), ..decision() };
    let obligation = format!("{id}~{DUTY}");
    let now = at("2026-04-22T06:30:00Z");
    let view = house.waive(&caller(Role::Approver), &obligation, again.clone(), None, now).await.expect("decides anew");
    assert_eq!(view.waiver.and_then(|w| w.review_on).as_deref(), Some("2026-09-01"));
    assert!(house.waive(&caller(Role::Approver), &obligation, again, None, now).await.is_err(), "decided already");
    let sent = run_until(&house, now, at("2026-06-01T00:00:00Z")).await;
    assert_eq!(reviews(sent), [""; 0], "closed: {}", closed.is_ok());
    let log = entries(&house, &id).await;
    assert_eq!(of_kind(&log, "decision.not-to-notify").len(), 2);
}

#[tokio::test]
async fn a_hold_is_recorded_with_who_asked_for_it() {
    let house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    let report = r#"{"title": "x", "entity": "acme-fr", "facts": {"personal_data": true, "risk": "risk",
        "times.aware": "2026-03-27T15:20:00Z",
        "hold.law_enforcement": {"value": {"until": "2026-04-27T00:00:00Z", "by": "Inspector Roe", "written": true}}}}"#;
    let now = at("2026-03-28T01:00:00Z");
    let opened = house.report(&caller(Role::Responder), report, None, now).await.expect("opens").incident;
    // the law gives it no effect on the notice to the authority
    let notice = opened.obligations.iter().find(|o| o.law.duty == "eu-gdpr-33-authority").expect("the notice");
    assert_eq!(notice.law.due.as_deref(), Some("2026-03-30T16:00:00Z"));
    let log = entries(&house, &opened.id).await;
    let facts = log[0]["body"]["facts"].as_array().expect("facts");
    let hold = facts.iter().find(|f| f["key"] == "hold.law_enforcement").expect("the hold");
    let commitment = hold["value"]["by"]["$c"].as_str().expect("a commitment, no name");
    let disclosures = house.store.disclosures(&opened.id).await.expect("disclosures");
    let by = disclosures.iter().find(|(c, _)| breachclock::evidence::hex(&c[..]) == commitment).expect("its value").1;
    assert!(String::from_utf8_lossy(by).contains("Inspector Roe"));
}
