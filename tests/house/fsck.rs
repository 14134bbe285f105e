//! `evidence fsck` and computing deadlines again: a store that was used in every way agrees with its own entries, and what
//! somebody edits in the database with `sqlite3` is found and named; what touches the log also keeps the daemon from starting.

use super::evidence_vectors::{run, text, unpack};
use super::support::daemon::{binary, write_config};
use super::support::{at, caller, take_messages};
use breachclock::config;
use breachclock::daemon::open;
use breachclock::evidence::{unhex32, zipfile};
use breachclock::law::IncidentId;
use breachclock::store::{SqliteStore, Store};
use breachclock::workflow::export::ExportRequest;
use breachclock::workflow::replay::{self, Replay};
use breachclock::workflow::{AckRequest, FilingRequest, House, Role, WaiverRequest};
use chrono::Duration;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

const AUTHORITY: &str = "eu-gdpr-33-authority@FR";
const PEOPLE: &str = "eu-gdpr-34-individuals@FR";

/// A data folder with two incidents that met most verbs. Answers its configuration and the first incident.
async fn used(dir: &Path) -> (PathBuf, String) {
    let file = write_config(dir, 1, "");
    let config = config::load(&file).unwrap_or_else(|faults| panic!("{faults:?}"));
    let house: House<SqliteStore> = open::open(&config).await.expect("opens");
    let start = at("2026-03-27T15:30:00Z");
    open::record_start(&house).await.expect("recorded");
    let (admin, hours) = (caller(Role::Admin), |n| start + Duration::hours(n));
    let report = r#"
title = "Database on a paste site"
entity = "acme-fr"
source = "test"
reference = "T-1"
[facts]
personal_data = true
risk = "high"
data = ["name", "contact"]
"affected.total" = { at_least = 100, at_most = 4000 }
"affected.FR" = 3000
"times.aware" = { value = "2026-03-27T16:20:00+01:00", certainty = "estimated", by = "Lea Fontaine", note = "a call" }
"#;
    let id = house.report(&admin, report, None, start).await.expect("accepted").incident.id;
    take_messages(&house, &[], start).await;
    let full = |local: &str| format!("{id}~{local}");
    let ask = |decline| AckRequest { by: Some("lea".into()), lease_seconds: None, role: None, decline };
    house.acknowledge(&admin, &full(AUTHORITY), ask(false), None, hours(1)).await.expect("taken");
    house.acknowledge(&admin, &full(AUTHORITY), ask(true), None, hours(2)).await.expect("declined");
    let facts = "\"times.aware\" = \"2026-03-27T12:00:00Z\"\nencrypted = false\n\"affected.FR\" = 4000\n";
    house.assert_facts(&admin, &id, facts, None, None, hours(3)).await.expect("asserted");
    house.wake_due(hours(4)).await.expect("woken");
    take_messages(&house, &["email:lea".into()], hours(4)).await;
    let filing = FilingRequest {
        reference: Some("2026-0412".into()),
        by: Some("Lea Fontaine".into()),
        note: Some("by portal".into()),
        proof: Some([7; 32]),
        ..FilingRequest::default()
    };
    house.file(&admin, &full(AUTHORITY), filing, None, hours(90)).await.expect("filed");
    house.delay(&admin, &full(AUTHORITY), "the count took long", None, hours(91)).await.expect("explained");
    let waiver = WaiverRequest { reason: "the data was encrypted after all".into(), ..WaiverRequest::default() };
    house.waive(&admin, &full(PEOPLE), waiver, None, hours(92)).await.expect("waived");
    let second = "title = \"Lost laptop\"\n[facts]\npersonal_data = true\n";
    let other = house.report(&admin, second, None, hours(93)).await.expect("accepted").incident.id;
    house.set_entity(&admin, &other, "acme-fr", None, None, hours(94)).await.expect("named");
    let (_, bundle) = house.bundle(&admin, &id, &ExportRequest::of("authority"), hours(95)).await.expect("exported");
    std::fs::write(dir.join("bundle.zip"), bundle).expect("written");
    house.attest(hours(96)).await.expect("signed");
    (file, id)
}

fn command(args: &[&str], file: &Path) -> Output {
    binary().args(args).arg(file).output().expect("runs")
}

