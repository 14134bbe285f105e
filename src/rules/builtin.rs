//! The rule packs built into the binary by `scripts/embed.rs`.

use super::book::Rulebook;
use super::load::{Fault, FileKind, SourceFile, kind_of, load};
use crate::time::Calendars;
use flate2::read::DeflateDecoder;
use std::io::Read;
use std::sync::Arc;

static PACKS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/packs.bin"));
static CASES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cases.bin"));

/// Every TOML file of the built-in folder that a rulebook is made of, cases included, in name order.
pub fn builtin_files() -> Vec<SourceFile> {
    let mut files = builtin_packs();
    files.extend(unpack(CASES));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The same without the worked cases: what a daemon needs.
pub fn builtin_packs() -> Vec<SourceFile> {
    unpack(PACKS)
}

/// Reads what the build script wrote.
fn unpack(packed: &[u8]) -> Vec<SourceFile> {
    const BROKEN: &str = "the build wrote this";
    let mut bytes = Vec::new();
    DeflateDecoder::new(packed).read_to_end(&mut bytes).expect(BROKEN);
    let mut rest = bytes.as_slice();
    let mut files = Vec::new();
    while !rest.is_empty() {
        let (lengths, after) = rest.split_at(8);
        let length = |at: usize| u32::from_le_bytes(lengths[at..at + 4].try_into().expect(BROKEN)) as usize;
        let (path, after) = after.split_at(length(0));
        let (text, after) = after.split_at(length(4));
        let words = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect(BROKEN);
        let file = SourceFile { path: words(path), text: words(text) };
        if kind_of(&file.path) != FileKind::Other {
            files.push(file);
        }
        rest = after;
    }
    files
}

/// The built-in rulebook. Its own tests prove that it loads; a fault here is a broken build.
pub fn builtin() -> Result<Rulebook, Vec<Fault>> {
    load(&builtin_packs(), Arc::new(Calendars::builtin().clone()))
}
