//! When a failed delivery is tried again: a pure table, compressed by the deadline the message is about.

use crate::time::Timestamp;
use chrono::TimeDelta;

/// Seconds after the first, second, ... failed attempt. The last one repeats.
const DELAYS: [i64; 10] = [5, 10, 20, 60, 120, 300, 600, 1200, 1800, 3600];
/// After the deadline nobody waits longer than this between two attempts.
const LATE_DELAY_SECONDS: i64 = 900;
/// Attempts go on for this long after the deadline.
const LATE_SECONDS: i64 = 86_400;
/// As many attempts as fit into that day: also owed to a message that is born late.
const LATE_ATTEMPTS: u32 = 100;
/// Without a deadline: about one day by the table above.
const ATTEMPTS_WITHOUT_DEADLINE: u32 = 32;
/// Two attempts are never closer than this.
const LEAST_SECONDS: i64 = 1;

/// The instant of the next attempt, or `None` to give up and say so.
///
/// `attempt` counts the attempts made so far, from 1. `urgent_deadline` is the conservative limit the message is about.
/// Until it passes, a quarter of the remaining time is the longest wait, so that several attempts end before it, and the
/// answer is never `None`. `seed` (a hash of the message's key) spreads attempts of many messages; the same arguments
/// give the same answer.
pub fn next_attempt(attempt: u32, now: Timestamp, urgent_deadline: Option<Timestamp>, seed: u64) -> Option<Timestamp> {
    let table = DELAYS[(attempt.max(1) as usize - 1).min(DELAYS.len() - 1)];
    let longest = match urgent_deadline {
        Some(deadline) if now < deadline => (deadline - now).num_seconds() / 4,
        Some(deadline) => {
            let day_over = now >= deadline + TimeDelta::seconds(LATE_SECONDS);
            if day_over && attempt >= LATE_ATTEMPTS {
                return None;
            }
            LATE_DELAY_SECONDS
        }
        None if attempt >= ATTEMPTS_WITHOUT_DEADLINE => return None,
        None => i64::MAX,
    };
    let delay = table.min(longest).max(LEAST_SECONDS) * 1000;
    // jitter only shortens: a wait that was compressed for a deadline must not grow beyond it
    let shortened = delay - delay / 8 * (mix(seed, attempt) % 1000) as i64 / 1000;
    Some(now + TimeDelta::milliseconds(shortened.max(LEAST_SECONDS * 1000)))
}

/// The same instant, moved to where the receiver asked for (`Retry-After`), but never past half of the time that is left.
pub fn not_before(
    next: Timestamp,
    now: Timestamp,
    after_seconds: Option<u32>,
    urgent_deadline: Option<Timestamp>,
) -> Timestamp {
    let Some(after) = after_seconds else { return next };
    let asked = now + TimeDelta::seconds(i64::from(after).min(LATE_SECONDS));
    let latest = match urgent_deadline {
        Some(deadline) if now < deadline => now + (deadline - now) / 2,
        _ => asked,
    };
    next.max(asked.min(latest))
}

/// SplitMix64, one round.
fn mix(seed: u64, attempt: u32) -> u64 {
    let mut z = seed.wrapping_add((u64::from(attempt) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(1_774_660_000 + seconds, 0).expect("in range")
    }

    /// All attempts after a first failure at 0 when every further one fails at once.
    fn attempts(deadline: Option<i64>, seed: u64) -> Vec<f64> {
        let (mut now, mut attempt, mut all) = (at(0), 1, Vec::new());
        while let Some(next) = next_attempt(attempt, now, deadline.map(at), seed) {
            assert!(next > now, "time moves on");
            all.push((next - at(0)).num_milliseconds() as f64 / 1000.0);
            (now, attempt) = (next, attempt + 1);
            assert!(attempt < 5_000, "bounded");
        }
        all
    }

    #[test]
    fn first_retries_come_in_seconds_and_then_grow() {
        let all = attempts(None, 7);
        assert!(all[0] <= 5.0 && all[1] <= 15.0 && all[2] <= 35.0, "{all:?}");
        assert!((10.0..30.0).contains(&(all.last().unwrap() / 3600.0)), "about a day: {:?}", all.last());
    }

    #[test]
    fn before_the_deadline_it_never_gives_up_and_keeps_several_attempts() {
        for deadline in [2, 10, 60, 600, 3600, 4 * 3600, 72 * 3600, 30 * 86_400] {
            for seed in 0..50 {
                let all = attempts(Some(deadline), seed);
                let before = all.iter().filter(|t| **t < deadline as f64).count();
                let wanted = if deadline < 10 { 1 } else { 4 };
                assert!(before >= wanted, "{before} attempts before a deadline in {deadline} s: {all:?}");
                let last_before = all.iter().copied().filter(|t| *t < deadline as f64).fold(0.0, f64::max);
                assert!(deadline as f64 - last_before <= 3600.0, "the last attempt is near the deadline");
            }
        }
    }

    #[test]
    fn after_the_deadline_it_goes_on_for_a_day_at_a_bounded_rate() {
        let all = attempts(Some(600), 3);
        let late: Vec<f64> = all.into_iter().filter(|t| *t > 600.0).collect();
        assert!(*late.last().unwrap() >= 86_400.0);
        assert!(late.windows(2).all(|w| w[1] - w[0] <= 900.0));
        assert!(late.len() <= 130, "{}", late.len());
    }

    #[test]
    fn a_message_born_late_has_its_day_too() {
        let all = attempts(Some(-10 * 86_400), 3);
        assert!(*all.last().unwrap() > 70_000.0, "{:?}", all.last());
    }

    #[test]
    fn the_same_arguments_give_the_same_answer_and_seeds_spread() {
        assert_eq!(next_attempt(6, at(0), None, 1), next_attempt(6, at(0), None, 1));
        assert_ne!(next_attempt(6, at(0), None, 1), next_attempt(6, at(0), None, 2));
    }

    #[test]
    fn retry_after_is_honoured_within_the_time_that_is_left() {
        let next = at(5);
        assert_eq!(not_before(next, at(0), None, None), at(5));
        assert_eq!(not_before(next, at(0), Some(120), None), at(120));
        assert_eq!(not_before(next, at(0), Some(1), None), at(5));
        assert_eq!(not_before(next, at(0), Some(7200), Some(at(3600))), at(1800));
        assert_eq!(not_before(next, at(0), Some(7200), Some(at(-5))), at(7200));
    }
}
