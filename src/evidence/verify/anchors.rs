//! Time stamps and the earlier checkpoints they stand over: since when the entries exist.
//!
//! Absent: whose the authorities are. Without certificates from elsewhere ([`Trust::authorities`]) those in `tsa/` are
//! taken, and the report says so.

use super::super::tsp::{self, Roots, Stamp};
use super::rotations::{Chain, key_for};
use super::*;

/// What the index has to say of one time stamp.
pub(super) struct Anchored {
    pub size: u64,
    pub time: String,
    pub file: String,
    at: crate::evidence::Timestamp,
}

impl<'a> Reader<'a> {
    /// Every stamp of the bundle, by size; that over `SHA256SUMS` apart, as no file can list it.
    pub(super) fn anchors(
        &mut self,
        keys: &Keys,
        chain: &Chain,
        tree: &Tree,
        entries: &[Entry<'a>],
        trust: &Trust,
    ) -> Vec<Anchored> {
        let mut found = Vec::new();
        let holds = match self.files.keys().any(|name| name.ends_with(".tsr")) {
            true => "each is by an authority of tsa/, over what lies beside it",
            false => "there is none to check",
        };
        self.check("time stamps", holds, |reader| {
            let roots = reader.roots(trust);
            for (folder, names) in reader.folders("anchors/") {
                let beside = (keys, chain, tree, entries);
                found.extend(reader.earlier(&folder, &names, beside, &roots));
            }
            if let Some(stamp) = reader.stamp("checkpoint.txt", &roots) {
                let file = "checkpoint.txt.tsr".to_string();
                found.push(Anchored { size: tree.size, time: stamp.time, file, at: stamp.at });
            }
            reader.report.packed = reader.stamp("SHA256SUMS", &roots).map(|stamp| stamp.time);
        });
        self.report.existed = ages(&found, entries);
        found
    }

    /// Certificates that are trusted: those from elsewhere, or all of `tsa/`.
    fn roots(&mut self, trust: &Trust) -> Roots {
        let mut all = Roots::default();
        for (_, file, bytes) in self.folder("tsa", ".pem") {
            match Roots::from_pem(bytes) {
                Ok(roots) => all.extend(roots.certificates()),
                Err(fault) => self.fault(&file, fault.to_string()),
            }
        }
        trust.authorities.clone().unwrap_or(all)
    }

    /// The stamp over `data`, when there is one. That over a checkpoint leaves out what witnesses added.
    fn stamp(&mut self, data: &str, roots: &Roots) -> Option<Stamp> {
        let file = format!("{data}.tsr");
        let files = self.files;
        let (token, signed) = (files.get(&file)?, files.get(data)?);
        if roots.is_empty() {
            self.fault(&file, "has no certificate in tsa/ to be checked with");
            return None;
        }
        let signed = match data {
            "SHA256SUMS" => signed.as_slice(),
            "checkpoint.txt" => as_signed(signed, 1),
            _ => as_signed(signed, 2),
        };
        match tsp::check(token, &sha256(signed), None, roots) {
            Ok(stamp) => Some(stamp),
            Err(fault) => {
                self.fault(&file, fault.to_string());
                None
            }
        }
    }

    /// Folders whose names begin so, with the names in them.
    pub(super) fn folders(&self, prefix: &str) -> BTreeMap<String, Vec<&'a str>> {
        let mut folders: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let files = self.files;
        for name in files.keys().filter(|name| name.starts_with(prefix)) {
            // what has another form is named by the layout
            if let Some((folder, file)) = name.rsplit_once('/') {
                folders.entry(folder.to_string()).or_default().push(file);
            }
        }
        folders
    }

    fn earlier(
        &mut self,
        folder: &str,
        names: &[&str],
        (keys, chain, tree, entries): (&Keys, &Chain, &Tree, &[Entry<'a>]),
        roots: &Roots,
    ) -> Option<Anchored> {
        let checkpoint = format!("{folder}/checkpoint.txt");
        let note = self.text(&checkpoint)?;
        let Some((old, _, cosigned)) = read_cosigned(note, 2) else {
            self.fault(&checkpoint, "is no checkpoint with one or two signatures");
            return None;
        };
        if !key_for(chain, old.size).is_some_and(|key| signed_by(note, &keys.origin, &key, 2)) {
            self.fault(&checkpoint, "is not signed by the log key");
        }
        if folder.strip_prefix("anchors/") != Some(&format!("{:010}", old.size)) || old.size >= tree.size {
            self.fault(&checkpoint, "is not of the size its folder is named by, or not earlier than checkpoint.txt");
        }
        self.grown(folder, &old, tree);
        let by_number: BTreeMap<String, &Entry<'a>> =
            entries.iter().map(|entry| (format!("{:06}.tlog-proof", entry.envelope.n), entry)).collect();
        for name in names.iter().filter(|name| name.ends_with(".tlog-proof")) {
            let file = format!("{folder}/{name}");
            let Some(entry) = by_number.get(*name) else {
                self.fault(&file, "belongs to no entry");
                continue;
            };
            let Some(text) = self.text(&file) else { continue };
            match read_proof(text, note) {
                Some((idx, path)) if idx == entry.envelope.idx => {
                    if !merkle::verify_inclusion(&leaf_hash(entry.bytes), idx, old.size, &path, &old.root) {
                        self.fault(&file, format!("does not lead from {} to the root", entry.file));
                    }
                }
                Some(_) => self.fault(&file, format!("is for another index than that of {}", entry.file)),
                None => self.fault(&file, format!("is no proof under {checkpoint}")),
            }
        }
        if cosigned.is_empty() && !self.files.contains_key(&format!("{checkpoint}.tsr")) {
            self.fault(&format!("{checkpoint}.tsr"), "is missing");
        }
        let stamp = self.stamp(&checkpoint, roots)?;
        Some(Anchored { size: old.size, time: stamp.time, file: format!("{checkpoint}.tsr"), at: stamp.at })
    }

    /// The log of the export grew from the earlier one.
    pub(super) fn grown(&mut self, folder: &str, old: &Tree, tree: &Tree) {
        let file = format!("{folder}/consistency.txt");
        let Some(text) = self.text(&file) else { return };
        let path: Option<Vec<Hash>> = text
            .split_terminator('\n')
            .map(|line| STANDARD.decode(line).ok()?.try_into().ok())
            .collect::<Option<Vec<Hash>>>()
            .filter(|_| text.is_empty() || text.ends_with('\n'));
        let holds = path.is_some_and(|path| {
            old.size > 0 && merkle::verify_consistency(old.size, tree.size, &path, &old.root, &tree.root)
        });
        if !holds {
            self.fault(&file, "does not show that the log grew from the earlier checkpoint");
        }
    }
}

/// Runs of entries with the earliest time that covers them.
fn ages(anchors: &[Anchored], entries: &[Entry<'_>]) -> Vec<Existed> {
    let mut runs: Vec<Existed> = Vec::new();
    for entry in entries {
        let covering = anchors.iter().filter(|anchor| anchor.size > entry.envelope.idx);
        let time = covering.min_by_key(|anchor| anchor.at).map(|anchor| anchor.time.clone());
        match runs.last_mut() {
            Some(run) if run.no_later_than == time => run.to = entry.envelope.n,
            _ => runs.push(Existed { from: entry.envelope.n, to: entry.envelope.n, no_later_than: time }),
        }
    }
    runs
}
