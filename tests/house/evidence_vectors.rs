//! Evidence: RFC 6962 trees exhaustively, signatures under the tools of others, and one named tampering per file in
//! `tests/vectors/evidence/`. All three verifiers (ours, `verify.sh`, `verify.py`) must agree on each.
//!
//! Needs dash, openssl 3, ssh-keygen, sha256sum and python3. The bundle is made from fixed keys, times and salts.

use breachclock::evidence::export::{self, ExportCreated, ExportInput, Withheld, seal_sums};
use breachclock::evidence::merkle::{self, Leaves};
use breachclock::evidence::report::{EntryWords, EventRow, FactRow, LimitRow, ObligationRow, Outcome, StepRow, Words};
use breachclock::evidence::{
    Checkpoint, Clk, Disclosure, Draft, EvidenceEntry, Hash, Head, Nodes, Personal, PublicKey, ReportModel, Sealer,
    SigningKey, Stamps, StreamHead, Trust, VerifyReport, completed_nodes, hex, leaf_hash, node_hash, seal, sha256,
    sshsig, verify_bundle, verify_bundle_with, verify_log, zipfile,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

pub(super) mod cosigned;

const ORIGIN: &str = "breachclock.example.org/acme/01";
const RULES: &str = r#"{"pack":"eu/gdpr@2026-03-02","duty":"eu-gdpr-33-authority","hours":72}"#;
const RECEIPT: &[u8] = b"CNIL: notification 2026-0412 received\n";

// ---------------------------------------------------------------- trees

fn leaves(n: u64) -> Vec<Hash> {
    (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

/// MTH of RFC 6962 section 2.1, as the text has it.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(b""),
        [leaf] => *leaf,
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
        }
    }
}

struct Stored(BTreeMap<(u8, u64), Hash>);

impl Nodes for Stored {
    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        self.0.get(&(level, index)).copied()
    }
}

fn stored(leaves: &[Hash]) -> (Stored, Head) {
    let (mut nodes, mut head) = (Stored(BTreeMap::new()), Head::default());
    for (leaf, idx) in leaves.iter().zip(0..) {
        for (level, index, hash) in completed_nodes(idx, *leaf, &head) {
            assert!(nodes.0.insert((level, index), hash).is_none(), "a node becomes complete once");
        }
        head.append(*leaf);
    }
    (nodes, head)
}

#[test]
fn roots_are_those_of_rfc_6962() {
    // leaves and roots of the reference test of Certificate Transparency (transparency-dev/merkle testonly/constants.go)
    let inputs: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let known = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let hashes: Vec<Hash> = inputs.iter().map(|leaf| leaf_hash(leaf)).collect();
    for (n, want) in (1..).zip(known) {
        assert_eq!(hex(&merkle::root(&hashes[..n])), want, "{n} leaves");
    }
    assert_eq!(merkle::root(&[]), sha256(b""));
    for n in 0..=200 {
        let leaves = leaves(n);
        let (nodes, head) = stored(&leaves);
        let want = mth(&leaves);
        assert_eq!(merkle::root(&leaves), want);
        assert_eq!(head.root(), want);
        assert_eq!(merkle::root_at(&nodes, n), Some(want));
        assert_eq!(Head::from_nodes(n, &nodes).as_ref(), Some(&head));
        assert_eq!(Head::from_bytes(&head.to_bytes()), Some(head));
    }
}

#[test]
fn inclusion_proofs_hold_for_each_leaf_and_refuse_each_other() {
    let all = leaves(40);
    let (nodes, _) = stored(&all);
    for size in 1..=40u64 {
        let leaves = &all[..size as usize];
        let root = mth(leaves);
        for index in 0..size {
            let proof = merkle::inclusion(&Leaves(leaves), index, size).expect("a leaf of the tree has a proof");
            assert_eq!(merkle::inclusion(&nodes, index, size).as_ref(), Some(&proof));
            for (leaf, at) in leaves.iter().zip(0..) {
                assert_eq!(merkle::verify_inclusion(leaf, index, size, &proof, &root), at == index);
            }
            for at in (0..=size).filter(|at| *at != index) {
                assert!(!merkle::verify_inclusion(&leaves[index as usize], at, size, &proof, &root));
            }
            for cut in 0..proof.len() {
                assert!(!merkle::verify_inclusion(&leaves[index as usize], index, size, &proof[..cut], &root));
            }
            let longer = [&proof[..], &[root]].concat();
            assert!(!merkle::verify_inclusion(&leaves[index as usize], index, size, &longer, &root));
        }
        assert_eq!(merkle::inclusion(&nodes, size, size), None);
    }
}

#[test]
fn consistency_proofs_hold_and_refuse_other_roots() {
    let all = leaves(40);
    let (nodes, _) = stored(&all);
    let roots: Vec<Hash> = (0..=40).map(|n| mth(&all[..n])).collect();
    for new in 0..=40u64 {
        for old in 0..=new {
            let proof = merkle::consistency(&Leaves(&all), old, new).expect("an older tree has a proof");
            assert_eq!(merkle::consistency(&nodes, old, new).as_ref(), Some(&proof));
            let (from, to) = (&roots[old as usize], &roots[new as usize]);
            assert!(merkle::verify_consistency(old, new, &proof, from, to), "{old} {new}");
            for (other, n) in roots.iter().zip(0u64..) {
                assert_eq!(merkle::verify_consistency(old, new, &proof, other, to), n == old, "{old} {new} from {n}");
                // nothing ties an empty tree to the one that follows it
                let free = old == 0;
                assert_eq!(
                    merkle::verify_consistency(old, new, &proof, from, other),
                    n == new || free,
                    "{old} {new} to {n}"
                );
            }
            for cut in 0..proof.len() {
                assert!(!merkle::verify_consistency(old, new, &proof[..cut], from, to));
            }
        }
        assert_eq!(merkle::consistency(&nodes, new + 1, new), None);
    }
}

