//! Every store keeps the contract of `src/store/mod.rs`: one exercise, run for each.
//! What only a file can do (reopen, be locked, be full, be killed) is in `store_contract/file.rs`, what only a server can
//! do (be shared, lost, crash) in `store_contract/postgres.rs`.

use crate::support::postgres as support;
use breachclock::escalation::{Brief, DeliveryState, Event, Message, Outcome, Reason, Target};
use breachclock::evidence::{Disclosure, Draft, Head, Nodes, StreamHead, leaf_hash, merkle, seal, sha256};
use breachclock::law::{Act, Certainty, Entity, Fact, FactBook, Incident, IncidentId, Value};
use breachclock::store::faulty::{Fault, FaultyStore};
use breachclock::store::{
    Access, AccountRecord, Change, Changeset, Claim, Delivery, Dossier, Due, Idempotency, Lane, MemoryStore, Query,
    Record, SecondFactor, Settlement, SqliteStore, Store, StoreError, StoredCheckpoint, TokenRecord, Tracked,
};
use breachclock::time::{Timestamp, Zone};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[path = "store_contract/anchors.rs"]
mod anchors;
#[path = "store_contract/erase.rs"]
pub mod erase;
#[path = "store_contract/file.rs"]
mod file;
#[path = "store_contract/news.rs"]
mod news;
#[path = "store_contract/postgres.rs"]
mod postgres;

