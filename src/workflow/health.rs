//! What the daemon knows about its own life and its machine: clocks, heartbeats, warnings. Kept in memory for `/status`;
//! every event of the clock is evidence as well.

use super::{Answered, ClockView, House, PingView};
use crate::detail;
use crate::evidence::{Clk, Detail, Id, Made};
use crate::rules::utc;
use crate::store::Store;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Something that happened to the machine's clock: as evidence, and in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// `clock.…`
    pub kind: &'static str,
    /// Nothing personal.
    pub detail: Detail,
    pub text: String,
}

/// Is the clock disciplined by a time service? Unknown is not yes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discipline {
    Synchronised,
    Unsynchronised,
    #[default]
    Unknown,
}

impl Discipline {
    pub const ALL: [Discipline; 3] = [Discipline::Synchronised, Discipline::Unsynchronised, Discipline::Unknown];

    pub fn as_str(self) -> &'static str {
        match self {
            Discipline::Synchronised => "synchronised",
            Discipline::Unsynchronised => "unsynchronised",
            Discipline::Unknown => "unknown",
        }
    }
}

crate::law::schema_of_words!(Discipline);

/// A run of the machine, and a clock of it that nobody can set.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `None` where the machine does not say.
    pub boot: Option<String>,
    /// Microseconds since its start, sleep included.
    pub up_micros: fn() -> u64,
}

/// See the module.
#[derive(Default)]
pub struct Health(Mutex<Known>);

#[derive(Default)]
pub(super) struct Known {
    discipline: Discipline,
    since: Option<Timestamp>,
    /// Who said so.
    source: Option<String>,
    error_micros: Option<u64>,
    machine: Option<Machine>,
    steps: u64,
    suspensions: u64,
    last_event: Option<(Timestamp, String)>,
    pings: BTreeMap<String, Pinged>,
    warnings: BTreeMap<&'static str, String>,
    pub(super) faults: BTreeMap<&'static str, String>,
}

#[derive(Default)]
struct Pinged {
    last_success: Option<Timestamp>,
    /// Since when, and why.
    failing: Option<(Timestamp, String)>,
}

impl Health {
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        // every change is one assignment: a panic elsewhere leaves nothing half done
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the result of a heartbeat to `place`. Answers whether this differs from the last one.
    pub fn pinged(&self, place: &str, result: Result<(), String>, now: Timestamp) -> bool {
        let mut known = self.known();
        let pinged = known.pings.entry(place.to_string()).or_default();
        match result {
            Ok(()) => {
                pinged.last_success = Some(now);
                pinged.failing.take().is_some()
            }
            Err(error) => {
                let first = pinged.failing.is_none();
                let since = pinged.failing.take().map_or(now, |(since, _)| since);
                pinged.failing = Some((since, error));
                first
            }
        }
    }

    /// Sets or takes away a warning: something to mend that does not endanger anything now.
    pub fn warn(&self, about: &'static str, text: Option<String>) {
        put(&mut self.known().warnings, about, text);
    }

    /// Sets or takes away a fault: the house is not ready while one stands.
    pub fn fault(&self, about: &'static str, text: Option<String>) {
        put(&mut self.known().faults, about, text);
    }

    /// Entries are dated by the clock of this machine.
    pub fn runs_on(&self, machine: Machine) {
        self.known().machine = Some(machine);
    }

    /// Notes how far off the clock is at most; `None` when nobody estimates it.
    pub fn estimated(&self, error_micros: Option<u64>) {
        self.known().error_micros = error_micros;
    }

    /// What is known of the clock that dates entries. Of synthetic time nothing is.
    pub(super) fn clk(&self) -> Clk {
        let known = self.known();
        let Some(machine) = &known.machine else { return Clk::default() };
        let synchronised = known.discipline == Discipline::Synchronised;
        Clk {
            sync: known.discipline.as_str(),
            source: known.source.clone().map(Id::new).filter(|_| known.discipline != Discipline::Unknown),
            error_us: known.error_micros.filter(|_| synchronised),
            boot: machine.boot.clone().map(Id::new),
            up_us: machine.boot.is_some().then(machine.up_micros),
        }
    }

    pub(super) fn clock(&self) -> ClockView {
        let known = self.known();
        ClockView {
            discipline: known.discipline.as_str(),
            since: known.since.map(utc),
            steps: known.steps,
            suspensions: known.suspensions,
            last_event: known.last_event.as_ref().map(|(_, text)| text.clone()),
            last_event_at: known.last_event.as_ref().map(|(at, _)| utc(*at)),
        }
    }

    pub(super) fn pings(&self) -> Vec<PingView> {
        let view = |(place, pinged): (&String, &Pinged)| PingView {
            place: place.clone(),
            last_success: pinged.last_success.map(utc),
            failing_since: pinged.failing.as_ref().map(|(since, _)| utc(*since)),
            error: pinged.failing.as_ref().map(|(_, error)| error.clone()),
        };
        self.known().pings.iter().map(view).collect()
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let known = self.known();
        let failing = |(place, pinged): (&String, &Pinged)| {
            let (since, error) = pinged.failing.as_ref()?;
            Some(format!("the heartbeat to `{place}` has not arrived since {}: {error}", utc(*since)))
        };
        known.warnings.values().cloned().chain(known.pings.iter().filter_map(failing)).collect()
    }
}

