//! The only place that reads a clock.
//!
//! An exercise runs on synthetic time: it begins at an instant of its choice and passes faster than the wall clock. The
//! pace is set once, for the whole process, before anything else asks for the time.

use super::clock_watch::Look;
use crate::time::Timestamp;
use crate::workflow::Machine;
use rustix::time::{ClockId, clock_gettime};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

static PACE: OnceLock<Pace> = OnceLock::new();
static STOPPED: OnceLock<Timestamp> = OnceLock::new();

/// The present of this process, UTC: the wall clock's, or that of the exercise.
pub fn now() -> Timestamp {
    let Some(pace) = PACE.get() else { return wall() };
    STOPPED.get().copied().unwrap_or_else(|| pace.synthetic(pace.since.elapsed()))
}

/// The wall clock, UTC, also during an exercise.
#[expect(clippy::disallowed_methods, reason = "the one place where the present enters")]
pub fn wall() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    chrono::DateTime::from_timestamp(since.as_secs() as i64, since.subsec_micros() * 1000).unwrap_or_default()
}

/// What the wall clock showed, or will show, at an instant of [`now`].
pub fn wall_of(at: Timestamp) -> Timestamp {
    PACE.get().map_or(at, |pace| pace.wall_of(at))
}

/// Sleeps for a duration of [`now`]'s time.
pub fn sleep_for(duration: Duration) -> tokio::time::Sleep {
    tokio::time::sleep(PACE.get().map_or(duration, |pace| duration / pace.speed))
}

/// From now on time begins at `origin` and passes `speed` times as fast.
///
/// # Errors
/// When it was called before in this process, or `speed` is zero.
pub fn accelerate(origin: Timestamp, speed: u32) -> Result<(), String> {
    if speed == 0 {
        return Err("time has to pass: the speed is at least 1".into());
    }
    let pace = Pace { origin, wall: wall(), since: Instant::now(), speed };
    PACE.set(pace).map_err(|_| "the clock of this process is accelerated already".to_string())
}

/// Synthetic time stands still at `at`, or where it is when it has not come so far: nothing becomes due any more.
pub fn stop_at(at: Timestamp) {
    let _ = STOPPED.set(at.min(now()));
}

/// How synthetic time and the wall clock belong together.
#[derive(Clone, Copy, Debug)]
struct Pace {
    origin: Timestamp,
    /// The wall clock at `origin`.
    wall: Timestamp,
    since: Instant,
    speed: u32,
}

impl Pace {
    fn synthetic(&self, elapsed: Duration) -> Timestamp {
        let micros = i64::try_from(elapsed.as_micros() * u128::from(self.speed)).unwrap_or(i64::MAX / 2);
        self.origin + chrono::Duration::microseconds(micros)
    }

    fn wall_of(&self, at: Timestamp) -> Timestamp {
        self.wall + (at - self.origin) / self.speed.min(i32::MAX as u32) as i32
    }
}

/// The run of this machine, when its clock is the one of [`now`].
pub fn machine() -> Option<Machine> {
    PACE.get().is_none().then(|| Machine { boot: boot(), up_micros })
}

/// A word that each run of the machine has for itself. The unit hands it in, as it hides `/proc/sys` from the daemon.
fn boot() -> Option<String> {
    let told = std::env::var("BREACHCLOCK_BOOT").ok();
    let told = told.or_else(|| std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok())?;
    let word: String = told.chars().filter(char::is_ascii_hexdigit).collect();
    (word.len() == 32).then_some(word)
}

fn up_micros() -> u64 {
    micros(ALWAYS).try_into().unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synthetic_time_and_back() {
        let at = |text: &str| -> Timestamp { text.parse().expect("RFC 3339") };
        let pace = |speed| Pace {
            origin: at("2026-03-27T15:20:00Z"),
            wall: at("2026-11-28T08:00:00Z"),
            since: Instant::now(),
            speed,
        };
        for (speed, elapsed_ms, synthetic) in [
            (1, 1_500, "2026-03-27T15:20:01.500Z"),
            (3_600, 72_000, "2026-03-30T15:20:00Z"),
            (864, 300_000, "2026-03-30T15:20:00Z"),
            (100_000, 1, "2026-03-27T15:21:40Z"),
        ] {
            let (pace, elapsed) = (pace(speed), Duration::from_millis(elapsed_ms));
            assert_eq!(pace.synthetic(elapsed), at(synthetic), "{speed}");
            let wall = pace.wall + chrono::Duration::milliseconds(elapsed_ms as i64);
            assert_eq!(pace.wall_of(at(synthetic)), wall, "{speed}");
        }
        let early = at("2026-03-27T14:20:00Z");
        assert_eq!(pace(3_600).wall_of(early), at("2026-11-28T07:59:59Z"), "before the exercise began");
    }

    #[test]
    fn without_an_exercise_it_is_the_wall_clock() {
        let (before, between, after) = (wall(), now(), wall());
        assert!(before <= between && between <= after);
        assert_eq!(wall_of(between), between);
    }
}
