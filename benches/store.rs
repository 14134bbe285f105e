//! Group commits against the floor: how many changesets a second the store takes from 64 callers at once, beside a bare
//! SQLite writer that puts one blob row per commit into a table (the shape of `bench/floors/http_floor.rs`, without HTTP).
//!
//! Run: `cargo bench --bench store -- [seconds=2] [rounds=5] [dir] [case]`. Rounds are interleaved, figures are medians. The
//! folder must be on the disk that is meant; a temporary one on the disk of `target` is made when none is given.
//!
//! * `floor 1.3k`: one row of 1300 bytes, as the floor program has with `BLOB=1000` and a report of 300 bytes
//! * `floor same`: one row with as many bytes as the changeset beside it has in entries and record
//! * `create n`: a new incident with 3 entries of about 1 KiB and a record of n tracked obligations
//! * `update n`: the same, for 20 000 incidents that exist, in random order

use breachclock::evidence::Draft;
use breachclock::law::{Entity, Fact, FactBook, Incident, IncidentId, Value};
use breachclock::store::{Change, Changeset, Record, SqliteStore, Store, Tracked};
use breachclock::time::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const CALLERS: u64 = 64;
/// Fits 1300 bytes and what the changesets below weigh; measured by `weight`.
const SMALL_ROW: usize = 1300;
const EXISTING: u64 = 20_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_780_000_000 + seconds, 0).expect("an instant")
}

fn record(n: u64, obligations: u64) -> Record {
    let mut facts = FactBook::default();
    for k in 0..8 {
        facts.assert(Fact {
            key: format!("fact.number.{k}"),
            value: Some(Value::Text("what somebody said about it".into())),
            certainty: breachclock::law::Certainty::Confirmed,
            asserted_by: "token:soc".into(),
            asserted_at: at(k),
            note: None,
        });
    }
    let tracked = |k: u64| Tracked {
        id: format!("xx-some-act-{k}-authority@XX"),
        standing: "running".into(),
        due: Some(at(k as i64 * 3600)),
        conservative_due: Some(at(k as i64 * 3000)),
        known_at: at(0),
    };
    let incident = Incident {
        id: IncidentId(format!("inc-{n:026}")),
        title: "customer database copied".into(),
        entity: Entity { id: Some("acme".into()), name: "Acme".into(), ..Entity::default() },
        source: None,
        reference: None,
        opened_at: at(0),
        opened_by: "token:soc".into(),
        closed_at: None,
        facts,
    };
    Record {
        incident,
        tracked: (0..obligations).map(tracked).collect(),
        acts: BTreeMap::new(),
        rulebook: [7; 32],
        kept: Vec::new(),
    }
}

fn changeset(n: u64, expected: Option<u64>, record: Record, text: &str) -> Changeset {
    let id = record.incident.id.clone();
    let draft = |k: u64| {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&(n * 3 + k).to_be_bytes());
        Draft::unchecked(id.0.clone(), "deadline.computed", at(0), nonce, &BTreeMap::from([("text", text)]))
    };
    let (first, more) = (draft(0), vec![draft(1), draft(2)]);
    Changeset {
        change: Change::Incident {
            expected,
            record,
            wake_at: Some(at((n % 1_000_000) as i64)),
            messages: vec![],
            idempotency: None,
        },
        first,
        more,
    }
}

/// Bytes in entries and packed record, roughly.
fn weight(obligations: u64) -> usize {
    3 * 1024 + postcard::to_allocvec(&record(0, obligations)).map_or(0, |bytes| bytes.len())
}

/// Processor time of this process so far, in microseconds. Unlike the rate it means something on a machine that others use.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    // utime and stime, in ticks of 10 ms
    after_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() * 10_000.0
}

/// Commits per second, processor time per commit and latencies in microseconds.
#[derive(Clone, Copy)]
struct Figures {
    per_second: f64,
    processor: f64,
    p50: f64,
    p99: f64,
}

async fn load<F>(seconds: u64, one: impl Fn(u64) -> F + Send + Sync + 'static) -> Figures
where
    F: Future<Output = ()> + Send,
{
    let (one, next) = (Arc::new(one), Arc::new(AtomicU64::new(0)));
    let (start, used) = (Instant::now(), processor());
    let end = start + Duration::from_secs(seconds);
    let caller = |_| {
        let (one, next) = (one.clone(), next.clone());
        tokio::spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < end {
                let asked = Instant::now();
                one(next.fetch_add(1, Ordering::Relaxed)).await;
                took.push(asked.elapsed().as_secs_f64() * 1e6);
            }
            took
        })
    };
    let mut took = Vec::new();
    for caller in (0..CALLERS).map(caller).collect::<Vec<_>>() {
        took.extend(caller.await.expect("ran"));
    }
    let spent = start.elapsed().as_secs_f64();
    let used = (processor() - used) / took.len() as f64;
    took.sort_by(f64::total_cmp);
    let quantile = |q: f64| took[((took.len() - 1) as f64 * q) as usize];
    Figures { per_second: took.len() as f64 / spent, processor: used, p50: quantile(0.5), p99: quantile(0.99) }
}

