//! An exercise: the ordinary parts of the daemon on synthetic time, with the real ways out, in a store and a log of their
//! own. Nothing here opens the production database; nothing leaves the house unmarked.

mod scenario;

pub use scenario::Scenario;

use super::ids::SystemEntropy;
use super::run::{self, Listener};
use super::{clock, open};
use crate::config::{Config, Listen, Watchdog};
use crate::escalation::duration;
use crate::notify::Notifiers;
use crate::store::{Lane, SqliteStore, Store};
use crate::time::Timestamp;
use crate::workflow::exercise::DrillReport;
use crate::workflow::{AckRequest, Caller, FilingRequest, House, ObligationView, Role, ulid};
use scenario::{Ack, Deed, File, Timed, Window};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// An exercise lasts about as long as this when nobody says how fast it shall be.
const DEFAULT_SECONDS: i64 = 240;
pub const MAX_SPEED: u32 = 100_000;
/// At the end what is due and not yet sent gets this long, in real time.
const LAST_MESSAGES: Duration = Duration::from_secs(15);

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub scenario: Option<PathBuf>,
    pub speed: Option<u32>,
    pub listen: Option<std::net::SocketAddr>,
    pub out: Option<PathBuf>,
}

/// Why an exercise could not be held, with the exit code of the contract.
pub struct Trouble {
    pub code: i32,
    pub text: String,
}

fn trouble(code: i32) -> impl Fn(String) -> Trouble {
    move |text| Trouble { code, text }
}

const USAGE: i32 = 2;
const REJECTED: i32 = 65;
const NO_INPUT: i32 = 66;
const UNREACHABLE: i32 = 69;
const BAD_CONFIG: i32 = 78;
const NEGATIVE: i32 = 1;

/// Ready to begin: nothing was sent yet and no time has passed.
pub struct Drill {
    house: Arc<House<SqliteStore>>,
    notifiers: Arc<Notifiers>,
    listener: Listener,
    face: run::Face,
    timed: Timed,
    report: String,
    pub scenario: String,
    pub start: Timestamp,
    pub end: Timestamp,
    pub speed: u32,
    /// Where store, keys and report lie.
    pub out: PathBuf,
    /// Where participants find the pages, when there are any; the text of a token for them lies in `OUT/token`.
    pub url: Option<String>,
}

/// Checks everything and opens the exercise's own store. What cannot be held leaves nothing behind.
pub async fn prepare(config: Config, options: Options) -> Result<Drill, Trouble> {
    let out = options.out.clone().unwrap_or_else(|| {
        let id = ulid(&SystemEntropy::new(), clock::wall());
        config.data_dir.join("drills").join(id)
    });
    if out.join("keys").exists() {
        let text = format!("`{}` holds an exercise or an installation already; choose another --out", out.display());
        return Err(Trouble { code: NEGATIVE, text });
    }
    let is_new = !out.exists();
    let prepared = prepare_in(config, &options, out.clone()).await;
    if prepared.is_err() && is_new {
        let _ = std::fs::remove_dir_all(&out);
    }
    prepared
}