const ORIGIN: &str = "breach.example.org/test";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_contract() {
    exercise(async || MemoryStore::new(ORIGIN)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut made = 0;
    exercise(async || {
        made += 1;
        let dir = dir.path().join(made.to_string());
        std::fs::create_dir(&dir).expect("a folder");
        SqliteStore::open(&dir, ORIGIN).expect("opens")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract() {
    exercise(async || {
        let url = support::cluster().database();
        support::open(&url, ORIGIN).await.expect("opens")
    })
    .await;
}

/// Every promise of the contract, each on a fresh store.
async fn exercise<S: Store>(mut make: impl AsyncFnMut() -> S) {
    incidents_are_compared_and_swapped(&make().await).await;
    requests_are_accepted_once(&make().await).await;
    incidents_are_listed_newest_first(&make().await).await;
    alarms_ring_in_order(&make().await).await;
    messages_are_leased(&make().await).await;
    messages_are_queued_once(&make().await).await;
    lanes_are_claimed_apart(&make().await).await;
    a_clock_set_back_voids_waits(&make().await).await;
    news::the_house_has_messages(&make().await).await;
    news::news_moves_messages_on(&make().await).await;
    news::news_of_a_claimed_message_wins(&make().await).await;
    news::lost_messages_wake_their_incidents(&make().await).await;
    evidence_hangs_together(&make().await).await;
    indices_are_dense_under_load(Arc::new(make().await)).await;
    checkpoints_never_fork(&make().await).await;
    anchors::anchors_are_found_by_what_they_cover(&make().await).await;
    tokens_are_replaced_by_id(&make().await).await;
    accounts_change_one_version_at_a_time(&make().await).await;
    erase::erased_values_are_gone(&make().await).await;
    failed_writes_can_be_repeated(&mut make).await;
    agrees_with_memory(&make().await).await;
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_780_000_000 + seconds, 123_456_789).expect("an instant")
}

/// What the store keeps of an instant that it compares: whole microseconds, rounded up.
fn kept(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_780_000_000 + seconds, 123_457_000).expect("an instant")
}

pub fn record(name: &str) -> Record {
    let mut facts = FactBook::default();
    for (key, value) in [
        ("times.aware", Value::Instant(at(-60))),
        ("personal_data", Value::YesNo(true)),
        ("what", Value::Text("a lost disk".into())),
    ] {
        facts.assert(Fact {
            key: key.into(),
            value: Some(value),
            certainty: Certainty::Confirmed,
            asserted_by: "lea".into(),
            asserted_at: at(0),
            note: None,
        });
    }
    let incident = Incident {
        id: IncidentId(format!("inc-{name}")),
        title: format!("incident {name}"),
        entity: Entity { id: Some("acme".into()), name: "Acme".into(), zone: Some(Zone::UTC), ..Entity::default() },
        source: None,
        reference: None,
        opened_at: at(0),
        opened_by: "lea".into(),
        closed_at: None,
        facts,
    };
    let tracked = |k: i64| Tracked {
        id: format!("xx-act-{k}@XX"),
        standing: "running".into(),
        due: Some(at(3600 * k)),
        conservative_due: (k > 1).then(|| at(3000 * k)),
        known_at: at(0),
    };
    Record {
        incident,
        tracked: (1..4).map(tracked).collect(),
        acts: BTreeMap::from([("xx-act-1@XX".into(), Act::default())]),
        rulebook: [7; 32],
        // every other record has limits that wait for a sign-off: packed behind the rest
        kept: (name.len() % 2 == 1)
            .then(|| breachclock::store::Kept {
                id: "xx-act-2@XX".into(),
                due: Some(at(7200)),
                conservative_due: None,
                since: at(5),
                from: [9; 32],
            })
            .into_iter()
            .collect(),
    }
}

pub fn draft(stream: &str, kind: &'static str, nonce: u64) -> Draft {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&nonce.to_be_bytes());
    Draft::unchecked(stream, kind, at(nonce as i64 % 1000), bytes, &BTreeMap::from([("nonce", nonce)]))
}

pub fn message(incident: &IncidentId, step: &str, urgent: i64) -> Message {
    Message {
        key: format!("{incident}/xx-act-1@XX/{step}/email:lea/0"),
        event: Event::ReminderDue,
        incident: incident.clone(),
        obligation: Some("xx-act-1@XX".into()),
        target: Target::Email { person: "lea".into(), name: "Lea".into(), address: "lea@example.org".into() },
        reason: Reason { policy: "standard".into(), step: step.into(), repeat: 0, due_at: at(1), coalesced: 0 },
        created_at: at(0),
        urgent_at: at(urgent),
        brief: Brief {
            incident_title: "title".into(),
            entity: "Acme".into(),
            duty_title: "tell the authority".into(),
            duty: None,
            jurisdiction: "XX".into(),
            recipient_name: "Authority".into(),
            law: "Act".into(),
            citation: "s. 1".into(),
            standing: "running".into(),
            missing: vec![],
            promptly: None,
            due: Some(at(3600)),
            conservative_due: Some(at(3000)),
            zone: Zone::UTC,
            started_key: None,
            started_at: None,
            holder: None,
            told: vec![],
            next: None,
            because: None,
            also: vec![],
        },
        ack_token: None,
        extra: breachclock::escalation::Extra::default(),
    }
}

pub fn change(expected: Option<u64>, record: Record, wake_at: Option<Timestamp>, messages: Vec<Message>) -> Changeset {
    let first = draft(&record.incident.id.0, "incident.reported", 1);
    Changeset {
        change: Change::Incident { expected, record, wake_at, messages, idempotency: None },
        first,
        more: vec![],
    }
}

fn asked(mut changeset: Changeset, asked: &Idempotency) -> Changeset {
    if let Change::Incident { idempotency, .. } = &mut changeset.change {
        *idempotency = Some(asked.clone());
    }
    changeset
}

fn handed_over() -> Settlement {
    Settlement { outcome: Outcome::HandedOver { answer: "250 ok".into() }, at: at(9), retry_at: None }
}

/// The whole log, rebuilt from its entries: dense, chained, and with the root that `head` says.
pub async fn check_log<S: Store>(store: &S) -> Head {
    let head = store.head().await.expect("head");
    let entries = store.entries(0..head.size).await.expect("entries");
    assert_eq!(entries.len() as u64, head.size);
    let mut streams: BTreeMap<String, StreamHead> = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        assert_eq!(entry.idx, at as u64);
        let end = streams.entry(entry.stream.clone()).or_default();
        assert_eq!(entry.n, end.n + 1, "stream `{}`", entry.stream);
        let text = std::str::from_utf8(&entry.bytes).expect("UTF-8");
        let prev = breachclock::evidence::hex(&end.prev);
        let place = format!(
            r#"{{"v":1,"log":"{ORIGIN}","idx":{at},"stream":"{}","n":{},"prev":"{prev}","#,
            entry.stream, entry.n
        );
        assert!(text.starts_with(&place), "{text} does not start with {place}");
        *end = StreamHead { n: entry.n, prev: sha256(&entry.bytes) };
    }
    for (stream, end) in streams {
        assert_eq!(store.stream_head(&stream).await.expect("head"), end);
        let of_stream: Vec<_> = entries.iter().filter(|e| e.stream == stream).cloned().collect();
        assert_eq!(store.stream(&stream).await.expect("stream"), of_stream);
    }
    let leaves: Vec<_> = entries.iter().map(|e| leaf_hash(&e.bytes)).collect();
    assert_eq!(merkle::root(&leaves), head.root());
    head
}

async fn incidents_are_compared_and_swapped<S: Store>(store: &S) {
    let id = record("a").incident.id;
    assert_eq!(store.dossier(&id).await, Err(StoreError::NotFound));
    let unknown = store.commit(change(Some(1), record("a"), None, vec![])).await;
    assert_eq!(unknown, Err(StoreError::Conflict { stored: None }));
    let receipt =
        store.commit(change(None, record("a"), Some(at(5)), vec![message(&id, "one", 1)])).await.expect("commits");
    assert_eq!((receipt.version, receipt.entries[0].0, receipt.entries.len()), (1, 0, 1));
    let dossier = store.dossier(&id).await.expect("is there");
    assert_eq!(dossier.record, record("a"), "nothing is rounded in a record");
    assert_eq!((dossier.version, dossier.wake_at, dossier.sent.len()), (1, Some(kept(5)), 1));

    let again = store.commit(change(None, record("a"), None, vec![])).await;
    assert_eq!(again, Err(StoreError::Conflict { stored: Some(1) }));
    let mut second = record("a");
    second.incident.title = "another title".repeat(1000);
    assert_eq!(store.commit(change(Some(1), second.clone(), None, vec![])).await.expect("commits").version, 2);
    let stale = store.commit(change(Some(1), record("a"), None, vec![message(&id, "two", 1)])).await;
    assert_eq!(stale, Err(StoreError::Conflict { stored: Some(2) }));
    let dossier = store.dossier(&id).await.expect("is there");
    assert_eq!((dossier.version, dossier.wake_at, dossier.sent.len(), dossier.record), (2, None, 1, second));
    assert_eq!(check_log(store).await.size, 2, "what is refused leaves no evidence");
    // a stream that is no incident
    store
        .commit(Changeset { change: Change::Nothing, first: draft("_system", "daemon.started", 2), more: vec![] })
        .await
        .expect("commits");
    assert_eq!(store.dossier(&IncidentId("_system".into())).await, Err(StoreError::NotFound));
    store.prove(at(1)).await.expect("a write is read back");
}

async fn requests_are_accepted_once<S: Store>(store: &S) {
    let key = Idempotency { principal: "token:soc".into(), key: "k1".into(), request: [1; 32] };
    assert_eq!(store.accepted(&key).await, Ok(None));
    store.commit(asked(change(None, record("a"), None, vec![]), &key)).await.expect("commits");
    let first = IncidentId("inc-a".into());
    assert_eq!(store.accepted(&key).await, Ok(Some((first.clone(), true))));
    let other_request = Idempotency { request: [2; 32], ..key.clone() };
    assert_eq!(store.accepted(&other_request).await, Ok(Some((first.clone(), false))));
    let other_caller = Idempotency { principal: "token:so".into(), key: "ck1".into(), request: [1; 32] };
    assert_eq!(store.accepted(&other_caller).await, Ok(None), "where one part ends and the other begins matters");

    let repeated = store.commit(asked(change(None, record("b"), None, vec![]), &key)).await;
    assert_eq!(repeated, Err(StoreError::Duplicate { incident: first.clone(), same_request: true }));
    let reused = store.commit(asked(change(None, record("b"), None, vec![]), &other_request)).await;
    assert_eq!(reused, Err(StoreError::Duplicate { incident: first.clone(), same_request: false }));
    // the answer to a lost answer: the version has moved, and the key explains why
    let correction = Idempotency { key: "k2".into(), ..key };
    store.commit(asked(change(Some(1), record("a"), None, vec![]), &correction)).await.expect("commits");
    let repeated = store.commit(asked(change(Some(1), record("a"), None, vec![]), &correction)).await;
    assert_eq!(repeated, Err(StoreError::Duplicate { incident: first, same_request: true }));

    let mut foreign = record("c");
    (foreign.incident.source, foreign.incident.reference) = (Some("siem".into()), Some("CASE-7".into()));
    assert_eq!(store.reported("siem", "CASE-7").await, Ok(None));
    store.commit(change(None, foreign.clone(), None, vec![])).await.expect("commits");
    assert_eq!(store.reported("siem", "CASE-7").await, Ok(Some(IncidentId("inc-c".into()))));
    assert_eq!(store.reported("sie", "mCASE-7").await, Ok(None), "where one part ends and the other begins matters");
    store.commit(change(Some(1), foreign.clone(), None, vec![])).await.expect("its own reference is no duplicate");
    foreign.incident.id = IncidentId("inc-d".into());
    let repeated = store.commit(change(None, foreign, None, vec![])).await;
    assert_eq!(repeated, Err(StoreError::Duplicate { incident: IncidentId("inc-c".into()), same_request: true }));
    assert_eq!(check_log(store).await.size, 4);
}

async fn incidents_are_listed_newest_first<S: Store>(store: &S) {
    for n in 0..6 {
        let mut record = record(&n.to_string());
        record.incident.entity.id = (n != 3).then(|| if n % 2 == 0 { "even".into() } else { "odd".into() });
        record.incident.closed_at = (n == 4).then(|| at(4));
        record.rulebook = [(n % 3) as u8; 32];
        store.commit(change(None, record, None, vec![])).await.expect("commits");
    }
    let names = async |query: Query| -> String {
        let dossiers = store.list(query).await.expect("lists");
        dossiers.iter().map(|d| d.record.incident.id.0.trim_start_matches("inc-").to_string()).collect()
    };
    let all = Query { limit: 100, ..Query::default() };
    assert_eq!(names(all.clone()).await, "543210");
    assert_eq!(names(Query { limit: 2, ..all.clone() }).await, "54");
    assert_eq!(names(Query { after: Some(IncidentId("inc-4".into())), limit: 2, ..all.clone() }).await, "32");
    assert_eq!(names(Query { open_only: true, ..all.clone() }).await, "53210");
    assert_eq!(names(Query { entity: Some("even".into()), ..all.clone() }).await, "420");
    assert_eq!(names(Query { open_only: true, entity: Some("even".into()), ..all.clone() }).await, "20");
    let otherwise = Query { planned_otherwise: Some([0; 32]), ..all.clone() };
    assert_eq!(names(otherwise.clone()).await, "5421");
    assert_eq!(names(Query { open_only: true, limit: 2, ..otherwise.clone() }).await, "52");
    assert_eq!(names(Query { after: Some(IncidentId("inc-4".into())), ..otherwise.clone() }).await, "21");
    assert_eq!(names(Query { entity: Some("odd".into()), ..otherwise }).await, "51");
    assert_eq!(store.list(Query { after: Some(IncidentId("inc-x".into())), ..all }).await, Err(StoreError::NotFound));
}

async fn alarms_ring_in_order<S: Store>(store: &S) {
    for (name, wake) in [("a", Some(30)), ("b", Some(10)), ("c", None), ("d", Some(20)), ("e", Some(10))] {
        store.commit(change(None, record(name), wake.map(at), vec![])).await.expect("commits");
    }
    let due = async |now: i64, limit: u32| -> (String, Option<Timestamp>) {
        let Due { incidents, next_wake } = store.due(at(now), limit).await.expect("due");
        (incidents.iter().map(|id| id.0.trim_start_matches("inc-")).collect(), next_wake)
    };
    assert_eq!(due(5, 10).await, (String::new(), Some(kept(10))));
    assert_eq!(due(10, 10).await, (String::new(), Some(kept(10))), "not a nanosecond before its time");
    assert_eq!(due(11, 10).await, ("be".into(), Some(kept(20))));
    assert_eq!(due(100, 3).await, ("bed".into(), Some(kept(30))));
    assert_eq!(due(100, 2).await, ("be".into(), Some(kept(20))));
    store.commit(change(Some(1), record("b"), Some(at(40)), vec![])).await.expect("commits");
    store.commit(change(Some(1), record("e"), None, vec![])).await.expect("commits");
    store.commit(change(Some(1), record("c"), Some(at(1)), vec![])).await.expect("commits");
    let refused = store.commit(change(Some(7), record("d"), Some(at(0)), vec![])).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })));
    assert_eq!(due(100, 10).await, ("cdab".into(), None));
}

