//! The reader that does not trust us: everything a bundle claims, rebuilt from its files.
//!
//! Shares with the writer only SHA-256 and the Ed25519 and Merkle verification; parses with its own strict reader.
//! `bundle/verify.sh` and `bundle/verify.py` decide the same; `tests/house/evidence_vectors.rs` holds all three to it.
//! Absent: trust. Whose the keys are is known from outside ([`Trust`]); without that the report says so.

mod anchors;
mod content;
mod note;
mod rotations;
mod witnesses;

use super::strict::{Envelope, Json, envelope, number};
use super::tsp::Roots;
use super::{Hash, PublicKey, hex, leaf_hash, merkle, sha256, sshsig, unhex32};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use note::{Foreign, as_signed, read_cosigned, read_note, signed_by};
use std::collections::{BTreeMap, BTreeSet};
pub use witnesses::Witnessed;

/// One thing that was checked, or one fault found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked, e.g. `chain`.
    pub name: &'static str,
    pub ok: bool,
    pub detail: String,
    /// The file at fault.
    pub file: Option<String>,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    pub ok: bool,
    /// Every check that held, and every fault.
    pub checks: Vec<Check>,
    pub origin: String,
    pub stream: String,
    pub entries: u64,
    pub disclosed: u64,
    pub erased: u64,
    pub withheld: u64,
    /// `SHA256:…` of the keys that signed, to be compared with what was published.
    pub export_fingerprint: String,
    pub log_fingerprint: String,
    /// Log keys before the present one, with the size of the log up to which each signed; newest first.
    pub earlier_log_keys: Vec<(u64, String)>,
    /// Since when the entries exist at least, in runs, as time-stamping authorities say.
    pub existed: Vec<Existed>,
    /// The time that the stamp over the whole bundle states.
    pub packed: Option<String>,
    /// What witnesses saw of the log, by size.
    pub witnessed: Vec<Witnessed>,
    /// Signature lines under checkpoints by keys that nobody named: they are ignored.
    pub unknown_cosignatures: u64,
    /// Sentences on what no bundle, or not this one, can show.
    pub not_provable: Vec<String>,
}

/// Entries `from` to `to` of the stream existed no later than this (RFC 3339); `None` when nothing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existed {
    pub from: u64,
    pub to: u64,
    pub no_later_than: Option<String>,
}

/// Keys known from elsewhere: a letter, a web site, DNS. `None` trusts the copy in the bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    pub export_key: Option<PublicKey>,
    pub log_key: Option<PublicKey>,
    /// Certificates of time-stamping authorities, instead of those in `tsa/`.
    pub authorities: Option<Roots>,
    /// Keys of witnesses, instead of those in `keys/witness.vkeys`.
    pub witnesses: Option<Vec<super::Cosigner>>,
}

/// Checks a bundle against the keys it carries.
pub fn verify_bundle(files: &BTreeMap<String, Vec<u8>>) -> VerifyReport {
    verify_bundle_with(files, &Trust::default())
}

/// Checks a bundle against keys known from elsewhere.
pub fn verify_bundle_with(files: &BTreeMap<String, Vec<u8>>, trust: &Trust) -> VerifyReport {
    let mut reader = Reader { files, report: VerifyReport::default(), faults: 0 };
    reader.check("files", "no file is unlisted or foreign", Reader::layout);
    reader.check("sums", "each file is as it was at export", Reader::sums);
    let keys = reader.keys(trust);
    reader.check("export signature", "SHA256SUMS is signed by the export key", |r| r.export_signature(&keys));
    let tree = reader.checkpoint(&keys);
    let chain = reader.rotations(&keys, &tree, trust);
    let entries = reader.entries(&tree);
    reader.check("proofs", "each entry is in the log", |r| r.proofs(&tree, &entries));
    let anchors = reader.anchors(&keys, &chain, &tree, &entries, trust);
    let witnessed = reader.witnesses(&entries, trust);
    reader.content(&tree, &entries, &anchors, &witnessed);
    let mut report = reader.report;
    report.ok = reader.faults == 0;
    report.not_provable = not_provable(trust, &report);
    report
}

