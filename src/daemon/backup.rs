//! Backups by the daemon itself: made on time, kept so many, and an alarm when one is missing.
//!
//! What was made is read from the folder, nothing else remembers it: a backup that somebody deletes is made again. Files are
//! written in a thread of their own, as a network folder may hang; what hangs shows as a backup that is too old.

pub mod archive;
pub mod restore;

use super::clock;
use crate::config::Config;
use crate::evidence::hex;
use crate::store::Store;
use crate::time::Timestamp;
use crate::workflow::{BackupMade, BackupPlan, House};
use archive::{Made, Source};
use chrono::TimeDelta;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// Looks at least this often; the newest checkpoint is kept beside the backups as often.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A failed backup is tried again after this.
const RETRY: TimeDelta = TimeDelta::minutes(10);
/// People hear of failures at most this often.
const ALARM_EVERY: TimeDelta = TimeDelta::hours(24);

/// What one look at the folder found and did.
struct Looked {
    newest: Option<Timestamp>,
    made: Option<Made>,
    removed: Vec<String>,
}

/// Runs until `stop` turns true; ends at once when no backup is configured.
pub async fn run<S: Store>(house: Arc<House<S>>, config: Config, mut stop: watch::Receiver<bool>) {
    let Some(plan) = config.backup.clone() else { return };
    let began = clock::now();
    let (mut newest, mut failed, mut alarmed) = (None, None::<Timestamp>, None::<Timestamp>);
    let mut under_way: Option<oneshot::Receiver<Result<Looked, String>>> = None;
    while !super::run::is_over(&stop) {
        let now = clock::now();
        if under_way.is_none() {
            under_way = start(&house, &config, &plan, failed.is_none_or(|at| (now - at).abs() >= RETRY), now).await;
        }
        let trouble = match finished(&mut under_way, &mut stop).await {
            Some(Ok(looked)) => {
                newest = looked.newest;
                if let Some(made) = looked.made {
                    (failed, alarmed) = (None, None);
                    let entry = entry_of(&made, looked.removed);
                    tracing::info!(file = %entry.file, bytes = entry.bytes, "backup made");
                    if let Err(error) = house.backed_up(&entry, now).await {
                        tracing::error!(%error, "a backup was made and could not be recorded");
                    }
                }
                None
            }
            Some(Err(error)) => {
                failed = Some(now);
                Some(("backup.failed", format!("the backup failed: {error}")))
            }
            None => None,
        };
        let old = || {
            let last = newest.map_or("none was made".to_string(), |at: Timestamp| {
                format!("the newest is of {}", crate::rules::utc(at))
            });
            let text =
                format!("no backup in `{}` for two turns of `{}`: {last}", plan.dir.display(), plan.when.expression());
            ("backup.missing", text)
        };
        let trouble = trouble.or_else(|| plan.is_too_old(newest, began, now).then(old));
        if let Some((kind, why)) = trouble
            && alarmed.is_none_or(|at| (now - at).abs() >= ALARM_EVERY)
        {
            tracing::error!("{why}");
            match house.backup_missing(&plan, kind, &why, now).await {
                Ok(()) => alarmed = Some(now),
                Err(error) => tracing::error!(%error, "the alarm about a backup could not be recorded"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// Looks at the folder in a thread of its own, and makes a backup there when one is due.
async fn start<S: Store>(
    house: &House<S>,
    config: &Config,
    plan: &BackupPlan,
    may_make: bool,
    now: Timestamp,
) -> Option<oneshot::Receiver<Result<Looked, String>>> {
    let note = match house.attest(now).await {
        Ok(checkpoint) => checkpoint.map(|c| c.note),
        Err(error) => {
            tracing::warn!(%error, "no checkpoint could be signed for the backup");
            None
        }
    };
    let (tell, told) = oneshot::channel();
    let (plan, data, origin) = (plan.clone(), config.data_dir.clone(), config.origin.clone());
    let signer = house.export_key.clone();
    let work = move || {
        let _ = tell.send(look(&plan, data, &origin, note.as_deref(), &signer, may_make, now));
    };
    let thread = std::thread::Builder::new().name("backup".into()).spawn(work);
    thread.map(|_| told).map_err(|error| tracing::error!(%error, "the backup's thread cannot start")).ok()
}

fn look(
    plan: &BackupPlan,
    data: PathBuf,
    origin: &str,
    note: Option<&str>,
    signer: &crate::evidence::SigningKey,
    may_make: bool,
    now: Timestamp,
) -> Result<Looked, String> {
    let dir = plan.dir.display();
    let unusable = |error: std::io::Error| format!("the folder `{dir}` cannot be used: {error}; mount or make it");
    let newest = |all: Vec<(Timestamp, PathBuf)>| all.last().map(|(at, _)| *at);
    let mut looked =
        Looked { newest: newest(archive::list(&plan.dir, origin).map_err(unusable)?), made: None, removed: Vec::new() };
    if let Some(note) = note {
        archive::keep_checkpoint(&plan.dir, origin, note).map_err(unusable)?;
    }
    if may_make && plan.is_due(looked.newest, now) {
        let source = Source { data: &data, keys: plan.keys, signer: Some(signer) };
        let made = archive::write(&source, &plan.dir.join(archive::name(origin, now)), now)?;
        looked.removed = archive::prune(&plan.dir, origin, plan.keep).map_err(unusable)?;
        (looked.newest, looked.made) = (Some(now), Some(made));
    }
    Ok(looked)
}

/// Waits a little for the look that is under way; it stays under way when it takes longer.
async fn finished(
    under_way: &mut Option<oneshot::Receiver<Result<Looked, String>>>,
    stop: &mut watch::Receiver<bool>,
) -> Option<Result<Looked, String>> {
    let told = under_way.as_mut()?;
    let looked = tokio::select! {
        looked = told => looked.unwrap_or_else(|_| Err("the thread that wrote it ended by itself".to_string())),
        () = tokio::time::sleep(LOOK_EVERY) => return None,
        _ = stop.wait_for(|stop| *stop) => return None,
    };
    *under_way = None;
    Some(looked)
}

fn entry_of(made: &Made, removed: Vec<String>) -> BackupMade {
    BackupMade {
        file: made.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        bytes: made.bytes,
        sha256: hex(&made.sha256),
        size: made.manifest.size,
        root: made.manifest.root.clone(),
        keys: made.manifest.keys,
        removed,
    }
}
