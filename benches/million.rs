//! A log of a million entries of 1 KiB: how fast it is checked, what an entry costs at its end, and what the export of one
//! incident out of it costs.
//!
//! `cargo bench --bench million -- [ENTRIES=1000000] [DIR]`; one JSON line per figure. The floors are taken in the same run,
//! in turn with what they are floors of, median of five: `openssl dgst -sha256` over the same bytes in a file that is in the
//! page cache, and the bare tree of RFC 6962 in memory, on one core. DIR should be on the disk that is meant.

use breachclock::config;
use breachclock::daemon::open;
use breachclock::evidence::{
    Checkpoint, Detail, Draft, Head, SigningKey, StreamHead, leaf_hash, merkle, seal, verify_log,
};
use breachclock::store::{Change, Changeset, SqliteStore, Store};
use breachclock::time::Timestamp;
use breachclock::workflow::export::ExportRequest;
use breachclock::workflow::{Caller, House};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const ORIGIN: &str = "breachclock.example.org/bench";
const ROUNDS: usize = 5;
/// Entries of the incident that is exported.
const EXPORTED: usize = 200;
const GROUP: usize = 1000;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn figure(name: &str, unit: &str, value: f64, more: serde_json::Value) {
    let mut line = serde_json::json!({ "figure": name, "unit": unit, "value": (value * 1e4).round() / 1e4 });
    if let (Some(line), Some(more)) = (line.as_object_mut(), more.as_object()) {
        line.extend(more.clone());
    }
    println!("{line}");
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_774_700_000 + second, 0).expect("a time in range")
}

fn draft(n: usize, streams: usize) -> Draft {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&n.to_le_bytes());
    let body = serde_json::json!({ "answer": "x".repeat(680), "count": n });
    Draft::new(format!("inc-{}", n % streams), "message.attempted", at(n as i64 / 100), nonce, &Detail::made(body))
}

/// Entries in memory and in a file.
fn checked(count: usize, dir: &Path) {
    let mut heads = vec![StreamHead::default(); 1024];
    let entries: Vec<Vec<u8>> = (0..count)
        .map(|n| {
            let head = &mut heads[n % 1024];
            let entry = seal(&draft(n, 1024), ORIGIN, n as u64, head);
            *head = StreamHead::after(&entry);
            entry.bytes
        })
        .collect();
    let bytes: usize = entries.iter().map(Vec::len).sum();
    let file = dir.join("entries");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&file).expect("a file"));
    entries.iter().for_each(|entry| out.write_all(entry).expect("written"));
    out.flush().expect("written");
    let mut head = Head::default();
    entries.iter().for_each(|entry| head.append(leaf_hash(entry)));
    let key = SigningKey::from_seed(&[7; 32]);
    let checkpoint = Checkpoint::sign(ORIGIN, head.size, head.root(), &key).expect("a log");
    let (mut ours, mut openssl, mut tree) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let report = verify_log(ORIGIN, &entries, std::slice::from_ref(&checkpoint));
        ours.push(began.elapsed().as_secs_f64());
        assert!(report.ok && report.entries == count as u64, "{report:?}");
        let began = Instant::now();
        let output = Command::new("openssl").args(["dgst", "-sha256"]).arg(&file).output().expect("openssl runs");
        openssl.push(began.elapsed().as_secs_f64());
        assert!(output.status.success());
        let began = Instant::now();
        let leaves: Vec<[u8; 32]> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        assert_eq!(merkle::root(&leaves), checkpoint.root);
        tree.push(began.elapsed().as_secs_f64());
    }
    std::fs::remove_file(file).expect("removed");
    let rate = |seconds: &Vec<f64>| bytes as f64 / 1e9 / median(seconds.clone());
    let none = serde_json::json!({});
    figure("openssl dgst -sha256", "GB/s", rate(&openssl), none.clone());
    figure("the tree in memory", "GB/s", rate(&tree), none);
    let share = |floor: &Vec<f64>| (rate(&ours) / rate(floor) * 1000.0).round() / 1000.0;
    let more = serde_json::json!({ "of_openssl": share(&openssl), "of_the_tree": share(&tree), "seconds": median(ours.clone()), "entries": count });
    figure("verification of the log", "GB/s", rate(&ours), more);
}

