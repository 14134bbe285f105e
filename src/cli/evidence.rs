//! `evidence`: export and checkpoint through a server; verify and fsck on their own.

use super::bundle_in::{self, Problem};
use super::client::{Connection, Server};
use super::{evidence_check, exit};
use crate::config::StoreKind;
use crate::daemon::rotate;
use crate::evidence::tsp::Roots;
use crate::evidence::{Cosigner, verify};
use crate::store::{PgStore, SqliteStore};
use reqwest::Method;
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub enum Command {
    /// One incident as a bundle that can be checked without us
    Export {
        id: String,
        /// File to write
        #[arg(short, long)]
        output: PathBuf,
        /// authority, client or internal
        #[arg(long, default_value = "authority")]
        profile: String,
        /// Leave out personal fields of this kind; may be repeated
        #[arg(long)]
        withhold: Vec<String>,
        /// Language of the report's frame text: en, de or fr
        #[arg(long, default_value = "en")]
        language: String,
        /// Zone of the reader, e.g. Europe/Berlin; else the entity's
        #[arg(long)]
        zone: Option<String>,
        #[command(flatten)]
        to: Connection,
    },
    /// The current signed head of the log
    Checkpoint {
        #[command(flatten)]
        to: Connection,
    },
    #[command(flatten)]
    Personal(super::erase::Command),
    /// Check a bundle: offline, without configuration
    Verify {
        /// ZIP file, or the folder it was unpacked into
        file: PathBuf,
        /// Also compute each deadline again, from the entries and rule packs of the bundle
        #[arg(long)]
        replay: bool,
        /// Certificates (PEM) of the time-stamping authorities you trust; those in the bundle when left out
        #[arg(long)]
        tsa: Option<PathBuf>,
        /// Verifier keys of the witnesses you trust, one a line; those in the bundle when left out
        #[arg(long)]
        witnesses: Option<PathBuf>,
        #[arg(long)]
        json: bool,
    },
    /// Change the key that signs the log: an entry names both keys, and a checkpoint is signed by both; the daemon must be
    /// stopped
    RotateKey {
        #[arg(long)]
        config: PathBuf,
        #[arg(long)]
        json: bool,
    },
    /// Rebuild log, tree and incidents from the entries and compare; the daemon must be stopped
    Fsck {
        #[arg(long)]
        config: PathBuf,
        /// Also compute each deadline again, from the entries and the kept rule packs
        #[arg(long)]
        replay: bool,
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: Command) -> i32 {
    match command {
        Command::Export { id, output, profile, withhold, language, zone, to } => {
            let mut query: String = withhold.iter().map(|kind| format!("&withhold={kind}")).collect();
            query.extend(zone.map(|zone| format!("&zone={}", zone.replace('+', "%2B"))));
            let path = format!("/api/v1/incidents/{id}/bundle?profile={profile}&language={language}{query}");
            let (status, bytes) = match Server::new(&to).and_then(|s| s.call_bytes(Method::GET, &path, None)) {
                Ok(answer) => answer,
                Err(code) => return code,
            };
            if !status.is_success() {
                return super::client::explain(status, &serde_json::from_slice(&bytes).unwrap_or_default());
            }
            if let Err(error) = std::fs::write(&output, &bytes) {
                eprintln!("error: `{}` cannot be written: {error}", output.display());
                return exit::NEGATIVE;
            }
            super::print(&format!("{}  {} bytes\n", output.display(), bytes.len()));
            exit::DONE
        }
        Command::Checkpoint { to } => match Server::new(&to)
            .and_then(|s| s.call_bytes(Method::GET, "/api/v1/log/checkpoint", None))
        {
            Ok((status, bytes)) if status.is_success() => {
                super::print(&String::from_utf8_lossy(&bytes));
                exit::DONE
            }
            Ok((status, bytes)) => super::client::explain(status, &serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(code) => code,
        },
        Command::Personal(command) => super::erase::run(command),
        Command::Verify { file, tsa, witnesses, replay, json } => {
            verify_bundle(&file, tsa.as_deref(), witnesses.as_deref(), replay, json)
        }
        Command::RotateKey { config, json } => rotate_key(&config, json),
        Command::Fsck { config, replay, json } => evidence_check::fsck(&config, replay, json),
    }
}

fn verify_bundle(path: &Path, tsa: Option<&Path>, witnesses: Option<&Path>, replay: bool, json: bool) -> i32 {
    let files = match bundle_in::read(path) {
        Ok(files) => files,
        Err(Problem::Unreadable(error)) => {
            eprintln!("error: `{}` cannot be read: {error}", path.display());
            return exit::NO_INPUT;
        }
        Err(Problem::Refused(refusal)) => {
            eprintln!("error: `{}` is refused: {refusal}", path.display());
            if json {
                let check = serde_json::json!({ "name": "container", "ok": false, "detail": refusal.why, "file": refusal.file });
                super::print_json(&serde_json::json!({ "ok": false, "checks": [check] }));
            }
            return exit::NEGATIVE;
        }
    };
    let known = || -> Result<_, (i32, String)> {
        Ok((tsa.map(authorities).transpose()?, witnesses.map(cosigners).transpose()?))
    };
    let (authorities, witnesses) = match known() {
        Ok(known) => known,
        Err((code, text)) => {
            eprintln!("error: {text}");
            return code;
        }
    };
    let trust = verify::Trust { authorities, witnesses, ..verify::Trust::default() };
    let report = verify::verify_bundle_with(&files, &trust);
    // deadlines of a forged bundle prove nothing
    let replayed = (replay && report.ok).then(|| evidence_check::replay(&files));
    if json {
        let checks: Vec<serde_json::Value> = report
            .checks
            .iter()
            .map(|c| serde_json::json!({ "name": c.name, "ok": c.ok, "detail": c.detail, "file": c.file }))
            .collect();
        let existed: Vec<serde_json::Value> = report
            .existed
            .iter()
            .map(|run| serde_json::json!({ "from": run.from, "to": run.to, "no_later_than": run.no_later_than }))
            .collect();
        let keys: Vec<serde_json::Value> = report
            .earlier_log_keys
            .iter()
            .map(|(size, key)| serde_json::json!({ "up_to_size": size, "fingerprint": key }))
            .collect();
        let seen: Vec<serde_json::Value> = report
            .witnessed
            .iter()
            .map(|one| {
                serde_json::json!({
                    "witness": one.witness, "key_id": one.key_id, "size": one.size, "root": one.root, "at": one.at,
                    "file": one.file, "entries": one.entries,
                })
            })
            .collect();
        super::print_json(&serde_json::json!({
            "ok": report.ok, "origin": report.origin, "stream": report.stream, "entries": report.entries,
            "disclosed": report.disclosed, "erased": report.erased, "withheld": report.withheld,
            "export_fingerprint": report.export_fingerprint, "log_fingerprint": report.log_fingerprint,
            "earlier_log_keys": keys, "existed": existed, "packed": report.packed,
            "witnessed": seen, "unknown_cosignatures": report.unknown_cosignatures, "checks": checks, "not_provable": report.not_provable,
            "replay": replayed.as_ref().map(evidence_check::replay_json),
        }));
    } else {
        super::print(&verdict(&report));
        match &replayed {
            Some(replay) => super::print(&evidence_check::replay_text("the entries", replay)),
            None if replay => super::print("Not computed again: a bundle that is not verified proves no deadline.\n"),
            None => {}
        }
    }
    if report.ok && replayed.is_none_or(|replay| replay.is_ok()) { exit::DONE } else { exit::NEGATIVE }
}

fn verdict(report: &verify::VerifyReport) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let word = if check.ok { "ok   " } else { "FAULT" };
        let file = check.file.as_ref().map(|f| format!(" [{f}]")).unwrap_or_default();
        text.push_str(&format!("{word} {}: {}{file}\n", check.name, check.detail));
    }
    text.push_str(&format!(
        "\n{}: {} entries of {} in the log {}; {} personal fields disclosed, {} erased, {} withheld\n",
        if report.ok { "VERIFIED" } else { "NOT VERIFIED" },
        report.entries,
        report.stream,
        report.origin,
        report.disclosed,
        report.erased,
        report.withheld
    ));
    for run in &report.existed {
        if let Some(time) = &run.no_later_than {
            text.push_str(&format!("entries {} to {} existed no later than {time}\n", run.from, run.to));
        }
    }
    if let Some(time) = &report.packed {
        text.push_str(&format!("the bundle was packed no later than {time}\n"));
    }
    for one in &report.witnessed {
        text.push_str(&format!(
            "witness {} saw the log at size {} with root {} at {}, grown from all it saw before (entries 1 to {})\n",
            one.witness, one.size, one.root, one.at, one.entries
        ));
    }
    if report.unknown_cosignatures > 0 {
        text.push_str(&format!("{} cosignature(s) of unknown keys were ignored\n", report.unknown_cosignatures));
    }
    text.push_str(&format!("export key {}\nlog key    {}\n", report.export_fingerprint, report.log_fingerprint));
    for (size, key) in &report.earlier_log_keys {
        text.push_str(&format!("           {key} up to size {size}\n"));
    }
    text.push_str("\nNot provable by this bundle:\n");
    for sentence in &report.not_provable {
        text.push_str(&format!("  - {sentence}\n"));
    }
    text
}