// ---------------------------------------------------------------- a log with two incidents

#[derive(Serialize)]
struct Reported {
    title: Personal<String>,
    by: Personal<String>,
    count: u32,
}

#[derive(Serialize)]
struct Computed {
    obligation: &'static str,
    rulebook: String,
}

#[derive(Serialize)]
struct Filed {
    by: Personal<String>,
    reference: Personal<String>,
    proof: Personal<String>,
}

#[derive(Serialize)]
struct Erased {
    commitments: Vec<String>,
    basis: &'static str,
}

struct World {
    origin: &'static str,
    log_key: SigningKey,
    export_key: SigningKey,
    entries: Vec<EvidenceEntry>,
    streams: BTreeMap<String, StreamHead>,
    disclosures: Vec<Disclosure>,
    /// Gone from the store, and shown only by bundles made before.
    erased: Vec<Disclosure>,
    salts: u8,
}

impl World {
    fn new(origin: &'static str, seed: u8) -> World {
        World {
            origin,
            log_key: SigningKey::from_seed(&[seed; 32]),
            export_key: SigningKey::from_seed(&[200; 32]),
            entries: Vec::new(),
            streams: BTreeMap::new(),
            disclosures: Vec::new(),
            erased: Vec::new(),
            salts: 0,
        }
    }

    fn sealer(&mut self) -> Sealer<'static> {
        self.salts += 40;
        let mut next = self.salts;
        Sealer::new(move || {
            next += 1;
            sha256(&[next])
        })
    }

    fn append(&mut self, stream: &str, kind: &'static str, body: &impl Serialize, sealer: Option<Sealer<'_>>) {
        let idx = self.entries.len() as u64;
        let at = chrono::DateTime::from_timestamp(1_772_443_200 + 60 * idx as i64, 0).expect("a time in range");
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&sha256(&[idx as u8, 77])[..16]);
        let draft = Draft::unchecked(stream, kind, at, nonce, body)
            .with_disclosures(sealer.map(Sealer::into_disclosures).unwrap_or_default());
        let head = self.streams.entry(stream.to_string()).or_default();
        let entry = seal(&draft, self.origin, idx, head);
        *head = StreamHead::after(&entry);
        self.disclosures.extend(draft.disclosures);
        self.entries.push(entry);
    }

    fn report(&mut self, stream: &str, title: &str) {
        let mut sealer = self.sealer();
        let body = Reported {
            title: sealer.seal("/title", title.to_string()),
            by: sealer.seal("/by", "Léa \"Fontaine\" <lea@acme.example>".to_string()),
            count: 41_212,
        };
        self.append(stream, "incident.reported", &body, Some(sealer));
    }

    /// The incident `inc-01`, between entries of others; its first `by` is erased, its filing's reference withheld.
    fn grow(mut self) -> World {
        self.append("_system", "started", &serde_json::json!({"version": "0.1.0"}), None);
        self.report("inc-01", "Customer database on a paste site");
        self.append("_system", "clock.stepped", &serde_json::json!({"by": -3}), None);
        let computed = Computed { obligation: "eu-gdpr-33-authority@FR", rulebook: hex(&sha256(RULES.as_bytes())) };
        self.append("inc-01", "deadline.computed", &computed, None);
        self.report("inc-02", "Lost laptop");
        let mut sealer = self.sealer();
        let filed = Filed {
            by: sealer.seal("/by", "Amara Diallo".to_string()),
            reference: sealer.seal("/reference", "2026-0412".to_string()),
            proof: sealer.seal("/proof", hex(&sha256(RECEIPT))),
        };
        let withheld = vec![hex(&filed.reference.commitment())];
        self.append("inc-01", "notification.filed", &filed, Some(sealer));
        self.export_record("inc-01", withheld.clone());
        let by = self.disclosures.iter().position(|d| d.read().is_some_and(|(pointer, _)| pointer == "/by"));
        self.erased.push(self.disclosures.remove(by.expect("the first report names who made it")));
        let erased = self.erased[0].commitment;
        self.append(
            "inc-01",
            "disclosure.erased",
            &Erased { commitments: vec![hex(&erased)], basis: "Art. 17(1)(a)" },
            None,
        );
        self.export_record("inc-01", withheld);
        self.append("inc-02", "incident.closed", &serde_json::json!({}), None);
        self.report("inc-03", "Mail to the wrong person");
        self.export_record("inc-03", Vec::new());
        self
    }

    fn export_record(&mut self, stream: &str, commitments: Vec<String>) {
        let entries = self.streams.get(stream).map_or(0, |head| head.n) + 1;
        let withheld = if commitments.is_empty() {
            Vec::new()
        } else {
            vec![Withheld { reason: "privileged".into(), commitments }]
        };
        // the form of earlier programs, and today's
        let clk = (stream == "inc-03").then(|| Clk { boot: Some("0f".into()), up_us: Some(7), ..Clk::default() });
        let body = ExportCreated { actor: "counsel".into(), profile: "authority".into(), entries, withheld, clk };
        self.append(stream, "export.created", &body, None);
    }

    fn leaves(&self) -> Vec<Hash> {
        self.entries.iter().map(|entry| entry.leaf).collect()
    }

    fn checkpoint(&self, size: usize) -> Checkpoint {
        let root = merkle::root(&self.leaves()[..size]);
        Checkpoint::sign(self.origin, size as u64, root, &self.log_key).expect("the origin names a log")
    }

    /// The bundle of the first `count` entries of `stream`, under the checkpoint over `size` entries.
    fn bundle(&self, stream: &str, count: usize, size: usize) -> BTreeMap<String, Vec<u8>> {
        self.bundle_with(stream, count, size, &Stamps::default())
    }

    fn bundle_with(&self, stream: &str, count: usize, size: usize, stamps: &Stamps) -> BTreeMap<String, Vec<u8>> {
        let entries: Vec<&EvidenceEntry> = self.entries.iter().filter(|e| e.stream == stream).take(count).collect();
        let leaves = self.leaves();
        let named: BTreeSet<Hash> =
            export::commitments(entries.iter().map(|e| e.bytes.as_slice())).into_iter().collect();
        let hidden = |d: &Disclosure| d.read().is_some_and(|(pointer, _)| pointer == "/reference");
        let filed = entries.iter().any(|e| e.bytes.windows(18).any(|w| w == b"notification.filed"));
        let input = ExportInput {
            product: "breachclock 0.1.0",
            entries: entries.iter().map(|e| e.bytes.clone()).collect(),
            proofs: entries
                .iter()
                .map(|e| merkle::inclusion(&Leaves(&leaves[..size]), e.idx, size as u64).expect("entry below the size"))
                .collect(),
            disclosures: self
                .disclosures
                .iter()
                .chain(self.erased.iter().filter(|_| count < 5))
                .filter(|d| named.contains(&d.commitment) && !hidden(d))
                .cloned()
                .collect(),
            attachments: if filed { vec![RECEIPT.to_vec()] } else { Vec::new() },
            rules: if filed { vec![RULES.as_bytes().to_vec()] } else { Vec::new() },
            checkpoint: self.checkpoint(size),
            log_key: &self.log_key,
            export_key: &self.export_key,
            exporter: "acme-breachclock",
            report: model(),
        };
        export::build_stamped(&input, stamps).expect("the parts fit together").files
    }
}

