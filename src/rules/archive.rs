//! The texts of a rulebook under their hashes: what an export carries, and what an earlier rulebook is read back from.

use super::answer::hex;
use super::book::Rulebook;
use super::builtin::builtin_packs;
use super::load::{FileKind, SourceFile, kind_of, load};
use crate::time::Calendars;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

const FORMAT: &str = "breachclock-rulebook-v1";

/// One file as archived.
#[derive(Serialize, Deserialize)]
struct Archived {
    path: String,
    text: String,
}

#[derive(Deserialize)]
struct Manifest {
    format: String,
    files: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    path: String,
    sha256: String,
}

/// Worked cases and forms of drafts change no date: a rulebook with others is the same rulebook.
fn decides(file: &SourceFile) -> bool {
    !matches!(kind_of(&file.path), FileKind::Cases | FileKind::Forms)
}

/// Names a rulebook: every file with the hash of its archived text, in name order.
pub(super) fn manifest(files: &[SourceFile]) -> String {
    let mut sorted: Vec<&SourceFile> = files.iter().filter(|f| decides(f)).collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let rows: Vec<serde_json::Value> = sorted
        .iter()
        .map(|file| serde_json::json!({ "path": file.path, "sha256": hex(&sha256(archived(file).as_bytes())) }))
        .collect();
    serde_json::json!({ "format": FORMAT, "files": rows }).to_string()
}

/// The texts an export may have to carry, by SHA-256: the manifest that names the rulebook, and each file as JSON.
pub fn archive(files: &[SourceFile]) -> Vec<([u8; 32], String)> {
    let texts = files.iter().filter(|f| decides(f)).map(archived);
    std::iter::once(manifest(files)).chain(texts).map(|text| (sha256(text.as_bytes()), text)).collect()
}

/// Reads the rulebook of that hash back from its archived texts. `None` when a text is missing or is not the one its hash
/// names, or when this version does not understand the packs. Calendars are those of this version.
pub fn restore(hash: &[u8; 32], find: &dyn Fn(&[u8; 32]) -> Option<Vec<u8>>) -> Option<Rulebook> {
    let text_of = |hash: &[u8; 32]| find(hash).filter(|text| sha256(text) == *hash);
    let manifest: Manifest = serde_json::from_slice(&text_of(hash)?).ok()?;
    if manifest.format != FORMAT {
        return None;
    }
    let file = |listed: Listed| {
        let archived: Archived = serde_json::from_slice(&text_of(&unhex(&listed.sha256)?)?).ok()?;
        (archived.path == listed.path).then_some(SourceFile { path: archived.path, text: archived.text })
    };
    let files = manifest.files.into_iter().map(file).collect::<Option<Vec<SourceFile>>>()?;
    load(&files, Arc::new(Calendars::builtin().clone())).ok().filter(|book| book.sha256 == *hash)
}

/// A rule text of the packs built into this program, by its hash.
pub fn builtin_text(hash: &[u8; 32]) -> Option<Vec<u8>> {
    builtin_texts().get(hash).map(|text| text.clone().into_bytes())
}

/// Whether every copy of this program has the text: an export need not carry it for computing again.
pub fn is_builtin(hash: &[u8; 32]) -> bool {
    static HASHES: OnceLock<BTreeSet<[u8; 32]>> = OnceLock::new();
    HASHES.get_or_init(|| archive(&builtin_packs()).into_iter().map(|(hash, _)| hash).collect()).contains(hash)
}

fn builtin_texts() -> &'static BTreeMap<[u8; 32], String> {
    static TEXTS: OnceLock<BTreeMap<[u8; 32], String>> = OnceLock::new();
    TEXTS.get_or_init(|| archive(&builtin_packs()).into_iter().collect())
}

/// How many of the texts that the rulebook of that hash names `find` does not have, of how many. `None` when it does not
/// even have the manifest.
pub fn lacking(hash: &[u8; 32], find: &dyn Fn(&[u8; 32]) -> Option<Vec<u8>>) -> Option<(usize, usize)> {
    let manifest: Manifest = serde_json::from_slice(&find(hash)?).ok()?;
    let lacks = |listed: &&Listed| unhex(&listed.sha256).and_then(|hash| find(&hash)).is_none();
    Some((manifest.files.iter().filter(lacks).count(), manifest.files.len()))
}

fn archived(file: &SourceFile) -> String {
    serde_json::json!({ "path": file.path, "text": file.text }).to_string()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rulebook_is_read_back_from_its_texts_or_not_at_all() {
        let files = builtin_packs();
        let texts: BTreeMap<[u8; 32], String> = archive(&files).into_iter().collect();
        let hash = sha256(manifest(&files).as_bytes());
        let find =
            |texts: &BTreeMap<[u8; 32], String>, hash: &[u8; 32]| texts.get(hash).map(|t| t.clone().into_bytes());
        let book = restore(&hash, &|hash| find(&texts, hash)).expect("is read back");
        assert_eq!((book.sha256, book.duties().len()), (hash, crate::rules::builtin().expect("loads").duties().len()));

        let other = *texts.keys().find(|key| **key != hash).expect("a file");
        let mut fewer = texts.clone();
        fewer.remove(&other);
        assert!(restore(&hash, &|hash| find(&fewer, hash)).is_none(), "a text is missing");
        let mut forged = texts;
        forged.entry(other).and_modify(|text| *text = text.replace("\\n", " \\n"));
        assert!(restore(&hash, &|hash| find(&forged, hash)).is_none(), "a text was changed");
    }
}
