//! The rule packs built into the binary.

use super::book::Rulebook;
use super::load::{Fault, FileKind, SourceFile, kind_of, load};
use crate::time::Calendars;
use include_dir::{Dir, include_dir};
use std::sync::Arc;

static JURISDICTIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/jurisdictions");

/// Every TOML file of the built-in folder that a rulebook is made of, cases included, in name order.
pub fn builtin_files() -> Vec<SourceFile> {
    files(true)
}

/// The same without the worked cases: what a daemon needs, without touching the rest.
pub fn builtin_packs() -> Vec<SourceFile> {
    files(false)
}

fn files(cases: bool) -> Vec<SourceFile> {
    let mut files = Vec::new();
    collect(&JURISDICTIONS, cases, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(dir: &Dir<'_>, cases: bool, files: &mut Vec<SourceFile>) {
    for file in dir.files() {
        let path = file.path().to_string_lossy().replace('\\', "/");
        let kind = kind_of(&path);
        if kind != FileKind::Other
            && (cases || kind != FileKind::Cases)
            && let Some(text) = file.contents_utf8()
        {
            files.push(SourceFile { path, text: text.to_string() });
        }
    }
    dir.dirs().for_each(|dir| collect(dir, cases, files));
}

/// The built-in rulebook. Its own tests prove that it loads; a fault here is a broken build.
pub fn builtin() -> Result<Rulebook, Vec<Fault>> {
    load(&builtin_packs(), Arc::new(Calendars::builtin().clone()))
}
