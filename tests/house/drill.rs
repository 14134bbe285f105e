//! `drill` on the binary: a real mail server, a real webhook receiver, time that flies; and nothing of the real house touched.

use crate::notify_email::Server;
use crate::support::daemon::{BINARY, free_port, token, write_config};
use breachclock::daemon::clock;
use breachclock::store::{SqliteStore, Store};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Headers and body of an event.
type Event = (BTreeMap<String, String>, Value);

/// A webhook receiver that says yes; answers with what it got.
fn receiver() -> (u16, Receiver<Event>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (sender, bodies) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                while let Some(request) = request(&mut stream) {
                    let _ = sender.send(request);
                    let answer = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n";
                    if stream.get_mut().write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, bodies)
}

fn request(stream: &mut BufReader<TcpStream>) -> Option<Event> {
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) => {
                headers.insert(name.to_lowercase(), value.to_string());
            }
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    Some((headers, serde_json::from_slice(&body).ok()?))
}

const PEOPLE: &str = r#"repeat = "6h"
[[policy.step]]
at = "50%"
notify = ["person:ines"]
repeat = "6h"
[[policy.step]]
at = "due"
notify = ["person:paul"]
[[person]]
id = "ines"
name = "Ines Moreau"
roles = ["dpo"]
email = "ines@acme.example"
[[person]]
id = "paul"
name = "Paul Roy"
roles = ["counsel"]
email = "paul@acme.example"
"#;

fn configure(dir: &Path, mail: u16, extra: &str) -> PathBuf {
    let file = write_config(dir, free_port(), extra);
    let text = fs::read_to_string(&file).expect("written");
    let maildir = format!("maildir:{}", dir.join("mail").display());
    fs::write(&file, text.replace(&maildir, &format!("smtp://127.0.0.1:{mail}"))).expect("written");
    file
}

fn begin(config: &Path, out: &Path, arguments: &[&str]) -> Child {
    Command::new(BINARY)
        .arg("drill")
        .arg("--config")
        .arg(config)
        .arg("--out")
        .arg(out)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the drill starts")
}

fn end(child: Child, code: i32) -> Output {
    let output = child.wait_with_output().expect("ends");
    let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{all}");
    output
}

fn report(out: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(out.join("report.json")).expect("a report")).expect("JSON")
}

/// Names and contents of everything below a folder.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => {
                found.insert(path.clone(), fs::read(&path).expect("readable"));
            }
        }
    }
    found
}

fn subject(mail: &Value) -> &str {
    let all = mail["headers"].as_array().expect("a list");
    all.iter().find(|pair| pair[0] == "Subject").expect("a subject")[1].as_str().expect("text")
}

fn date(mail: &Value) -> chrono::DateTime<chrono::FixedOffset> {
    let all = mail["headers"].as_array().expect("a list");
    let text = all.iter().find(|pair| pair[0] == "Date").expect("a date")[1].as_str().expect("text");
    chrono::DateTime::parse_from_rfc2822(text).expect("RFC 5322")
}

fn states<'r>(report: &'r Value, person: &str) -> &'r Value {
    let people = report["people"].as_array().expect("a list");
    people.iter().find(|p| p["id"] == person).unwrap_or_else(|| panic!("{person} is missing: {report}"))
}