fn model() -> ReportModel {
    let at = |seconds| chrono::DateTime::from_timestamp(seconds, 0).expect("a time in range");
    let paris = breachclock::time::Zone::named("Europe/Paris").expect("a zone");
    let grid =
        [("2026-03-02", "13"), ("2026-03-03", "24"), ("2026-03-04", "24"), ("2026-03-05", "11")].map(|(date, n)| {
            breachclock::time::GridDay {
                date: date.parse().expect("a date"),
                counted: n.into(),
                ..breachclock::time::GridDay::default()
            }
        });
    ReportModel {
        words: Words::named("en").expect("a language"),
        title: "Customer database on a <paste> site & more".into(),
        reference: "INC-2026-014".into(),
        basis: "Documentation under Article 33(5) GDPR".into(),
        controller: "Ostrel Cloud SAS, 12 rue de l’Exemple, 75011 Paris".into(),
        contact: "Amara Diallo, data protection officer, dpo@ostrel.example".into(),
        profile: "authority".into(),
        made_by: "Grace Okafor, counsel".into(),
        made_at: at(1_772_443_680),
        zone: paris,
        opened_at: at(1_772_443_260),
        opened_by: "L. Fontaine".into(),
        packs: "2026-03-01".into(),
        zones: "2026a".into(),
        timeline: [(1, EntryWords { at: at(1_772_443_260), what: "Reported by web form".into() })].into(),
        obligations: vec![ObligationRow {
            name: "CNIL".into(),
            citation: "GDPR Art. 33(1)".into(),
            source_url: "https://eur-lex.europa.eu/eli/reg/2016/679/oj".into(),
            standing: "discharged".into(),
            zone: paris,
            limit: Some(LimitRow {
                from: at(1_772_445_600),
                due: at(1_772_704_800),
                conservative_due: at(1_772_702_400),
                grid: grid.into(),
                by_hours: true,
            }),
            filed: Some(at(1_772_443_500)),
            steps: vec![StepRow {
                text: "the hour of the event is not counted".into(),
                result: "from 11:00 CET".into(),
                citation: "Reg. 1182/71 Art. 3(1)".into(),
            }],
        }],
        facts: vec![FactRow {
            name: "Aware".into(),
            value: Some("2 Mar 2026, 10:20 CET".into()),
            certainty: "confirmed".into(),
            asserted_by: "L. Fontaine".into(),
            asserted_at: at(1_772_443_260),
        }],
        messages: vec![EventRow {
            at: at(1_772_443_300),
            who: "on call".into(),
            what: "CNIL limit runs".into(),
            step: None,
            outcome: Outcome::Words("handed over".into()),
        }],
        acknowledgements: Vec::new(),
        filings: Vec::new(),
    }
}

fn world() -> World {
    World::new(ORIGIN, 100).grow()
}

/// The bundle that the vectors tamper with: six entries of `inc-01` in a log of twelve.
pub(super) fn good() -> BTreeMap<String, Vec<u8>> {
    let world = world();
    world.bundle("inc-01", 6, world.entries.len())
}

// ---------------------------------------------------------------- tools of others

