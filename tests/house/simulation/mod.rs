//! A deterministic simulation: seeded incidents, people, networks, disks and clocks in virtual time, against the real
//! decision core and a real store. A failing seed replays exactly: `BREACHCLOCK_SEED=n cargo test simulation`.
//!
//! What must hold is in `check.rs`; what can go wrong is drawn in `world.rs`. `BREACHCLOCK_SEEDS` says how many seeds run,
//! `BREACHCLOCK_FROM` from which one on (a long run goes in parts, side by side).

mod check;
mod net;
mod store;
mod world;

use crate::support::postgres;
use breachclock::store::{MemoryStore, SqliteStore, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::Shared;
use world::World;

const ORIGIN: &str = "test.example/log";

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs one seed on a thread of its own: the virtual clock is the thread's.
fn run<S: Shared>(seed: u64, store: impl Future<Output = Result<S, StoreError>>) -> Result<world::Tally, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let store = store.await.map_err(|e| e.to_string())?;
        World::new(seed, Arc::new(store)).play().await
    })
}

fn run_all(seeds: std::ops::Range<u64>, one: impl Fn(u64) -> Result<world::Tally, String> + Sync) {
    let next = AtomicU64::new(seeds.start);
    let (mut total, mut faults) = (world::Tally::default(), Vec::new());
    let work = || {
        let (mut tally, mut faults) = (world::Tally::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || faults.len() > 4 {
                return (tally, faults);
            }
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(seed))) {
                Ok(Ok(done)) => tally.add(&done),
                Ok(Err(fault)) => faults.push(format!("seed {seed}: {fault}")),
                Err(_) => faults.push(format!("seed {seed}: panicked")),
            }
        }
    };
    std::thread::scope(|scope| {
        for worker in [scope.spawn(work), scope.spawn(work)] {
            let (tally, found) = worker.join().expect("the worker ends");
            total.add(&tally);
            faults.extend(found);
        }
    });
    eprintln!("{} seeds: {total:?}", seeds.end - seeds.start);
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    // a few seeds may happen to have no step that the checker can reckon by itself
    let count = seeds.end - seeds.start;
    assert!(count < 50 || total.steps_checked > count, "the simulation proves nothing: {total:?}");
}

/// Seeds that found a fault once.
#[test]
fn simulation_of_old_faults() {
    for seed in [69, 82, 127, 676, 973, 1468, 1549, 5700, 6878, 8149, 14204, 19473, 20186] {
        let played = run(seed, async { Ok(MemoryStore::new(ORIGIN)) });
        assert!(played.is_ok(), "seed {seed}: {}", played.err().unwrap_or_default());
    }
}

#[test]
fn simulation_in_memory() {
    let seeds = match number("BREACHCLOCK_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let from = number("BREACHCLOCK_FROM").unwrap_or(0);
            from..from + number("BREACHCLOCK_SEEDS").unwrap_or(200)
        }
    };
    run_all(seeds, |seed| run(seed, async { Ok(MemoryStore::new(ORIGIN)) }));
}

#[test]
fn simulation_on_sqlite() {
    let count = number("BREACHCLOCK_SEEDS").unwrap_or(200).div_ceil(20);
    let seeds = match number("BREACHCLOCK_SEED") {
        Some(seed) => seed..seed + 1,
        // other seeds than in memory
        None => 1_000_000..1_000_000 + count,
    };
    run_all(seeds, |seed| {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        run(seed, async { SqliteStore::open(dir.path(), ORIGIN) })
    });
}

#[test]
fn simulation_on_postgres() {
    let count = number("BREACHCLOCK_SEEDS").unwrap_or(200).div_ceil(50);
    let seeds = match number("BREACHCLOCK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 2_000_000..2_000_000 + count,
    };
    run_all(seeds, |seed| run(seed, postgres::open(&postgres::cluster().database(), ORIGIN)));
}
