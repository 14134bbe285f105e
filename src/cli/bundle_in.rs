//! A bundle from disk, as a ZIP file or as the folder it was unpacked into. Nothing is read beyond the limits, no link is
//! followed, and what is refused is named.

use crate::evidence::unzip::{self, Limits, Refusal};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub type Files = BTreeMap<String, Vec<u8>>;

/// Why there is no bundle to check.
pub enum Problem {
    /// The path cannot be read.
    Unreadable(std::io::Error),
    /// It holds what no bundle has.
    Refused(Refusal),
}

pub fn read(path: &Path) -> Result<Files, Problem> {
    let found = fs::metadata(path).map_err(Problem::Unreadable)?;
    if found.is_dir() {
        return folder(path, &Limits::BUNDLE);
    }
    if !found.is_file() {
        return Err(Problem::Refused(Refusal::new(None, "this is neither a file nor a folder")));
    }
    let bytes = take(path, Limits::BUNDLE.packed).map_err(Problem::Unreadable)?;
    unzip::read(&bytes, &Limits::BUNDLE).map_err(Problem::Refused)
}

/// Reads at most one byte more than `most`: whoever checks the length sees that it is too long.
fn take(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn folder(root: &Path, limits: &Limits) -> Result<Files, Problem> {
    let mut files = Files::new();
    let mut left = limits.total;
    let mut folders: Vec<(PathBuf, String)> = vec![(root.to_path_buf(), String::new())];
    let mut seen = 0;
    while let Some((dir, prefix)) = folders.pop() {
        for entry in fs::read_dir(&dir).map_err(Problem::Unreadable)? {
            let entry = entry.map_err(Problem::Unreadable)?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let refused = |why: String| Problem::Refused(Refusal::new(Some(&name), why));
            seen += 1;
            if seen > limits.files {
                return Err(refused(format!("is one file more than the {} of a bundle", limits.files)));
            }
            // of the entry itself: a link is not followed
            let kind = entry.file_type().map_err(Problem::Unreadable)?;
            if kind.is_dir() {
                folders.push((entry.path(), format!("{name}/")));
                continue;
            }
            if !kind.is_file() || entry.file_name().to_str().is_none() {
                let why = match kind {
                    kind if kind.is_symlink() => "is a symbolic link",
                    kind if kind.is_file() => "has a name that is no UTF-8 text",
                    _ => "is no plain file",
                };
                return Err(refused(why.into()));
            }
            let most = limits.file.min(left);
            let bytes = take(&entry.path(), most).map_err(Problem::Unreadable)?;
            left = left.checked_sub(bytes.len() as u64).filter(|_| bytes.len() as u64 <= most).ok_or_else(|| {
                refused(format!("is larger than {} bytes, or brings the bundle above {}", limits.file, limits.total))
            })?;
            files.insert(name, bytes);
        }
    }
    Ok(files)
}
