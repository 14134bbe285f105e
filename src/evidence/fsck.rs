//! Rebuild and compare: the whole log from its entries, against the checkpoints it signed.
//!
//! Absent: reading entries (the caller's iterator), and proof that no other log was shown to somebody else.

use super::strict::envelope;
use super::{Checkpoint, Hash, Head, StreamHead, leaf_hash, sha256};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};

/// Entries handed to the two threads at once.
const BATCH: usize = 1024;
/// Entries of a batch hashed by one thread at a time.
const SLICE: usize = 32;
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

/// Reads the log `origin` from its first entry on: envelopes, dense indices, each stream's chain, and the root at
/// the size of each checkpoint. `checkpoints` are verified ones ([`super::Unverified::verify`]), in any order.
/// Memory grows with the number of streams, not of entries.
///
/// Chain and tree need one hash each of every entry, and neither needs the other: two threads. The tree's has less to
/// do, and hashes for the chains in the time it has left.
pub fn verify_log<B: AsRef<[u8]> + Send + Sync>(
    origin: &str,
    entries: impl IntoIterator<Item = B>,
    checkpoints: &[Checkpoint],
) -> LogReport {
    let mut wanted: Vec<&Checkpoint> = checkpoints.iter().collect();
    wanted.sort_by_key(|checkpoint| checkpoint.size);
    let mut tree =
        Tree { origin, head: Head::default(), wanted: wanted.into_iter().peekable(), faults: Faults::default() };
    let mut chains = Chains { origin, idx: 0, streams: HashMap::new(), faults: Faults::default() };
    let mut entries = entries.into_iter();
    tree.compare();
    std::thread::scope(|scope| {
        let (hand_over, batches) = mpsc::sync_channel::<Arc<Batch<B>>>(2);
        let tree = &mut tree;
        scope.spawn(move || {
            for batch in batches {
                batch.entries.iter().for_each(|entry| tree.append(entry.as_ref()));
                batch.hash();
            }
        });
        loop {
            let batch = Arc::new(Batch::of(entries.by_ref().take(BATCH).collect()));
            if batch.entries.is_empty() {
                break;
            }
            hand_over.send(Arc::clone(&batch)).expect("the tree's thread waits for the last batch");
            batch.hash();
            for (entries, hashes) in batch.entries.chunks(SLICE).zip(&batch.hashes) {
                // the last slice may still be in the other thread's hands
                entries.iter().zip(hashes.wait()).for_each(|(entry, hash)| chains.append(entry.as_ref(), *hash));
            }
        }
    });
    let Tree { head, wanted, mut faults, .. } = tree;
    for late in wanted {
        faults.add(None, format!("a checkpoint over {} entries was signed, the log has only {}", late.size, head.size));
    }
    let fault_count = chains.faults.count + faults.count;
    let mut told = chains.faults.told;
    told.append(&mut faults.told);
    told.sort_by_key(|fault| fault.idx.unwrap_or(u64::MAX));
    told.truncate(TOLD);
    LogReport {
        ok: fault_count == 0,
        entries: head.size,
        streams: chains.streams.len() as u64,
        root: head.root(),
        head,
        checkpoints: checkpoints.len() as u64,
        faults: told,
        fault_count,
    }
}

#[derive(Default)]
struct Faults {
    told: Vec<Fault>,
    count: u64,
}

impl Faults {
    fn add(&mut self, idx: Option<u64>, what: impl Into<String>) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(Fault { idx, what: what.into() });
        }
    }
}

/// Entries, and their hashes for the chains as they become known.
struct Batch<B> {
    entries: Vec<B>,
    /// The next slice nobody hashes yet.
    next: AtomicUsize,
    hashes: Vec<OnceLock<Vec<Hash>>>,
}

impl<B: AsRef<[u8]>> Batch<B> {
    fn of(entries: Vec<B>) -> Batch<B> {
        let hashes = entries.chunks(SLICE).map(|_| OnceLock::new()).collect();
        Batch { entries, next: AtomicUsize::new(0), hashes }
    }

    /// Hashes slices until none is left to begin.
    fn hash(&self) {
        // each slice is given out once; what is written to it is published by its lock
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(slice) = self.entries.chunks(SLICE).nth(number) else { return };
            let hashes = slice.iter().map(|entry| sha256(entry.as_ref())).collect();
            self.hashes[number].set(hashes).expect("a slice is given out once");
        }
    }
}

/// What the entries say of their places.
struct Chains<'a> {
    origin: &'a str,
    idx: u64,
    /// By name; looked up for every entry, never listed.
    streams: HashMap<String, StreamHead>,
    faults: Faults,
}

impl Chains<'_> {
    /// The entry and its hash.
    fn append(&mut self, entry: &[u8], hash: Hash) {
        let (idx, origin) = (self.idx, self.origin);
        self.idx += 1;
        let found = match envelope(entry) {
            Ok(found) => found,
            Err(what) => return self.faults.add(Some(idx), format!("entry {idx} cannot be read: {what}")),
        };
        if found.log != origin {
            self.faults.add(Some(idx), format!("entry {idx} is of log `{}`, not of `{origin}`", found.log));
        }
        if found.idx != idx {
            self.faults.add(Some(idx), format!("entry {idx} says it is entry {}", found.idx));
        }
        let after = StreamHead { n: found.n, prev: hash };
        let before = match self.streams.get_mut(found.stream) {
            Some(head) => std::mem::replace(head, after),
            None => {
                self.streams.insert(found.stream.to_string(), after);
                StreamHead::default()
            }
        };
        if found.n != before.n + 1 {
            let want = before.n + 1;
            let text = format!("entry {idx} is number {} of stream `{}`, expected {want}", found.n, found.stream);
            self.faults.add(Some(idx), text);
        }
        if found.prev != before.prev {
            let text = format!("entry {idx} does not name the entry before it in stream `{}`", found.stream);
            self.faults.add(Some(idx), text);
        }
    }
}

/// What the entries hash to.
struct Tree<'a> {
    origin: &'a str,
    head: Head,
    /// Checkpoints not reached yet, smallest first.
    wanted: std::iter::Peekable<std::vec::IntoIter<&'a Checkpoint>>,
    faults: Faults,
}

impl Tree<'_> {
    fn append(&mut self, entry: &[u8]) {
        self.head.append(leaf_hash(entry));
        self.compare();
    }

    /// Compares each checkpoint whose size the tree has just reached.
    fn compare(&mut self) {
        while let Some(checkpoint) = self.wanted.next_if(|checkpoint| checkpoint.size == self.head.size) {
            if checkpoint.origin != self.origin {
                let text = format!("a checkpoint is of log `{}`, not of `{}`", checkpoint.origin, self.origin);
                self.faults.add(None, text);
            } else if checkpoint.root != self.head.root() {
                let text = format!("the first {} entries are not those whose checkpoint was signed", checkpoint.size);
                self.faults.add(None, text);
            }
        }
    }
}
