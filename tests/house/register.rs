//! The register of breaches and its numbers: who may have it, what stands in it, and that making one is recorded.

use crate::support::at;
use crate::web::Server;
use breachclock::evidence::register::statistics::{OnTime, Spread, statistics};
use breachclock::evidence::register::{Breach, NotNotified, Owed, OwedTimes, Times};
use breachclock::store::Store;
use breachclock::time::Timestamp;
use breachclock::workflow::{Caller, RegisterFormat, RegisterRequest, Role};
use serde_json::{Value, json};
use std::io::Read;

fn hour(n: Option<&toml::Value>) -> Option<Timestamp> {
    let n = n.and_then(toml::Value::as_integer).filter(|n| *n >= 0)?;
    Some(at("2026-01-01T00:00:00Z") + chrono::TimeDelta::hours(n))
}

fn list(value: &toml::Value) -> Vec<i64> {
    value.as_array().expect("a list").iter().map(|n| n.as_integer().expect("a number")).collect()
}

fn spread(wanted: &toml::Value) -> Spread {
    let wanted = list(wanted);
    let seconds = |at: usize| wanted.get(at).map(|hours| hours * 3600);
    Spread { n: wanted[0] as u64, median_seconds: seconds(1), p90_seconds: seconds(2) }
}

fn on_time(wanted: &toml::Value, rate: Option<&toml::Value>) -> OnTime {
    let n: Vec<u64> = list(wanted).into_iter().map(|n| n as u64).collect();
    OnTime { obligations: n[0], on_time: n[1], late: n[2], missed: n[3], rate: rate.and_then(toml::Value::as_float) }
}

#[test]
fn numbers_of_the_vectors() {
    let text = include_str!("../vectors/statistics.toml");
    let file: toml::Table = toml::from_str(text).expect("TOML");
    let cases = file["case"].as_array().expect("cases");
    assert!(cases.len() >= 4);
    for case in cases {
        let name = case["name"].as_str().expect("a name");
        let breaches: Vec<Breach> = case["breach"].as_array().expect("breaches").iter().map(breach).collect();
        let found = statistics(&breaches, hour(case.get("now")).expect("now"));
        assert_eq!(found.on_time, on_time(&case["on_time"], case.get("rate")), "{name}");
        assert_eq!(found.time_to_know, spread(&case["know"]), "{name}: to know");
        assert_eq!(found.time_to_decide, spread(&case["decide"]), "{name}: to decide");
        assert_eq!(found.time_to_notify, spread(&case["notify"]), "{name}: to notify");
        let decided = case.get("not_notified").and_then(toml::Value::as_integer).unwrap_or_default();
        assert_eq!(found.not_notified, decided as u64, "{name}");
        for (place, wanted) in
            found.by_jurisdiction.iter().zip(case.get("place").and_then(|p| p.as_array()).into_iter().flatten())
        {
            assert_eq!(Some(place.jurisdiction.as_str()), wanted["jurisdiction"].as_str(), "{name}");
            assert_eq!(
                place.on_time,
                on_time(&wanted["on_time"], wanted.get("rate")),
                "{name}: {}",
                place.jurisdiction
            );
            assert_eq!(place.time_to_notify, spread(&wanted["notify"]), "{name}: {}", place.jurisdiction);
        }
        if let Some(places) = case.get("place").and_then(|p| p.as_array()) {
            assert_eq!(found.by_jurisdiction.len(), places.len(), "{name}");
        }
    }
}

fn breach(of: &toml::Value) -> Breach {
    let owed = |row: &toml::Value| {
        let row = row.as_array().expect("a row");
        let standing = row[4].as_str().expect("a standing");
        let waived = (standing == "waived").then(|| NotNotified { state: "approved", ..NotNotified::default() });
        Owed {
            jurisdiction: row[0].as_str().expect("a place").to_string(),
            not_notified: waived,
            times: OwedTimes {
                started: hour(row.get(1)),
                due: hour(row.get(2)),
                filed: hour(row.get(3)),
                running: standing == "running",
            },
            ..Owed::default()
        }
    };
    Breach {
        times: Times {
            occurred: hour(of.get("occurred")),
            known: hour(of.get("known")),
            decided: hour(of.get("decided")),
        },
        obligations: of.get("owed").and_then(|o| o.as_array()).into_iter().flatten().map(owed).collect(),
        ..Breach::default()
    }
}

