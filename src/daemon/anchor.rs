//! The task that has the log time-stamped. It waits for the network alone, and nobody waits for it.

use super::{clock, run};
use crate::config::Config;
use crate::notify::authority::Authority;
use crate::store::Store;
use crate::workflow::House;
use crate::workflow::anchor::Anchors;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The authorities of a configuration. An exercise has none: its times are not real.
pub fn authorities(config: &Config) -> Result<Anchors, String> {
    let settings = if config.drill { &[][..] } else { &config.timestamp.authorities };
    let authorities = settings
        .iter()
        .map(|one| {
            Authority::from_settings(one)
                .map_err(|fault| format!("authority `{}`: `{}` {}", one.name, fault.key, fault.problem))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Anchors::new(authorities, config.timestamp.interval_seconds))
}

/// Until `stop` turns true: when a stamp is due, after a change, or every half minute.
pub async fn anchor<S: Store>(house: Arc<House<S>>, mut stop: watch::Receiver<bool>) {
    let mut changed = house.changed.subscribe();
    while !run::is_over(&stop) {
        changed.mark_unchanged();
        // what is asked at the end is not waited for
        let round = tokio::select! {
            round = house.anchor(clock::now) => round,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let next = round.unwrap_or_else(|error| {
            tracing::error!(%error, "a time stamp could not be kept; it is asked for again");
            None
        });
        clock::sleep_for(Duration::from_secs(1)).await;
        run::wait(next, &mut changed, &mut stop).await;
    }
}
