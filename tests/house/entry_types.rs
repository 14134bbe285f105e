//! The types of entries: the list in the program, `docs/schemas/entry.json`, the source, and entries that were written
//! agree with each other. Every log that [`whole`](crate::support::whole) looks at is judged by the schema as well.

use crate::export::lived;
use crate::support::schema::{self, SCHEMA, faults, written};
use crate::support::{at, caller};
use breachclock::evidence::{Draft, KINDS};
use breachclock::workflow::Role;
use breachclock::workflow::export::ExportRequest;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn every_type_has_a_schema_and_every_schema_a_type() {
    let known: Vec<&str> =
        SCHEMA["properties"]["type"]["enum"].as_array().expect("types").iter().filter_map(Value::as_str).collect();
    assert_eq!(known, KINDS);
    let bodies = SCHEMA["allOf"].as_array().expect("rules").iter().map(|rule| {
        let kind = rule["if"]["properties"]["type"]["const"].as_str().expect("a type");
        assert_eq!(rule["then"]["properties"]["body"]["$ref"], format!("#/$defs/{kind}"));
        kind
    });
    assert_eq!(bodies.collect::<Vec<_>>(), KINDS);
    let defined = SCHEMA["$defs"].as_object().expect("definitions").keys().filter(|name| name.contains('.'));
    assert_eq!(defined.map(String::as_str).collect::<BTreeSet<_>>(), KINDS.into());
}

/// A type that is written is on the list, and one on the list is written somewhere.
#[test]
fn the_source_names_the_types_of_the_list() {
    let families: BTreeSet<&str> = KINDS.iter().filter_map(|kind| kind.split('.').next()).collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut named) = (Vec::new(), BTreeSet::new());
    for folder in ["cli", "daemon", "evidence", "web", "workflow"] {
        sources(&src.join(folder), &mut files);
    }
    for file in files.iter().filter(|file| !file.ends_with("evidence/kinds.rs")) {
        let text = std::fs::read_to_string(file).expect("a source");
        for word in text.split('"').filter(|word| is_dotted(word)) {
            let family = word.split('.').next().unwrap_or_default();
            let a_file = [".html", ".pem", ".toml"].iter().any(|ending| word.ends_with(ending));
            if families.contains(family) && !a_file {
                assert!(KINDS.contains(&word), "`{word}` in {} is no type of entry", file.display());
                named.insert(word.to_string());
            }
        }
    }
    let nobody: Vec<&&str> = KINDS.iter().filter(|kind| !named.contains(**kind)).collect();
    assert!(nobody.is_empty(), "nobody writes {nobody:?}");
}

fn sources(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path()) {
        match entry.is_dir() {
            true => sources(&entry, files),
            false if entry.extension().is_some_and(|ending| ending == "rs") => files.push(entry),
            false => {}
        }
    }
}

fn is_dotted(word: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_lowercase() || c == b'-');
    word.split_once('.').is_some_and(|(family, name)| part(family) && part(name))
}

#[test]
#[should_panic(expected = "`incident.renamed` is no type of entry")]
fn an_unknown_type_cannot_be_drafted() {
    let _ = Draft::new("inc-01", "incident.renamed", at("2026-03-27T15:20:00Z"), [0; 16], &breachclock::detail! {});
}

/// Ours and a foreign validator say the same of entries as they were written, and of the same with one thing wrong.
#[tokio::test]
async fn a_foreign_validator_agrees() {
    let (house, id) = lived().await;
    let export = ExportRequest::of("client");
    house.bundle(&caller(Role::Auditor), &id, &export, at("2026-03-28T03:00:00Z")).await.expect("exports");
    schema::holds(&*house.store).await;
    let mut lines: Vec<Value> = Vec::new();
    for line in written(&*house.store).await {
        let entry: Value = serde_json::from_slice(&line).expect("JSON");
        let mut wrong = vec![entry.clone(); 6];
        wrong[0]["type"] = "incident.renamed".into();
        wrong[1]["body"]["free_text"] = "laptop of J. Roe".into();
        wrong[2]["ts"] = "2026-03-28 03:00".into();
        wrong[3]["idx"] = (-1).into();
        wrong[4]["body"].as_object_mut().expect("an object").clear();
        wrong[5]["nonce"] = "short".into();
        lines.push(entry);
        lines.extend(wrong);
    }
    let said = foreign(&lines);
    assert_eq!(said.len(), lines.len());
    for ((line, said), n) in lines.iter().zip(&said).zip(0..) {
        let ours = faults(line.to_string().as_bytes());
        assert_eq!(said == "ok", ours.is_empty(), "{line}: {said}; {ours:?}");
        assert_eq!(said == "ok", n % 7 == 0, "{line}: {said}");
    }
}

fn foreign(lines: &[Value]) -> Vec<String> {
    let python = std::env::var("BREACHCLOCK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new(&python)
        .arg(root.join("tests/house/support/schema.py"))
        .arg(root.join("docs/schemas/entry.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("`{python}` does not start: {error}"));
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut input = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("ends");
    let _ = writer.join();
    assert!(output.status.success(), "`python -m pip install schemathesis`, or run scripts/test.sh");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_string).collect()
}
