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
    // one that refuses its arguments ends before it reads
    if let Err(error) = child.stdin.take().expect("piped").write_all(input.as_bytes()) {
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{error}");
    }
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
    check(&["config", "check", "config/breachclock.example.toml"], "", 0, &["1 entities", "1 contracts"]);
    let dir = tempfile::tempdir().expect("a folder");
    let (file, register) =
        (dir.path().join("c.toml"), Path::new(env!("CARGO_MANIFEST_DIR")).join("config/contracts.example.toml"));
    let text =
        format!("include = [{:?}]\n[data]\ndir = \"d\"\n[[entity]]\nid = \"acme\"\n", register.display().to_string());
    std::fs::write(&file, text).expect("written");
    check(&["config", "check", file.to_str().expect("UTF-8")], "", 0, &["1 entities", "17 contracts"]);
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
    check_config("[server]\npatience = \"2d\"\n[data]\ndir = \"d\"\n", &["c.toml:2", "from `1s` to `1d`"]);
    check_config("[data]\ndir = \"d\"\n[severs]\n", &["c.toml:3", "severs"]);
    check_config(
        "[data]\ndir = \"d\"\n[[entity]]\nid = \"a\"\nroles = [\"controler\"]\n",
        &["did you mean `controller`"],
    );
    check_config(
        "[data]\ndir = \"d\"\n[[policy]]\nid = \"p\"\n[[policy.step]]\nat = \"due-4x\"\nnotify = []\n",
        &["c.toml:6", "due-4x"],
    );
    let watchdog = |lines: &str| {
        format!(
            "[data]\ndir = \"d\"\n[[person]]\nid = \"lea\"\nname = \"Lea\"\nemail = \"lea@a.example\"\n[watchdog]\n{lines}\n"
        )
    };
    for (lines, words) in [
        ("ping = [\"hc.example.org/x\"]", vec!["c.toml:8", "begins with https://"]),
        ("every = \"10s\"", vec!["shorter than a minute"]),
        ("alive = \"0 8 * * *\"", vec!["alive_to", "give both"]),
        ("alive_to = [\"person:lea\"]", vec!["give both"]),
        ("alive = \"0 8 * * 1\"\nalive_to = [\"person:lea\"]", vec!["c.toml:8", "days of the week as names"]),
        ("alive = \"* * * * *\"\nalive_to = [\"person:lea\"]", vec!["c.toml:8", "every 15 minutes"]),
        (
            "alive = \"0 8 * * *\"\nalive_to = [\"person:leo\"]",
            vec!["c.toml:9", "`person:leo`, which nothing describes"],
        ),
        ("zone = \"Europe/Pariss\"", vec!["Europe/Pariss"]),
        ("self_test_maildir = \"m\"", vec!["self_test_to"]),
        ("pings = []", vec!["c.toml:8", "pings"]),
    ] {
        check_config(&watchdog(lines), &words);
    }
    let store = |lines: &str| format!("[data]\ndir = \"d\"\n[store]\n{lines}\n");
    for (lines, words) in [
        ("url = \"mysql://root:hush@db/x\"", &["c.toml:4", "begins with `mysql`", "`postgres://…`"][..]),
        (
            "url = \"postgres://bc:hush@db/x?sslmode=prefer\"",
            &["c.toml:4", "`sslmode=prefer`; write `sslmode=require`"],
        ),
        ("url = \"postgres://bc@db\"", &["c.toml:4", "names no database"]),
        ("url = \"file:no-such-url\"", &["c.toml:4", "no-such-url` cannot be read"]),
        ("url = \"postgres://bc@db/x\"\npassword = \"file:no-such-word\"", &["c.toml:5", "no-such-word"]),
        ("url = \"postgres://bc@db/x\"\npool = 3", &["c.toml:5", "pool"]),
    ] {
        check_config(&store(lines), words);
        let said = run(&["config", "check", dir.path().join("c.toml").to_str().expect("UTF-8")], "");
        assert!(!String::from_utf8_lossy(&said.stderr).contains("hush"), "{lines}: a password is shown");
    }
    let good = store("url = \"postgresql://bc@db.example.org/x?sslmode=require\"");
    std::fs::write(dir.path().join("c.toml"), good).expect("written");
    check(&["config", "check", dir.path().join("c.toml").to_str().expect("UTF-8")], "", 0, &["0 entities"]);
    assert!(!Path::new("no-such.toml").exists());
    check(&["config", "check", "no-such.toml"], "", 66, &["no-such.toml"]);
}

