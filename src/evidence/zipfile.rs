//! A bundle as a ZIP file in memory: sorted names, one fixed time, so that the same files give the same bytes.
//!
//! Absent: encryption, links, folders as entries. Names are checked on reading: nothing here can leave a directory.

use super::EvidenceError;
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// Most bytes a bundle may unpack to.
const MAX_BYTES: u64 = 2 << 30;
/// Most files in a bundle.
const MAX_FILES: usize = 200_000;

/// Whether `name` may stand in a bundle: parts of `[A-Za-z0-9._-]` joined by `/`, none starting with a dot, so that
/// `sha256sum`, shells and every file system take it as it is.
pub fn is_name(name: &str) -> bool {
    name.len() <= 200
        && name.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with(['.', '-'])
                && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c))
        })
}

/// Packs `files`. Deterministic.
///
/// # Errors
/// When a name may not stand in a bundle.
pub fn write(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, EvidenceError> {
    let failed = |name: &str, e: &dyn std::fmt::Display| EvidenceError::Zip(format!("cannot pack `{name}`: {e}"));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        if !is_name(name) {
            return Err(EvidenceError::Zip(format!(
                "`{name}` may not stand in a bundle: use letters, digits and `._-`"
            )));
        }
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(if name == "verify.sh" || name == "verify.py" { 0o755 } else { 0o644 });
        zip.start_file(name.as_str(), options).map_err(|e| failed(name, &e))?;
        zip.write_all(bytes).map_err(|e| failed(name, &e))?;
    }
    Ok(zip.finish().map_err(|e| failed("the list of files", &e))?.into_inner())
}

/// Unpacks a bundle.
///
/// # Errors
/// When it is no ZIP file, a name stands twice or may not stand in a bundle, or it unpacks to more than 2 GiB.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, EvidenceError> {
    let mut zip = ZipArchive::new(Cursor::new(bytes))
        .map_err(|e| EvidenceError::Zip(format!("this is no ZIP file that can be read: {e}")))?;
    if zip.len() > MAX_FILES {
        return Err(EvidenceError::Zip(format!("{} files are more than a bundle has", zip.len())));
    }
    // the reader keeps one of two files of the same name, and another reader may keep the other
    if listed(bytes).is_some_and(|listed| listed != zip.len()) {
        return Err(EvidenceError::Zip("a file stands twice in the ZIP file".into()));
    }
    let mut files = BTreeMap::new();
    let mut left = MAX_BYTES;
    for at in 0..zip.len() {
        let file = zip.by_index(at).map_err(|e| EvidenceError::Zip(format!("file {} cannot be read: {e}", at + 1)))?;
        let name = file.name().map(|name| name.to_string()).unwrap_or_default();
        if file.is_dir() && is_name(name.trim_end_matches('/')) {
            continue;
        }
        if !file.is_file() || !is_name(&name) {
            return Err(EvidenceError::Zip(format!("`{name}` may not stand in a bundle")));
        }
        let mut content = Vec::new();
        file.take(left + 1)
            .read_to_end(&mut content)
            .map_err(|e| EvidenceError::Zip(format!("`{name}` cannot be unpacked: {e}")))?;
        left = left
            .checked_sub(content.len() as u64)
            .ok_or_else(|| EvidenceError::Zip("the file unpacks to more than 2 GiB: refused".into()))?;
        if files.insert(name.clone(), content).is_some() {
            return Err(EvidenceError::Zip(format!("`{name}` stands twice in the ZIP file")));
        }
    }
    Ok(files)
}

/// Number of files according to the end of the directory (APPNOTE 4.3.16); `None` for ZIP64.
fn listed(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let count = bytes.get(at + 10..at + 12)?;
    Some(usize::from(u16::from_le_bytes([count[0], count[1]]))).filter(|count| *count != 0xffff)
}
