//! A time-stamping authority (RFC 3161) behind the same guard as every receiver.
//!
//! Absent here: when to ask, and what becomes of the answer (`workflow::anchor`). An attempt sends a hash and a random
//! number; nothing about the log can be read from it.

use super::http::{Client, Fault, Limits, Reach, Url, check_url};
use crate::evidence::tsp::{self, Roots, Stamp};
use std::path::PathBuf;
use std::time::Duration;

/// Longest wait for one answer. Nobody waits for it but the task that asks.
const PATIENCE: Limits = Limits { connect: Duration::from_secs(10), total: Duration::from_secs(20) };

/// An entry of `[timestamp].authorities`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Names its certificates in a bundle: letters, digits, `.-`.
    pub name: String,
    pub url: String,
    /// Trusted certificates, PEM: its answers must lead to one of them.
    pub ca_file: Option<PathBuf>,
    pub allow_private: bool,
    /// Plain http: the answer is signed, and the question says nothing.
    pub plain_http: bool,
}

pub struct Authority {
    pub name: String,
    /// As configured, for the record of its answers.
    pub url: String,
    pub roots: Roots,
    address: Url,
    client: Client,
}

impl Authority {
    /// Reads the `ca_file`; connects to nobody.
    pub fn from_settings(settings: &Settings) -> Result<Authority, Fault> {
        let reach =
            Reach { allow_private: settings.allow_private, allow_plain: settings.plain_http, ..Reach::default() };
        let address = check_url(&settings.url, &settings.url, &reach)?;
        let roots = match &settings.ca_file {
            None => Roots::default(),
            Some(file) => {
                let wrong = |why: String| Fault::new("ca_file", format!("`{}` {why}", file.display()));
                let text = std::fs::read(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
                Roots::from_pem(&text).map_err(|error| wrong(error.to_string()))?
            }
        };
        let client = Client::new(format!("authority `{}`", settings.name), &reach, PATIENCE)?;
        Ok(Authority { name: settings.name.clone(), url: settings.url.clone(), roots, address, client })
    }

    /// Asks for a time stamp over `sha256`, once. Answers the response as it came, and what it says.
    ///
    /// # Errors
    /// Why there is none, in words that name the authority.
    pub async fn stamp(&self, sha256: &[u8; 32], nonce: [u8; 8]) -> Result<(Vec<u8>, Stamp), String> {
        let headers = [("content-type", tsp::QUERY), ("accept", tsp::REPLY)];
        let query = tsp::request(sha256, nonce);
        let (status, _, answer) = self.client.exchange(self.address.clone(), &headers, query, tsp::LONGEST).await?;
        if !status.is_success() {
            return Err(format!("authority `{}` answers {status}", self.name));
        }
        match tsp::check(&answer, sha256, Some(nonce), &self.roots) {
            Ok(stamp) => Ok((answer, stamp)),
            Err(fault) => Err(format!("authority `{}`: its answer {fault}", self.name)),
        }
    }
}
