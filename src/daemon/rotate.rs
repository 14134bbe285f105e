//! Changing the key that signs the log, while no daemon runs.

use super::ids::SystemEntropy;
use super::open::{Backend, OpenError, open};
use super::{clock, keys};
use crate::config::Config;
use crate::evidence::Checkpoint;

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Of the checkpoint that both keys signed.
    pub size: u64,
    /// Fingerprints as `ssh-keygen -l` shows them.
    pub old: String,
    pub new: String,
    /// Verifier key of the new one.
    pub vkey: String,
}

/// Makes a new log key, has the log say so, and puts it into force. What an interrupted change left is taken up.
///
/// # Errors
/// As [`open`]; when the key is a credential; when a daemon writes to the log.
pub async fn rotate_key<S: Backend>(config: &Config) -> Result<Rotated, OpenError> {
    let failed = |text: String| OpenError { code: 1, text };
    let house = open::<S>(config).await?;
    let new = keys::following(&config.data_dir, "log", &SystemEntropy::new()).map_err(failed)?;
    let newest = house.store.checkpoint().await.map_err(|error| failed(error.to_string()))?;
    let begun = newest.filter(|newest| {
        Checkpoint::parse(&newest.note).and_then(|note| note.verify(&config.origin, &new.public())).is_ok()
    });
    let checkpoint = match begun {
        Some(checkpoint) => checkpoint,
        None => house.rotate_key(&new, clock::now()).await.map_err(|error| failed(error.to_string()))?,
    };
    let rotated = Rotated {
        size: checkpoint.size,
        old: house.log_key.public().fingerprint(),
        new: new.public().fingerprint(),
        vkey: new.public().to_vkey(&config.origin),
    };
    keys::follow(&config.data_dir, "log").map_err(failed)?;
    Ok(rotated)
}
