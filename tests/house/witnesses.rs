//! The log is cosigned by witnesses: in the rhythm of the time stamps, each for itself, without ever being held up. A witness
//! that saw another history says so aloud.

use crate::support::witness::{Mood, Witness};
use crate::support::{house, settings};
use breachclock::evidence::{Checkpoint, Cosignature, Cosigner, SigningKey};
use breachclock::store::{MemoryStore, Store, StoredAnchor};
use breachclock::time::Timestamp;
use breachclock::workflow::House;
use breachclock::workflow::witness::Witnesses;

const KIND: &str = StoredAnchor::COSIGNATURE;
const ORIGIN: &str = "test.example/log";

/// The clock of one test: tests run in threads of their own, and so does the house in each.
mod hand {
    use super::*;
    use std::cell::Cell;
    thread_local!(static NOW: Cell<i64> = const { Cell::new(1_795_860_000) });
    pub fn clock() -> Timestamp {
        Timestamp::from_timestamp(NOW.get(), 0).expect("an instant")
    }
    pub fn pass(seconds: i64) {
        NOW.set(NOW.get() + seconds);
    }
}

/// `support::house` signs with the key of seed 7.
fn log_key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn knowing(name: &str, seed: u8) -> Witness {
    let witness = Witness::start(name, seed);
    witness.trust(ORIGIN, log_key().public());
    witness
}

fn watched(witnesses: &[&Witness]) -> House<MemoryStore> {
    let mut house = house(MemoryStore::new(ORIGIN), settings(Vec::new()));
    house.witnesses = Witnesses::new(witnesses.iter().map(|one| one.client()).collect());
    house
}

async fn grow(house: &House<MemoryStore>, kind: &'static str) {
    house.record_system(kind, breachclock::detail! {}, hand::clock()).await.expect("recorded");
}

/// One round of the first witness. Answers the seconds until the next look.
async fn round(house: &House<MemoryStore>) -> Option<i64> {
    round_of(house, 0).await
}

async fn round_of(house: &House<MemoryStore>, witness: usize) -> Option<i64> {
    let next = house.cosign(witness, hand::clock).await.expect("the store answers");
    next.map(|next| (next - hand::clock()).num_seconds())
}

async fn bodies(house: &House<MemoryStore>) -> Vec<(String, serde_json::Value)> {
    let entries = house.store.stream("_system").await.expect("entries");
    let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).expect("JSON");
    let entries = entries.iter().map(|entry| read(&entry.bytes));
    entries.map(|entry| (entry["type"].as_str().expect("a type").to_string(), entry["body"].clone())).collect()
}

async fn kinds(house: &House<MemoryStore>) -> Vec<String> {
    bodies(house).await.into_iter().map(|(kind, _)| kind).filter(|kind| kind.starts_with("witness.")).collect()
}

async fn warnings(house: &House<MemoryStore>) -> String {
    house.status(hand::clock()).await.warnings.join("\n")
}

