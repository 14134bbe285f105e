//! A bundle of a house whose log is stamped and cosigned at once: made by the house, checked by all three verifiers and by
//! the commands of its README; also after the log key was changed.

use crate::evidence_vectors::{VERIFIERS, run, text, unpack};
use crate::support::tsa::{self, Server, Tsa, authority, witnessed};
use crate::support::witness::{Mood, Witness};
use crate::support::{caller, house, settings};
use breachclock::evidence::{SigningKey, verify_bundle, zipfile};
use breachclock::store::{MemoryStore, Store};
use breachclock::time::Timestamp;
use breachclock::workflow::export::ExportRequest;
use breachclock::workflow::witness::Witnesses;
use breachclock::workflow::{House, Role};
use std::collections::BTreeMap;
use std::sync::Arc;

const ORIGIN: &str = "test.example/log";

/// Real time: the authority's is.
fn clock() -> Timestamp {
    breachclock::daemon::clock::now()
}

fn knowing(name: &str, seed: u8) -> Witness {
    let witness = Witness::start(name, seed);
    witness.trust(ORIGIN, SigningKey::from_seed(&[7; 32]).public());
    witness.set_clock(clock().timestamp());
    witness
}

async fn reported(house: &House<MemoryStore>) -> String {
    let report = r#"{"title": "A lost disk", "entity": "acme-fr"}"#;
    house.report(&caller(Role::Admin), report, None, clock()).await.expect("reported").incident.id
}

async fn size_of(house: &House<MemoryStore>) -> u64 {
    house.store.head().await.expect("reads").size
}

async fn exported(house: &House<MemoryStore>, id: &str) -> BTreeMap<String, Vec<u8>> {
    let request = ExportRequest::of("authority");
    let (_, zip) = house.bundle(&caller(Role::Admin), id, &request, clock()).await.expect("exported");
    zipfile::read(&zip).expect("our own ZIP")
}

/// All three agree that it is good; answers what `verify.sh` says.
fn verified(files: &BTreeMap<String, Vec<u8>>) -> String {
    let report = verify_bundle(files);
    let faults: Vec<_> = report.checks.iter().filter(|check| !check.ok).collect();
    assert!(report.ok, "{faults:#?}");
    let dir = unpack(files);
    let mut said = String::new();
    for (program, script) in VERIFIERS.iter().rev() {
        let output = run(dir.path(), program, &[script]);
        said = text(&output);
        assert!(output.status.success(), "{script}: {said}");
        assert_eq!(said.matches("seen   by witness").count(), report.witnessed.len(), "{script}: {said}");
    }
    said
}

#[tokio::test]
async fn stamped_and_cosigned() {
    let stamping = Arc::new(Tsa::new(tsa::P256));
    let server = Server::start(stamping.clone());
    let (one, two) = (knowing("w.example/1", 21), knowing("w.example/2", 22));
    let mut house = witnessed(vec![authority(&server, Some(&stamping), "tsa.example")]);
    house.witnesses = Witnesses::new(vec![one.client(), two.client()]);
    let id = reported(&house).await;
    house.anchor(clock).await.expect("the store answers");
    let size = size_of(&house).await;
    // the second one sees the log a little later, where nobody stamped it
    house.cosign(0, clock).await.expect("the store answers");
    house.record_system("clock.unknown", breachclock::detail! {}, clock()).await.expect("recorded");
    house.cosign(1, clock).await.expect("the store answers");
    house.rotate_key(&SigningKey::from_seed(&[31; 32]), clock()).await.expect("changed");
    house.log_key = SigningKey::from_seed(&[31; 32]);
    house.key_changes = house.find_key_changes().await.expect("reads");
    // one of them was told of the new key
    one.trust(ORIGIN, house.log_key.public());
    // a stamp names the second: the next one must be of a later one
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let files = exported(&house, &id).await;

    let note = String::from_utf8(files["checkpoint.txt"].clone()).expect("text");
    assert_eq!(note.lines().count(), 6, "three lines, the log's, and one witness: {note}");
    let early = format!("anchors/{size:010}/checkpoint.txt");
    assert!(files.contains_key(&format!("{early}.tsr")), "{:?}", files.keys());
    assert_eq!(String::from_utf8_lossy(&files[&early]).lines().count(), 6);
    let report = verify_bundle(&files);
    let seen: Vec<(&str, u64)> = report.witnessed.iter().map(|w| (w.witness.as_str(), w.entries)).collect();
    assert_eq!(seen, [("w.example/1", report.entries - 1), ("w.example/1", report.entries)]);
    let said = verified(&files);
    assert!(said.contains("log key up to size") && said.contains("existed no later than"), "{said}");

    // typed in by hand
    let readme = String::from_utf8(files["README.txt"].clone()).expect("text");
    assert_eq!(readme.matches("> ../check/stamped\n").count(), 2, "{readme}");
    let (_, steps) = readme.split_once("BY HAND\n").expect("the steps");
    let (dir, outer) = (unpack(&files), tempfile::tempdir().expect("a folder"));
    let bundle = outer.path().join("bundle");
    std::fs::rename(dir.path(), &bundle).expect("moved");
    let prepare: Vec<&str> = readme.lines().filter(|l| l.starts_with(" mkdir ") || l.starts_with(" sed ")).collect();
    std::fs::write(outer.path().join("steps"), format!("set -e\n{}\n{steps}\n", prepare.join("\n"))).expect("written");
    let output = run(&bundle, "dash", &["../steps"]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("Verification: OK").count(), 3, "{said}");
    assert_eq!(said.matches("Signature Verified Successfully").count(), 2, "{said}");
}

/// A site without a time-stamping authority: what a witness saw earlier travels along without a stamp.
#[tokio::test]
async fn cosigned_alone() {
    let witness = knowing("w.example/1", 21);
    let mut house = house(MemoryStore::new(ORIGIN), settings(Vec::new()));
    house.witnesses = Witnesses::new(vec![witness.client()]);
    let id = reported(&house).await;
    house.cosign(0, clock).await.expect("the store answers");
    let size = size_of(&house).await;
    witness.set(Mood::Down);
    let files = exported(&house, &id).await;
    assert!(files.contains_key(&format!("anchors/{size:010}/checkpoint.txt")), "{:?}", files.keys());
    assert!(!files.keys().any(|name| name.ends_with(".tsr")));
    let readme = String::from_utf8(files["README.txt"].clone()).expect("text");
    for words in
        ["That a witness saw the log at this size: none answered in time.", "no time stamp was configured", "# 3d "]
    {
        assert!(readme.contains(words), "{words}: {readme}");
    }
    let said = verified(&files);
    assert!(said.contains("(entries 1 to ") && said.contains("not provable how old entries"), "{said}");

    // it hangs: who exports does not wait for long, and what came before stays
    witness.set(Mood::Hangs);
    let started = std::time::Instant::now();
    verified(&exported(&house, &id).await);
    assert!(started.elapsed().as_secs() < 60);
    // back again, and no longer configured: what it signed is shown with the key of then
    witness.set(Mood::Cosigns);
    let files = exported(&house, &id).await;
    assert_eq!(verify_bundle(&files).witnessed.len(), 2);
    house.witnesses = Witnesses::default();
    let files = exported(&house, &id).await;
    assert_eq!(verify_bundle(&files).witnessed.len(), 2, "{:?}", files.keys());
    verified(&files);
}
