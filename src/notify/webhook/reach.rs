//! Can a place be reached, without telling it anything? Look-up, guard, connection and TLS are those of a delivery.

use super::ssrf::GuardedResolver;
use super::{CONNECT_SECONDS, TOTAL_SECONDS, address_fault, chain, check_url};
use reqwest::{Client, redirect};
use std::time::Duration;

/// Asks for the root of the address's server and answers the status it gave. Any status will do: the path of `url`, which
/// may be a secret and act, is not called.
///
/// # Errors
/// What went wrong, in words that do not show the path.
pub async fn reach(url: &str, allow_private: bool) -> Result<String, String> {
    let mut url = check_url(url, allow_private)?;
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .user_agent(concat!("breachclock/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .dns_resolver(GuardedResolver::system(allow_private))
        .connect_timeout(Duration::from_secs(CONNECT_SECONDS))
        .timeout(Duration::from_secs(TOTAL_SECONDS))
        .build()
        .map_err(|error| format!("TLS cannot be set up: {}", chain(&error)))?;
    match client.head(url.clone()).send().await {
        Ok(response) => Ok(format!("`{}` answers {}", url.authority(), response.status())),
        Err(error) => Err(match address_fault(&error) {
            Some(fault) => fault.to_string(),
            None => format!("`{}`: {}", url.authority(), chain(&error)),
        }),
    }
}
