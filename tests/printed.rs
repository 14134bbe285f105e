//! A bundle with the printed report in it: what is on its pages and inside it, and that all three verifiers hold it to its
//! bytes. Apart from the house, because the typesetter takes longer to build than all the rest:
//! `cargo test --features pdf --test printed`.

use breachclock::evidence::{verify_bundle, zipfile};
use breachclock::store::SqliteStore;
use breachclock::time::Timestamp;
use breachclock::workflow::export::ExportRequest;
use breachclock::workflow::register::{RegisterFormat, RegisterRequest};
use breachclock::workflow::{Caller, FilingRequest, House};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

type Files = BTreeMap<String, Vec<u8>>;

const DUTY: &str = "eu-gdpr-33-authority@FR";
const VERIFIERS: [(&str, &str); 2] = [("dash", "verify.sh"), ("python3", "verify.py")];

fn at(hour: u32) -> Timestamp {
    format!("2026-03-28T{hour:02}:00:00Z").parse().expect("a time")
}

/// A house with a notified breach, and the breach's id.
async fn lived(dir: &Path) -> (House<SqliteStore>, String) {
    let file = dir.join("breachclock.toml");
    let text = "[data]\ndir = \"data\"\n[log]\norigin = \"test.example/log\"\n[[entity]]\nid = \"acme-fr\"\nname = \"Acme SAS\"\n\
                roles = [\"controller\"]\nestablished_in = [\"FR\"]\nmain_establishment = \"FR\"\nzone = \"Europe/Paris\"\n";
    std::fs::write(&file, text).expect("written");
    let config = breachclock::config::load(&file).unwrap_or_else(|faults| panic!("{faults:?}"));
    let house = breachclock::daemon::open::open(&config).await.unwrap_or_else(|error| panic!("{error:?}"));
    let report = r#"{"title": "A database on a paste site", "entity": "acme-fr", "facts": {
        "personal_data": {"value": true, "by": "Nadia Namesake", "note": "counsel says NOTEWORTHY"},
        "risk": "risk", "times.aware": "2026-03-27T15:20:00Z"}}"#;
    let id = house.report(&Caller::system(), report, None, at(1)).await.expect("opens").incident.id;
    let filing = FilingRequest { reference: Some("CNIL-2026-77".into()), ..FilingRequest::default() };
    house.file(&Caller::system(), &format!("{id}~{DUTY}"), filing, None, at(2)).await.expect("files");
    (house, id)
}

async fn exported(house: &House<SqliteStore>, id: &str, profile: &str, language: &str) -> Vec<u8> {
    let wanted = ExportRequest { language: language.into(), ..ExportRequest::of(profile) };
    house.bundle(&Caller::system(), id, &wanted, at(3)).await.expect("exports").1
}

fn unpack(files: &Files) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
    dir
}

/// Whether a program was content, and what it said.
fn run(dir: &Path, program: &str, arguments: &[&str]) -> (bool, String) {
    let done = Command::new(program).args(arguments).current_dir(dir).output().expect("it is installed");
    (done.status.success(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

/// Each verifier's verdict, and what it said: the library, the program on the ZIP, and the two scripts of the bundle.
fn verdicts(files: &Files) -> Vec<(&'static str, bool, String)> {
    let dir = unpack(files);
    let report = verify_bundle(files);
    let mut found = vec![("the library", report.ok, format!("{:?}", report.checks))];
    let zip = tempfile::NamedTempFile::with_suffix(".zip").expect("a file");
    std::fs::write(zip.path(), zipfile::write(files).expect("a ZIP")).expect("written");
    let place = zip.path().to_str().expect("a plain name");
    let (ok, said) = run(dir.path(), env!("CARGO_BIN_EXE_breachclock"), &["evidence", "verify", place]);
    found.push(("the program", ok, said));
    for (program, script) in VERIFIERS {
        let (ok, said) = run(dir.path(), program, &[script]);
        assert_eq!(ok, said.lines().any(|line| line.starts_with("VERIFIED: ")), "{script}: {said}");
        found.push((script, ok, said));
    }
    found
}

#[tokio::test]
async fn a_bundle_with_a_printed_report_is_verified_by_all_three() {
    let dir = tempfile::tempdir().expect("a folder");
    let (house, id) = lived(dir.path()).await;
    let cases = [
        ("internal", "en", "Obligations and their limits", true),
        ("authority", "de", "Pflichten und ihre Fristen", true),
        ("client", "fr", "Obligations et échéances", false),
    ];
    for (profile, language, heading, names_people) in cases {
        let files = zipfile::read(&exported(&house, &id, profile, language).await).expect("a ZIP");
        assert!(files.contains_key("report.pdf"), "{profile}: {:?}", files.keys());
        for (verifier, ok, said) in verdicts(&files) {
            assert!(ok, "{profile} by {verifier}: {said}");
        }
        let unpacked = unpack(&files);
        let (ok, text) = run(unpacked.path(), "pdftotext", &["-layout", "report.pdf", "-"]);
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(ok && words.contains(heading), "{profile}: {words}");
        assert_eq!(words.contains("Nadia Namesake"), names_people, "{profile}: {words}");
        assert!(profile == "internal" || !words.contains("NOTEWORTHY"), "{profile}: {words}");
        let (_, meta) = run(unpacked.path(), "pdfinfo", &["-meta", "report.pdf"]);
        assert!(meta.contains("<pdfaid:part>3</pdfaid:part>"), "{meta}");
        // what machines read lies inside, and is what lies beside it
        let inside = tempfile::tempdir().expect("a folder");
        std::fs::write(inside.path().join("report.pdf"), &files["report.pdf"]).expect("written");
        let (ok, said) = run(inside.path(), "pdfdetach", &["-saveall", "report.pdf"]);
        assert!(ok, "{said}");
        for name in ["bundle.json", "checkpoint.txt"] {
            assert_eq!(std::fs::read(inside.path().join(name)).expect("attached"), files[name], "{profile}: {name}");
        }
    }
}

#[tokio::test]
async fn a_printed_report_that_was_touched_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let (house, id) = lived(dir.path()).await;
    let good = zipfile::read(&exported(&house, &id, "authority", "en").await).expect("a ZIP");
    let mut flipped = good.clone();
    let printed = flipped.get_mut("report.pdf").expect("printed");
    let middle = printed.len() / 2;
    printed[middle] ^= 1;
    let mut removed = good.clone();
    removed.remove("report.pdf");
    for (what, files) in [("a bit flipped", flipped), ("left out", removed)] {
        for (verifier, ok, said) in verdicts(&files) {
            assert!(!ok && said.contains("report.pdf"), "{what}, by {verifier}: {said}");
        }
    }
}

#[tokio::test]
async fn the_register_is_printed_with_its_table_inside() {
    let dir = tempfile::tempdir().expect("a folder");
    let (house, id) = lived(dir.path()).await;
    let file = house
        .register(&Caller::system(), &RegisterRequest::default(), RegisterFormat::Pdf, at(3))
        .await
        .expect("printed");
    std::fs::write(dir.path().join("register.pdf"), &file.bytes).expect("written");
    let (ok, text) = run(dir.path(), "pdftotext", &["-layout", "register.pdf", "-"]);
    assert!(ok && text.contains("A database on a paste site"), "{text}");
    let (ok, said) = run(dir.path(), "pdfdetach", &["-saveall", "register.pdf"]);
    assert!(ok, "{said}");
    let table = std::fs::read_to_string(dir.path().join("breach-register.json")).expect("attached");
    assert!(table.contains(&id), "{table}");
}
