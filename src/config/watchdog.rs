//! `[watchdog]`: who hears that the daemon lives.

use super::Checker;
use super::people::is_known;
use crate::escalation::{Directory, Who, duration};
use crate::time::{Recurrence, Zone};
use crate::workflow::LifePlan;
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWatchdog {
    #[serde(default)]
    ping: Vec<String>,
    every: Option<String>,
    alive: Option<String>,
    zone: Option<String>,
    #[serde(default)]
    alive_to: Vec<String>,
    #[serde(default)]
    self_test_to: Vec<String>,
    self_test_maildir: Option<PathBuf>,
}

/// Checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watchdog {
    /// Called after proven loops.
    pub ping: Vec<String>,
    /// Least seconds between two pings of one URL.
    pub every_seconds: u64,
    /// When people are told that the daemon lives, and whom.
    pub life: Option<LifePlan>,
}

const EVERY_SECONDS: i64 = 60;
/// A life sign that comes more often is not read.
const LEAST_APART_SECONDS: i64 = 900;

impl Checker<'_> {
    pub(super) fn watchdog(&mut self, raw: RawWatchdog, directory: &Directory) -> Watchdog {
        for url in &raw.ping {
            if !["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) {
                self.fault(url, format!("`ping` has `{url}`; write a URL that begins with https://"));
            }
        }
        let every = raw.every.as_deref().map_or(Ok(EVERY_SECONDS), duration).unwrap_or_else(|error| {
            self.fault("every", error);
            EVERY_SECONDS
        });
        if every < EVERY_SECONDS {
            self.fault("every", "`[watchdog].every` is shorter than a minute; write `1m` or more");
        }
        let zone = raw.zone.as_deref().map_or(Ok(Zone::UTC), Zone::named).unwrap_or_else(|error| {
            self.fault("zone", error.to_string());
            Zone::UTC
        });
        let tested = !raw.self_test_to.is_empty();
        let alive = raw.alive.as_deref().and_then(|text| match Recurrence::parse(text, zone) {
            Ok(alive) if too_often(&alive) => {
                self.fault(
                    text,
                    format!("`alive` is `{text}`, more often than every 15 minutes; nobody would read it"),
                );
                None
            }
            Ok(alive) => Some(alive),
            Err(error) => {
                self.fault(text, error.to_string());
                None
            }
        });
        if raw.alive.is_some() != (tested || !raw.alive_to.is_empty()) {
            self.fault(
                "[watchdog]",
                "`alive` says when and `alive_to` or `self_test_to` whom: give both, or none of them",
            );
        }
        if raw.self_test_maildir.is_some() && !tested {
            self.fault("self_test_maildir", "`self_test_maildir` is for the messages of `self_test_to`; name somebody");
        }
        let alive_to = self.who("alive_to", &raw.alive_to, directory);
        let self_test_to = self.who("self_test_to", &raw.self_test_to, directory);
        let maildir = raw.self_test_maildir.map(|dir| self.base.join(dir));
        Watchdog {
            every_seconds: every.max(EVERY_SECONDS) as u64,
            life: alive.map(|when| LifePlan { when, alive_to, self_test_to, maildir }),
            ping: raw.ping,
        }
    }

    pub(super) fn who(&mut self, key: &str, names: &[String], directory: &Directory) -> Vec<Who> {
        let mut found = Vec::new();
        for name in names {
            match Who::parse(name) {
                Ok(who) if is_known(&who, directory) => found.push(who),
                Ok(_) => self.fault(name, format!("`{key}` tells `{name}`, which nothing describes")),
                Err(error) => self.fault(name, error),
            }
        }
        found
    }
}

/// Looks at the first occurrences of a year without surprises; a comb of seconds shows at once.
pub(super) fn too_often(alive: &Recurrence) -> bool {
    let mut at = chrono::DateTime::UNIX_EPOCH;
    for n in 0..200 {
        let Some(next) = alive.next_after(at) else { return false };
        if n > 0 && (next - at).num_seconds() < LEAST_APART_SECONDS {
            return true;
        }
        at = next;
    }
    false
}
