//! Cosignatures of witnesses: what others saw of the log, and when.
//!
//! Shares with the writer only the signature check. Absent: whose the witnesses are. Without keys from elsewhere
//! ([`Trust::witnesses`]) those in `keys/witness.vkeys` are taken, and the report says so.

use super::*;

/// The keys of the witnesses of a bundle.
pub(super) const KEYS: &str = "keys/witness.vkeys";

/// A witness saw the log at this size and root, grown from all that it had seen of it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnessed {
    pub witness: String,
    /// Eight hexadecimal digits: name and id say which key.
    pub key_id: String,
    pub size: u64,
    /// Base64.
    pub root: String,
    /// By the clock of the witness.
    pub at: String,
    /// The checkpoint that carries it.
    pub file: String,
    /// Entries of the stream that were in the log then: the first so many.
    pub entries: u64,
    /// Among the keys of the bundle, which its index names.
    of_bundle: bool,
    /// Among those known from elsewhere, or nobody named any.
    known: bool,
}

/// Name, key id and key.
type Known = Vec<(String, [u8; 4], PublicKey)>;

impl<'a> Reader<'a> {
    /// Every cosignature by a key of the bundle, in the order of the index.
    pub(super) fn witnesses(&mut self, entries: &[Entry<'a>], trust: &Trust) -> Vec<Witnessed> {
        let mut found = Vec::new();
        let mut files: Vec<String> =
            self.folders("anchors/").into_keys().map(|at| format!("{at}/checkpoint.txt")).collect();
        files.retain(|file| self.files.contains_key(file));
        files.push("checkpoint.txt".to_string());
        let noted = |file: &String| self.files.get(file).is_some_and(|note| foreign_lines(note) > 0);
        if !self.files.contains_key(KEYS) && !files.iter().any(noted) {
            return found;
        }
        self.check("witnesses", "each cosignature of a known key is over the checkpoint it stands under", |reader| {
            let ours = reader.witness_keys();
            for file in &files {
                let most = if file == "checkpoint.txt" { 1 } else { 2 };
                let Some(note) = reader.files.get(file).and_then(|note| std::str::from_utf8(note).ok()) else {
                    continue;
                };
                // what is no checkpoint was named before
                let Some((tree, _, lines)) = read_cosigned(note, most) else { continue };
                for line in lines {
                    found.extend(reader.cosignature(file, &tree, &line, &ours, trust));
                }
            }
        });
        for one in &mut found {
            one.entries = entries.iter().filter(|entry| entry.envelope.idx < one.size).count() as u64;
        }
        self.report.witnessed = found.iter().filter(|one| one.known).cloned().collect();
        found.retain(|one| one.of_bundle);
        found
    }

    fn witness_keys(&mut self) -> Known {
        let mut known: Known = Vec::new();
        if !self.files.contains_key(KEYS) {
            return known;
        }
        let Some(text) = self.text(KEYS) else { return known };
        if text.is_empty() {
            self.fault(KEYS, "is empty");
        }
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n').and_then(witness_key) {
                Some((name, id, _)) if known.iter().any(|(n, i, _)| *n == name && *i == id) => {
                    self.fault(KEYS, format!("names `{name}` twice"));
                }
                Some(one) => known.push(one),
                None => self.fault(KEYS, format!("line `{}` is no verifier key of a witness", line.trim_end())),
            }
        }
        known
    }

    /// A line by somebody else than the log. Of an unknown key it is counted.
    fn cosignature(
        &mut self,
        file: &str,
        tree: &Tree,
        line: &Foreign<'_>,
        ours: &Known,
        trust: &Trust,
    ) -> Option<Witnessed> {
        let own = |(name, id, _): &&(String, [u8; 4], PublicKey)| name == line.name && *id == line.id;
        let (of_bundle, elsewhere) = (ours.iter().find(own), trust.witnesses.as_ref());
        let trusted = elsewhere.and_then(|keys| {
            let same = |key: &&super::super::Cosigner| key.name == line.name && key.id() == line.id;
            keys.iter().find(same).map(|key| key.key)
        });
        let known = if elsewhere.is_some() { trusted.is_some() } else { of_bundle.is_some() };
        if !known {
            self.report.unknown_cosignatures += 1;
        }
        let keys: Vec<PublicKey> = of_bundle.map(|(_, _, key)| *key).into_iter().chain(trusted).collect();
        if keys.is_empty() {
            return None;
        }
        let read = || {
            let (time, signature) = line.signature.split_first_chunk::<8>()?;
            let time = u64::from_be_bytes(*time);
            let at = i64::try_from(time).ok().filter(|at| (1..=LAST_SECOND).contains(at))?;
            let at = crate::evidence::Timestamp::from_timestamp(at, 0)?.format("%Y-%m-%dT%H:%M:%SZ").to_string();
            let signature = <&[u8; 64]>::try_from(signature).ok()?;
            let signed = format!(
                "cosignature/v1\ntime {time}\n{}\n{}\n{}\n",
                tree.origin,
                tree.size,
                STANDARD.encode(tree.root)
            );
            keys.iter().all(|key| key.verify(signed.as_bytes(), signature)).then_some(at)
        };
        let Some(at) = read() else {
            let text = format!(
                "the cosignature of `{}` does not hold: it is not over this checkpoint, or not of that time or key",
                line.name
            );
            self.fault(file, text);
            return None;
        };
        Some(Witnessed {
            witness: line.name.to_string(),
            key_id: hex(&line.id),
            size: tree.size,
            root: STANDARD.encode(tree.root),
            at,
            file: file.to_string(),
            entries: 0,
            of_bundle: of_bundle.is_some(),
            known,
        })
    }

    /// The index names what was found, and nothing else.
    pub(super) fn witness_index(&mut self, index: &Json, found: &[Witnessed]) {
        let named = index.get("witnesses");
        let rows: Vec<Json> = found.iter().map(Witnessed::row).collect();
        let none = Vec::new();
        let listed = match named {
            None => &none,
            Some(Json::List(listed)) => listed,
            Some(_) => return self.fault("bundle.json", "`witnesses` is no list"),
        };
        let missing: Vec<&Json> = listed.iter().filter(|row| !rows.contains(row)).collect();
        for row in &missing {
            let word = |name: &str| row.get(name).and_then(Json::as_text).unwrap_or_default();
            let (witness, at) = (word("witness"), word("at"));
            let text = format!("lacks the cosignature of `{witness}` of {at}, which bundle.json names");
            let file = if self.files.contains_key(word("file")) { word("file") } else { "bundle.json" };
            self.fault(file, text);
        }
        let same = *listed == rows && named.is_some() != rows.is_empty();
        if !same && missing.is_empty() {
            self.fault("bundle.json", "`witnesses` does not agree with the files");
        }
    }
}

