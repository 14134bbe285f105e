//! A backup becomes a data folder again.
//!
//! ```text
//! FILE ── sums ──► DIR/restore.part ── whole log rebuilt, signed checkpoint compared ──► lost places filled, `log.restored`,
//!                                      alarms set, checkpoint signed ──► moved into DIR, the database last
//! ```
//! Until the last step the folder has no database, and a daemon refuses to start in it: nothing is signed in between.

use super::archive::{self, Backup, KEY_DATABASE};
use crate::config::{Config, StoreKind};
use crate::daemon::open::{self, OpenError};
use crate::daemon::{clock, keys};
use crate::evidence::{Checkpoint, PublicKey, hex, leaf_hash, unhex32, verify_log};
use crate::rules::utc;
use crate::store::sqlite::{self, Glance};
use crate::store::{SqliteStore, Store};
use crate::time::Timestamp;
use crate::workflow::{KnownCheckpoint, MOST_LOST, Restoration};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where a restore prepares the folder.
pub const STAGE: &str = "restore.part";
/// Present in a folder that nobody uses.
const NOTHING: [&str; 7] =
    ["breachclock.lock", STAGE, "keys", KEY_DATABASE, "keys.db-wal", "keys.db-shm", "lost+found"];
/// Entries read at once.
const BATCH: u64 = 10_000;

/// What the operator asks for.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// `None`: the database was restored by its own means, and only has to say so.
    pub file: Option<PathBuf>,
    /// What is in the folder is set aside.
    pub replace: bool,
    /// A folder with the keys, when the backup has none.
    pub keys: Option<PathBuf>,
    /// Checkpoints that were signed after the backup, as files.
    pub checkpoints: Vec<PathBuf>,
    /// At most so many entries were written after the backup.
    pub lost_at_most: Option<u64>,
    /// Nothing was written after the backup.
    pub nothing_later: bool,
    /// A backup whose list nobody signed is taken.
    pub unsigned: bool,
}

/// What was restored, for people.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    pub restoration: Restoration,
    pub incidents_woken: usize,
    /// Where the earlier content of the folder lies.
    pub set_aside: Option<PathBuf>,
    pub warnings: Vec<String>,
}

fn refused(text: impl Into<String>) -> OpenError {
    OpenError { code: 1, text: text.into() }
}

fn io_failed(what: &Path) -> impl Fn(io::Error) -> OpenError + '_ {
    move |error| refused(format!("`{}`: {error}", what.display()))
}

/// Whether a restore began in `dir` and did not come to its end.
pub fn is_unfinished(dir: &Path) -> bool {
    dir.join(STAGE).exists() && !dir.join(sqlite::FILE).exists()
}

/// Restores what `ask` names into the data folder of `config`.
pub async fn restore(config: &Config, ask: &Ask) -> Result<Restored, OpenError> {
    match (&config.store, &ask.file) {
        (StoreKind::Sqlite, Some(file)) => from_file(config, file, ask).await,
        (StoreKind::Sqlite, None) => Err(refused("name the backup to restore")),
        (StoreKind::Postgres(_), None) => after_database(config, ask).await,
        (StoreKind::Postgres(_), Some(_)) => Err(refused(
            "`[store].url` names a PostgreSQL database: restore it with `pg_restore`, put `keys`, `rules` and `attachments` back into \
             `[data].dir`, and run this command without FILE before any daemon starts",
        )),
    }
}

async fn from_file(config: &Config, file: &Path, ask: &Ask) -> Result<Restored, OpenError> {
    let dir = &config.data_dir;
    fs::create_dir_all(dir).map_err(io_failed(dir))?;
    let lock = sqlite::hold(dir).map_err(|error| OpenError { code: 69, text: error.to_string() })?;
    let full = first_of(dir).map_err(io_failed(dir))?;
    if let Some(name) = full.as_ref().filter(|_| !ask.replace) {
        return Err(refused(format!(
            "`{}` is not empty (it has `{name}`); name another folder in `[data].dir`, or say `--replace`, which sets its content aside",
            dir.display()
        )));
    }
    let mut backup = Backup::open(file).map_err(refused)?;
    if backup.manifest.origin != config.origin {
        return Err(refused(format!(
            "the backup is of log `{}`, and `[log].origin` is `{}`; a log keeps its name",
            backup.manifest.origin, config.origin
        )));
    }
    let stage = dir.join(STAGE);
    // what a restore that was cut off has left
    if stage.exists() {
        fs::remove_dir_all(&stage).map_err(io_failed(&stage))?;
    }
    fs::create_dir_all(&stage).map_err(io_failed(&stage))?;
    let prepared = prepare(config, file, ask, &mut backup, &stage, full.is_some()).await;
    let (mut restored, own_keys) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            let _ = fs::remove_dir_all(&stage);
            return Err(error);
        }
    };
    if full.is_some() {
        restored.set_aside = Some(set_aside(dir, own_keys).map_err(io_failed(dir))?);
    }
    move_in(&stage, dir).map_err(io_failed(dir))?;
    drop(lock);
    Ok(restored)
}