async fn house(dir: &Path) -> House<SqliteStore> {
    let file = dir.join("breachclock.toml");
    let text = format!(
        "[data]\ndir = \"data\"\n[log]\norigin = \"{ORIGIN}\"\n[[entity]]\nid = \"acme\"\nname = \"Acme SAS\"\n\
         roles = [\"controller\"]\nestablished_in = [\"FR\"]\nmain_establishment = \"FR\"\nzone = \"Europe/Paris\"\n"
    );
    std::fs::write(&file, text).expect("written");
    let config = config::load(&file).unwrap_or_else(|faults| panic!("{faults:?}"));
    open::open(&config).await.unwrap_or_else(|error| panic!("{error:?}"))
}

/// Facts until the incident has `entries` of its stream.
async fn grow(house: &House<SqliteStore>, id: &str, entries: usize) {
    for n in 0.. {
        let have = house.store.stream(id).await.expect("a stream").len();
        if have >= entries {
            return;
        }
        let facts =
            format!("\"affected.FR\" = {{ value = {}, by = \"Lea Fontaine\", note = \"counted again\" }}\n", n + have);
        house.assert_facts(&Caller::system(), id, &facts, None, None, at(n as i64)).await.expect("asserted");
    }
}

/// Median seconds of an export, and the size of the bundle.
async fn exported(house: &House<SqliteStore>, id: &str) -> (f64, usize) {
    let (mut times, mut size) = (Vec::new(), 0);
    let wanted = ExportRequest { profile: "authority".into(), withhold: Vec::new(), language: "en".into(), zone: None };
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let (_, zip) = house.bundle(&Caller::system(), id, &wanted, at(9)).await.expect("exported");
        times.push(began.elapsed().as_secs_f64());
        size = zip.len();
    }
    (median(times), size)
}

async fn stored(count: usize, dir: &Path) {
    let house = house(dir).await;
    let report = "title = \"x\"\nentity = \"acme\"\n[facts]\npersonal_data = true\nrisk = \"high\"\n\"times.aware\" = \"2026-03-27T12:00:00Z\"\n";
    let reported = house.report(&Caller::system(), report, None, at(0)).await.expect("accepted");
    let id = reported.incident.id;
    // half of the incident lies at the start of the log, half at its end
    grow(&house, &id, EXPORTED / 2).await;
    let mut costs = Vec::new();
    let small = (count / 100).max(GROUP);
    let mut first = None;
    for start in (0..count).step_by(GROUP) {
        if start == small {
            let other = house.report(&Caller::system(), report, None, at(0)).await.expect("accepted").incident.id;
            grow(&house, &other, EXPORTED).await;
            first = Some(exported(&house, &other).await);
        }
        let mut drafts: Vec<Draft> = (start..start + GROUP).map(|n| draft(n, 4096)).collect();
        let first = drafts.remove(0);
        let began = Instant::now();
        house.store.commit(Changeset { change: Change::Nothing, first, more: drafts }).await.expect("committed");
        costs.push(began.elapsed().as_secs_f64() * 1e6 / GROUP as f64);
    }
    let tenth = (costs.len() / 10).max(1);
    let (early, late) = (median(costs[..tenth].to_vec()), median(costs[costs.len() - tenth..].to_vec()));
    let more =
        serde_json::json!({ "first_tenth": early, "ratio": (late / early * 100.0).round() / 100.0, "group": GROUP });
    figure("an entry appended at the end", "µs", late, more);
    grow(&house, &id, EXPORTED).await;
    let (seconds, bytes) = exported(&house, &id).await;
    let (before, _) = first.unwrap_or((seconds, bytes));
    let more = serde_json::json!({ "entries": EXPORTED, "log": house.store.head().await.expect("a head").size,
        "seconds_at_a_hundredth": before, "ratio": (seconds / before * 100.0).round() / 100.0, "bundle_bytes": bytes });
    figure("export of one incident", "s", seconds, more);
    let began = Instant::now();
    let report = breachclock::workflow::fsck::check(&*house.store, ORIGIN, &house.log_key.public(), None)
        .await
        .expect("readable");
    assert_eq!((report.log.ok, report.faults.len()), (true, 0), "{:?}", report.faults);
    figure("fsck of the store", "s", began.elapsed().as_secs_f64(), serde_json::json!({ "nodes": report.nodes }));
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let count = arguments.first().and_then(|word| word.parse().ok()).unwrap_or(1_000_000);
    let dir = match arguments.get(1) {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    };
    let dir = dir.expect("a folder");
    checked(count, dir.path());
    tokio::runtime::Runtime::new().expect("a runtime").block_on(stored(count, dir.path()));
}