#[tokio::test]
async fn the_built_in_exercise_from_the_first_message_to_the_report() {
    let server = Server::start(&["--pipelining"]);
    let (port, bodies) = receiver();
    let dir = tempfile::tempdir().expect("a folder");
    let hook = format!(
        "[[webhook]]\nid = \"soc\"\nurl = \"http://127.0.0.1:{port}/hook\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\nallow_private = true\n"
    );
    let config = configure(dir.path(), server.port, &format!("{PEOPLE}{hook}"));
    // an installation that has data, and a daemon's lock on it
    token(&config);
    let data = dir.path().join("data");
    let before = contents(&data);
    let lock = fs::File::options().write(true).open(data.join("breachclock.lock")).expect("a lock");
    lock.lock().expect("as the daemon holds it");

    let out = dir.path().join("out");
    let started = Instant::now();
    let output = end(begin(&config, &out, &["--speed", "18000"]), 0);
    assert!(started.elapsed() < Duration::from_secs(60), "72 hours at this speed are 15 seconds");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text, fs::read_to_string(out.join("report.md")).expect("a report"));
    assert_eq!(contents(&data), before, "the real house is untouched");

    let report = report(&out);
    assert_eq!((&report["ok"], &report["drill"], &report["interrupted"]), (&true.into(), &true.into(), &false.into()));
    assert_eq!(report["origin"], "crash.test/log/drill");
    assert!(report["title"].as_str().expect("a title").starts_with("DRILL: "));
    let deadline = &report["deadlines"][0];
    assert_eq!(deadline["obligation"], "eu-gdpr-33-authority@FR");
    assert_eq!(deadline["outcome"], "met");
    let steps = report["steps"].as_array().expect("a list");
    assert!(steps.len() >= 2 && steps.iter().all(|s| s["reached"] == true), "{steps:?}");
    assert_eq!(steps[0]["step"], "start");
    assert_eq!(steps[0]["told"], serde_json::json!(["Lea Fontaine"]));

    // lea: late acknowledgement, then declined, so that ines hears before her step
    let lea = states(&report, "lea")["answers"].as_array().expect("a list");
    assert_eq!(lea[0]["what"], "acknowledged");
    let after = lea[0]["after"]["seconds"].as_i64().expect("seconds");
    assert!((9 * 3600..24 * 3600).contains(&after), "15 % of 72 hours: {after}");
    assert!(lea[0]["after"]["wall_seconds"].as_f64().expect("seconds") < 5.0);
    assert!(lea.iter().any(|a| a["what"] == "declined"), "{lea:?}");
    assert_eq!(states(&report, "ines")["answers"][0]["what"], "acknowledged");
    assert_eq!(report["never_reached"], serde_json::json!(["Paul Roy"]), "filed before his step");
    assert_eq!(report["never_acknowledged"], serde_json::json!([]));
    assert!(text.contains("MET: act before") && text.contains("never reached: Paul Roy"), "{text}");

    // every message is marked, and dated by the real clock
    let messages = report["messages"].as_array().expect("a list");
    let to_mail = messages.iter().filter(|m| m["way"].as_str().is_some_and(|w| w.starts_with("email:"))).count();
    let mails: Vec<Value> = server.mails.try_iter().collect();
    assert!(to_mail >= 4 && mails.len() == to_mail, "{} mails, {to_mail} in the report", mails.len());
    for mail in &mails {
        assert!(subject(mail).starts_with("DRILL "), "{}", subject(mail));
        let text = mail["text"].as_str().expect("text");
        assert!(text.starts_with("DRILL. This is an exercise"), "{text}");
        assert!(text.contains("DRILL: Customer records"), "{text}");
        assert!(mail["html"].as_str().expect("html").contains("<b>DRILL.</b> This is an exercise"));
        assert!(!text.contains("http://") && !text.contains("https://"), "no pages, no links: {text}");
        let away = (clock::wall().timestamp() - date(mail).timestamp()).abs();
        assert!(away < 120, "a date {away} s away would look like spam");
    }
    let hooks: Vec<_> = bodies.try_iter().collect();
    assert_eq!(hooks.len(), messages.len() - to_mail);
    assert!(hooks.len() >= 3);
    for (headers, body) in &hooks {
        assert_eq!(body["data"]["drill"], true, "{body}");
        assert!(body["data"]["url"].is_null() && body["data"]["ack_url"].is_null(), "{body}");
        let stamp: i64 = headers["webhook-timestamp"].parse().expect("seconds");
        assert!((clock::wall().timestamp() - stamp).abs() < 120, "receivers refuse signatures of another day");
    }

    // the log of the exercise is whole, and says of each message that it was one
    assert_eq!(report["log_whole"], true);
    let fsck =
        Command::new(BINARY).args(["evidence", "fsck", "--json", "--config"]).arg(out.join("drill.toml")).output();
    let fsck = fsck.expect("runs");
    assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stderr));
    let found: Value = serde_json::from_slice(&fsck.stdout).expect("JSON");
    assert_eq!((&found["ok"], &found["entries"]), (&true.into(), &report["log_entries"]));
    let store = SqliteStore::open(&out, "crash.test/log/drill").expect("the exercise's store");
    let entries = store.stream(report["incident"].as_str().expect("an id")).await.expect("entries");
    let queued: Vec<String> = entries
        .iter()
        .map(|e| String::from_utf8_lossy(&e.bytes).into_owned())
        .filter(|e| e.contains("\"messages.queued\""))
        .collect();
    assert!(!queued.is_empty());
    for entry in queued {
        let count = |words: &str| entry.matches(words).count();
        assert_eq!(count("\"drill\":true"), count("\"due_at\":"), "{entry}");
    }
}

