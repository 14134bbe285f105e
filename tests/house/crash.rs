//! `kill -9` at random instants of a loaded daemon, ten times: after each restart every accepted report is there, every
//! reminder goes out, and the log verifies.

use crate::support::daemon::{BINARY, free_port, start, token, write_config};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Reports until the daemon dies. Answers the ids of accepted incidents by reference.
async fn load(url: String, token: String, round: usize, worker: usize) -> Vec<String> {
    let client = reqwest::Client::new();
    let mut accepted = Vec::new();
    for n in 0.. {
        let body = json!({
            "title": format!("incident {round}-{worker}-{n}"),
            "entity": "acme-fr",
            "source": "crash-test",
            "reference": format!("{round}-{worker}-{n}"),
            "facts": { "personal_data": true, "risk": "risk", "times.aware": "2026-01-05T10:00:00Z" },
        });
        let sent = client.post(format!("{url}/api/v1/incidents")).bearer_auth(&token).json(&body).send().await;
        match sent {
            Ok(response) if response.status().is_success() => match response.json::<Value>().await {
                Ok(answer) => accepted.push(answer["incident"]["id"].as_str().expect("an id").to_string()),
                Err(_) => return accepted,
            },
            Ok(response) => panic!("refused: {} {}", response.status(), response.text().await.unwrap_or_default()),
            // killed under our hands: this one was not accepted
            Err(_) => return accepted,
        }
    }
    accepted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_loses_nothing() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let config = write_config(dir.path(), port, "");
    let token = token(&config);
    let mut accepted: BTreeSet<String> = BTreeSet::new();
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    for round in 0..10 {
        let mut daemon = start(&config, port);
        let workers: Vec<_> = (0..4).map(|w| tokio::spawn(load(daemon.url.clone(), token.clone(), round, w))).collect();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        tokio::time::sleep(Duration::from_millis(500 + seed % 900)).await;
        daemon.child.kill().expect("killed");
        daemon.child.wait().expect("ended");
        for worker in workers {
            accepted.extend(worker.await.expect("the worker ended"));
        }
    }
    assert!(accepted.len() >= 20, "only {} reports were accepted: the test proves nothing", accepted.len());

    let mut daemon = start(&config, port);
    let client = reqwest::Client::new();
    for id in &accepted {
        let response = client
            .get(format!("{}/api/v1/incidents/{id}", daemon.url))
            .bearer_auth(&token)
            .send()
            .await
            .expect("answers");
        assert!(response.status().is_success(), "the accepted incident {id} is lost: {}", response.status());
    }
    // every incident's first reminder reaches the mailbox; a second copy is allowed, a missing one is not
    let mailed = |dir: &Path| -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(dir.join("mail/new")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            // links in the body carry the incident's id
            found.extend(accepted.iter().filter(|id| text.contains(id.as_str())).cloned());
        }
        found
    };
    let mut missing = accepted.clone();
    for _ in 0..600 {
        let found = mailed(dir.path());
        missing = accepted.difference(&found).cloned().collect();
        if missing.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(missing.is_empty(), "{} of {} incidents were never mailed: {missing:?}", missing.len(), accepted.len());
    daemon.child.kill().expect("killed");
    daemon.child.wait().expect("ended");

    let output = Command::new(BINARY).args(["evidence", "fsck", "--config"]).arg(&config).output().expect("runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