async fn prepare_in(mut config: Config, options: &Options, out: PathBuf) -> Result<Drill, Trouble> {
    let text = match &options.scenario {
        Some(path) => Some((path.display().to_string(), read(path)?)),
        None => None,
    };
    let scenario = text.map(|(file, text)| Scenario::read(&text, &file)).transpose().map_err(trouble(REJECTED))?;
    let (listener, url) = listen(options.listen).await?;
    let origin = format!("{}/drill", config.origin);
    config.data_dir.clone_from(&out);
    config.origin.clone_from(&origin);
    config.public_url = url.clone().unwrap_or_default();
    config.drill = true;
    let settings = open::notify_settings(&config);
    let notifiers = Notifiers::from_settings(&settings).map_err(|error| trouble(BAD_CONFIG)(error.to_string()))?;
    let house =
        open::open::<SqliteStore>(&config).await.map_err(|error| Trouble { code: error.code, text: error.text })?;
    // so that `evidence fsck --config` can check the log of the exercise
    let log = format!("# Written by `breachclock drill`.\n[data]\ndir = \".\"\n[log]\norigin = {origin:?}\n");
    std::fs::write(out.join("drill.toml"), log)
        .map_err(|error| trouble(NEGATIVE)(format!("`{}` cannot be written: {error}", out.display())))?;

    if url.is_some() {
        token(&house, &out).await.map_err(trouble(NEGATIVE))?;
    }
    let scenario = match scenario {
        Some(scenario) => scenario,
        None => {
            let Some(entity) = config.entities.first() else {
                let text = "the configuration has no [[entity]] to hold an exercise at; add one, or give --scenario";
                return Err(trouble(BAD_CONFIG)(text.to_string()));
            };
            let book = house.book();
            Scenario::built_in(entity, |key| book.catalogue().kind(key).is_some())
        }
    };
    let start = scenario.start(clock::wall()).map_err(trouble(REJECTED))?;
    let report = scenario.report(start).map_err(trouble(REJECTED))?;
    let nearest = nearest_limit(&house, &report, start).await.map_err(trouble(REJECTED))?;
    if nearest.is_none() && options.scenario.is_none() {
        let text = "the built-in scenario starts no clock with a limit at the first [[entity]]; write one that does and \
                    give it with --scenario";
        return Err(trouble(REJECTED)(text.to_string()));
    }
    let timed = scenario.timed(Window { start, nearest }).map_err(trouble(REJECTED))?;
    let span = (timed.end - start).num_seconds();
    let speed = options.speed.unwrap_or_else(|| u32::try_from(span / DEFAULT_SECONDS + 1).unwrap_or(MAX_SPEED));
    Ok(Drill {
        house: Arc::new(house),
        notifiers: Arc::new(notifiers),
        listener,
        face: run::Face { behind_proxy: false, ..run::Face::of(&config) },
        end: timed.end,
        timed,
        report,
        scenario: scenario.why,
        start,
        speed: speed.clamp(1, MAX_SPEED),
        out,
        url,
    })
}

fn read(path: &Path) -> Result<String, Trouble> {
    std::fs::read_to_string(path)
        .map_err(|error| trouble(NO_INPUT)(format!("the scenario `{}` cannot be read: {error}", path.display())))
}

/// A token with which participants can file on the pages, in a file.
async fn token(house: &House<SqliteStore>, out: &Path) -> Result<(), String> {
    let made = house.create_token(&caller(), Role::Responder, "participant", Vec::new(), None, clock::wall()).await;
    let (_, text) = made.map_err(|error| error.to_string())?;
    let path = out.join("token");
    let options = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let written = options.and_then(|mut file| writeln!(file, "{text}"));
    written.map_err(|error| format!("`{}` cannot be written: {error}", path.display()))
}

async fn listen(address: Option<std::net::SocketAddr>) -> Result<(Listener, Option<String>), Trouble> {
    let Some(address) = address else { return Ok((Listener::Nowhere, None)) };
    if address.ip().is_unspecified() {
        let text =
            format!("`{address}` cannot stand in a link; give the address at which participants reach this machine");
        return Err(Trouble { code: USAGE, text });
    }
    let fail = |error: std::io::Error| {
        trouble(UNREACHABLE)(format!("cannot listen on `{address}`: {error}; choose another with --listen"))
    };
    let listener = Listener::bind(&Listen::Tcp(address)).await.map_err(fail)?;
    let bound = match &listener {
        Listener::Tcp(tcp) => tcp.local_addr().map_err(fail)?,
        _ => address,
    };
    Ok((listener, Some(format!("http://{bound}"))))
}

/// When the clock of the nearest limit started that the report will start, and that limit.
async fn nearest_limit(
    house: &House<SqliteStore>,
    report: &str,
    start: Timestamp,
) -> Result<Option<(Timestamp, Timestamp)>, String> {
    let assessed = house.assess(&caller(), report, start).await.map_err(|error| error.to_string())?;
    let instant = |text: &String| text.parse::<Timestamp>().ok();
    let open = assessed.answer.obligations.iter().filter(|o| o.standing == "running" && !o.unverified);
    let limits = open.filter_map(|o| {
        let limit = o.conservative_due.as_ref().and_then(instant).filter(|limit| *limit > start)?;
        Some((o.started_by.as_ref().and_then(|s| instant(&s.at)).unwrap_or(start), limit))
    });
    Ok(limits.min_by_key(|(_, limit)| *limit))
}

