//! Changes of the log key: each is an entry, under a checkpoint that both keys signed.
//!
//! Absent: when a key may be changed. Whoever trusts an older key follows the chain to the present one.

use super::*;

/// Keys in force, with the size of the log up to which they signed; newest first, the present one last to the end.
pub(super) type Chain = Vec<(u64, PublicKey)>;

impl<'a> Reader<'a> {
    /// Follows the changes back from the key of the bundle. A known log key must be one of those found.
    pub(super) fn rotations(&mut self, keys: &Keys, tree: &Tree, trust: &Trust) -> Chain {
        let mut chain: Chain = keys.log.map(|key| (tree.size, key)).into_iter().collect();
        self.check("log key", "it is the one it was, or each change of it is in the log", |reader| {
            for folder in reader.folders("rotations/").into_keys().rev() {
                let Some((_, newer)) = chain.last().copied() else { break };
                chain.extend(reader.rotation(&folder, keys, tree, newer));
            }
            if let Some(known) = trust.log_key.filter(|known| !chain.iter().any(|(_, key)| key == known)) {
                let text = format!("the log key is not {}, nor one that followed it", known.fingerprint());
                reader.fault("keys/allowed_signers", text);
            }
        });
        self.report.earlier_log_keys = chain.iter().skip(1).map(|(size, key)| (*size, key.fingerprint())).collect();
        chain
    }

    /// The key before `newer`, and the size up to which it signed.
    fn rotation(&mut self, folder: &str, keys: &Keys, tree: &Tree, newer: PublicKey) -> Option<(u64, PublicKey)> {
        let [checkpoint, file, proof] =
            ["checkpoint.txt", "entry.json", "entry.tlog-proof"].map(|name| format!("{folder}/{name}"));
        let (note, line, path) = (self.text(&checkpoint), self.text(&file), self.text(&proof));
        let (note, line, path) = (note?, line?, path?);
        let (idx, older) = match changed(line.as_bytes(), &keys.origin, &newer) {
            Ok(found) => found,
            Err(why) => {
                self.fault(&file, format!("shows no change of the log key: {why}"));
                return None;
            }
        };
        let both = |at: &Tree| {
            let by = |key: &PublicKey| signed_by(note, &keys.origin, key, 2);
            by(&newer) && by(&older) && at.origin == keys.origin && folder == format!("rotations/{:010}", at.size)
        };
        let Some(at) = read_note(note, 2).map(|(at, _)| at).filter(both) else {
            self.fault(&checkpoint, "is not signed by both keys, or is not of the size its folder is named by");
            return None;
        };
        match read_proof(path, note) {
            Some((found, path)) if found == idx => {
                if !merkle::verify_inclusion(&leaf_hash(line.as_bytes()), idx, at.size, &path, &at.root) {
                    self.fault(&proof, format!("does not lead from {file} to the root"));
                }
            }
            Some(_) => self.fault(&proof, format!("is for another index than that of {file}")),
            None => self.fault(&proof, format!("is no proof under {checkpoint}")),
        }
        self.grown(folder, &at, tree);
        Some((at.size, older))
    }
}

/// The key that signed a checkpoint of this size.
pub(super) fn key_for(chain: &Chain, size: u64) -> Option<PublicKey> {
    chain.iter().rfind(|(until, _)| size <= *until).or(chain.first()).map(|(_, key)| *key)
}

/// Reads an entry on a change to `newer`: its index and the key before.
fn changed(line: &[u8], origin: &str, newer: &PublicKey) -> Result<(u64, PublicKey), String> {
    let entry = envelope(line)?;
    if entry.log != origin || entry.stream != "_system" || entry.kind != "key.rotated" {
        return Err("it is no entry of this log on a change of its key".into());
    }
    let Json::Object(body) = Json::parse(entry.body)? else { return Err("its body is none".into()) };
    let words: Vec<(&str, &str)> =
        body.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_text()?))).collect();
    let [("key", "log"), ("old", old), ("new", new)] = words[..] else { return Err("its body is none".into()) };
    if body.len() != 3 || new != newer.to_vkey(origin) {
        return Err("it does not name the log key that follows".into());
    }
    match PublicKey::from_vkey(old) {
        Ok((name, older)) if name == origin && older.to_vkey(origin) == old => Ok((entry.idx, older)),
        _ => Err("it names no log key that went before".into()),
    }
}
