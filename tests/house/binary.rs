//! The binary as a user calls it: exit codes, messages, and the files that are shipped.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_breachclock"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("the input is read");
    child.wait_with_output().expect("ends")
}

/// Exit code, and words that must stand in the output (standard output and errors together).
fn check(args: &[&str], input: &str, code: i32, words: &[&str]) {
    let output = run(args, input);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{args:?}: `{word}` is missing in\n{text}");
    }
}

const NOW: &str = "2026-03-28T01:14:00Z";

#[test]
fn assess_reads_toml_and_json() {
    let toml = r#"
title = "Database on a paste site"
[entity]
name = "Acme SAS"
roles = ["controller"]
established_in = ["FR"]
zone = "Europe/Paris"
[facts]
personal_data = true
risk = "risk"
[facts.times]
aware = 2026-03-27T16:20:00+01:00
"#;
    check(
        &["assess", "-", "--now", NOW, "--json"],
        toml,
        0,
        &["\"2026-03-30T16:00:00Z\"", "\"2026-03-30T15:20:00Z\"", "eu-gdpr-33-authority@FR"],
    );
    let json = r#"{"entity": {"name": "Acme", "roles": ["controller"], "established_in": ["FR"], "zone": "Europe/Paris"},
        "facts": {"personal_data": true, "risk": "risk", "times.aware": {"value": "2026-03-27T16:20:00", "zone": "Europe/Paris"}}}"#;
    check(&["assess", "-", "--now", NOW], json, 0, &["2026-03-30T16:00:00Z", "Art"]);
}

