//! Rule packs from a folder: the built-in ones, with the operator's files added or in place of those of the same name.

use crate::config::Config;
use crate::draft::{self, Asked, FormText, Forms};
use crate::rules::{Fault, FileKind, Rulebook, SourceFile, builtin_files, builtin_packs, kind_of, load};
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

/// The forms of notices: the built-in ones, with those of `files` added or in place of those of the same name, also when
/// `files` is a whole set of packs. Those of the operator are held to the rulebook.
pub fn forms(book: &Rulebook, files: &[SourceFile]) -> Result<Forms, Vec<Fault>> {
    let of_forms = |f: &&SourceFile| kind_of(&f.path) == FileKind::Forms;
    let builtin: Vec<SourceFile> = builtin_packs().into_iter().filter(|f| of_forms(&f)).collect();
    let own: Vec<&SourceFile> = files.iter().filter(of_forms).collect();
    let mut texts: Vec<FormText<'_>> = Vec::new();
    for file in &builtin {
        if !own.iter().any(|o| o.path == file.path) {
            texts.push(FormText { path: &file.path, text: &file.text, strict: false });
        }
    }
    for file in own {
        let strict = !builtin.iter().any(|b| b.path == file.path && b.text == file.text);
        texts.push(FormText { path: &file.path, text: &file.text, strict });
    }
    read_forms(book, &texts)
}

/// Reads forms for a rulebook.
pub fn read_forms(book: &Rulebook, texts: &[FormText<'_>]) -> Result<Forms, Vec<Fault>> {
    let duties: Vec<Asked<'_>> = book
        .duties()
        .iter()
        .map(|d| Asked { duty: &d.id.0, pack: &d.pack, stage: d.stage, recipient: d.recipient, languages: &[] })
        .collect();
    let fault = |f: draft::Fault| Fault { file: f.file, line: f.line, text: f.text };
    draft::read(texts, book.catalogue(), &duties).map_err(|faults| faults.into_iter().map(fault).collect())
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
