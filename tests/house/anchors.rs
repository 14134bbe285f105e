//! The log is stamped by others: when it is time, by the first authority that answers, and without ever being held up.

use crate::support::tsa::{self, Mood, Server, Tsa, authority, witnessed};
use breachclock::evidence::{sha256, tsp};
use breachclock::store::{MemoryStore, Store, StoredAnchor};
use breachclock::time::Timestamp;
use breachclock::workflow::House;
use breachclock::workflow::anchor::Anchors;
use std::sync::Arc;
use std::sync::Mutex;

const KIND: &str = StoredAnchor::RFC3161;

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

async fn kinds(house: &House<MemoryStore>) -> Vec<String> {
    let entries = house.store.entries(0..1000).await.expect("entries");
    let kind = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).expect("JSON")["type"].to_string();
    entries.iter().map(|entry| kind(&entry.bytes).trim_matches('"').to_string()).collect()
}

async fn anchored(house: &House<MemoryStore>) -> u64 {
    house.store.last_anchor(KIND).await.expect("reads").map_or(0, |anchor| anchor.size)
}

async fn grow(house: &House<MemoryStore>, kind: &'static str) {
    house.record_system(kind, breachclock::detail! {}, hand::clock()).await.expect("recorded");
}

/// One round. Answers the seconds until the next look.
async fn round(house: &House<MemoryStore>) -> Option<i64> {
    let next = house.anchor(hand::clock).await.expect("the store answers");
    next.map(|next| (next - hand::clock()).num_seconds())
}

#[tokio::test]
async fn stamps_come_at_once_in_an_hour_and_daily() {
    let tsa = Arc::new(Tsa::new(tsa::P256));
    let server = Server::start(tsa.clone());
    let house = witnessed(vec![authority(&server, Some(&tsa), "one")]);
    round(&house).await;
    assert_eq!(anchored(&house).await, 0, "an empty log is not stamped");

    grow(&house, "daemon.started").await;
    round(&house).await;
    assert_eq!(anchored(&house).await, 1, "the first stamp comes at once");
    let stored = house.store.last_anchor(KIND).await.expect("reads").expect("there");
    let checkpoint = house.store.checkpoint().await.expect("reads").expect("there");
    let roots = tsp::Roots::from_pem(&tsa.root_pem()).expect("a certificate");
    assert!(tsp::check(&stored.token, &sha256(checkpoint.note.as_bytes()), None, &roots).expect("good").trusted);

    hand::pass(6);
    assert_eq!(round(&house).await, Some(86_400 - 6), "nothing new: a day");
    grow(&house, "token.created").await;
    assert_eq!(round(&house).await, Some(3600 - 6), "something that can wait");
    assert_eq!(anchored(&house).await, 1);
    hand::pass(3600);
    round(&house).await;
    assert_eq!(anchored(&house).await, 2, "an hour after the last stamp");

    hand::pass(2);
    for kind in ["deadline.computed", "notification.filed"] {
        let before = anchored(&house).await;
        grow(&house, kind).await;
        assert_eq!(round(&house).await, Some(3), "critical, but right after another stamp");
        hand::pass(3);
        round(&house).await;
        assert_eq!(anchored(&house).await, before + 1, "{kind}");
        hand::pass(2);
    }
    let asked = server.asked().len();
    hand::pass(86_400);
    round(&house).await;
    assert_eq!((anchored(&house).await, server.asked().len()), (4, asked + 1), "alive: the same log again");
    assert_eq!(
        house.status(hand::clock()).await.last_anchor.as_deref(),
        Some(&*breachclock::rules::utc(hand::clock()))
    );
}

#[tokio::test]
async fn an_outage_is_two_entries_and_holds_nothing_up() {
    let tsa = Arc::new(Tsa::new(tsa::P256));
    let server = Server::start(tsa.clone());
    let mut house = witnessed(vec![authority(&server, Some(&tsa), "one")]);
    server.set(Mood::Down);
    grow(&house, "incident.reported").await;
    assert_eq!(round(&house).await, Some(30));
    assert_eq!(kinds(&house).await, ["incident.reported", "timestamp.outage"]);
    assert_eq!(round(&house).await, Some(30), "asked once in that time");
    assert_eq!(server.asked().len(), 1);
    for wait in [60, 120, 240, 480, 900, 900] {
        hand::pass(1000);
        assert_eq!(round(&house).await, Some(wait));
    }
    assert_eq!(kinds(&house).await.len(), 2, "one entry, however often it is tried");
    let warnings = house.status(hand::clock()).await.warnings.join("\n");
    assert!(warnings.contains("no time-stamping authority answers") && warnings.contains("503"), "{warnings}");
    assert!(house.metrics(hand::clock()).await.contains("breachclock_anchor_outage 1\n"));

    // a daemon that starts in the middle of it knows
    house.anchors = Anchors::new(vec![authority(&server, Some(&tsa), "one")], 3600);
    round(&house).await;
    assert_eq!(kinds(&house).await.len(), 2);
    assert!(house.anchors.outage().is_some());

    server.set(Mood::Says(b"<html>come back later</html>".to_vec()));
    hand::pass(1000);
    round(&house).await;
    let (_, words) = house.anchors.outage().expect("lasts");
    assert!(words.contains("is no time stamp"), "{words}");
    server.set(Mood::Says(vec![0; tsp::LONGEST + 1]));
    hand::pass(1000);
    round(&house).await;
    let (_, words) = house.anchors.outage().expect("lasts");
    assert!(words.contains("more than 65536 bytes"), "{words}");

    server.set(Mood::Stamps);
    hand::pass(1000);
    round(&house).await;
    assert_eq!(anchored(&house).await, 2);
    assert_eq!(kinds(&house).await, ["incident.reported", "timestamp.outage", "timestamp.restored"]);
    let warnings = house.status(hand::clock()).await.warnings;
    assert!(!warnings.iter().any(|warning| warning.contains("no time-stamping authority answers")), "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains("clock of authority `one` and ours")), "{warnings:?}");
    hand::pass(10);
    assert_eq!(round(&house).await, Some(3600 - 10), "the end of an outage can wait");
}

#[tokio::test]
async fn the_next_authority_is_asked_when_one_fails() {
    let (first, second) = (Arc::new(Tsa::new(tsa::P256)), Arc::new(Tsa::new(tsa::RSA)));
    let (one, two) = (Server::start(first.clone()), Server::start(second.clone()));
    // the first one answers by a certificate that is not the one trusted
    let house = witnessed(vec![authority(&one, Some(&second), "one"), authority(&two, Some(&second), "two")]);
    grow(&house, "incident.reported").await;
    round(&house).await;
    let stored = house.store.last_anchor(KIND).await.expect("reads").expect("there");
    assert_eq!((stored.url, stored.size), (two.url.clone(), 1));
    assert_eq!(kinds(&house).await, ["incident.reported"], "one of two is no outage");
    let warnings = house.status(hand::clock()).await.warnings.join("\n");
    assert!(warnings.contains("`two` because others fail") && warnings.contains("trusted certificate"), "{warnings}");
    // what was asked are hash and nonce, nothing else
    let queries = two.asked();
    assert!(queries.iter().all(|query| query.len() == 69), "{queries:?}");
    let nonces: Mutex<std::collections::BTreeSet<Vec<u8>>> = Mutex::default();
    for query in one.asked().iter().chain(&queries) {
        assert!(nonces.lock().expect("no panic").insert(query[query.len() - 11..].to_vec()), "a nonce twice");
    }
}
