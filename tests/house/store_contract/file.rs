//! What a store in a file promises besides: it is the same after a restart, held by one process, refuses changes of
//! evidence, survives a full disk and a killed process.

use super::{ORIGIN, Random, at, change, check_log, draft, handed_over, message, picture, record};
use breachclock::evidence::leaf_hash;
use breachclock::store::{Change, Changeset, Lane, SqliteStore, Store, StoreError, StoredCheckpoint, TokenRecord};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const FILE: &str = "breachclock.db";

fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, ORIGIN).expect("opens")
}

/// Some of everything.
pub async fn fill<S: Store>(store: &S) {
    for n in 0..20 {
        let name = format!("f{n}");
        let id = record(&name).incident.id;
        let messages = (0..n % 4).map(|k| message(&id, &k.to_string(), 100 - n)).collect();
        store.commit(change(None, record(&name), (n % 3 > 0).then(|| at(50 - n)), messages)).await.expect("commits");
    }
    let claims = store.claim_outbox(Lane::Mail, at(0), 60, 5).await.expect("claims");
    let settled = claims
        .into_iter()
        .skip(2)
        .map(|claim| (claim, handed_over(), draft("inc-f1", "message.attempted", 1)))
        .collect();
    store.settle(settled).await.expect("settles");
    let head = store.head().await.expect("head");
    store
        .replace_checkpoint(None, StoredCheckpoint { size: head.size, root: head.root(), note: "n".into() })
        .await
        .expect("is first");
    let token = TokenRecord {
        id: "t".into(),
        sha256: [1; 32],
        role: "auditor".into(),
        label: "l".into(),
        entities: vec![],
        created_at: at(0),
        expires_at: None,
        revoked_at: None,
    };
    let kept = Changeset { change: Change::Token(token), first: draft("_system", "token.created", 2), more: vec![] };
    store.commit(kept).await.expect("commits");
}

#[tokio::test]
async fn a_reopened_store_is_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    fill(&store).await;
    let before = picture(&store).await;
    drop(store);
    let store = open(dir.path());
    assert_eq!(picture(&store).await, before);
    check_log(&store).await;
    // leases are kept: two of five are still held
    let free = store.claim_outbox(Lane::Mail, at(1), 60, 100).await.expect("claims").len();
    assert_eq!(free, before.0.iter().map(|d| d.sent.len()).sum::<usize>() - 5);
    assert_eq!(store.claim_outbox(Lane::Mail, at(61), 60, 100).await.expect("claims").len(), 2);
    store.commit(change(Some(1), record("f3"), Some(at(7)), vec![])).await.expect("streams go on");
    check_log(&store).await;
}

#[tokio::test]
async fn waits_of_a_wrong_clock_are_void_after_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let id = record("w").incident.id;
    store.commit(change(None, record("w"), None, vec![message(&id, "one", 1)])).await.expect("commits");
    assert_eq!(store.claim_outbox(Lane::Mail, at(86_400), 60, 5).await.expect("claims").len(), 1);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.claim_outbox(Lane::Mail, at(10), 60, 5).await.expect("claims").len(), 1);
    assert_eq!(store.claim_outbox(Lane::Mail, at(11), 60, 5).await.expect("claims").len(), 0);
}

#[tokio::test]
async fn a_second_daemon_is_locked_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let second = SqliteStore::open(dir.path(), ORIGIN).expect_err("is held");
    assert_eq!(second, StoreError::Locked(dir.path().display().to_string()));
    drop(store);
    open(dir.path());
}

#[tokio::test]
async fn a_log_keeps_its_name() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(open(dir.path()));
    let other = SqliteStore::open(dir.path(), "breach.example.org/other").expect_err("another log");
    assert!(other.to_string().contains("`breach.example.org/test`"), "{other}");
    open(dir.path());
}

#[tokio::test]
async fn foreign_and_newer_files_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let sql = rusqlite::Connection::open(dir.path().join(FILE)).expect("opens");
    sql.execute_batch("CREATE TABLE somebody (else_s TEXT)").expect("makes");
    assert!(SqliteStore::open(dir.path(), ORIGIN).expect_err("not ours").to_string().contains("another program"));

    let dir = tempfile::tempdir().expect("a folder");
    drop(open(dir.path()));
    let sql = rusqlite::Connection::open(dir.path().join(FILE)).expect("opens");
    sql.execute_batch("PRAGMA user_version = 99").expect("sets");
    assert!(SqliteStore::open(dir.path(), ORIGIN).expect_err("newer").to_string().contains("run a newer one"));
    sql.execute_batch("PRAGMA user_version = 1; UPDATE migration SET sha256 = x'00'").expect("sets");
    assert!(SqliteStore::open(dir.path(), ORIGIN).expect_err("changed").to_string().contains("0001_first"));
}

