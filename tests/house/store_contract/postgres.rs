//! What a store in a shared database promises besides: two nodes keep one log, a lost server comes back, another log is
//! refused, evidence refuses changes, and TLS is what it says.

use super::file::fill;
use super::{ORIGIN, at, change, check_log, draft, handed_over, message, picture, record};
use crate::support::postgres::{Cluster, cluster, connect, key, open};
use breachclock::evidence::{SigningKey, leaf_hash};
use breachclock::store::Keeper;
use breachclock::store::postgres::Settings;
use breachclock::store::{Change, Changeset, Claim, Lane, PgStore, Store, StoreError};
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

async fn refusal(url: &str) -> String {
    open(url, ORIGIN).await.expect_err("is refused").to_string()
}

#[tokio::test]
async fn another_connection_sees_the_same() {
    let url = cluster().database();
    let store = open(&url, ORIGIN).await.expect("opens");
    fill(&store).await;
    let before = picture(&store).await;
    drop(store);
    let store = open(&url, ORIGIN).await.expect("opens");
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
async fn a_log_keeps_its_name_and_its_key() {
    let url = cluster().database();
    open(&url, ORIGIN).await.expect("opens");
    let other = open(&url, "breach.example.org/other").await.expect_err("another log").to_string();
    assert!(other.contains("`breach.example.org/test`"), "{other}");
    let (settings, stranger) = (Settings::parse(&url, None, None).expect("a URL"), SigningKey::from_seed(&[8; 32]));
    let other = PgStore::open(&settings, ORIGIN, &stranger.public(), Keeper::of_tests())
        .await
        .expect_err("another key")
        .to_string();
    assert!(other.contains("another key; copy `keys/`"), "{other}");
    open(&url, ORIGIN).await.expect("opens again");
}

#[tokio::test]
async fn foreign_and_newer_databases_are_refused() {
    let url = cluster().database();
    let other = cluster().database();
    let sql = connect(&other).await;
    sql.batch_execute("CREATE SCHEMA breachclock; CREATE TABLE breachclock.somebody (else_s text)")
        .await
        .expect("makes");
    assert!(refusal(&other).await.contains("another program"));
    sql.batch_execute("DROP SCHEMA breachclock CASCADE; CREATE TABLE public.stream (x text)").await.expect("drops");
    open(&other, ORIGIN).await.expect("what others keep in their schemas is no matter");

    open(&url, ORIGIN).await.expect("opens");
    let sql = connect(&url).await;
    sql.batch_execute("INSERT INTO migration VALUES (99, 'later', 'x')").await.expect("writes");
    assert!(refusal(&url).await.contains("run a newer one"));
    sql.batch_execute("DELETE FROM migration WHERE number = 99; UPDATE migration SET sha256 = 'x'")
        .await
        .expect("writes");
    assert!(refusal(&url).await.contains("0001_first"));

    let latin = cluster().database();
    let sql = connect(&latin).await;
    let make = "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'";
    sql.batch_execute(make).await.expect("makes");
    assert!(refusal(&cluster().url("latin")).await.contains("--encoding=UTF8"));
    let text = refusal(&cluster().url("nowhere")).await;
    assert!(text.contains("\"nowhere\" does not exist (3D000)") && text.contains("check `[store].url`"), "{text}");
}

#[tokio::test]
async fn nodes_that_start_together_make_one_database() {
    let url = cluster().database();
    let starts = (0..6).map(|_| {
        let url = url.clone();
        tokio::spawn(async move { open(&url, ORIGIN).await.map(drop) })
    });
    for start in starts.collect::<Vec<_>>() {
        start.await.expect("ran").expect("opens");
    }
}

#[tokio::test]
async fn evidence_refuses_changes() {
    let url = cluster().database();
    let store = open(&url, ORIGIN).await.expect("opens");
    fill(&store).await;
    let before = check_log(&store).await;
    let sql = connect(&url).await;
    let insert = "INSERT INTO entry SELECT idx + 1000, stream, n + 1000, nodes, bytes FROM entry WHERE idx < 2";
    for replica in [false, true] {
        if replica {
            sql.batch_execute("SET session_replication_role = replica").await.expect("sets");
        }
        for (statement, why) in [
            ("UPDATE entry SET bytes = '' WHERE idx = 3", "never changed"),
            ("DELETE FROM entry WHERE idx = 3", "never deleted"),
            ("DELETE FROM entry", "never deleted"),
            ("TRUNCATE entry CASCADE", "never deleted"),
            (insert, "no gaps"),
            ("INSERT INTO entry SELECT * FROM entry WHERE idx = 3 ON CONFLICT (idx) DO UPDATE SET n = 0", "no gaps"),
        ] {
            let error = sql.batch_execute(statement).await.expect_err(statement);
            let error = error.as_db_error().expect("the server's words").message().to_string();
            assert!(error.contains(why), "{statement}: {error}");
        }
    }
    assert_eq!(check_log(&store).await, before);
}

#[tokio::test]
async fn a_damaged_end_of_the_log_is_noticed() {
    for forgery in [
        "UPDATE entry SET bytes = bytes || ' '::bytea WHERE idx = (SELECT max(idx) FROM entry)",
        "UPDATE entry SET nodes = substring(nodes FROM 1 FOR 32) WHERE idx = 15",
        "DELETE FROM entry WHERE idx = (SELECT max(idx) FROM entry)",
        "UPDATE log SET head = '\\x0000000000000000'",
        "UPDATE log SET head = ''",
    ] {
        let url = cluster().database();
        let store = open(&url, ORIGIN).await.expect("opens");
        fill(&store).await;
        drop(store);
        let sql = connect(&url).await;
        sql.batch_execute(&format!("ALTER TABLE entry DISABLE TRIGGER ALL; {forgery}")).await.expect("forges");
        let error = refusal(&url).await;
        assert!(error.contains("evidence fsck"), "{forgery}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_write_one_log_and_claim_each_message_once() {
    let url = cluster().database();
    let nodes =
        [Arc::new(open(&url, ORIGIN).await.expect("opens")), Arc::new(open(&url, ORIGIN).await.expect("opens"))];
    // both want every version of four shared incidents: of two commits on one version, one wins
    let worker = |who: usize| {
        let store = nodes[who % 2].clone();
        tokio::spawn(async move {
            let (mut won, mut lost, mut claimed) = (Vec::new(), 0, Vec::new());
            for n in 0..20u64 {
                let name = format!("n{}", n % 4);
                let id = record(&name).incident.id;
                let expected = store.dossier(&id).await.ok().map(|d| d.version);
                let step = format!("{who}-{n}");
                match store.commit(change(expected, record(&name), Some(at(1)), vec![message(&id, &step, 1)])).await {
                    Ok(receipt) => won.push((id, receipt)),
                    Err(StoreError::Conflict { .. }) => lost += 1,
                    Err(error) => panic!("{error}"),
                }
                claimed.extend(store.claim_outbox(Lane::Mail, at(2), 600, 3).await.expect("claims"));
            }
            (won, lost, claimed)
        })
    };
    let workers: Vec<_> = (0..8).map(worker).collect();
    let (mut won, mut lost, mut claims): (Vec<_>, _, Vec<Claim>) = (Vec::new(), 0, Vec::new());
    for worker in workers {
        let (w, l, c) = worker.await.expect("ran");
        won.extend(w);
        lost += l;
        claims.extend(c);
    }
    claims.extend(nodes[1].claim_outbox(Lane::Mail, at(3), 600, 1000).await.expect("claims"));
    assert!(lost > 0, "they never met");
    assert_eq!(won.len() + lost, 160);
    let versions: BTreeSet<_> = won.iter().map(|(id, receipt)| (id.clone(), receipt.version)).collect();
    assert_eq!(versions.len(), won.len(), "no version was given twice");
    let keys: BTreeSet<_> = claims.iter().map(|c| c.message.key.clone()).collect();
    assert_eq!((keys.len(), claims.len()), (won.len(), won.len()), "each message was claimed once");
    // each node settles what the other one claimed in its stead: a claim is known by its number, not by its holder
    let settlements: Vec<_> = claims
        .into_iter()
        .map(|claim| {
            let stream = claim.message.incident.0.clone();
            (claim, handed_over(), draft(&stream, "message.attempted", 1))
        })
        .collect();
    let settled = nodes[0].settle(settlements).await.expect("settles");
    assert!(settled.iter().all(Result::is_ok));
    let head = check_log(&*nodes[0]).await;
    assert_eq!(head.size as usize, 2 * won.len());
    assert_eq!(picture(&*nodes[0]).await, picture(&*nodes[1]).await);
}

#[tokio::test]
async fn a_claim_of_a_dead_node_is_taken_over_after_its_lease() {
    let url = cluster().database();
    let (dead, alive) = (open(&url, ORIGIN).await.expect("opens"), open(&url, ORIGIN).await.expect("opens"));
    let id = record("a").incident.id;
    dead.commit(change(None, record("a"), None, vec![message(&id, "one", 1)])).await.expect("commits");
    let first = dead.claim_outbox(Lane::Mail, at(0), 60, 10).await.expect("claims").remove(0);
    assert_eq!(
        alive.claim_outbox(Lane::Mail, at(60), 60, 10).await.expect("claims"),
        [],
        "the lease is to the last microsecond"
    );
    let second = alive.claim_outbox(Lane::Mail, at(61), 60, 10).await.expect("claims").remove(0);
    assert_eq!((second.message.key.as_str(), second.attempt), (first.message.key.as_str(), 2), "one id");
    // it was only slow, and comes back: its word does not count any more
    let late = dead.settle(vec![(first, handed_over(), draft(&id.0, "message.attempted", 1))]).await;
    assert_eq!(late, Ok(vec![Err(StoreError::LeaseLost)]));
    let ours = alive.settle(vec![(second, handed_over(), draft(&id.0, "message.attempted", 2))]).await;
    assert_eq!(ours, Ok(vec![Ok(())]));
    assert_eq!(check_log(&dead).await.size, 2);
}

#[tokio::test]
async fn a_claim_waits_for_nobody() {
    let url = cluster().database();
    let store = open(&url, ORIGIN).await.expect("opens");
    let id = record("a").incident.id;
    let messages = vec![message(&id, "one", 1), message(&id, "two", 2)];
    store.commit(change(None, record("a"), None, messages)).await.expect("commits");
    // another node is claiming the first one, and a third holds the log
    let (mut claiming, mut writing) = (connect(&url).await, connect(&url).await);
    let (claiming, writing) =
        (claiming.transaction().await.expect("begins"), writing.transaction().await.expect("begins"));
    claiming
        .batch_execute("UPDATE outbox SET attempts = 1 WHERE urgent_at = (SELECT min(urgent_at) FROM outbox)")
        .await
        .expect("locks");
    writing.batch_execute("SELECT * FROM log FOR UPDATE").await.expect("locks");
    let claims = tokio::time::timeout(Duration::from_secs(5), store.claim_outbox(Lane::Mail, at(0), 60, 10))
        .await
        .expect("at once");
    let steps: Vec<_> = claims.expect("claims").iter().map(|c| c.message.reason.step.clone()).collect();
    assert_eq!(steps, ["two"]);
}

#[tokio::test]
async fn lost_connections_are_replaced() {
    let url = cluster().database();
    let store = open(&url, ORIGIN).await.expect("opens");
    let sql = connect(&url).await;
    for n in 0..5 {
        store.commit(change(None, record(&n.to_string()), None, vec![])).await.expect("commits");
        let ended = sql
            .query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'breachclock'",
                &[],
            )
            .await
            .expect("ends them");
        assert!(!ended.is_empty());
    }
    assert_eq!(check_log(&store).await.size, 5);
}

#[tokio::test]
async fn a_held_log_is_an_error_that_changes_nothing() {
    let url = cluster().database();
    let impatient = format!("{url}&options=-c%20lock_timeout%3D300ms");
    let store = open(&impatient, ORIGIN).await.expect("opens");
    let mut sql = connect(&url).await;
    let holder = sql.transaction().await.expect("begins");
    holder.batch_execute("SELECT * FROM log FOR UPDATE").await.expect("locks");
    let refused = store.commit(change(None, record("a"), None, vec![])).await.expect_err("is held").to_string();
    assert!(refused.contains("another node or session holds the log"), "{refused}");
    assert!(store.prove(at(1)).await.is_err(), "the loop is not proven while nothing can be written");
    assert_eq!(store.dossier(&record("a").incident.id).await, Err(StoreError::NotFound), "reading goes on");
    drop(holder);
    let repeated = Instant::now();
    while store.commit(change(None, record("a"), None, vec![])).await.is_err() {
        assert!(repeated.elapsed() < Duration::from_secs(10), "the lock is let go");
    }
    store.prove(at(2)).await.expect("proves");
    assert_eq!(check_log(&store).await.size, 1);
}

#[tokio::test]
async fn a_session_is_durable_and_limited_whatever_the_server_is_set_to() {
    let url = cluster().database();
    drop(open(&url, ORIGIN).await.expect("opens"));
    let sql = connect(&url).await;
    let name = url.split(['/', '?']).nth(3).expect("a name").to_string();
    sql.batch_execute(&format!(
        "ALTER DATABASE {name} SET synchronous_commit = off;
         CREATE TABLE seen (what text, setting text);
         CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO breachclock.seen SELECT name, current_setting(name)
            FROM unnest(ARRAY['synchronous_commit', 'statement_timeout', 'lock_timeout',
                              'idle_in_transaction_session_timeout', 'transaction_isolation']) AS name;
            RETURN NEW;
         END $$;
         CREATE TRIGGER look AFTER INSERT ON entry FOR EACH ROW EXECUTE FUNCTION look();"
    ))
    .await
    .expect("sets");
    let store = open(&url, ORIGIN).await.expect("opens");
    let evidence = Changeset { change: Change::Nothing, first: draft("s", "note", 1), more: vec![] };
    store.commit(evidence).await.expect("commits");
    let seen = sql.query("SELECT what || '=' || setting FROM seen", &[]).await.expect("reads");
    let seen: Vec<String> = seen.iter().map(|row| row.get(0)).collect();
    assert_eq!(
        seen,
        [
            "synchronous_commit=on",
            "statement_timeout=30s",
            "lock_timeout=15s",
            "idle_in_transaction_session_timeout=15s",
            "transaction_isolation=read committed"
        ]
    );
}

#[tokio::test]
async fn text_that_the_database_cannot_take_is_no_obstacle() {
    let store = open(&cluster().database(), ORIGIN).await.expect("opens");
    let mut odd = record("a");
    odd.incident.entity.id = Some("ac\0me".into());
    odd.incident.title = "title\0".into();
    let id = odd.incident.id.clone();
    store.commit(change(None, odd.clone(), None, vec![message(&id, "one", 1)])).await.expect("commits");
    assert_eq!(store.dossier(&id).await.expect("is there").record, odd);
    let found = store
        .list(breachclock::store::Query { entity: Some("ac\0me".into()), limit: 9, ..Default::default() })
        .await
        .expect("lists");
    assert_eq!(found.len(), 1);
    let claim = store.claim_outbox(Lane::Mail, at(0), 60, 1).await.expect("claims").remove(0);
    let mut settlement = handed_over();
    settlement.outcome = breachclock::escalation::Outcome::HandedOver { answer: "250\0ok".into() };
    let settled = store.settle(vec![(claim, settlement, draft(&id.0, "message.attempted", 1))]).await;
    assert_eq!(settled, Ok(vec![Ok(())]));
    assert_eq!(store.dossier(&id).await.expect("is there").sent[0].detail.as_deref(), Some("250\u{fffd}ok"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_server_loses_nothing_that_was_acknowledged() {
    let server = Cluster::start(None);
    let url = server.database();
    let store = Arc::new(open(&url, ORIGIN).await.expect("opens"));
    let stop = Arc::new(AtomicBool::new(false));
    let committer = |who: u64| {
        let (store, stop) = (store.clone(), stop.clone());
        tokio::spawn(async move {
            let (mut kept, mut failed) = (Vec::new(), 0);
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                let record = record(&format!("c{who}-{n}"));
                n += 1;
                let id = record.incident.id.clone();
                match store.commit(change(None, record, Some(at(1)), vec![message(&id, "one", 1)])).await {
                    Ok(receipt) => kept.push((id, receipt)),
                    Err(StoreError::Backend(_)) => failed += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            (kept, failed)
        })
    };
    let committers: Vec<_> = (0..4).map(committer).collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        tokio::task::block_in_place(|| server.crash());
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    stop.store(true, Ordering::Relaxed);
    let (mut kept, mut failed) = (Vec::new(), 0);
    for committer in committers {
        let (k, f) = committer.await.expect("ran");
        kept.extend(k);
        failed += f;
    }
    assert!(kept.len() > 50 && failed > 0, "{} kept, {failed} failed: the test proves nothing", kept.len());
    let head = check_log(&*store).await;
    let entries = store.entries(0..head.size).await.expect("entries");
    for (id, receipt) in &kept {
        let dossier = store.dossier(id).await.expect("was acknowledged");
        assert_eq!((dossier.version, dossier.sent.len()), (1, 1));
        let (idx, leaf) = receipt.entries[0];
        assert_eq!(leaf_hash(&entries[idx as usize].bytes), leaf);
    }
    // a commit whose answer was lost may be there; nothing is there by halves
    let due = store.due(at(9), u32::MAX).await.expect("due").incidents.len();
    assert_eq!(due as u64, head.size);
    assert!(head.size <= (kept.len() + failed) as u64);
    drop(store);
    open(&url, ORIGIN).await.expect("opens again");
}

/// A certificate of its own authority for `localhost`, as files beside each other.
fn certificate(dir: &std::path::Path, name: &str, subject: &str) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=test", "-addext", &format!("subjectAltName={subject}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(dir.join(format!("{name}.key")))
        .arg("-out")
        .arg(dir.join(format!("{name}.pem")))
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test]
async fn tls_is_checked_and_passwords_are_not_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    certificate(dir.path(), "right", "DNS:localhost");
    certificate(dir.path(), "wrong", "DNS:db.example.org");
    let (right, wrong) = (dir.path().join("right.pem"), dir.path().join("wrong.pem"));
    let port = crate::support::daemon::free_port();
    let server = Cluster::start(Some(port));
    let socket = server.database();
    let name = socket.split(['/', '?']).nth(3).expect("a name").to_string();
    let sql = connect(&socket).await;
    sql.batch_execute("CREATE ROLE ada LOGIN PASSWORD 'secret-word'; ALTER SCHEMA public OWNER TO ada")
        .await
        .expect("makes");
    sql.batch_execute(&format!("GRANT ALL ON DATABASE {name} TO ada")).await.expect("grants");
    let try_open = async |options: &str, password: &str, ca: Option<&std::path::Path>| {
        let url = format!("postgres://ada:{password}@localhost:{port}/{name}{options}");
        let settings = Settings::parse(&url, None, ca).expect("a URL");
        let opened = PgStore::open(&settings, ORIGIN, &key().public(), Keeper::of_tests()).await;
        let text = opened.as_ref().map_or_else(|error| format!("{error} {error:?}"), |_| String::new());
        assert!(!text.contains(password), "{text}");
        (opened, text)
    };
    let (plain, text) = try_open("?sslmode=require", "secret-word", None).await;
    assert!(plain.is_err() && text.contains("cannot be reached"), "a server without TLS: {text}");

    server.configure_tls(&right, &dir.path().join("right.key"));
    for (options, ca) in [("?sslmode=require", Some(&right)), ("?sslmode=verify-full", Some(&right))] {
        let (store, text) = try_open(options, "secret-word", ca.map(|p| p.as_path())).await;
        let store = store.unwrap_or_else(|_| panic!("{text}"));
        store.prove(at(1)).await.expect("proves");
        let row = sql
            .query_one("SELECT count(*), bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'ada'", &[])
            .await
            .expect("reads");
        assert!(row.get::<_, i64>(0) > 0 && row.get(1), "{options}: in the clear");
    }
    let (_, text) = try_open("?sslmode=require", "secret-word", None).await;
    assert!(text.contains("certificate") && text.contains("`[store].ca_file`"), "nobody vouches for it: {text}");
    let (_, text) = try_open("?sslmode=require", "secret-word", Some(&dir.path().join("none.pem"))).await;
    assert!(text.contains("none.pem"), "{text}");
    let (refused, text) = try_open("?sslmode=require", "wrong-word", Some(&right)).await;
    assert!(refused.is_err() && text.contains("28P01"), "{text}");

    server.configure_tls(&wrong, &dir.path().join("wrong.key"));
    let (_, text) = try_open("?sslmode=require", "secret-word", Some(&wrong)).await;
    assert!(text.contains("certificate"), "the name of another: {text}");
}
