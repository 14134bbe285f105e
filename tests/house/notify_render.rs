//! Mails as files: each `notify_render/NAME.toml` changes the sample message, `NAME.txt` is the subject and the text it
//! must yield. `BREACHCLOCK_WRITE_GOLDEN=1` writes the text files anew; read the diff before you keep it.

use crate::notify_support::{context, email, message};
use breachclock::escalation::{Extra, Message};
use breachclock::notify::Context;
use breachclock::notify::render::render;
use serde_json::Value;
use std::path::PathBuf;

fn cases() -> Vec<PathBuf> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/house/notify_render");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("the folder of cases")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    cases.sort();
    cases
}

fn read(case: &PathBuf) -> (Message, Context) {
    let text = std::fs::read_to_string(case).expect("readable");
    let changes: Value = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    let mut sample = serde_json::to_value(message("render", email("jonas", "j.weber@ostrel.example"))).expect("serde");
    let mut context = context();
    let mut extra = serde_json::to_value(Extra::default()).expect("serde");
    for (key, value) in changes.as_object().expect("a table") {
        match key.as_str() {
            "now" => context.now = value.as_str().expect("an instant").parse().expect("RFC 3339"),
            "drill" => context.drill = value.as_bool().expect("true or false"),
            "no_checkpoint" => context.checkpoint = None,
            // not part of the message's own form, see `store/pack.rs`
            "extra" => {
                value.as_object().expect("a table").iter().for_each(|(inner, v)| set(&mut extra, inner, v.clone()))
            }
            // JSON has null where TOML has nothing
            "unset" => value
                .as_array()
                .expect("a list")
                .iter()
                .for_each(|path| set(&mut sample, path.as_str().expect("a path"), Value::Null)),
            "brief" | "reason" => value
                .as_object()
                .expect("a table")
                .iter()
                .for_each(|(inner, v)| set(&mut sample, &format!("{key}/{inner}"), v.clone())),
            _ => set(&mut sample, key, value.clone()),
        }
    }
    let mut message: Message =
        serde_json::from_value(sample).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    message.extra = serde_json::from_value(extra).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    (message, context)
}

fn set(sample: &mut Value, path: &str, value: Value) {
    *sample.pointer_mut(&format!("/{path}")).unwrap_or_else(|| panic!("no member `{path}`")) = value;
}

#[test]
fn mails_say_what_their_golden_files_say() {
    let cases = cases();
    assert!(cases.len() >= 12, "the cases are found by their place");
    let mut wrong = Vec::new();
    for case in cases {
        let (message, context) = read(&case);
        let mail = render(&message, &context);
        let importance = if mail.urgent { "Importance: high\n" } else { "" };
        let got = format!("Subject: {}\n{importance}\n{}\n", mail.subject, mail.text);
        let golden = case.with_extension("txt");
        if std::env::var_os("BREACHCLOCK_WRITE_GOLDEN").is_some() {
            std::fs::write(&golden, &got).expect("writable");
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
        if got != wanted {
            wrong.push(format!("{}:\n--- wanted\n{wanted}\n--- got\n{got}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What holds for every mail, whatever it is about.
#[test]
fn every_mail_keeps_the_rules_of_wording() {
    for case in cases() {
        let (message, context) = read(&case);
        let mail = render(&message, &context);
        let name = case.display();
        for part in [&mail.text, &mail.html] {
            for word in ["compliant", "safe", "on track", "nothing to do", "src=", "<script", "00:00 C"] {
                assert!(!part.contains(word), "{name}: says `{word}`");
            }
            if let Some(token) = &message.ack_token {
                assert!(part.contains(&format!("https://breachclock.ostrel.example/a/{token}")), "{name}: no ack link");
            }
        }
        assert!(!mail.subject.contains(['\n', '\r']), "{name}: the subject is one line");
        let long =
            |line: &&str| line.chars().count() > 76 && !line.starts_with("https://") && !line.starts_with("Keep this");
        assert_eq!(mail.text.lines().find(long), None, "{name}: lines are at most 76 wide");
        assert!(!mail.text.contains("\n\n\n"), "{name}: no double blank lines\n{}", mail.text);
        assert!(mail.html.contains("</html>") && !mail.html.contains("{{"), "{name}");
    }
}

#[test]
fn what_people_typed_cannot_become_markup() {
    let mut hostile = message("render", email("jonas", "j.weber@ostrel.example"));
    hostile.brief.incident_title = "<img src=x onerror=alert(1)>\r\nBcc: all@example.org".into();
    hostile.brief.duty_title = "\"><script>alert(1)</script>".into();
    hostile.extra.note = Some("<img src=y>\nBcc: note@example.org\r\n</p><script>".into());
    hostile.extra.after = Some("<script>\nBcc: x".into());
    let mail = render(&hostile, &context());
    assert!(!mail.html.contains("<img") && !mail.html.contains("<script"), "{}", mail.html);
    // a note has lines of its own; it stands in the body, where a header means nothing
    assert!(!mail.text.replace("Bcc: note@example.org", "").contains("\nBcc:"), "{}", mail.text);
    assert!(!mail.subject.contains(['\r', '\n']), "{}", mail.subject);
}