fn authorities(path: &Path) -> Result<Roots, (i32, String)> {
    let named = |error: &dyn std::fmt::Display| format!("`{}` {error}", path.display());
    let text = std::fs::read(path).map_err(|error| (exit::NO_INPUT, named(&format!("cannot be read: {error}"))))?;
    Roots::from_pem(&text).map_err(|fault| (exit::REJECTED, named(&fault)))
}

fn cosigners(path: &Path) -> Result<Vec<Cosigner>, (i32, String)> {
    let named = |error: &dyn std::fmt::Display| format!("`{}`: {error}", path.display());
    let text =
        std::fs::read_to_string(path).map_err(|error| (exit::NO_INPUT, named(&format!("cannot be read: {error}"))))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| Cosigner::from_vkey(line).map_err(|error| (exit::REJECTED, named(&error)))).collect()
}

fn rotate_key(path: &Path, json: bool) -> i32 {
    let config = match super::configuration(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let Ok(runtime) = super::serve::runtime() else { return exit::NEGATIVE };
    let rotated = match config.store {
        StoreKind::Sqlite => runtime.block_on(rotate::rotate_key::<SqliteStore>(&config)),
        StoreKind::Postgres(_) => runtime.block_on(rotate::rotate_key::<PgStore>(&config)),
    };
    match rotated {
        Ok(rotated) if json => {
            super::print_json(&serde_json::json!({
                "size": rotated.size, "old": rotated.old, "new": rotated.new, "vkey": rotated.vkey,
            }));
            exit::DONE
        }
        Ok(rotated) => {
            super::print(&format!(
                "the log key was changed at size {}\nold {}\nnew {}\n{}\n\nPublish the new fingerprint where the old one \
                 stands; bundles prove that one followed the other. Copy `keys/log.pem` to every other node before it starts. Give the last line above to whoever runs a witness of the \
                 log: until then it does not cosign.\n",
                rotated.size, rotated.old, rotated.new, rotated.vkey
            ));
            exit::DONE
        }
        Err(error) => {
            eprintln!("error: {}", error.text);
            error.code
        }
    }
}