#[tokio::test]
async fn first_contact_growth_and_the_rhythm_of_time_stamps() {
    let witness = knowing("w.example/1", 21);
    let mut house = watched(&[&witness]);
    assert_eq!(house.cosign(1, hand::clock).await.expect("no such witness"), None);
    round(&house).await;
    assert_eq!(witness.asked(), [], "an empty log is shown to nobody");

    grow(&house, "daemon.started").await;
    round(&house).await;
    assert_eq!((witness.asked(), witness.saw(ORIGIN)), (vec![(0, 1)], 1), "at once");
    let stored = house.store.last_anchor_of(KIND, &witness.url).await.expect("reads").expect("there");
    let note = house.store.checkpoint().await.expect("reads").expect("there").note;
    let checkpoint = Checkpoint::parse(&note).expect("ours").claimed().clone();
    let cosignature = Cosignature::from_token(&stored.token, &checkpoint).expect("holds");
    assert_eq!((cosignature.by.to_vkey(), cosignature.at), (witness.vkey(), hand::clock()));
    let other = Checkpoint::sign(ORIGIN, 1, [9; 32], &log_key()).expect("a log");
    assert_eq!(Cosignature::from_token(&stored.token, &other), None);

    hand::pass(6);
    assert_eq!(round(&house).await, Some(86_400 - 6), "nothing new: a day");
    grow(&house, "token.created").await;
    assert_eq!(round(&house).await, Some(3600 - 6), "something that can wait");
    hand::pass(3600);
    round(&house).await;
    hand::pass(2);
    for _ in 0..5 {
        grow(&house, "notification.filed").await;
    }
    assert_eq!(round(&house).await, Some(3), "critical, but right after another one");
    hand::pass(3);
    round(&house).await;
    hand::pass(86_400);
    round(&house).await;
    assert_eq!(witness.asked(), [(1, 2), (2, 7), (7, 7)], "the last one says that the log lives");

    // a daemon that starts does not know what the witness saw, and is told
    house.witnesses = Witnesses::new(vec![witness.client()]);
    grow(&house, "deadline.computed").await;
    hand::pass(5);
    round(&house).await;
    assert_eq!((witness.asked(), witness.saw(ORIGIN)), (vec![(0, 8), (7, 8)], 8));
    // a witness that lost what it saw says that, too
    witness.forget(ORIGIN);
    grow(&house, "deadline.computed").await;
    hand::pass(5);
    round(&house).await;
    assert_eq!((witness.asked(), witness.saw(ORIGIN)), (vec![(8, 9), (0, 9)], 9));

    assert_eq!(kinds(&house).await, [""; 0]);
    let status = house.status(hand::clock()).await;
    let view = &status.witnesses[0];
    assert_eq!((view.name.as_str(), view.size, view.saw_another_log), ("w.example/1", Some(9), false));
    assert_eq!(view.last_cosignature.as_deref(), Some(&*breachclock::rules::utc(hand::clock())));
    let metrics = house.metrics(hand::clock()).await;
    for row in ["breachclock_witnesses 1\n", "breachclock_cosignatures_total 2\n", "breachclock_witnesses_failing 0\n"]
    {
        assert!(metrics.contains(row), "{row}: {metrics}");
    }
    let at = format!("breachclock_cosignature_oldest_timestamp_seconds {}\n", hand::clock().timestamp());
    assert!(metrics.contains(&at), "{metrics}");
    assert!(
        warnings(&house).await.contains("the clock of witness `w.example/1` and ours are"),
        "its clock stood still"
    );
}

#[tokio::test]
async fn an_outage_is_two_entries_and_holds_nothing_up() {
    let (witness, other) = (knowing("w.example/1", 21), knowing("w.example/2", 22));
    let mut house = watched(&[&witness, &other]);
    witness.set(Mood::Down);
    grow(&house, "incident.reported").await;
    assert_eq!(round(&house).await, Some(30));
    round_of(&house, 1).await;
    assert_eq!(other.saw(ORIGIN), 2, "the other one is not held up");
    assert_eq!(kinds(&house).await, ["witness.outage"]);
    let (_, body) = bodies(&house).await.pop().expect("an entry");
    assert_eq!(
        body,
        serde_json::json!({ "actor": "breachclock", "witness": "w.example/1", "error": "it answers 503" })
    );
    assert_eq!(round(&house).await, Some(30), "asked once in that time");
    assert_eq!(witness.asked().len(), 1);
    for wait in [60, 120, 240, 480, 900, 900] {
        hand::pass(1000);
        assert_eq!(round(&house).await, Some(wait));
    }
    assert_eq!(kinds(&house).await.len(), 1, "one entry, however often it is tried");
    let said = warnings(&house).await;
    assert!(said.contains("witness `w.example/1` has not cosigned since") && said.contains("503: later"), "{said}");
    assert!(!said.contains("w.example/2` has not"), "{said}");
    assert!(house.metrics(hand::clock()).await.contains("breachclock_witnesses_failing 1\n"));

    // a daemon that starts in the middle of it knows
    house.witnesses = Witnesses::new(vec![witness.client(), other.client()]);
    for (mood, words) in [
        (Mood::Says(200, "text/html", b"<html>come back later</html>".to_vec()), "is no signature line"),
        (Mood::Says(200, "text/plain", Vec::new()), "holds no signature line"),
        (Mood::Says(200, "text/plain", vec![b'a'; 200 * 1024]), "more than 131072 bytes"),
        (Mood::Says(409, "text/plain", b"7\n".to_vec()), "409 without the size"),
        (Mood::Says(409, "text/x.tlog.size", b"0\n".to_vec()), "refuses the size that it says it knows"),
        (Mood::Says(302, "text/plain", Vec::new()), "302"),
        (Mood::Says(404, "text/plain", b"who?\n".to_vec()), &log_key().public().to_vkey(ORIGIN)),
    ] {
        witness.set(mood.clone());
        hand::pass(1000);
        round(&house).await;
        let said = warnings(&house).await;
        assert!(said.contains(words), "{mood:?}: {said}");
    }
    assert_eq!(kinds(&house).await.len(), 1);

    // one that signs with another key than the one configured has not cosigned
    let stranger = Witness::start("w.example/1", 23);
    let line = crate::support::witness::cosign(
        "w.example/1",
        &ed25519_dalek::SigningKey::from_bytes(&[23; 32]),
        1_795_860_000,
        "test.example/log\n2\n",
    );
    witness.set(Mood::Says(200, "text/plain", line.into_bytes()));
    hand::pass(1000);
    round(&house).await;
    assert_ne!(stranger.vkey(), witness.vkey());
    assert!(warnings(&house).await.contains("holds no cosignature of the configured `key`"));

    witness.set(Mood::Cosigns);
    hand::pass(1000);
    witness.set_clock(hand::clock().timestamp());
    round(&house).await;
    assert_eq!(kinds(&house).await, ["witness.outage", "witness.restored"]);
    assert_eq!(witness.saw(ORIGIN), 2);
    assert!(!warnings(&house).await.contains("w.example/1"), "{}", warnings(&house).await);
    hand::pass(10);
    assert_eq!(round(&house).await, Some(3600 - 10), "the end of an outage can wait");
}

