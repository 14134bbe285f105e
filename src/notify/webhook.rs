//! Webhooks after Standard Webhooks 1.0.0 (https://www.standardwebhooks.com): signed, thin, never redirected.
//!
//! The body names the obligation and its dates, not people: receivers fetch the rest with their own rights.

mod body;
mod reach;
mod signer;

pub use super::http::{AddressFault, check_address};
pub use body::webhook_id;
pub use reach::reach;

use super::http::{Answer, Client, Fault, Limits, Reach, Request, StatusCode, Url, check_url};
use super::{BoxFuture, Context, Notifier, Secret, SettingsError};
use crate::escalation::{Event, Message, Outcome};
use serde::Deserialize;
use signer::{Signer, signature};
use std::path::PathBuf;

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
    /// When not empty: these hosts and no others, `hooks.example.org` or `*.example.org`.
    #[serde(default)]
    pub allow_hosts: Vec<String>,
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
        let fault =
            |key: &str, problem: String| SettingsError { at: format!("webhook.{}.{key}", settings.id), problem };
        let at = |Fault { key, problem }: Fault| fault(&key, problem);
        let reach = Reach {
            allow_private: settings.allow_private,
            allow_hosts: settings.allow_hosts.clone(),
            ca_file: settings.ca_file.clone(),
            ..Reach::default()
        };
        let url = check_url(&settings.url, &settings.url, &reach).map_err(at)?;
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
        let client = Client::new(format!("webhook `{}`", settings.id), &reach, Limits::default()).map_err(at)?;
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
        let signed = signature(&self.signers, &id, timestamp, &body);
        let request =
            Request { method: super::http::Method::POST, url: self.url.clone(), headers: Vec::new(), body: Some(body) }
                .with("content-type", "application/json")
                .with("webhook-id", &id)
                .with("webhook-timestamp", &timestamp.to_string())
                .with("webhook-signature", &signed);
        match self.client.send(request, context.wall).await {
            Ok(answer) => self.judge(&answer),
            Err(outcome) => outcome,
        }
    }

    fn judge(&self, answer: &Answer) -> Outcome {
        let (status, after_seconds) = (answer.status, answer.after_seconds);
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
