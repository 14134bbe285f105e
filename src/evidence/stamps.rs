//! Time stamps in a bundle: which files they are, what the index and the README say of them.
//!
//! ```text
//! checkpoint.txt.tsr             over the checkpoint of the export
//! anchors/0000000005/            an earlier checkpoint: checkpoint.txt, checkpoint.txt.tsr over it,
//!   consistency.txt              that the log of the export grew from it, one hash a line,
//!   000002.tlog-proof            and that these entries were in it
//! rotations/0000000004/          a change of the log key: the entry that says so, under a checkpoint both keys signed
//! tsa/<name>.pem                 certificates of an authority as of the stamping
//! SHA256SUMS.tsr                 over the whole bundle; made last, by whoever has the bundle and an authority
//! keys/witness.vkeys             keys of the witnesses whose cosignatures stand in checkpoints, behind the log's signature
//! ```
//! Time stamps are over a checkpoint as the log signed it: witnesses may be faster or slower. Absent: asking an authority or
//! a witness, and judging the answers ([`super::tsp`], [`super::cosign`]).

use super::Made;
use super::export::tlog_proof;
use super::{Checkpoint, Cosignature, Hash, Timestamp, hex};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::{BTreeMap, BTreeSet};

/// A response of an authority, as it came, and the time it states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub response: Vec<u8>,
    /// `2026-03-02T09:20:00Z`; a fraction as the authority wrote it.
    pub time: String,
    pub at: Timestamp,
    /// Name of its certificates: `tsa/<name>.pem`.
    pub authority: String,
}

/// An earlier checkpoint that was stamped or cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// As the log signed it.
    pub checkpoint: Checkpoint,
    pub token: Option<Token>,
    /// In the order of a note.
    pub cosignatures: Vec<Cosignature>,
    /// From it to the checkpoint of the export.
    pub consistency: Vec<Hash>,
    /// Number in the stream, index and inclusion proof of the entries that this checkpoint is the first to cover.
    pub proofs: Vec<(u64, u64, Vec<Hash>)>,
}

/// A change of the log key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The `key.rotated` entry, exact bytes, and its index.
    pub entry: Vec<u8>,
    pub idx: u64,
    pub proof: Vec<Hash>,
    /// Signed by both keys.
    pub checkpoint: Checkpoint,
    /// From it to the checkpoint of the export.
    pub consistency: Vec<Hash>,
}

crate::entry_body! {
    /// Body of a `key.rotated` entry: member order is part of the format. Verifier keys of C2SP signed-note.
    pub struct KeyRotated {
        /// `log`.
        pub key: &'static str,
        pub old: Made,
        pub new: Made,
    }
}

/// What others say of the log of one export, and the changes of its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// Whether there is anybody to be asked: what is missing is explained by it.
    pub configured: bool,
    pub checkpoint: Option<Token>,
    /// Whether a witness is configured: that none cosigned is told then.
    pub witnessed: bool,
    /// Under the checkpoint of the export, in the order of a note.
    pub cosignatures: Vec<Cosignature>,
    /// By size, ascending.
    pub earlier: Vec<Earlier>,
    /// PEM by name of the authority.
    pub certificates: BTreeMap<String, String>,
    pub rotations: Vec<Rotation>,
    /// Whether `SHA256SUMS.tsr` will lie beside the bundle's other files.
    pub sums: bool,
}

impl Earlier {
    /// With the lines of its witnesses.
    fn cosigned(&self) -> Checkpoint {
        self.checkpoint.clone().cosigned(&self.cosignatures)
    }
}

