//! The unsettled messages, in memory: which may be claimed, and which of these first.
//!
//! ```text
//!  queued ──claim──► leased ──settle──► handed over | failed     (both leave the queue)
//!    ▲                 │ lease ends: claimable again
//!    └──── retry at ───┘
//! ```
//! One number stands for all waiting: `not_before` is 0 for a message nobody tried, the end of the lease while one is
//! held, and the retry afterwards. All in microseconds.
//!
//! A wait is measured on the wall clock. When that is set back, what was to be a wait of seconds would become one of
//! hours: a wait that was set well after the present is void.

use super::Lane;
use std::collections::{BTreeSet, HashMap};

/// A clock set back by less only makes a wait that much longer, microseconds.
pub(super) const SET_BACK: i64 = 60_000_000;

/// Unsettled messages by row, each lane by itself.
#[derive(Debug, Default)]
pub(super) struct Queues([Queue; Lane::ALL.len()]);

impl Queues {
    /// A message nobody tried, made at `since`.
    pub fn insert(&mut self, lane: Lane, row: i64, urgent_at: i64, since: i64) {
        self.0[lane as usize].insert(row, Waiting { urgent_at, not_before: 0, set_at: 0, since });
    }

    /// A message as stored, with the instant at which its wait was set.
    pub fn insert_waiting(&mut self, lane: Lane, row: i64, urgent_at: i64, not_before: i64, set_at: i64) {
        self.0[lane as usize].insert(row, Waiting { urgent_at, not_before, set_at, since: not_before });
    }

    /// A message that waits anew, as decided at `now`: its lease or its next attempt.
    pub fn wait(&mut self, row: i64, not_before: i64, now: i64) {
        self.0.iter_mut().for_each(|queue| queue.wait(row, not_before, now));
    }

    pub fn remove(&mut self, row: i64) {
        self.0.iter_mut().for_each(|queue| queue.remove(row));
    }

    /// Up to `limit` rows of a lane that may be claimed at `now`, most urgent first.
    pub fn claimable(&mut self, lane: Lane, now: i64, limit: usize) -> Vec<i64> {
        self.0[lane as usize].claimable(now, limit)
    }

    /// What the lanes wait for.
    pub fn next(&self) -> Nexts {
        Nexts(std::array::from_fn(|at| self.0[at].next()))
    }
}

/// What each lane waits for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Nexts([Option<Next>; Lane::ALL.len()]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Next {
    /// Since when, or from when on, a message may be claimed.
    since: i64,
    /// From when on one may be claimed; 0 for at once.
    not_before: i64,
    /// The latest instant at which a wait was set.
    set_at: i64,
}

impl Nexts {
    pub fn of(&self, lane: Lane) -> Option<i64> {
        self.0[lane as usize].map(|next| next.since)
    }

    /// Whether a claim at `now` could find anything.
    pub fn may_have(&self, lane: Lane, now: i64) -> bool {
        self.0[lane as usize].is_some_and(|next| next.not_before <= now || next.set_at > now + SET_BACK)
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: HashMap<i64, Waiting>,
    /// Those whose time has not come: `(not_before, row)`.
    by_time: BTreeSet<(i64, i64)>,
    /// The same ones: `(set_at, row)`.
    by_set: BTreeSet<(i64, i64)>,
    /// All: `(since, row)`.
    by_since: BTreeSet<(i64, i64)>,
    /// Those whose time had come when last asked: `(urgent_at, row)`.
    ready: BTreeSet<(i64, i64)>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    urgent_at: i64,
    not_before: i64,
    /// What the clock showed when `not_before` was set.
    set_at: i64,
    /// `not_before`, and for a message nobody tried when it was made.
    since: i64,
}

impl Waiting {
    fn may_be_claimed(&self, now: i64) -> bool {
        self.not_before <= now || self.set_at > now + SET_BACK
    }
}

impl Queue {
    fn insert(&mut self, row: i64, waiting: Waiting) {
        self.remove(row);
        self.waiting.insert(row, waiting);
        self.by_time.insert((waiting.not_before, row));
        self.by_set.insert((waiting.set_at, row));
        self.by_since.insert((waiting.since, row));
    }