/// The leader of the exercise.
fn caller() -> Caller {
    Caller { name: "drill".into(), role: Role::Admin, entities: Vec::new() }
}

impl Drill {
    /// Holds it, until its end or until `stop` turns true. Sets the clock of this process.
    pub async fn hold(self, stop: watch::Receiver<bool>) -> Result<DrillReport, Trouble> {
        let failed = trouble(NEGATIVE);
        clock::accelerate(self.start, self.speed).map_err(&failed)?;
        open::record_start(&self.house).await.map_err(&failed)?;
        let (halt, halted) = watch::channel(false);
        let (house, notifiers, listener, face) = (self.house.clone(), self.notifiers, self.listener, self.face);
        let parts = tokio::spawn(async move {
            // an exercise pings nobody and tells nobody that it lives
            if let Err(error) = run::run(house, notifiers, listener, face, &Watchdog::default(), &[], halted).await {
                tracing::error!("{error}");
            }
        });
        let mut stage = Stage { house: &self.house, incident: String::new(), start: self.start, notes: Vec::new() };
        let reported = self.house.report(&caller(), &self.report, None, clock::now()).await;
        let played = match reported {
            Ok(reported) => {
                stage.incident = reported.incident.id;
                Ok(stage.play(&self.timed, stop).await)
            }
            Err(error) => Err(Trouble { code: REJECTED, text: error.to_string() }),
        };
        clock::stop_at(self.timed.end);
        let ended = clock::now();
        if played.is_ok() {
            last_messages(&self.house, ended).await;
        }
        let _ = halt.send(true);
        let _ = parts.await;
        let interrupted = !played?;
        let Stage { incident, notes, .. } = stage;
        let report = self.house.drill_report(&incident, self.speed, self.start, ended, interrupted, notes).await;
        report.map_err(|error| failed(error.to_string()))
    }
}

