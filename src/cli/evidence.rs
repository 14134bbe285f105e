//! `evidence`: export and checkpoint through a server; verify and fsck on their own.

use super::client::{Connection, Server};
use super::exit;
use crate::config::StoreKind;
use crate::daemon::open;
use crate::evidence::{verify, zipfile};
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
        #[arg(long)]
        json: bool,
    },
    /// Rebuild the whole log from its entries and compare; the daemon must be stopped
    Fsck {
        #[arg(long)]
        config: PathBuf,
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: Command) -> i32 {
    match command {
        Command::Export { id, output, profile, withhold, to } => {
            let query: String = withhold.iter().map(|kind| format!("&withhold={kind}")).collect();
            let path = format!("/api/v1/incidents/{id}/bundle?profile={profile}{query}");
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
        Command::Verify { file, json } => verify_bundle(&file, json),
        Command::Fsck { config, json } => fsck(&config, json),
    }
}

fn verify_bundle(path: &Path, json: bool) -> i32 {
    let files = if path.is_dir() {
        read_folder(path)
    } else {
        match std::fs::read(path) {
            Ok(bytes) => zipfile::read(&bytes)
                .map_err(|error| (exit::NEGATIVE, format!("`{}` is not a readable bundle: {error}", path.display()))),
            Err(error) => Err((exit::NO_INPUT, format!("`{}` cannot be read: {error}", path.display()))),
        }
    };
    let files = match files {
        Ok(files) => files,
        Err((code, text)) => {
            eprintln!("error: {text}");
            return code;
        }
    };
    let report = verify::verify_bundle(&files);
    if json {
        let checks: Vec<serde_json::Value> = report
            .checks
            .iter()
            .map(|c| serde_json::json!({ "name": c.name, "ok": c.ok, "detail": c.detail, "file": c.file }))
            .collect();
        super::print_json(&serde_json::json!({
            "ok": report.ok, "origin": report.origin, "stream": report.stream, "entries": report.entries,
            "disclosed": report.disclosed, "erased": report.erased, "withheld": report.withheld,
            "export_fingerprint": report.export_fingerprint, "log_fingerprint": report.log_fingerprint,
            "checks": checks, "not_provable": report.not_provable,
        }));
    } else {
        super::print(&verdict(&report));
    }
    if report.ok { exit::DONE } else { exit::NEGATIVE }
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
    text.push_str(&format!(
        "export key {}\nlog key    {}\n\nNot provable by this bundle:\n",
        report.export_fingerprint, report.log_fingerprint
    ));
    for sentence in &report.not_provable {
        text.push_str(&format!("  - {sentence}\n"));
    }
    text
}

type Files = std::collections::BTreeMap<String, Vec<u8>>;

fn read_folder(root: &Path) -> Result<Files, (i32, String)> {
    fn walk(root: &Path, dir: &Path, files: &mut Files) -> std::io::Result<()> {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                walk(root, &path, files)?;
            } else {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                files.insert(name, std::fs::read(&path)?);
            }
        }
        Ok(())
    }
    let mut files = Files::new();
    walk(root, root, &mut files)
        .map_err(|error| (exit::NO_INPUT, format!("`{}` cannot be read: {error}", root.display())))?;
    Ok(files)
}

fn fsck(path: &Path, json: bool) -> i32 {
    let config = match super::configuration(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let Ok(runtime) = super::serve::runtime() else { return exit::NEGATIVE };
    let checked = match config.store {
        StoreKind::Sqlite => runtime.block_on(open::fsck::<SqliteStore>(&config)),
        StoreKind::Postgres(_) => runtime.block_on(open::fsck::<PgStore>(&config)),
    };
    match checked {
        Ok(report) => {
            let faults: Vec<serde_json::Value> =
                report.faults.iter().map(|f| serde_json::json!({ "idx": f.idx, "what": f.what })).collect();
            if json {
                super::print_json(&serde_json::json!({
                    "ok": report.ok, "entries": report.entries, "streams": report.streams, "checkpoints": report.checkpoints,
                    "root": crate::evidence::hex(&report.root), "fault_count": report.fault_count, "faults": faults,
                }));
            } else {
                for fault in &report.faults {
                    let place = fault.idx.map_or("the log".to_string(), |idx| format!("entry {idx}"));
                    eprintln!("{place}: {}", fault.what);
                }
                let verdict = if report.ok { "the log is whole" } else { "the log is NOT whole" };
                super::print(&format!(
                    "{verdict}: {} entries in {} streams, {} checkpoint(s) compared\n",
                    report.entries, report.streams, report.checkpoints
                ));
            }
            if report.ok { exit::DONE } else { exit::NEGATIVE }
        }
        Err(error) => {
            eprintln!("error: {}", error.text);
            error.code
        }
    }
}
