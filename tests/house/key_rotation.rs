//! The log key is changed: the log goes on, bundles prove that one key followed the other, and whoever trusts the first
//! one need not be told of the second.

use crate::support::tsa::{self, Server, Tsa};
use crate::support::{caller, house, settings};
use breachclock::evidence::export::seal_sums;
use breachclock::evidence::{SigningKey, Trust, VerifyReport, verify_bundle, verify_bundle_with, zipfile};
use breachclock::notify::authority::{Authority, Settings};
use breachclock::store::MemoryStore;
use breachclock::time::Timestamp;
use breachclock::workflow::anchor::Anchors;
use breachclock::workflow::export::ExportRequest;
use breachclock::workflow::{House, Role};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

type Files = BTreeMap<String, Vec<u8>>;

const VERIFIERS: [(&str, &str); 2] = [("dash", "verify.sh"), ("python3", "verify.py")];

fn clock() -> Timestamp {
    breachclock::daemon::clock::now()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

/// The same log, opened with another key.
async fn reopened(before: House<MemoryStore>, log_key: SigningKey) -> House<MemoryStore> {
    let mut after = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    (after.store, after.anchors, after.log_key) = (before.store, before.anchors, log_key);
    after.check_log().await.expect("the newest checkpoint is signed by the key in force");
    after.key_changes = after.find_key_changes().await.expect("reads");
    after
}

fn faults(report: &VerifyReport) -> String {
    let line = |c: &breachclock::evidence::Check| format!("{}: {}", c.file.as_deref().unwrap_or(""), c.detail);
    report.checks.iter().filter(|c| !c.ok).map(line).collect::<Vec<_>>().join("\n")
}

fn unpack(files: &Files, dir: &Path) {
    let _ = std::fs::remove_dir_all(dir);
    for (name, bytes) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
}

fn run(dir: &Path, program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(arguments).current_dir(dir).output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[tokio::test]
async fn a_log_whose_key_was_changed_twice_is_verified_from_any_of_them() {
    let tsa = Arc::new(Tsa::new(tsa::P256));
    let server = Server::start(tsa.clone());
    let authority = Authority::from_settings(&Settings {
        name: "tsa".into(),
        url: server.url.clone(),
        ca_file: Some(tsa.root()),
        allow_private: true,
        plain_http: true,
    });
    let mut house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    house.anchors = Anchors::new(vec![authority.expect("usable")], 3600);
    let admin = caller(Role::Admin);
    let report = r#"{"title": "A lost disk", "entity": "acme-fr"}"#;
    let id = house.report(&admin, report, None, clock()).await.expect("reported").incident.id;
    house.anchor(clock).await.expect("the store answers");
    for next in [31, 32] {
        house.rotate_key(&key(next), clock()).await.expect("changed");
        house = reopened(house, key(next)).await;
        house.record_system("clock.unknown", breachclock::evidence::Detail::new(), clock()).await.expect("recorded");
        house.attest(clock()).await.expect("signs");
    }
    // an entry whose change was not finished counts for nothing
    house.record_system("key.rotated", breachclock::evidence::Detail::new(), clock()).await.expect("recorded");
    house.attest(clock()).await.expect("signs");
    let changes = house.find_key_changes().await.expect("reads");
    assert_eq!((changes.len(), &changes), (2, &house.key_changes));
    let (_, zip) = house.bundle(&admin, &id, &ExportRequest::of("authority"), clock()).await.expect("exported");
    let files = zipfile::read(&zip).expect("our own ZIP");
    assert_eq!(files.keys().filter(|name| name.starts_with("rotations/")).count(), 8, "{:?}", files.keys());
    assert!(files.keys().any(|name| name.starts_with("anchors/")), "a stamp from before the changes");
    let readme = String::from_utf8(files["README.txt"].clone()).expect("text");
    assert_eq!(readme.matches("The log key was changed at size").count(), 2, "{readme}");

    let outer = tempfile::tempdir().expect("a folder");
    let dir = outer.path().join("bundle");
    unpack(&files, &dir);
    let signers = String::from_utf8(files["keys/allowed_signers"].clone()).expect("text");
    // support::house starts with the key of seed 7
    for (seed, good) in [(7, true), (31, true), (32, true), (33, false)] {
        let trust = Trust { log_key: Some(key(seed).public()), ..Trust::default() };
        let report = verify_bundle_with(&files, &trust);
        assert_eq!(report.ok, good, "{seed}: {}", faults(&report));
        assert_eq!(report.earlier_log_keys.len(), 2);
        let trusted = signers.replace(&key(32).public().ssh_line(), &key(seed).public().ssh_line());
        std::fs::write(outer.path().join("signers"), trusted).expect("written");
        for (program, script) in VERIFIERS {
            let (ok, said) = run(&dir, program, &[script, "../signers"]);
            assert_eq!(ok, good, "{seed} {script}: {said}");
            assert!(!good || said.contains(&key(7).public().fingerprint()), "{script}: {said}");
        }
    }

    let folders: Vec<&str> = files.keys().filter_map(|name| name.strip_suffix("/entry.json")).collect();
    let newest = folders.last().expect("two").to_string();
    let name = |file: &str| format!("{newest}/{file}");
    type Tampering<'a> = (&'a str, String, Box<dyn Fn(&mut Files) + 'a>);
    let edit = |files: &mut Files, file: String, change: &dyn Fn(String) -> String| {
        let text = String::from_utf8(files[&file].clone()).expect("text");
        let changed = change(text.clone());
        assert_ne!(text, changed, "{file}");
        files.insert(file, changed.into_bytes());
    };
    let cases: Vec<Tampering<'_>> = vec![
        (
            "a change is left out",
            "anchors/".into(),
            Box::new(|files| {
                files.retain(|file, _| !file.starts_with(&newest));
            }),
        ),
        (
            "the older key does not sign",
            name("checkpoint.txt"),
            Box::new(|files| {
                edit(files, name("checkpoint.txt"), &|text| {
                    let lines: Vec<&str> = text.lines().collect();
                    lines[..5].join("\n") + "\n"
                });
            }),
        ),
        (
            "a stranger is named as the older key",
            name("checkpoint.txt"),
            Box::new(|files| {
                let (old, stranger) =
                    (key(31).public().to_vkey("test.example/log"), key(33).public().to_vkey("test.example/log"));
                edit(files, name("entry.json"), &|text| text.replace(&old, &stranger));
            }),
        ),
        (
            "the proof is of another entry",
            name("entry.tlog-proof"),
            Box::new(|files| {
                edit(files, name("entry.tlog-proof"), &|text| text.replacen("index ", "index 1", 1));
            }),
        ),
        (
            "the log did not grow from it",
            name("consistency.txt"),
            Box::new(|files| {
                files.insert(name("consistency.txt"), Vec::new());
            }),
        ),
        (
            "a file is missing",
            name("entry.tlog-proof"),
            Box::new(|files| drop(files.remove(&name("entry.tlog-proof")))),
        ),
    ];
    for (what, file, tamper) in &cases {
        let mut changed = files.clone();
        tamper(&mut changed);
        changed.remove("SHA256SUMS.tsr");
        seal_sums(&mut changed, &key(9));
        let report = verify_bundle(&changed);
        assert!(!report.ok && faults(&report).contains(file.as_str()), "{what}: {}", faults(&report));
        unpack(&changed, &dir);
        for (program, script) in VERIFIERS {
            let (ok, said) = run(&dir, program, &[script]);
            assert!(!ok && said.contains(file.as_str()) && !said.contains("Traceback"), "{what}: {script}: {said}");
        }
    }
}

#[test]
fn the_command_changes_the_key_of_a_stopped_daemon() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("breachclock.toml");
    std::fs::write(&config, "[data]\ndir = \"data\"\n[log]\norigin = \"test.example/log\"\n").expect("written");
    let command = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_breachclock")).args(arguments).arg("--config").arg(&config).output();
        let output = output.expect("runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let read = |words: &str| -> serde_json::Value { serde_json::from_str(words).expect("JSON") };
    let first = read(&command(&["evidence", "rotate-key", "--json"]));
    let second = read(&command(&["evidence", "rotate-key", "--json"]));
    assert_eq!(first["new"], second["old"]);
    assert_ne!(second["old"], second["new"]);
    let keys = dir.path().join("data/keys");
    assert!(!keys.join("log-next.pem").exists());
    let key = SigningKey::from_pem(&std::fs::read_to_string(keys.join("log.pem")).expect("there")).expect("a key");
    assert_eq!(second["new"], key.public().fingerprint());
    let whole = read(&command(&["evidence", "fsck", "--json"]));
    assert_eq!((&whole["ok"], &whole["entries"]), (&true.into(), &2.into()));
    // an interrupted change is taken up: the key made then is the one put into force
    let next = SigningKey::from_seed(&[77; 32]);
    std::fs::write(keys.join("log-next.pem"), next.to_pem()).expect("written");
    let third = read(&command(&["evidence", "rotate-key", "--json"]));
    assert_eq!(third["new"], next.public().fingerprint());
}