async fn messages_are_leased<S: Store>(store: &S) {
    let id = record("a").incident.id;
    assert_eq!(store.next_outbox(Lane::Mail).await, Ok(None));
    let messages = vec![message(&id, "late", 50), message(&id, "soon", 10), message(&id, "middle", 30)];
    store.commit(change(None, record("a"), None, messages)).await.expect("commits");
    assert!(store.next_outbox(Lane::Mail).await.expect("answers").is_some_and(|next| next <= at(0)));
    let steps = |claims: &[Claim]| claims.iter().map(|c| c.message.reason.step.clone()).collect::<Vec<_>>();

    let mut first = store.claim_outbox(Lane::Mail, at(0), 60, 2).await.expect("claims");
    assert_eq!(steps(&first), ["soon", "middle"], "most urgent first");
    assert_eq!((first[0].attempt, first[0].leased_until), (1, kept(60)));
    let rest = store.claim_outbox(Lane::Mail, at(1), 60, 10).await.expect("claims");
    assert_eq!(steps(&rest), ["late"]);
    assert_eq!(store.claim_outbox(Lane::Mail, at(2), 60, 10).await.expect("claims"), []);
    assert_eq!(store.next_outbox(Lane::Mail).await, Ok(Some(kept(60))));

    // handed over, and settled only once
    let (middle, soon) = (first.pop().expect("two"), first.pop().expect("two"));
    let copy = |claim: &Claim| Claim { message: claim.message.clone(), ..*claim };
    let twice = vec![
        (copy(&soon), handed_over(), draft(&id.0, "message.attempted", 3)),
        (soon, handed_over(), draft(&id.0, "message.attempted", 4)),
    ];
    assert_eq!(store.settle(twice).await, Ok(vec![Ok(()), Err(StoreError::LeaseLost)]));

    // the lease ends, somebody else has it: the first holder settles nothing
    let size = store.head().await.expect("head").size;
    let mut second = store.claim_outbox(Lane::Mail, at(61), 60, 1).await.expect("claims");
    assert_eq!(steps(&second), ["middle"]);
    assert_eq!(second[0].attempt, 2);
    assert!(second[0].lease > middle.lease);
    let lost = store.settle(vec![(middle, handed_over(), draft(&id.0, "message.attempted", 5))]).await;
    assert_eq!(lost, Ok(vec![Err(StoreError::LeaseLost)]));
    assert_eq!(store.head().await.expect("head").size, size, "a lost lease leaves no evidence");

    // a retry waits for its time, then can fail for good
    let retry = Settlement {
        outcome: Outcome::Retry { error: "421 busy".into(), after_seconds: None },
        at: at(62),
        retry_at: Some(at(100)),
    };
    let claim = second.pop().expect("one");
    assert_eq!(store.settle(vec![(claim, retry, draft(&id.0, "message.attempted", 6))]).await, Ok(vec![Ok(())]));
    let late = store.claim_outbox(Lane::Mail, at(99), 60, 10).await.expect("claims");
    assert_eq!(steps(&late), ["late"]);
    assert_eq!(store.next_outbox(Lane::Mail).await, Ok(Some(kept(100))));
    let third = store.claim_outbox(Lane::Mail, at(101), 60, 10).await.expect("claims");
    assert_eq!((steps(&third), third[0].attempt), (vec!["middle".to_string()], 3));
    let gave_up = |error: &str| Settlement {
        outcome: Outcome::Retry { error: error.into(), after_seconds: Some(5) },
        at: at(102),
        retry_at: None,
    };
    let refused = Settlement { outcome: Outcome::Refused { error: "550 no".into() }, at: at(103), retry_at: None };
    // an ended lease counts as long as nobody else has the message
    let both: Vec<_> = third.into_iter().zip([gave_up("421 busy")]).chain(late.into_iter().zip([refused])).collect();
    let both =
        both.into_iter().map(|(claim, settlement)| (claim, settlement, draft(&id.0, "message.attempted", 7))).collect();
    assert_eq!(store.settle(both).await, Ok(vec![Ok(()), Ok(())]));
    assert_eq!(store.next_outbox(Lane::Mail).await, Ok(None));
    assert_eq!(store.claim_outbox(Lane::Mail, at(9999), 60, 10).await.expect("claims"), []);

    let sent = store.dossier(&id).await.expect("is there").sent;
    let seen: Vec<_> =
        sent.iter().map(|s| (s.message.reason.step.as_str(), s.state, s.attempts, s.detail.as_deref())).collect();
    assert_eq!(
        seen,
        [
            ("late", DeliveryState::Failed, 2, Some("550 no")),
            ("soon", DeliveryState::HandedOver, 1, Some("250 ok")),
            ("middle", DeliveryState::Failed, 3, Some("421 busy")),
        ]
    );
    check_log(store).await;
}