fn fsck(also: &[&str], config: &Path) -> (Option<i32>, Value, String) {
    let output = command(&[&["evidence", "fsck", "--json"], also, &["--config"]].concat(), config);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), text(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_store_agrees_with_its_entries_and_edits_by_hand_are_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let (config, id) = used(dir.path()).await;
    let (code, answer, said) = fsck(&["--replay"], &config);
    assert_eq!((code, &answer["ok"]), (Some(0), &Value::Bool(true)), "{said}");
    assert_eq!(answer["incidents"], 2, "{said}");
    assert!(answer["nodes"].as_u64() > answer["entries"].as_u64() && answer["personal_values"].as_u64() > Some(20));
    let replays = answer["replay"].as_array().expect("asked for");
    assert_eq!(replays.len(), 2);
    for one in replays {
        let replay = &one["replay"];
        assert!(replay["ok"] == true && replay["not_replayed"] == serde_json::json!([]), "{said}");
    }
    assert!(replays.iter().any(|r| r["incident"] == id.as_str() && r["replay"]["equal"].as_u64() > Some(10)), "{said}");
    let words = text(&command(&["evidence", "fsck", "--replay", "--config"], &config));
    for word in ["the log is whole", "beside it is whole", "REPLAYED: ", "Not rebuilt:", "versions, idempotency keys"] {
        assert!(words.contains(word), "`{word}`: {words}");
    }
    // the bundle as well, from its own entries and rules
    let words = text(&command(&["evidence", "verify", "--replay"], &dir.path().join("bundle.zip")));
    assert!(words.contains("\nVERIFIED") && words.contains("\nREPLAYED: "), "{words}");

    let edits = edits(&id);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let dir = dir.path();
        let threads: Vec<_> = edits
            .chunks(edits.len().div_ceil(2))
            .map(|edits| scope.spawn(move || edits.iter().filter_map(|edit| try_edit(dir, edit)).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("the edit is one")).collect()
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), edits.len(), wrong.join("\n\n"));
}

/// A change of the database by somebody with a shell, and what `fsck` must say of it.
struct Edit {
    name: &'static str,
    sql: String,
    says: &'static str,
    /// Whether the daemon must refuse to start.
    stops: bool,
}