impl Stamps {
    /// Files of a bundle under `last`, the checkpoint of the export. `SHA256SUMS.tsr` is not among them.
    pub(super) fn files(&self, last: &Checkpoint) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        if let Some(token) = &self.checkpoint {
            files.push(("checkpoint.txt.tsr".to_string(), token.response.clone()));
        }
        for earlier in &self.earlier {
            let (folder, checkpoint) = (folder(earlier.checkpoint.size), earlier.cosigned());
            files.push((format!("{folder}/checkpoint.txt"), checkpoint.note.clone().into_bytes()));
            let token = earlier.token.as_ref().map(|token| token.response.clone());
            files.extend(token.map(|token| (format!("{folder}/checkpoint.txt.tsr"), token)));
            files.push((format!("{folder}/consistency.txt"), lines(&earlier.consistency)));
            for (n, idx, proof) in &earlier.proofs {
                let text = tlog_proof(*idx, proof, &checkpoint);
                files.push((format!("{folder}/{n:06}.tlog-proof"), text.into_bytes()));
            }
        }
        for rotation in &self.rotations {
            let folder = format!("rotations/{:010}", rotation.checkpoint.size);
            let proof = tlog_proof(rotation.idx, &rotation.proof, &rotation.checkpoint);
            files.push((format!("{folder}/checkpoint.txt"), rotation.checkpoint.note.clone().into_bytes()));
            files.push((format!("{folder}/consistency.txt"), lines(&rotation.consistency)));
            files.push((format!("{folder}/entry.json"), rotation.entry.clone()));
            files.push((format!("{folder}/entry.tlog-proof"), proof.into_bytes()));
        }
        let keys: BTreeSet<String> = self.under(last).map(|(_, one)| one.by.to_vkey() + "\n").collect();
        if !keys.is_empty() {
            files.push(("keys/witness.vkeys".to_string(), keys.into_iter().collect::<String>().into_bytes()));
        }
        debug_assert!(self.earlier.iter().all(|earlier| earlier.checkpoint.size < last.size));
        files.extend(self.certificates.iter().map(|(name, pem)| (format!("tsa/{name}.pem"), pem.clone().into_bytes())));
        files
    }

    /// Lines of the index, by size.
    pub(super) fn index(&self, last: &Checkpoint) -> Vec<String> {
        let line = |size: u64, time: &str, file: String| format!(r#"{{"size":{size},"at":"{time}","file":"{file}"}}"#);
        let mut lines = Vec::new();
        for earlier in &self.earlier {
            let size = earlier.checkpoint.size;
            let file = format!("{}/checkpoint.txt.tsr", folder(size));
            lines.extend(earlier.token.as_ref().map(|token| line(size, &token.time, file)));
        }
        let own = self.checkpoint.as_ref();
        lines.extend(own.map(|token| line(last.size, &token.time, "checkpoint.txt.tsr".to_string())));
        lines
    }

    /// Each cosignature with the file that carries it, by size.
    fn under<'s>(&'s self, last: &'s Checkpoint) -> impl Iterator<Item = ((u64, String), &'s Cosignature)> {
        let earlier = self.earlier.iter().flat_map(|earlier| {
            let size = earlier.checkpoint.size;
            earlier.cosignatures.iter().map(move |one| ((size, format!("{}/checkpoint.txt", folder(size))), one))
        });
        earlier.chain(self.cosignatures.iter().map(|one| ((last.size, "checkpoint.txt".to_string()), one)))
    }

    /// Lines of the index about witnesses, by size.
    pub(super) fn witness_index(&self, last: &Checkpoint) -> Vec<String> {
        let line = |((size, file), one): ((u64, String), &Cosignature)| {
            let (at, name, id) = (one.time_text(), &one.by.name, hex(&one.by.id()));
            format!(r#"{{"size":{size},"at":"{at}","witness":"{name}","key_id":"{id}","file":"{file}"}}"#)
        };
        self.under(last).map(line).collect()
    }

    /// For each run of entries (first and last number) the time before which they existed; `None` when nothing shows it.
    /// `indices` are those of the entries, in order.
    pub(super) fn ages(&self, indices: &[u64]) -> Vec<(u64, u64, Option<String>)> {
        let mut runs: Vec<(u64, u64, Option<String>)> = Vec::new();
        for (n, idx) in (1..).zip(indices) {
            let covering = self.earlier.iter().filter(|earlier| earlier.checkpoint.size > *idx);
            let covering = covering.filter_map(|earlier| earlier.token.as_ref());
            let time = covering.chain(&self.checkpoint).min_by_key(|token| token.at).map(|token| token.time.clone());
            match runs.last_mut() {
                Some((_, to, last)) if *last == time => *to = n,
                _ => runs.push((n, n, time)),
            }
        }
        runs
    }

    /// One line for the report.
    pub(super) fn summary(&self, indices: &[u64]) -> String {
        let runs = self.ages(indices);
        let said = |(from, to, time): &(u64, u64, Option<String>)| match time {
            Some(time) => format!("{} no later than {time}", run(*from, *to)),
            None => format!("{} by none", run(*from, *to)),
        };
        match (runs.iter().any(|(_, _, time)| time.is_some()), self.configured) {
            (true, _) => runs.iter().map(said).collect::<Vec<_>>().join("; "),
            (false, true) => "no time-stamping authority answered".into(),
            (false, false) => "no time stamp was configured".into(),
        }
    }

    /// Witnesses of the checkpoint of the export and their times, for the report.
    pub(super) fn witnesses(&self) -> Vec<String> {
        self.cosignatures.iter().map(|one| format!("{}, {}", one.by.name, one.time_text())).collect()
    }

    /// What the README says they show, line by line.
    pub(super) fn shown(&self, last: &Checkpoint, indices: &[u64]) -> String {
        let mut lines = String::new();
        for (from, to, time) in self.ages(indices) {
            let Some(time) = time else { continue };
            lines.push_str(&format!(
                " * {} existed no later than {time}, says a time-stamping authority.\n",
                run(from, to)
            ));
        }
        for rotation in &self.rotations {
            let size = rotation.checkpoint.size;
            lines.push_str(&format!(
                " * The log key was changed at size {size}; rotations/ shows that the one before agreed.\n"
            ));
        }
        if self.sums {
            lines.push_str(" * So did this whole bundle at the time that SHA256SUMS.tsr states.\n");
        }
        for ((size, _), one) in self.under(last) {
            let (name, time) = (&one.by.name, one.time_text());
            lines.push_str(&format!(
                " * {name}, a witness, saw the log at size {size} at {time}, grown from all it saw before.\n"
            ));
        }
        lines
    }

    /// What they do not show.
    pub(super) fn not_shown(&self, indices: &[u64]) -> String {
        let witnesses = match (self.witnessed, self.cosignatures.is_empty()) {
            (true, true) => " * That a witness saw the log at this size: none answered in time.\n",
            _ => "",
        };
        self.ages_not_shown(indices) + witnesses
    }

    /// That nobody was shown another log.
    pub(super) fn other_logs(&self) -> &'static str {
        if self.cosignatures.is_empty() { "" } else { ", one without cosignatures of these witnesses" }
    }

    /// What the scripts take besides.
    pub(super) fn witness_argument(&self) -> &'static str {
        let any = !self.cosignatures.is_empty() || self.earlier.iter().any(|earlier| !earlier.cosignatures.is_empty());
        if any {
            ",\n a third one the keys of the witnesses you trust, one a line, instead of keys/witness.vkeys"
        } else {
            ""
        }
    }

    fn ages_not_shown(&self, indices: &[u64]) -> String {
        if !self.configured && self.checkpoint.is_none() && self.earlier.iter().all(|earlier| earlier.token.is_none()) {
            return " * How old an entry is: no time stamp was configured. The times are those of the sender's clock.\n".into();
        }
        let mut lines = String::from(
            " * That an entry is not younger than the time in it: a time stamp says \"no later than\". The times in\n   \
             the entries are those of the sender's clock.\n",
        );
        for (from, to, time) in self.ages(indices) {
            if time.is_none() {
                let what = run(from, to);
                lines.push_str(&format!(" * How old {what} is or are: no time-stamping authority answered in time.\n"));
            }
        }
        if !self.sums {
            lines.push_str(
                " * When this bundle was packed: no time-stamping authority answered (SHA256SUMS.tsr is absent).\n",
            );
        }
        lines
    }

    /// The commands that check them by hand.
    pub(super) fn steps(&self, last: &Checkpoint) -> String {
        self.stamp_steps(last) + &self.witness_step(last)
    }

    /// The first cosignature under the checkpoint of the export, or the first one of all.
    fn witness_step(&self, last: &Checkpoint) -> String {
        let own = self.under(last).find(|((size, _), _)| *size == last.size);
        let Some(((size, file), one)) = own.or(self.under(last).next()) else { return String::new() };
        let earlier = self.earlier.iter().find(|earlier| earlier.checkpoint.size == size);
        let checkpoint = earlier.map_or_else(|| last.clone().cosigned(&self.cosignatures), Earlier::cosigned);
        let at = 1 + checkpoint.note.split_inclusive('\n').position(|line| line == one.line).unwrap_or(0);
        let (name, key, time) = (&one.by.name, STANDARD.encode(one.by.key.0), one.time);
        format!(
            "# 3d what a witness saw (C2SP tlog-cosignature): line {at} of {file} is by {name}, over two lines and the\n\
             #    three of the checkpoint. keys/witness.vkeys is a convenience copy: take the key from the witness itself\n\
             sed -n '{at}s/.* //p' {file} | base64 -d | tail -c +13 > ../check/sig\n\
             {{ echo cosignature/v1; echo time {time}; sed 3q {file}; }} > ../check/cosigned\n\
             {{ printf '\\060\\052\\060\\005\\006\\003\\053\\145\\160\\003\\041\\000'; echo {key} | base64 -d; }} > ../check/witness.der\n\
             openssl pkeyutl -verify -rawin -pubin -keyform DER -inkey ../check/witness.der -in ../check/cosigned -sigfile ../check/sig\n"
        )
    }

    fn stamp_steps(&self, last: &Checkpoint) -> String {
        let Some(some) = self.checkpoint.as_ref().or(self.earlier.iter().find_map(|earlier| earlier.token.as_ref()))
        else {
            return String::new();
        };
        let mut steps = String::from(
            "# 3c since when (time-stamping authorities, RFC 3161). tsa/ holds convenience copies of their certificates: take\n\
             #    the root from the authority itself. -attime judges certificates as of the stamp: they may have ended since\n",
        );
        let verify = |data: &str, response: &str, token: &Token| {
            let (at, name) = (token.at.timestamp(), &token.authority);
            format!(
                "openssl ts -verify -partial_chain -attime {at} -data {data} -in {response}.tsr -CAfile tsa/{name}.pem\n"
            )
        };
        // a stamp is over the checkpoint as the log signed it: what witnesses added stands behind
        let line = |data: &str, token: &Token, cosigned: Option<&Checkpoint>| match cosigned {
            None => verify(data, data, token),
            Some(plain) => {
                let lines = plain.note.lines().count();
                format!("sed {lines}q {data} > ../check/stamped\n") + &verify("../check/stamped", data, token)
            }
        };
        if let Some(token) = &self.checkpoint {
            let cosigned = Some(last).filter(|_| !self.cosignatures.is_empty());
            steps.push_str(&line("checkpoint.txt", token, cosigned));
            steps.push_str("openssl ts -reply -in checkpoint.txt.tsr -text | grep 'Time stamp'\n");
        }
        if self.sums {
            steps.push_str(&line("SHA256SUMS", some, None));
            steps.push_str("openssl ts -reply -in SHA256SUMS.tsr -text | grep 'Time stamp'\n");
        }
        let stamped = self.earlier.iter().find_map(|earlier| Some((earlier, earlier.token.as_ref()?)));
        if let Some((earlier, token)) = stamped {
            let data = format!("{}/checkpoint.txt", folder(earlier.checkpoint.size));
            steps.push_str(
                "#    earlier states of the log, each in anchors/; that the log grew from them is shown by verify.sh\n",
            );
            let cosigned = Some(&earlier.checkpoint).filter(|_| !earlier.cosignatures.is_empty());
            steps.push_str(&line(&data, token, cosigned));
            steps.push_str(&format!("openssl ts -reply -in {data}.tsr -text | grep 'Time stamp'\n"));
        }
        steps
    }
}

fn lines(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().map(|hash| STANDARD.encode(hash) + "\n").collect::<String>().into_bytes()
}

fn run(from: u64, to: u64) -> String {
    if from == to { format!("Entry {from}") } else { format!("Entries {from} to {to}") }
}

fn folder(size: u64) -> String {
    format!("anchors/{size:010}")
}