#[test]
fn law_diff_shows_what_another_set_of_packs_changes() {
    let dir = tempfile::tempdir().expect("a folder");
    let pack = dir.path().join("eu");
    std::fs::create_dir_all(&pack).expect("made");
    let text = std::fs::read_to_string("jurisdictions/eu/gdpr.toml").expect("reads");
    std::fs::write(
        pack.join("gdpr.toml"),
        text.replacen("from = 2018-07-20\nhours = 72", "from = 2018-07-20\nhours = 96", 1),
    )
    .expect("written");
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

#[test]
fn a_faulty_contract_register_is_refused_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name);
    let refused = |toml: &str, csv: &str, words: &[&str]| {
        std::fs::write(path("c.csv"), csv).expect("written");
        let file = path("c.toml");
        std::fs::write(&file, format!("contracts_csv = [\"c.csv\"]\n[data]\ndir = \"d\"\n{toml}")).expect("written");
        check(&["config", "check", file.to_str().expect("UTF-8")], "", 78, words);
    };
    let entity = "[[entity]]\nid = \"acme\"\n";
    let rows = "id,period,place\na,24 hours,\nb,\"24 hours, promptly\",\nc,,\n";
    // file, line, column, the user's words, the allowed words
    refused(entity, rows, &["c.csv:3: column 2: `period` is `24 hours, promptly`", "`24 hours`", "`immediately`"]);
    let toml = format!("{entity}[[contract]]\nid = \"x\"\nperiod = \"soonish\"\n");
    refused(&toml, "id\n", &["c.toml:8: `period` is `soonish`: it is no period", "`2 working days`", "`promptly`"]);
    let toml = format!("{entity}[[contract]]\nid = \"x\"\nduty = \"contract-nis2-suplier\"\n");
    refused(&toml, "id\n", &["c.toml:8: `duty` is `contract-nis2-suplier`", "did you mean `contract-nis2-supplier`?"]);
    refused(entity, "id,duty\na,eu-gdpr-33-authority\n", &["c.csv:2: column 2: `duty`", "no template of contracts"]);
    refused(entity, "id,convention\na,contract-day\n", &["c.csv:2: column 2:", "did you mean `contract-days`?"]);
    refused(entity, "id,place\na,XQ\n", &["c.csv:2: column 2: `place` is `XQ`"]);
    refused(entity, "id,starts\na,times.awar\n", &["c.csv:2: column 2: `starts` is `times.awar`", "`times.aware`"]);
    refused(entity, "id,entity\na,acmee\n", &["c.csv:2: column 2:", "`acmee`", "did you mean `acme`?"]);
    refused(entity, "id\na\nb\na\n", &["c.csv:4: column 1: contract `a` stands in", "c.csv:2 already"]);
    let two = "[[entity]]\nid = \"acme\"\n[[entity]]\nid = \"other\"\n";
    refused(two, "id\na\n", &["c.csv:2: column 1: no entity has contract `a`"]);
    refused("[contracts]\nassume_hours_without_number = 0\n", "id\n", &["`assume_hours_without_number` is `0`"]);
    std::fs::write(path("e.toml"), "contracts_csv = [\"none.csv\"]\n[data]\ndir = \"d\"\n").expect("written");
    check(&["config", "check", path("e.toml").to_str().expect("UTF-8")], "", 78, &["none.csv: cannot be read"]);
}

