//! The tasks, by what each waits for:
//! * `serve`: connections on the listening socket.
//! * `scheduler`: the earliest wake-up, a change, or 30 seconds. Wakes incidents, proves the store, feeds the watchdog.
//! * `courier`, one for mails and one for webhooks: the end of an attempt, a change, the earliest retry, or 30 seconds.
//!   Empties its lane of the outbox.
//! * `notary`: growth of the log. Signs checkpoints.
//! * `anchor` (in a file of its own): growth of the log, an interval, a day. Has checkpoints time-stamped by others.
//! * `cosign`, one for each witness (in the same file): the same. Has them cosigned.
//! * `clock_watch`: ten seconds, or that somebody sets the clock. Records what happened and wakes the others.
//! * `clock_sync`: a minute. Asks whether a time service disciplines the clock.
//! * `heartbeat`, one for each address: a proven loop. Tells other machines.
//! * `life`: the next life sign. Tells people.
//! * `digests`: the next digest. Tells people what is open.
//! * `postman` (in a file of its own, when a maildir is configured): five seconds. Hands in mail that came back.
//!
//! Wall-clock time is read anew after every sleep: a suspended machine or a stepped clock heals within 30 seconds, and at
//! once when the clock's step is noticed.

use super::anchor::Wanted;
use super::{anchor, clock, clock_sync, clock_watch, heartbeat, life, zone_data};
use crate::config::{Listen, Watchdog};
use crate::notify::Notifiers;
use crate::store::{Lane, Store};
use crate::time::Timestamp;
use crate::web;
use crate::workflow::deliver::Courier;
use crate::workflow::{DigestPlan, House};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// No task sleeps longer: whatever was missed is noticed after this at the latest.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(30);
/// Open requests, and then attempts under way, get this long to finish at the end. They use real connections: also in an
/// exercise it is real time.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);
/// Pause after a failed round, so that a full disk is not hammered; the disk is real also in an exercise.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// What the web side needs of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Face {
    /// Bytes a request body may have.
    pub max_body: usize,
    /// With those who send slowly.
    pub patience: Duration,
    pub behind_proxy: bool,
}

impl Face {
    pub fn of(config: &crate::config::Config) -> Face {
        Face { max_body: config.max_body, patience: config.patience, behind_proxy: config.behind_proxy }
    }
}

