//! Two nodes on one PostgreSQL database: real daemons share the work, hand over each message once, and go on alone when
//! one is killed; their log is one and verifies.

use crate::support::daemon::{BINARY, free_port, start, token, write_config};
use crate::support::postgres::{cluster, open};
use crate::support::{at, house, settings};
use breachclock::store::Store;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

/// Message-IDs of all mails in these folders, with how often each was written.
fn mailed(dirs: &[&Path]) -> BTreeMap<String, (usize, String)> {
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for dir in dirs {
        for entry in fs::read_dir(dir.join("mail/new")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let Some(id) = text.lines().find_map(|line| line.strip_prefix("Message-ID: ")) else { continue };
            let id = id.trim().to_string();
            found.entry(id).or_insert((0, text)).0 += 1;
        }
    }
    found
}

/// Waits until every incident was mailed about. Answers all mails.
async fn all_mailed(dirs: &[&Path], ids: &BTreeSet<String>) -> BTreeMap<String, (usize, String)> {
    for _ in 0..300 {
        let mails = mailed(dirs);
        if ids.iter().all(|id| mails.values().any(|(_, text)| text.contains(id.as_str()))) {
            return mails;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("some of {} incidents were never mailed", ids.len());
}

async fn report(url: &str, token: &str, reference: &str) -> Value {
    let body = json!({
        "title": format!("incident {reference}"), "entity": "acme-fr", "source": "nodes", "reference": reference,
        "facts": { "personal_data": true, "risk": "risk", "times.aware": "2026-01-05T10:00:00Z" },
    });
    let client = reqwest::Client::new();
    let answer =
        client.post(format!("{url}/api/v1/incidents")).bearer_auth(token).json(&body).send().await.expect("answers");
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.json().await.expect("JSON")
}

fn id_of(answer: &Value) -> String {
    answer["incident"]["id"].as_str().expect("an id").to_string()
}

async fn status(url: &str, token: &str) -> u16 {
    let client = reqwest::Client::new();
    client.get(format!("{url}/api/v1/incidents")).bearer_auth(token).send().await.expect("answers").status().as_u16()
}

fn run(args: &[&str], config: &Path) -> Output {
    Command::new(BINARY).args(args).arg("--config").arg(config).output().expect("runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_daemons_share_one_database() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (dir_a, dir_b) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let dirs = [dir_a.path(), dir_b.path()];
    let (port_a, port_b) = (free_port(), free_port());
    // the URL may be a secret of its own
    let url = cluster().database();
    fs::write(dir_b.path().join("database-url"), format!("{url}\n")).expect("writes");
    let config_a = write_config(dirs[0], port_a, &format!("[store]\nurl = \"{url}\"\n"));
    let config_b = write_config(dirs[1], port_b, "[store]\nurl = \"file:database-url\"\n");
    let first = token(&config_a);

    let stranger = run(&["token", "list"], &config_b);
    let said = String::from_utf8_lossy(&stranger.stderr).to_string();
    assert!(!stranger.status.success() && said.contains("another key; copy `keys/`"), "{said}");
    for name in ["log.pem", "export.pem", "disclosures.key"] {
        fs::copy(dirs[0].join("data/keys").join(name), dirs[1].join("data/keys").join(name)).expect("copies");
    }

    let (mut a, mut b) = (start(&config_a, port_a), start(&config_b, port_b));
    let urls = [a.url.clone(), b.url.clone()];
    // a token made while both run works at both
    let second = token(&config_b);
    let reporters = (0..4).map(|who: usize| {
        let (urls, token) = (urls.clone(), if who < 2 { first.clone() } else { second.clone() });
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for n in 0..6 {
                ids.push(id_of(&report(&urls[(who + n) % 2], &token, &format!("{who}-{n}")).await));
            }
            ids
        })
    });
    let mut ids = BTreeSet::new();
    for reporter in reporters.collect::<Vec<_>>() {
        ids.extend(reporter.await.expect("ran"));
    }
    assert_eq!(ids.len(), 24);
    // one case told to both nodes at once is one incident
    let (one, other) = tokio::join!(report(&urls[0], &first, "same"), report(&urls[1], &second, "same"));
    assert_eq!(id_of(&one), id_of(&other));
    ids.insert(id_of(&one));

    all_mailed(&dirs, &ids).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mails = mailed(&dirs);
    let twice: Vec<_> = mails.iter().filter(|(_, (times, _))| *times > 1).map(|(id, _)| id).collect();
    assert!(twice.is_empty(), "sent more than once: {twice:?}");
    assert!(dirs.iter().all(|dir| !mailed(&[*dir]).is_empty()), "one node did all the work");

    // a token revoked at the database ends at each node
    let id = second.trim_start_matches("bck_").split('_').next().expect("an id");
    let revoked =
        Command::new(BINARY).args(["token", "revoke", "--config"]).arg(&config_a).arg(id).output().expect("runs");
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    tokio::time::sleep(Duration::from_secs(6)).await;
    for url in &urls {
        assert_eq!((status(url, &second).await, status(url, &first).await), (401, 200), "{url}");
    }

    // doctor asks the database as well
    let said = String::from_utf8_lossy(&run(&["doctor"], &config_a).stdout).to_string();
    assert!(said.contains("database: `") && said.contains("answers, PostgreSQL "), "{said}");

    // one is killed, the other goes on, and the log verifies under its hands
    a.child.kill().expect("killed");
    a.child.wait().expect("ended");
    let late: BTreeSet<String> = [id_of(&report(&b.url, &first, "late").await)].into();
    all_mailed(&dirs[1..], &late).await;
    let checked = run(&["evidence", "fsck"], &config_b);
    let said = String::from_utf8_lossy(&checked.stdout).to_string();
    assert!(checked.status.success() && said.contains("the log is whole"), "{said}");

    let mut a = start(&config_a, port_a);
    let answer = reqwest::Client::new()
        .get(format!("{}/api/v1/incidents/{}", a.url, late.first().expect("one")))
        .bearer_auth(&first)
        .send()
        .await
        .expect("answers");
    assert!(answer.status().is_success(), "what one wrote the other reads");
    for daemon in [&mut a, &mut b] {
        daemon.child.kill().expect("killed");
        daemon.child.wait().expect("ended");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_notaries_sign_one_log() {
    let (url, now) = (cluster().database(), at("2026-03-02T10:00:00Z"));
    let mut notaries = Vec::new();
    for _ in 0..4 {
        let house = Arc::new(house(open(&url, "test.example/log").await.expect("opens"), settings(vec![])));
        notaries.push(tokio::spawn(async move {
            for n in 0..60 {
                house.record_system("clock.unknown", breachclock::detail! { "n": n }, now).await.expect("commits");
                house.attest(now).await.expect("another's signature is no fork");
            }
            house.check_log().await.expect("verifies");
            house.store.clone()
        }));
    }
    let mut stores = Vec::new();
    for notary in notaries {
        stores.push(notary.await.expect("ran"));
    }
    for store in stores {
        let head = store.head().await.expect("head");
        let signed = store.checkpoint().await.expect("answers").expect("signed");
        assert_eq!((head.size, signed.size, head.root()), (240, 240, signed.root));
    }
}