fn not_provable(trust: &Trust, report: &VerifyReport) -> Vec<String> {
    let stamped = report.existed.iter().any(|run| run.no_later_than.is_some());
    let age = match stamped {
        true => "that an entry is not younger than it says: a time stamp says \"no later than\"",
        false => "that an entry is as old as it says: the bundle holds no time stamp",
    };
    let mut list = vec![
        "that a statement was true when it was written".to_string(),
        age.to_string(),
        match report.witnessed.is_empty() {
            true => "that nobody was shown another log: compare size and root with those in earlier e-mails",
            false => {
                "that nobody was shown another log, one without cosignatures of these witnesses: compare size and root"
            }
        }
        .to_string(),
    ];
    if trust.export_key.is_none() || trust.log_key.is_none() {
        list.push("whose the keys are: compare their fingerprints with those published elsewhere".to_string());
    }
    if stamped && trust.authorities.is_none() {
        list.push(
            "who the time-stamping authorities are: compare the certificates in tsa/ with those they publish".into(),
        );
    }
    if !report.witnessed.is_empty() && trust.witnesses.is_none() {
        list.push("who the witnesses are: compare keys/witness.vkeys with the keys that they publish".into());
    }
    if report.witnessed.is_empty() && trust.witnesses.is_some() {
        list.push("that a witness saw this log: none of those that you trust cosigned it".into());
    }
    for run in report.existed.iter().filter(|run| stamped && run.no_later_than.is_none()) {
        list.push(format!("how old entries {} to {} are: no time stamp covers them", run.from, run.to));
    }
    list
}

/// Files that stand in every bundle.
const FIXED: [&str; 12] = [
    "README.txt",
    "SHA256SUMS",
    "SHA256SUMS.sig",
    "bundle.json",
    "checkpoint.txt",
    "checkpoint.txt.sig",
    "keys/allowed_signers",
    "keys/log.pub.pem",
    "keys/log.vkey",
    "report.html",
    "verify.py",
    "verify.sh",
];

/// Files that not every program makes: the template of a statement, and the printed report, for which it needs a printer.
const ALSO: [&str; 2] = ["certification.txt", "report.pdf"];

/// Made after the list, over it.
const UNLISTED: [&str; 3] = ["SHA256SUMS", "SHA256SUMS.sig", "SHA256SUMS.tsr"];

struct Reader<'a> {
    files: &'a BTreeMap<String, Vec<u8>>,
    report: VerifyReport,
    faults: usize,
}

/// Keys to check with, and the names they go by.
#[derive(Default)]
struct Keys {
    exporter: String,
    export: Option<PublicKey>,
    origin: String,
    log: Option<PublicKey>,
}

/// The signed state of the log.
#[derive(Default)]
struct Tree {
    origin: String,
    size: u64,
    root: Hash,
    note: String,
}

/// An entry that could be read.
struct Entry<'a> {
    file: String,
    bytes: &'a [u8],
    envelope: Envelope<'a>,
    body: Json,
}

impl<'a> Reader<'a> {
    fn check(&mut self, name: &'static str, holds: &str, run: impl FnOnce(&mut Self)) {
        let before = self.faults;
        run(self);
        for check in &mut self.report.checks {
            if check.name.is_empty() {
                check.name = name;
            }
        }
        if self.faults == before {
            self.report.checks.push(Check { name, ok: true, detail: holds.to_string(), file: None });
        }
    }

    fn fault(&mut self, file: &str, detail: impl Into<String>) {
        self.faults += 1;
        let file = (!file.is_empty()).then(|| file.to_string());
        self.report.checks.push(Check { name: "", ok: false, detail: detail.into(), file });
    }

