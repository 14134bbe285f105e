//! The tasks that tell people that the daemon lives, and what is open.

use super::clock;
use crate::store::Store;
use crate::time::Timestamp;
use crate::workflow::{DigestPlan, House, LifePlan};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Looks at least this often, so that a clock that was set is noticed.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(30);

pub async fn run<S: Store>(house: Arc<House<S>>, plan: LifePlan, mut stop: watch::Receiver<bool>) {
    let mut log = None;
    while !super::run::is_over(&stop) {
        let now = clock::now();
        let next = match house.live(&plan, &mut log, now).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "the life sign could not be sent; it is tried again");
                None
            }
        };
        wait(next, now, &mut stop).await;
    }
}

/// Sends digests.
pub async fn digests<S: Store>(house: Arc<House<S>>, plans: Vec<DigestPlan>, mut stop: watch::Receiver<bool>) {
    let mut log = None;
    while !super::run::is_over(&stop) {
        let now = clock::now();
        let next = match house.digest(&plans, &mut log, now).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "the digest could not be sent; it is tried again");
                None
            }
        };
        wait(next, now, &mut stop).await;
    }
}

async fn wait(next: Option<Timestamp>, now: Timestamp, stop: &mut watch::Receiver<bool>) {
    let until = next.and_then(|at| (at - now).to_std().ok()).unwrap_or(LOOK_AT_LEAST_EVERY);
    tokio::select! {
        () = tokio::time::sleep(until.min(LOOK_AT_LEAST_EVERY)) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