pub(super) fn run(dir: &Path, program: &str, args: &[&str]) -> Output {
    let shell = format!("exec {program} \"$@\"");
    Command::new("sh").args(["-c", &shell, "sh"]).args(args).current_dir(dir).output().expect("a shell")
}

pub(super) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(super) fn unpack(files: &BTreeMap<String, Vec<u8>>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
    dir
}

#[test]
fn ssh_keygen_accepts_our_signatures_and_refuses_another_namespace() {
    let key = SigningKey::from_seed(&[7; 32]);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a file");
    put("signers", &format!("acme {}\n", key.public().ssh_line()));
    put("message", "what is signed\n");
    put("sig", &sshsig::sign(&key, "breachclock-export-v1", b"what is signed\n"));
    let verify = |space: &str| {
        let args = ["-Y", "verify", "-f", "signers", "-I", "acme", "-n", space, "-s", "sig"];
        run(dir.path(), "<message ssh-keygen", &args)
    };
    let output = verify("breachclock-export-v1");
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains(&key.public().fingerprint()));
    assert!(!verify("breachclock-checkpoint-v1").status.success());
    let mine = std::fs::read_to_string(dir.path().join("sig")).expect("the signature");
    assert_eq!(sshsig::verify(&mine, "breachclock-export-v1", b"what is signed\n"), Ok(key.public()));
    assert!(sshsig::verify(&mine, "breachclock-export-v1", b"what is signed").is_err());
    assert!(sshsig::verify(&mine, "file", b"what is signed\n").is_err());
}

#[test]
fn keys_survive_their_files_and_openssl_reads_them() {
    let key = SigningKey::from_seed(&[9; 32]);
    let again = SigningKey::from_pem(&key.to_pem()).expect("our own PEM");
    assert_eq!(again.public(), key.public());
    assert_eq!(
        PublicKey::from_vkey(&key.public().to_vkey("a.example/log")),
        Ok(("a.example/log".into(), key.public()))
    );
    assert!(PublicKey::from_vkey("a.example/log+00000000+AQ==").is_err());
    assert!(!format!("{key:?}").contains("0909"));
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("key"), key.to_pem()).expect("a file");
    let output = run(dir.path(), "openssl", &["pkey", "-in", "key", "-pubout"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), key.public().to_pem());
    let made = run(dir.path(), "openssl", &["genpkey", "-algorithm", "ed25519"]);
    let read = SigningKey::from_pem(&String::from_utf8_lossy(&made.stdout)).expect("OpenSSL's PEM");
    assert_eq!(read.to_pem(), String::from_utf8_lossy(&made.stdout), "the same spelling");
}

#[test]
fn a_checkpoint_is_read_only_as_it_was_signed() {
    let checkpoint = world().checkpoint(12);
    let key = world().log_key.public();
    let read = Checkpoint::parse(&checkpoint.note).expect("our own note");
    assert_eq!(read.clone().verify(ORIGIN, &key), Ok(checkpoint.clone()));
    assert!(read.clone().verify_vkey(&key.to_vkey(ORIGIN)).is_ok());
    assert!(read.clone().verify("another.example/log", &key).is_err());
    assert!(read.verify(ORIGIN, &SigningKey::from_seed(&[1; 32]).public()).is_err());
    for (from, to) in
        [("\n12\n", "\n13\n"), ("\n12\n", "\n012\n"), ("=\n\n", "=\nextension\n\n"), ("acme/01\n", "acme/02\n")]
    {
        let note = checkpoint.note.replacen(from, to, 1);
        assert_ne!(note, checkpoint.note);
        let outcome = Checkpoint::parse(&note).and_then(|read| read.verify(ORIGIN, &key));
        assert!(outcome.is_err(), "{note}");
    }
    assert!(Checkpoint::sign("with space", 0, [0; 32], &SigningKey::from_seed(&[1; 32])).is_err());
}