#[tokio::test]
async fn another_log_of_the_same_name_and_key_is_found_out() {
    let witness = knowing("w.example/1", 21);
    let first = watched(&[&witness]);
    for _ in 0..6 {
        grow(&first, "incident.reported").await;
    }
    round(&first).await;
    assert_eq!(witness.saw(ORIGIN), 6);

    // the same data folder as of an older backup: fewer entries than the witness saw
    let mut second = watched(&[&witness]);
    for _ in 0..4 {
        grow(&second, "daemon.started").await;
    }
    assert_eq!(round(&second).await, Some(30));
    assert_eq!(kinds(&second).await, ["witness.conflict"]);
    let (_, body) = bodies(&second).await.pop().expect("an entry");
    let root = breachclock::evidence::hex(&second.store.checkpoint().await.expect("reads").expect("signed").root);
    let wanted = serde_json::json!({
        "actor": "breachclock", "witness": "w.example/1", "answer": "409", "witness_size": 6, "size": 4, "root": root,
    });
    assert_eq!(body, wanted);
    for words in
        ["saw 6 entries of this log, and here it has 4", "restored from a backup", "`breachclock evidence fsck`"]
    {
        assert!(warnings(&second).await.contains(words), "{words}: {}", warnings(&second).await);
    }
    assert!(house_metrics(&second).await.contains("breachclock_witnesses_saw_another_log 1\n"));

    // grown past that size it is another history still; told once, and remembered over a restart and an outage
    for _ in 0..6 {
        grow(&second, "incident.reported").await;
    }
    hand::pass(1000);
    round(&second).await;
    assert_eq!(kinds(&second).await, ["witness.conflict"]);
    let words = "its first 6 entries are not those signed here (11) (422: what I saw before";
    assert!(warnings(&second).await.contains(words), "{}", warnings(&second).await);
    second.witnesses = Witnesses::new(vec![witness.client()]);
    witness.set(Mood::Down);
    hand::pass(1000);
    round(&second).await;
    assert!(second.status(hand::clock()).await.witnesses[0].saw_another_log);
    assert_eq!(kinds(&second).await, ["witness.conflict"]);
    assert!(second.store.last_anchor(KIND).await.expect("reads").is_none(), "nothing was cosigned");

    // whoever runs it begins anew with the log
    witness.set(Mood::Cosigns);
    witness.forget(ORIGIN);
    hand::pass(1000);
    round(&second).await;
    assert_eq!(kinds(&second).await, ["witness.conflict", "witness.restored"]);
    // and the first log is the other one now
    grow(&first, "incident.reported").await;
    hand::pass(5);
    round(&first).await;
    assert_eq!(kinds(&first).await, ["witness.conflict"]);
}

async fn house_metrics(house: &House<MemoryStore>) -> String {
    house.metrics(hand::clock()).await
}

