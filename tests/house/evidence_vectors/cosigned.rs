//! The bundle with witnesses: two cosigned the checkpoint of the export, one an earlier checkpoint that nobody stamped.

use super::*;
use crate::support::witness::cosign;
use breachclock::evidence::{Cosignature, Cosigner, Earlier};

const EARLIER: &str = "anchors/0000000007/checkpoint.txt";
/// Seven minutes past the last entry, and past the fourth.
const LATER: u64 = 1_772_444_400;
const BEFORE: u64 = 1_772_443_700;

fn key(seed: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
}

fn cosigner(name: &str, seed: u8) -> Cosigner {
    Cosigner { name: name.into(), key: PublicKey(key(seed).verifying_key().to_bytes()) }
}

fn cosignature(name: &str, seed: u8, time: u64, checkpoint: &Checkpoint) -> Cosignature {
    let line = cosign(name, &key(seed), time, &checkpoint.text());
    cosigner(name, seed).find(&line, checkpoint).expect("holds").expect("is its own")
}

fn stamps() -> Stamps {
    let (world, leaves) = (world(), world().leaves());
    let (early, last) = (world.checkpoint(7), world.checkpoint(12));
    let inclusion = |idx| merkle::inclusion(&Leaves(&leaves[..7]), idx, 7).expect("a leaf of the tree");
    let earlier = Earlier {
        token: None,
        cosignatures: vec![cosignature("w.example/1", 201, BEFORE, &early)],
        consistency: merkle::consistency(&Leaves(&leaves), 7, 12).expect("an older tree"),
        proofs: [(1, 1), (2, 3), (3, 5), (4, 6)].map(|(n, idx)| (n, idx, inclusion(idx))).to_vec(),
        checkpoint: early,
    };
    let cosignatures =
        vec![cosignature("w.example/1", 201, LATER, &last), cosignature("w.example/2", 202, LATER + 2, &last)];
    Stamps { witnessed: true, cosignatures, earlier: vec![earlier], ..Stamps::default() }
}

pub(in super::super) fn bundle() -> BTreeMap<String, Vec<u8>> {
    world().bundle_with("inc-01", 6, 12, &stamps())
}

/// Steps of the vectors about witnesses.
pub(super) fn apply(files: &mut BTreeMap<String, Vec<u8>>, step: &Value) {
    let word = |name: &str| step[name].as_str().unwrap_or_else(|| panic!("`{name}` is missing in {step}")).to_string();
    let number = |name: &str| step[name].as_u64().unwrap_or_else(|| panic!("`{name}` is missing in {step}"));
    let text = |files: &BTreeMap<String, Vec<u8>>, file: &str| String::from_utf8(files[file].clone()).expect("text");
    let line = |text: &str, n: u64| text.split_inclusive('\n').nth(n as usize - 1).expect("a line").to_string();
    let replace = |files: &mut BTreeMap<String, Vec<u8>>, file: String, n: u64, by: String| {
        let whole = text(files, &file);
        let mut lines: Vec<String> = whole.split_inclusive('\n').map(str::to_string).collect();
        lines.resize((n as usize).max(lines.len()), String::new());
        lines[n as usize - 1] = by;
        files.insert(file, lines.concat().into_bytes());
    };
    match word("op").as_str() {
        "copy-line" => {
            let from = line(&text(files, &word("from")), number("from_line"));
            replace(files, word("file"), number("line"), from);
        }
        // a line signed anew: by `key`, under the name and id of key `as`, at `time`, and stating `states`
        "cosign" => {
            let checkpoint = Checkpoint::parse(&text(files, &word("file"))).expect("a checkpoint").claimed().text();
            let (key_of_line, key_of_name) = (number("key") as u8, step["as"].as_u64().unwrap_or(number("key")) as u8);
            let signed = cosign(&word("name"), &key(key_of_line), number("time"), &checkpoint);
            let blob = |line: &str| base64(line.trim_end().rsplit(' ').next().expect("base64"));
            let named = blob(&cosign(&word("name"), &key(key_of_name), 1, &checkpoint));
            let time = step["states"].as_u64().unwrap_or(number("time"));
            let forged = [&named[..4], &time.to_be_bytes(), &blob(&signed)[12..]].concat();
            let by = format!("\u{2014} {} {}\n", word("name"), to_base64(&forged));
            replace(files, word("file"), number("line"), by);
        }
        // the proofs and the second signature of the log follow what checkpoint.txt says now
        "carry-checkpoint" => {
            let note = text(files, "checkpoint.txt");
            let early = files.contains_key(EARLIER).then(|| text(files, EARLIER));
            let names: Vec<String> = files.keys().filter(|name| name.ends_with(".tlog-proof")).cloned().collect();
            for name in names {
                let proof = text(files, &name);
                let (head, _) = proof.split_once("\n\n").expect("a checkpoint in the proof");
                let under = if name.starts_with("proofs/") { Some(&note) } else { early.as_ref() };
                files.insert(name, format!("{head}\n\n{}", under.expect("an earlier checkpoint")).into_bytes());
            }
            let signature = sshsig::sign(&world().log_key, "breachclock-checkpoint-v1", note.as_bytes());
            files.insert("checkpoint.txt.sig".into(), signature.into_bytes());
        }
        op => panic!("no operation `{op}`"),
    }
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}