/// The floor: whatever is queued, at most 256, in one transaction; answers after COMMIT.
async fn floor(dir: &Path, seconds: u64, bytes: usize) -> Figures {
    type Asked = (Vec<u8>, tokio::sync::oneshot::Sender<i64>);
    let (jobs, waiting) = std::sync::mpsc::sync_channel::<Asked>(4096);
    let file = dir.join("floor.db");
    let writer = std::thread::spawn(move || {
        let mut sql = rusqlite::Connection::open(file).expect("opens");
        sql.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;")
            .expect("sets");
        sql.execute_batch("CREATE TABLE evidence (seq INTEGER PRIMARY KEY, ts INTEGER NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL)").expect("makes");
        let (mut n, mut prev) = (0i64, [0u8; 32]);
        while let Ok(first) = waiting.recv() {
            let mut batch = vec![first];
            while batch.len() < 256 {
                let Ok(job) = waiting.try_recv() else { break };
                batch.push(job);
            }
            let step = sql.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("begins");
            let mut done = Vec::with_capacity(batch.len());
            {
                let mut insert = step
                    .prepare_cached("INSERT INTO evidence (seq, ts, hash, body) VALUES (?, ?, ?, ?)")
                    .expect("prepares");
                for (body, reply) in batch {
                    n += 1;
                    prev = breachclock::evidence::sha256(&[&prev[..], &body[..body.len().min(300)]].concat());
                    insert.execute(rusqlite::params![n, 1_700_000_000i64 + n, prev, body]).expect("inserts");
                    done.push((n, reply));
                }
            }
            step.commit().expect("commits");
            for (n, reply) in done {
                let _ = reply.send(n);
            }
        }
    });
    let figures = load(seconds, move |n| {
        let jobs = jobs.clone();
        async move {
            let (reply, answer) = tokio::sync::oneshot::channel();
            jobs.send((vec![n as u8; bytes], reply)).expect("the writer runs");
            answer.await.expect("answers");
        }
    })
    .await;
    writer.join().expect("ended");
    figures
}

async fn create(dir: &Path, seconds: u64, obligations: u64) -> Figures {
    let store = Arc::new(SqliteStore::open(dir, "breach.example.org/bench").expect("opens"));
    let text = Arc::new("x".repeat(760));
    load(seconds, move |n| {
        let (store, text) = (store.clone(), text.clone());
        async move {
            store.commit(changeset(n, None, record(n, obligations), &text)).await.expect("commits");
        }
    })
    .await
}

async fn update(dir: &Path, seconds: u64, obligations: u64) -> Figures {
    let store = Arc::new(SqliteStore::open(dir, "breach.example.org/bench").expect("opens"));
    let text = Arc::new("x".repeat(760));
    let fill = |k: u64| {
        let (store, text) = (store.clone(), text.clone());
        tokio::spawn(async move {
            for n in (k..EXISTING).step_by(CALLERS as usize) {
                store.commit(changeset(n, None, record(n, obligations), &text)).await.expect("commits");
            }
        })
    };
    for filler in (0..CALLERS).map(fill).collect::<Vec<_>>() {
        filler.await.expect("ran");
    }
    load(seconds, move |n| {
        let (store, text) = (store.clone(), text.clone());
        async move {
            // 7919 and the number of incidents have no common divisor: all of them, in scattered order
            let (which, version) = (n * 7919 % EXISTING, n / EXISTING + 1);
            store.commit(changeset(n, Some(version), record(which, obligations), &text)).await.expect("commits");
        }
    })
    .await
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |at: usize, default: u64| words.get(at).and_then(|word| word.parse().ok()).unwrap_or(default);
    let (seconds, rounds) = (number(0, 2), number(1, 5));
    let dir = words.get(2).map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    std::fs::create_dir_all(&dir).expect("a folder");
    // as many workers as the daemon has on two cores
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let mut cases: Vec<(String, Vec<Figures>)> = Vec::new();
    let mut measured = |name: String, figures: Figures| match cases.iter_mut().find(|(known, _)| *known == name) {
        Some((_, all)) => all.push(figures),
        None => cases.push((name, vec![figures])),
    };
    for _ in 0..rounds {
        let fresh = || tempfile::tempdir_in(&dir).expect("a folder");
        let wanted = |case: &str| words.get(3).is_none_or(|only| case.contains(only.as_str()));
        measured("floor 1.3k".into(), runtime.block_on(floor(fresh().path(), seconds, SMALL_ROW)));
        for obligations in [20, 200] {
            let weight = weight(obligations);
            let (same, new, old) = (
                format!("floor same ({weight} bytes)"),
                format!("create {obligations}"),
                format!("update {obligations}"),
            );
            if wanted(&same) {
                measured(same, runtime.block_on(floor(fresh().path(), seconds, weight)));
            }
            if wanted(&new) {
                measured(new, runtime.block_on(create(fresh().path(), seconds, obligations)));
            }
            if wanted(&old) {
                measured(old, runtime.block_on(update(fresh().path(), seconds, obligations)));
            }
        }
    }
    let median = |all: &[Figures], of: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = all.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let floor = median(&cases[0].1, |f| f.per_second);
    println!("{:<24} {:>9} {:>9} {:>9} {:>9} {:>9}", "", "commits/s", "of floor", "cpu us", "p50 ms", "p99 ms");
    for (name, all) in &cases {
        let (rate, cpu) = (median(all, |f| f.per_second), median(all, |f| f.processor));
        let (p50, p99) = (median(all, |f| f.p50), median(all, |f| f.p99));
        println!("{name:<24} {rate:>9.0} {:>9.2} {cpu:>9.0} {:>9.2} {:>9.2}", rate / floor, p50 / 1000.0, p99 / 1000.0);
    }
}