    fn wait(&mut self, row: i64, not_before: i64, now: i64) {
        if let Some(known) = self.waiting.get(&row).copied() {
            self.insert(row, Waiting { not_before, set_at: now, since: not_before, ..known });
        }
    }

    fn remove(&mut self, row: i64) {
        if let Some(known) = self.waiting.remove(&row) {
            self.by_time.remove(&(known.not_before, row));
            self.by_set.remove(&(known.set_at, row));
            self.by_since.remove(&(known.since, row));
            self.ready.remove(&(known.urgent_at, row));
        }
    }

    fn claimable(&mut self, now: i64, limit: usize) -> Vec<i64> {
        while let Some(&(not_before, row)) = self.by_time.first().filter(|(not_before, _)| *not_before <= now) {
            debug_assert_eq!(self.waiting[&row].not_before, not_before);
            self.make_ready(row);
        }
        while let Some(&(_, row)) = self.by_set.last().filter(|(set_at, _)| *set_at > now + SET_BACK) {
            self.make_ready(row);
        }
        let mut found = Vec::new();
        // a clock that was set back makes some of them wait again
        let mut early = Vec::new();
        for &(_, row) in &self.ready {
            let waiting = self.waiting[&row];
            if !waiting.may_be_claimed(now) {
                early.push((row, waiting));
                continue;
            }
            if found.len() == limit {
                break;
            }
            found.push(row);
        }
        for (row, waiting) in early {
            self.insert(row, waiting);
        }
        found
    }

    fn make_ready(&mut self, row: i64) {
        let waiting = self.waiting[&row];
        self.by_time.remove(&(waiting.not_before, row));
        self.by_set.remove(&(waiting.set_at, row));
        self.ready.insert((waiting.urgent_at, row));
    }

    fn next(&self) -> Option<Next> {
        let &(since, _) = self.by_since.first()?;
        let not_before = if self.ready.is_empty() { self.by_time.first()?.0 } else { 0 };
        Some(Next { since, not_before, set_at: self.by_set.last().map_or(0, |(set_at, _)| *set_at) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(rows: &[(i64, i64, i64)]) -> Queue {
        let mut queue = Queue::default();
        rows.iter().for_each(|&(row, urgent_at, not_before)| {
            queue.insert(row, Waiting { urgent_at, not_before, set_at: 0, since: not_before.max(row) });
        });
        queue
    }

    #[test]
    fn urgent_first_and_nothing_before_its_time() {
        let mut queue = queue(&[(1, 50, 0), (2, 40, 0), (3, 10, 100)]);
        assert_eq!(queue.next(), Some(Next { since: 1, not_before: 0, set_at: 0 }));
        assert_eq!(queue.claimable(20, 10), [2, 1]);
        assert_eq!(queue.claimable(100, 10), [3, 2, 1]);
        assert_eq!(queue.claimable(20, 10), [2, 1], "the clock was set back a little");
        queue.wait(2, 60, 20);
        queue.remove(1);
        assert_eq!(queue.claimable(20, 10), [] as [i64; 0]);
        assert_eq!(queue.next(), Some(Next { since: 60, not_before: 60, set_at: 20 }));
        assert_eq!(queue.claimable(60, 10), [2]);
        assert_eq!(queue.claimable(200, 1), [3]);
    }

    #[test]
    fn a_wait_set_on_a_clock_that_was_wrong_is_void() {
        let hour = 60 * SET_BACK;
        let mut queue = queue(&[(1, 50, 0), (2, 40, 0)]);
        queue.wait(1, 2 * hour + 5, 2 * hour);
        queue.wait(2, hour + 5, hour);
        let nexts = |queue: &Queue| Nexts([queue.next(), None]);
        assert_eq!(queue.claimable(2 * hour, 10), [2]);
        assert_eq!(queue.claimable(2 * hour - SET_BACK, 10), [2], "a little is a wait that much longer");
        assert_eq!(queue.claimable(hour, 10), [1], "row 1 was set an hour from now, row 2 waits again");
        assert!(nexts(&queue).may_have(Lane::ALL[0], hour));
        queue.wait(1, hour + 60, hour);
        assert_eq!(queue.claimable(hour, 10), [] as [i64; 0], "claimed once");
        assert!(!nexts(&queue).may_have(Lane::ALL[0], hour));
        assert_eq!(queue.claimable(hour + 60, 10), [2, 1]);
    }
}
