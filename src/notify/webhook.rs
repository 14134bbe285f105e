//! Webhooks after Standard Webhooks 1.0.0 (https://www.standardwebhooks.com): signed, thin, never redirected.
//!
//! The body names the obligation and its dates, not people: receivers fetch the rest with their own rights.

mod body;
mod reach;
mod signer;
mod ssrf;

pub use body::webhook_id;
pub use reach::reach;
pub use ssrf::{AddressFault, check_address};

use super::words::one_line;
use super::{BoxFuture, Context, Notifier, Secret, SettingsError};
use crate::escalation::{Event, Message, Outcome};
use crate::time::Timestamp;
use reqwest::{Client, StatusCode, Url, header, redirect};
use serde::Deserialize;
use signer::{Signer, signature};
use ssrf::GuardedResolver;
use std::path::PathBuf;
use std::time::Duration;

/// Time to connect, TLS included.
const CONNECT_SECONDS: u64 = 10;
/// Time for the whole attempt (the specification asks for 15 to 30 s).
const TOTAL_SECONDS: u64 = 20;
/// More of an answer than this is not read.
const ANSWER_BYTES: usize = 8 * 1024;
/// One `[[webhook]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub id: String,
    pub url: String,
    /// `whsec_…` (HMAC-SHA256) or `whsk_…` (Ed25519); two of them with a space between while one replaces the other.
    pub secret: Secret,
    /// `*`, `obligation.*` or whole names.
    #[serde(default = "every_event")]
    pub events: Vec<String>,
    /// Loopback and private addresses, and plain http, only when true.
    #[serde(default)]
    pub allow_private: bool,
    /// Certificates trusted besides the system's, PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

fn every_event() -> Vec<String> {
    vec!["*".to_string()]
}

/// A receiver of signed events.
pub struct Webhook {
    id: String,
    url: Url,
    signers: Vec<Signer>,
    events: Vec<String>,
    client: Client,
}

impl Webhook {
    /// Checks every setting, the address too when the URL names one. Connects to nobody.
    pub fn from_settings(settings: &Settings) -> Result<Webhook, SettingsError> {
        Webhook::with_resolver(settings, GuardedResolver::system(settings.allow_private))
    }

    fn with_resolver(settings: &Settings, resolver: GuardedResolver) -> Result<Webhook, SettingsError> {
        let fault =
            |key: &str, problem: String| SettingsError { at: format!("webhook.{}.{key}", settings.id), problem };
        let url = check_url(&settings.url, settings.allow_private).map_err(|problem| fault("url", problem))?;
        let signers = settings.secret.expose().split_whitespace().map(Signer::parse).collect::<Result<Vec<_>, _>>();
        let signers = signers.map_err(|problem| fault("secret", problem))?;
        if signers.is_empty() {
            return Err(fault("secret", "is empty; give a `whsec_…` or `whsk_…` secret".to_string()));
        }
        settings
            .events
            .iter()
            .try_for_each(|pattern| check_pattern(pattern))
            .map_err(|problem| fault("events", problem))?;
        // the TLS library wants one provider per process; a second call answers that there is one already
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .user_agent(concat!("breachclock/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(resolver)
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS))
            .timeout(Duration::from_secs(TOTAL_SECONDS));
        if let Some(file) = &settings.ca_file {
            let unreadable = |why: String| fault("ca_file", format!("`{}` {why}", file.display()));
            let pem = std::fs::read(file).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
            let roots =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| unreadable("is not a PEM file".into()))?;
            client = client.tls_certs_merge(roots);
        }
        let client =
            client.build().map_err(|error| fault("url", format!("TLS cannot be set up: {}", chain(&error))))?;
        Ok(Webhook { id: settings.id.clone(), url, signers, events: settings.events.clone(), client })
    }

    async fn attempt(&self, message: &Message, context: &Context) -> Outcome {
        if !self.wants(message.event) {
            let error =
                format!("webhook `{}` does not take `{}` events; see its `events`", self.id, message.event.as_str());
            return Outcome::Refused { error };
        }
        let id = webhook_id(message);
        let timestamp = context.wall.timestamp();
        let body = body::body(message, context);
        let request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature(&self.signers, &id, timestamp, &body))
            .body(body);
        match request.send().await {
            Ok(response) => self.answer(response, context.wall).await,
            Err(error) => match address_fault(&error) {
                Some(fault) => Outcome::Refused { error: format!("webhook `{}` was not called: {fault}", self.id) },
                None => {
                    Outcome::Retry { error: format!("webhook `{}`: {}", self.id, chain(&error)), after_seconds: None }
                }
            },
        }
    }

    async fn answer(&self, mut response: reqwest::Response, now: Timestamp) -> Outcome {
        let status = response.status();
        let after_seconds =
            response.headers().get(header::RETRY_AFTER).and_then(|v| retry_after(v.to_str().ok()?, now));
        // read a little, so that the connection can be used again; what is longer is cut off with its connection
        let mut read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > ANSWER_BYTES {
                break;
            }
        }
        let said = format!("webhook `{}` answered {status}", self.id);
        match status {
            status if status.is_success() => Outcome::HandedOver { answer: status.to_string() },
            StatusCode::GONE => {
                Outcome::Refused { error: format!("{said}: it wants no more events; remove it or correct its url") }
            }
            status if status.is_redirection() => Outcome::Retry {
                error: format!("{said}: redirects are not followed; set the final url"),
                after_seconds,
            },
            _ => Outcome::Retry { error: said, after_seconds },
        }
    }
}