/// Before version 1.0.0 of the protocol a root that differs at the same size was a 409 without a size.
#[tokio::test]
async fn a_root_that_differs_at_the_same_size_is_another_log() {
    let witness = knowing("w.example/1", 21);
    let house = watched(&[&witness]);
    grow(&house, "incident.reported").await;
    round(&house).await;
    witness.set(Mood::Says(409, "text/plain", b"root differs\n".to_vec()));
    hand::pass(86_400);
    round(&house).await;
    assert_eq!(kinds(&house).await, ["witness.conflict"]);
    assert!(warnings(&house).await.contains("409: root differs"), "{}", warnings(&house).await);
}

#[tokio::test]
async fn a_changed_log_key_is_told_to_witnesses() {
    let witness = knowing("w.example/1", 21);
    let mut house = watched(&[&witness]);
    grow(&house, "daemon.started").await;
    round(&house).await;
    let next = SigningKey::from_seed(&[31; 32]);
    house.rotate_key(&next, hand::clock()).await.expect("changed");
    hand::pass(5);
    round(&house).await;
    assert_eq!(witness.saw(ORIGIN), 2, "the checkpoint of the change is signed by the key it knows, too");
    house.log_key = next;
    grow(&house, "incident.reported").await;
    hand::pass(5);
    round(&house).await;
    let vkey = house.log_key.public().to_vkey(ORIGIN);
    let said = warnings(&house).await;
    assert!(said.contains("does not know the log") && said.contains(&vkey), "{said}");
    assert_eq!(kinds(&house).await, ["witness.outage"]);
    witness.trust(ORIGIN, house.log_key.public());
    hand::pass(30);
    round(&house).await;
    assert_eq!((kinds(&house).await.len(), witness.saw(ORIGIN)), (2, 4));
}

/// A witness that changed its key is asked at once, and what it signed before is kept with the key of then.
#[tokio::test]
async fn a_witness_with_a_new_key() {
    let witness = knowing("w.example/1", 21);
    let mut house = watched(&[&witness]);
    grow(&house, "daemon.started").await;
    round(&house).await;
    let successor = knowing("w.example/1", 24);
    let settings = breachclock::notify::witness::Settings {
        url: successor.url.clone(),
        key: Cosigner::from_vkey(&successor.vkey()).expect("a key"),
        allow_private: true,
    };
    house.witnesses =
        Witnesses::new(vec![breachclock::notify::witness::Witness::from_settings(&settings).expect("usable")]);
    hand::pass(1);
    round(&house).await;
    assert_eq!(successor.asked(), [(0, 1)]);
    let all = house.store.anchors_at(KIND, 1).await.expect("reads");
    assert_eq!(all.len(), 2);
    assert!(
        all[0].token.starts_with(witness.vkey().as_bytes()) && all[1].token.starts_with(successor.vkey().as_bytes())
    );
}

/// The tasks of the real daemon: one for each witness; one that is silent holds up neither the other nor the end.
#[test]
fn a_daemon_has_its_log_cosigned() {
    use crate::support::daemon::{free_port, start, write_config};
    use std::time::{Duration, Instant};
    let (dir, port) = (tempfile::tempdir().expect("a folder"), free_port());
    let (witness, silent) = (Witness::start("w.example/1", 21), Witness::start("w.example/2", 22));
    silent.set(Mood::Hangs);
    let origin = "crash.test/log";
    for one in [&witness, &silent] {
        one.trust(origin, log_key().public());
        one.set_clock(breachclock::daemon::clock::now().timestamp());
    }
    let table = |one: &Witness| {
        format!("[[witness]]\nurl = \"{}/\"\nkey = \"{}\"\nallow_private = true\n", one.url, one.vkey())
    };
    let config = write_config(dir.path(), port, &(table(&silent) + &table(&witness)));
    let keys = dir.path().join("data/keys");
    std::fs::create_dir_all(&keys).expect("made");
    std::fs::write(keys.join("log.pem"), log_key().to_pem()).expect("written");
    let mut daemon = start(&config, port);
    let began = Instant::now();
    while witness.saw(origin) == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "nothing was cosigned: {:?}", witness.asked());
        std::thread::sleep(Duration::from_millis(50));
    }
    let (status, took) = daemon.terminate(Duration::from_secs(20)).expect("ends");
    assert!(status.success() && took < Duration::from_secs(15), "{status} after {took:?}");
    assert_eq!(silent.saw(origin), 0);
}
