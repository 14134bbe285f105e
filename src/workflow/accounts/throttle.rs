//! Guessing gets slow, for whoever guesses: attempts are counted for each account from each address. Nobody can lock out
//! somebody else, who comes from another address.
//!
//! Absent: a clock, and anything that is kept over a restart.

use crate::time::Timestamp;
use chrono::Duration;
use std::collections::BTreeMap;

/// Failures that cost nothing: people mistype.
const FREE: u32 = 4;
/// The longest wait, in seconds, and how long a failure is remembered.
const LONGEST_SECONDS: i64 = 900;
const MEMORY: Duration = Duration::hours(1);
/// Keys remembered; the oldest goes first.
const MOST: usize = 10_000;

/// Failed attempts by key.
#[derive(Debug, Default)]
pub struct Throttle {
    failed: BTreeMap<String, (u32, Timestamp)>,
}

impl Throttle {
    /// Seconds to wait before the next attempt; `None` when it may be made now.
    pub fn wait(&self, key: &str, now: Timestamp) -> Option<i64> {
        let (count, last) = self.failed.get(key)?;
        let seconds = match count.saturating_sub(FREE) {
            0 => return None,
            more => (1_i64 << more.min(20)).min(LONGEST_SECONDS),
        };
        // a clock that was set back does not make anybody wait for ever
        let left = (*last + Duration::seconds(seconds) - now).num_seconds();
        (1..=LONGEST_SECONDS).contains(&left).then_some(left)
    }

    /// One more failure. Answers how many there are.
    pub fn failed(&mut self, key: &str, now: Timestamp) -> u32 {
        if self.failed.len() >= MOST {
            self.failed.retain(|_, (_, last)| now - *last < MEMORY);
        }
        if self.failed.len() >= MOST
            && let Some(oldest) = self.failed.iter().min_by_key(|(_, (_, last))| *last).map(|(key, _)| key.clone())
        {
            self.failed.remove(&oldest);
        }
        let (count, last) = self.failed.entry(key.to_string()).or_insert((0, now));
        *count = if now - *last < MEMORY { count.saturating_add(1) } else { 1 };
        *last = now;
        *count
    }

    pub fn succeeded(&mut self, key: &str) {
        self.failed.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(1_774_700_000 + second, 0).expect("in range")
    }

    #[test]
    fn waits_double_and_end() {
        let mut throttle = Throttle::default();
        let mut waits = Vec::new();
        for _ in 0..16 {
            throttle.failed("a", at(0));
            waits.push(throttle.wait("a", at(0)));
        }
        assert_eq!(waits[..4], [None; 4]);
        assert_eq!(waits[4..9], [Some(2), Some(4), Some(8), Some(16), Some(32)]);
        assert_eq!(waits[15], Some(900));
        assert_eq!(throttle.wait("a", at(899)), Some(1));
        assert_eq!((throttle.wait("a", at(900)), throttle.wait("b", at(0))), (None, None));
        assert_eq!(throttle.failed("a", at(2 * 3600)), 1, "an hour forgets");
        throttle.failed("a", at(3 * 3600));
        throttle.succeeded("a");
        assert_eq!(throttle.failed("a", at(3 * 3600)), 1);
    }

    #[test]
    fn memory_is_bounded_and_a_clock_set_back_locks_nobody_out() {
        let mut throttle = Throttle::default();
        (0..MOST as i64 + 50).for_each(|n| _ = throttle.failed(&n.to_string(), at(n / 100)));
        assert_eq!(throttle.failed.len(), MOST);
        (0..9).for_each(|_| _ = throttle.failed("x", at(90_000)));
        assert_eq!(throttle.wait("x", at(0)), None);
    }
}
