//! What the entries say, against everything beside them: the chain, its end, fields, rules, attachments, index.
//!
//! Absent: what a body means. Only the members that tie files together are read.

use super::anchors::Anchored;
use super::witnesses::Witnessed;
use super::*;

impl<'a> Reader<'a> {
    /// The entries in order, as far as they can be read; the chain is checked on the way.
    pub(super) fn entries(&mut self, tree: &Tree) -> Vec<Entry<'a>> {
        let mut entries = Vec::new();
        self.check("chain", "the entries follow each other without a gap", |reader| reader.chain(tree, &mut entries));
        self.check("completeness", "the last entry is the export and counts them all", |reader| match entries.last() {
            Some(last) => reader.ending(last, entries.len()),
            None => reader.fault("entries", "there are no entries"),
        });
        self.report.entries = entries.len() as u64;
        self.report.stream = entries.first().map(|entry| entry.envelope.stream.to_string()).unwrap_or_default();
        entries
    }

    fn chain(&mut self, tree: &Tree, entries: &mut Vec<Entry<'a>>) {
        let (mut prev, mut next_idx, mut stream) = ([0; 32], 0, None);
        for ((stem, file, bytes), n) in self.folder("entries", ".json").into_iter().zip(1..) {
            if stem != format!("{n:06}") {
                self.fault(&file, format!("entry {n} is missing before it"));
            }
            let read = envelope(bytes).map_err(String::from);
            let read = read.and_then(|envelope| Ok((envelope, Json::parse(envelope.body)?)));
            let (envelope, body) = match read {
                Ok(read) => read,
                Err(why) => {
                    self.fault(&file, format!("is no entry: {why}"));
                    prev = sha256(bytes);
                    continue;
                }
            };
            if envelope.log != tree.origin {
                self.fault(&file, format!("is of another log, `{}`", envelope.log));
            }
            if *stream.get_or_insert(envelope.stream) != envelope.stream {
                self.fault(&file, format!("is of another stream, `{}`", envelope.stream));
            }
            if envelope.n != n {
                self.fault(&file, format!("says it is entry {} of the stream", envelope.n));
            }
            if envelope.prev != prev {
                self.fault(&file, "does not name the sum of the entry before it");
            }
            if envelope.idx < next_idx || envelope.idx >= tree.size {
                self.fault(&file, "its place in the log is out of order");
            }
            (prev, next_idx) = (sha256(bytes), envelope.idx + 1);
            entries.push(Entry { file, bytes, envelope, body });
        }
    }

    fn ending(&mut self, last: &Entry<'a>, count: usize) {
        let members: Vec<&str> = match &last.body {
            Json::Object(members) => members.iter().map(|(name, _)| name.as_str()).collect(),
            _ => Vec::new(),
        };
        let known = ["actor", "profile", "entries", "withheld", "clk"];
        // `clk` is missing where an earlier program made the export
        if last.envelope.kind != "export.created" || (members != known && members != known[..4]) {
            self.fault(&last.file, "is not the record of this export: entries after it are missing");
        } else if last.body.get("entries") != Some(&Json::Int(count as i64)) {
            self.fault(&last.file, format!("does not count {count} entries"));
        }
    }

    pub(super) fn content(
        &mut self,
        tree: &Tree,
        entries: &[Entry<'a>],
        anchors: &[Anchored],
        witnessed: &[Witnessed],
    ) {
        let mut fields = Fields::default();
        self.check("disclosures", "each field is shown, erased or withheld, and nothing else is shown", |reader| {
            fields = reader.disclosures(entries);
        });
        self.report.disclosed = fields.disclosed.len() as u64;
        self.report.erased = fields.erased.len() as u64;
        self.report.withheld = fields.withheld.len() as u64;
        let rules = self.folder("rules", ".json");
        self.check("rules", "the rules are those the deadlines were computed with", |reader| {
            reader.rules(&rules, entries)
        });
        let attachments = self.folder("attachments", "");
        self.check("attachments", "the attachments are those the entries name", |reader| {
            reader.attachments(&attachments, &fields);
        });
        self.check("index", "bundle.json agrees with the files", |reader| {
            let names = |files: &[(String, String, &[u8])]| files.iter().map(|(stem, _, _)| stem.clone()).collect();
            reader.index(tree, entries, &fields, (anchors, witnessed), names(&rules), names(&attachments));
        });
        self.check("report", "report.html shows the hash of each entry", |reader| {
            let Some(page) = reader.text("report.html") else { return };
            let shown = hashes_in(page);
            for entry in entries.iter().filter(|entry| !shown.contains(&sha256(entry.bytes))) {
                reader.fault("report.html", format!("does not show the hash of {}", entry.file));
            }
        });
    }

    fn disclosures(&mut self, entries: &[Entry<'a>]) -> Fields {
        let (mut named, mut erased, mut withheld) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        for (entry, at) in entries.iter().zip(1..) {
            entry.body.walk(&mut |name, value| {
                if let Some(hash) = value.as_hash().filter(|_| name == "$c") {
                    named.entry(hash).or_insert(entry.file.as_str());
                }
                let Json::List(items) = value else { return };
                let hashes = items.iter().filter_map(Json::as_hash).filter(|_| name == "commitments");
                match entry.envelope.kind {
                    "disclosure.erased" => erased.extend(hashes),
                    "disclosure.withheld" => withheld.extend(hashes),
                    "export.created" if at == entries.len() => withheld.extend(hashes),
                    _ => {}
                }
            });
        }
        let mut fields = Fields::default();
        for (stem, file, bytes) in self.folder("disclosures", ".json") {
            let hash = sha256(bytes);
            if hex(&hash) != stem {
                self.fault(&file, "is not named by its own sum");
            } else if !named.contains_key(&hash) {
                self.fault(&file, "belongs to no entry");
            } else if erased.contains(&hash) {
                self.fault(&file, "was erased according to the log");
            }
            match disclosure(bytes) {
                Some(read) => drop(fields.disclosed.insert(hash, read)),
                None => self.fault(&file, "is no salt, pointer and value"),
            }
        }
        for (hash, file) in
            named.iter().filter(|(hash, _)| !self.files.contains_key(&format!("disclosures/{}.json", hex(*hash))))
        {
            if erased.contains(hash) {
                fields.erased.insert(*hash);
            } else if withheld.contains(hash) {
                fields.withheld.insert(*hash);
            } else {
                self.fault(file, format!("field {} is hidden: neither shown, erased nor withheld", hex(hash)));
            }
        }
        fields
    }

    fn rules(&mut self, rules: &[(String, String, &'a [u8])], entries: &[Entry<'a>]) {
        let mut wanted = BTreeMap::new();
        for entry in entries.iter().filter(|entry| entry.envelope.kind == "deadline.computed") {
            entry.body.walk(&mut |name, value| {
                if let Some(text) = value.as_text().filter(|_| name == "rulebook") {
                    wanted.entry(text.to_string()).or_insert(entry.file.as_str());
                }
            });
        }
        let given: BTreeSet<&String> = rules.iter().map(|(stem, _, _)| stem).collect();
        for (hash, file) in wanted.iter().filter(|(hash, _)| !given.contains(hash)) {
            self.fault(&format!("rules/{hash}.json"), format!("is missing; {file} names it"));
        }
        let direct: BTreeSet<Hash> = rules
            .iter()
            .filter(|(stem, _, _)| wanted.contains_key(stem))
            .flat_map(|(_, _, bytes)| {
                let text = String::from_utf8_lossy(bytes);
                text.split('"').filter_map(unhex32).collect::<Vec<_>>()
            })
            .collect();
        for (stem, file, bytes) in rules {
            if hex(&sha256(bytes)) != *stem {
                self.fault(file, "is not named by its own sum");
            } else if !wanted.contains_key(stem) && !unhex32(stem).is_some_and(|hash| direct.contains(&hash)) {
                self.fault(file, "was used for no deadline of this incident");
            }
        }
    }

    fn attachments(&mut self, attachments: &[(String, String, &'a [u8])], fields: &Fields) {
        let names_file = |pointer: &str| ["/proof", "/attachment", "/sha256"].iter().any(|end| pointer.ends_with(end));
        let wanted: BTreeSet<&str> = fields
            .disclosed
            .values()
            .filter(|(pointer, value)| names_file(pointer) && value.as_hash().is_some())
            .filter_map(|(_, value)| value.as_text())
            .collect();
        for (stem, file, bytes) in attachments {
            if hex(&sha256(bytes)) != *stem {
                self.fault(file, "is not named by its own sum");
            } else if !wanted.contains(stem.as_str()) {
                self.fault(file, "is named by no entry");
            }
        }
        let given: BTreeSet<&str> = attachments.iter().map(|(stem, _, _)| stem.as_str()).collect();
        for hash in wanted.difference(&given) {
            self.fault(&format!("attachments/{hash}"), "is named by a disclosure and missing");
        }
    }

    fn index(
        &mut self,
        tree: &Tree,
        entries: &[Entry<'a>],
        fields: &Fields,
        (anchors, witnessed): (&[Anchored], &[Witnessed]),
        rules: Vec<String>,
        attachments: Vec<String>,
    ) {
        let Some(text) = self.text("bundle.json") else { return };
        let index = match Json::parse_spaced(text) {
            Ok(index) => index,
            Err(why) => return self.fault("bundle.json", format!("cannot be read: {why}")),
        };
        let text = |value: &str| Json::Text(value.to_string());
        let int = |value: u64| Json::Int(value as i64);
        let list = |names: Vec<String>| Json::List(names.into_iter().map(Json::Text).collect());
        let rows = entries.iter().map(|entry| {
            let members = [
                ("n", int(entry.envelope.n)),
                ("idx", int(entry.envelope.idx)),
                ("ts", text(entry.envelope.ts)),
                ("type", text(entry.envelope.kind)),
                ("sha256", Json::Text(hex(&sha256(entry.bytes)))),
            ];
            Json::Object(members.map(|(name, value)| (name.to_string(), value)).to_vec())
        });
        let stamped = anchors.iter().map(|anchor| {
            let members = [("size", int(anchor.size)), ("at", text(&anchor.time)), ("file", text(&anchor.file))];
            Json::Object(members.map(|(name, value)| (name.to_string(), value)).to_vec())
        });
        let Some(last) = entries.last() else { return };
        let want = [
            ("format", text("breachclock-bundle-v1")),
            ("origin", text(&tree.origin)),
            ("stream", text(last.envelope.stream)),
            ("tree_size", int(tree.size)),
            ("root", Json::Text(STANDARD.encode(tree.root))),
            ("profile", last.body.get("profile").cloned().unwrap_or(Json::Null)),
            ("generated_at", text(last.envelope.ts)),
            ("entries", Json::List(rows.collect())),
            ("rules", list(rules)),
            ("attachments", list(attachments)),
            ("anchors", Json::List(stamped.collect())),
            ("erased", list(fields.erased.iter().map(|hash| hex(hash)).collect())),
        ];
        for (name, want) in want {
            if index.get(name) != Some(&want) {
                self.fault("bundle.json", format!("`{name}` does not agree with the files"));
            }
        }
        self.witness_index(&index, witnessed);
        let mut withheld = BTreeSet::new();
        index.get("withheld").unwrap_or(&Json::Null).walk(&mut |name, value| {
            if let Json::List(items) = value
                && name == "commitments"
            {
                withheld.extend(items.iter().filter_map(Json::as_hash));
            }
        });
        if withheld != fields.withheld {
            self.fault("bundle.json", "`withheld` does not agree with the log");
        }
    }
}

#[derive(Default)]
pub(super) struct Fields {
    /// Pointer and value by commitment.
    disclosed: BTreeMap<Hash, (String, Json)>,
    erased: BTreeSet<Hash>,
    withheld: BTreeSet<Hash>,
}

/// The hashes that stand in a text as words of 64 hexadecimal digits.
fn hashes_in(text: &str) -> BTreeSet<Hash> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(unhex32).collect()
}

/// Reads `["<32 bytes base64url>","<pointer>",<value>]`.
fn disclosure(bytes: &[u8]) -> Option<(String, Json)> {
    let Json::List(items) = Json::parse(std::str::from_utf8(bytes).ok()?).ok()? else { return None };
    let [Json::Text(salt), Json::Text(pointer), value] = &items[..] else { return None };
    let salted = salt.len() == 43 && salt.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c));
    (salted && pointer.starts_with('/')).then(|| (pointer.clone(), value.clone()))
}
