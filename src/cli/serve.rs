//! `serve`: the daemon.

use super::exit;
use crate::config;
use crate::daemon::{open, run};
use crate::notify::Notifiers;
use std::path::Path;
use std::sync::Arc;

pub fn run(path: &Path) -> i32 {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(faults) => {
            for fault in faults {
                eprintln!("error: {fault}");
            }
            return exit::BAD_CONFIG;
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    match runtime() {
        Ok(runtime) => runtime.block_on(serve(config)),
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

async fn serve(config: config::Config) -> i32 {
    let house = match open::open(&config).await {
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
    if let Err(error) = open::record_start(&house).await {
        eprintln!("error: {error}");
        return exit::NEGATIVE;
    }
    tracing::info!(listen = ?config.listen, duties = house.book().duties().len(), rules = %house.book().version, "breachclock runs");
    let (stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        signalled().await;
        tracing::info!("stopping: finishing what is under way");
        let _ = stop.send(true);
    });
    run::run(house.clone(), notifiers, listener, config.max_body, stopped).await;
    exit::DONE
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