/// Reported, with one duty filed on time and one decided against.
async fn written() -> (Server, String) {
    let server = Server::start().await;
    let (incident, id) = server.breach("=HYPERLINK(\"http://evil\")").await;
    let told = json!({
        "record.what_happened": "A list was sent to the wrong address.",
        "record.effects": "None are known.",
        "record.remedial_action": "-1 mail recalled, rules for sending changed.",
        "times.occurred_from": "2026-03-27T10:20:00+01:00",
        "data": ["name", "contact"],
    });
    let facts =
        server.post(Role::Reporter, &format!("/api/v1/incidents/{incident}/facts"), &[], &told.to_string()).await;
    assert_eq!(facts.status, 200, "{}", facts.body);
    let filed = json!({ "at": "2026-03-28T02:00:00+01:00", "reference": "R-1" });
    let reply =
        server.post(Role::Responder, &format!("/api/v1/obligations/{id}/filing"), &[], &filed.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let body = server.get(Role::Auditor, &format!("/api/v1/incidents/{incident}")).await.json();
    let running = body["obligations"].as_array().expect("obligations").iter().find(|o| o["standing"] == "running");
    if let Some(other) = running.and_then(|o| o["id"].as_str()) {
        let decision = json!({ "reason": "the data were unreadable", "review_on": "2026-06-01" });
        let path = format!("/api/v1/obligations/{other}/waiver");
        let reply = server.post(Role::Approver, &path, &[], &decision.to_string()).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    (server, incident)
}

#[tokio::test]
async fn the_register_says_what_the_law_asks_and_is_recorded() {
    let (server, incident) = written().await;
    for role in [Role::Reporter, Role::Responder] {
        for path in ["/api/v1/register", "/api/v1/statistics"] {
            assert_eq!(server.get(role, path).await.status, 403, "{role:?} {path}");
        }
    }
    let before = server.house.store.head().await.expect("a head").size;
    let register = server.get(Role::Auditor, "/api/v1/register?from=2026-03-27&until=2026-03-27").await;
    assert_eq!(register.status, 200, "{}", register.body);
    let breach = &register.json()["breaches"][0];
    assert_eq!(breach["id"], incident.as_str());
    assert_eq!(breach["facts"]["description"], "A list was sent to the wrong address.");
    assert_eq!(breach["facts"]["affected_by_place"], "FR 1200");
    assert_eq!(breach["facts"]["encrypted"], "unknown");
    assert_eq!(breach["effects"]["description"], "None are known.");
    assert_eq!(breach["remedial_action"], "-1 mail recalled, rules for sending changed.");
    let filed = breach["obligations"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|o| o["reference"] == "R-1")
        .expect("it is there");
    assert_eq!(
        (filed["outcome"].as_str(), filed["filed_at"].as_str()),
        (Some("on time"), Some("2026-03-28T01:00:00Z"))
    );
    let numbers = server.get(Role::Auditor, "/api/v1/statistics").await.json();
    assert_eq!(numbers["statistics"]["on_time"]["rate"], 1.0, "{numbers}");
    assert_eq!(numbers["statistics"]["time_to_know"]["median_seconds"], 6 * 3600, "{numbers}");

    // both are entries, with what was given away
    let after = server.house.store.entries(before..before + 2).await.expect("entries");
    let read: Vec<Value> = after.iter().map(|e| serde_json::from_slice(&e.bytes).expect("JSON")).collect();
    assert_eq!(read[0]["type"], "register.exported");
    assert_eq!((&read[0]["body"]["from"], &read[0]["body"]["breaches"]), (&json!("2026-03-27"), &json!(1)));
    let sum = breachclock::evidence::hex(&breachclock::evidence::sha256(register.body.as_bytes()));
    assert_eq!(read[0]["body"]["sha256"], sum.as_str());
    assert_eq!(read[1]["type"], "statistics.exported");
}

#[tokio::test]
async fn periods_are_days_of_the_entity_and_faults_are_named() {
    let (server, _) = written().await;
    for (query, found) in [
        ("", 1),
        // known at 16:20 in Paris on the 27th
        ("?from=2026-03-28", 0),
        ("?until=2026-03-26", 0),
        ("?status=open", 1),
        ("?status=closed", 0),
        ("?status=overdue", 0),
        ("?status=all&entity=acme-fr", 1),
        ("?entity=other", 0),
    ] {
        let reply = server.get(Role::Auditor, &format!("/api/v1/register{query}")).await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.body);
        assert_eq!(reply.json()["breaches"].as_array().map(Vec::len), Some(found), "{query}");
    }
    for (query, status) in [
        ("?from=yesterday", 400),
        ("?status=late", 400),
        ("?format=docx", 400),
        ("?untill=2026-01-01", 400),
        ("?from=2026-02-01&until=2026-01-01", 422),
    ] {
        assert_eq!(server.get(Role::Auditor, &format!("/api/v1/register{query}")).await.status, status, "{query}");
    }
    // a breach that is none of personal data is none of the register's
    let none = json!({ "title": "A disk failed", "facts": { "personal_data": false } });
    assert_eq!(server.post(Role::Reporter, "/api/v1/incidents", &[], &none.to_string()).await.status, 201);
    let open = json!({ "title": "Nobody knows yet" });
    assert_eq!(server.post(Role::Reporter, "/api/v1/incidents", &[], &open.to_string()).await.status, 201);
    let all = server.get(Role::Auditor, "/api/v1/register").await.json();
    let titles: Vec<&str> =
        all["breaches"].as_array().expect("a list").iter().filter_map(|b| b["title"].as_str()).collect();
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert!(titles.contains(&"Nobody knows yet"));
}

#[tokio::test]
async fn tables_run_nothing() {
    let (server, _) = written().await;
    let table = server.get(Role::Auditor, "/api/v1/register?format=csv").await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    assert!(table.body.contains("\"'=HYPERLINK(\"\"http://evil\"\")\""), "{}", table.body);
    assert!(table.body.contains("\"'-1 mail recalled"));
    let caller = Caller { name: "auditor".into(), role: Role::Auditor, entities: Vec::new() };
    let (all, then) = (RegisterRequest::default(), at("2026-03-28T02:00:00Z"));
    let book = || server.house.register(&caller, &all, RegisterFormat::Xlsx, then);
    let (one, two) = (book().await.expect("a file"), book().await.expect("a file"));
    assert_eq!(one.bytes, two.bytes, "the same register gives the same bytes");
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(one.bytes)).expect("a workbook");
    let mut texts = String::new();
    for n in 0..zip.len() {
        let mut part = zip.by_index(n).expect("a part");
        part.read_to_string(&mut texts).expect("text");
    }
    assert!(!texts.contains("<f>"), "no cell is a formula");
    for words in ["=HYPERLINK(", "A list was sent", "Obligations", "Statistics", "on-time rate"] {
        assert!(texts.contains(words), "{words}");
    }
}

#[tokio::test]
async fn the_register_is_printed() {
    let (server, incident) = written().await;
    let page = server.get(Role::Auditor, "/api/v1/register?format=html").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{}", page.body);
    for words in [
        incident.as_str(),
        "A list was sent to the wrong address.",
        "FR 1200",
        "on time",
        "R-1",
        "1 of 1",
        "not notified",
        "the data were unreadable",
        "to be looked at again on 2026-06-01",
        // the title is text, whatever it holds
        "=HYPERLINK(&quot;http://evil&quot;)",
    ] {
        assert!(page.body.contains(words), "no `{words}` in\n{}", page.body);
    }
    let pdf = server.get(Role::Auditor, "/api/v1/register?format=pdf").await;
    if cfg!(feature = "pdf") {
        assert_eq!(pdf.status, 200);
        assert!(pdf.body.starts_with("%PDF-"));
    } else {
        assert_eq!(pdf.status, 409, "{}", pdf.body);
        assert!(pdf.body.contains("take `html` and print it"), "{}", pdf.body);
    }
}
