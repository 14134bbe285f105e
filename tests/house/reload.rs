//! SIGHUP reads the rule packs again: a fault keeps the old ones, a good change replans open incidents.

use crate::support::daemon::{free_port, start, token, write_config};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::Duration;

const PACK: &str = r#"[instrument]
id = "fr-house"
title = "House rules"
jurisdiction = "FR"
reach = "established"
binding = "contract"
[[role]]
id = "house-owner"
question = "Does the entity own the house?"
[[duty]]
id = "fr-house-1"
title = "Tell the board"
roles = ["controller"]
recipient = "other"
recipient_name = "the board"
stage = "single"
starts = "times.aware"
citation = "s. 1"
status = "in force"
confidence = "high"
[[duty.period]]
hours = 24
convention = "elapsed-hours"
"#;

async fn get(url: &str, token: &str) -> Value {
    let client = reqwest::Client::new();
    client.get(url).bearer_auth(token).send().await.expect("answers").json().await.expect("JSON")
}

#[tokio::test]
async fn a_hangup_reloads_the_rule_packs_and_a_fault_keeps_the_old_ones() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().expect("a folder");
    let (port, pack) = (free_port(), dir.path().join("packs/fr/house.toml"));
    fs::create_dir_all(pack.parent().expect("a folder")).expect("made");
    fs::write(&pack, PACK).expect("written");
    let extra = "[rules]\ndir = \"packs\"\n[[entity]]\nid = \"house\"\nroles = [\"house-owner\"]\n";
    let config = write_config(dir.path(), port, extra);
    let token = token(&config);
    let mut daemon = start(&config, port);
    let hangup =
        |pid: u32| assert!(Command::new("kill").args(["-HUP", &pid.to_string()]).status().expect("kill").success());

    let client = reqwest::Client::new();
    let report = json!({ "title": "x", "entity": "acme-fr", "facts": { "times.aware": "2026-01-05T10:00:00Z" } });
    let answer: Value = client
        .post(format!("{}/api/v1/incidents", daemon.url))
        .bearer_auth(&token)
        .json(&report)
        .send()
        .await
        .expect("answers")
        .json()
        .await
        .expect("JSON");
    let id = answer["incident"]["id"].as_str().expect("an id").to_string();
    let obligation = format!("{}/api/v1/obligations/{id}~fr-house-1@FR", daemon.url);
    assert_eq!(get(&obligation, &token).await["due"], "2026-01-06T10:00:00Z");
    let before = get(&format!("{}/api/v1/status", daemon.url), &token).await["rulebook"]["sha256"].clone();

    for (broken, why) in [
        (PACK.replace("elapsed-hours", "elapsed-huors"), "a broken pack was put into force"),
        (PACK.replace("house-owner", "flat-owner"), "packs were put into force that lack a role of the configuration"),
    ] {
        fs::write(&pack, broken).expect("written");
        hangup(daemon.child.id());
        tokio::time::sleep(Duration::from_secs(3)).await;
        let status = get(&format!("{}/api/v1/status", daemon.url), &token).await;
        assert_eq!(status["rulebook"]["sha256"], before, "{why}");
    }

    fs::write(&pack, PACK.replace("hours = 24", "hours = 12")).expect("written");
    hangup(daemon.child.id());
    let mut due = Value::Null;
    for _ in 0..100 {
        due = get(&obligation, &token).await["due"].clone();
        if due == "2026-01-05T22:00:00Z" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(due, "2026-01-05T22:00:00Z");
    // the old derivation stays, the change is an entry of its own
    let mut kinds: Vec<String> = Vec::new();
    for _ in 0..50 {
        let entries = get(&format!("{}/api/v1/incidents/{id}/evidence", daemon.url), &token).await;
        let list = entries.as_array().or_else(|| entries["items"].as_array()).expect("entries").clone();
        kinds = list.iter().filter_map(|e| e["type"].as_str()).map(str::to_string).collect();
        if kinds.iter().any(|k| k == "rules.changed") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(kinds.iter().filter(|k| *k == "deadline.computed").count(), 2, "{kinds:?}");
    assert!(kinds.iter().any(|k| k == "rules.changed"), "{kinds:?}");
    daemon.child.kill().expect("killed");
    daemon.child.wait().expect("ended");
}
