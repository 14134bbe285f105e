//! The tasks that have the log time-stamped, and cosigned by each witness. They wait for the network alone, and nobody waits
//! for them.

use super::{clock, run};
use crate::config::Config;
use crate::notify::authority::Authority;
use crate::notify::witness::Witness;
use crate::store::Store;
use crate::workflow::House;
use crate::workflow::anchor::Anchors;
use crate::workflow::witness::Witnesses;
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

/// The witnesses of a configuration. An exercise has none: what it writes is no history of the log.
pub fn witnesses(config: &Config) -> Result<Witnesses, String> {
    let settings = if config.drill { &[][..] } else { &config.witnesses };
    let witnesses = settings
        .iter()
        .map(|one| {
            Witness::from_settings(one)
                .map_err(|fault| format!("witness `{}`: `{}` {}", one.key.name, fault.key, fault.problem))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Witnesses::new(witnesses))
}

/// What one of the tasks asks for.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    TimeStamp,
    /// Of the witness in this place.
    Cosignature(usize),
}

/// Until `stop` turns true: when one is due, after a change, or every half minute.
pub async fn anchor<S: Store>(house: Arc<House<S>>, wanted: Wanted, mut stop: watch::Receiver<bool>) {
    let mut changed = house.changed.subscribe();
    let ask = async || match wanted {
        Wanted::TimeStamp => house.anchor(clock::now).await,
        Wanted::Cosignature(witness) => house.cosign(witness, clock::now).await,
    };
    while !run::is_over(&stop) {
        changed.mark_unchanged();
        // what is asked at the end is not waited for
        let round = tokio::select! {
            round = ask() => round,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let next = round.unwrap_or_else(|error| {
            tracing::error!(%error, ?wanted, "an answer from outside could not be kept; it is asked for again");
            None
        });
        clock::sleep_for(Duration::from_secs(1)).await;
        run::wait(next, &mut changed, &mut stop).await;
    }
}