/// Runs the lines of README.txt under `BY HAND` as they are printed.
#[test]
fn the_readme_is_right_when_typed_in() {
    let (dir, outer) = (unpack(&good()), tempfile::tempdir().expect("a folder"));
    let bundle = outer.path().join("bundle");
    std::fs::rename(dir.path(), &bundle).expect("moved into a folder of its own");
    let readme = std::fs::read_to_string(bundle.join("README.txt")).expect("the README");
    assert!(!readme.contains('{') || readme.contains("{ printf"), "a placeholder was left");
    let (_, steps) = readme.split_once("BY HAND\n").expect("the steps");
    let prepare: Vec<&str> = readme.lines().filter(|l| l.starts_with(" mkdir ") || l.starts_with(" sed ")).collect();
    let all_at_once: Vec<&str> =
        readme.lines().filter(|l| l.contains("../check/allowed_signers") && l.contains("verify.")).collect();
    assert_eq!((prepare.len(), all_at_once.len()), (2, 2));
    // the scripts come last: nothing typed before may lie in the bundle
    let script = format!("set -e\n{}\n{steps}\n{}\n", prepare.join("\n"), all_at_once.join("\n"));
    std::fs::write(outer.path().join("steps"), script).expect("a file");
    let output = run(&bundle, "dash", &["../steps"]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Signature Verified Successfully"), "{said}");
    assert_eq!(said.matches("Good \"").count(), 2, "{said}");
    assert!(said.contains(&world().checkpoint(12).root_base64()), "the hand-made proof reaches the root: {said}");
    assert!(said.matches("SHA256:").count() >= 2, "{said}");
    let sums = std::fs::read_to_string(bundle.join("SHA256SUMS")).expect("the sums");
    assert_eq!(said.matches(": OK\n").count(), sums.lines().count(), "{said}");
}

// ---------------------------------------------------------------- bundles

#[test]
fn a_bundle_is_the_same_each_time_and_comes_back_from_its_zip() {
    let files = good();
    assert_eq!(files, good());
    let zip = zipfile::write(&files).expect("a ZIP file");
    assert_eq!(zip, zipfile::write(&files).expect("a ZIP file"));
    assert_eq!(zipfile::read(&zip), Ok(files));
    assert!(zipfile::read(b"no zip").is_err());
    let outside = BTreeMap::from([("../outside".to_string(), Vec::new())]);
    assert!(zipfile::write(&outside).is_err());
}

#[test]
fn the_untouched_bundle_is_verified_by_all_three() {
    // base64 of a key may hold the sign that separates the parts of its name: verify.sh once cut at the last one
    let seed =
        (1..=255).find(|seed| SigningKey::from_seed(&[*seed; 32]).public().to_vkey(ORIGIN).matches('+').count() > 2);
    let plus = World::new(ORIGIN, seed.expect("one key in three has it")).grow();
    let plus = plus.bundle("inc-01", 6, plus.entries.len());
    for (files, erased, withheld) in
        [(good(), 1, 1), (world().bundle("inc-03", 2, 12), 0, 0), (world().bundle("inc-01", 4, 7), 0, 1), (plus, 1, 1)]
    {
        let report = verify_bundle(&files);
        assert!(report.ok, "{:#?}", faults(&report));
        assert_eq!((report.erased, report.withheld), (erased, withheld));
        assert_eq!(report.not_provable.len(), 4);
        let dir = unpack(&files);
        for (program, script) in VERIFIERS {
            let output = run(dir.path(), program, &[script]);
            assert!(output.status.success() && text(&output).contains("VERIFIED: "), "{script}: {}", text(&output));
            let trusted = run(dir.path(), program, &[script, "keys/allowed_signers"]);
            assert!(trusted.status.success(), "{script}: {}", text(&trusted));
        }
    }
}

#[test]
fn a_key_known_from_elsewhere_overrules_the_bundle() {
    let files = good();
    let stranger = SigningKey::from_seed(&[1; 32]).public();
    let world = world();
    let (export_key, log_key) = (Some(world.export_key.public()), Some(world.log_key.public()));
    assert!(verify_bundle_with(&files, &Trust { export_key, log_key, ..Trust::default() }).ok);
    assert!(!verify_bundle_with(&files, &Trust { export_key: Some(stranger), log_key, ..Trust::default() }).ok);
    assert!(!verify_bundle_with(&files, &Trust { export_key, log_key: Some(stranger), ..Trust::default() }).ok);
    let dir = unpack(&files);
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let signers = String::from_utf8(files["keys/allowed_signers"].clone()).expect("text");
    let path = elsewhere.path().join("signers");
    let path = path.to_str().expect("a path in UTF-8");
    for key in [world.export_key.public(), world.log_key.public()] {
        std::fs::write(path, signers.replace(&key.ssh_line(), &stranger.ssh_line())).expect("a file");
        for (program, script) in VERIFIERS {
            assert!(!run(dir.path(), program, &[script, path]).status.success(), "{script}");
        }
    }
}

#[test]
fn the_report_escapes_and_loads_nothing() {
    let page = String::from_utf8(good()["report.html"].clone()).expect("text");
    assert!(page.contains("on a &lt;paste&gt; site &amp; more"));
    for word in ["<script", "<link", "src=", "url(", "@import", "<paste>"] {
        assert!(!page.contains(word), "{word}");
    }
    for entry in world().entries.iter().filter(|e| e.stream == "inc-01") {
        assert!(page.contains(&hex(&entry.sha256)));
    }
    assert!(page.contains("no time stamp was configured"));
}

#[test]
fn what_is_hidden_cannot_be_exported() {
    let world = world();
    let input = |change: fn(&mut ExportInput<'_>)| {
        let stream: Vec<&EvidenceEntry> = world.entries.iter().filter(|e| e.stream == "inc-03").collect();
        let leaves = world.leaves();
        let named = export::commitments(stream.iter().map(|e| e.bytes.as_slice()));
        let mut input = ExportInput {
            product: "breachclock 0.1.0",
            entries: stream.iter().map(|e| e.bytes.clone()).collect(),
            proofs: stream.iter().filter_map(|e| merkle::inclusion(&Leaves(&leaves), e.idx, 12)).collect(),
            disclosures: world.disclosures.iter().filter(|d| named.contains(&d.commitment)).cloned().collect(),
            attachments: Vec::new(),
            rules: Vec::new(),
            checkpoint: world.checkpoint(12),
            log_key: &world.log_key,
            export_key: &world.export_key,
            exporter: "acme-breachclock",
            report: model(),
        };
        change(&mut input);
        export::build(input)
    };
    assert!(input(|_| ()).is_ok());
    let changes: [fn(&mut ExportInput<'_>); 7] = [
        |input| drop(input.disclosures.pop()),
        |input| input.disclosures.push(Disclosure::new(&[1; 32], "/title", &"foreign")),
        |input| input.rules.push(b"{}".to_vec()),
        |input| input.attachments.push(b"a file".to_vec()),
        |input| drop(input.entries.pop()),
        |input| input.proofs.swap(0, 1),
        |input| input.exporter = "two words",
    ];
    for (change, at) in changes.into_iter().zip(0..) {
        assert!(input(change).is_err(), "change {at}");
    }
}

#[test]
fn fsck_finds_each_kind_of_damage() {
    let world = world();
    let lines = || world.entries.iter().map(|e| e.bytes.clone()).collect::<Vec<_>>();
    let checkpoints = [world.checkpoint(12), world.checkpoint(0), world.checkpoint(5)];
    let report = verify_log(ORIGIN, lines(), &checkpoints);
    assert!(report.ok, "{report:?}");
    assert_eq!((report.entries, report.streams, report.root), (12, 4, world.checkpoint(12).root));
    let damaged = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut lines = lines();
        change(&mut lines);
        verify_log(ORIGIN, lines, &checkpoints)
    };
    type Damage<'a> = &'a dyn Fn(&mut Vec<Vec<u8>>);
    let changes: [(&str, Damage<'_>); 6] = [
        ("a byte", &|lines| lines[3][200] ^= 1),
        ("the tail", &|lines| drop(lines.pop())),
        ("an entry", &|lines| drop(lines.remove(4))),
        ("the order", &|lines| lines.swap(2, 3)),
        ("white space", &|lines| lines[2].insert(1, b' ')),
        ("a twin", &|lines| lines.insert(2, lines[2].clone())),
    ];
    for (what, change) in changes {
        let report = damaged(change);
        assert!(!report.ok && report.fault_count > 0 && !report.faults.is_empty(), "{what}");
    }
    assert!(!verify_log("another.example/log", lines(), &[]).ok);
}

#[test]
fn personal_data_is_not_in_an_entry_nor_in_debug_output() {
    let world = world();
    for entry in &world.entries {
        let line = String::from_utf8(entry.bytes.clone()).expect("text");
        assert!(!line.contains("Fontaine") && !line.contains("laptop") && !line.contains("2026-0412"));
    }
    let mut sealer = Sealer::new(|| [3; 32]);
    let name = sealer.seal("/by", "Ada".to_string());
    let disclosures = sealer.into_disclosures();
    let draft = Draft::unchecked(
        "inc-1",
        "a.b",
        chrono::DateTime::UNIX_EPOCH,
        [0; 16],
        &serde_json::json!({"by": name.clone()}),
    )
    .with_disclosures(disclosures.clone());
    assert!(!format!("{name:?} {draft:?}").contains("Ada"));
    let want = r#"["AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM","/by","Ada"]"#;
    assert_eq!(disclosures[0].bytes, want.as_bytes());
    assert_eq!(name.commitment(), sha256(want.as_bytes()));
    let entry = seal(&draft, "a.example/log", 5, &StreamHead { n: 2, prev: [0xab; 32] });
    let want = format!(
        "{{\"v\":1,\"log\":\"a.example/log\",\"idx\":5,\"stream\":\"inc-1\",\"n\":3,\"prev\":\"{}\",\"ts\":\"1970-01-01T00:00:00.000000Z\",\
         \"type\":\"a.b\",\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"body\":{{\"by\":{{\"$c\":\"{}\"}}}}}}\n",
        "ab".repeat(32),
        hex(&name.commitment())
    );
    assert_eq!(String::from_utf8(entry.bytes).expect("text"), want);
}

// ---------------------------------------------------------------- tamperings

pub(super) const VERIFIERS: [(&str, &str); 2] = [("dash", "verify.sh"), ("python3", "verify.py")];

fn faults(report: &VerifyReport) -> Vec<String> {
    let line =
        |c: &breachclock::evidence::Check| format!("{} {}: {}", c.name, c.file.as_deref().unwrap_or(""), c.detail);
    report.checks.iter().filter(|c| !c.ok).map(line).collect()
}

/// One step of a vector; names starting with `@` stand for a file whose name is a hash.
fn apply(files: &mut BTreeMap<String, Vec<u8>>, step: &Value) {
    let word = |name: &str| step[name].as_str().unwrap_or_else(|| panic!("`{name}` is missing in {step}")).to_string();
    let file = step["file"].as_str().map(|name| resolve(files, name)).unwrap_or_default();
    let folder = file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    match word("op").as_str() {
        "remove" => assert!(files.remove(&file).is_some(), "no `{file}`"),
        "write" => drop(files.insert(file, word("text").into_bytes())),
        "flip" => files.get_mut(&file).expect("a file")[step["at"].as_u64().expect("at") as usize] ^= 1,
        "swap" => {
            let with = resolve(files, &word("with"));
            let (one, two) = (files[&file].clone(), files[&with].clone());
            files.extend([(file, two), (with, one)]);
        }
        "rename" => {
            let content = files.remove(&file).expect("a file");
            files.insert(word("to"), content);
        }
        // the careful forger keeps name and sum in step
        "rename-to-sum" => {
            let content = files.remove(&file).expect("a file");
            let ending = if folder == "attachments/" { "" } else { ".json" };
            let name = format!("{folder}{}{ending}", hex(&sha256(&content)));
            let (old, new) = (stem(&file), stem(&name));
            files.insert(name, content);
            let index = String::from_utf8(files["bundle.json"].clone()).expect("text").replace(&old, &new);
            files.insert("bundle.json".into(), index.into_bytes());
        }
        "replace" => {
            let text = String::from_utf8(files[&file].clone()).expect("text");
            let changed = text.replace(&word("find"), &word("with"));
            assert_ne!(text, changed, "nothing to replace in `{file}`");
            files.insert(file, changed.into_bytes());
        }
        "replace-each" => {
            let (find, with) = (word("find"), word("with"));
            let mut changed = 0;
            for (_, content) in files.range_mut(word("prefix")..).take_while(|(n, _)| n.starts_with(&word("prefix"))) {
                let text = String::from_utf8(content.clone()).expect("text");
                changed += text.matches(&find).count();
                *content = text.replace(&find, &with).into_bytes();
            }
            assert!(changed > 0, "nothing to replace in {step}");
        }
        // every link again, and the sums in index and report
        "rechain" => {
            let names: Vec<String> = files.keys().filter(|name| name.starts_with("entries/")).cloned().collect();
            let mut prev = "0".repeat(64);
            for name in names {
                let text = String::from_utf8(files[&name].clone()).expect("text");
                let at = text.find("\"prev\":\"").expect("a link") + 8;
                let linked = format!("{}{prev}{}", &text[..at], &text[at + 64..]).into_bytes();
                prev = hex(&sha256(&linked));
                files.insert(name.clone(), linked);
                // the sum it had at export, by its place in the index
                let n: u64 = name[8..14].parse().expect("a number");
                let index = String::from_utf8(files["bundle.json"].clone()).expect("text");
                let row = index.lines().find(|line| line.starts_with(&format!("{{\"n\":{n},"))).expect("a row");
                let old = row.split("\"sha256\":\"").nth(1).expect("a sum")[..64].to_string();
                for file in ["bundle.json", "report.html"] {
                    let text = String::from_utf8(files[file].clone()).expect("text").replace(&old, &prev);
                    files.insert(file.into(), text.into_bytes());
                }
            }
        }
        "nonce" | "resalt" => {
            let mut content = files[&file].clone();
            let at = content.windows(9).position(|w| w == b"\"nonce\":\"").map_or(2, |at| at + 9);
            content[at] = if content[at] == b'A' { b'B' } else { b'A' };
            files.insert(file, content);
        }
        "cut-line" | "double-line" | "swap-lines" => {
            let text = String::from_utf8(files[&file].clone()).expect("text");
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            let at = step["line"].as_u64().expect("line") as usize - 1;
            match word("op").as_str() {
                "cut-line" => drop(lines.remove(at)),
                "double-line" => lines.insert(at, lines[at]),
                _ => lines.swap(at, step["with"].as_u64().expect("with") as usize - 1),
            }
            files.insert(file, lines.concat().into_bytes());
        }
        // takes entry n away and moves the later ones up, in names and in the index
        "cut-entry" => {
            let n = step["n"].as_u64().expect("n");
            for (kind, ending) in [("entries", "json"), ("proofs", "tlog-proof")] {
                let name = |n: u64| format!("{kind}/{n:06}.{ending}");
                files.remove(&name(n)).expect("the entry");
                for later in n + 1.. {
                    let Some(content) = files.remove(&name(later)) else { break };
                    files.insert(name(later - 1), content);
                }
            }
            reindex(files, n);
        }
        "take" => {
            let other = match word("from").as_str() {
                "another-log" => World::new("breachclock.example.org/acme/02", 101).grow().bundle("inc-01", 6, 12),
                "another-key" => World::new(ORIGIN, 101).grow().bundle("inc-01", 6, 12),
                "another-incident" => world().bundle("inc-03", 2, 12),
                "fork" => World { salts: 7, ..World::new(ORIGIN, 100) }.grow().bundle("inc-01", 6, 12),
                "another-exporter" => {
                    World { export_key: SigningKey::from_seed(&[1; 32]), ..world() }.bundle("inc-01", 6, 12)
                }
                "an-earlier-checkpoint" => world().bundle("inc-01", 6, 9),
                "an-earlier-export" => world().bundle("inc-01", 4, 7),
                other => panic!("no bundle `{other}`"),
            };
            let prefix = word("prefix");
            for (name, content) in other.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix)) {
                let name = step["to"].as_str().unwrap_or(name);
                files.insert(name.to_string(), content.clone());
            }
        }
        // signs whatever checkpoint.txt says, with the log's key or a stranger's
        "sign-checkpoint" => {
            let note = String::from_utf8(files["checkpoint.txt"].clone()).expect("text");
            let read = Checkpoint::parse(&note).expect("a checkpoint").claimed().clone();
            let key = if word("key") == "log" { world().log_key } else { SigningKey::from_seed(&[1; 32]) };
            let root = if step["root"] == "zeros" { [0; 32] } else { read.root };
            let signed = Checkpoint::sign(&read.origin, read.size, root, &key).expect("a log").note;
            for (name, proof) in files.iter_mut().filter(|(name, _)| name.starts_with("proofs/")) {
                let text = String::from_utf8(proof.clone()).expect("text");
                let (head, _) = text.split_once("\n\n").unwrap_or_else(|| panic!("no checkpoint in `{name}`"));
                *proof = format!("{head}\n\n{signed}").into_bytes();
            }
            files.insert(
                "checkpoint.txt.sig".into(),
                sshsig::sign(&key, "breachclock-checkpoint-v1", signed.as_bytes()).into(),
            );
            files.insert("checkpoint.txt".into(), signed.into_bytes());
        }
        "copy-line" | "cosign" | "carry-checkpoint" => cosigned::apply(files, step),
        op => panic!("no operation `{op}`"),
    }
}