#[test]
fn assess_names_the_clause_and_what_others_owe() {
    let report = |contracts: &str| {
        format!(
            r#"{{"entity": {{"name": "Acme", "roles": ["controller"], "established_in": ["FR"], "contracts": [{contracts}]}},
            "facts": {{"clients": ["c"], "times.aware": "2026-03-27T16:20:00+01:00"}}}}"#
        )
    };
    let assess = |contracts: &str, code: i32, words: &[&str]| {
        check(&["assess", "-", "--now", NOW, "--json"], &report(contracts), code, words);
    };
    assess(
        r#"{"id": "c", "period": "promptly", "assume_hours": 24, "clause": "at once", "address": "a@b.example"}"#,
        0,
        &[
            "the contract says: `at once`",
            "no number in the contract; assume 24 h, verify",
            "\"internal_target\": \"2026-03-28T15:20:00Z\"",
            "\"email\": \"a@b.example\"",
        ],
    );
    assess(
        r#"{"id": "h", "direction": "they-owe", "period": "24 h"}, "c""#,
        0,
        &["\"they_owe\": []", "contract-own-clause@c"],
    );
    assess(
        r#"{"id": "c", "direction": "they-owe", "period": "24 h"}"#,
        0,
        &["times.counterparty_trigger.c", "awaited"],
    );
    assess(r#"{"id": "c", "period": "24 ours"}"#, 65, &["/entity/contracts/0/period", "did you mean `hours`?"]);
    assess(r#"{"id": "c", "perod": "24 hours"}"#, 65, &["/entity/contracts/0/perod", "did you mean `period`?"]);
    assess(r#"{"id": "c", "duty": "contract-x"}"#, 65, &["/entity/contracts/0/duty", "no pack has"]);
}

/// Whoever read the daemon's standard error is gone: it goes on with its work, and ends when it is asked to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reads_standard_error() {
    use crate::support::daemon::{Daemon, free_port, serve, token, write_config};
    use std::time::Duration;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let config = write_config(dir.path(), port, "");
    let token = token(&config);
    let mut command = serve(&config, None);
    let mut child = command.env("RUST_LOG", "debug").stderr(std::process::Stdio::piped()).spawn().expect("starts");
    drop(child.stderr.take());
    let mut daemon = Daemon { child, url: format!("http://127.0.0.1:{port}") };
    let report = r#"{"title":"t","entity":"acme-fr","facts":{"personal_data":true,"risk":"risk","times.aware":"2026-01-05T10:00:00Z"}}"#;
    let client = reqwest::Client::new();
    let mut answered = 0;
    for _ in 0..200 {
        let ask = client.post(format!("{}/api/v1/incidents", daemon.url)).bearer_auth(&token).body(report);
        match ask.header("content-type", "application/json").send().await {
            Ok(answer) => {
                answered = answer.status().as_u16();
                break;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    assert_eq!(answered, 201);
    let mails = dir.path().join("mail/new");
    for _ in 0..200 {
        if std::fs::read_dir(&mails).is_ok_and(|found| found.count() > 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(std::fs::read_dir(&mails).expect("mails").count() > 0, "nobody was told");
    let (status, took) = daemon.terminate(Duration::from_secs(15)).expect("ends when it is asked to");
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
}

/// The commands as `--help` lists them.
fn verbs() -> Vec<String> {
    let help = String::from_utf8(run(&["--help"], "").stdout).expect("text");
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let words = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|word| !word.is_empty()));
    words.filter(|word| *word != "help").map(str::to_string).collect()
}

#[test]
fn manual_pages_and_completions_name_every_command() {
    let verbs = verbs();
    assert!(verbs.len() >= 18 && verbs.contains(&"man".to_string()), "{verbs:?}");
    let page = String::from_utf8(run(&["man"], "").stdout).expect("text");
    assert!(page.contains(".TH breachclock 1") && page.contains(".SH SUBCOMMANDS"), "{page}");
    let dir = tempfile::tempdir().expect("a folder");
    let pages = dir.path().join("man1");
    let folder = pages.display().to_string();
    check(&["man", &folder], "", 0, &["pages"]);
    let completions: Vec<String> = ["bash", "zsh", "fish", "powershell", "elvish"]
        .iter()
        .map(|shell| String::from_utf8(run(&["completions", shell], "").stdout).expect("text"))
        .collect();
    for verb in &verbs {
        assert!(page.contains(&format!("breachclock\\-{verb}(1)")), "{verb} is missing in\n{page}");
        let own = std::fs::read_to_string(pages.join(format!("breachclock-{verb}.1")));
        let own = own.unwrap_or_else(|error| panic!("{verb}: {error}"));
        assert!(own.contains(".SH SYNOPSIS") && own.contains(verb.as_str()), "{verb}: {own}");
        assert!(completions.iter().all(|text| text.contains(verb.as_str())), "{verb}");
    }
    // verbs of verbs have pages of their own
    for name in ["breachclock-token-create", "breachclock-incident-report", "breachclock-config-check"] {
        let own = std::fs::read_to_string(pages.join(format!("{name}.1"))).expect("a page");
        assert!(own.contains(".SH OPTIONS") || own.contains(".SH SYNOPSIS"), "{own}");
    }
    assert!(!pages.join("breachclock-help.1").exists());
    let file = dir.path().join("taken");
    std::fs::write(&file, "").expect("written");
    check(&["man", &file.display().to_string()], "", 1, &["cannot be written"]);
}
