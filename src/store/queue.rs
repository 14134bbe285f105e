//! The unsettled messages, in memory: which may be claimed, and which of these first.
//!
//! ```text
//!  queued ──claim──► leased ──settle──► handed over | failed     (both leave the queue)
//!    ▲                 │ lease ends: claimable again
//!    └──── retry at ───┘
//! ```
//! One number stands for all waiting: `not_before` is 0 for a message nobody tried, the end of the lease while one is
//! held, and the retry afterwards. All in microseconds.

use std::collections::{BTreeSet, HashMap};

/// Unsettled messages by row.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: HashMap<i64, Waiting>,
    /// Those whose time has not come: `(not_before, row)`.
    by_time: BTreeSet<(i64, i64)>,
    /// Those whose time had come when last asked: `(urgent_at, row)`.
    ready: BTreeSet<(i64, i64)>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    urgent_at: i64,
    not_before: i64,
}

impl Queue {
    pub fn insert(&mut self, row: i64, urgent_at: i64, not_before: i64) {
        self.remove(row);
        self.waiting.insert(row, Waiting { urgent_at, not_before });
        self.by_time.insert((not_before, row));
    }

    /// A message that waits anew: its lease or its next attempt.
    pub fn wait(&mut self, row: i64, not_before: i64) {
        if let Some(known) = self.waiting.get(&row).copied() {
            self.insert(row, known.urgent_at, not_before);
        }
    }

    pub fn remove(&mut self, row: i64) {
        if let Some(known) = self.waiting.remove(&row) {
            self.by_time.remove(&(known.not_before, row));
            self.ready.remove(&(known.urgent_at, row));
        }
    }

    /// Up to `limit` rows that may be claimed at `now`, most urgent first.
    pub fn claimable(&mut self, now: i64, limit: usize) -> Vec<i64> {
        while let Some((not_before, row)) = self.by_time.pop_first() {
            if not_before > now {
                self.by_time.insert((not_before, row));
                break;
            }
            self.ready.insert((self.waiting[&row].urgent_at, row));
        }
        let mut found = Vec::new();
        // a clock that was set back makes some of them wait again
        let mut early = Vec::new();
        for &(urgent_at, row) in &self.ready {
            let not_before = self.waiting[&row].not_before;
            if not_before > now {
                early.push((urgent_at, row, not_before));
                continue;
            }
            if found.len() == limit {
                break;
            }
            found.push(row);
        }
        for (urgent_at, row, not_before) in early {
            self.ready.remove(&(urgent_at, row));
            self.by_time.insert((not_before, row));
        }
        found
    }

    /// Earliest instant at which one may be claimed; 0 when one may be at once.
    pub fn next(&self) -> Option<i64> {
        if self.ready.is_empty() { self.by_time.first().map(|(not_before, _)| *not_before) } else { Some(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_first_and_nothing_before_its_time() {
        let mut queue = Queue::default();
        queue.insert(1, 50, 0);
        queue.insert(2, 40, 0);
        queue.insert(3, 10, 100);
        assert_eq!(queue.next(), Some(0));
        assert_eq!(queue.claimable(20, 10), [2, 1]);
        assert_eq!(queue.claimable(100, 10), [3, 2, 1]);
        assert_eq!(queue.claimable(20, 10), [2, 1], "the clock was set back");
        queue.wait(2, 60);
        queue.remove(1);
        assert_eq!(queue.claimable(20, 10), [] as [i64; 0]);
        assert_eq!(queue.next(), Some(60));
        assert_eq!(queue.claimable(60, 10), [2]);
        assert_eq!(queue.claimable(200, 1), [3]);
    }
}