fn to_base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn vkeys(cosigners: &[Cosigner]) -> String {
    cosigners.iter().map(|one| one.to_vkey() + "\n").collect()
}

#[test]
fn all_three_say_what_witnesses_saw() {
    let files = bundle();
    let names = |text: &str| text.matches("\"witness\":\"").count();
    let index = String::from_utf8(files["bundle.json"].clone()).expect("text");
    assert_eq!((names(&index), files.contains_key("anchors/0000000007/checkpoint.txt.tsr")), (3, false));
    let keys = [cosigner("w.example/1", 201), cosigner("w.example/2", 202)];
    assert_eq!(String::from_utf8_lossy(&files["keys/witness.vkeys"]), vkeys(&keys));
    let page = String::from_utf8(files["report.html"].clone()).expect("text");
    assert!(page.contains("Cosigned by witnesses") && page.contains("w.example/2, 2026-03-02T09:40:02Z"));

    let stranger = cosigner("w.example/1", 203);
    let dir = unpack(&files);
    let elsewhere = tempfile::tempdir().expect("a folder");
    // trusted from elsewhere, what is seen then, and how many lines are of unknown keys
    for (trusted, seen, unknown) in [
        (None, vec!["w.example/1", "w.example/1", "w.example/2"], 0),
        (Some(vec![keys[1].clone()]), vec!["w.example/2"], 2),
        (Some(vec![stranger]), vec![], 3),
        (Some(keys.to_vec()), vec!["w.example/1", "w.example/1", "w.example/2"], 0),
    ] {
        let trust = Trust { witnesses: trusted.clone(), ..Trust::default() };
        let report = verify_bundle_with(&files, &trust);
        assert!(report.ok, "{:#?}", faults(&report));
        let found: Vec<&str> = report.witnessed.iter().map(|one| one.witness.as_str()).collect();
        assert_eq!((found, report.unknown_cosignatures), (seen.clone(), unknown));
        let whose = report.not_provable.iter().any(|s| s.contains("keys/witness.vkeys"));
        assert_eq!(whose, trusted.is_none(), "{:?}", report.not_provable);
        let path = elsewhere.path().join("witnesses");
        let file = trusted.map(|keys| {
            std::fs::write(&path, vkeys(&keys)).expect("written");
            path.to_str().expect("UTF-8").to_string()
        });
        for (program, script) in VERIFIERS {
            let arguments = [script, "", "", file.as_deref().unwrap_or_default()];
            let output = run(dir.path(), program, &arguments);
            let said = text(&output);
            assert!(output.status.success(), "{script}: {said}");
            for one in &report.witnessed {
                let line = format!(
                    "seen   by witness {} at {}: the log at size {}, root {}, grown from all it saw before (entries 1 to {})\n",
                    one.witness, one.at, one.size, one.root, one.entries
                );
                assert!(said.contains(&line), "{script} lacks {line}: {said}");
            }
            assert_eq!(said.matches("seen   by witness").count(), seen.len(), "{script}: {said}");
            assert_eq!(said.contains("seen   by none"), seen.is_empty(), "{script}: {said}");
            assert_eq!(
                said.contains(&format!("       {unknown} cosignature(s) of unknown")),
                unknown > 0,
                "{script}: {said}"
            );
            assert_eq!(said.contains("without cosignatures of these witnesses"), !seen.is_empty(), "{script}: {said}");
        }
    }
}