#[tokio::test]
async fn participants_acknowledge_by_the_links_in_their_mails() {
    let server = Server::start(&[]);
    let dir = tempfile::tempdir().expect("a folder");
    let config = configure(dir.path(), server.port, PEOPLE);
    let scenario = dir.path().join("scenario.toml");
    let text = r#"why = "a stolen laptop"
end = "+60h"
[report]
title = "Laptop stolen"
entity = "acme-fr"
[report.facts]
"times.aware" = "start-10m"
personal_data = true
risk = "risk"
[[then]]
at = "+50h"
ack = { obligation = "no-such-duty@FR", by = "lea" }
"#;
    fs::write(&scenario, text).expect("written");
    let (out, file) = (dir.path().join("out"), scenario.to_str().expect("UTF-8"));
    let child = begin(&config, &out, &["--scenario", file, "--speed", "20000", "--listen", "127.0.0.1:0"]);
    let mail = server.mails.recv_timeout(Duration::from_secs(30)).expect("the first mail");
    let text = mail["text"].as_str().expect("text");
    let link = text.lines().find(|line| line.contains("/a/")).unwrap_or_else(|| panic!("no link: {text}")).trim();
    let page = http("GET", link, "");
    assert!(page.contains("Drill. This is an exercise"), "{page}");
    let done = http("POST", &link.replace("/a/", "/api/v1/a/"), "{\"lease_seconds\": 3600}");
    assert!(done.contains("200 OK"), "{done}");
    end(child, 0);
    let report = report(&out);
    let lea = states(&report, "lea");
    assert_eq!(lea["answers"][0]["what"], "acknowledged");
    let messages = report["messages"].as_array().expect("a list");
    assert_eq!(messages[0]["state"], "acknowledged", "the link was in this message");
    assert_eq!(report["deadlines"][0]["outcome"], "running");
    let notes = report["notes"].as_array().expect("a list");
    assert!(notes.len() == 1 && notes[0].as_str().expect("text").contains("no-such-duty@FR"), "{notes:?}");
    assert!(fs::read_to_string(out.join("token")).expect("a token").starts_with("bck_"));
}

/// One request to `http://HOST:PORT/PATH`; answers head and body.
fn http(method: &str, url: &str, body: &str) -> String {
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a plain address");
    let mut stream = TcpStream::connect(host).expect("the drill listens");
    let length = body.len();
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_step_that_reaches_nobody_and_an_early_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let dead = free_port();
    let config = configure(dir.path(), dead, "");
    let out = dir.path().join("out");
    let child = begin(&config, &out, &["--speed", "20000"]);
    // until it has begun: its store is there
    let until = Instant::now() + Duration::from_secs(30);
    while !out.join("drill.toml").exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(3));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("runs");
    assert!(killed.success());
    let output = end(child, 1);
    let report = report(&out);
    assert_eq!((&report["ok"], &report["interrupted"]), (&false.into(), &true.into()));
    let faults: Vec<&str> = report["faults"].as_array().expect("a list").iter().filter_map(|f| f.as_str()).collect();
    assert!(faults.iter().any(|f| f.contains("step `start`") && f.contains("reached nobody")), "{faults:?}");
    assert!(faults.iter().any(|f| f.contains("email:lea") && f.contains("cannot connect")), "{faults:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("NOT READY") && text.contains("NOBODY"), "{text}");
}

#[test]
fn what_cannot_be_held_is_said_before_anything_is_sent() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = configure(dir.path(), free_port(), "");
    let scenario = dir.path().join("s.toml");
    let (file, out) = (scenario.to_str().expect("UTF-8").to_string(), dir.path().join("out"));
    let report = "[report]\ntitle = \"x\"\nentity = \"acme-fr\"\n";
    for (text, code, words) in [
        ("title = \"x\"\n".to_string(), 65, "s.toml:1"),
        (format!("{report}[[then]]\nat = \"50%\"\nfile = {{}}\n"), 65, "no clock with one"),
        (
            format!("{report}[report.facts]\npersonal_dta = true\n[[then]]\nat = \"+1h\"\nfile = {{}}\n"),
            65,
            "personal_dta",
        ),
        (format!("start = \"soon\"\n{report}"), 65, "`start` is `soon`"),
    ] {
        fs::write(&scenario, text).expect("written");
        let output = end(begin(&config, &out, &["--scenario", &file]), code);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(words), "`{words}` is missing in {error}");
        assert!(!out.exists(), "nothing is left behind");
    }
    fs::remove_file(&scenario).expect("removed");
    end(begin(&config, &out, &["--scenario", &file]), 66);
    end(begin(&config, &out, &["--speed", "0"]), 2);
    end(begin(&config, &out, &["--listen", "0.0.0.0:0"]), 2);
    end(begin(&dir.path().join("missing.toml"), &out, &[]), 66);
    // the folder of an installation is no place for an exercise
    token(&config);
    let output = end(begin(&config, &dir.path().join("data"), &[]), 1);
    assert!(String::from_utf8_lossy(&output.stderr).contains("choose another --out"));
}