/// Everything up to the folder that only has to be moved. Answers also whether the keys that lie in the folder are its keys.
async fn prepare(
    config: &Config,
    file: &Path,
    ask: &Ask,
    backup: &mut Backup,
    stage: &Path,
    replaces: bool,
) -> Result<(Restored, bool), OpenError> {
    let dir = &config.data_dir;
    backup.unpack(stage).map_err(refused)?;
    let manifest = backup.manifest.clone();
    let mut restored = Restored::default();
    let note = Backup::checkpoint(stage);
    let (log_key, own_keys) = choose_keys(config, ask, stage, note.as_deref())?;
    trust(backup, ask, stage, &mut restored)?;

    let old = if replaces { Glance::open(&dir.join(sqlite::FILE)).ok() } else { None };
    let mut known = named(config, ask, &log_key)?;
    let beside = file.parent().map(|folder| archive::checkpoint_beside(folder, &config.origin));
    if let Some(note) = beside.and_then(|path| fs::read_to_string(path).ok()) {
        known.push((signed(config, &note, &log_key, "the checkpoint beside the backup")?, "beside-the-backup"));
    }
    let old_head = old.as_ref().and_then(|old| look_at_old(config, old, &log_key, &mut known));

    let glance = Glance::open(&stage.join(sqlite::FILE)).map_err(|e| refused(e.to_string()))?;
    check(config, &glance, &manifest, note.as_deref(), &log_key, &known)?;
    drop(glance);
    let root = unhex32(&manifest.root).unwrap_or_default();
    let (_, sum) = archive::sum(file).map_err(io_failed(file))?;
    let mut restoration =
        Restoration { backup: Some((manifest.made_at, sum)), size: manifest.size, root, ..Restoration::default() };
    state(ask, &mut restoration, &known, old_head)?;
    if let Some(old) = &old {
        read_lost(old, &mut restoration);
    }
    drop(old);

    // the house opens in the prepared folder, as a daemon would: the log is checked once more, and grows
    let staged = Config { data_dir: stage.to_path_buf(), ..config.clone() };
    let house = open::open::<SqliteStore>(&staged).await?;
    let woken = house.restored(&restoration, clock::now()).await;
    drop(house);
    restored.incidents_woken = woken.map_err(|e| refused(e.to_string()))?;
    for database in [sqlite::FILE, KEY_DATABASE].map(|name| stage.join(name)) {
        if database.exists() {
            sqlite::gather(&database).map_err(|e| refused(e.to_string()))?;
        }
    }
    restored.warnings.extend(warnings(&restoration));
    restored.restoration = restoration;
    Ok((restored, own_keys))
}

/// As [`restore`], for a database that its own means brought back.
async fn after_database(config: &Config, ask: &Ask) -> Result<Restored, OpenError> {
    let house = open::open::<crate::store::PgStore>(config).await?;
    let known = named(config, ask, &house.log_key.public())?;
    let failed = |error: &dyn std::fmt::Display| refused(error.to_string());
    let head = house.store.head().await.map_err(|e| failed(&e))?;
    for (checkpoint, _) in known.iter().filter(|(c, _)| c.size <= head.size) {
        let mut leaves = Vec::with_capacity(checkpoint.size as usize);
        while (leaves.len() as u64) < checkpoint.size {
            let from = leaves.len() as u64;
            let range = from..(from + BATCH).min(checkpoint.size);
            let entries = house.store.entries(range).await.map_err(|e| failed(&e))?;
            if entries.is_empty() {
                return Err(refused(format!("entry {from} is missing")));
            }
            leaves.extend(entries.iter().map(|e| leaf_hash(&e.bytes)));
        }
        if crate::evidence::merkle::root(&leaves) != checkpoint.root {
            return Err(another_log(checkpoint.size));
        }
    }
    let mut restoration = Restoration { size: head.size, root: head.root(), ..Restoration::default() };
    state(ask, &mut restoration, &known, None)?;
    let incidents_woken = house.restored(&restoration, clock::now()).await.map_err(|e| failed(&e))?;
    Ok(Restored { warnings: warnings(&restoration), restoration, incidents_woken, set_aside: None })
}

