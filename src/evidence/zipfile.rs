//! A bundle as a ZIP file in memory: sorted names, one fixed time, so that the same files give the same bytes.
//!
//! Absent: encryption, links, folders as entries; and reading, which shares nothing with this ([`unzip`]).

use super::EvidenceError;
use super::unzip::{self, Limits, Refusal};
use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

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
/// When a name may not stand in a bundle, or readers would refuse its size.
pub fn write(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, EvidenceError> {
    within(files)?;
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

/// What readers refuse is not written.
fn within(files: &BTreeMap<String, Vec<u8>>) -> Result<(), EvidenceError> {
    const MOST: Limits = Limits::BUNDLE;
    let too_large =
        |what: &str| EvidenceError::Zip(format!("{what}: leave attachments out and hand them over separately"));
    if files.len() > MOST.files {
        return Err(too_large(&format!("{} files are more than the {} of a bundle", files.len(), MOST.files)));
    }
    if let Some((name, _)) = files.iter().find(|(_, bytes)| bytes.len() as u64 > MOST.file) {
        return Err(too_large(&format!("`{name}` has more than {} bytes", MOST.file)));
    }
    if files.values().map(|bytes| bytes.len() as u64).sum::<u64>() > MOST.total {
        return Err(too_large(&format!("the bundle has more than {} bytes", MOST.total)));
    }
    Ok(())
}

/// Unpacks a bundle within [`Limits::BUNDLE`].
///
/// # Errors
/// See [`unzip::read`].
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, Refusal> {
    unzip::read(bytes, &Limits::BUNDLE)
}
