//! Composition: keys, tasks, clock, signals, the service manager.

pub mod anchor;
pub mod backup;
pub mod clock;
pub mod clock_sync;
pub mod clock_watch;
pub mod doctor;
pub mod drill;
pub mod heartbeat;
pub mod ids;
pub mod keys;
pub mod life;
pub mod open;
pub mod packs;
pub mod postman;
mod program;
pub mod retention;
pub mod room;
pub mod rotate;
pub mod run;
pub mod shelf;
pub mod tls;
pub mod zone_data;

/// Tells the service manager that the daemon lives; called only after a proven loop. Does nothing outside systemd.
fn systemd_watchdog() -> impl FnMut() + Send {
    let mut ready = false;
    move || {
        let state: &[sd_notify::NotifyState<'_>] = if ready {
            &[sd_notify::NotifyState::Watchdog]
        } else {
            &[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Watchdog]
        };
        ready = true;
        if let Err(error) = sd_notify::notify(state) {
            tracing::debug!(%error, "the service manager could not be told");
        }
    }
}