async fn lanes_are_claimed_apart<S: Store>(store: &S) {
    let id = record("a").incident.id;
    let hook = |step: &str| {
        let mut message = message(&id, step, 1);
        (message.target, message.key) = (Target::Webhook { id: "soc".into() }, format!("{id}/{step}/webhook:soc/0"));
        message
    };
    let messages = vec![message(&id, "m1", 2), message(&id, "m2", 3), hook("h1"), hook("h2")];
    store.commit(change(None, record("a"), None, messages)).await.expect("commits");
    let steps = |claims: &[Claim]| claims.iter().map(|c| c.message.reason.step.clone()).collect::<Vec<_>>();
    let mails = store.claim_outbox(Lane::Mail, at(0), 60, 10).await.expect("claims");
    assert_eq!(steps(&mails), ["m1", "m2"]);
    assert_eq!(store.next_outbox(Lane::Mail).await, Ok(Some(kept(60))));
    assert!(store.next_outbox(Lane::Webhook).await.expect("answers").is_some_and(|next| next <= at(0)));
    let hooks = store.claim_outbox(Lane::Webhook, at(5), 60, 10).await.expect("claims");
    assert_eq!(steps(&hooks), ["h1", "h2"]);
    assert_eq!(store.next_outbox(Lane::Webhook).await, Ok(Some(kept(65))));
    let done: Vec<_> = mails.into_iter().map(|c| (c, handed_over(), draft(&id.0, "message.attempted", 1))).collect();
    store.settle(done).await.expect("settles");
    assert_eq!(store.next_outbox(Lane::Mail).await, Ok(None));
    assert_eq!(store.claim_outbox(Lane::Webhook, at(66), 60, 10).await.expect("claims").len(), 2);
}