fn stem(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().trim_end_matches(".json").to_string()
}

/// `@disclosure:/title`, `@attachment`, `@rules`.
fn resolve(files: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    let starts = |prefix: &str| files.keys().find(|name| name.starts_with(prefix)).cloned();
    let found = match name.strip_prefix('@').map(|rest| rest.split_once(':').unwrap_or((rest, ""))) {
        None => return name.to_string(),
        Some(("attachment", _)) => starts("attachments/"),
        Some(("rules", _)) => starts("rules/"),
        Some((_, pointer)) => files
            .iter()
            .filter(|(name, _)| name.starts_with("disclosures/"))
            .find(|(_, bytes)| Disclosure::from_bytes(bytes.to_vec()).read().is_some_and(|(at, _)| at == pointer))
            .map(|(name, _)| name.clone()),
    };
    found.unwrap_or_else(|| panic!("no file `{name}`"))
}

fn reindex(files: &mut BTreeMap<String, Vec<u8>>, cut: u64) {
    let index = String::from_utf8(files["bundle.json"].clone()).expect("text");
    let mut lines: Vec<String> = Vec::new();
    for line in index.lines().filter(|line| !line.starts_with(&format!("{{\"n\":{cut},"))) {
        let n = line.strip_prefix("{\"n\":").and_then(|rest| rest.split(',').next()?.parse::<u64>().ok());
        match n.filter(|n| *n > cut) {
            Some(n) => lines.push(line.replacen(&format!("{{\"n\":{n},"), &format!("{{\"n\":{},", n - 1), 1)),
            None => lines.push(line.to_string()),
        }
    }
    let text = lines.join("\n").replace("\"},\n]", "\"}\n]") + "\n";
    files.insert("bundle.json".into(), text.into_bytes());
}

