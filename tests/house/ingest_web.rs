//! Other tools' webhooks through the real router: who may send, what opens an incident, what adds to one, what is left.

use crate::support;
use crate::web::{Reply, Server};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use breachclock::config;
use breachclock::workflow::{Role, Settings};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The instant of the server's clock, in seconds.
const NOW: i64 = 1_774_660_410;
const SECRET: &str = "correct horse battery";

fn sample(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ingest").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The settings that a configuration with these `[[ingest]]` gives.
fn configured(ingest: &str) -> Settings {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("breachclock.toml");
    let entities = "[[entity]]\nid = \"acme-fr\"\n[[entity]]\nid = \"acme-de\"\n";
    std::fs::write(&file, format!("[data]\ndir = \"data\"\n{entities}{ingest}")).expect("written");
    let config = config::load(&file).unwrap_or_else(|faults| panic!("{faults:?}"));
    Settings { ingest: config.ingest, ..support::settings(Vec::new()) }
}

async fn server(ingest: &str) -> Server {
    Server::with(configured(ingest)).await
}

async fn deliver(server: &Server, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    server.send("POST", &format!("/api/v1/ingest/{path}"), headers, body).await
}

async fn by_token(server: &Server, path: &str, body: &[u8]) -> Value {
    let bearer = format!("Bearer {}", server.token(Role::Reporter));
    let reply = deliver(server, path, &[("authorization", &bearer)], body).await;
    let answer = reply.json();
    let opened = answer["items"].as_array().expect("items").iter().any(|item| item["outcome"] == "opened");
    assert_eq!(reply.status, if opened { 201 } else { 200 }, "{}", reply.body);
    answer["items"].clone()
}

async fn incidents(server: &Server) -> Vec<Value> {
    let reply = server.get(Role::Auditor, "/api/v1/incidents").await;
    reply.json()["items"].as_array().expect("items").clone()
}

async fn attachments(server: &Server, incident: &str) -> Vec<Value> {
    let reply = server.get(Role::Auditor, &format!("/api/v1/incidents/{incident}/attachments")).await;
    reply.json()["items"].as_array().expect("items").clone()
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn every_format_opens_an_incident_once() {
    let server = server("").await;
    let samples = [
        ("ocsf", "ocsf/incident-created.json"),
        ("thehive", "thehive/case-created.json"),
        ("iris", "iris/case-created.json"),
        ("pagerduty", "pagerduty/incident-triggered.json"),
        ("jira", "jira/issue-created.json"),
        ("alertmanager", "alertmanager/firing.json"),
    ];
    let generic = json!({ "title": "Files on a public share", "reference": "T-1" }).to_string().into_bytes();
    let mut known = 0;
    for (format, body) in samples.iter().map(|(f, name)| (*f, sample(name))).chain([("generic", generic)]) {
        let first = by_token(&server, format, &body).await;
        let id = first[0]["incident"].as_str().expect("an incident").to_string();
        assert_eq!(first[0]["outcome"], "opened", "{format}: {first}");
        assert!(first[0]["evidence"]["log_index"].is_u64(), "{format}: {first}");
        let again = by_token(&server, format, &body).await;
        assert_eq!((&again[0]["outcome"], &again[0]["incident"]), (&json!("known"), &json!(id)), "{format}: {again}");
        known += 1;
        assert_eq!(incidents(&server).await.len(), known, "{format}");

        let incident = server.get(Role::Auditor, &format!("/api/v1/incidents/{id}")).await.json();
        assert_eq!(incident["source"], json!(format), "{incident}");
        let facts = incident["facts"].to_string();
        assert!(!facts.contains("times.aware"), "{format}: {facts}");
        assert_eq!(facts.contains("times.detected"), format != "generic", "{format}: {facts}");
        // the bytes as they came, once, and provable
        let files = attachments(&server, &id).await;
        let digest = hex(&Sha256::digest(&body));
        assert_eq!(files.len(), 1, "{format}: {files:?}");
        assert_eq!((&files[0]["sha256"], &files[0]["tool"]), (&json!(digest), &json!(format)), "{files:?}");
        let path = format!("/api/v1/incidents/{id}/attachments/{}", files[0]["entry"]);
        assert_eq!(server.get(Role::Auditor, &path).await.body.as_bytes(), String::from_utf8_lossy(&body).as_bytes());
    }
}

#[tokio::test]
async fn later_news_is_added_and_overrules_nobody() {
    let server = server("").await;
    let opened = by_token(&server, "ocsf", &sample("ocsf/incident-created.json")).await;
    let id = opened[0]["incident"].as_str().expect("an incident").to_string();
    let update = sample("ocsf/incident-updated-personal-data.json");
    let updated = by_token(&server, "ocsf", &update).await;
    assert_eq!((&updated[0]["outcome"], &updated[0]["incident"]), (&json!("updated"), &json!(id)), "{updated}");
    assert_eq!(updated[0]["facts"], json!(["personal_data"]), "what is the same is not said again");
    assert_eq!(by_token(&server, "ocsf", &update).await[0]["outcome"], "known");
    assert_eq!(attachments(&server, &id).await.len(), 2);

    // a person knows better, and the tool says its own again
    let facts = r#"{"personal_data": false, "times.detected": "2026-03-27T18:00:00+01:00"}"#;
    let reply = server.post(Role::Responder, &format!("/api/v1/incidents/{id}/facts"), &[], facts).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let mut third: Value = serde_json::from_slice(&update).expect("JSON");
    third["metadata"]["uid"] = json!("evt-0003");
    let third = by_token(&server, "ocsf", third.to_string().as_bytes()).await;
    assert_eq!((&third[0]["outcome"], &third[0]["facts"]), (&json!("updated"), &json!([])), "{third}");
    let incident = server.get(Role::Auditor, &format!("/api/v1/incidents/{id}")).await.json();
    let facts = incident["facts"].to_string();
    assert!(facts.contains("false") && facts.contains("2026-03-27T17:00:00Z"), "{facts}");
    assert_eq!(incidents(&server).await.len(), 1);
}

#[tokio::test]
async fn an_instant_of_a_tool_only_moves_earlier() {
    let server = server("").await;
    let case: Value = serde_json::from_slice(&sample("thehive/case-created.json")).expect("JSON");
    let dated = |request: &str, at: i64| {
        let mut case = case.clone();
        case["requestId"] = json!(request);
        case["object"]["_createdAt"] = json!(at);
        case.to_string().into_bytes()
    };
    let noon = 1_774_612_800_000;
    let first = by_token(&server, "thehive", &dated("a", noon)).await;
    assert_eq!(first[0]["outcome"], "opened");
    let later = by_token(&server, "thehive", &dated("b", noon + 3_600_000)).await;
    assert_eq!(later[0]["facts"], json!([]), "a later date would give more time: {later}");
    let earlier = by_token(&server, "thehive", &dated("c", noon - 3_600_000)).await;
    assert_eq!(earlier[0]["facts"], json!(["times.detected"]), "{earlier}");
}

#[tokio::test]
async fn what_does_not_qualify_is_answered_and_leaves_nothing() {
    let config = "[[ingest]]\nid = \"pager\"\nformat = \"pagerduty\"\nopens = \"nothing\"\n\
                  [[ingest]]\nid = \"board\"\nformat = \"jira\"\nlabels = [\"privacy\"]\n";
    let server = server(config).await;
    let cases = [
        ("ocsf", "ocsf/detection-low.json", "severity is low"),
        ("ocsf", "ocsf/incident-false-positive.json", "a false positive"),
        ("thehive", "thehive/observable-created.json", "observable"),
        ("thehive", "thehive/case-deleted.json", "opens nothing"),
        ("pagerduty", "pagerduty/ping.json", "about no incident"),
        ("pagerduty", "pagerduty/incident-triggered.json", "`pager` opens nothing"),
        ("jira", "jira/issue-created.json", "none of the labels privacy"),
        ("jira", "jira/comment-created.json", "opens nothing by itself"),
    ];
    let size = || server.get(Role::Auditor, "/api/v1/status");
    let before = size().await.json()["log"]["size"].clone();
    for (format, name, words) in cases {
        let answer = by_token(&server, format, &sample(name)).await;
        assert_eq!(answer[0]["outcome"], "left", "{name}: {answer}");
        assert!(answer[0]["because"].as_str().expect("a sentence").contains(words), "{name}: {answer}");
    }
    assert_eq!(incidents(&server).await.len(), 0);
    assert_eq!(size().await.json()["log"]["size"], before);
}

#[tokio::test]
async fn a_tools_suspicion_counts_more_than_its_severity() {
    let server = server("[[ingest]]\nid = \"xdr\"\nformat = \"ocsf\"\nmin_severity = \"critical\"\n").await;
    let suspected = by_token(&server, "ocsf", &sample("ocsf/incident-created.json")).await;
    assert_eq!(suspected[0]["outcome"], "opened", "{suspected}");
    let mut plain: Value = serde_json::from_slice(&sample("ocsf/incident-created.json")).expect("JSON");
    plain["is_suspected_breach"] = json!(false);
    plain["metadata"]["correlation_uid"] = json!("another");
    let plain = by_token(&server, "ocsf", plain.to_string().as_bytes()).await;
    assert_eq!(plain[0]["outcome"], "left", "{plain}");
}

#[tokio::test]
async fn an_alert_that_fires_again_after_closing_is_another_incident() {
    let server = server("").await;
    let first = by_token(&server, "alertmanager", &sample("alertmanager/firing.json")).await;
    let id = first[0]["incident"].as_str().expect("an incident").to_string();
    let resolved = by_token(&server, "alertmanager", &sample("alertmanager/resolved.json")).await;
    assert_eq!((&resolved[0]["outcome"], &resolved[0]["incident"]), (&json!("updated"), &json!(id)), "{resolved}");
    let again = by_token(&server, "alertmanager", &sample("alertmanager/fires-again.json")).await;
    assert_eq!((&again[0]["outcome"], &again[0]["incident"]), (&json!("updated"), &json!(id)), "it is open: {again}");
    let denied = r#"{"personal_data": false}"#;
    server.post(Role::Responder, &format!("/api/v1/incidents/{id}/facts"), &[], denied).await;
    let closed = server.post(Role::Admin, &format!("/api/v1/incidents/{id}/close"), &[], "").await;
    assert_eq!(closed.status, 200, "{}", closed.body);
    let fires = |at: &str| {
        let mut body: Value = serde_json::from_slice(&sample("alertmanager/firing.json")).expect("JSON");
        body["alerts"][0]["startsAt"] = json!(at);
        body.to_string().into_bytes()
    };
    // the clock of the server stands at the closing; the alert began after it
    let third = by_token(&server, "alertmanager", &fires("2026-03-28T01:14:00Z")).await;
    assert_eq!(
        (&third[0]["outcome"], &third[0]["reference"]),
        (&json!("opened"), &json!("c6cf4c2f1b0b3a11#2")),
        "{third}"
    );
    let same = by_token(&server, "alertmanager", &fires("2026-03-28T01:14:00Z")).await;
    assert_eq!((&same[0]["outcome"], &same[0]["incident"]), (&json!("known"), &third[0]["incident"]), "{same}");
    assert_eq!(incidents(&server).await.len(), 2);
}

#[tokio::test]
async fn each_alert_of_a_group_is_a_case_and_keeps_only_its_own_bytes() {
    let server = server("[[ingest]]\nid = \"am\"\nformat = \"alertmanager\"\nmin_severity = \"informational\"\n").await;
    let answer = by_token(&server, "alertmanager", &sample("alertmanager/two-alerts.json")).await;
    assert_eq!((&answer[0]["outcome"], &answer[1]["outcome"]), (&json!("opened"), &json!("opened")), "{answer}");
    let id = answer[1]["incident"].as_str().expect("an incident");
    let file = &attachments(&server, id).await[0];
    let path = format!("/api/v1/incidents/{id}/attachments/{}", file["entry"]);
    let kept = server.get(Role::Auditor, &path).await.json();
    assert_eq!(kept["fingerprint"], "00aa", "{kept}");
}

#[tokio::test]
async fn the_source_says_whose_it_is_and_what_holds() {
    let config = r#"
[[ingest]]
id = "soc"
format = "thehive"
entity = "acme-fr"
entities = { "~4144" = "acme-fr", "~9" = "acme-de" }
detected_is_aware = true
map = { "affected.total" = "/object/customFields/0/value" }
assume = { personal_data = true }
"#;
    let server = server(config).await;
    let answer = by_token(&server, "thehive", &sample("thehive/case-created.json")).await;
    let id = answer[0]["incident"].as_str().expect("an incident");
    let mut facts: Vec<&str> = answer[0]["facts"].as_array().expect("facts").iter().filter_map(Value::as_str).collect();
    facts.sort_unstable();
    assert_eq!(facts, ["affected.total", "personal_data", "times.aware", "times.detected"]);
    let incident = server.get(Role::Auditor, &format!("/api/v1/incidents/{id}")).await.json();
    assert_eq!((&incident["entity"]["id"], &incident["source"]), (&json!("acme-fr"), &json!("soc")), "{incident}");
    let running = incident["obligations"].as_array().expect("obligations").iter();
    assert!(running.filter(|o| o["standing"] == "running").count() > 0, "aware, and personal data: {incident}");
}

#[tokio::test]
async fn a_sender_proves_itself_by_what_was_agreed() {
    let config = format!(
        r#"
[[ingest]]
id = "pager"
format = "pagerduty"
secret = ["an older secret of theirs", "{SECRET}"]
[[ingest]]
id = "board"
format = "jira"
secret = "{SECRET}"
[[ingest]]
id = "am"
format = "alertmanager"
username = "alertmanager"
secret = "{SECRET}"
[[ingest]]
id = "soc"
format = "thehive"
secret = "{SECRET}"
[[ingest]]
id = "iris"
format = "iris"
header = "X-Webhook-Secret"
secret = "{SECRET}"
[[ingest]]
id = "other"
format = "generic"
proof = "standard-webhooks"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"#
    );
    let server = server(&config).await;
    let generic = br#"{"title":"x","reference":"T-9"}"#.to_vec();
    let key = BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
    let standard = |at: i64| {
        let signed = [format!("msg_1.{at}.").as_bytes(), &generic].concat();
        vec![
            ("webhook-id", "msg_1".to_string()),
            ("webhook-timestamp", at.to_string()),
            ("webhook-signature", format!("v1,AAAA v1,{}", BASE64.encode(hmac(&key, &signed)))),
        ]
    };
    let pager = sample("pagerduty/incident-triggered.json");
    let board = sample("jira/issue-created.json");
    let signed = |body: &[u8]| hex(&hmac(SECRET.as_bytes(), body));
    let basic = |user: &str| format!("Basic {}", BASE64.encode(format!("{user}:{SECRET}")));
    type Headers = Vec<(&'static str, String)>;
    let cases: Vec<(&str, Vec<u8>, Headers, Headers)> = vec![
        (
            "pagerduty",
            pager.clone(),
            vec![("x-pagerduty-signature", format!("v1={},v1={}", "0".repeat(64), signed(&pager)))],
            vec![("x-pagerduty-signature", format!("v1={}", signed(b"other")))],
        ),
        (
            "jira",
            board.clone(),
            vec![("x-hub-signature", format!("sha256={}", signed(&board)))],
            vec![("x-hub-signature", signed(&board))],
        ),
        (
            "alertmanager",
            sample("alertmanager/firing.json"),
            vec![("authorization", basic("alertmanager"))],
            vec![("authorization", basic("prometheus"))],
        ),
        (
            "thehive",
            sample("thehive/case-created.json"),
            vec![("authorization", format!("Bearer {SECRET}"))],
            vec![("authorization", "Bearer correct horse batterz".into())],
        ),
        (
            "iris",
            sample("iris/case-created.json"),
            vec![("x-webhook-secret", SECRET.into())],
            vec![("x-webhook-secret", String::new())],
        ),
        ("generic", generic.clone(), standard(NOW - 200), standard(NOW - 400)),
    ];
    for (format, body, _, wrong) in &cases {
        for headers in [wrong, &Vec::new()] {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let reply = deliver(&server, format, &headers, body).await;
            assert_eq!(reply.status, 401, "{format}: {}", reply.body);
            assert_eq!(reply.json()["type"], "urn:breachclock:problem:unauthorized");
        }
    }
    assert_eq!(incidents(&server).await.len(), 0);
    for (format, body, right, _) in &cases {
        let headers: Vec<(&str, &str)> = right.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let reply = deliver(&server, format, &headers, body).await;
        assert_eq!(reply.status, 201, "{format}: {}", reply.body);
        // the body under another signature is nobody's
        let reply = deliver(&server, format, &headers, &[body, &b" "[..]].concat()).await;
        let signs = matches!(*format, "pagerduty" | "jira" | "generic");
        assert_eq!(reply.status, if signs { 401 } else { 200 }, "{format}: {}", reply.body);
    }
    // what proves one format proves no other
    let stolen = [("x-hub-signature", format!("sha256={}", signed(&pager)))];
    let stolen: Vec<(&str, &str)> = stolen.iter().map(|(n, v)| (*n, v.as_str())).collect();
    assert_eq!(deliver(&server, "pagerduty", &stolen, &pager).await.status, 401);
}

#[tokio::test]
async fn refusals_say_what_and_where_and_store_nothing() {
    let server = server("").await;
    let bearer = |role| format!("Bearer {}", server.token(role));
    let reporter = bearer(Role::Reporter);
    let headers = [("authorization", reporter.as_str())];
    let unknown = deliver(&server, "servicenow", &headers, b"{}").await;
    assert_eq!(unknown.status, 404);
    for word in ["servicenow", "ocsf", "thehive", "iris", "pagerduty", "jira", "alertmanager", "generic"] {
        assert!(unknown.json()["detail"].as_str().expect("words").contains(&format!("`{word}`")), "{}", unknown.body);
    }
    for (format, name, status, pointer) in [
        ("iris", "iris/hostile-not-json.json", 400, ""),
        ("generic", "generic/hostile-not-utf8.json", 400, ""),
        ("generic", "generic/hostile-empty.json", 400, ""),
        ("jira", "jira/hostile-deep.json", 400, ""),
        ("pagerduty", "pagerduty/hostile-no-id.json", 422, "/event/data/id"),
        ("ocsf", "ocsf/hostile-no-uid.json", 422, "/finding_info/uid"),
        ("thehive", "thehive/hostile-severity-text.json", 422, "/object/title"),
        // the first alert is good, and is not taken without the second
        ("alertmanager", "alertmanager/hostile-no-fingerprint.json", 422, "/alerts/1/fingerprint"),
    ] {
        let reply = deliver(&server, format, &headers, &sample(name)).await;
        assert_eq!(reply.status, status, "{name}: {}", reply.body);
        let problem = reply.json();
        let pointers: Vec<&str> =
            problem["errors"].as_array().expect("errors").iter().filter_map(|e| e["pointer"].as_str()).collect();
        assert!(pointers.contains(&pointer), "{name}: {pointers:?}");
    }
    let auditor = bearer(Role::Auditor);
    let good = sample("ocsf/incident-created.json");
    assert_eq!(deliver(&server, "ocsf", &[("authorization", &auditor)], &good).await.status, 403);
    assert_eq!(deliver(&server, "ocsf?source=nobody", &headers, &good).await.status, 404);
    assert_eq!(deliver(&server, "ocsf?sorce=x", &headers, &good).await.status, 400);
    assert_eq!(incidents(&server).await.len(), 0);
}

#[tokio::test]
async fn a_key_of_the_sender_is_kept_to_one_body() {
    let server = server("").await;
    let bearer = format!("Bearer {}", server.token(Role::Reporter));
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "k1")];
    let first = deliver(&server, "generic", &headers, br#"{"reference":"T-1"}"#).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let again = deliver(&server, "generic", &headers, br#"{"reference":"T-1"}"#).await;
    assert_eq!((again.status, &again.json()["items"][0]["outcome"]), (200, &json!("known")));
    let other = deliver(&server, "generic", &headers, br#"{"reference":"T-2"}"#).await;
    assert_eq!((other.status, &other.json()["type"]), (422, &json!("urn:breachclock:problem:key-reused")));
}

#[tokio::test]
async fn deliveries_at_once_open_one_incident() {
    let server = server("").await;
    let case: Value = serde_json::from_slice(&sample("thehive/case-created.json")).expect("JSON");
    let bodies: Vec<Vec<u8>> = (0..6)
        .map(|n| {
            let mut case = case.clone();
            case["requestId"] = json!(format!("r{n}"));
            case.to_string().into_bytes()
        })
        .collect();
    let answers = futures_util::future::join_all(bodies.iter().map(|body| by_token(&server, "thehive", body))).await;
    assert_eq!(answers.iter().filter(|answer| answer[0]["outcome"] == "opened").count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer[0]["outcome"] == "updated").count(), 5, "{answers:?}");
    let found = incidents(&server).await;
    assert_eq!(found.len(), 1);
    assert_eq!(attachments(&server, found[0]["id"].as_str().expect("an id")).await.len(), 6, "none is lost");
}

/// The example's `[[ingest]]` is commented out; without the marks it is what `config check` accepts.
#[tokio::test]
async fn the_examples_commented_source_is_right() {
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/breachclock.example.toml");
    let text = std::fs::read_to_string(example).expect("the example");
    let begin = text.find("# [[ingest]]").expect("an example");
    let end = text[begin..].find("\n\n").expect("an end") + begin;
    let block = text[begin..end].lines().filter_map(|line| line.strip_prefix("# ")).collect::<Vec<_>>().join("\n");
    let block = block.replace("credential:thehive-secret", SECRET);
    assert!(
        ["map", "assume", "labels", "entities"].iter().all(|key| block.contains(&format!("\n{key} = "))),
        "{block}"
    );
    let server = server(&block).await;
    let headers = [("x-webhook-secret", SECRET)];
    let reply = deliver(&server, "thehive", &headers, &sample("thehive/case-created.json")).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert_eq!(reply.json()["items"][0]["left_out"], json!([]), "{}", reply.body);
}
