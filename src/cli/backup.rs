//! `backup` and `restore`: on the data folder itself; the daemon may run during a backup.

use super::exit;
use crate::config::StoreKind;
use crate::daemon::backup::archive::{self, Source};
use crate::daemon::backup::restore::{self, Ask, Restored};
use crate::daemon::{clock, keys};
use crate::evidence::hex;
use crate::rules::utc;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct BackupArgs {
    /// File to write, or a folder to write it into under a name of its own
    file: PathBuf,
    /// Configuration of the daemon, which may run
    #[arg(long)]
    config: PathBuf,
    /// With the signing keys and the keys of personal data: whoever has the file may sign in this installation's name
    #[arg(long, conflicts_with = "without_keys", required_unless_present = "without_keys")]
    with_keys: bool,
    /// Without keys: keep the folder `keys` elsewhere, a restore needs it
    #[arg(long)]
    without_keys: bool,
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub struct RestoreArgs {
    /// The backup; left out when `pg_restore` has brought back a PostgreSQL database
    file: Option<PathBuf>,
    #[arg(long)]
    config: PathBuf,
    /// Set aside what is in the data folder
    #[arg(long)]
    replace: bool,
    /// Folder with the keys, when the backup has none
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The newest signed checkpoint known: from a mail, an export, a time stamp; may be repeated
    #[arg(long = "last-checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// At most so many entries were written after the backup
    #[arg(long, value_name = "N", conflicts_with = "nothing_later")]
    lost_at_most: Option<u64>,
    /// Nothing was written after the backup
    #[arg(long)]
    nothing_later: bool,
    /// Take a backup whose list of files is not signed by the export key
    #[arg(long)]
    unsigned: bool,
    #[arg(long)]
    json: bool,
}

pub fn backup(args: BackupArgs) -> i32 {
    let config = match super::configuration(&args.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    if matches!(config.store, StoreKind::Postgres(_)) {
        eprintln!(
            "error: `[store].url` names a PostgreSQL database: back it up with `pg_dump --format=custom`, and the folders `keys`, `rules` \
             and `attachments` of `{}` with your own means; after `pg_restore` run `breachclock restore --config` before any daemon starts",
            config.data_dir.display()
        );
        return exit::NEGATIVE;
    }
    let now = clock::now();
    let file = if args.file.is_dir() { args.file.join(archive::name(&config.origin, now)) } else { args.file };
    if file.exists() {
        eprintln!("error: `{}` exists; choose another name", file.display());
        return exit::NEGATIVE;
    }
    let signer = match keys::find(&config.data_dir, "export") {
        Ok(signer) => signer,
        Err(error) => {
            eprintln!("error: {error}");
            return exit::NEGATIVE;
        }
    };
    if signer.is_none() {
        eprintln!(
            "warning: the export key is not at hand, so that the list of files is not signed; a restore asks about that"
        );
    }
    let source = Source { data: &config.data_dir, keys: args.with_keys, signer: signer.as_ref() };
    match archive::write(&source, &file, now) {
        Ok(made) if args.json => {
            super::print_json(&serde_json::json!({
                "file": made.file, "bytes": made.bytes, "sha256": hex(&made.sha256), "entries": made.manifest.size,
                "root": made.manifest.root, "keys": made.manifest.keys, "made_at": utc(made.manifest.made_at),
            }));
            exit::DONE
        }
        Ok(made) => {
            super::print(&format!("{}\nsha256 {}\n", archive::describe(&made), hex(&made.sha256)));
            exit::DONE
        }
        Err(error) => {
            eprintln!("error: {error}");
            exit::NEGATIVE
        }
    }
}

pub fn restore(args: RestoreArgs) -> i32 {
    let config = match super::configuration(&args.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    if let Some(missing) = args.file.iter().chain(&args.checkpoints).find(|path| !path.exists()) {
        eprintln!("error: `{}` does not exist", missing.display());
        return exit::NO_INPUT;
    }
    let ask = Ask {
        file: args.file,
        replace: args.replace,
        keys: args.keys,
        checkpoints: args.checkpoints,
        lost_at_most: args.lost_at_most,
        nothing_later: args.nothing_later,
        unsigned: args.unsigned,
    };
    super::log_to_stderr("warn");
    let Ok(runtime) = super::serve::runtime() else { return exit::NEGATIVE };
    match runtime.block_on(restore::restore(&config, &ask)) {
        Ok(restored) => {
            if args.json {
                super::print_json(&as_json(&restored));
            } else {
                super::print(&as_text(&restored));
            }
            exit::DONE
        }
        Err(error) => {
            eprintln!("error: {}", error.text);
            error.code
        }
    }
}

fn as_json(restored: &Restored) -> serde_json::Value {
    let r = &restored.restoration;
    serde_json::json!({
        "made_at": r.backup.map(|(at, _)| utc(at)), "entries": r.size, "root": hex(&r.root), "reached": r.reached,
        "lost": r.reached.saturating_sub(r.size), "stated": r.stated, "checkpoints": r.checkpoints, "lost_kinds": r.read,
        "incidents": r.incidents, "incidents_woken": restored.incidents_woken, "set_aside": restored.set_aside,
        "warnings": restored.warnings,
    })
}

fn as_text(restored: &Restored) -> String {
    let r = &restored.restoration;
    let of = r.backup.map(|(at, _)| format!(" of {}", utc(at))).unwrap_or_default();
    let mut text = format!(
        "restored {} entries{of}; {} open incidents set their alarms again\n",
        r.size, restored.incidents_woken
    );
    match r.reached.saturating_sub(r.size) {
        0 => text.push_str(&format!("no entry is known to be lost ({})\n", r.stated)),
        n => text.push_str(&format!(
            "{n} entries are lost, {} to {}; their places stay empty for ever ({})\n",
            r.size,
            r.reached - 1,
            r.stated
        )),
    }
    for (kind, n) in &r.read {
        text.push_str(&format!("  {n} of type {kind}\n"));
    }
    if !r.incidents.is_empty() {
        let some: Vec<&str> = r.incidents.iter().map(String::as_str).take(20).collect();
        text.push_str(&format!("  about {} incidents: {}\n", r.incidents.len(), some.join(", ")));
    }
    if let Some(aside) = &restored.set_aside {
        text.push_str(&format!(
            "the earlier content lies in `{}`; delete it when you need it no more\n",
            aside.display()
        ));
    }
    for warning in &restored.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text
}
