//! The only place that reads a clock.

use super::clock_watch::Look;
use crate::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// The wall clock, UTC.
#[expect(clippy::disallowed_methods, reason = "the one place where the present enters")]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    chrono::DateTime::from_timestamp(since.as_secs() as i64, since.subsec_micros() * 1000).unwrap_or_default()
}

/// Readings that lie further apart than this were interrupted and are taken again.
const TOGETHER_MICROS: i64 = 2_000;

/// The three clocks of the machine, as nearly at one instant as can be had.
pub fn look() -> Look {
    let mut best: Option<(i64, Look)> = None;
    for _ in 0..8 {
        let first = micros(ALWAYS);
        let (wall_micros, awake_micros) = (micros(ClockId::Realtime), micros(ClockId::Monotonic));
        let apart = micros(ALWAYS) - first;
        let look = Look { wall_micros, awake_micros, always_micros: first + apart / 2 };
        if best.as_ref().is_none_or(|(known, _)| apart < *known) {
            best = Some((apart, look));
        }
        if apart <= TOGETHER_MICROS {
            break;
        }
    }
    best.map(|(_, look)| look).expect("looked at least once")
}

/// Counts on while the machine sleeps.
#[cfg(any(target_os = "linux", target_os = "android"))]
const ALWAYS: ClockId = ClockId::Boottime;
/// Without such a clock a suspension looks like a step forward.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const ALWAYS: ClockId = ClockId::Monotonic;

fn micros(id: ClockId) -> i64 {
    let time = clock_gettime(id);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}