/// Runs until `stop` turns true. The listener is bound by the caller, so that tests know the port. A task that ends before
/// is an error: the service manager starts everything again, and nothing waits for a task that is gone.
pub async fn run<S: Store>(
    house: Arc<House<S>>,
    notifiers: Arc<Notifiers>,
    listener: Listener,
    face: Face,
    watchdog: &Watchdog,
    digests: &[DigestPlan],
    stop: watch::Receiver<bool>,
) -> Result<(), String> {
    let app = web::router(
        house.clone(),
        web::Options {
            now: clock::now,
            max_body: face.max_body,
            patience: face.patience,
            secure_cookies: house.settings.public_url.starts_with("https://"),
            behind_proxy: face.behind_proxy,
        },
    );
    let (prove, proven) = watch::channel(None);
    if let Some(machine) = clock::machine() {
        house.stats.health.runs_on(machine);
    }
    if let Some(behind) = zone_data::behind_machine() {
        tracing::warn!("{behind}");
        house.stats.health.warn("zone-data", Some(behind));
    }
    let mut tasks: FuturesUnordered<JoinHandle<()>> = [
        tokio::spawn(scheduler(house.clone(), prove, stop.clone())),
        tokio::spawn(courier(house.clone(), notifiers.clone(), Lane::Mail, stop.clone())),
        tokio::spawn(courier(house.clone(), notifiers, Lane::Webhook, stop.clone())),
        tokio::spawn(notary(house.clone(), stop.clone())),
        tokio::spawn(clock_watch::watch(house.clone(), stop.clone())),
        tokio::spawn(clock_sync::watch(house.clone(), stop.clone())),
    ]
    .into_iter()
    .collect();
    if !house.anchors.authorities.is_empty() {
        tasks.push(tokio::spawn(anchor::anchor(house.clone(), Wanted::TimeStamp, stop.clone())));
    }
    for witness in 0..house.witnesses.list.len() {
        tasks.push(tokio::spawn(anchor::anchor(house.clone(), Wanted::Cosignature(witness), stop.clone())));
    }
    // a heartbeat that cannot be sent is told as a warning, and may end
    let mut others =
        heartbeat::start(&house, &watchdog.ping, Duration::from_secs(watchdog.every_seconds), &proven, &stop);
    if let Some(plan) = &watchdog.life {
        others.push(tokio::spawn(life::run(house.clone(), plan.clone(), stop.clone())));
    }
    if !digests.is_empty() {
        tasks.push(tokio::spawn(life::digests(house.clone(), digests.to_vec(), stop.clone())));
    }
    let mut stopping = stop.clone();
    let until = async move {
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    let serve = listener.serve(app, face.patience, until);
    let mut stopping = stop.clone();
    // an open event stream never ends by itself
    let patience = async move {
        let _ = stopping.wait_for(|stop| *stop).await;
        tokio::time::sleep(SHUTDOWN_PATIENCE).await;
    };
    let died = async {
        while let Some(ended) = tasks.next().await {
            if !is_over(&stop) {
                return ended.map_or_else(|error| error.to_string(), |()| "it returned".to_string());
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        () = serve => {}
        () = patience => {}
        why = died => return Err(format!("a task of the daemon ended by itself: {why}; start the daemon again")),
    }
    while tasks.next().await.is_some() {}
    for other in others {
        let _ = other.await;
    }
    if let Err(error) = house.attest(clock::now()).await {
        tracing::warn!(%error, "the last checkpoint could not be signed");
    }
    Ok(())
}

/// Serves the pages of a house that is only looked at, until `stop` turns true. No task runs: nobody is told anything.
pub async fn show<S: Store>(
    house: Arc<House<S>>,
    listener: Listener,
    face: Face,
    mut stop: watch::Receiver<bool>,
) -> Result<(), String> {
    let secure_cookies = house.settings.public_url.starts_with("https://");
    let app = web::router(
        house,
        web::Options {
            now: clock::now,
            max_body: face.max_body,
            patience: face.patience,
            secure_cookies,
            behind_proxy: face.behind_proxy,
        },
    );
    let mut asked = stop.clone();
    let until = async move {
        let _ = asked.wait_for(|stop| *stop).await;
    };
    let serve = listener.serve(app, face.patience, until);
    let patience = async {
        let _ = stop.wait_for(|stop| *stop).await;
        tokio::time::sleep(SHUTDOWN_PATIENCE).await;
    };
    tokio::select! {
        () = serve => {}
        () = patience => {}
    }
    Ok(())
}

/// Whether the end was asked for, or whoever could ask is gone.
pub(super) fn is_over(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow() || stop.has_changed().is_err()
}

pub enum Listener {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
    Tls(web::TlsListener),
    /// No pages: an exercise without participants who click.
    Nowhere,
}

impl Listener {
    /// The same with TLS before it. Only for a TCP listener: a socket on this machine needs none.
    pub fn with_tls(self, certificate: Arc<web::Certificate>) -> std::io::Result<Listener> {
        match self {
            Listener::Tcp(listener) => web::TlsListener::new(listener, certificate).map(Listener::Tls),
            other => Ok(other),
        }
    }

    /// Answers connections until `until`, and then those that are open.
    async fn serve(self, app: axum::Router, head: Duration, until: impl Future<Output = ()> + Send + 'static) {
        let patience = web::Patience { head, connections: room_for_connections() };
        match self {
            Listener::Tcp(listener) => web::serve(listener, app, patience, until).await,
            Listener::Unix(listener) => web::serve(listener, app, patience, until).await,
            Listener::Tls(listener) => web::serve(listener, app, patience, until).await,
            Listener::Nowhere => until.await,
        }
    }

    pub async fn bind(listen: &Listen) -> std::io::Result<Listener> {
        match listen {
            Listen::Tcp(address) => tokio::net::TcpListener::bind(address).await.map(Listener::Tcp),
            Listen::Unix(path) => {
                // a socket left by a killed daemon would refuse the next one; two daemons are never given one path
                let _ = std::fs::remove_file(path);
                tokio::net::UnixListener::bind(path).map(Listener::Unix)
            }
        }
    }
}

/// Connections that may be open at once: the store, mails and backups need files as well. Asks the system for as many files
/// as it may give: what a service manager gives at first is for programs that use `select`.
fn room_for_connections() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const OTHERS: u64 = 256;
    let wanted = web::Patience::default().connections as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let most = maximum.unwrap_or(u64::MAX).min(wanted + OTHERS);
    let asked = current.is_none_or(|now| now >= most)
        || setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum }).is_ok();
    let files = if asked { most } else { current.unwrap_or(most) };
    files.saturating_sub(OTHERS).clamp(64, wanted) as usize
}

