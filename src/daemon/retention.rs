//! Once a day: what is personal about incidents that were closed long enough ago goes.

use super::clock;
use crate::store::Store;
use crate::workflow::House;
use crate::workflow::erase::Retention;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const DAY: Duration = Duration::from_secs(86_400);
/// After the start, which has more urgent things to do.
const FIRST: Duration = Duration::from_secs(300);
/// After a failure of the store.
const AGAIN: Duration = Duration::from_secs(3600);

/// Until `stop` turns true. Ends at once when nothing is configured.
pub async fn run<S: Store>(house: Arc<House<S>>, retention: Retention, mut stop: watch::Receiver<bool>) {
    let mut pause = FIRST;
    while !retention.is_empty() && !super::run::is_over(&stop) {
        tokio::select! {
            () = clock::sleep_for(pause) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        pause = match house.retain(&retention, clock::now()).await {
            Ok(0) => DAY,
            Ok(incidents) => {
                tracing::info!(incidents, "what was personal about incidents closed long ago is erased");
                DAY
            }
            Err(error) => {
                tracing::error!(%error, "the end of retention periods could not be looked at; it is tried again");
                AGAIN
            }
        };
    }
}