fn edits(id: &str) -> Vec<Edit> {
    let edit = |name, says, stops, sql: &str| Edit {
        name,
        says,
        stops,
        // whoever edits by hand takes the guards away first
        sql: format!(
            "PRAGMA foreign_keys = OFF; DROP TRIGGER entry_is_never_changed; DROP TRIGGER entry_is_never_deleted; \
             DROP TRIGGER entry_is_dense; {}",
            sql.replace("$incident", &format!("(SELECT id FROM stream WHERE name = '{id}')"))
        ),
    };
    let replaced = |from: &str, to: &str, which: &str| {
        format!("UPDATE entry SET bytes = CAST(replace(CAST(bytes AS TEXT), '{from}', '{to}') AS BLOB) WHERE {which}")
    };
    let first = "idx = (SELECT min(idx) FROM entry WHERE stream = $incident)";
    let signed = "are not those whose checkpoint was signed";
    vec![
        edit("a time moved", signed, true, &replaced("\"ts\":\"2026-03-27T15", "\"ts\":\"2026-03-27T14", first)),
        edit(
            "awareness moved",
            signed,
            true,
            &replaced("2026-03-27T12:00:00Z", "2026-03-27T13:00:00Z", "stream = $incident"),
        ),
        edit(
            "a due date moved",
            signed,
            true,
            &replaced("\"due\":\"2026-03-30", "\"due\":\"2026-03-31", "stream = $incident"),
        ),
        edit("an entry that is none", "cannot be read", true, &replaced("\"v\":1", "\"v\":2", first)),
        edit(
            "an entry renumbered",
            "expected",
            true,
            &replaced("\"n\":2,", "\"n\":3,", "n = 2 AND stream = $incident"),
        ),
        edit(
            "an entry removed",
            "is missing",
            true,
            "DELETE FROM disclosure WHERE idx = 3; DELETE FROM entry WHERE idx = 3",
        ),
        edit(
            "an entry removed and the later ones moved up",
            "is damaged near entry",
            true,
            "DELETE FROM disclosure WHERE idx >= 3; DELETE FROM entry WHERE idx = 3; UPDATE entry SET idx = -idx WHERE idx > 3; \
             UPDATE entry SET idx = -idx - 1 WHERE idx < 0",
        ),
        edit(
            "two entries swapped",
            "says it is",
            true,
            "CREATE TEMP TABLE t AS SELECT idx, bytes FROM entry WHERE idx IN (3, 4); \
             UPDATE entry SET bytes = (SELECT bytes FROM t WHERE t.idx = 7 - entry.idx) WHERE idx IN (3, 4)",
        ),
        edit(
            "the tail cut",
            "the log has only",
            true,
            "DELETE FROM disclosure WHERE idx > 6; DELETE FROM entry WHERE idx > 6",
        ),
        edit(
            "the tail cut, and every checkpoint over it",
            "is not what the entries tell",
            false,
            "DELETE FROM disclosure WHERE idx > 6; DELETE FROM entry WHERE idx > 6; DELETE FROM checkpoint",
        ),
        edit(
            "a fork: the last entry twice",
            "says it is entry",
            false,
            "INSERT INTO entry SELECT idx + 1, stream, n + 1, nodes, bytes FROM entry ORDER BY idx DESC LIMIT 1",
        ),
        edit(
            "an entry moved to another stream",
            "is stored as number",
            false,
            "UPDATE entry SET stream = (SELECT min(id) FROM stream), n = 999 WHERE idx = (SELECT max(idx) FROM entry WHERE stream = $incident)",
        ),
        edit("a stream renamed", "is stored as number", false, "UPDATE stream SET name = 'inc-x' WHERE id = $incident"),
        edit(
            "the stored tree",
            "of the stored tree",
            false,
            "UPDATE entry SET nodes = zeroblob(length(nodes)) WHERE idx = 3",
        ),
        edit("the root beside the checkpoint", "checkpoint", true, "UPDATE checkpoint SET root = zeroblob(32)"),
        edit(
            "the root of an earlier checkpoint, which the daemon does not read",
            "is not the one that was signed",
            false,
            "UPDATE checkpoint SET root = zeroblob(32) WHERE size = (SELECT min(size) FROM checkpoint)",
        ),
        edit(
            "an earlier checkpoint of somebody else",
            "cannot be believed: no signature",
            false,
            "UPDATE checkpoint SET note = replace(note, char(8212), char(8211)) WHERE size = (SELECT min(size) FROM checkpoint)",
        ),
        edit(
            "the signed note",
            "checkpoint",
            true,
            "UPDATE checkpoint SET note = replace(note, 'crash.test/log', 'crash.test/gol')",
        ),
        edit(
            "the size of the checkpoint",
            "checkpoint",
            true,
            "UPDATE checkpoint SET size = size - 1 WHERE size = (SELECT max(size) FROM checkpoint)",
        ),
        edit(
            "personal values removed",
            "is missing and was not erased",
            false,
            &format!("DELETE FROM disclosure WHERE {first}"),
        ),
        edit(
            "personal values of another entry",
            "is missing and was not erased",
            false,
            &format!(
                "UPDATE disclosure SET body = (SELECT body FROM disclosure ORDER BY idx DESC LIMIT 1) WHERE {first}"
            ),
        ),
        edit(
            "the record of another incident",
            "of the record is not what the entries tell",
            false,
            "UPDATE record SET body = (SELECT body FROM record WHERE id <> $incident) WHERE id = $incident",
        ),
        edit(
            "a record removed",
            "is in the log and has no record",
            false,
            "DELETE FROM record WHERE id = $incident; DELETE FROM outbox; DELETE FROM message; DELETE FROM accepted; \
             DELETE FROM incident WHERE id = $incident",
        ),
        edit(
            "a message removed",
            "is in the log and not stored",
            false,
            "DELETE FROM outbox WHERE id = (SELECT min(id) FROM message); DELETE FROM message WHERE id = (SELECT min(id) FROM message)",
        ),
        edit(
            "a message that failed is said to be sent",
            "the entries tell failed",
            false,
            "UPDATE outbox SET state = 1 WHERE state = 2",
        ),
        edit("another log", "log", true, "UPDATE log SET origin = 'other.example/log'"),
    ]
}

