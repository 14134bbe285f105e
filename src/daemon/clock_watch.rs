//! What happens to the machine's clocks: steps, suspensions, standstills. The judgement is pure ([`judge`]); the task
//! looks every few seconds, and at once when somebody sets the clock.
//!
//! A clock that is slewed moves all three clocks alike and is no event. Nothing is undone after a step backward: what was
//! sent stays sent, see `tests/house/clock_steps.rs`.

use super::clock;
use crate::detail;
use crate::evidence::Made;
use crate::rules::utc;
use crate::store::Store;
use crate::time::Timestamp;
use crate::workflow::{Happening, House};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks when nobody sets the clock.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Smaller differences are what reading three clocks one after the other gives, or a slew.
const LEAST_MICROS: i64 = 500_000;
/// A look that comes later than planned by more than this: the process or its virtual machine stood still.
const STANDSTILL_MICROS: i64 = 20_000_000;

/// Three clocks, read together; microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Since 1970, UTC: may be set.
    pub wall_micros: i64,
    /// Counts while the machine is awake.
    pub awake_micros: i64,
    /// Counts always, also while the machine is suspended.
    pub always_micros: i64,
}

/// What happened between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The wall clock was set: by how much, forward when positive.
    Stepped { by_micros: i64 },
    /// The machine slept.
    Suspended { for_micros: i64 },
    /// The machine was awake by its own count, and this process did not run: stopped, starved, or a virtual machine that
    /// was paused and told the time afterwards.
    StoodStill { for_micros: i64 },
}

/// Compares two looks; the second was planned `planned_micros` after the first, or earlier.
pub fn judge(before: &Look, after: &Look, planned_micros: i64) -> Vec<Event> {
    let wall = after.wall_micros - before.wall_micros;
    let awake = after.awake_micros - before.awake_micros;
    let always = after.always_micros - before.always_micros;
    let mut events = Vec::new();
    if always - awake >= LEAST_MICROS {
        events.push(Event::Suspended { for_micros: always - awake });
    }
    if awake - planned_micros >= STANDSTILL_MICROS {
        events.push(Event::StoodStill { for_micros: awake - planned_micros });
    }
    if (wall - always).abs() >= LEAST_MICROS {
        events.push(Event::Stepped { by_micros: wall - always });
    }
    events
}

impl Event {
    /// As evidence and in words. `now` is the wall clock after the event.
    pub fn describe(&self, now: Timestamp) -> Happening {
        match *self {
            Event::Stepped { by_micros } => {
                let forward = by_micros >= 0;
                let direction = if forward { "forward" } else { "backward" };
                let was = now - chrono::Duration::microseconds(by_micros);
                Happening {
                    kind: "clock.stepped",
                    detail: detail! {
                        "direction": direction, "by_ms": by_micros.abs() / 1000, "from": Made::of(utc(was)),
                        "to": Made::of(utc(now)),
                    },
                    text: format!(
                        "the clock was set {} {}, from {} to {}",
                        seconds(by_micros),
                        if forward { "forward" } else { "back" },
                        utc(was),
                        utc(now)
                    ),
                }
            }
            Event::Suspended { for_micros } => Happening {
                kind: "clock.suspended",
                detail: detail! { "for_ms": for_micros / 1000, "until": Made::of(utc(now)) },
                text: format!("the machine was suspended for {}", seconds(for_micros)),
            },
            Event::StoodStill { for_micros } => Happening {
                kind: "clock.stood-still",
                detail: detail! { "for_ms": for_micros / 1000, "until": Made::of(utc(now)) },
                text: format!("the daemon did not run for {}", seconds(for_micros)),
            },
        }
    }
}

fn seconds(micros: i64) -> String {
    format!("{}.{:01} s", micros.abs() / 1_000_000, micros.abs() % 1_000_000 / 100_000)
}

/// Looks until `stop`; tells the house what happened. What the store does not take is offered again.
pub async fn watch<S: Store>(house: Arc<House<S>>, mut stop: watch::Receiver<bool>) {
    let mut setting = Setting::new();
    let mut before = clock::look();
    let mut untold: Vec<(Happening, Timestamp)> = Vec::new();
    while !super::run::is_over(&stop) {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = setting.happens() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        let after = clock::look();
        let now = clock::now();
        for event in judge(&before, &after, LOOK_EVERY.as_micros() as i64) {
            let happening = event.describe(now);
            tracing::warn!("{}", happening.text);
            untold.push((happening, now));
        }
        before = after;
        if !untold.is_empty() {
            // whatever became due must not wait for the evidence of why
            house.wake_all();
        }
        while let Some((happening, at)) = untold.first() {
            if let Err(error) = house.clock_happened(happening, *at).await {
                tracing::error!(%error, "an event of the clock could not be recorded; it is tried again");
                break;
            }
            untold.remove(0);
        }
        if let Err(error) = house.after_set_back(now).await {
            tracing::error!(%error, "alarms could not all be set again after the clock was set back; it is tried again");
        }
    }
}

#[cfg(target_os = "linux")]
use linux::Setting;

/// Somebody sets the wall clock: the kernel cancels a timer that never rings.
#[cfg(target_os = "linux")]
mod linux {
    use rustix::fd::OwnedFd;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    pub(super) struct Setting(Option<AsyncFd<OwnedFd>>);