/// The clock was an hour ahead when the lease and the retry were set.
async fn a_clock_set_back_voids_waits<S: Store>(store: &S) {
    let id = record("a").incident.id;
    let messages = vec![message(&id, "leased", 2), message(&id, "retried", 3)];
    store.commit(change(None, record("a"), None, messages)).await.expect("commits");
    let mut claims = store.claim_outbox(Lane::Mail, at(3600), 60, 10).await.expect("claims");
    let retry = Settlement {
        outcome: Outcome::Retry { error: "421 busy".into(), after_seconds: None },
        at: at(3600),
        retry_at: Some(at(3605)),
    };
    let settled = vec![(claims.pop().expect("two"), retry, draft(&id.0, "message.attempted", 1))];
    store.settle(settled).await.expect("settles");
    assert_eq!(store.claim_outbox(Lane::Mail, at(3570), 60, 10).await.expect("claims"), [], "a little: they wait");
    let steps: Vec<_> = store.claim_outbox(Lane::Mail, at(10), 60, 10).await.expect("claims");
    assert_eq!(steps.iter().map(|c| c.message.reason.step.as_str()).collect::<Vec<_>>(), ["leased", "retried"]);
    assert_eq!(store.claim_outbox(Lane::Mail, at(11), 60, 10).await.expect("claims"), [], "both are leased anew");
    assert_eq!(store.claim_outbox(Lane::Mail, at(71), 60, 10).await.expect("claims").len(), 2);
}

async fn messages_are_queued_once<S: Store>(store: &S) {
    let id = record("a").incident.id;
    store
        .commit(change(None, record("a"), None, vec![message(&id, "one", 1), message(&id, "one", 2)]))
        .await
        .expect("commits");
    store
        .commit(change(Some(1), record("a"), None, vec![message(&id, "one", 3), message(&id, "two", 4)]))
        .await
        .expect("commits");
    let claims = store.claim_outbox(Lane::Mail, at(0), 60, 10).await.expect("claims");
    assert_eq!(claims.len(), 2);
    assert_eq!(claims[0].message, message(&id, "one", 1), "the first one stays");
    let settled =
        claims.into_iter().map(|claim| (claim, handed_over(), draft(&id.0, "message.attempted", 2))).collect();
    assert_eq!(store.settle(settled).await, Ok(vec![Ok(()), Ok(())]));
    store.commit(change(Some(2), record("a"), None, vec![message(&id, "one", 3)])).await.expect("commits");
    assert_eq!(
        store.claim_outbox(Lane::Mail, at(0), 60, 10).await.expect("claims"),
        [],
        "also after it was handed over"
    );
    assert_eq!(store.dossier(&id).await.expect("is there").sent.len(), 2);
}

/// All complete subtrees, as the store keeps them.
struct Kept(BTreeMap<(u8, u64), [u8; 32]>);

impl Nodes for Kept {
    fn node(&self, level: u8, index: u64) -> Option<[u8; 32]> {
        self.0.get(&(level, index)).copied()
    }
}