#[test]
fn bad_input_is_refused_whole() {
    let with = |facts: &str| format!(r#"{{"title": "x", "facts": {{{facts}}}}}"#);
    for (facts, words) in [
        (r#""personal_dta": true"#, vec!["/facts/personal_dta", "did you mean `personal_data`"]),
        (r#""personal_data": "yes""#, vec!["/facts/personal_data", "true or false"]),
        (r#""risk": "hgh""#, vec!["did you mean `high`"]),
        (r#""times.aware": "2026-03-27T16:20:00""#, vec!["has no offset"]),
        (r#""times.aware": {"value": "2026-03-29T02:30:00", "zone": "Europe/Paris"}"#, vec!["2026-03-29"]),
        (r#""times.aware": {"value": "2026-10-25T02:30:00", "zone": "Europe/Paris"}"#, vec!["2026-10-25"]),
        (r#""times.aware": "2026-03-28T02:00:00Z""#, vec!["later than now"]),
        (r#""affected.total": -1"#, vec!["zero or more"]),
        (r#""affected.total": {"at_least": 5, "at_most": 3}"#, vec!["at_least above at_most"]),
        (r#""affected.XQ": 3"#, vec!["affected.XQ"]),
        (r#""data": ["name", "helth"]"#, vec!["did you mean `health`"]),
        (r#""personal_data": true, "personal_data": false"#, vec!["given twice"]),
        (r#""personal_data": {"value": true, "sure": 1}"#, vec!["not a member of a fact"]),
    ] {
        check(&["assess", "-", "--now", NOW], &with(facts), 65, &words);
    }
    check(&["assess", "-", "--now", NOW], r#"{"titel": "x"}"#, 65, &["did you mean `title`"]);
    check(&["assess", "-", "--now", NOW], "title = \"x\"\n[facts]\npersonal_data = 1\n", 65, &["line 3"]);
    check(&["assess", "-", "--now", NOW], "{ not json", 65, &["line 1"]);
    check(&["assess", "no-such-file.json"], "", 66, &["no-such-file.json"]);
    check(&["assess", "-", "--now", "yesterday"], "{}", 2, &["yesterday"]);
}

#[test]
fn period_batch_answers_every_good_line() {
    let lines = "{\"id\":\"a\",\"rule\":{\"unit\":\"hour\",\"n\":72,\"start\":\"next_hour\",\"anchor\":\"event\",\"shift\":\"none\",\"month\":\"event_date\",\"close\":\"instant\",\"roll\":\"none\",\"roll_days\":\"nonworking\",\"min_wd\":null},\"trigger\":\"2026-03-27T16:20:00\",\"zone\":\"Europe/Paris\",\"calendar\":\"FR\",\"fold\":\"earliest\"}\n{\"id\":\"b\",\"rule\":{\"unit\":\"huor\",\"n\":72}}\n";
    check(&["period", "--batch", "-"], lines, 65, &["2026-03-30T16:00:00Z", "\"b\"", "error"]);
}

#[test]
fn shipped_files_are_valid() {
    check(&["config", "check", "config/breachclock.example.toml"], "", 0, &["1 entities"]);
    check(&["law", "coverage"], "", 0, &["duties"]);
    check(&["law", "show", "eu-gdpr-33-authority"], "", 0, &["72 hour", "Art"]);
    check(&["law", "show", "eu-gdpr-33-autority"], "", 1, &["did you mean `eu-gdpr-33-authority`"]);
}

#[test]
fn a_wrong_configuration_names_the_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let check_config = |text: &str, words: &[&str]| {
        let file = dir.path().join("c.toml");
        std::fs::write(&file, text).expect("written");
        check(&["config", "check", file.to_str().expect("UTF-8")], "", 78, words);
    };
    check_config("[server]\nlisten = \"0.0.0.0:80\"\n[data]\ndir = \"d\"\n", &["c.toml:2", "public address"]);
    check_config("[data]\ndir = \"d\"\n[severs]\n", &["c.toml:3", "severs"]);
    check_config(
        "[data]\ndir = \"d\"\n[[entity]]\nid = \"a\"\nroles = [\"controler\"]\n",
        &["did you mean `controller`"],
    );
    check_config(
        "[data]\ndir = \"d\"\n[[policy]]\nid = \"p\"\n[[policy.step]]\nat = \"due-4x\"\nnotify = []\n",
        &["c.toml:6", "due-4x"],
    );
    assert!(!Path::new("no-such.toml").exists());
    check(&["config", "check", "no-such.toml"], "", 66, &["no-such.toml"]);
}

#[test]
fn law_diff_shows_what_another_set_of_packs_changes() {
    let dir = tempfile::tempdir().expect("a folder");
    let pack = dir.path().join("eu");
    std::fs::create_dir_all(&pack).expect("made");
    let text = std::fs::read_to_string("jurisdictions/eu/gdpr.toml").expect("reads");
    std::fs::write(pack.join("gdpr.toml"), text.replacen("hours = 72", "hours = 96", 1)).expect("written");
    let dir = dir.path().to_str().expect("a path");
    let words = ["0 duties added, 0 removed, 1 changed", "eu-gdpr-33-authority: LATER"];
    check(&["law", "diff", "built-in", dir], "", 0, &words);
    check(&["law", "diff", dir, "built-in"], "", 0, &["eu-gdpr-33-authority: earlier"]);
    check(&["law", "diff", "built-in", dir, "--json"], "", 0, &["\"direction\": \"later\"", "\"field\": \"periods\""]);
    check(&["law", "diff", "built-in", "built-in"], "", 0, &["0 changed", "worked cases: 0"]);
    check(&["law", "diff", "built-in", "/nowhere"], "", 78, &["/nowhere"]);
}

#[test]
fn a_title_alone_answers_with_questions_and_possible_clocks() {
    let output = run(&["assess", "-", "--json", "--now", NOW], r#"{"title": "something odd on a server"}"#);
    assert_eq!(output.status.code(), Some(0));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let clocks: Vec<&str> = answer["might_appear"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|m| m["if_started_now"].as_str())
        .collect();
    assert!(clocks.len() > 300 && clocks.is_sorted(), "{} clocks", clocks.len());
    let fastest = clocks[0];
    assert!(fastest < "2026-03-28T02:14:00Z", "the fastest clock leaves less than an hour: {fastest}");
    assert!(answer["questions"].as_array().is_some_and(|q| q.len() > 100));
    assert!(answer["obligations"].as_array().expect("a list").iter().all(|o| o["standing"] == "possible"));
    let text = run(&["assess", "-", "--now", NOW], r#"{"title": "something odd on a server"}"#);
    assert!(String::from_utf8_lossy(&text.stdout).lines().count() < 100, "a person reads this at night");
}