    fn text(&mut self, name: &str) -> Option<&'a str> {
        let files = self.files;
        match files.get(name).map(|bytes| std::str::from_utf8(bytes)) {
            Some(Ok(text)) => Some(text),
            Some(Err(_)) => {
                self.fault(name, "is no UTF-8 text");
                None
            }
            None => {
                self.fault(name, "is missing");
                None
            }
        }
    }

    /// Files of a folder: name without folder and ending, full name, content.
    fn folder(&self, folder: &str, ending: &str) -> Vec<(String, String, &'a [u8])> {
        let files = self.files;
        let prefix = format!("{folder}/");
        files
            .range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&prefix))
            .map(|(name, bytes)| {
                let stem = name[prefix.len()..].strip_suffix(ending).unwrap_or_default().to_string();
                (stem, name.clone(), bytes.as_slice())
            })
            .collect()
    }

    fn layout(&mut self) {
        for name in FIXED {
            if !self.files.contains_key(name) {
                self.fault(name, "is missing");
            }
        }
        let files = self.files;
        let optional = |name: &str| ["checkpoint.txt.tsr", "SHA256SUMS.tsr", witnesses::KEYS].contains(&name);
        let named = |name: &str| FIXED.contains(&name) || ALSO.contains(&name) || optional(name);
        for name in files.keys().filter(|name| !named(name)) {
            let (folder, file) = name.split_once('/').unwrap_or_default();
            let numbered = |ending| {
                file.strip_suffix(ending).is_some_and(|n| n.len() >= 6 && n.bytes().all(|c| c.is_ascii_digit()))
            };
            let hashed = |ending| file.strip_suffix(ending).is_some_and(|h| unhex32(h).is_some());
            let known = match folder {
                "entries" => numbered(".json"),
                "proofs" => numbered(".tlog-proof"),
                "disclosures" | "rules" => hashed(".json"),
                "attachments" => hashed(""),
                "rotations" => file.split_once('/').is_some_and(|(size, file)| {
                    size.len() == 10
                        && size.bytes().all(|c| c.is_ascii_digit())
                        && ["checkpoint.txt", "consistency.txt", "entry.json", "entry.tlog-proof"].contains(&file)
                }),
                "tsa" => file.strip_suffix(".pem").is_some_and(|name| !name.is_empty() && !name.contains('/')),
                "anchors" => file.split_once('/').is_some_and(|(size, file)| {
                    let proof = file.strip_suffix(".tlog-proof");
                    size.len() == 10
                        && size.bytes().all(|c| c.is_ascii_digit())
                        && (["checkpoint.txt", "checkpoint.txt.tsr", "consistency.txt"].contains(&file)
                            || proof.is_some_and(|n| n.len() >= 6 && n.bytes().all(|c| c.is_ascii_digit())))
                }),
                _ => false,
            };
            if !known {
                self.fault(name, "does not belong into a bundle");
            }
        }
    }

    fn sums(&mut self) {
        let Some(text) = self.text("SHA256SUMS") else { return };
        let mut listed = BTreeSet::new();
        if text.is_empty() {
            self.fault("SHA256SUMS", "is empty");
        }
        for line in text.split_inclusive('\n') {
            let read = line.strip_suffix('\n').and_then(|line| line.split_once("  "));
            let Some((Some(sum), name)) = read.map(|(sum, name)| (unhex32(sum), name)) else {
                self.fault("SHA256SUMS", format!("line `{}` is no sum and name", line.trim_end()));
                continue;
            };
            if !listed.insert(name) {
                self.fault("SHA256SUMS", format!("lists `{name}` twice"));
            }
            match self.files.get(name) {
                None => self.fault(name, "is listed in SHA256SUMS and missing"),
                Some(bytes) if sha256(bytes) != sum => self.fault(name, "was changed after export: its sum differs"),
                Some(_) => {}
            }
        }
        let files = self.files;
        for name in files.keys().filter(|name| !UNLISTED.contains(&name.as_str()) && !listed.contains(name.as_str())) {
            self.fault(name, "is not listed in SHA256SUMS");
        }
    }

    /// The copies in `keys/`, which must name one log key three times, overruled by what is known from elsewhere.
    fn keys(&mut self, trust: &Trust) -> Keys {
        let mut keys = Keys::default();
        self.check("keys", "the key files agree with each other", |reader| reader.read_keys(&mut keys));
        let known = trust.export_key.is_some() || trust.log_key.is_some();
        let words = match known {
            true => "the keys are the expected ones",
            false => "no key was given to compare with: taken are those of the bundle itself",
        };
        self.check("trust", words, |reader| {
            // the log key may have been changed since: that is judged by its changes
            if let Some(want) = trust.export_key.filter(|want| keys.export != Some(*want)) {
                reader.fault("keys/allowed_signers", format!("the export key is not {}", want.fingerprint()));
            }
        });
        let print = |key: Option<PublicKey>| key.map(|key| key.fingerprint()).unwrap_or_default();
        self.report.export_fingerprint = print(keys.export);
        self.report.log_fingerprint = print(keys.log);
        keys
    }

    fn read_keys(&mut self, keys: &mut Keys) {
        let signers = self.text("keys/allowed_signers").unwrap_or_default();
        let lines: Vec<&str> = signers.split_terminator('\n').collect();
        let read = |at: usize, space: &str| {
            let (name, rest) = lines.get(at)?.split_once(' ')?;
            let key = rest.strip_prefix(&format!("namespaces=\"{space}\" ssh-ed25519 "))?;
            let key = PublicKey(*STANDARD.decode(key).ok()?.last_chunk::<32>()?);
            (rest.ends_with(&key.ssh_line())).then(|| (name.to_string(), key))
        };
        let (export, log) = (read(0, "breachclock-export-v1"), read(1, "breachclock-checkpoint-v1"));
        let (Some(export), Some(log), 2) = (export, log, lines.len()) else {
            return self.fault("keys/allowed_signers", "does not hold one export key and one log key");
        };
        (keys.exporter, keys.export) = (export.0, Some(export.1));
        (keys.origin, keys.log) = (log.0, Some(log.1));
        if self.text("keys/log.vkey").is_some_and(|vkey| vkey != format!("{}\n", log.1.to_vkey(&keys.origin))) {
            self.fault("keys/log.vkey", "is not the log key of allowed_signers");
        }
        if self.text("keys/log.pub.pem").is_some_and(|pem| pem != log.1.to_pem()) {
            self.fault("keys/log.pub.pem", "is not the log key of allowed_signers");
        }
    }

    fn export_signature(&mut self, keys: &Keys) {
        let (Some(sums), Some(signature)) = (self.text("SHA256SUMS"), self.text("SHA256SUMS.sig")) else { return };
        self.ssh_signature("SHA256SUMS.sig", signature, "breachclock-export-v1", sums, keys.export);
    }

    fn ssh_signature(&mut self, file: &str, signature: &str, space: &str, signed: &str, want: Option<PublicKey>) {
        match sshsig::verify(signature, space, signed.as_bytes()) {
            Ok(key) if Some(key) == want => {}
            Ok(_) => self.fault(file, "is by a key that allowed_signers does not name"),
            Err(why) => self.fault(file, format!("does not hold: {why}")),
        }
    }

    fn checkpoint(&mut self, keys: &Keys) -> Tree {
        let mut tree = Tree::default();
        self.check("checkpoint", "size and root are signed by the log key, twice", |reader| {
            let Some(note) = reader.text("checkpoint.txt") else { return };
            match read_note(note, 1) {
                Some((read, _)) => {
                    if !keys.log.is_some_and(|key| signed_by(note, &keys.origin, &key, 1)) {
                        reader.fault("checkpoint.txt", "is not signed by the log key");
                    }
                    tree = read;
                }
                None => reader.fault("checkpoint.txt", "is no checkpoint with one signature"),
            }
            if let Some(signature) = reader.text("checkpoint.txt.sig") {
                reader.ssh_signature("checkpoint.txt.sig", signature, "breachclock-checkpoint-v1", note, keys.log);
            }
        });
        self.report.origin.clone_from(&tree.origin);
        tree
    }

    fn proofs(&mut self, tree: &Tree, entries: &[Entry<'a>]) {
        let mut left: BTreeSet<String> = self.folder("proofs", "").into_iter().map(|(_, name, _)| name).collect();
        for entry in entries {
            let name = format!("proofs/{:06}.tlog-proof", entry.envelope.n);
            left.remove(&name);
            let Some(text) = self.text(&name) else { continue };
            match read_proof(text, &tree.note) {
                Some((idx, path)) if idx == entry.envelope.idx => {
                    if !merkle::verify_inclusion(&leaf_hash(entry.bytes), idx, tree.size, &path, &tree.root) {
                        self.fault(&name, format!("does not lead from {} to the root", entry.file));
                    }
                }
                Some(_) => self.fault(&name, format!("is for another index than that of {}", entry.file)),
                None => self.fault(&name, "is no proof under checkpoint.txt"),
            }
        }
        left.iter().for_each(|name| self.fault(name, "belongs to no entry"));
    }
}

/// Reads a C2SP tlog-proof@v1 without extra data whose checkpoint is `note`.
fn read_proof(text: &str, note: &str) -> Option<(u64, Vec<Hash>)> {
    let text = text.strip_prefix("c2sp.org/tlog-proof@v1\nindex ")?.strip_suffix(note)?.strip_suffix('\n')?;
    let mut lines = text.split_terminator('\n');
    let idx = number(lines.next()?)?;
    let path = lines.map(|line| STANDARD.decode(line).ok()?.try_into().ok()).collect::<Option<Vec<Hash>>>()?;
    Some((idx, path))
}
