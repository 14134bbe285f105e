//! `evidence fsck`, and computing deadlines again: what was found, in words and as JSON.

use super::bundle_in::Files;
use super::exit;
use crate::config::StoreKind;
use crate::daemon::open;
use crate::evidence::{hex, unhex32};
use crate::store::{PgStore, SqliteStore};
use crate::workflow::fsck::StoreReport;
use crate::workflow::replay::{self, Replay};
use serde_json::{Value, json};
use std::path::Path;

/// Lines of a list that are printed; JSON has them all.
const MOST: usize = 100;

/// Computes the deadlines of a bundle again, by its rule packs and those built into this program.
pub fn replay(files: &Files) -> Replay {
    let within =
        |prefix: &'static str| files.range(prefix.to_string()..).take_while(move |(name, _)| name.starts_with(prefix));
    let hash = |name: &str| unhex32(name.rsplit('/').next().unwrap_or_default().trim_end_matches(".json"));
    let shown = within("disclosures/").filter_map(|(name, bytes)| Some((hash(name)?, bytes.clone()))).collect();
    let mut books = replay::books(|hash| files.get(&format!("rules/{}.json", hex(hash))).cloned());
    replay::replay(within("entries/").map(|(_, bytes)| bytes.as_slice()), &shown, &mut books)
}

pub fn replay_json(replay: &Replay) -> Value {
    let differences: Vec<Value> =
        replay.differences.iter().map(|d| json!({ "n": d.n, "obligation": d.obligation, "what": d.what })).collect();
    let not: Vec<Value> = replay.not_replayed.iter().map(|(n, why)| json!({ "n": n, "why": why })).collect();
    json!({
        "ok": replay.is_ok(), "entries": replay.entries, "equal": replay.equal, "kept": replay.kept,
        "differences": differences, "not_replayed": not,
    })
}

/// `of` says whose deadlines they are.
pub fn replay_text(of: &str, replay: &Replay) -> String {
    format!("\n{}{}", lines(of, replay), summary(replay))
}

fn lines(of: &str, replay: &Replay) -> String {
    let mut text = String::new();
    for d in replay.differences.iter().take(MOST) {
        text.push_str(&format!("FAULT replay: entry {} of {of}: {} {}\n", d.n, d.obligation, d.what));
    }
    for (n, why) in replay.not_replayed.iter().take(MOST) {
        text.push_str(&format!("not computed again: entry {n} of {of}: {why}\n"));
    }
    text
}

fn summary(replay: &Replay) -> String {
    format!(
        "{}: {} computations; {} obligations computed again and equal, {} by an earlier limit that still stands, {} \
         different; {} computations not repeated\n",
        if replay.is_ok() { "REPLAYED" } else { "NOT REPLAYED" },
        replay.entries,
        replay.equal,
        replay.kept,
        replay.differences.len(),
        replay.not_replayed.len()
    )
}

pub fn fsck(path: &Path, replay: bool, json: bool) -> i32 {
    let config = match super::configuration(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let Ok(runtime) = super::serve::runtime() else { return exit::NEGATIVE };
    let checked = match config.store {
        StoreKind::Sqlite => runtime.block_on(open::fsck::<SqliteStore>(&config, replay)),
        StoreKind::Postgres(_) => runtime.block_on(open::fsck::<PgStore>(&config, replay)),
    };
    let report = match checked {
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: {}", error.text);
            return error.code;
        }
    };
    if json {
        super::print_json(&as_json(&report))
    } else {
        print(&report)
    }
    if report.is_ok() { exit::DONE } else { exit::NEGATIVE }
}

fn as_json(report: &StoreReport) -> Value {
    let log = &report.log;
    let of_log = log.faults.iter().map(|f| json!({ "idx": f.idx, "what": f.what }));
    let beside = report.faults.iter().map(|what| json!({ "idx": null, "what": what }));
    let faults: Vec<Value> = of_log.chain(beside).collect();
    let replays: Option<Vec<Value>> = report.replay.as_ref().map(|replays| {
        replays.iter().map(|(incident, r)| json!({ "incident": incident, "replay": replay_json(r) })).collect()
    });
    json!({
        "ok": report.is_ok(), "entries": log.entries, "streams": log.streams, "checkpoints": log.checkpoints,
        "root": hex(&log.root), "fault_count": log.fault_count + report.fault_count, "faults": faults,
        "incidents": report.incidents, "nodes": report.nodes, "personal_values": report.disclosures,
        "not_rebuilt": report.not_rebuilt, "replay": replays,
    })
}

fn print(report: &StoreReport) {
    let log = &report.log;
    for fault in &log.faults {
        let place = fault.idx.map_or("the log".to_string(), |idx| format!("entry {idx}"));
        eprintln!("{place}: {}", fault.what);
    }
    report.faults.iter().for_each(|fault| eprintln!("{fault}"));
    let more = (log.fault_count + report.fault_count) - (log.faults.len() + report.faults.len()) as u64;
    if more > 0 {
        eprintln!("and {more} more");
    }
    let verdict = |ok: bool| if ok { "whole" } else { "NOT whole" };
    let mut text = format!(
        "the log is {}: {} entries in {} streams, {} checkpoint(s) compared\n",
        verdict(log.ok),
        log.entries,
        log.streams,
        log.checkpoints
    );
    text.push_str(&format!(
        "what is stored beside it is {}: {} nodes of the tree, {} personal values, {} incidents rebuilt and compared\n",
        verdict(report.fault_count == 0),
        report.nodes,
        report.disclosures,
        report.incidents
    ));
    if let Some(replays) = &report.replay {
        let mut all = Replay::default();
        for (incident, replay) in replays {
            text.push_str(&lines(incident, replay));
            all.add(replay.clone());
        }
        text.push_str(&summary(&all));
    }
    text.push_str("\nNot rebuilt:\n");
    report.not_rebuilt.iter().for_each(|sentence| text.push_str(&format!("  - {sentence}\n")));
    super::print(&text);
}
