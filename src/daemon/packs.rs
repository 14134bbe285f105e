//! Rule packs from a folder: the built-in ones, with the operator's files added or in place of those of the same name.

use crate::config::Config;
use crate::rules::{Fault, FileKind, Rulebook, SourceFile, builtin_files, kind_of, load};
use crate::time::Calendars;
use std::path::Path;
use std::sync::Arc;

/// Files that only a whole set of packs has.
const WHOLE_SET: [&str; 4] = ["conventions.toml", "facts.toml", "places.toml", "roles.toml"];

/// What a folder of rule packs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Files beside the built-in ones, or in place of those of the same name.
    Overlay,
    /// A whole set; nothing built-in is read.
    Whole,
    /// A whole set when it holds every shared file, else an overlay: for tools that are given a tree to look at.
    Either,
}

/// Loads `dir` as what `folder` says it is.
pub fn load_dir(dir: &Path, folder: Folder) -> Result<(Rulebook, Vec<SourceFile>), Vec<Fault>> {
    let fault = |text: String| vec![Fault { file: dir.display().to_string(), line: 0, text }];
    let mut own = Vec::new();
    if let Err(error) = collect(dir, dir, &mut own) {
        return Err(fault(format!("cannot be read: {error}")));
    }
    let lacks = WHOLE_SET.iter().find(|name| !own.iter().any(|f: &SourceFile| f.path == **name));
    let whole = match (folder, lacks) {
        (Folder::Whole, Some(name)) => {
            return Err(fault(format!(
                "has no `{name}`, which a whole set needs; leave `whole` out to add the folder to the built-in packs"
            )));
        }
        (Folder::Whole, None) => true,
        (Folder::Overlay, _) => false,
        (Folder::Either, lacks) => lacks.is_none(),
    };
    let mut files = if whole { Vec::new() } else { builtin_files() };
    files.retain(|f| !own.iter().any(|o: &SourceFile| o.path == f.path));
    files.extend(own);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    load(&files, Arc::new(Calendars::builtin().clone())).map(|book| (book, files))
}

/// The rule packs a configuration names: the built-in ones when it names no folder.
pub fn of_config(config: &Config) -> Result<(Rulebook, Vec<SourceFile>), Vec<Fault>> {
    match &config.rules_dir {
        Some(dir) => load_dir(dir, if config.rules_whole { Folder::Whole } else { Folder::Overlay }),
        None => crate::rules::builtin().map(|book| (book, crate::rules::builtin_packs())),
    }
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<SourceFile>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        if kind_of(&name) != FileKind::Other {
            files.push(SourceFile { path: name, text: std::fs::read_to_string(&path)? });
        }
    }
    Ok(())
}

/// Keeps every rule text under its hash in `DATA/rules`, and answers how to find one, also those of earlier versions.
pub fn archive(data: &Path, files: &[SourceFile]) -> std::io::Result<crate::workflow::RuleArchive> {
    let folder = data.join("rules");
    std::fs::create_dir_all(&folder)?;
    let name = |hash: &[u8; 32]| format!("{}.json", crate::rules::hex(hash));
    for (hash, text) in crate::rules::archive(files) {
        let path = folder.join(name(&hash));
        if !path.exists() {
            // a half-written text must never stand under its full name
            let part = folder.join(format!("{}.part", name(&hash)));
            std::fs::write(&part, text)?;
            std::fs::rename(&part, &path)?;
        }
    }
    Ok(Box::new(move |hash| std::fs::read(folder.join(name(hash))).ok()))
}