async fn scheduler<S: Store>(
    house: Arc<House<S>>,
    prove: watch::Sender<Option<tokio::time::Instant>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut changed = house.changed.subscribe();
    let mut watchdog = super::systemd_watchdog();
    while !is_over(&stop) {
        changed.mark_unchanged();
        let now = clock::now();
        let next = match round(&house, now).await {
            Ok((next, more)) => {
                house.stats.last_loop.store(now.timestamp_micros(), Ordering::Relaxed);
                if let Ok(mut fault) = house.stats.fault.lock() {
                    *fault = None;
                }
                watchdog();
                prove.send_replace(Some(tokio::time::Instant::now()));
                if more {
                    continue;
                }
                next
            }
            Err(error) => {
                tracing::error!(%error, "the scheduler could not finish its round");
                if let Ok(mut fault) = house.stats.fault.lock() {
                    *fault = Some(error);
                }
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        wait(next, &mut changed, &mut stop).await;
    }
}

/// Wakes what is due and proves that the store takes and gives back a write.
async fn round<S: Store>(house: &House<S>, now: Timestamp) -> Result<(Option<Timestamp>, bool), String> {
    let answer = house.wake_due(now).await.map_err(|e| e.to_string())?;
    house.store.prove(now).await.map_err(|e| e.to_string())?;
    Ok(answer)
}

/// Carries one lane. What is under way at the end gets the same patience as open requests, and goes out again later.
async fn courier<S: Store>(
    house: Arc<House<S>>,
    notifiers: Arc<Notifiers>,
    lane: Lane,
    mut stop: watch::Receiver<bool>,
) {
    let mut changed = house.changed.subscribe();
    let mut courier = Courier::new(house.clone(), notifiers, lane, clock::now);
    while !is_over(&stop) {
        changed.mark_unchanged();
        let next = match courier.work().await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "the outbox could not be emptied");
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        tokio::select! {
            () = courier.attempt_ended() => {}
            () = wait(next, &mut changed, &mut stop) => {}
        }
    }
    let finish = async {
        while courier.carries() > 0 {
            courier.attempt_ended().await;
        }
    };
    if tokio::time::timeout(SHUTDOWN_PATIENCE, finish).await.is_err() {
        tracing::warn!(messages = courier.carries(), "attempts were under way at the end; they are made again");
    }
    if let Err(error) = courier.settle().await {
        tracing::error!(%error, "what became of the last attempts could not be kept");
    }
}

/// Signs a checkpoint when the log grew, at most once a second.
async fn notary<S: Store>(house: Arc<House<S>>, mut stop: watch::Receiver<bool>) {
    let mut changed = house.changed.subscribe();
    while !is_over(&stop) {
        changed.mark_unchanged();
        if let Err(error) = house.attest(clock::now()).await {
            tracing::error!(%error, "the checkpoint could not be signed");
        }
        clock::sleep_for(Duration::from_secs(1)).await;
        wait(None, &mut changed, &mut stop).await;
    }
}

/// Sleeps until `next`, a change, the end, or half a minute.
pub(super) async fn wait(
    next: Option<Timestamp>,
    changed: &mut watch::Receiver<u64>,
    stop: &mut watch::Receiver<bool>,
) {
    let until = next.map_or(LOOK_AT_LEAST_EVERY, |at| {
        (at - clock::now()).to_std().unwrap_or(Duration::ZERO).min(LOOK_AT_LEAST_EVERY)
    });
    tokio::select! {
        () = clock::sleep_for(until) => {}
        _ = changed.changed() => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
