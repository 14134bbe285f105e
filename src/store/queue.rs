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

/// Nothing is planned further ahead, in microseconds: retries wait an hour, `Retry-After` is obeyed for a day. What waits
/// longer was planned by a clock that was set back since, and would be forgotten until the wrong hour comes.
pub(super) const LONGEST_WAIT: i64 = 26 * 3600 * 1_000_000;

/// Does a message that may be claimed at `not_before` have to wait at `now`?
pub(super) fn must_wait(not_before: i64, now: i64) -> bool {
    not_before > now && not_before - now <= LONGEST_WAIT
}

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
        while let Some(&(not_before, row)) = self.by_time.first()
            && not_before <= now
        {
            self.by_time.pop_first();
            self.ready.insert((self.waiting[&row].urgent_at, row));
        }
        while let Some(&(not_before, row)) = self.by_time.last()
            && not_before > now
            && !must_wait(not_before, now)
        {
            self.by_time.pop_last();
            self.ready.insert((self.waiting[&row].urgent_at, row));
        }
        let mut found = Vec::new();
        // a clock that was set back makes some of them wait again
        let mut early = Vec::new();
        for &(urgent_at, row) in &self.ready {
            let not_before = self.waiting[&row].not_before;
            if must_wait(not_before, now) {
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

    /// The row that was queued first.
    pub fn oldest(&self) -> Option<i64> {
        self.waiting.keys().copied().min()
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
        assert_eq!(queue.oldest(), Some(2));
    }

    #[test]
    fn a_wait_planned_by_a_wrong_clock_is_not_kept() {
        let mut queue = Queue::default();
        let now = 1_000;
        queue.insert(1, 50, now + LONGEST_WAIT);
        queue.insert(2, 40, now + LONGEST_WAIT + 1);
        assert_eq!(queue.claimable(now, 10), [2], "planned for a day that is far away");
        queue.wait(2, now + 5);
        assert_eq!(queue.claimable(now, 10), [] as [i64; 0]);
        assert_eq!(queue.claimable(now + 5, 10), [2]);
    }
}