fn try_edit(dir: &Path, edit: &Edit) -> Option<String> {
    let copy = tempfile::tempdir().expect("a folder");
    let name = edit.name;
    let copied = run(dir, "cp", &["-r", "data", "breachclock.toml", copy.path().to_str().expect("UTF-8")]);
    assert!(copied.status.success(), "{}", text(&copied));
    let database = std::fs::read_dir(copy.path().join("data")).expect("a folder");
    let database = database.map(|f| f.expect("a file").path()).find(|f| f.extension().is_some_and(|e| e == "db"));
    let database = database.expect("a database");
    let edited = run(copy.path(), "sqlite3", &["-bail", database.to_str().expect("UTF-8"), &edit.sql]);
    assert!(edited.status.success(), "{name}: {}", text(&edited));
    let config = copy.path().join("breachclock.toml");
    let (code, _, said) = fsck(&[], &config);
    if code != Some(1) || !said.contains(edit.says) {
        return Some(format!("{name}: fsck, status {code:?}, does not say `{}`: {said}", edit.says));
    }
    if edit.stops {
        let output = binary().args(["serve", "--config"]).arg(&config).output().expect("runs");
        if output.status.code() != Some(1) {
            return Some(format!("{name}: the daemon, status {:?}: {}", output.status.code(), text(&output)));
        }
    }
    None
}

// ---------------------------------------------------------------- computing again

type Lines = Vec<Vec<u8>>;

/// The first incident's entries and personal values.
async fn stream() -> (Lines, BTreeMap<[u8; 32], Vec<u8>>) {
    let dir = tempfile::tempdir().expect("a folder");
    let (config, id) = used(dir.path()).await;
    let config = config::load(&config).expect("loads");
    let store = SqliteStore::open(&config.data_dir, &config.origin).expect("opens");
    let entries = store.stream(&id).await.expect("a stream").into_iter().map(|e| e.bytes).collect();
    assert_eq!(store.dossier(&IncidentId(id.clone())).await.expect("a record").record.incident.id.0, id);
    (entries, store.disclosures(&id).await.expect("values"))
}

fn again(lines: &Lines, shown: &BTreeMap<[u8; 32], Vec<u8>>) -> Replay {
    replay::replay(lines.iter().map(Vec::as_slice), shown, &mut replay::books(|_| None))
}

/// Replaces text in the entries of a kind; each must have it.
fn edited(lines: &Lines, kind: &str, from: &str, to: &str) -> Lines {
    let mut changed = 0;
    let edited = lines.iter().map(|line| {
        let line = String::from_utf8(line.clone()).expect("text");
        if !line.contains(&format!("\"type\":\"{kind}\"")) || !line.contains(from) {
            return line.into_bytes();
        }
        changed += 1;
        line.replace(from, to).into_bytes()
    });
    let edited = edited.collect();
    assert!(changed > 0, "no `{kind}` has `{from}`");
    edited
}