async fn evidence_hangs_together<S: Store>(store: &S) {
    assert_eq!(check_log(store).await, Head::default());
    assert_eq!(store.stream_head("inc-none").await, Ok(StreamHead::default()));
    assert_eq!(store.stream("inc-none").await, Ok(vec![]));
    let disclosures: Vec<_> = (0..3).map(|k| Disclosure::new(&[k; 32], "/by", &format!("person {k}"))).collect();
    for n in 0..21 {
        let first =
            draft(&format!("s{}", n % 3), "fact.asserted", n).with_disclosures(disclosures[..n as usize % 4].to_vec());
        let more = (0..n % 4).map(|k| draft(if k == 1 { "_system" } else { "s0" }, "note", n)).collect::<Vec<_>>();
        let expected = store.head().await.expect("head").size;
        let drafts: Vec<_> = std::iter::once(first.clone()).chain(more.clone()).collect();
        let receipt = store.commit(Changeset { change: Change::Nothing, first, more }).await.expect("commits");
        assert_eq!(receipt.version, 0);
        for (k, (idx, leaf)) in receipt.entries.iter().enumerate() {
            assert_eq!(*idx, expected + k as u64, "the entries of one changeset are adjacent");
            let entry = store.entries(*idx..idx + 1).await.expect("entries").remove(0);
            assert_eq!(leaf_hash(&entry.bytes), *leaf);
            assert!(std::str::from_utf8(&entry.bytes).expect("UTF-8").contains(&drafts[k].body));
        }
    }
    let head = check_log(store).await;
    let kept: BTreeMap<_, _> = disclosures.iter().map(|d| (d.commitment, d.bytes.clone())).collect();
    assert_eq!(store.disclosures("s0").await, Ok(kept));
    assert_eq!(store.disclosures("_system").await, Ok(BTreeMap::new()));
    assert_eq!(store.entries(head.size - 1..u64::MAX).await.expect("entries").len(), 1);
    assert_eq!(store.entries(head.size..head.size + 9).await, Ok(vec![]));

    let complete: Vec<_> =
        (0..=6u8).flat_map(|level| (0..head.size >> level).map(move |index| (level, index))).collect();
    let hashes = store.nodes(complete.clone()).await.expect("nodes");
    let kept = Kept(complete.into_iter().zip(hashes.into_iter().map(|hash| hash.expect("is complete"))).collect());
    let incomplete = vec![(0, head.size), (3, head.size >> 3), (63, 0), (64, 0), (200, 5), (1, u64::MAX)];
    assert_eq!(store.nodes(incomplete).await, Ok(vec![None; 6]));
    assert_eq!(Head::from_nodes(head.size, &kept), Some(head.clone()));
    for idx in 0..head.size {
        let proof = merkle::inclusion(&kept, idx, head.size).expect("a proof");
        assert!(merkle::verify_inclusion(&kept.0[&(0, idx)], idx, head.size, &proof, &head.root()));
        let (old_root, proof) = (
            merkle::root_at(&kept, idx).expect("a root"),
            merkle::consistency(&kept, idx, head.size).expect("a proof"),
        );
        assert!(merkle::verify_consistency(idx, head.size, &proof, &old_root, &head.root()));
    }
}

async fn indices_are_dense_under_load<S: Store>(store: Arc<S>) {
    let committer = |who: u64| {
        let store = store.clone();
        tokio::spawn(async move {
            let (mut seen, name) = (Vec::new(), format!("l{who}"));
            for n in 0..8 {
                let mut changeset = change((n > 0).then_some(n), record(&name), Some(at(who as i64)), vec![]);
                changeset.more = vec![draft("_system", "note", who), draft(&changeset.first.stream, "note", n)];
                let receipt = store.commit(changeset).await.expect("commits");
                // what was answered can be read
                assert_eq!(store.dossier(&record(&name).incident.id).await.expect("is there").version, n + 1);
                let late = store.commit(change(Some(n + 100), record(&name), None, vec![])).await;
                assert_eq!(late, Err(StoreError::Conflict { stored: Some(n + 1) }));
                seen.extend(receipt.entries.iter().map(|(idx, _)| *idx));
                assert!(receipt.entries.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0));
            }
            seen
        })
    };
    let committers: Vec<_> = (0..64).map(committer).collect();
    let mut indices = BTreeSet::new();
    for committer in committers {
        indices.extend(committer.await.expect("ran"));
    }
    assert_eq!(indices, (0..64 * 8 * 3).collect());
    check_log(&*store).await;
    assert_eq!(store.due(at(1000), 1000).await.expect("due").incidents.len(), 64);
}

async fn checkpoints_never_fork<S: Store>(store: &S) {
    let grow = async || {
        store
            .commit(Changeset {
                change: Change::Nothing,
                first: draft("_system", "note", 1),
                more: vec![draft("_system", "note", 2)],
            })
            .await
            .expect("commits");
        let head = store.head().await.expect("head");
        StoredCheckpoint { size: head.size, root: head.root(), note: format!("note {}", head.size) }
    };
    assert_eq!(store.checkpoint().await, Ok(None));
    let two = grow().await;
    let four = grow().await;
    let fork = |size| Err(StoreError::Fork { size });
    assert_eq!(store.replace_checkpoint(Some(1), two.clone()).await, fork(2), "nobody made that one");
    assert_eq!(store.replace_checkpoint(None, two.clone()).await, Ok(()), "older than the head, and right");
    assert_eq!(store.replace_checkpoint(None, two.clone()).await, Ok(()), "the same again is harmless");
    assert_eq!(store.replace_checkpoint(None, four.clone()).await, fork(4), "somebody made one meanwhile");
    let wrong = StoredCheckpoint { root: [1; 32], ..four.clone() };
    assert_eq!(store.replace_checkpoint(Some(2), wrong).await, fork(4), "not this log");
    let beyond = StoredCheckpoint { size: 5, ..four.clone() };
    assert_eq!(store.replace_checkpoint(Some(2), beyond).await, fork(5));
    assert_eq!(store.replace_checkpoint(Some(2), four.clone()).await, Ok(()));
    let second_of_a_size = StoredCheckpoint { note: "other".into(), ..four.clone() };
    assert_eq!(store.replace_checkpoint(Some(4), second_of_a_size).await, fork(4));
    assert_eq!(store.replace_checkpoint(Some(4), two).await, fork(2), "never back");
    assert_eq!(store.checkpoint().await, Ok(Some(four)));
}

