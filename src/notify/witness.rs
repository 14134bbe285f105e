//! A witness of transparency logs (C2SP tlog-witness) behind the same guard as every receiver.
//!
//! Absent here: what the words mean (`evidence::witness`), when to ask, and what becomes of the answer
//! (`workflow::witness`). A request holds checkpoint and consistency proof: sizes and hashes, nothing of any entry.

use super::http::{Client, Fault, Limits, Reach, Url, check_url};
use crate::evidence::witness::{self, Answer, Reply};
use crate::evidence::{Checkpoint, Cosigner, Hash};
use std::time::Duration;

/// Longest wait for one answer. Nobody waits for it but the task that asks.
const PATIENCE: Limits = Limits { connect: Duration::from_secs(10), total: Duration::from_secs(20) };

/// A `[[witness]]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The submission prefix, without a slash at its end.
    pub url: String,
    pub key: Cosigner,
    pub allow_private: bool,
}

pub struct Witness {
    /// The submission prefix, for the record of its answers.
    pub url: String,
    pub key: Cosigner,
    address: Url,
    client: Client,
}

impl Witness {
    /// Connects to nobody.
    ///
    /// # Errors
    /// When the address is none that may be called.
    pub fn from_settings(settings: &Settings) -> Result<Witness, Fault> {
        let reach = Reach { allow_private: settings.allow_private, ..Reach::default() };
        let address = check_url(&format!("{}/add-checkpoint", settings.url), &settings.url, &reach)?;
        let client = Client::new(format!("witness `{}`", settings.key.name), &reach, PATIENCE)?;
        Ok(Witness { url: settings.url.clone(), key: settings.key.clone(), address, client })
    }

    /// Asks once for a cosignature under `checkpoint`, which grew from `old` entries as `proof` shows.
    pub async fn ask(&self, old: u64, proof: &[Hash], checkpoint: &Checkpoint) -> Reply {
        let body = witness::request(old, proof, checkpoint);
        let headers = [("content-type", "text/plain; charset=utf-8")];
        match self.client.exchange(self.address.clone(), &headers, body, witness::LONGEST).await {
            Ok((status, kind, body)) => {
                let answer = Answer { status: status.as_u16(), content_type: &kind, body: &body };
                witness::read(&answer, &self.key, checkpoint, old)
            }
            Err(error) => Reply::Failed(error.into()),
        }
    }
}
