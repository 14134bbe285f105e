// Readers of outside bytes, one function each: none may panic, take what it should refuse, or take long. Included by the
// tests (`tests/house/fuzz.rs`, which also runs a mutator of its own) and by the programs for `cargo fuzz` beside it.

use breachclock::evidence::tsp;
use breachclock::evidence::unzip::{self, Limits};
use breachclock::evidence::{
    self, Checkpoint, Cosignature, Cosigner, PublicKey, SigningKey, cosign, sshsig, timeline, verify_bundle,
    verify_log, witness, zipfile,
};
use breachclock::ingest::tools::{Item, Mapping, Tool};
use breachclock::ingest::{self, Reading, ical, mail_in};
use breachclock::law::Certainty;
use breachclock::rules::Rulebook;
use breachclock::time::{Timestamp, Zone};
use breachclock::workflow::replay;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Name, function, and where its corpus lies besides `fuzz/corpus/<name>`.
pub type Target = (&'static str, fn(&[u8]), Option<&'static str>);

pub const TARGETS: &[Target] = &[
    ("zip", zip, None),
    ("bundle_entry", bundle_entry, None),
    ("bundle_proof", bundle_proof, None),
    ("bundle_note", bundle_note, None),
    ("bundle_index", bundle_index, None),
    ("bundle_sums", bundle_sums, None),
    ("bundle_keys", bundle_keys, None),
    ("bundle_disclosure", bundle_disclosure, None),
    ("checkpoint", checkpoint, None),
    ("cosignature", cosignature, None),
    ("sshsig", ssh_signature, None),
    ("token", token, None),
    ("log", log, None),
    ("entries", entries, None),
    ("report", report, None),
    ("tools", tools, None),
    ("mail", mail, Some("tests/vectors/mail_in")),
    ("ical", calendar, Some("tests/vectors/ical")),
];

/// What a verifier holds of a good bundle.
fn good() -> &'static BTreeMap<String, Vec<u8>> {
    static GOOD: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    GOOD.get_or_init(|| {
        // the tests run in the folder above
        let found =
            ["fuzz/corpus/zip/good.zip", "corpus/zip/good.zip"].iter().find_map(|path| std::fs::read(path).ok());
        zipfile::read(&found.expect("the corpus holds a bundle")).expect("which can be read")
    })
}

fn book() -> &'static Rulebook {
    static BOOK: OnceLock<Rulebook> = OnceLock::new();
    BOOK.get_or_init(|| breachclock::rules::builtin().expect("the built-in packs load"))
}

fn now() -> Timestamp {
    Timestamp::from_timestamp(1_774_700_000, 0).expect("a time in range")
}

pub fn zip(bytes: &[u8]) {
    let limits = Limits { packed: 1 << 22, files: 200, file: 1 << 22, total: 1 << 23 };
    let Ok(files) = unzip::read(bytes, &limits) else { return };
    assert!(files.values().map(|content| content.len() as u64).sum::<u64>() <= limits.total);
    assert!(files.keys().all(|name| zipfile::is_name(name)));
    // who holds no key cannot make another bundle that is verified
    assert!(!verify_bundle(&files).ok || files == *good());
}

/// The good bundle with one file exchanged: verified only when nothing changed.
fn exchanged(name: &str, bytes: &[u8]) {
    let mut files = good().clone();
    let before = files.insert(name.to_string(), bytes.to_vec()).expect("the bundle has the file");
    assert_eq!(verify_bundle(&files).ok, before == bytes, "{name}");
}

pub fn bundle_entry(bytes: &[u8]) {
    exchanged("entries/000003.json", bytes);
    // the last one says how many there are
    exchanged("entries/000006.json", bytes);
}

pub fn bundle_proof(bytes: &[u8]) {
    exchanged("proofs/000003.tlog-proof", bytes);
}

pub fn bundle_note(bytes: &[u8]) {
    exchanged("checkpoint.txt", bytes);
}

pub fn bundle_index(bytes: &[u8]) {
    exchanged("bundle.json", bytes);
}

pub fn bundle_sums(bytes: &[u8]) {
    exchanged("SHA256SUMS", bytes);
}

pub fn bundle_keys(bytes: &[u8]) {
    for name in ["keys/allowed_signers", "keys/log.vkey", "keys/log.pub.pem"] {
        exchanged(name, bytes);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok((name, key)) = PublicKey::from_vkey(text) {
            assert_eq!(key.to_vkey(&name), text.trim_end_matches('\n'));
        }
        let _ = SigningKey::from_pem(text);
    }
}

