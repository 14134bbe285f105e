//! Evidence: hashing entries into the tree, checking a whole log, and exporting one incident.
//!
//! Scaled down from 1 M entries of 1 KiB to 64 Ki: cost per entry does not depend on how many there are, except for
//! the proofs, whose length is logarithmic. `floor` is the bare tree of `hash_bench`, in the same run.

use breachclock::evidence::{
    Checkpoint, Draft, Head, Nodes, SigningKey, StreamHead, completed_nodes, leaf_hash, merkle, node_hash, seal,
    verify_log,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::collections::BTreeMap;
use std::hint::black_box;

const ENTRIES: u64 = 1 << 16;
const ORIGIN: &str = "breachclock.example.org/bench";

/// Entries of about 1 KiB in 64 streams.
fn log() -> Vec<Vec<u8>> {
    let body = serde_json::json!({"answer": "x".repeat(680), "count": 41_212});
    let mut heads = vec![StreamHead::default(); 64];
    (0..ENTRIES)
        .map(|idx| {
            let head = &mut heads[idx as usize % 64];
            let at = chrono::DateTime::from_timestamp(1_772_443_200 + idx as i64, 0).expect("a time in range");
            let draft = Draft::unchecked(format!("inc-{}", idx % 64), "message.attempted", at, [7; 16], &body);
            let entry = seal(&draft, ORIGIN, idx, head);
            *head = StreamHead::after(&entry);
            entry.bytes
        })
        .collect()
}

struct Stored(BTreeMap<(u8, u64), [u8; 32]>);

impl Nodes for Stored {
    fn node(&self, level: u8, index: u64) -> Option<[u8; 32]> {
        self.0.get(&(level, index)).copied()
    }
}

fn evidence(c: &mut Criterion) {
    let log = log();
    let bytes: u64 = log.iter().map(|entry| entry.len() as u64).sum();
    let leaves: Vec<[u8; 32]> = log.iter().map(|entry| leaf_hash(entry)).collect();
    let root = merkle::root(&leaves);
    let key = SigningKey::from_seed(&[1; 32]);
    let checkpoint = Checkpoint::sign(ORIGIN, ENTRIES, root, &key).expect("a log's name");

    let mut group = c.benchmark_group("evidence");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    group.bench_function("floor: tree of 64 Ki leaves of 1 KiB", |b| {
        b.iter(|| {
            let mut level: Vec<[u8; 32]> = log.iter().map(|entry| leaf_hash(entry)).collect();
            while level.len() > 1 {
                level = level.chunks(2).map(|c| if c.len() == 2 { node_hash(&c[0], &c[1]) } else { c[0] }).collect();
            }
            black_box(level[0])
        });
    });
    group.bench_function("verify_log: envelopes, chains, tree, checkpoint", |b| {
        b.iter(|| assert!(verify_log(ORIGIN, black_box(&log), std::slice::from_ref(&checkpoint)).ok));
    });
    group.bench_function("root of 64 Ki leaf hashes", |b| b.iter(|| merkle::root(black_box(&leaves))));
    group.throughput(Throughput::Elements(1));
    let draft = Draft::unchecked(
        "inc-1",
        "message.attempted",
        chrono::DateTime::UNIX_EPOCH,
        [7; 16],
        &serde_json::json!({"a": "x".repeat(680)}),
    );
    group.bench_function("seal and append one entry", |b| {
        b.iter_batched(
            || Head { size: ENTRIES - 1, frontier: vec![[3; 32]; 16] },
            |mut head| {
                let entry = seal(black_box(&draft), ORIGIN, head.size, &StreamHead::default());
                let nodes = completed_nodes(entry.idx, entry.leaf, &head);
                head.append(entry.leaf);
                (nodes, head)
            },
            BatchSize::SmallInput,
        );
    });
    let (mut nodes, mut head) = (Stored(BTreeMap::new()), Head::default());
    for (leaf, idx) in leaves.iter().zip(0..) {
        nodes
            .0
            .extend(completed_nodes(idx, *leaf, &head).into_iter().map(|(level, index, hash)| ((level, index), hash)));
        head.append(*leaf);
    }
    group.bench_function("inclusion proof from stored nodes", |b| {
        b.iter(|| merkle::inclusion(&nodes, black_box(40_001), ENTRIES - 1));
    });
    group.bench_function("sign a checkpoint", |b| b.iter(|| Checkpoint::sign(ORIGIN, ENTRIES, black_box(root), &key)));
    group.finish();
}

criterion_group!(benches, evidence);
criterion_main!(benches);