/// Of a bundle without witnesses nothing changed but the scripts that check it: it has none of their words.
#[test]
fn a_bundle_without_witnesses_does_not_speak_of_them() {
    for (name, content) in good() {
        let told = String::from_utf8_lossy(&content).to_lowercase();
        assert!(name.starts_with("verify.") || !(told.contains("witness") || told.contains("cosign")), "{name}");
    }
    let asked = Stamps { witnessed: true, ..Stamps::default() };
    let files = world().bundle_with("inc-01", 6, 12, &asked);
    let readme = String::from_utf8(files["README.txt"].clone()).expect("text");
    assert!(readme.contains("That a witness saw the log at this size: none answered in time."), "{readme}");
    assert!(verify_bundle(&files).ok);
}

/// Runs the step of the README about a witness as it is printed, and again with a line that was changed.
#[test]
fn the_readme_checks_a_witness_by_hand() {
    for (what, good) in [("as it is", true), ("with another time", false)] {
        let mut files = bundle();
        if !good {
            let text = String::from_utf8(files["README.txt"].clone()).expect("text");
            files
                .insert("README.txt".into(), text.replace("echo time 1772444400", "echo time 1772444401").into_bytes());
        }
        let (dir, outer) = (unpack(&files), tempfile::tempdir().expect("a folder"));
        let at = outer.path().join("bundle");
        std::fs::rename(dir.path(), &at).expect("moved");
        let readme = std::fs::read_to_string(at.join("README.txt")).expect("the README");
        assert_eq!(readme.matches("a witness, saw the log at size").count(), 3, "{readme}");
        let (_, steps) = readme.split_once("# 3d ").expect("the step");
        let (step, _) = steps.split_once("# 4 ").expect("the next one");
        std::fs::create_dir(outer.path().join("check")).expect("a folder");
        std::fs::write(outer.path().join("step"), format!("set -e\n# {step}")).expect("written");
        let output = run(&at, "dash", &["../step"]);
        assert_eq!(output.status.success(), good, "{what}: {}", text(&output));
        assert_eq!(text(&output).contains("Signature Verified Successfully"), good, "{what}: {}", text(&output));
    }
}

/// The same lines under the implementation of C2SP signed-note by others.
#[test]
fn others_read_a_cosigned_checkpoint() {
    use signed_note::{Note, StandardVerifier, Verifier, VerifierList};
    struct Witness(Cosigner);
    impl Verifier for Witness {
        fn name(&self) -> &str {
            &self.0.name
        }
        fn key_id(&self) -> u32 {
            u32::from_be_bytes(self.0.id())
        }
        fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
            let Some((time, signature)) = signature.split_first_chunk::<8>() else { return false };
            let signed = [format!("cosignature/v1\ntime {}\n", u64::from_be_bytes(*time)).as_bytes(), message].concat();
            signature.try_into().is_ok_and(|signature| self.0.key.verify(&signed, signature))
        }
    }
    let files = bundle();
    for (file, cosigned) in [("checkpoint.txt", 2), (EARLIER, 1)] {
        let note = Note::from_bytes(&files[file]).expect("a signed note");
        let log = || -> Box<dyn Verifier> {
            let vkey = std::str::from_utf8(&files["keys/log.vkey"]).expect("text");
            Box::new(StandardVerifier::new(vkey.trim_end()).expect("a verifier key"))
        };
        let witness = |name, seed| -> Box<dyn Verifier> { Box::new(Witness(cosigner(name, seed))) };
        let (good, unknown) = note.verify(&VerifierList::new(vec![log()])).expect("the log signed it");
        assert_eq!((good.len(), unknown.len()), (1, cosigned), "{file}");
        let all = VerifierList::new(vec![log(), witness("w.example/1", 201), witness("w.example/2", 202)]);
        let (good, unknown) = note.verify(&all).expect("all signed it");
        assert_eq!((good.len(), unknown.len()), (1 + cosigned, 0), "{file}");
        let read = tlog_tiles::Checkpoint::from_bytes(note.text()).expect("a checkpoint");
        assert_eq!(read.origin(), ORIGIN);
        // our key in another's hands
        let id = signed_note::key_id("w.example/1", &[&[4][..], &cosigner("w.example/1", 201).key.0].concat());
        assert_eq!(id.to_be_bytes(), cosigner("w.example/1", 201).id());
    }
}