/// What an operator with every key could write: chain, tree and signatures would hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_date_differs_from_what_the_rules_give() {
    let (lines, shown) = stream().await;
    let good = again(&lines, &shown);
    assert!(good.is_ok() && good.not_replayed.is_empty() && good.entries >= 5 && good.equal > 10, "{good:?}");
    for (kind, from, to, what) in [
        ("deadline.computed", "\"due\":\"2026-03-30T", "\"due\":\"2026-03-31T", "`due`"),
        (
            "deadline.computed",
            "\"conservative_due\":\"2026-03-30T",
            "\"conservative_due\":\"2026-03-31T",
            "`conservative_due`",
        ),
        ("deadline.computed", "\"standing\":\"running\"", "\"standing\":\"waived\"", "`standing`"),
        ("deadline.computed", AUTHORITY, "eu-gdpr-33-authority@DE", "does not follow"),
        (
            "deadline.computed",
            "\"obligations\":[",
            "\"obligations\":[{\"id\":\"x@FR\",\"standing\":\"waived\"},",
            "does not follow",
        ),
        ("awareness.set", "\"2026-03-27T12:00:00Z\"", "\"2026-03-27T13:00:00Z\"", "`started`"),
        ("incident.reported", "\"value\":\"high\"", "\"value\":\"unlikely\"", ""),
        ("notification.filed", AUTHORITY, PEOPLE, "`standing`"),
    ] {
        let replay = again(&edited(&lines, kind, from, to), &shown);
        let told = replay.differences.iter().any(|d| d.what.contains(what));
        assert!(!replay.is_ok() && told, "{kind}: {from}: {replay:?}");
    }
    // an obligation left out
    let line = String::from_utf8(lines[1].clone()).expect("text");
    let start = line.find(&format!("{{\"id\":\"{AUTHORITY}\"")).expect("is computed");
    let end = start + line[start + 1..].find("{\"id\":").map_or_else(|| panic!("the last one"), |at| at + 1);
    let mut left_out = lines.clone();
    left_out[1] = [&line[..start], &line[end..]].concat().into_bytes();
    let replay = again(&left_out, &shown);
    assert!(
        replay.differences.iter().any(|d| d.obligation == AUTHORITY && d.what.contains("is missing")),
        "{replay:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_or_unknown_is_said_and_not_guessed() {
    let (lines, shown) = stream().await;
    let at = |pointer: &str| {
        let found = shown.iter().find(|(_, bytes)| String::from_utf8_lossy(bytes).contains(&format!("\"{pointer}\"")));
        *found.unwrap_or_else(|| panic!("no `{pointer}`")).0
    };
    let without = |hash: [u8; 32]| {
        let mut fewer = shown.clone();
        fewer.remove(&hash);
        fewer
    };
    // names and reasons move no date
    assert!(again(&lines, &without(at("/facts/0/by"))).not_replayed.is_empty());
    let replay = again(&lines, &without(at("/profile")));
    assert!(replay.is_ok() && replay.equal == 0 && replay.not_replayed.len() as u64 == replay.entries, "{replay:?}");
    assert!(replay.not_replayed[0].1.contains("`/profile`"));
    // a value that is not the committed one is none
    let mut forged = shown.clone();
    forged.insert(at("/profile"), br#"["x","/profile",{}]"#.to_vec());
    assert_eq!(again(&lines, &forged).not_replayed.len() as u64, replay.entries);

    let other = "ab".repeat(32);
    let line = String::from_utf8(lines[1].clone()).expect("text");
    let (_, rest) = line.split_once("\"rulebook\":\"").expect("computed second");
    let replay = again(&edited(&lines, "deadline.computed", &rest[..64], &other), &shown);
    assert!(replay.is_ok() && replay.equal == 0 && replay.not_replayed[0].1.contains(&other), "{replay:?}");
    assert!(unhex32(&other).is_some());
    // other zone data excuse a difference, and are named
    let moved = edited(&lines, "deadline.computed", "\"due\":\"2026-03-30T", "\"due\":\"2026-03-31T");
    let replay = again(&edited(&moved, "deadline.computed", "\"tzdb\":\"20", "\"tzdb\":\"19"), &shown);
    assert!(replay.is_ok() && replay.not_replayed.iter().any(|(_, why)| why.contains("zone data")), "{replay:?}");
    let broken = edited(&lines, "incident.reported", "\"certainty\":\"confirmed\"", "\"certainty\":\"sure\"");
    let replay = again(&broken, &shown);
    assert!(replay.equal == 0 && replay.not_replayed[0].1.contains("`sure` is no certainty"), "{replay:?}");
}

/// The bundle holds what computing again needs, with packs of the operator's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_carries_the_packs_that_are_not_built_in() {
    let dir = tempfile::tempdir().expect("a folder");
    let packs = dir.path().join("packs/fr");
    std::fs::create_dir_all(&packs).expect("a folder");
    std::fs::write(packs.join("sim.toml"), include_str!("simulation/pack.toml")).expect("written");
    let file = write_config(dir.path(), 1, "[rules]\ndir = \"packs\"\n");
    let config = config::load(&file).unwrap_or_else(|faults| panic!("{faults:?}"));
    let house: House<SqliteStore> = open::open(&config).await.expect("opens");
    let (admin, now) = (caller(Role::Admin), at("2026-03-27T15:30:00Z"));
    let report = "title = \"x\"\n[facts]\npersonal_data = true\n\"times.aware\" = \"2026-03-27T15:00:00Z\"\n";
    let id = house.report(&admin, report, None, now).await.expect("accepted").incident.id;
    let (_, bundle) = house.bundle(&admin, &id, &ExportRequest::of("internal"), now).await.expect("exported");
    let path = dir.path().join("bundle.zip");
    std::fs::write(&path, &bundle).expect("written");
    let output = command(&["evidence", "verify", "--replay", "--json"], &path);
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(answer["replay"]["ok"] == true && answer["replay"]["not_replayed"] == serde_json::json!([]), "{answer}");
    let files = zipfile::read(&bundle).expect("a bundle");
    let own = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("fr/sim.toml\",\"text\"");
    assert!(files.iter().any(|(name, bytes)| name.starts_with("rules/") && own(bytes)), "{:?}", files.keys());
    for (program, script) in super::evidence_vectors::VERIFIERS {
        let output = run(unpack(&files).path(), program, &[script]);
        assert!(output.status.success(), "{script}: {}", text(&output));
    }
}