fn put(into: &mut BTreeMap<&'static str, String>, about: &'static str, text: Option<String>) {
    match text {
        Some(text) => {
            into.insert(about, text);
        }
        None => {
            into.remove(about);
        }
    }
}

impl<S: Store> House<S> {
    /// Wakes every task that waits for a change: each reads the clock anew.
    pub fn wake_all(&self) {
        self.announce();
    }

    /// A step, a suspension or a standstill: evidence, counters, and the scheduler looks at once.
    pub async fn clock_happened(&self, happening: &Happening, now: Timestamp) -> Answered<()> {
        if happening.detail.get("direction").is_some_and(|direction| direction == "backward") {
            self.stats.set_back.store(true, Ordering::Relaxed);
        }
        self.record_system(happening.kind, happening.detail.clone(), now).await?;
        {
            let mut known = self.stats.health.known();
            match happening.kind {
                "clock.stepped" => known.steps += 1,
                _ => known.suspensions += 1,
            }
            known.last_event = Some((now, happening.text.clone()));
        }
        self.announce();
        Ok(())
    }

    /// Sets alarms again if the clock was set back since the last time this was done.
    pub async fn after_set_back(&self, now: Timestamp) -> Answered<()> {
        if !self.stats.set_back.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        match self.wake_everything(now).await {
            Ok(changed) => {
                tracing::info!(incidents = changed, "alarms set again after the clock was set back");
                Ok(())
            }
            Err(error) => {
                self.stats.set_back.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Compares the clock with the newest entry of the log, at the start: while nothing ran, nobody saw it being set back.
    pub async fn clock_against_log(&self, now: Timestamp) -> Answered<()> {
        let size = self.store.head().await?.size;
        let Some(last) = self.store.entries(size.saturating_sub(1)..size).await?.pop() else { return Ok(()) };
        let entry: serde_json::Value = serde_json::from_slice(&last.bytes).unwrap_or_default();
        let Some(written) = entry["ts"].as_str().and_then(|ts| ts.parse::<Timestamp>().ok()) else { return Ok(()) };
        if (written - now).num_milliseconds() < 1000 {
            return Ok(());
        }
        let happening = Happening {
            kind: "clock.stepped",
            detail: detail! {
                "direction": "backward", "by_ms": (written - now).num_milliseconds(), "from": Made::of(utc(written)),
                "to": Made::of(utc(now)), "while": "stopped",
            },
            text: format!("the clock stands at {}, before the newest entry of the log of {}", utc(now), utc(written)),
        };
        self.clock_happened(&happening, now).await
    }

    /// The clock is disciplined from now on, or is not, or nobody can tell; `source` says who says so.
    pub async fn clock_disciplined(&self, discipline: Discipline, source: &str, now: Timestamp) -> Answered<()> {
        let kind = match discipline {
            Discipline::Synchronised => "clock.synchronised",
            Discipline::Unsynchronised => "clock.unsynchronised",
            Discipline::Unknown => "clock.unknown",
        };
        self.record_system(kind, detail! { "source": Made::of(source) }, now).await?;
        let fault = (discipline == Discipline::Unsynchronised).then(|| {
            format!(
                "the machine's clock is not synchronised since {} ({source}): every limit is computed from it; start a \
                 time service, for example systemd-timesyncd or chrony",
                utc(now)
            )
        });
        let unknown = (discipline == Discipline::Unknown).then(|| {
            "nobody says whether the machine's clock is synchronised; install `timedatectl` or `chronyc`, or watch it \
             elsewhere"
                .to_string()
        });
        self.stats.health.fault("clock", fault);
        self.stats.health.warn("clock", unknown);
        let mut known = self.stats.health.known();
        (known.discipline, known.since, known.source) = (discipline, Some(now), Some(source.to_string()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_heartbeat_is_told_once_and_keeps_its_beginning() {
        let health = Health::default();
        let at = |minute: i64| chrono::DateTime::from_timestamp(60 * minute, 0).unwrap();
        assert!(!health.pinged("a", Ok(()), at(1)));
        assert!(health.pinged("a", Err("refused".into()), at(2)));
        assert!(!health.pinged("a", Err("no answer".into()), at(3)));
        let view = &health.pings()[0];
        assert_eq!(view.last_success.as_deref(), Some("1970-01-01T00:01:00Z"));
        assert_eq!(view.failing_since.as_deref(), Some("1970-01-01T00:02:00Z"));
        assert_eq!(view.error.as_deref(), Some("no answer"));
        assert_eq!(health.warnings().len(), 1);
        assert!(health.pinged("a", Ok(()), at(4)));
        assert!(health.warnings().is_empty());
    }
}
