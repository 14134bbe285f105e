//! Is the machine's clock disciplined by a time service? Asked once a minute, of whoever can say.
//!
//! The kernel's own flag would need `adjtimex`, which the hardened unit forbids (`ProtectClock=`) and no safe interface
//! offers; `timedatectl` reads it in another process. A chrony without `rtcsync` does not set that flag, so `chronyc` is
//! asked as well; systemd-timesyncd touches a file at each synchronisation.

use super::{clock, program};
use crate::store::Store;
use crate::workflow::{Discipline, House};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const ASK_EVERY: Duration = Duration::from_secs(60);
/// systemd-timesyncd polls at least every 2048 s.
const TOUCHED_SECONDS: u64 = 3 * 3600;
const TOUCHED: &str = "/run/systemd/timesync/synchronized";

/// What the sources say; `None` is a source that does not exist or does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    timedatectl: Option<bool>,
    chronyc: Option<bool>,
    ntpq: Option<bool>,
    /// Seconds since systemd-timesyncd last synchronised.
    timesyncd: Option<u64>,
    /// How far off the clock is at most, microseconds, by chrony or else by ntpd.
    error_micros: Option<u64>,
}

impl Said {
    /// One who knows of a synchronisation outweighs one who does not; silence is not consent.
    fn verdict(self) -> (Discipline, &'static str) {
        let says = |wanted: bool| {
            [(self.timedatectl, "timedatectl"), (self.chronyc, "chronyc"), (self.ntpq, "ntpq")]
                .into_iter()
                .find(|(said, _)| *said == Some(wanted))
                .map(|(_, name)| name)
        };
        let fresh = self.timesyncd.is_some_and(|ago| ago < TOUCHED_SECONDS).then_some("systemd-timesyncd");
        match (says(true).or(fresh), says(false)) {
            (Some(source), _) => (Discipline::Synchronised, source),
            (None, Some(source)) => (Discipline::Unsynchronised, source),
            (None, None) => (Discipline::Unknown, "no source"),
        }
    }
}

/// Good news counts at once, other news when it is said twice in a row: a time service that restarts is no fault.
#[derive(Default)]
struct Confirm {
    current: Option<Discipline>,
    candidate: Option<Discipline>,
}

impl Confirm {
    /// The verdict when it is new and certain.
    fn hear(&mut self, said: Discipline) -> Option<Discipline> {
        let repeated = self.candidate.replace(said) == Some(said);
        if self.current == Some(said) || !(repeated || said == Discipline::Synchronised) {
            return None;
        }
        self.current = Some(said);
        Some(said)
    }
}

