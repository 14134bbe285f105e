//! Erased values are gone: for every reader of every store, and from every byte of every file of the one in a file.

use super::{ORIGIN, Random, asked, at, change, check_log, draft, handed_over, message, record};
use breachclock::evidence::Disclosure;
use breachclock::law::{IncidentId, Value};
use breachclock::store::{Change, Changeset, Erasure, Idempotency, Lane, Record, SqliteStore, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn disclosure(seed: u8, pointer: &str, text: &str) -> Disclosure {
    Disclosure::new(&[seed; 32], pointer, &text)
}

/// A record in which `text` stands as title and as a fact.
fn telling(name: &str, text: &str) -> Record {
    let mut record = record(name);
    record.incident.title = text.to_string();
    let mut fact = record.incident.facts.history()[2].clone();
    fact.value = Some(Value::Text(format!("said of {text}")));
    record.incident.facts.assert(fact);
    record
}

fn erasing(erasure: Erasure) -> Changeset {
    let first = draft(&erasure.record.incident.id.0, "disclosure.erased", 9);
    Changeset { change: Change::Erase(Box::new(erasure)), first, more: vec![] }
}

fn erasure(expected: u64, record: Record, commitments: &[[u8; 32]]) -> Erasure {
    let commitments = commitments.iter().copied().collect();
    Erasure { expected, record, wake_at: Some(at(70)), commitments, messages: vec![], reference: None }
}

/// One exercise for every store.
pub async fn erased_values_are_gone<S: Store>(store: &S) {
    let id = IncidentId("inc-a".into());
    let mut first = telling("a", "Jane Roe's laptop");
    (first.incident.source, first.incident.reference) = (Some("siem".into()), Some("ROE-7".into()));
    let mut told = message(&id, "start", 5);
    told.brief.incident_title = "Jane Roe's laptop".into();
    let key = Idempotency { principal: "token:soc".into(), key: "k1".into(), request: [1; 32] };
    let kept = [disclosure(1, "/entity", "Acme"), disclosure(2, "/by", "lea")];
    let gone = [disclosure(3, "/title", "Jane Roe's laptop"), disclosure(4, "/facts/2/value", "said of Jane Roe")];
    let mut report = asked(change(None, first.clone(), Some(at(50)), vec![told.clone()]), &key);
    let all = vec![kept[0].clone(), gone[0].clone(), gone[1].clone(), kept[1].clone()];
    report.first = report.first.with_disclosures(all);
    report.more = vec![draft(&id.0, "facts.asserted", 3).with_disclosures(vec![gone[1].clone()])];
    store.commit(report).await.expect("commits");
    // the same value of another incident is none of it
    let mut other = change(None, telling("b", "Jane Roe's laptop"), None, vec![]);
    other.first = other.first.with_disclosures(vec![gone[0].clone()]);
    store.commit(other).await.expect("commits");
    let claims = store.claim_outbox(Lane::Mail, at(8), 60, 9).await.expect("claims");
    let settled = claims.into_iter().map(|claim| (claim, handed_over(), draft(&id.0, "message.attempted", 4)));
    store.settle(settled.collect()).await.expect("settles");

    let before = (store.dossier(&id).await, store.disclosures(&id.0).await, store.head().await);
    let commitments = gone.clone().map(|disclosure| disclosure.commitment);
    let stale = store.commit(erasing(erasure(7, telling("a", "erased"), &commitments))).await;
    assert_eq!(stale, Err(StoreError::Conflict { stored: Some(1) }));
    let unknown = store.commit(erasing(erasure(1, telling("nobody", "erased"), &commitments))).await;
    assert!(matches!(unknown, Err(StoreError::NotFound | StoreError::Conflict { stored: None })), "{unknown:?}");
    assert_eq!((store.dossier(&id).await, store.disclosures(&id.0).await, store.head().await), before);

    let mut after = telling("a", "erased");
    (after.incident.source, after.incident.reference) = (Some("siem".into()), Some("erased".into()));
    told.brief.incident_title = "erased".into();
    let mut erasure = erasure(1, after.clone(), &commitments);
    erasure.messages = vec![(told.clone(), Some("erased".into())), (message(&id, "unknown", 5), None)];
    erasure.reference = Some(("siem".into(), "ROE-7".into()));
    let receipt = store.commit(erasing(erasure)).await.expect("commits");
    assert_eq!(receipt.version, 2);
    let dossier = store.dossier(&id).await.expect("is there");
    assert_eq!((dossier.version, &dossier.record), (2, &after));
    assert_eq!(dossier.sent.len(), 1, "erasing queues nothing");
    assert_eq!((&*dossier.sent[0].message, dossier.sent[0].detail.as_deref()), (&told, Some("erased")));
    assert_eq!((dossier.sent[0].state, dossier.sent[0].attempts), (before.0.as_ref().expect("was").sent[0].state, 1));
    let left: BTreeMap<_, _> = kept.iter().map(|d| (d.commitment, d.bytes.clone())).collect();
    assert_eq!(store.disclosures(&id.0).await, Ok(left));
    assert_eq!(store.disclosures("inc-b").await.expect("read").len(), 1);
    assert_eq!(
        store.dossier(&IncidentId("inc-b".into())).await.expect("read").record.incident.title,
        "Jane Roe's laptop"
    );

    // the hash of the request is gone: its key alone knows it
    let other_request = Idempotency { request: [2; 32], ..key.clone() };
    for key in [&key, &other_request] {
        assert_eq!(store.accepted(key).await, Ok(Some((id.clone(), true))));
        let again = store.commit(asked(change(None, record("z"), None, vec![]), key)).await;
        assert_eq!(again, Err(StoreError::Duplicate { incident: id.clone(), same_request: true }));
    }
    // and nobody can ask any more whether there was such a reference
    first.incident.id = IncidentId("inc-again".into());
    store.commit(change(None, first, None, vec![])).await.expect("is new");
    assert_eq!(store.due(at(80), 9).await.expect("due").incidents, [id]);
    check_log(store).await;
}

/// Names of the files under `dir` that hold `needle`.
pub fn files_with(dir: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("is readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if memmem(&std::fs::read(&path).expect("is readable"), needle) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn memmem(text: &[u8], needle: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == needle[0]) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_values_are_in_no_byte_of_the_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(dir.path(), ORIGIN).expect("opens");
    let mut random = Random(0x9e37_79b9);
    let mark = |n: u64| format!("MARK{n:06}");
    let text = |n: u64, length: u64| format!("{}{}", mark(n), "x".repeat(length as usize));
    const INCIDENTS: u64 = 60;
    let id = |n: u64| IncidentId(format!("inc-r{n}"));
    let mut versions = vec![0u64; INCIDENTS as usize];
    // records of every size, written again and again, so that rows move between pages and leave copies
    for round in 0..4 {
        for n in 0..INCIDENTS {
            let length = [50, 700, 3000, 7000, 20_000][random.below(5) as usize];
            let expected = (round > 0).then_some(versions[n as usize]);
            let mut told = message(&id(n), &format!("step{round}"), 5);
            told.brief.incident_title = text(n, random.below(900));
            let mut changeset = change(expected, telling(&format!("r{n}"), &text(n, length)), None, vec![told]);
            let disclosure = disclosure((n + round) as u8, "/title", &text(n, length));
            changeset.first = changeset.first.with_disclosures(vec![disclosure]);
            versions[n as usize] = store.commit(changeset).await.expect("commits").version;
        }
    }
    assert!(!files_with(dir.path(), mark(3).as_bytes()).is_empty(), "the search finds nothing at all");
    let erased: BTreeSet<u64> = (0..INCIDENTS).filter(|_| random.below(3) == 0).collect();
    for n in &erased {
        let dossier = store.dossier(&id(*n)).await.expect("is there");
        let commitments: Vec<_> = store.disclosures(&id(*n).0).await.expect("read").into_keys().collect();
        assert_eq!(commitments.len(), 4);
        let mut erasure = erasure(dossier.version, record(&format!("r{n}")), &commitments);
        for sent in dossier.sent {
            let mut message = (*sent.message).clone();
            message.brief.incident_title = "erased".into();
            erasure.messages.push((message, None));
        }
        store.commit(erasing(erasure)).await.expect("commits");
        assert_eq!(files_with(dir.path(), mark(*n).as_bytes()), Vec::<String>::new(), "{}", mark(*n));
        assert_eq!(std::fs::metadata(dir.path().join("breachclock.db-wal")).expect("is there").len(), 0);
    }
    for n in (0..INCIDENTS).filter(|n| !erased.contains(n)) {
        assert_eq!(store.disclosures(&id(n).0).await.expect("read").len(), 4, "{}", mark(n));
        assert!(store.dossier(&id(n)).await.expect("read").record.incident.title.starts_with(&mark(n)));
    }
    check_log(&store).await;
}

/// Copies a database with its write-ahead log.
fn copy(from: &Path, to: &Path, name: &str) {
    for name in [name.to_string(), format!("{name}-wal")].iter().filter(|name| from.join(name).exists()) {
        std::fs::copy(from.join(name), to.join(name)).expect("copies");
    }
}

fn files_of(dir: &Path, start: &str) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(dir).expect("is readable").map(|entry| entry.expect("an entry").path());
    files.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))).collect()
}

