//! The write-ahead log is copied back into the file by a thread of its own: done inside commits, it would be their p99.
//!
//! Under load the pacer copies whenever the log has grown by [`COPY_AT`]; the writer then only takes over the few pages
//! added meanwhile and starts the log anew, so that its length stays bounded and its blocks are used again. When the
//! commits cease, the pacer copies once more and sleeps until the next one.

use super::{Result, backend, spawn};
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Pages in the log at which they are copied back: 64 MiB. Pages written again meanwhile are copied once.
const COPY_AT: i64 = 8192;
/// Passes of the pacer, each over what was added during the one before, until so few pages are left to the writer.
const PASSES: usize = 4;
const LEFT_TO_WRITER: i64 = 64;
/// Time between two looks at the length of the log, while there are commits.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Looks without a commit after which everything is copied back.
const QUIET_LOOKS: u32 = 20;

/// What writer and pacer tell each other.
#[derive(Debug, Default)]
pub(super) struct Pace {
    state: Mutex<State>,
    changed: Condvar,
    /// The log was copied back: the writer may start it anew.
    restart: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    committed: bool,
    stop: bool,
}

impl Pace {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn committed(&self) {
        let mut state = self.state();
        if !state.committed {
            state.committed = true;
            self.changed.notify_one();
        }
    }

    pub fn stop(&self) {
        self.state().stop = true;
        self.changed.notify_one();
    }

    pub fn wants_restart(&self) -> bool {
        self.restart.swap(false, Ordering::Relaxed)
    }

    /// For the writer, between two transactions. A reader that takes too long only puts it off.
    pub fn restart(&self, sql: &Connection) {
        if let Err(error) = checkpoint(sql, "RESTART") {
            tracing::warn!(%error, "the write-ahead log could not be started anew");
        }
    }

    /// Until there is a commit that was not looked at; whether to go on.
    fn wait_for_commit(&self) -> bool {
        let state = self.state();
        let state = self.changed.wait_while(state, |s| !s.committed && !s.stop).unwrap_or_else(PoisonError::into_inner);
        !state.stop
    }

    /// A pause; whether there were commits before its end, and whether to go on.
    fn look(&self) -> (bool, bool) {
        let state = self.state();
        let (mut state, _) =
            self.changed.wait_timeout_while(state, LOOK_EVERY, |s| !s.stop).unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut state.committed), !state.stop)
    }
}

pub(super) fn start(sql: Connection, pace: Arc<Pace>) -> Result<JoinHandle<()>> {
    // a log left by a killed process
    checkpoint(&sql, "PASSIVE").map_err(backend)?;
    spawn("store-pacer", move || run(&sql, &pace))
}

fn run(sql: &Connection, pace: &Pace) {
    while pace.wait_for_commit() {
        let mut quiet = 0;
        while quiet < QUIET_LOOKS {
            let (committed, go_on) = pace.look();
            if !go_on {
                return;
            }
            quiet = if committed { 0 } else { quiet + 1 };
            let done = checkpoint(sql, "NOOP").and_then(|log| {
                if log.pages < COPY_AT && quiet < QUIET_LOOKS {
                    return Ok(());
                }
                for _ in 0..PASSES {
                    checkpoint(sql, "PASSIVE")?;
                    if checkpoint(sql, "NOOP")?.left() < LEFT_TO_WRITER {
                        break;
                    }
                }
                pace.restart.store(log.pages >= COPY_AT, Ordering::Relaxed);
                Ok(())
            });
            if let Err(error) = done {
                tracing::warn!(%error, "the write-ahead log could not be copied back");
            }
        }
    }
}

/// Length of the write-ahead log in pages, and how many of them are copied back.
struct Log {
    pages: i64,
    copied: i64,
}

impl Log {
    fn left(&self) -> i64 {
        self.pages - self.copied
    }
}

fn checkpoint(sql: &Connection, mode: &str) -> rusqlite::Result<Log> {
    let mut run = sql.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
    run.query_row([], |row| Ok(Log { pages: row.get(1)?, copied: row.get(2)? }))
}
