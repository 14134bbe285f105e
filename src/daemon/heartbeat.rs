//! Heartbeats: other machines hear that the loop was proven, and notice when they hear nothing.
//!
//! Each address has a task of its own, so that a slow one delays nobody; the scheduler only says "proven" and never waits.
//! A scheduler that stopped says nothing, and neither does a house whose messages are stuck: then the pings stop.

use super::clock;
use crate::store::Store;
use crate::workflow::House;
use reqwest::{Client, Url, redirect};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Longer than that, and the next proof is waited for: the scheduler proves itself every 30 seconds.
const FRESH: Duration = Duration::from_secs(45);
/// Time for a whole ping.
const PATIENCE: Duration = Duration::from_secs(10);

/// When the loop was last proven; `None` before the first time.
pub type Proven = watch::Receiver<Option<Instant>>;

/// Starts one task for each address.
pub fn start<S: Store>(
    house: &Arc<House<S>>,
    addresses: &[String],
    every: Duration,
    proven: &Proven,
    stop: &watch::Receiver<bool>,
) -> Vec<tokio::task::JoinHandle<()>> {
    // the TLS library wants one provider per process; a second call answers that there is one already
    let _ = rustls::crypto::ring::default_provider().install_default();
    let task = |(at, address): (usize, &String)| {
        let ping = Ping { address: address.clone(), place: place(at + 1, address), every };
        tokio::spawn(ping.run(house.clone(), proven.clone(), stop.clone()))
    };
    addresses.iter().enumerate().map(task).collect()
}

struct Ping {
    address: String,
    place: String,
    every: Duration,
}

impl Ping {
    async fn run<S: Store>(self, house: Arc<House<S>>, proven: Proven, mut stop: watch::Receiver<bool>) {
        let client = Client::builder()
            .user_agent(concat!("breachclock/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .build();
        let client = match client {
            Ok(client) => client,
            Err(error) => return self.note(&house, Err(format!("TLS cannot be set up: {error}"))),
        };
        tokio::select! {
            () = self.beat(&house, &client, proven) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn beat<S: Store>(&self, house: &House<S>, client: &Client, mut proven: Proven) {
        loop {
            let gone = proven.wait_for(|at| at.is_some_and(|at| at.elapsed() <= FRESH)).await.is_err();
            if gone {
                return;
            }
            let began = Instant::now();
            // otherwise silence is the message: whoever listens will ask why
            if let Ok(None) = house.outbox_stuck(clock::now()).await {
                self.note(house, self.ping(client).await);
            }
            tokio::time::sleep_until(began + self.every).await;
        }
    }

    async fn ping(&self, client: &Client) -> Result<(), String> {
        let response = client.get(&self.address).send().await.map_err(|error| {
            // without the address: its path is a secret
            let error = error.without_url();
            if error.is_timeout() { "no answer in time".to_string() } else { deepest(&error) }
        })?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("answered {status}")),
        }
    }

    fn note<S: Store>(&self, house: &House<S>, result: Result<(), String>) {
        let error = result.as_ref().err().cloned();
        if house.stats.health.pinged(&self.place, result, clock::now()) {
            match error {
                Some(error) => tracing::warn!(place = self.place, error, "the heartbeat does not arrive"),
                None => tracing::info!(place = self.place, "the heartbeat arrives again"),
            }
        }
    }
}

fn deepest(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// What may be shown of the `nth` address: its path is a secret.
fn place(nth: usize, address: &str) -> String {
    let Ok(url) = Url::parse(address) else { return format!("address {nth}") };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port} (address {nth})", url.scheme(), url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn the_secret_of_an_address_is_not_shown() {
        assert_eq!(place(1, "https://hc.example.org:8443/ping/4c1b-secret"), "https://hc.example.org:8443 (address 1)");
        assert_eq!(place(2, "https://user:word@hc.example.org/x?y=z"), "https://hc.example.org (address 2)");
    }
}