#[tokio::test]
async fn a_backup_from_before_does_not_bring_a_disclosure_back() {
    let (dir, old) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let store = SqliteStore::open(dir.path(), ORIGIN).expect("opens");
    let (gone, kept) = (disclosure(1, "/title", "Jane Roe's laptop"), disclosure(2, "/by", "lea"));
    let mut report = change(None, record("a"), None, vec![]);
    report.first = report.first.with_disclosures(vec![gone.clone(), kept.clone()]);
    store.commit(report).await.expect("commits");
    drop(store);
    copy(dir.path(), old.path(), "breachclock.db");
    let store = SqliteStore::open(dir.path(), ORIGIN).expect("opens");
    store.commit(erasing(erasure(1, record("a"), &[gone.commitment]))).await.expect("commits");
    drop(store);
    // the keys have no backup in this test: they are those of today
    copy(dir.path(), old.path(), "keys.db");
    let restored = SqliteStore::open(old.path(), ORIGIN).expect("opens");
    assert_eq!(restored.disclosures("inc-a").await, Ok(BTreeMap::from([(kept.commitment, kept.bytes.clone())])));
    drop(restored);
    // keys that are lost are told as lost, not as erased
    files_of(old.path(), "keys.db").iter().for_each(|file| std::fs::remove_file(file).expect("removes"));
    let lost = SqliteStore::open(old.path(), ORIGIN).expect("opens").disclosures("inc-a").await;
    assert!(lost.expect_err("no keys").to_string().contains("keys.db"));
}

