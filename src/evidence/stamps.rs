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
//! ```
//! Absent: asking an authority, and judging its answers ([`super::tsp`]).

use super::Made;
use super::export::tlog_proof;
use super::{Checkpoint, Hash, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;

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

/// An earlier checkpoint that was stamped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    pub checkpoint: Checkpoint,
    pub token: Token,
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

/// The time stamps of one export, and the changes of its log's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// Whether there is anybody to be asked: what is missing is explained by it.
    pub configured: bool,
    pub checkpoint: Option<Token>,
    /// By size, ascending.
    pub earlier: Vec<Earlier>,
    /// PEM by name of the authority.
    pub certificates: BTreeMap<String, String>,
    pub rotations: Vec<Rotation>,
    /// Whether `SHA256SUMS.tsr` will lie beside the bundle's other files.
    pub sums: bool,
}

impl Stamps {
    /// Files of a bundle under `last`, the checkpoint of the export. `SHA256SUMS.tsr` is not among them.
    pub(super) fn files(&self, last: &Checkpoint) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        if let Some(token) = &self.checkpoint {
            files.push(("checkpoint.txt.tsr".to_string(), token.response.clone()));
        }
        for earlier in &self.earlier {
            let folder = folder(earlier.checkpoint.size);
            files.push((format!("{folder}/checkpoint.txt"), earlier.checkpoint.note.clone().into_bytes()));
            files.push((format!("{folder}/checkpoint.txt.tsr"), earlier.token.response.clone()));
            files.push((format!("{folder}/consistency.txt"), lines(&earlier.consistency)));
            for (n, idx, proof) in &earlier.proofs {
                let text = tlog_proof(*idx, proof, &earlier.checkpoint);
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
        debug_assert!(self.earlier.iter().all(|earlier| earlier.checkpoint.size < last.size));
        files.extend(self.certificates.iter().map(|(name, pem)| (format!("tsa/{name}.pem"), pem.clone().into_bytes())));
        files
    }

    /// Lines of the index, by size.
    pub(super) fn index(&self, last: &Checkpoint) -> Vec<String> {
        let line = |size: u64, time: &str, file: String| format!(r#"{{"size":{size},"at":"{time}","file":"{file}"}}"#);
        let mut lines: Vec<String> = self
            .earlier
            .iter()
            .map(|earlier| {
                let size = earlier.checkpoint.size;
                line(size, &earlier.token.time, format!("{}/checkpoint.txt.tsr", folder(size)))
            })
            .collect();
        let own = self.checkpoint.as_ref();
        lines.extend(own.map(|token| line(last.size, &token.time, "checkpoint.txt.tsr".to_string())));
        lines
    }

    /// For each run of entries (first and last number) the time before which they existed; `None` when nothing shows it.
    /// `indices` are those of the entries, in order.
    pub(super) fn ages(&self, indices: &[u64]) -> Vec<(u64, u64, Option<String>)> {
        let mut runs: Vec<(u64, u64, Option<String>)> = Vec::new();
        for (n, idx) in (1..).zip(indices) {
            let covering = self.earlier.iter().filter(|earlier| earlier.checkpoint.size > *idx).map(|e| &e.token);
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

    /// What the README says the stamps show, line by line.
    pub(super) fn shown(&self, indices: &[u64]) -> String {
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
        lines
    }

    /// What they do not show.
    pub(super) fn not_shown(&self, indices: &[u64]) -> String {
        if !self.configured && self.checkpoint.is_none() && self.earlier.is_empty() {
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
    pub(super) fn steps(&self) -> String {
        let Some(some) = self.checkpoint.as_ref().or(self.earlier.first().map(|earlier| &earlier.token)) else {
            return String::new();
        };
        let mut steps = String::from(
            "# 3c since when (time-stamping authorities, RFC 3161). tsa/ holds convenience copies of their certificates: take\n\
             #    the root from the authority itself. -attime judges certificates as of the stamp: they may have ended since\n",
        );
        let line = |data: &str, token: &Token| {
            let (at, name) = (token.at.timestamp(), &token.authority);
            format!(
                "openssl ts -verify -partial_chain -attime {at} -data {data} -in {data}.tsr -CAfile tsa/{name}.pem\n"
            )
        };
        if let Some(token) = &self.checkpoint {
            steps.push_str(&line("checkpoint.txt", token));
            steps.push_str("openssl ts -reply -in checkpoint.txt.tsr -text | grep 'Time stamp'\n");
        }
        if self.sums {
            steps.push_str(&line("SHA256SUMS", some));
            steps.push_str("openssl ts -reply -in SHA256SUMS.tsr -text | grep 'Time stamp'\n");
        }
        if let Some(earlier) = self.earlier.first() {
            let data = format!("{}/checkpoint.txt", folder(earlier.checkpoint.size));
            steps.push_str(
                "#    earlier states of the log, each in anchors/; that the log grew from them is shown by verify.sh\n",
            );
            steps.push_str(&line(&data, &earlier.token));
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
