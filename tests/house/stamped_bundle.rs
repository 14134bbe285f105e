//! A bundle with time stamps of a real authority (`openssl ts`): made by a house that exports, checked by all three
//! verifiers and by the commands of its README, and refused by all three when somebody touched the stamps.

use crate::support::caller;
use crate::support::tsa::{self, Mood, Server, Tsa, authority, witnessed};
use breachclock::evidence::export::seal_sums;
use breachclock::evidence::tsp::{self, Roots};
use breachclock::evidence::{SigningKey, Trust, VerifyReport, sha256, verify_bundle, verify_bundle_with, zipfile};
use breachclock::store::MemoryStore;
use breachclock::time::Timestamp;
use breachclock::workflow::export::ExportRequest;
use breachclock::workflow::{House, Role};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};

type Files = BTreeMap<String, Vec<u8>>;

const VERIFIERS: [(&str, &str); 2] = [("dash", "verify.sh"), ("python3", "verify.py")];

/// Real time: the authority's is.
fn clock() -> Timestamp {
    breachclock::daemon::clock::now()
}

/// An incident of two rounds of entries with foreign ones between, stamped after the first when wanted, and its export.
async fn exported(house: &House<MemoryStore>, stamped: bool) -> Files {
    let (admin, now) = (caller(Role::Admin), clock());
    let report = format!(
        r#"{{"title": "A database on a paste site", "entity": "acme-fr",
            "facts": {{"personal_data": true, "times.aware": "{}"}}}}"#,
        breachclock::rules::utc(now - chrono::TimeDelta::hours(1))
    );
    let foreign =
        async || house.record_system("clock.unknown", breachclock::detail! {}, clock()).await.expect("recorded");
    foreign().await;
    let id = house.report(&admin, &report, None, now).await.expect("reported").incident.id;
    if stamped {
        // the first one comes at once
        house.anchor(clock).await.expect("the store answers");
        // a stamp names the second: the next one must be of a later one
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    }
    foreign().await;
    let more = r#"{"facts": {"risk": "high"}}"#;
    house.assert_facts(&admin, &id, more, None, None, clock()).await.expect("asserted");
    foreign().await;
    let (_, zip) = house.bundle(&admin, &id, &ExportRequest::of("authority"), clock()).await.expect("exported");
    foreign().await;
    zipfile::read(&zip).expect("our own ZIP")
}

/// The bundle that is tampered with, and the authority that stamped it.
async fn good() -> (Files, Arc<Tsa>) {
    static MADE: OnceLock<(Files, Arc<Tsa>)> = OnceLock::new();
    if let Some(made) = MADE.get() {
        return made.clone();
    }
    let tsa = Arc::new(Tsa::new(tsa::P256));
    let server = Server::start(tsa.clone());
    let house = witnessed(vec![authority(&server, Some(&tsa), "tsa.example")]);
    let files = exported(&house, true).await;
    MADE.get_or_init(|| (files, tsa)).clone()
}

fn faults(report: &VerifyReport) -> Vec<String> {
    let line = |c: &breachclock::evidence::Check| format!("{}: {}", c.file.as_deref().unwrap_or(""), c.detail);
    report.checks.iter().filter(|c| !c.ok).map(line).collect()
}

fn unpack(files: &Files) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        let path = dir.path().join("bundle").join(name);
        std::fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
    dir
}