impl Notifier for Webhook {
    fn deliver<'a>(&'a self, message: &'a Message, context: &'a Context) -> BoxFuture<'a, Outcome> {
        Box::pin(self.attempt(message, context))
    }

    fn wants(&self, event: Event) -> bool {
        self.events.iter().any(|pattern| covers(pattern, event.as_str()))
    }
}

/// Https, or http where private receivers are allowed; an address in the URL is checked here because no resolver sees it.
fn check_url(text: &str, allow_private: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}` is not a URL: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        "http" => {
            return Err(format!(
                "`{text}` is not encrypted; use https, or `allow_private = true` for a receiver inside"
            ));
        }
        other => return Err(format!("`{other}` is not a webhook scheme; use https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password; requests are signed, leave them out".to_string());
    }
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match host.parse() {
        Ok(address) if !allow_private => check_address(address).map_err(|fault| fault.to_string())?,
        _ => {}
    }
    Ok(url)
}

fn check_pattern(pattern: &str) -> Result<(), String> {
    let known = Event::ALL.iter().any(|event| covers(pattern, event.as_str()));
    let all = || Event::ALL.iter().map(|event| event.as_str()).collect::<Vec<_>>().join(", ");
    if known { Ok(()) } else { Err(format!("`{pattern}` fits no event; use `*`, `obligation.*` or one of {}", all())) }
}

fn covers(pattern: &str, event: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => (prefix.is_empty() || prefix.ends_with('.')) && event.starts_with(prefix),
        None => pattern == event,
    }
}

/// `Retry-After` in seconds from `now`: a number or an HTTP date.
fn retry_after(text: &str, now: Timestamp) -> Option<u32> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let until = chrono::DateTime::parse_from_rfc2822(text).ok()?;
        u32::try_from((until.to_utc() - now).num_seconds().max(0)).ok()
    })
}

/// The guard's verdict, wherever in the chain of causes it is.
fn address_fault(error: &reqwest::Error) -> Option<&AddressFault> {
    causes(error).find_map(|cause| cause.downcast_ref::<AddressFault>())
}

/// An error with its causes, on one line, without the URL: a path may be a secret of the receiver.
fn chain(error: &reqwest::Error) -> String {
    let kind = match error {
        error if error.is_timeout() => "no answer in time",
        error if error.is_connect() => "cannot connect",
        _ => "the request failed",
    };
    let deepest = causes(error).last().map(|cause| format!(": {cause}")).unwrap_or_default();
    one_line(&format!("{kind}{deepest}"), 300)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

#[cfg(test)]
mod tests {
    use super::ssrf::Lookup;
    use super::*;
    use std::net::IpAddr;
    use std::sync::Arc;

    #[test]
    fn retry_after_in_both_forms() {
        let now = "2026-03-28T00:55:00Z".parse().expect("RFC 3339");
        let cases = [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sat, 28 Mar 2026 01:00:00 GMT", Some(300)),
            ("soon", None),
            ("-5", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(retry_after(text, now), wanted, "{text}");
        }
        assert_eq!(retry_after("Fri, 27 Mar 2026 01:00:00 GMT", now), Some(0), "in the past: at once");
    }

    /// One private address among public ones is enough; the guard sees every look-up, so a name cannot change its mind.
    #[tokio::test]
    async fn every_resolved_address_is_checked() {
        use reqwest::dns::Resolve;
        let answers: [(&[&str], bool); 4] = [
            (&["1.1.1.1"], true),
            (&["1.1.1.1", "10.0.0.1"], false),
            (&["::ffff:127.0.0.1"], false),
            (&["2606:4700::1111"], true),
        ];
        for (addresses, allowed) in answers {
            let list: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
            let known = list.clone();
            let lookup: Lookup = Arc::new(move |_| {
                let list = list.clone();
                Box::pin(async move { Ok(list) })
            });
            let resolver = GuardedResolver::with_lookup(lookup, false);
            let resolved = resolver.resolve("hooks.example.org".parse().expect("a name")).await;
            match resolved {
                Ok(found) => {
                    assert!(allowed, "{addresses:?}");
                    assert_eq!(found.map(|address| address.ip()).collect::<Vec<_>>(), known);
                }
                Err(_) => assert!(!allowed, "{addresses:?}"),
            }
        }
    }
}