/// Something in the folder besides what may be in an unused one.
fn first_of(dir: &Path) -> io::Result<Option<String>> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !NOTHING.contains(&name.as_str()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Puts the keys with which the backup's log was signed into the prepared folder. Looked for in systemd's credentials, in the
/// folder named, in the data folder, in the backup. Answers the public key, and whether it lay in the data folder.
fn choose_keys(config: &Config, ask: &Ask, stage: &Path, note: Option<&str>) -> Result<(PublicKey, bool), OpenError> {
    let fits = |key: &PublicKey| {
        note.is_none_or(|note| Checkpoint::parse(note).is_ok_and(|c| c.verify(&config.origin, key).is_ok()))
    };
    if let Some(key) = keys::credential("log").map_err(refused)? {
        if fits(&key.public()) {
            return Ok((key.public(), false));
        }
        return Err(refused("the key in systemd's credentials did not sign this backup's log; use the one that did"));
    }
    let mut looked = Vec::new();
    let own = config.data_dir.join("keys");
    for (folder, is_own) in [(ask.keys.clone(), false), (Some(own), true), (Some(stage.join("keys")), false)] {
        let Some(folder) = folder else { continue };
        let path = folder.join("log.pem");
        if !path.exists() {
            continue;
        }
        let key = keys::read(&path).map_err(refused)?;
        if !fits(&key.public()) {
            looked.push(format!("`{}` is another key", path.display()));
            continue;
        }
        let to = stage.join("keys");
        if folder != to {
            let copy = || -> io::Result<()> {
                fs::create_dir_all(&to)?;
                for entry in fs::read_dir(&folder)? {
                    let entry = entry?;
                    if entry.file_type()?.is_file() {
                        fs::copy(entry.path(), to.join(entry.file_name()))?;
                    }
                }
                Ok(())
            };
            copy().map_err(io_failed(&to))?;
            take_key_database(&folder, stage)?;
        }
        return Ok((key.public(), is_own));
    }
    let looked = if looked.is_empty() { String::new() } else { format!(" ({})", looked.join(", ")) };
    Err(refused(format!(
        "the key that signed this log is not at hand{looked}: it is not in the backup; name its folder with `--keys DIR`, or set up \
         the systemd credential. Without it the log could not go on under its name"
    )))
}

/// The keys of personal data that lie beside the folder of keys, or in it. What was erased since the backup stays erased by
/// them: its keys are gone there.
fn take_key_database(keys: &Path, stage: &Path) -> Result<(), OpenError> {
    let beside = keys.parent().map(|parent| parent.join(KEY_DATABASE));
    let to = stage.join(KEY_DATABASE);
    let Some(from) = [Some(keys.join(KEY_DATABASE)), beside].into_iter().flatten().find(|path| path.exists()) else {
        return Ok(());
    };
    if to.exists() {
        fs::remove_file(&to).map_err(io_failed(&to))?;
    }
    sqlite::copy(&from, &to).map_err(|e| refused(e.to_string()))
}

/// The list of files must be signed by the installation's export key, when that is at hand.
fn trust(backup: &Backup, ask: &Ask, stage: &Path, restored: &mut Restored) -> Result<(), OpenError> {
    let path = stage.join("keys").join("export.pem");
    let key = match keys::credential("export").map_err(refused)? {
        Some(key) => Some(key),
        None if path.exists() => Some(keys::read(&path).map_err(refused)?),
        None => None,
    };
    match key {
        Some(key) if backup.is_signed_by(&key.public()) => Ok(()),
        _ if ask.unsigned => {
            let text = "the list of files is not signed by the export key: the log is proven by its checkpoint, tokens and messages \
                        are not; look at `breachclock token list`";
            restored.warnings.push(text.to_string());
            Ok(())
        }
        Some(_) if backup.is_signed() => Err(refused(
            "the backup's list of files was not signed by this installation's export key: somebody else made it, or changed it; \
             use another backup, or say `--unsigned` if you know why",
        )),
        _ => Err(refused(
            "nobody signed the backup's list of files, or the export key is not at hand; say `--unsigned` to take it all the same",
        )),
    }
}

/// A checkpoint this log's key signed.
fn signed(config: &Config, note: &str, key: &PublicKey, what: &str) -> Result<Checkpoint, OpenError> {
    Checkpoint::parse(note)
        .and_then(|c| c.verify(&config.origin, key))
        .map_err(|error| refused(format!("{what}: {error}")))
}

type Known = Vec<(Checkpoint, &'static str)>;

fn named(config: &Config, ask: &Ask, key: &PublicKey) -> Result<Known, OpenError> {
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path)
            .map_err(|e| OpenError { code: 66, text: format!("`{}` cannot be read: {e}", path.display()) })?;
        Ok((signed(config, &text, key, &format!("`{}`", path.display()))?, "named"))
    };
    ask.checkpoints.iter().map(read).collect()
}