    impl Setting {
        pub fn new() -> Setting {
            let timer = Self::open();
            if let Err(error) = &timer {
                tracing::debug!(%error, "settings of the clock are noticed by looking only");
            }
            Setting(timer.ok())
        }

        #[cfg(test)]
        pub fn is_armed(&self) -> bool {
            self.0.is_some()
        }

        fn open() -> std::io::Result<AsyncFd<OwnedFd>> {
            let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            arm(&timer)?;
            #[expect(
                deprecated,
                reason = "its successor is `unsafe`; an owned descriptor that stays in place is sound"
            )]
            AsyncFd::new(timer)
        }

        /// Returns after the clock was set; never where the kernel cannot tell.
        pub async fn happens(&mut self) {
            let Some(timer) = &self.0 else { return std::future::pending().await };
            loop {
                let Ok(mut ready) = timer.readable().await else { return std::future::pending().await };
                let mut expirations = [0u8; 8];
                match rustix::io::read(timer.get_ref(), &mut expirations) {
                    Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                    _ => {
                        ready.clear_ready();
                        drop(ready);
                        // the timer is gone with its cancellation
                        if arm(timer.get_ref()).is_err() {
                            self.0 = None;
                        }
                        return;
                    }
                }
            }
        }
    }

    fn arm(timer: &OwnedFd) -> rustix::io::Result<()> {
        let never = Timespec { tv_sec: 1 << 40, tv_nsec: 0 };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: never };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        timerfd_settime(timer, flags, &once).map(|_| ())
    }
}

#[cfg(not(target_os = "linux"))]
struct Setting;

#[cfg(not(target_os = "linux"))]
impl Setting {
    fn new() -> Setting {
        Setting
    }

    async fn happens(&mut self) {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECOND: i64 = 1_000_000;
    const PLANNED: i64 = 10 * SECOND;

    /// Wall, awake and always clocks move by these seconds; this is seen.
    #[test]
    fn what_the_differences_mean() {
        use Event::*;
        let cases: [(&str, [f64; 3], &[Event]); 10] = [
            ("nothing", [10.0, 10.0, 10.0], &[]),
            ("read one after the other", [10.3, 10.0, 10.1], &[]),
            ("slewed by 10 percent over one look", [10.4, 10.0, 10.0], &[]),
            ("an hour forward", [3610.0, 10.0, 10.0], &[Stepped { by_micros: 3600 * SECOND }]),
            ("an hour back", [-3590.0, 10.0, 10.0], &[Stepped { by_micros: -3600 * SECOND }]),
            ("half a second", [2.5, 2.0, 2.0], &[Stepped { by_micros: SECOND / 2 }]),
            ("slept eight hours", [28_810.0, 10.0, 28_810.0], &[Suspended { for_micros: 28_800 * SECOND }]),
            (
                "slept a minute, hardware clock an hour off",
                [3670.0, 10.0, 70.0],
                &[Suspended { for_micros: 60 * SECOND }, Stepped { by_micros: 3600 * SECOND }],
            ),
            ("paused, all clocks told afterwards", [310.0, 310.0, 310.0], &[StoodStill { for_micros: 300 * SECOND }]),
            ("paused, only the wall clock told", [310.0, 10.0, 10.0], &[Stepped { by_micros: 300 * SECOND }]),
        ];
        let before = Look { wall_micros: 1_790_000_000 * SECOND, awake_micros: 77, always_micros: 99 };
        for (name, [wall, awake, always], wanted) in cases {
            let moved = |seconds: f64| (seconds * SECOND as f64) as i64;
            let after = Look {
                wall_micros: before.wall_micros + moved(wall),
                awake_micros: before.awake_micros + moved(awake),
                always_micros: before.always_micros + moved(always),
            };
            assert_eq!(judge(&before, &after, PLANNED), wanted, "{name}");
        }
    }

    #[test]
    fn evidence_says_direction_and_size() {
        let now: Timestamp = "2026-03-28T01:00:00Z".parse().unwrap();
        let back = Event::Stepped { by_micros: -3_600_500_000 }.describe(now);
        assert_eq!(back.kind, "clock.stepped");
        let said = |name| back.detail.get(name).cloned();
        assert_eq!((said("direction"), said("by_ms")), (Some(json!("backward")), Some(json!(3_600_500))));
        assert_eq!(said("from"), Some(json!("2026-03-28T02:00:00.500Z")));
        assert!(back.text.contains("3600.5 s back"), "{}", back.text);
    }

    /// The real clocks agree with each other, and the kernel accepts the timer that watches for settings.
    #[tokio::test]
    async fn the_real_clocks_are_quiet() {
        let mut setting = Setting::new();
        let before = clock::look();
        let heard = tokio::time::timeout(Duration::from_millis(50), setting.happens()).await;
        assert!(heard.is_err(), "nobody set the clock");
        let after = clock::look();
        assert!(after.awake_micros - before.awake_micros >= 50_000);
        assert_eq!(judge(&before, &after, PLANNED), []);
        #[cfg(target_os = "linux")]
        assert!(setting.is_armed());
    }
}