async fn tokens_are_replaced_by_id<S: Store>(store: &S) {
    let token = |id: &str, revoked: bool| TokenRecord {
        id: id.into(),
        sha256: [3; 32],
        role: "reporter".into(),
        label: format!("label of {id}"),
        entities: vec!["acme".into()],
        created_at: at(0),
        expires_at: Some(at(10)),
        revoked_at: revoked.then(|| at(5)),
    };
    let keep = async |token: TokenRecord| {
        let changeset =
            Changeset { change: Change::Token(token), first: draft("_system", "token.created", 1), more: vec![] };
        store.commit(changeset).await.expect("commits");
    };
    keep(token("b", false)).await;
    keep(token("a", false)).await;
    keep(token("b", true)).await;
    assert_eq!(store.tokens().await, Ok(vec![token("a", false), token("b", true)]));
    assert_eq!(store.head().await.expect("head").size, 3);
}

async fn accounts_change_one_version_at_a_time<S: Store>(store: &S) {
    let account = |id: &str, login: &str, version: u64| AccountRecord {
        id: id.into(),
        version,
        login: login.into(),
        name: format!("name {version}"),
        person: None,
        role: "reporter".into(),
        entities: vec!["acme".into()],
        password: Some("$argon2id$".into()),
        factor: Some(SecondFactor { sealed: vec![1, 2], last_step: version, recovery: vec![[4; 32]] }),
        federated: None,
        created_at: at(0),
        valid_from: at(1),
        disabled_at: None,
    };
    let session = |id: &str| TokenRecord {
        id: id.into(),
        sha256: [3; 32],
        role: "session".into(),
        label: "a".into(),
        entities: vec![],
        created_at: at(0),
        expires_at: Some(at(10)),
        revoked_at: None,
    };
    let keep = async |access: Access| {
        let change = Change::Access(Box::new(access));
        store.commit(Changeset { change, first: draft("_system", "account.changed", 1), more: vec![] }).await
    };
    let only = |account: AccountRecord| Access { account: Some(account), ..Access::default() };
    keep(only(account("b", "kim", 1))).await.expect("made");
    keep(only(account("a", "lea", 1))).await.expect("made");
    // the same login again, the same version again, a version too far: nothing is written, also no entry and no session
    for (id, login, version) in [("c", "kim", 1), ("b", "kim", 1), ("b", "kim", 3), ("x", "new", 2)] {
        let refused = Access { opened: Some(session("no")), ..only(account(id, login, version)) };
        let answer = keep(refused).await;
        assert!(matches!(answer, Err(StoreError::Conflict { .. })), "{id} {login} {version}: {answer:?}");
    }
    assert_eq!(store.head().await.expect("head").size, 2);
    let both = Access { opened: Some(session("s1")), ..only(account("b", "kim", 2)) };
    keep(both).await.expect("changed");
    assert_eq!(store.accounts().await, Ok(vec![account("a", "lea", 1), account("b", "kim", 2)]));
    let next = Access { opened: Some(session("s2")), ended: vec!["s1".into(), "unknown".into()], account: None };
    keep(next).await.expect("changed");
    assert_eq!(store.tokens().await, Ok(vec![session("s2")]));
}

/// A small day at work; a failed write is repeated until it succeeds, as the workflow does.
async fn day<S: Store>(store: &S) {
    let id = record("a").incident.id;
    let key = Idempotency { principal: "token:soc".into(), key: "k".into(), request: [1; 32] };
    loop {
        match store.commit(asked(change(None, record("a"), Some(at(5)), vec![message(&id, "one", 1)]), &key)).await {
            Ok(_) | Err(StoreError::Duplicate { .. }) => break,
            Err(error) => assert!(matches!(error, StoreError::Backend(_)), "{error}"),
        }
    }
    loop {
        let version = store.dossier(&id).await.expect("is there").version;
        let due = store.due(at(6), 10).await.expect("due");
        if due.incidents.is_empty() {
            break;
        }
        // decided again on what is there, so a repetition finds nothing to do
        let _ = store.commit(change(Some(version), record("a"), Some(at(500)), vec![message(&id, "two", 2)])).await;
    }
    let mut now = 10;
    while store.next_outbox(Lane::Mail).await.expect("answers").is_some() {
        now += 100;
        let Ok(claims) = store.claim_outbox(Lane::Mail, at(now), 60, 10).await else { continue };
        let settled =
            claims.into_iter().map(|claim| (claim, handed_over(), draft(&id.0, "message.attempted", 9))).collect();
        let _ = store.settle(settled).await;
    }
    loop {
        let head = store.head().await.expect("head");
        let new = StoredCheckpoint { size: head.size, root: head.root(), note: "note".into() };
        let old = store.checkpoint().await.expect("answers").map(|c| c.size);
        if store.replace_checkpoint(old, new).await.is_ok() {
            break;
        }
    }
}

async fn failed_writes_can_be_repeated<S: Store>(make: &mut impl AsyncFnMut() -> S) {
    let calm = FaultyStore::new(make().await);
    day(&calm).await;
    let expected = check_log(&calm).await;
    for nth in 0..calm.writes() {
        for fault in [Fault::Before, Fault::After] {
            let store = FaultyStore::new(make().await);
            store.fail(nth, fault);
            day(&store).await;
            assert_eq!(check_log(&store).await, expected, "write {nth}, {fault:?}: the same log, nothing twice");
            let dossier = store.dossier(&record("a").incident.id).await.expect("is there");
            let states: Vec<_> = dossier.sent.iter().map(|s| (s.message.reason.step.clone(), s.state)).collect();
            assert_eq!(
                states,
                [("one".to_string(), DeliveryState::HandedOver), ("two".to_string(), DeliveryState::HandedOver)]
            );
            assert_eq!(store.due(at(1000), 10).await.expect("due").incidents.len(), 1, "the alarm is set");
        }
    }
}