pub fn bundle_disclosure(bytes: &[u8]) {
    let name = good().keys().find(|name| name.starts_with("disclosures/")).expect("a field is shown").clone();
    exchanged(&name, bytes);
    if let Some((pointer, value)) = evidence::Disclosure::from_bytes(bytes.to_vec()).read() {
        let _ = format!("{pointer}{value}");
    }
}

pub fn checkpoint(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(read) = Checkpoint::parse(text) else { return };
    let (origin, key) = (read.claimed().origin.clone(), SigningKey::from_seed(&[100; 32]).public());
    assert!(evidence::check_origin(&origin).is_ok());
    if let Ok(checkpoint) = read.verify(&origin, &key) {
        let good = std::str::from_utf8(&good()["checkpoint.txt"]).expect("text");
        let signed = good.split("\n\n").next().unwrap_or_default();
        assert_eq!(checkpoint.text().trim_end(), signed, "a text that nobody signed");
    }
}

/// The answer of a witness: lines under the checkpoint of the good bundle, of a witness whose key is known, and its key.
pub fn cosignature(bytes: &[u8]) {
    let note = std::str::from_utf8(&good()["checkpoint.txt"]).expect("text");
    let checkpoint = Checkpoint::parse(note).expect("a checkpoint").claimed().clone();
    let known = Cosigner { name: "w.example/1".into(), key: SigningKey::from_seed(&[201; 32]).public() };
    for (status, old) in [(200, 0), (409, 0), (409, checkpoint.size), (500, 3)] {
        let answer = witness::Answer { status, content_type: "text/x.tlog.size", body: bytes };
        match witness::read(&answer, &known, &checkpoint, old) {
            witness::Reply::Knows(size) => assert_ne!(size, old),
            witness::Reply::Failed(words) => assert!(words.said.len() <= 1000 && !words.said.contains('\n')),
            _ => {}
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(cosigner) = Cosigner::from_vkey(text) {
        assert_eq!(cosigner.to_vkey(), text);
    }
    let Ok(lines) = cosign::read_lines(text) else { return };
    assert_eq!(lines.iter().map(|line| line.text).collect::<String>(), text);
    if let Ok(Some(found)) = known.find(text, &checkpoint) {
        // who holds no key cannot make another one
        assert_eq!(found.time, 1_772_444_400);
        assert!(text.contains(&found.line));
        assert_eq!(Cosignature::from_token(&found.token(), &checkpoint), Some(found));
    }
}

pub fn ssh_signature(bytes: &[u8]) {
    exchanged("checkpoint.txt.sig", bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let signed = sshsig::verify(text, "breachclock-export-v1", &good()["SHA256SUMS"]);
    // the same signature may be broken into other lines: no sum holds the file that signs the sums
    let mut files = good().clone();
    files.insert("SHA256SUMS.sig".to_string(), bytes.to_vec());
    assert_eq!(verify_bundle(&files).ok, signed == Ok(SigningKey::from_seed(&[200; 32]).public()));
}

/// Root of the authority whose answers, over `a checkpoint\n`, the corpus holds; its key is thrown away.
const ROOT: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBhjCCASugAwIBAgIUOVm4Vm8WyfXFNdHooIieD4WrRhIwCgYIKoZIzj0EAwIw\n\
DzENMAsGA1UEAwwEUm9vdDAgFw0yNjExMjgyMTUwMDJaGA8yMTI2MTEwNDIxNTAw\n\
MlowDzENMAsGA1UEAwwEUm9vdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABL6R\n\
isDgyv5JWCXQJO3VBTMRDEMHKGGP/brXtm/wxDLWKU8YWM/hEZG8zZniJt6uI4Xv\n\
5/pI7i3qfHgMoPGC18ijYzBhMB0GA1UdDgQWBBTMPV2VQTl1LjIFZNBSGp4Yjnmu\n\
WDAfBgNVHSMEGDAWgBTMPV2VQTl1LjIFZNBSGp4YjnmuWDAPBgNVHRMBAf8EBTAD\n\
AQH/MA4GA1UdDwEB/wQEAwIBBjAKBggqhkjOPQQDAgNJADBGAiEA1nhnLc8TgW5B\n\
ytrOlzZDFEmoIaM5zdhOzItrD4u/E/kCIQDcyNty4jPetLPHlFXkaC/4zxp2z47v\n\
nG5I2Fdn9WpkcQ==\n\
-----END CERTIFICATE-----\n";

/// What the two answers say.
const SIGNED: [&str; 1] = ["2026-11-28T21:50:03Z"];

/// An authority's answer. Whatever is believed says the time and the policy that were signed.
pub fn token(bytes: &[u8]) {
    let data = evidence::sha256(b"a checkpoint\n");
    let roots = tsp::Roots::from_pem(ROOT.as_bytes()).expect("a certificate");
    if let Ok(stamp) = tsp::check(bytes, &data, None, &roots) {
        let signed = (SIGNED.contains(&stamp.time.as_str()), stamp.policy.as_str(), stamp.trusted);
        assert_eq!(signed, (true, "1.2.3.4.1", true), "a time nobody signed: {}", stamp.time);
    }
    // without a root nobody is trusted, whoever signed
    assert!(!tsp::check(bytes, &data, None, &tsp::Roots::default()).is_ok_and(|stamp| stamp.trusted));
    assert!(tsp::check(bytes, &evidence::sha256(b"another"), None, &roots).is_err());
    let _ = tsp::Roots::from_pem(bytes);
}

/// Lines as the entries of a whole log.
pub fn log(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let report = verify_log("breachclock.example.org/acme/01", &lines, &[]);
    assert_eq!(report.entries, lines.len() as u64);
    assert_eq!(report.ok, report.fault_count == 0);
}

/// Lines as the entries of one incident: shown as a timeline, and computed again.
pub fn entries(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let shown = BTreeMap::from([(evidence::sha256(lines[0..lines.len().min(1)].concat().as_slice()), bytes.to_vec())]);
    let found = timeline(lines.iter().copied(), &shown, str::to_string);
    assert!(found.len() <= 1 + bytes.len());
    let replay = replay::replay(lines.iter().copied(), &shown, &mut |_| Err("no rules here".to_string()));
    assert_eq!(replay.entries, replay.not_replayed.len() as u64);
    let _ = evidence::export::commitments(lines);
}

pub fn report(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let reading = Reading { catalogue: book().catalogue(), now: now(), by: "somebody" };
    for title in [true, false] {
        if let Err(rejections) = ingest::report(text, &reading, title) {
            assert!(!rejections.is_empty());
        }
    }
    let _ = ingest::suppose(text, &reading);
    let _ = ingest::facts_only(text, &reading);
}

/// A mapping that asks for something of every type.
fn mapping() -> Mapping {
    let at = [
        ("reference", "/id"),
        ("title", "/what"),
        ("severity", "/level"),
        ("labels", "/tags"),
        ("event", "/revision"),
        ("times.detected", "/seen_at"),
        ("affected.total", "/people"),
        ("personal_data", "/personal"),
        ("kinds", "/kind"),
        ("risk", "/a~1b/risk"),
        ("record.effects", "/what"),
        ("hold.law_enforcement", "/hold"),
    ];
    Mapping { at: at.map(|(name, pointer)| (name.into(), pointer.into())).into(), assume: Vec::new() }
}

/// The same bytes as a delivery of every tool.
pub fn tools(bytes: &[u8]) {
    let reading = Reading { catalogue: book().catalogue(), now: now(), by: "a source" };
    for tool in Tool::ALL {
        let items = match ingest::tools::read(tool, bytes, &mapping(), &reading) {
            Ok(items) => items,
            Err(rejections) => {
                assert!(!rejections.is_empty());
                continue;
            }
        };
        for item in items {
            let Item::Case(case) = item else { continue };
            assert!((1..=300).contains(&case.title.chars().count()) && !case.title.contains('\n'));
            assert!((1..=200).contains(&case.reference.chars().count()));
            assert!(case.facts.iter().all(|fact| fact.certainty != Certainty::Confirmed));
            assert!(ingest::tools::part(bytes, &case.pointer).is_some(), "{}", case.pointer);
        }
    }
}

pub fn mail(bytes: &[u8]) {
    if let Ok(inbound) = mail_in::read(bytes) {
        let _ = format!("{inbound:?}");
    }
}

pub fn calendar(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let zone = Zone::named("Europe/Berlin").expect("a zone");
    match ical::shifts(text, zone, now(), now() + chrono::Duration::days(400)) {
        Ok(shifts) => assert!(shifts.iter().all(|(from, until, _)| from < until)),
        Err(faults) => assert!(!faults.is_empty()),
    }
}
