//! `serve`: the daemon.

use super::exit;
use crate::config::{self, StoreKind};
use crate::daemon::{backup, clock, open, postman, retention, room, run};
use crate::notify::Notifiers;
use crate::store::{PgStore, SqliteStore};
use crate::workflow::{House, Replanned};
use std::path::Path;
use std::sync::Arc;

pub fn run(path: &Path, read_only: bool) -> i32 {
    let config = match super::configuration(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    super::log_to_stderr("info");
    match runtime() {
        Ok(runtime) => match config.store {
            StoreKind::Sqlite if read_only => runtime.block_on(show::<SqliteStore>(config)),
            StoreKind::Postgres(_) if read_only => runtime.block_on(show::<PgStore>(config)),
            StoreKind::Sqlite => runtime.block_on(serve::<SqliteStore>(config)),
            StoreKind::Postgres(_) => runtime.block_on(serve::<PgStore>(config)),
        },
        Err(error) => {
            eprintln!("error: the runtime cannot start: {error}");
            exit::NEGATIVE
        }
    }
}

/// Two worker threads are enough for one small server, and keep the idle footprint low.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

async fn serve<S: open::Backend>(config: config::Config) -> i32 {
    let house = match open::open::<S>(&config).await {
        Ok(house) => Arc::new(house),
        Err(error) => {
            eprintln!("error: {}", error.text);
            return error.code;
        }
    };
    let notifiers = match Notifiers::from_settings(&open::notify_settings(&config)) {
        Ok(notifiers) => Arc::new(notifiers),
        Err(error) => {
            eprintln!("error: {error}");
            return exit::BAD_CONFIG;
        }
    };
    let listener = match run::Listener::bind(&config.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("error: cannot listen on `{:?}`: {error}", config.listen);
            return exit::UNREACHABLE;
        }
    };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let listener = match with_tls(listener, &config, &stopped) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("error: {error}");
            return exit::BAD_CONFIG;
        }
    };
    if let Err(error) = open::record_start(&house).await {
        eprintln!("error: {error}");
        return exit::NEGATIVE;
    }
    tracing::info!(listen = ?config.listen, duties = house.book().duties().len(), rules = %house.book().version, "breachclock runs");
    tokio::spawn(async move {
        signalled().await;
        let _ = stop.send(true);
        tracing::info!("stopping: finishing what is under way");
    });
    match house.replan_stale(clock::now()).await {
        Ok(replanned) => tell(&replanned, "replanned under the present rule packs"),
        Err(error) => {
            eprintln!("error: open incidents cannot be replanned: {error}");
            return exit::NEGATIVE;
        }
    }
    match house.needs_setup(clock::now()).await {
        // on the console, and nowhere else: whoever reads it may do everything
        Ok(true) => eprintln!(
            "nobody can administer this installation yet; open this address once, it works until the next start:\n  {}",
            house.offer_setup()
        ),
        Ok(false) => {}
        Err(error) => {
            eprintln!("error: {error}");
            return exit::NEGATIVE;
        }
    }
    tokio::spawn(reload_on_hangup(house.clone(), config.clone()));
    let postman = config.inbound.clone().map(|dir| tokio::spawn(postman::postman(house.clone(), dir, stopped.clone())));
    let keeping = tokio::spawn(retention::run(house.clone(), config.retention.clone(), stopped.clone()));
    let backups = tokio::spawn(backup::run(house.clone(), config.clone(), stopped.clone()));
    let looking = tokio::spawn(room::watch(house.clone(), config.data_dir.clone(), stopped.clone()));
    let ran = run::run(
        house.clone(),
        notifiers,
        listener,
        run::Face::of(&config),
        &config.watchdog,
        &config.digests,
        stopped,
    )
    .await;
    if let Some(postman) = postman {
        let _ = postman.await;
    }
    let _ = keeping.await;
    let _ = backups.await;
    let _ = looking.await;
    if let Err(error) = ran {
        tracing::error!("{error}");
        return exit::NEGATIVE;
    }
    exit::DONE
}

/// TLS before the listener, when the configuration names a certificate; its files are read again when they change.
fn with_tls(
    listener: run::Listener,
    config: &config::Config,
    stopped: &tokio::sync::watch::Receiver<bool>,
) -> Result<run::Listener, String> {
    let Some(tls) = &config.tls else { return Ok(listener) };
    let certificate = crate::daemon::tls::load(tls)?;
    tokio::spawn(crate::daemon::tls::keep_fresh(tls.clone(), certificate.clone(), stopped.clone()));
    listener.with_tls(certificate).map_err(|error| format!("TLS cannot be set up: {error}"))
}

/// Shows what is there. No clock runs, nobody is told anything, and nothing is written.
async fn show<S: open::Backend>(config: config::Config) -> i32 {
    let (house, wrong) = match open::open_to_read::<S>(&config).await {
        Ok(opened) => opened,
        Err(error) => {
            eprintln!("error: {}", error.text);
            return error.code;
        }
    };
    if let Some(wrong) = &wrong {
        tracing::error!("{wrong}");
    }
    let wrong = wrong.unwrap_or_else(|| "the log is whole".to_string());
    house.stats.health.fault("read-only", Some(format!("only shown, nothing is recorded and nobody is told: {wrong}")));
    let listener = match run::Listener::bind(&config.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("error: cannot listen on `{:?}`: {error}", config.listen);
            return exit::UNREACHABLE;
        }
    };
    tracing::warn!(listen = ?config.listen, "breachclock only shows what is there: no reminders, no records");
    let (stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        signalled().await;
        let _ = stop.send(true);
    });
    let listener = match with_tls(listener, &config, &stopped) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("error: {error}");
            return exit::BAD_CONFIG;
        }
    };
    match run::show(Arc::new(house), listener, run::Face::of(&config), stopped).await {
        Ok(()) => exit::DONE,
        Err(error) => {
            tracing::error!("{error}");
            exit::NEGATIVE
        }
    }
}

/// What became of open incidents, one line for each that failed.
fn tell(replanned: &Replanned, what: &str) {
    if replanned.incidents > 0 {
        tracing::info!(incidents = replanned.incidents, "{what}");
    }
    for (incident, error) in &replanned.failed {
        tracing::error!(%incident, %error, "an open incident was not {what}; its next alarm tries again");
    }
}

/// On SIGHUP: reads the rule packs again. A fault keeps the old rulebook and says why.
async fn reload_on_hangup<S: open::Backend>(house: Arc<House<S>>, config: config::Config) {
    let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        match open::rules(&config) {
            Ok((book, forms)) => match house.activate(book, clock::now()).await {
                Ok(replanned) => {
                    house.replace_forms(forms);
                    tracing::info!(rules = %house.book().version, "rule packs reloaded");
                    tell(&replanned, "replanned under the reloaded rule packs");
                }
                Err(error) => tracing::error!(%error, "the reloaded rule packs could not be put into force"),
            },
            Err(error) => tracing::error!("the old rule packs stay in force: {}", error.text),
        }
    }
}

/// Waits for an interrupt or a termination request.
pub async fn signalled() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(error) => {
            tracing::error!(%error, "termination requests cannot be heard");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