/// Asks until `stop`; tells the house when the answer changes.
pub async fn watch<S: Store>(house: Arc<House<S>>, mut stop: watch::Receiver<bool>) {
    let mut confirm = Confirm::default();
    while !super::run::is_over(&stop) {
        // programs are waited for: not on the threads that serve
        let said = tokio::task::spawn_blocking(ask).await.unwrap_or_default();
        let (verdict, source) = said.verdict();
        house.stats.health.estimated(said.error_micros);
        if let Some(changed) = confirm.hear(verdict) {
            match changed {
                Discipline::Synchronised => tracing::info!(source, "the machine's clock is synchronised"),
                _ => tracing::warn!(source, "the machine's clock: {}", changed.as_str()),
            }
            if let Err(error) = house.clock_disciplined(changed, source, clock::now()).await {
                tracing::error!(%error, "the state of the clock could not be recorded; it is tried again");
                confirm.current = None;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(ASK_EVERY) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// What is known at this moment, and who says so. Waits for programs.
pub fn ask_now() -> (Discipline, &'static str) {
    ask().verdict()
}

fn ask() -> Said {
    let timedatectl = program::output("timedatectl", &["show", "--property=NTPSynchronized", "--value"]);
    let chronyc = program::output("chronyc", &["-n", "-c", "tracking"]);
    let ntpq = program::output("ntpq", &["-c", "rv 0 leap,sync,offset,rootdelay,rootdisp"]);
    let error = chronyc.as_deref().and_then(chronyc_errs).or_else(|| ntpq.as_deref().and_then(ntpq_errs));
    Said {
        error_micros: error,
        timedatectl: timedatectl.as_deref().and_then(timedatectl_says),
        chronyc: chronyc.as_deref().and_then(chronyc_says),
        ntpq: ntpq.as_deref().and_then(ntpq_says),
        timesyncd: std::fs::metadata(TOUCHED)
            .and_then(|file| file.modified())
            .ok()
            .map(|at| at.elapsed().map_or(0, |ago| ago.as_secs())),
    }
}

fn timedatectl_says(text: &str) -> Option<bool> {
    match text.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Comma-separated; the last field is the leap status, and `Not synchronised` is one.
fn chronyc_says(text: &str) -> Option<bool> {
    let fields: Vec<&str> = text.trim().split(',').collect();
    match (fields.len(), fields.last()?.trim()) {
        (14, "Not synchronised") => Some(false),
        (14, "Normal" | "Insert second" | "Delete second") => Some(true),
        _ => None,
    }
}

/// `leap=00`; 3 is the alarm of a clock that is not synchronised.
fn ntpq_says(text: &str) -> Option<bool> {
    let leap = text.split("leap=").nth(1)?.split([',', ' ', '\n']).next()?.trim();
    match leap {
        "00" | "01" | "10" | "0" | "1" | "2" => Some(true),
        "11" | "3" => Some(false),
        _ => None,
    }
}

/// As chrony's manual bounds it: the offset, the root dispersion and half of the root delay, all in seconds.
fn chronyc_errs(text: &str) -> Option<u64> {
    let fields: Vec<&str> = text.trim().split(',').collect();
    let [offset, delay, dispersion] = [4, 10, 11].map(|at| fields.get(at)?.trim().parse::<f64>().ok());
    chronyc_says(text).filter(|synchronised| *synchronised)?;
    bound(offset?, delay?, dispersion?, 1e6)
}

/// The same of ntpd, whose numbers are milliseconds.
fn ntpq_errs(text: &str) -> Option<u64> {
    let named = |name: &str| {
        let value = text.split([',', '\n']).find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        value?.trim().parse::<f64>().ok()
    };
    ntpq_says(text).filter(|synchronised| *synchronised)?;
    bound(named("offset")?, named("rootdelay")?, named("rootdisp")?, 1e3)
}

/// In microseconds; nothing that a time service would not say of a clock that it keeps.
fn bound(offset: f64, delay: f64, dispersion: f64, micros: f64) -> Option<u64> {
    let bound = (offset.abs() + dispersion + delay / 2.0) * micros;
    (bound.is_finite() && (0.0..1e9).contains(&bound)).then(|| bound.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Discipline::*;

    #[test]
    fn verdicts() {
        let cases = [
            ((Some(true), None, None), Synchronised, "timedatectl"),
            ((Some(false), None, None), Unsynchronised, "timedatectl"),
            // a chrony without rtcsync
            ((Some(false), Some(true), None), Synchronised, "chronyc"),
            ((None, Some(false), None), Unsynchronised, "chronyc"),
            // the kernel does not know what timesyncd did an hour ago, in a container for example
            ((Some(false), None, Some(3600)), Synchronised, "systemd-timesyncd"),
            ((Some(false), None, Some(86_400)), Unsynchronised, "timedatectl"),
            ((None, None, Some(86_400)), Unknown, "no source"),
            ((None, None, None), Unknown, "no source"),
        ];
        for ((timedatectl, chronyc, timesyncd), wanted, source) in cases {
            let said = Said { timedatectl, chronyc, timesyncd, ..Said::default() };
            assert_eq!(said.verdict(), (wanted, source), "{said:?}");
        }
    }

    #[test]
    fn answers_of_programs() {
        assert_eq!(["yes\n", "no\n", "", "n/a"].map(timedatectl_says), [Some(true), Some(false), None, None]);
        // from `chronyc -c tracking`, chrony 4.5
        let normal = "A29FC801,162.159.200.1,4,1711584000.123456789,0.000012,-0.000003,0.000021,-12.345,-0.001,0.023,0.001,0.0005,64.3,Normal\n";
        let never =
            "7F7F0101,,0,0.000000000,0.000000,0.000000,0.000000,0.000,0.000,0.000,1.0,1.0,0.0,Not synchronised\n";
        assert_eq!(
            [normal, never, "506 Cannot talk to daemon\n", ""].map(chronyc_says),
            [Some(true), Some(false), None, None]
        );
        assert_eq!([normal, never, ""].map(chronyc_errs), [Some(1012), None, None]);
        let kept = "leap=00, sync=ntp, offset=-0.250, rootdelay=11.500,\nrootdisp=20.000\n";
        assert_eq!(
            [kept, "leap=11, offset=0, rootdelay=0, rootdisp=0", "leap=00"].map(ntpq_errs),
            [Some(26_000), None, None]
        );
        let leap = ["leap=00, sync=ntp\n", "leap=11\n", "timed out"];
        assert_eq!(leap.map(ntpq_says), [Some(true), Some(false), None]);
        assert_eq!(Said { ntpq: Some(false), ..Said::default() }.verdict(), (Unsynchronised, "ntpq"));
    }

    #[test]
    fn bad_news_is_confirmed_first() {
        let mut confirm = Confirm::default();
        let heard: Vec<_> = [
            Unsynchronised,
            Synchronised,
            Unsynchronised,
            Synchronised,
            Unsynchronised,
            Unsynchronised,
            Unsynchronised,
            Unknown,
            Unknown,
            Synchronised,
        ]
        .into_iter()
        .map(|said| confirm.hear(said))
        .collect();
        let (s, u, n) = (Some(Synchronised), Some(Unsynchronised), Some(Unknown));
        assert_eq!(heard, [None, s, None, None, None, u, None, None, n, s]);
    }
}