/// Everything there is to see, in one value.
pub async fn picture<S: Store>(
    store: &S,
) -> (Vec<Dossier>, Due, Option<Timestamp>, Head, Option<StoredCheckpoint>, Vec<TokenRecord>) {
    let all = Query { limit: 10_000, ..Query::default() };
    (
        store.list(all).await.expect("lists"),
        store.due(at(1_000_000), 10_000).await.expect("due"),
        store.next_outbox(Lane::Mail).await.expect("answers"),
        store.head().await.expect("head"),
        store.checkpoint().await.expect("answers"),
        store.tokens().await.expect("answers"),
    )
}

/// Random histories: the store and the one in memory answer every step alike.
async fn agrees_with_memory<S: Store>(store: &S) {
    let model = MemoryStore::new(ORIGIN);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut held: Vec<(Claim, Claim)> = Vec::new();
    for step in 0..600u64 {
        let now = step as i64;
        let name = random.below(12).to_string();
        let id = record(&name).incident.id;
        match random.below(12) {
            10 => {
                let messages =
                    (0..2).map(|_| message(&IncidentId::house(), &random.below(9).to_string(), step as i64)).collect();
                let first = draft(IncidentId::HOUSE, "house.told", step);
                let changeset = Changeset { change: Change::Messages(messages), first, more: vec![] };
                assert_eq!(store.commit(changeset.clone()).await, model.commit(changeset).await, "step {step}");
            }
            11 => {
                let incident = if random.below(4) == 0 { IncidentId::house() } else { id };
                let key = message(&incident, &random.below(9).to_string(), 0).key;
                let state = DeliveryState::ALL[random.below(7) as usize];
                let first = draft(&incident.0, "message.news", step);
                let news = Delivery { incident, key, state, detail: step.to_string(), at: at(now) };
                let changeset = Changeset { change: Change::Delivery(news), first, more: vec![] };
                assert_eq!(store.commit(changeset.clone()).await, model.commit(changeset).await, "step {step}");
            }
            0..=4 => {
                let stored = model.dossier(&id).await.ok().map(|d| d.version);
                let expected = if random.below(8) == 0 { Some(random.below(5)) } else { stored };
                let wake = (random.below(4) > 0).then(|| at(now + random.below(50) as i64));
                let messages = (0..random.below(3))
                    .map(|_| message(&id, &random.below(9).to_string(), random.below(99) as i64))
                    .collect();
                let mut changeset = change(expected, record(&name), wake, messages);
                changeset.more = (0..random.below(3)).map(|k| draft("_system", "note", k)).collect();
                if random.below(4) == 0 {
                    let key = Idempotency {
                        principal: "p".into(),
                        key: random.below(30).to_string(),
                        request: [random.below(2) as u8; 32],
                    };
                    changeset = asked(changeset, &key);
                }
                assert_eq!(store.commit(changeset.clone()).await, model.commit(changeset).await, "step {step}");
            }
            5 | 6 => {
                let limit = random.below(4) as u32;
                let (ours, theirs) = (
                    store.claim_outbox(Lane::Mail, at(now), 20, limit).await.expect("claims"),
                    model.claim_outbox(Lane::Mail, at(now), 20, limit).await.expect("claims"),
                );
                assert_eq!(ours, theirs, "step {step}");
                held.extend(ours.into_iter().zip(theirs));
            }
            7 if !held.is_empty() => {
                let (ours, theirs) = held.swap_remove(random.below(held.len() as u64) as usize);
                let settlement = match random.below(3) {
                    0 => handed_over(),
                    1 => Settlement {
                        outcome: Outcome::Retry { error: "later".into(), after_seconds: None },
                        at: at(now),
                        retry_at: Some(at(now + 15)),
                    },
                    _ => Settlement { outcome: Outcome::Refused { error: "no".into() }, at: at(now), retry_at: None },
                };
                let evidence = draft(&ours.message.incident.0, "message.attempted", step);
                let ours = store.settle(vec![(ours, settlement.clone(), evidence.clone())]).await;
                assert_eq!(ours, model.settle(vec![(theirs, settlement, evidence)]).await, "step {step}");
            }
            8 => {
                let head = model.head().await.expect("head");
                let new = StoredCheckpoint { size: head.size, root: head.root(), note: step.to_string() };
                let old = if random.below(4) == 0 {
                    None
                } else {
                    model.checkpoint().await.expect("answers").map(|c| c.size)
                };
                assert_eq!(
                    store.replace_checkpoint(old, new.clone()).await,
                    model.replace_checkpoint(old, new).await,
                    "step {step}"
                );
            }
            _ => assert_eq!(store.due(at(now), 3).await, model.due(at(now), 3).await, "step {step}"),
        }
    }
    assert_eq!(picture(store).await, picture(&model).await);
    let house = IncidentId::house();
    assert_eq!(store.sent(&house, 7).await, model.sent(&house, 7).await);
    check_log(store).await;
}

/// xorshift: the same history in each run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[test]
fn sealing_needs_only_the_place() {
    // the store may seal anew after a rollback: the same draft at the same place is the same entry
    let (draft, end) = (draft("s", "note", 1), StreamHead { n: 4, prev: [9; 32] });
    assert_eq!(seal(&draft, ORIGIN, 7, &end), seal(&draft, ORIGIN, 7, &end));
}
