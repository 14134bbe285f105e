//! Another clock for the daemon, by libfaketime (Debian: package faketime). Sleeps shrink with a rate, because the
//! monotonic clock and the waits of the system are scaled too.

use breachclock::daemon::clock::now;
use breachclock::time::Timestamp;
use chrono::TimeDelta;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// What the daemon believes to be the time.
pub enum Clock {
    /// From `start` on, `rate` times as fast as it is.
    Fast { start: Timestamp, rate: u32, began: Instant },
    /// The real time moved by what stands in a file, such as `+3600` seconds; the monotonic clock is left alone, as when
    /// somebody sets the clock or the machine was suspended.
    Moved(PathBuf),
}

impl Clock {
    pub fn fast(start: Timestamp, rate: u32) -> Clock {
        Clock::Fast { start, rate, began: Instant::now() }
    }

    /// A clock that `set` moves, at first the real one.
    pub fn moved(file: PathBuf) -> Clock {
        let clock = Clock::Moved(file);
        clock.set(0);
        clock
    }

    /// Moves the clock by so many seconds against the real one.
    pub fn set(&self, seconds: i64) {
        let Clock::Moved(file) = self else { panic!("this clock has a rate") };
        let part = file.with_extension("part");
        std::fs::write(&part, format!("{seconds:+}\n")).expect("written");
        std::fs::rename(&part, file).expect("renamed");
    }

    /// The same clock for a daemon that is started later.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::Fast { start, rate, began } => {
                *start + TimeDelta::microseconds((began.elapsed() * *rate).as_micros() as i64)
            }
            Clock::Moved(file) => {
                let text = std::fs::read_to_string(file).expect("reads");
                now() + TimeDelta::seconds(text.trim().parse().expect("seconds"))
            }
        }
    }

    pub fn apply(&self, command: &mut Command) {
        command.env("LD_PRELOAD", library()).env("TZ", "UTC");
        match self {
            Clock::Fast { rate, .. } => {
                command.env("FAKETIME", format!("@{} x{rate}", self.now().format("%Y-%m-%d %H:%M:%S")));
            }
            Clock::Moved(file) => {
                command.env("FAKETIME_TIMESTAMP_FILE", file);
                command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            }
        }
    }
}

fn library() -> PathBuf {
    let places = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    places
        .chain([PathBuf::from("/usr/lib"), PathBuf::from("/usr/local/lib")])
        .map(|place| place.join("faketime/libfaketimeMT.so.1"))
        .find(|file| file.exists())
        .expect("libfaketime is missing; install the Debian package faketime, or run scripts/test.sh")
}