/// How far the log in the old folder had grown, as far as it can be read. Damage there is no fault: that is why one restores.
fn look_at_old(config: &Config, old: &Glance, key: &PublicKey, known: &mut Known) -> Option<u64> {
    if old.origin().ok()? != config.origin {
        return None;
    }
    if let Ok(Some(last)) = old.checkpoint()
        && let Ok(checkpoint) = signed(config, &last.note, key, "")
    {
        known.push((checkpoint, "replaced-folder"));
    }
    old.size().ok()
}

fn another_log(size: u64) -> OpenError {
    refused(format!(
        "a known checkpoint of size {size} is not one of the restored log: the two are of different histories, and going on would \
         fork it. Look for a backup of the right one; the first of the two ends where they differ"
    ))
}

/// The whole log, from its entries: chains, root, the backup's own checkpoint, and every known one it reaches.
fn check(
    config: &Config,
    glance: &Glance,
    manifest: &archive::Manifest,
    note: Option<&str>,
    key: &PublicKey,
    known: &Known,
) -> Result<(), OpenError> {
    let size = glance.size().map_err(|e| refused(e.to_string()))?;
    let own = note.map(|note| signed(config, note, key, "the backup's checkpoint")).transpose()?;
    let within = known.iter().filter(|(c, _)| c.size <= size).map(|(c, _)| c.clone());
    let mut failure = None;
    let mut at = 0;
    let entries = std::iter::from_fn(|| {
        if at >= size || failure.is_some() {
            return None;
        }
        let batch = glance.entries(at..(at + BATCH).min(size));
        match batch {
            Ok(batch) if !batch.is_empty() => {
                at += batch.len() as u64;
                Some(batch)
            }
            Ok(_) => {
                failure = Some(format!("entry {at} is missing"));
                None
            }
            Err(error) => {
                failure = Some(error.to_string());
                None
            }
        }
    });
    let checkpoints: Vec<Checkpoint> = own.iter().cloned().collect();
    let bytes = entries.flatten().map(|entry| entry.bytes);
    // two passes' worth of checkpoints in one: the own one decides on the backup, the others on the history
    let all: Vec<Checkpoint> = checkpoints.into_iter().chain(within).collect();
    let report = verify_log(&config.origin, bytes, &all);
    if let Some(failure) = failure {
        return Err(refused(format!("the backup's log is damaged: {failure}; use another backup")));
    }
    if report.entries != manifest.size || hex(&report.root) != manifest.root {
        return Err(refused("the backup's log is not the one its list describes; use another backup"));
    }
    if let Some(fault) = report.faults.first() {
        let elsewhere = own.as_ref().is_none_or(|own| !fault.what.contains(&format!("first {} entries", own.size)));
        return Err(match fault.idx {
            None if elsewhere && fault.what.starts_with("the first ") => {
                let size = known.iter().map(|(c, _)| c.size).filter(|s| *s <= size).max().unwrap_or_default();
                another_log(size)
            }
            _ => refused(format!("the backup's log is damaged: {}; use another backup", fault.what)),
        });
    }
    Ok(())
}