#[tokio::test]
async fn only_the_owner_reads_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    fill(&store).await;
    for name in [FILE.to_string(), format!("{FILE}-wal")] {
        let mode = std::fs::metadata(dir.path().join(&name)).expect("is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[tokio::test]
async fn evidence_refuses_changes() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    fill(&store).await;
    let before = check_log(&store).await;
    let sql = rusqlite::Connection::open(dir.path().join(FILE)).expect("opens");
    let refused = |statement: &str, why: &str| {
        let error = sql.execute(statement, []).expect_err(statement).to_string();
        assert!(error.contains(why), "{statement}: {error}");
    };
    refused("UPDATE entry SET bytes = x'00' WHERE idx = 3", "never changed");
    refused("DELETE FROM entry WHERE idx = 3", "never deleted");
    refused("DELETE FROM entry", "never deleted");
    refused("INSERT INTO entry SELECT idx + 1000, stream, n + 1000, nodes, bytes FROM entry LIMIT 1", "no gaps");
    refused("REPLACE INTO entry SELECT * FROM entry WHERE idx = 3", "no gaps");
    assert_eq!(check_log(&store).await, before);
}

#[tokio::test]
async fn a_damaged_end_of_the_log_is_noticed() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    fill(&store).await;
    drop(store);
    let sql = rusqlite::Connection::open(dir.path().join(FILE)).expect("opens");
    sql.execute_batch("DROP TRIGGER entry_is_never_changed; UPDATE entry SET bytes = CAST(bytes || ' ' AS BLOB) WHERE idx = (SELECT max(idx) FROM entry)").expect("forges");
    drop(sql);
    assert!(SqliteStore::open(dir.path(), ORIGIN).expect_err("forged").to_string().contains("evidence fsck"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Arc::new(open(dir.path()));
    fill(&*store).await;
    let before = store.head().await.expect("head").size;
    let pages = std::fs::metadata(dir.path().join(FILE)).map_or(0, |m| m.len() / 8192) as u32;
    store.limit_pages(pages.max(60) + 40).await.expect("limits");
    let committer = |who: u64| {
        let store = store.clone();
        tokio::spawn(async move {
            let (mut kept, mut lost) = (Vec::new(), Vec::new());
            for n in 0..6 {
                let mut record = record(&format!("d{who}-{n}"));
                record.incident.title = "x".repeat(if who == 0 { 400_000 } else { 2000 });
                let id = record.incident.id.clone();
                match store.commit(change(None, record, Some(at(who as i64)), vec![message(&id, "one", 1)])).await {
                    Ok(receipt) => kept.push((id, receipt)),
                    Err(StoreError::Backend(_)) => lost.push(id),
                    Err(error) => panic!("{error}"),
                }
            }
            (kept, lost)
        })
    };
    let committers: Vec<_> = (0..32).map(committer).collect();
    let (mut kept, mut lost) = (Vec::new(), Vec::new());
    for committer in committers {
        let (k, l) = committer.await.expect("ran");
        kept.extend(k);
        lost.extend(l);
    }
    assert!(lost.len() > 32, "the disk was full");
    assert!(store.commit(change(None, record("huge"), None, vec![])).await.is_err() || !kept.is_empty());
    let same = async |store: &SqliteStore| {
        let (_, due, ..) = picture(store).await;
        for (id, receipt) in &kept {
            assert_eq!(store.dossier(id).await.expect("was acknowledged").version, 1);
            assert!(due.incidents.contains(id));
            let (idx, leaf) = receipt.entries[0];
            assert_eq!(leaf_hash(&store.entries(idx..idx + 1).await.expect("entries")[0].bytes), leaf);
        }
        for id in &lost {
            assert_eq!(store.dossier(id).await, Err(StoreError::NotFound));
            assert!(!due.incidents.contains(id), "no alarm of what was not written");
        }
        check_log(store).await;
    };
    same(&store).await;
    store.limit_pages(u32::MAX - 1).await.expect("there is space again");
    store.commit(change(None, record("after"), Some(at(3)), vec![])).await.expect("goes on");
    same(&store).await;
    assert!(store.head().await.expect("head").size > before + kept.len() as u64);
    let claimable = store.claim_outbox(Lane::Mail, at(100), 60, 10_000).await.expect("claims");
    let ours = |c: &&breachclock::store::Claim| c.message.incident.0.starts_with("inc-d");
    assert_eq!(claimable.iter().filter(ours).count(), kept.len(), "messages of what was written, and no others");
    let before = picture(&*store).await;
    drop(store);
    let store = open(dir.path());
    assert_eq!(picture(&store).await, before);
    same(&store).await;
}

#[tokio::test]
async fn a_torn_write_ahead_log_ends_at_a_commit() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    for n in 0..40 {
        store.commit(change(None, record(&format!("t{n}")), Some(at(n)), vec![])).await.expect("commits");
    }
    let whole = store.entries(0..100).await.expect("entries");
    // two files of a machine that lost its power; taken well before the log is copied back
    let (file, wal) = (
        std::fs::read(dir.path().join(FILE)).expect("reads"),
        std::fs::read(dir.path().join(format!("{FILE}-wal"))).expect("reads"),
    );
    let mut random = Random(77);
    let mut sizes = Vec::new();
    for round in 0..12 {
        let torn = tempfile::tempdir().expect("a folder");
        std::fs::write(torn.path().join(FILE), &file).expect("writes");
        let mut wal = wal[..random.below(wal.len() as u64 + 1) as usize].to_vec();
        if round % 3 == 0 && wal.len() > 9000 {
            let at = wal.len() - 1 - random.below(4000) as usize;
            wal[at] ^= 0x40;
        }
        std::fs::write(torn.path().join(format!("{FILE}-wal")), wal).expect("writes");
        let store = open(torn.path());
        let head = check_log(&store).await;
        assert_eq!(store.entries(0..head.size).await.expect("entries"), whole[..head.size as usize]);
        assert_eq!(store.due(at(1000), 100).await.expect("due").incidents.len() as u64, head.size);
        store.commit(change(None, record("next"), None, vec![])).await.expect("goes on");
        sizes.push(head.size);
    }
    assert!(sizes.iter().any(|size| *size > 0 && *size < 40), "{sizes:?}");
}

const CHILD: &str = "BREACHCLOCK_TEST_STORE_CHILD";

/// Writes without end and says what was acknowledged. Does nothing unless its parent below asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let store = Arc::new(open(Path::new(&dir)));
    let round = store.head().await.expect("head").size;
    let writer = |who: u64| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0.. {
                let name = format!("r{round}w{who}n{}", n / 2);
                let record = record(&name);
                let id = record.incident.id.clone();
                let expected = (n % 2 == 1).then_some(1);
                let mut changeset = change(expected, record, Some(at(n as i64)), vec![message(&id, &n.to_string(), 1)]);
                changeset.more = vec![draft("_system", "note", n)];
                let receipt = store.commit(changeset).await.expect("commits");
                let (idx, leaf) = receipt.entries[1];
                let said = format!("ack {id} {} {idx} {}\n", receipt.version, breachclock::evidence::hex(&leaf));
                std::io::stdout().lock().write_all(said.as_bytes()).expect("the parent listens");
                if who == 0 && n % 8 == 0 {
                    let claims = store.claim_outbox(Lane::Mail, at(n as i64), 60, 8).await.expect("claims");
                    let settled =
                        claims.into_iter().map(|c| (c, handed_over(), draft(&id.0, "message.attempted", n))).collect();
                    store.settle(settled).await.expect("settles");
                }
            }
        })
    };
    for writer in (0..8).map(writer).collect::<Vec<_>>() {
        writer.await.expect("ran");
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut random = Random(0x5eed);
    let mut acknowledged: Vec<String> = Vec::new();
    let this = std::env::current_exe().expect("a test binary");
    let name =
        format!("{}::child_that_is_killed", module_path!().split_once("::").map_or(module_path!(), |(_, path)| path));
    for round in 0..6 {
        let mut child = Command::new(&this)
            .args([name.as_str(), "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("starts");
        let mut said = BufReader::new(child.stdout.take().expect("is piped"));
        let listener = std::thread::spawn(move || {
            let mut heard: Vec<String> = Vec::new();
            let mut line = String::new();
            // a line without its end was cut by the kill
            while said.read_line(&mut line).is_ok_and(|n| n > 0) && line.ends_with('\n') {
                // libtest's own words may stand before the first one
                if let Some(at) = line.find("ack ") {
                    heard.push(line[at..].trim_end().to_string());
                }
                line.clear();
            }
            heard
        });
        std::thread::sleep(Duration::from_millis(150 + random.below(500)));
        child.kill().expect("SIGKILL");
        child.wait().expect("ended");
        acknowledged.extend(listener.join().expect("listened"));

        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let store = open(dir.path());
            let head = check_log(&store).await;
            let entries = store.entries(0..head.size).await.expect("entries");
            for line in &acknowledged {
                let words: Vec<&str> = line.split(' ').collect();
                let [_, id, version, idx, leaf] = words[..] else { panic!("`{line}`") };
                let dossier = store.dossier(&breachclock::law::IncidentId(id.into())).await.expect("was acknowledged");
                assert!(dossier.version >= version.parse().expect("a number"), "round {round}: {line}");
                assert_eq!(dossier.sent.len() as u64, dossier.version, "each version queued one message");
                let entry = &entries[idx.parse::<usize>().expect("a number")];
                assert_eq!(breachclock::evidence::hex(&leaf_hash(&entry.bytes)), leaf, "round {round}: {line}");
            }
            let incidents =
                store.list(breachclock::store::Query { limit: u32::MAX, ..Default::default() }).await.expect("lists");
            assert_eq!(
                store.due(at(10_000_000), u32::MAX).await.expect("due").incidents.len(),
                incidents.len(),
                "no alarm is lost"
            );
        });
    }
    assert!(acknowledged.len() > 100, "only {} commits in all rounds", acknowledged.len());
}