/// Each `tests/vectors/evidence/*.json`: `what`, `want` (`ok` or `err`), `file` (the one at fault), `says` (words that all
/// three say besides), `reseal` (whether the forger has the real export key), `bundle` (`cosigned`: the one with witnesses),
/// `do` (the steps).
#[test]
fn each_named_tampering_is_judged_the_same_by_all_three() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/evidence");
    let mut paths: Vec<_> =
        std::fs::read_dir(&folder).expect("the vectors").map(|e| e.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.sort();
    assert!(paths.len() >= 80, "only {} vectors", paths.len());
    let bundles = [good(), cosigned::bundle()];
    let export_key = world().export_key;
    let halves = paths.chunks(paths.len().div_ceil(2));
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = halves
            .map(|paths| {
                let (bundles, export_key) = (&bundles, &export_key);
                scope.spawn(move || {
                    paths.iter().filter_map(|path| judge(path, bundles, export_key).err()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a vector that can be read")).collect()
    });
    assert!(wrong.is_empty(), "{} of {} vectors:\n{}", wrong.len(), paths.len(), wrong.join("\n"));
}

fn judge(path: &Path, bundles: &[BTreeMap<String, Vec<u8>>; 2], export_key: &SigningKey) -> Result<(), String> {
    let vector: Value = serde_json::from_slice(&std::fs::read(path).expect("a vector")).expect("a JSON vector");
    let bundle = &bundles[usize::from(vector["bundle"] == "cosigned")];
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut files = bundle.clone();
    let at_fault = vector["file"]
        .as_str()
        .map(|file| if file.starts_with('@') { resolve(&files, file) } else { file.to_string() });
    vector["do"].as_array().expect("`do`").iter().for_each(|step| apply(&mut files, step));
    if vector["reseal"].as_bool().expect("`reseal`") {
        seal_sums(&mut files, export_key);
    }
    let want = vector["want"] == "ok";
    let report = verify_bundle(&files);
    // where the vector names no file, the others must name the one we do
    let at_fault = at_fault.or_else(|| report.checks.iter().find_map(|c| c.file.clone().filter(|_| !c.ok)));
    let mut wrong = Vec::new();
    if !want && at_fault.is_none() {
        wrong.push(format!("{name}: ours names no file: {:?}", faults(&report)));
    }
    if report.ok != want {
        wrong.push(format!("{name}: ours says ok = {}: {:?}", report.ok, faults(&report)));
    }
    let words = vector["says"].as_str().unwrap_or_default();
    let names_it =
        |said: &str| at_fault.as_ref().is_none_or(|file| said.contains(file.as_str())) && said.contains(words);
    if !want && !names_it(&faults(&report).join("\n")) {
        wrong.push(format!(
            "{name}: ours does not name `{}`: {:?}",
            at_fault.clone().unwrap_or_default(),
            faults(&report)
        ));
    }
    let dir = unpack(&files);
    // a forger may have changed the scripts: the reader's own copies judge
    for (program, script) in VERIFIERS {
        let output = if files.contains_key(script) && files[script] == bundle[script] {
            run(dir.path(), program, &[script])
        } else {
            continue;
        };
        let said = text(&output);
        if output.status.success() != want || !matches!(output.status.code(), Some(0 | 1)) {
            wrong.push(format!("{name}: {script} says {:?}: {said}", output.status.code()));
        } else if !names_it(&said) {
            wrong.push(format!("{name}: {script} does not name `{}`: {said}", at_fault.clone().unwrap_or_default()));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

#[test]
fn verify_sh_is_plain_sh() {
    let dir = unpack(&good());
    let output = run(dir.path(), "dash", &["-n", "verify.sh"]);
    assert!(output.status.success(), "{}", text(&output));
}