impl Witnessed {
    fn row(&self) -> Json {
        let text = |value: &str| Json::Text(value.to_string());
        let members = [
            ("size", Json::Int(self.size as i64)),
            ("at", text(&self.at)),
            ("witness", text(&self.witness)),
            ("key_id", text(&self.key_id)),
            ("file", text(&self.file)),
        ];
        Json::Object(members.map(|(name, value)| (name.to_string(), value)).to_vec())
    }
}

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;

/// Reads `<name>+<id>+<base64>` of type 0x04.
fn witness_key(line: &str) -> Option<(String, [u8; 4], PublicKey)> {
    let mut parts = line.splitn(3, '+');
    let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
    let key = STANDARD.decode(key).ok()?;
    let raw = <[u8; 32]>::try_from(key.strip_prefix(&[4])?).ok()?;
    let fits = |c: u8| c.is_ascii_alphanumeric() || b"._/:-".contains(&c);
    let hash = sha256(&[name.as_bytes(), b"\n", &key].concat());
    let is = [hash[0], hash[1], hash[2], hash[3]];
    let good = !name.is_empty() && name.bytes().all(fits) && id == hex(&is);
    good.then(|| (name.to_string(), is, PublicKey(raw)))
}

/// Lines of a note that begin with a dash and are not of the name in its first line.
fn foreign_lines(note: &[u8]) -> usize {
    let text = String::from_utf8_lossy(note);
    let origin = format!("\u{2014} {} ", text.lines().next().unwrap_or_default());
    text.lines().skip(4).filter(|line| !line.starts_with(&origin)).count()
}