#[tokio::test]
async fn disclosures_of_earlier_versions_are_sealed_at_the_next_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(dir.path(), ORIGIN).expect("opens");
    let given: Vec<_> =
        (0..2100u32).map(|n| Disclosure::new(&[(n % 251) as u8; 32], "/by", &format!("PLAIN{n:05}"))).collect();
    for disclosures in given.chunks(2) {
        let first = draft("inc-a", "note", 1).with_disclosures(disclosures.to_vec());
        let noted = Changeset { change: Change::Nothing, first, more: vec![] };
        store.commit(noted).await.expect("commits");
    }
    let before = store.disclosures("inc-a").await.expect("read");
    assert_eq!(before.len(), given.len());
    drop(store);
    assert_eq!(files_with(dir.path(), b"PLAIN0"), Vec::<String>::new(), "a disclosure stands in clear");

    // as the version before this one left it
    let sql = rusqlite::Connection::open(dir.path().join("breachclock.db")).expect("opens");
    sql.execute("DELETE FROM disclosure", []).expect("deletes");
    for (idx, disclosures) in given.chunks(2).enumerate() {
        let body: Vec<u8> =
            disclosures.iter().flat_map(|d| [&(d.bytes.len() as u32).to_le_bytes()[..], &d.bytes].concat()).collect();
        sql.execute("INSERT INTO disclosure_plain (idx, body) VALUES (?1, ?2)", (idx as i64, body)).expect("inserts");
    }
    drop(sql);
    assert!(!files_with(dir.path(), b"PLAIN00007").is_empty());
    for _ in 0..2 {
        let store = SqliteStore::open(dir.path(), ORIGIN).expect("opens");
        assert_eq!(files_with(dir.path(), b"PLAIN0"), Vec::<String>::new(), "a disclosure stands in clear");
        assert_eq!(store.disclosures("inc-a").await.expect("read"), before);
    }
}

#[tokio::test]
async fn an_erasure_that_was_cut_short_is_finished_at_the_next_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(dir.path(), ORIGIN).expect("opens");
    let kept = disclosure(2, "/by", "lea");
    let mut report = change(None, record("a"), None, vec![]);
    report.first = report.first.with_disclosures(vec![kept.clone()]);
    store.commit(report).await.expect("commits");
    drop(store);
    // killed between the commit and the destruction of the key
    let sql = rusqlite::Connection::open(dir.path().join("breachclock.db")).expect("opens");
    let body: Vec<u8> = sql.query_row("SELECT body FROM disclosure", [], |row| row.get(0)).expect("is there");
    let sheet = i64::from_le_bytes(body[32..40].try_into().expect("8 bytes"));
    sql.execute("INSERT INTO key_to_destroy (sheet, place) VALUES (?1, ?2)", (sheet, body[40])).expect("inserts");
    drop(sql);
    let store = SqliteStore::open(dir.path(), ORIGIN).expect("opens");
    assert_eq!(store.disclosures("inc-a").await, Ok(BTreeMap::new()), "the key is destroyed");
    let sql = rusqlite::Connection::open(dir.path().join("breachclock.db")).expect("opens");
    let left: i64 = sql.query_row("SELECT count(*) FROM key_to_destroy", [], |row| row.get(0)).expect("counts");
    assert_eq!(left, 0);
}
