//! Rebuild and compare: the whole log from its entries, against the checkpoints it signed.
//!
//! Absent: reading entries (the caller's iterator), and proof that no other log was shown to somebody else.

use super::strict::{Envelope, envelope};
use super::{Checkpoint, Hash, Head, StreamHead, leaf_hash, sha256};
use std::collections::BTreeMap;

/// Entries hashed together; two threads share the work of one batch.
const BATCH: usize = 4096;
/// Faults told one by one; the rest is counted.
const TOLD: usize = 100;

/// Something wrong in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Entry at which it shows, if it is one entry's.
    pub idx: Option<u64>,
    pub what: String,
}

/// What a check of the whole log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogReport {
    pub ok: bool,
    pub entries: u64,
    pub streams: u64,
    /// The tree as rebuilt from the entries.
    pub head: Head,
    pub root: Hash,
    /// How many checkpoints were compared.
    pub checkpoints: u64,
    /// The first faults, at most 100.
    pub faults: Vec<Fault>,
    /// All of them.
    pub fault_count: u64,
}

impl LogReport {
    fn fault(&mut self, idx: Option<u64>, what: impl Into<String>) {
        self.ok = false;
        self.fault_count += 1;
        if self.faults.len() < TOLD {
            self.faults.push(Fault { idx, what: what.into() });
        }
    }
}

/// Reads the log `origin` from its first entry on: envelopes, dense indices, each stream's chain, and the root at
/// the size of each checkpoint. `checkpoints` are verified ones ([`super::Unverified::verify`]), in any order.
/// Two threads; memory grows with the number of streams, not of entries.
pub fn verify_log<B: AsRef<[u8]> + Sync>(
    origin: &str,
    entries: impl IntoIterator<Item = B>,
    checkpoints: &[Checkpoint],
) -> LogReport {
    let mut report = LogReport {
        ok: true,
        entries: 0,
        streams: 0,
        head: Head::default(),
        root: super::merkle::empty_root(),
        checkpoints: checkpoints.len() as u64,
        faults: Vec::new(),
        fault_count: 0,
    };
    let mut wanted: Vec<&Checkpoint> = checkpoints.iter().collect();
    wanted.sort_by_key(|checkpoint| checkpoint.size);
    let mut wanted = wanted.into_iter().peekable();
    let mut streams: BTreeMap<String, StreamHead> = BTreeMap::new();
    let mut entries = entries.into_iter();
    compare(&mut report, &mut wanted, origin);
    loop {
        let batch: Vec<B> = entries.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        let (leaves, sums) = std::thread::scope(|scope| {
            let leaves = scope.spawn(|| batch.iter().map(|entry| leaf_hash(entry.as_ref())).collect::<Vec<Hash>>());
            let sums: Vec<Hash> = batch.iter().map(|entry| sha256(entry.as_ref())).collect();
            (leaves.join().expect("hashing does not panic"), sums)
        });
        for ((entry, leaf), sum) in batch.iter().zip(leaves).zip(sums) {
            let idx = report.head.size;
            match envelope(entry.as_ref()) {
                Ok(envelope) => check(&mut report, &mut streams, origin, idx, &envelope, sum),
                Err(what) => report.fault(Some(idx), format!("entry {idx} cannot be read: {what}")),
            }
            report.head.append(leaf);
            compare(&mut report, &mut wanted, origin);
        }
    }
    report.entries = report.head.size;
    report.streams = streams.len() as u64;
    report.root = report.head.root();
    for late in wanted {
        let text = format!("a checkpoint over {} entries was signed, the log has only {}", late.size, report.entries);
        report.fault(None, text);
    }
    report
}

fn check(
    report: &mut LogReport,
    streams: &mut BTreeMap<String, StreamHead>,
    origin: &str,
    idx: u64,
    found: &Envelope<'_>,
    sum: Hash,
) {
    if found.log != origin {
        report.fault(Some(idx), format!("entry {idx} is of log `{}`, not of `{origin}`", found.log));
    }
    if found.idx != idx {
        report.fault(Some(idx), format!("entry {idx} says it is entry {}", found.idx));
    }
    let before = streams.get(found.stream).copied().unwrap_or_default();
    if found.n != before.n + 1 {
        let text = format!("entry {idx} is number {} of stream `{}`, expected {}", found.n, found.stream, before.n + 1);
        report.fault(Some(idx), text);
    }
    if found.prev != before.prev {
        report.fault(Some(idx), format!("entry {idx} does not name the entry before it in stream `{}`", found.stream));
    }
    let after = StreamHead { n: found.n, prev: sum };
    match streams.get_mut(found.stream) {
        Some(head) => *head = after,
        None => drop(streams.insert(found.stream.to_string(), after)),
    }
}

/// Compares each checkpoint whose size the tree has just reached.
fn compare<'a>(report: &mut LogReport, wanted: &mut std::iter::Peekable<impl Iterator<Item = &'a Checkpoint>>, origin: &str) {
    while let Some(checkpoint) = wanted.next_if(|checkpoint| checkpoint.size == report.head.size) {
        if checkpoint.origin != origin {
            report.fault(None, format!("a checkpoint is of log `{}`, not of `{origin}`", checkpoint.origin));
        } else if checkpoint.root != report.head.root() {
            let text = format!("the first {} entries are not those whose checkpoint was signed", checkpoint.size);
            report.fault(None, text);
        }
    }
}