/// Waits until nothing that is due is left in the queue.
async fn last_messages(house: &House<SqliteStore>, now: Timestamp) {
    let until = tokio::time::Instant::now() + LAST_MESSAGES;
    while tokio::time::Instant::now() < until {
        let mut waits = false;
        for lane in Lane::ALL {
            waits |= house.store.next_outbox(lane).await.is_ok_and(|at| at.is_some_and(|at| at <= now));
        }
        if !waits {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Plays the acts of a scenario on a running house.
struct Stage<'s> {
    house: &'s House<SqliteStore>,
    incident: String,
    start: Timestamp,
    notes: Vec<String>,
}

impl Stage<'_> {
    /// Answers whether it was played to the end.
    async fn play(&mut self, timed: &Timed, mut stop: watch::Receiver<bool>) -> bool {
        for (at, deed) in &timed.acts {
            if !wait_until(*at, &mut stop).await {
                return false;
            }
            if let Err(why) = self.act(deed, clock::now()).await {
                // participants may have been faster than the scenario: that is worth a note and no end
                self.notes.push(format!("{}: {why}", crate::rules::utc(*at)));
            }
        }
        wait_until(timed.end, &mut stop).await
    }

    async fn act(&self, deed: &Deed, now: Timestamp) -> Result<(), String> {
        match deed {
            Deed::Assert(table) => {
                let text = scenario::facts(table, self.start, now)?;
                let asserted = self.house.assert_facts(&caller(), &self.incident, &text, None, None, now).await;
                asserted.map(drop).map_err(|error| error.to_string())
            }
            Deed::Ack(ack) => {
                let mut outcomes = Vec::new();
                for obligation in self.chosen(&ack.obligation, now).await? {
                    outcomes.push(self.acknowledge(&obligation, ack, now).await);
                }
                together(outcomes)
            }
            Deed::File(file) => {
                let mut outcomes = Vec::new();
                for obligation in self.chosen(&file.obligation, now).await? {
                    outcomes.push(self.file(&obligation, file, now).await);
                }
                together(outcomes)
            }
        }
    }

    /// Full ids of the obligations that a word of the scenario means.
    async fn chosen(&self, word: &str, now: Timestamp) -> Result<Vec<String>, String> {
        if !matches!(word, "nearest" | "all") {
            return Ok(vec![format!("{}~{word}", self.incident)]);
        }
        let view = self.house.incident(&caller(), &self.incident, now).await.map_err(|error| error.to_string())?;
        // what has no limit reminds nobody, or has nothing to file
        let is_open =
            |o: &&ObligationView| o.law.standing == "running" && !o.law.unverified && o.law.conservative_due.is_some();
        let mut open: Vec<&ObligationView> = view.obligations.iter().filter(is_open).collect();
        // RFC 3339 in UTC sorts as time does
        open.sort_by_key(|o| (o.law.conservative_due.clone(), o.law.id.clone()));
        if word == "nearest" {
            open.truncate(1);
        }
        if open.is_empty() {
            return Err(format!("no obligation is open that `{word}` could mean"));
        }
        Ok(open.into_iter().map(|o| o.law.id.clone()).collect())
    }

    async fn acknowledge(&self, obligation: &str, ack: &Ack, now: Timestamp) -> Result<(), String> {
        let by = if ack.by == "told" { self.told_last(obligation).await? } else { ack.by.clone() };
        let lease_seconds = ack.lease.as_deref().map(duration).transpose()?;
        let ask = AckRequest { lease_seconds, by: Some(by), role: None, decline: ack.decline };
        let taken = self.house.acknowledge(&caller(), obligation, ask, None, now).await;
        taken.map(drop).map_err(|error| error.to_string())
    }

    async fn file(&self, obligation: &str, file: &File, now: Timestamp) -> Result<(), String> {
        let at = file.at.as_deref().map(|text| scenario::moment(text, Window { start: self.start, nearest: None }));
        let note = Some("recorded by an exercise; nothing was sent to anybody".to_string());
        let ask = FilingRequest { at: at.transpose()?, note, ..FilingRequest::default() };
        self.house.file(&caller(), obligation, ask, None, now).await.map(drop).map_err(|error| error.to_string())
    }

    /// The person who got the last message about it and has not declined; of several, who comes first in the alphabet.
    async fn told_last(&self, obligation: &str) -> Result<String, String> {
        let local = obligation.split_once('~').map_or(obligation, |(_, local)| local);
        let incident = crate::law::IncidentId(self.incident.clone());
        let dossier = self.house.store.dossier(&incident).await.map_err(|error| error.to_string())?;
        let sent = self.house.store.sent(&incident, u32::MAX).await.map_err(|error| error.to_string())?;
        let directory = &self.house.settings.directory;
        let declined = |person: &str| {
            let all = dossier.record.acts.get(local).map(|act| act.declined.as_slice()).unwrap_or_default();
            all.iter().any(|(by, _)| directory.person_called(by).is_some_and(|p| p.id == person))
        };
        let about = sent.iter().filter(|s| {
            let message = &s.message;
            message.obligation.as_deref() == Some(local) || message.brief.also.iter().any(|a| a.obligation == local)
        });
        let people = about.filter_map(|s| Some((s.message.created_at, s.message.target.person()?)));
        let last =
            people.filter(|(_, person)| !declined(person)).max_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(a.1)));
        last.map(|(_, person)| person.to_string())
            .ok_or_else(|| format!("nobody was told about {local} who has not declined"))
    }
}

/// One answer for several obligations: what could not be done of them.
fn together(outcomes: Vec<Result<(), String>>) -> Result<(), String> {
    let faults: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

/// Sleeps until `at` on the clock of the exercise; false when it was stopped before.
async fn wait_until(at: Timestamp, stop: &mut watch::Receiver<bool>) -> bool {
    loop {
        if *stop.borrow() {
            return false;
        }
        let Ok(left) = (at - clock::now()).to_std() else { return true };
        if left.is_zero() {
            return true;
        }
        tokio::select! {
            () = clock::sleep_for(left) => {}
            stopped = stop.wait_for(|stop| *stop) => if stopped.is_err() { clock::sleep_for(left).await },
        }
    }
}