fn run(dir: &Path, program: &str, arguments: &[&str]) -> (bool, String) {
    let Output { status, stdout, stderr } =
        Command::new(program).args(arguments).current_dir(dir.join("bundle")).output().expect("runs");
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

#[tokio::test]
async fn all_three_say_since_when() {
    let (files, tsa) = good().await;
    let anchors: Vec<&String> = files.keys().filter(|name| name.starts_with("anchors/")).collect();
    assert!(anchors.len() > 3, "an earlier checkpoint with proofs: {:?}", files.keys());
    assert!(files.contains_key("checkpoint.txt.tsr") && files.contains_key("SHA256SUMS.tsr"));
    let report = verify_bundle(&files);
    assert!(report.ok, "{:#?}", faults(&report));
    assert_eq!(report.existed.len(), 2, "{:?}", report.existed);
    let (first, rest) = (&report.existed[0], &report.existed[1]);
    let times = [&first.no_later_than, &rest.no_later_than, &report.packed].map(|t| t.clone().expect("stamped"));
    assert!(first.to + 1 == rest.from && rest.to == report.entries && times[0] <= times[1] && times[1] <= times[2]);
    assert!(report.not_provable.iter().any(|s| s.contains("tsa/")), "{:?}", report.not_provable);
    let roots = Roots::from_pem(&tsa.root_pem()).expect("a certificate");
    let trust = Trust { authorities: Some(roots), ..Trust::default() };
    let trusted = verify_bundle_with(&files, &trust);
    assert!(trusted.ok && !trusted.not_provable.iter().any(|s| s.contains("tsa/")), "{:?}", trusted.not_provable);

    let dir = unpack(&files);
    std::fs::write(dir.path().join("root.pem"), tsa.root_pem()).expect("written");
    for (program, script) in VERIFIERS {
        for arguments in [&[script][..], &[script, "keys/allowed_signers", "../root.pem"]] {
            let (ok, said) = run(dir.path(), program, arguments);
            assert!(ok && said.contains("VERIFIED: "), "{script}: {said}");
            for wanted in [
                format!("since  entries {} to {} existed no later than {}\n", first.from, first.to, times[0]),
                format!("since  entries {} to {} existed no later than {}\n", rest.from, rest.to, times[1]),
                format!("since  this bundle was packed no later than {}\n", times[2]),
            ] {
                assert!(said.contains(&wanted), "{script} lacks {wanted}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn the_readme_is_right_when_typed_in_with_stamps() {
    let (files, _) = good().await;
    let dir = unpack(&files);
    let readme = String::from_utf8(files["README.txt"].clone()).expect("text");
    let (_, steps) = readme.split_once("BY HAND\n").expect("the steps");
    assert_eq!(steps.matches("openssl ts -verify").count(), 3, "{readme}");
    let prepare: Vec<&str> = readme.lines().filter(|l| l.starts_with(" mkdir ") || l.starts_with(" sed ")).collect();
    let script = format!("set -e\n{}\n{steps}\n", prepare.join("\n"));
    std::fs::write(dir.path().join("steps"), script).expect("a file");
    let (ok, said) = run(dir.path(), "dash", &["../steps"]);
    assert!(ok, "{said}");
    assert_eq!(said.matches("Verification: OK").count(), 3, "{said}");
    assert_eq!(said.matches("Time stamp: ").count(), 3, "{said}");
    assert!(
        readme.contains("existed no later than 20") && !readme.contains("no time stamp was configured"),
        "{readme}"
    );
}

/// What somebody with the export key does to a bundle. The file that is named, and whether the sums are made anew.
#[tokio::test]
async fn tampered_stamps_are_refused_by_all_three() {
    let (files, _) = good().await;
    let folder = files.keys().find_map(|n| n.strip_suffix("/consistency.txt")).expect("an anchor").to_string();
    let name = |file: &str| format!("{folder}/{file}");
    let (token, proof) = (name("checkpoint.txt.tsr"), {
        let found = files.keys().find(|n| n.starts_with(&folder) && n.ends_with(".tlog-proof"));
        found.expect("a proof").clone()
    });
    let stranger = Tsa::new(tsa::RSA);
    let by = |tsa: &Tsa, data: &[u8]| tsa.reply(&tsp::request(&sha256(data), [1; 8]));
    type Tampering<'a> = (&'a str, &'a str, Box<dyn Fn(&mut Files) + 'a>);
    let index = |files: &mut Files, from: &str, to: &str| {
        let text = String::from_utf8(files["bundle.json"].clone()).expect("text");
        let changed = text.replacen(from, to, 1);
        assert_ne!(text, changed);
        files.insert("bundle.json".into(), changed.into_bytes());
    };
    let cases: Vec<Tampering<'_>> = vec![
        (
            "token of another checkpoint",
            "checkpoint.txt.tsr",
            Box::new(|files| {
                let other = files[&token].clone();
                files.insert("checkpoint.txt.tsr".into(), other);
            }),
        ),
        (
            "tokens of two checkpoints exchanged",
            &token,
            Box::new(|files| {
                let (one, two) = (files[&token].clone(), files["checkpoint.txt.tsr"].clone());
                files.extend([(token.clone(), two), ("checkpoint.txt.tsr".into(), one)]);
            }),
        ),
        (
            "token of an authority that nobody names",
            "checkpoint.txt.tsr",
            Box::new(|files| {
                let other = by(&stranger, &files["checkpoint.txt"]);
                files.insert("checkpoint.txt.tsr".into(), other);
            }),
        ),
        (
            "byte of a token flipped",
            "checkpoint.txt.tsr",
            Box::new(|files| {
                let token = files.get_mut("checkpoint.txt.tsr").expect("there");
                let at = token.len() - 20;
                token[at] ^= 1;
            }),
        ),
        (
            "token cut short",
            "checkpoint.txt.tsr",
            Box::new(|files| {
                files.get_mut("checkpoint.txt.tsr").expect("there").truncate(400);
            }),
        ),
        ("token taken away", "bundle.json", Box::new(|files| drop(files.remove("checkpoint.txt.tsr")))),
        ("earlier token taken away", &token, Box::new(|files| drop(files.remove(&token)))),
        (
            "token is a web page",
            "checkpoint.txt.tsr",
            Box::new(|files| {
                files.insert("checkpoint.txt.tsr".into(), b"<html></html>".to_vec());
            }),
        ),
        (
            "root exchanged",
            "checkpoint.txt.tsr",
            Box::new(|files| {
                files.insert("tsa/tsa.example.pem".into(), stranger.root_pem());
            }),
        ),
        (
            "certificates taken away",
            "checkpoint.txt.tsr",
            Box::new(|files| {
                files.remove("tsa/tsa.example.pem");
            }),
        ),
        (
            "certificates are none",
            "tsa/tsa.example.pem",
            Box::new(|files| {
                files.insert("tsa/tsa.example.pem".into(), b"none\n".to_vec());
            }),
        ),
        (
            "consistency proof shortened",
            "consistency.txt",
            Box::new(|files| {
                let text = String::from_utf8(files[&name("consistency.txt")].clone()).expect("text");
                let (shorter, _) = text.trim_end().rsplit_once('\n').expect("two hashes");
                files.insert(name("consistency.txt"), format!("{shorter}\n").into_bytes());
            }),
        ),
        (
            "consistency proof without its last line feed",
            "consistency.txt",
            Box::new(|files| {
                files.get_mut(&name("consistency.txt")).expect("there").pop();
            }),
        ),
        (
            "consistency proof taken away",
            "consistency.txt",
            Box::new(|files| drop(files.remove(&name("consistency.txt")))),
        ),
        (
            "earlier checkpoint taken away",
            "checkpoint.txt",
            Box::new(|files| drop(files.remove(&name("checkpoint.txt")))),
        ),
        (
            "earlier checkpoint of another root, signed",
            "consistency.txt",
            Box::new(|files| {
                let old = breachclock::evidence::Checkpoint::parse(
                    std::str::from_utf8(&files[&name("checkpoint.txt")]).expect("text"),
                );
                let old = old.expect("ours");
                let (origin, size) = (old.claimed().origin.clone(), old.claimed().size);
                let key = SigningKey::from_seed(&[7; 32]);
                let forged = breachclock::evidence::Checkpoint::sign(&origin, size, [5; 32], &key).expect("signs");
                files.insert(name("checkpoint.txt"), forged.note.into_bytes());
            }),
        ),
        (
            "earlier proof of another entry",
            &proof,
            Box::new(|files| {
                let other = files["proofs/000002.tlog-proof"].clone();
                files.insert(proof.clone(), other);
            }),
        ),
        (
            "proof of an entry that is none",
            "999999.tlog-proof",
            Box::new(|files| {
                let other = files[&proof].clone();
                files.insert(name("999999.tlog-proof"), other);
            }),
        ),
        ("time in the index moved", "bundle.json", Box::new(|files| index(files, "\"at\":\"20", "\"at\":\"19"))),
        (
            "anchor left out of the index",
            "bundle.json",
            Box::new(|files| {
                let text = String::from_utf8(files["bundle.json"].clone()).expect("text");
                let lines: Vec<&str> = text.lines().filter(|l| !l.contains("anchors/")).collect();
                files.insert("bundle.json".into(), (lines.join("\n") + "\n").into_bytes());
            }),
        ),
        (
            "foreign file beside a token",
            "note.txt",
            Box::new(|files| {
                files.insert(name("note.txt"), b"hello".to_vec());
            }),
        ),
        (
            "folder that is no size",
            "anchors/5/checkpoint.txt",
            Box::new(|files| {
                files.insert("anchors/5/checkpoint.txt".into(), b"hello".to_vec());
            }),
        ),
    ];
    let export_key = SigningKey::from_seed(&[9; 32]);
    let mut wrong = Vec::new();
    for (what, file, tamper) in &cases {
        let mut changed = files.clone();
        tamper(&mut changed);
        changed.remove("SHA256SUMS.tsr");
        seal_sums(&mut changed, &export_key);
        let report = verify_bundle(&changed);
        if report.ok || !faults(&report).iter().any(|f| f.contains(file)) {
            wrong.push(format!("{what}: ours says {:?}", faults(&report)));
        }
        let dir = unpack(&changed);
        for (program, script) in VERIFIERS {
            let (ok, said) = run(dir.path(), program, &[script]);
            if ok || !said.contains(file) || said.contains("Traceback") {
                wrong.push(format!("{what}: {script} says {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // the stamp over the whole: made before, by somebody else, broken
    for (what, token) in [
        ("of another bundle", by(&stranger, b"sums")),
        ("by a stranger", by(&stranger, &files["SHA256SUMS"])),
        ("broken", b"0".to_vec()),
    ] {
        let mut changed = files.clone();
        changed.insert("SHA256SUMS.tsr".into(), token);
        let report = verify_bundle(&changed);
        assert!(!report.ok && report.packed.is_none(), "{what}");
        let dir = unpack(&changed);
        for (program, script) in VERIFIERS {
            let (ok, said) = run(dir.path(), program, &[script]);
            assert!(!ok && said.contains("SHA256SUMS.tsr"), "{what}: {script}: {said}");
        }
    }
}

/// A root that is trusted elsewhere does not vouch for this authority.
#[tokio::test]
async fn an_authority_that_is_not_trusted() {
    let (files, _) = good().await;
    let stranger = Tsa::new(tsa::P256);
    let trust = Trust { authorities: Roots::from_pem(&stranger.root_pem()).ok(), ..Trust::default() };
    let report = verify_bundle_with(&files, &trust);
    assert!(
        faults(&report).iter().any(|f| f.contains("does not lead to a trusted certificate")),
        "{:?}",
        faults(&report)
    );
    let dir = unpack(&files);
    std::fs::write(dir.path().join("root.pem"), stranger.root_pem()).expect("written");
    for (program, script) in VERIFIERS {
        let (ok, said) = run(dir.path(), program, &[script, "keys/allowed_signers", "../root.pem"]);
        assert!(!ok && said.contains("checkpoint.txt.tsr"), "{script}: {said}");
    }
}

#[tokio::test]
async fn without_an_answer_the_export_says_so() {
    let tsa = Arc::new(Tsa::new(tsa::RSA));
    let server = Server::start(tsa.clone());
    for mood in [Mood::Down, Mood::Hangs] {
        server.set(mood.clone());
        let house = witnessed(vec![authority(&server, Some(&tsa), "tsa.example")]);
        let started = std::time::Instant::now();
        let files = exported(&house, false).await;
        assert!(started.elapsed().as_secs() < 10, "{mood:?}: who exports does not wait for long");
        let readme = String::from_utf8(files["README.txt"].clone()).expect("text");
        assert!(readme.contains("no time-stamping authority answered (SHA256SUMS.tsr is absent)"), "{readme}");
        assert!(!files.keys().any(|name| name.ends_with(".tsr") || name.starts_with("tsa/")));
        check_age(&files, "not provable how old entries 1 to");
    }
    // nobody configured
    let files = exported(&witnessed(Vec::new()), false).await;
    let readme = String::from_utf8(files["README.txt"].clone()).expect("text");
    assert!(readme.contains("no time stamp was configured"), "{readme}");
    check_age(&files, "not provable how old entries 1 to");

    // stamped once, then the authority is gone: the first entries keep their age
    server.set(Mood::Stamps);
    let house = witnessed(vec![authority(&server, Some(&tsa), "tsa.example")]);
    house.record_system("clock.unknown", breachclock::detail! {}, clock()).await.expect("recorded");
    let admin = caller(Role::Admin);
    let report = r#"{"title": "A lost disk", "entity": "acme-fr"}"#;
    let id = house.report(&admin, report, None, clock()).await.expect("reported").incident.id;
    house.anchor(clock).await.expect("the store answers");
    server.set(Mood::Down);
    let (_, zip) = house.bundle(&admin, &id, &ExportRequest::of("authority"), clock()).await.expect("exported");
    let files = zipfile::read(&zip).expect("our own ZIP");
    let report = verify_bundle(&files);
    assert!(report.ok, "{:?}", faults(&report));
    let ages: Vec<bool> = report.existed.iter().map(|run| run.no_later_than.is_some()).collect();
    assert_eq!(ages, [true, false], "{:?}", report.existed);
    assert!(report.not_provable.iter().any(|s| s.contains("no time stamp covers them")), "{:?}", report.not_provable);
    check_age(&files, "existed no later than 20");
    check_age(&files, "not provable how old entries");
}

fn check_age(files: &Files, words: &str) {
    let dir = unpack(files);
    for (program, script) in VERIFIERS {
        let (ok, said) = run(dir.path(), program, &[script]);
        assert!(ok && said.contains(words), "{script}: {said}");
    }
}

/// Without a root the certificates that the tokens carried travel along, and the report says whose word that is.
#[tokio::test]
async fn an_authority_without_a_known_root() {
    for key in [tsa::RSA, tsa::P384] {
        let tsa = Arc::new(Tsa::with(key, tsa::STAMPING, "sha384"));
        let server = Server::start(tsa.clone());
        let files = exported(&witnessed(vec![authority(&server, None, "tsa.example")]), true).await;
        let report = verify_bundle(&files);
        assert!(report.ok && report.packed.is_some(), "{:?}", faults(&report));
        check_age(&files, "this bundle was packed no later than 20");
    }
}
