//! `doctor` on the binary: a real mail server, a port nobody listens on, addresses that are refused, and what it exits with.

use crate::notify_email::Server;
use crate::support::daemon::{BINARY, free_port, start, write_config};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A configuration in a folder of its own, with private data; `mail` is the port of the mail server.
fn configure(dir: &Path, mail: u16, extra: &str) -> PathBuf {
    let file = write_config(dir, free_port(), extra);
    let text = fs::read_to_string(&file).expect("written");
    let maildir = format!("maildir:{}", dir.join("mail").display());
    fs::write(&file, text.replace(&maildir, &format!("smtp://127.0.0.1:{mail}"))).expect("written");
    fs::create_dir_all(dir.join("data")).expect("made");
    fs::set_permissions(dir.join("data"), fs::Permissions::from_mode(0o700)).expect("private");
    file
}

fn doctor(config: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(BINARY).arg("doctor").arg("--config").arg(config).args(arguments).output().expect("runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().expect("a code"), text)
}

fn json(config: &Path, arguments: &[&str], code: i32) -> Value {
    let (is, text) = doctor(config, &[&["--json"], arguments].concat());
    assert_eq!(is, code, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let checks = answer["checks"].as_array().expect("a list");
    let count = |state: &str| checks.iter().filter(|c| c["state"] == state).count();
    assert_eq!(answer["ok"], count("fault") == 0);
    for (member, state) in [("faults", "fault"), ("warnings", "warning"), ("unknown", "unknown")] {
        assert_eq!(answer[member], count(state), "{text}");
    }
    for check in checks {
        let (state, remedy) = (check["state"].as_str().expect("a word"), check["remedy"].as_str());
        assert!(
            !check["check"].as_str().expect("a name").is_empty() && !check["text"].as_str().expect("words").is_empty()
        );
        assert_eq!(state == "ok", remedy.is_none(), "what is not well has a remedy: {check}");
    }
    answer
}

/// States and texts of one check.
fn of<'a>(answer: &'a Value, check: &str) -> Vec<(&'a str, &'a str)> {
    let checks = answer["checks"].as_array().expect("a list").iter().filter(|c| c["check"] == check);
    checks.map(|c| (c["state"].as_str().expect("a word"), c["text"].as_str().expect("words"))).collect()
}

/// Whether the clock is synchronised depends on the machine of the test: a fault of it is none of the test.
fn expected(answer: &Value) -> bool {
    of(answer, "clock")[0].0 != "fault"
}

#[test]
fn a_mail_server_that_takes_everything() {
    let server = Server::start(&[]);
    let dir = tempfile::tempdir().expect("a folder");
    let extra = "[[person]]\nid = \"ines\"\nname = \"Ines\"\nemail = \"ines@acme.example\"\n\
                 [[policy]]\nid = \"other\"\n[[policy.step]]\nat = \"start\"\nnotify = [\"person:lea\", \"person:ines\"]\n";
    let config = configure(dir.path(), server.port, extra);
    let (code, text) = doctor(&config, &[]);
    let answer = json(&config, &[], code);
    assert_eq!(code == 0, expected(&answer), "{text}");
    let mail = of(&answer, "mail");
    assert_eq!(mail.len(), 2, "{mail:?}");
    assert!(mail.iter().all(|(state, _)| *state == "ok") && mail[1].1.contains("2 of 2 people"), "{mail:?}");
    assert!(text.contains("ok       mail: mail server `127.0.0.1:") && text.contains("> "), "{text}");
    assert!(text.contains("\nready: 0 fault(s)") || !expected(&answer), "{text}");
    assert_eq!(of(&answer, "data folder")[0].0, "ok");
    assert_eq!(of(&answer, "heartbeat")[0].0, "warning");
    assert_eq!(of(&answer, "daemon")[0].0, "warning");
    let single = of(&answer, "people, policy default");
    assert!(single.iter().any(|(state, text)| *state == "warning" && text.contains("only Lea Fontaine")), "{single:?}");
    assert!(single.iter().any(|(state, text)| *state == "ok" && text.contains("Sunday at 03:00")), "{single:?}");
    assert_eq!(of(&answer, "people, policy other").len(), 1);
    assert!(server.mails.recv_timeout(Duration::from_millis(300)).is_err(), "looking sends nothing");

    let answer = json(&config, &["--send"], code);
    for person in ["lea", "ines"] {
        assert_eq!(of(&answer, &format!("test to email:{person}"))[0].0, "ok");
        let mail = server.mails.recv_timeout(Duration::from_secs(10)).expect("a test mail");
        assert!(mail["text"].as_str().expect("text").contains("Self-test, nothing to act on"), "{mail}");
        assert!(!mail["text"].as_str().expect("text").contains("http"), "it leads nowhere: {mail}");
    }
}

#[test]
fn what_does_not_work_is_a_fault_with_a_remedy() {
    let dir = tempfile::tempdir().expect("a folder");
    let dead = free_port();
    let extra = format!(
        "[[webhook]]\nid = \"soc\"\nurl = \"http://127.0.0.1:{dead}/secret-path\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n\
         allow_private = true\n[watchdog]\nping = [\"http://127.0.0.1:{dead}/ping/secret\"]\n\
         [timestamp]\nauthorities = [{{ url = \"https://127.0.0.1:{dead}/secret/tsr\", allow_private = true }}]\n"
    );
    let config = configure(dir.path(), dead, &extra);
    let answer = json(&config, &[], 1);
    for (check, words) in [
        ("mail", "cannot connect"),
        ("webhook soc", "cannot connect"),
        ("heartbeat", "cannot connect"),
        ("time-stamping", "cannot connect"),
    ] {
        let lines = of(&answer, check);
        assert!(matches!(lines.as_slice(), [("fault", text)] if text.contains(words)), "{check}: {lines:?}");
    }
    assert!(!answer.to_string().contains("secret"), "paths may be secrets");

    // the same with a server that refuses one person and puts off another
    let server = Server::start(&[]);
    let people = "[[person]]\nid = \"gone\"\nname = \"Gone\"\nemail = \"gone@acme.example\"\n\
                  [[person]]\nid = \"busy\"\nname = \"Busy\"\nemail = \"busy@acme.example\"\n\
                  [[policy]]\nid = \"other\"\n[[policy.step]]\nat = \"start\"\nnotify = [\"person:busy\", \"person:gone\"]\n";
    let config = configure(dir.path(), server.port, people);
    let answer = json(&config, &[], 1);
    let mail = of(&answer, "mail");
    let states: Vec<&str> = mail.iter().map(|(state, _)| *state).collect();
    assert_eq!(states, ["ok", "warning", "fault", "ok"], "{mail:?}");
    assert!(mail[1].1.contains("`busy`") && mail[1].1.contains("451"), "{mail:?}");
    assert!(mail[2].1.contains("`gone`") && mail[2].1.contains("550 5.1.1"), "{mail:?}");
    assert!(mail[3].1.contains("1 of 3 people"), "{mail:?}");
}

/// The server of each kind of channel is asked, at its root alone; one that nobody listens on is a fault.
#[test]
fn channels_are_asked_without_a_message() {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listens");
    let (room, closed) = (listener.local_addr().expect("bound").port(), free_port());
    let (say, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            let _ = say.send(line.trim().to_string());
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let dir = tempfile::tempdir().expect("a folder");
    let mut extra = String::new();
    let mut add = |id: &str, kind: &str, port: u16, rest: &str| {
        extra.push_str(&format!(
            "[[channel]]\nid = \"{id}\"\nkind = \"{kind}\"\nurl = \"http://127.0.0.1:{port}/hook/secret\"\nallow_private = true\n{rest}\n"
        ));
    };
    let kinds = [
        ("slack", ""),
        ("teams", ""),
        ("mattermost", ""),
        ("pagerduty", "routing_key = \"0123456789abcdef0123456789abcdef\""),
        ("opsgenie", "api_key = \"00000000-0000-0000-0000-000000000000\""),
        ("ntfy", "topic = \"breaches\""),
        (
            "sms",
            "to = \"+33612345678\"\nbody = '{\"to\": \"{to}\", \"text\": \"{text}\"}'\nheaders = { Content-Type = \"application/json\" }",
        ),
    ];
    for (kind, rest) in kinds {
        add(kind, kind, room, rest);
    }
    add("closed", "slack", closed, "");
    let config = configure(dir.path(), free_port(), &extra);
    let answer = json(&config, &[], 1);
    for (kind, _) in kinds {
        let found = of(&answer, &format!("channel {kind}"));
        assert!(
            matches!(&found[..], [("ok", text)] if text.contains("answers 404") && !text.contains("secret")),
            "{found:?}"
        );
        assert_eq!(said.recv_timeout(Duration::from_secs(5)).expect("asked"), "HEAD / HTTP/1.1");
    }
    let found = of(&answer, "channel closed");
    assert!(matches!(&found[..], [("fault", text)] if !text.contains("secret")), "{found:?}");
}

#[test]
fn a_configuration_that_cannot_be_used() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("c.toml");
    fs::write(&file, "[data]\ndir = \"d\"\n[timestamp]\nauthorities = [\"http://tsa.example.org\"]\n")
        .expect("written");
    let answer = json(&file, &[], 78);
    let lines = of(&answer, "configuration");
    assert!(lines[0].1.contains("c.toml:4") && lines[0].1.contains("https address"), "{lines:?}");
    assert_eq!(doctor(&dir.path().join("missing.toml"), &[]).0, 66);
}

#[test]
fn a_daemon_that_runs_is_asked() {
    let dir = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let config = write_config(dir.path(), port, "");
    let mut daemon = start(&config, port);
    let hook = format!(
        "\n[[webhook]]\nid = \"me\"\nurl = \"http://127.0.0.1:{port}/hook\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\nallow_private = true\n\
         events = [\"obligation.*\"]\n"
    );
    let text = fs::read_to_string(&config).expect("reads");
    fs::write(&config, text + &hook).expect("written");
    let (code, _) = doctor(&config, &[]);
    let answer = json(&config, &["--send"], code);
    daemon.child.kill().expect("ends");
    daemon.child.wait().expect("ended");
    let lines = of(&answer, "daemon");
    assert!(lines[0].0 == "ok" && lines[0].1.contains("last loop"), "{lines:?}");
    assert_eq!(of(&answer, "webhook me")[0].0, "ok", "an HTTP answer is reach enough");
    assert_eq!(of(&answer, "test to webhook:me")[0].0, "unknown", "it takes no such events");
}

#[test]
fn a_witness_is_asked_whether_it_knows_the_log() {
    use crate::support::witness::{Mood, Witness};
    let mail = Server::start(&[]);
    let dir = tempfile::tempdir().expect("a folder");
    let (knows, never_heard) = (Witness::start("w.example/1", 21), Witness::start("w.example/2", 22));
    let table =
        |one: &Witness| format!("[[witness]]\nurl = \"{}\"\nkey = \"{}\"\nallow_private = true\n", one.url, one.vkey());
    let config = configure(dir.path(), mail.port, &(table(&knows) + &table(&never_heard)));
    let text = fs::read_to_string(&config).expect("written");
    let origin = text
        .lines()
        .find_map(|line| line.strip_prefix("origin = "))
        .map_or("breachclock.local/log", |o| o.trim_matches('"'));
    knows.trust(origin, breachclock::evidence::SigningKey::from_seed(&[7; 32]).public());
    let answer = json(&config, &[], 1);
    let lines = of(&answer, "witness");
    assert!(matches!(lines[0], ("ok", text) if text.contains("`w.example/1` answers")), "{lines:?}");
    assert!(matches!(lines[1], ("fault", text) if text.contains("does not know the log")), "{lines:?}");
    assert_eq!((knows.saw(origin), knows.asked()), (0, vec![(0, 0)]), "nothing is cosigned");
    knows.set(Mood::Down);
    never_heard.set(Mood::Says(200, "text/plain", Vec::new()));
    let answer = json(&config, &[], 1);
    assert!(of(&answer, "witness").iter().all(|(state, _)| *state == "fault"), "{answer}");
}