/// What is said of the time after the backup, by the operator or by what was found.
fn state(ask: &Ask, into: &mut Restoration, known: &Known, old: Option<u64>) -> Result<(), OpenError> {
    into.checkpoints =
        known.iter().map(|(c, source)| KnownCheckpoint { size: c.size, root: hex(&c.root), source }).collect();
    let seen = known.iter().map(|(c, _)| c.size).chain(old).max().unwrap_or_default();
    if ask.nothing_later && seen > into.size {
        return Err(refused(format!(
            "you say that nothing was written after the backup of {} entries, and the log is known to have had {seen}; leave \
             `--nothing-later` out",
            into.size
        )));
    }
    let guessed = ask.lost_at_most.map(|lost| into.size.saturating_add(lost)).unwrap_or_default();
    into.reached = into.size.max(seen).max(guessed);
    into.stated = match (ask.lost_at_most, ask.checkpoints.is_empty(), ask.nothing_later, old) {
        (Some(_), ..) => "lost-at-most",
        (_, false, ..) => "checkpoint",
        (_, _, true, _) => "nothing-later",
        (_, _, _, Some(_)) => "replaced-folder",
        _ => {
            return Err(refused(format!(
                "what was signed after the backup is not known, and the restored log must never sign another checkpoint of the same \
                 size. Say one of: `--last-checkpoint FILE`, the newest checkpoint you find (at the foot of mails, in exports as \
                 `checkpoint.txt`, beside scheduled backups as `*.checkpoint`{}); `--lost-at-most N`, so many entries at most \
                 were written since; `--nothing-later`",
                if seen > 0 { format!("; one of size {seen} lies beside this backup") } else { String::new() }
            )));
        }
    };
    if into.reached - into.size > MOST_LOST {
        let lost = into.reached - into.size;
        return Err(refused(format!("{lost} lost entries are more than {MOST_LOST}; is the number right?")));
    }
    Ok(())
}

/// What can still be read of the lost entries, where they were.
fn read_lost(old: &Glance, into: &mut Restoration) {
    let mut at = into.size;
    let size = old.size().unwrap_or_default();
    while at < size {
        let Ok(batch) = old.entries(at..(at + BATCH).min(size)) else { return };
        if batch.is_empty() {
            return;
        }
        at += batch.len() as u64;
        for entry in batch {
            let parsed: serde_json::Value = serde_json::from_slice(&entry.bytes).unwrap_or_default();
            let kind = parsed["type"].as_str().unwrap_or("unreadable").to_string();
            *into.read.entry(kind).or_default() += 1;
            if entry.stream != crate::workflow::evidence_of::SYSTEM {
                into.incidents.insert(entry.stream);
            }
        }
    }
}

fn warnings(restoration: &Restoration) -> Vec<String> {
    let since = restoration.backup.map_or("the backup".to_string(), |(at, _)| utc(at));
    let mut warnings = Vec::new();
    if restoration.reached > restoration.size || restoration.stated == "lost-at-most" {
        warnings.push(format!(
            "what was recorded after {since} is lost: facts, filings, decisions, acknowledgements. Record it again; reminders go on \
             until then, and may come a second time"
        ));
    }
    warnings.push(format!("tokens revoked after {since} are valid again: look at `breachclock token list`"));
    warnings.push(format!("personal data erased after {since} may be back: look, and erase it again"));
    warnings
}

/// Moves what is in the folder into a folder of its own inside, and answers its name. Keys that are in use stay.
fn set_aside(dir: &Path, keep_keys: bool) -> io::Result<PathBuf> {
    let aside = dir.join(format!("replaced-{}", clock::now().format("%Y%m%dT%H%M%SZ")));
    fs::create_dir(&aside)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let stays =
            name == "breachclock.lock" || name == STAGE || name == "lost+found" || name.starts_with("replaced-");
        if stays || (name == "keys" && keep_keys) {
            continue;
        }
        fs::rename(entry.path(), aside.join(&name))?;
    }
    Ok(aside)
}

/// The database last: until it is there, no daemon starts.
fn move_in(stage: &Path, dir: &Path) -> io::Result<()> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(stage)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_by_key(|name| name == sqlite::FILE);
    for name in names {
        let to = dir.join(&name);
        if name == "breachclock.lock" || name == "checkpoint.txt" || (name == "keys" && to.exists()) {
            let from = stage.join(&name);
            if from.is_dir() {
                fs::remove_dir_all(from)?
            } else {
                fs::remove_file(from)?
            }
            continue;
        }
        if name == KEY_DATABASE {
            // what an earlier one has left would be taken for the new one's
            for companion in ["keys.db-wal", "keys.db-shm"].map(|name| dir.join(name)) {
                if companion.exists() {
                    fs::remove_file(companion)?;
                }
            }
        }
        fs::rename(stage.join(&name), to)?;
    }
    fs::File::open(dir)?.sync_all()?;
    fs::remove_dir_all(stage)
}

/// When the newest backup in the folder of `config` was made, if one is configured: for the doctor.
pub fn newest(dir: &Path, origin: &str) -> io::Result<Option<Timestamp>> {
    Ok(archive::list(dir, origin)?.last().map(|(at, _)| *at))
}
