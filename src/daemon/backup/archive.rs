//! A backup as one file: a ZIP with the database, the rule texts, the attachments, the last signed checkpoint, the keys if
//! wanted, and a list of all of them with their sums. Written and read in pieces: a database need not fit into memory.

use crate::evidence::{Checkpoint, PublicKey, SigningKey, hex, sshsig, unhex32, zipfile};
use crate::rules::utc;
use crate::store::sqlite::{self, Glance};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// What this version writes and reads.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.json.sig";
const CHECKPOINT: &str = "checkpoint.txt";
/// Of the signature over the list.
const NAMESPACE: &str = "breachclock-backup-v1";
/// Folders that are taken as they are.
const FOLDERS: [&str; 2] = ["rules", "attachments"];
/// What opens the rest: signing keys, and the keys of personal data.
const KEYS: &str = "keys";
pub(super) const KEY_DATABASE: &str = "keys.db";
/// The list of a large installation has some megabytes.
const MANIFEST_BYTES: u64 = 256 << 20;

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: u32,
    pub product: String,
    pub made_at: Timestamp,
    pub origin: String,
    /// Entries of the log, and the root of their tree, hexadecimal.
    pub size: u64,
    pub root: String,
    /// Size of the last signed checkpoint, which is `checkpoint.txt`; null when none was signed yet.
    pub checkpoint: Option<u64>,
    pub keys: bool,
    pub files: Vec<Listed>,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

/// A backup on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub file: PathBuf,
    pub bytes: u64,
    pub sha256: [u8; 32],
    pub manifest: Manifest,
}

/// Where a backup comes from.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    pub data: &'a Path,
    pub keys: bool,
    /// Signs the list; without one it is unsigned.
    pub signer: Option<&'a SigningKey>,
}

/// Writes a backup of `source` into `to`, whole or not at all. A daemon may run meanwhile.
pub fn write(source: &Source<'_>, to: &Path, now: Timestamp) -> Result<Made, String> {
    let database = source.data.join(sqlite::FILE);
    if !database.exists() {
        return Err(format!("`{}` has no database yet; start the daemon once", source.data.display()));
    }
    let part = beside(to, "part");
    let copied = beside(to, "part.db");
    let result = write_parts(source, &database, to, &part, &copied, now);
    let _ = fs::remove_file(&copied);
    if result.is_err() {
        let _ = fs::remove_file(&part);
    }
    result
}

fn write_parts(
    source: &Source<'_>,
    database: &Path,
    to: &Path,
    part: &Path,
    copied: &Path,
    now: Timestamp,
) -> Result<Made, String> {
    let failed = |error: &dyn std::fmt::Display| format!("the backup `{}` cannot be written: {error}", to.display());
    let made = make_private(part).map_err(|e| failed(&e))?;
    let mut zip = Packer { zip: ZipWriter::new(BufWriter::new(made)), files: Vec::new() };
    // what was left by a backup that was cut off
    let _ = fs::remove_file(copied);
    sqlite::copy(database, copied).map_err(|e| failed(&e))?;
    let glance = Glance::open(copied).map_err(|e| failed(&e))?;
    let head = glance.head().map_err(|e| failed(&e))?.ok_or_else(|| {
        "the evidence log lacks inner hashes; run `breachclock evidence fsck` before anything else".to_string()
    })?;
    let (origin, checkpoint) = (glance.origin().map_err(|e| failed(&e))?, glance.checkpoint().map_err(|e| failed(&e))?);
    drop(glance);
    zip.file(sqlite::FILE, copied).map_err(|e| failed(&e))?;
    // rule texts and attachments only ever come to be: after the database, nothing it names is missing
    for folder in FOLDERS {
        for (name, path) in tree(source.data, folder).map_err(|e| failed(&e))? {
            zip.file(&name, &path).map_err(|e| failed(&e))?;
        }
    }
    if source.keys {
        pack_keys(source, &mut zip, copied).map_err(|e| failed(&e))?;
    }
    if let Some(checkpoint) = &checkpoint {
        zip.bytes(CHECKPOINT, checkpoint.note.as_bytes()).map_err(|e| failed(&e))?;
    }
    let manifest = Manifest {
        format: FORMAT,
        product: concat!("breachclock ", env!("CARGO_PKG_VERSION")).to_string(),
        made_at: now,
        origin,
        size: head.size,
        root: hex(&head.root()),
        checkpoint: checkpoint.map(|c| c.size),
        keys: source.keys,
        files: std::mem::take(&mut zip.files),
    };
    let list = serde_json::to_vec_pretty(&manifest).map_err(|e| failed(&e))?;
    zip.bytes(MANIFEST, &list).map_err(|e| failed(&e))?;
    if let Some(signer) = source.signer {
        zip.bytes(SIGNATURE, sshsig::sign(signer, NAMESPACE, &list).as_bytes()).map_err(|e| failed(&e))?;
    }
    let written = zip.zip.finish().map_err(|e| failed(&e))?.into_inner().map_err(|e| failed(&e))?;
    written.sync_all().map_err(|e| failed(&e))?;
    let (bytes, sha256) = sum(part).map_err(|e| failed(&e))?;
    fs::rename(part, to).and_then(|()| sync_folder(to)).map_err(|e| failed(&e))?;
    Ok(Made { file: to.to_path_buf(), bytes, sha256, manifest })
}

fn pack_keys(source: &Source<'_>, zip: &mut Packer, scratch: &Path) -> io::Result<()> {
    let keys = tree(source.data, KEYS)?;
    if keys.is_empty() {
        return Err(io::Error::other(format!(
            "there are no keys in `{}`; when they come from systemd credentials, keep those apart and write the backup without keys",
            source.data.join(KEYS).display()
        )));
    }
    for (name, path) in keys {
        zip.file(&name, &path)?;
    }
    let database = source.data.join(KEY_DATABASE);
    if database.exists() {
        fs::remove_file(scratch)?;
        sqlite::copy(&database, scratch).map_err(io::Error::other)?;
        zip.file(KEY_DATABASE, scratch)?;
    }
    Ok(())
}

struct Packer {
    zip: ZipWriter<BufWriter<File>>,
    files: Vec<Listed>,
}

impl Packer {
    fn begin(&mut self, name: &str) -> io::Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .large_file(true)
            .unix_permissions(0o600);
        self.zip.start_file(name, options).map_err(io::Error::other)
    }

    fn file(&mut self, name: &str, path: &Path) -> io::Result<()> {
        let mut from = File::open(path)?;
        self.begin(name)?;
        let (mut sha256, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; 1 << 16]);
        loop {
            let n = from.read(&mut piece)?;
            if n == 0 {
                break;
            }
            sha256.update(&piece[..n]);
            bytes += n as u64;
            self.zip.write_all(&piece[..n])?;
        }
        self.files.push(Listed { name: name.to_string(), bytes, sha256: hex(&sha256.finalize()) });
        Ok(())
    }

    fn bytes(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.begin(name)?;
        self.zip.write_all(content)?;
        let sha256 = hex(&Sha256::digest(content));
        self.files.push(Listed { name: name.to_string(), bytes: content.len() as u64, sha256 });
        Ok(())
    }
}

/// A backup, opened and its list read.
pub struct Backup {
    zip: ZipArchive<BufReader<File>>,
    pub manifest: Manifest,
    list: Vec<u8>,
    signature: Option<String>,
}

impl Backup {
    /// Reads the list of `file`, without trusting it: names stay inside, nothing stands twice, nothing is unlisted.
    pub fn open(file: &Path) -> Result<Backup, String> {
        let refused = |why: String| format!("`{}` is no usable backup: {why}", file.display());
        let opened = File::open(file).map_err(|e| format!("`{}` cannot be read: {e}", file.display()))?;
        let mut zip = ZipArchive::new(BufReader::new(opened)).map_err(|e| refused(e.to_string()))?;
        let mut read = |name: &str| -> Result<Option<Vec<u8>>, String> {
            if zip.index_for_name(name).is_none() {
                return Ok(None);
            }
            let member = zip.by_name(name).map_err(|e| refused(format!("`{name}` cannot be read: {e}")))?;
            let mut content = Vec::new();
            member
                .take(MANIFEST_BYTES + 1)
                .read_to_end(&mut content)
                .map_err(|e| refused(format!("`{name}` cannot be read: {e}")))?;
            match content.len() as u64 > MANIFEST_BYTES {
                true => Err(refused(format!("`{name}` is larger than {MANIFEST_BYTES} bytes"))),
                false => Ok(Some(content)),
            }
        };
        let list = read(MANIFEST)?.ok_or_else(|| refused(format!("`{MANIFEST}` is missing")))?;
        let signature = read(SIGNATURE)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let manifest: Manifest =
            serde_json::from_slice(&list).map_err(|e| refused(format!("`{MANIFEST}` cannot be read: {e}")))?;
        if manifest.format != FORMAT {
            return Err(refused(format!(
                "it has format {}, this version reads {FORMAT}; use the version that made it ({})",
                manifest.format, manifest.product
            )));
        }
        let mut names = BTreeSet::new();
        for listed in &manifest.files {
            if !is_ours(&listed.name) || !names.insert(listed.name.as_str()) {
                return Err(refused(format!("`{}` may not stand in it, or stands twice", listed.name)));
            }
            if zip.index_for_name(&listed.name).is_none() {
                return Err(refused(format!("`{}` is missing", listed.name)));
            }
        }
        let unlisted = |name: &String| !names.contains(name.as_str()) && name != MANIFEST && name != SIGNATURE;
        let all = zip.file_names().map(|name| name.map_or_else(|error| error.to_string(), |name| name.into_owned()));
        let extra = all.into_iter().find(unlisted);
        if let Some(extra) = extra {
            return Err(refused(format!("`{extra}` is not in its list")));
        }
        if !names.contains(sqlite::FILE) {
            return Err(refused(format!("`{}` is missing", sqlite::FILE)));
        }
        Ok(Backup { zip, manifest, list, signature })
    }

    /// Whether `key` signed the list.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let signed = self.signature.as_ref().and_then(|s| sshsig::verify(s, NAMESPACE, &self.list).ok());
        signed.is_some_and(|by| by == *key)
    }

    pub fn is_signed(&self) -> bool {
        self.signature.is_some()
    }

    /// Writes every file into `dir`, each compared with its sum.
    pub fn unpack(&mut self, dir: &Path) -> Result<(), String> {
        for listed in &self.manifest.files {
            let failed =
                |why: &dyn std::fmt::Display| format!("`{}` of the backup cannot be restored: {why}", listed.name);
            let to = dir.join(&listed.name);
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(|e| failed(&e))?;
            }
            let mut out = BufWriter::new(make_private(&to).map_err(|e| failed(&e))?);
            let mut member = self.zip.by_name(&listed.name).map_err(|e| failed(&e))?.take(listed.bytes + 1);
            let (mut sha256, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; 1 << 16]);
            loop {
                let n = member.read(&mut piece).map_err(|e| failed(&e))?;
                if n == 0 {
                    break;
                }
                sha256.update(&piece[..n]);
                bytes += n as u64;
                out.write_all(&piece[..n]).map_err(|e| failed(&e))?;
            }
            if bytes != listed.bytes || Some(sha256.finalize().into()) != unhex32(&listed.sha256) {
                return Err(failed(&"its sum is not the listed one; the backup is damaged, use another"));
            }
            out.into_inner().map_err(|e| failed(&e))?.sync_all().map_err(|e| failed(&e))?;
        }
        Ok(())
    }

    /// The checkpoint's text as unpacked into `dir`; unchecked.
    pub fn checkpoint(dir: &Path) -> Option<String> {
        fs::read_to_string(dir.join(CHECKPOINT)).ok()
    }
}

/// Names that a backup may have: those we write.
fn is_ours(name: &str) -> bool {
    let inside = |folder: &str| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    zipfile::is_name(name)
        && ([sqlite::FILE, KEY_DATABASE, CHECKPOINT].contains(&name) || inside(KEYS) || FOLDERS.into_iter().any(inside))
}

/// The log's name as part of a file name.
fn word(origin: &str) -> String {
    origin.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}

/// Name of a backup made at `now`.
pub fn name(origin: &str, now: Timestamp) -> String {
    format!("breachclock-{}-{}.zip", word(origin), now.format("%Y%m%dT%H%M%SZ"))
}

/// Backups of this log in `dir`, by their names, oldest first.
pub fn list(dir: &Path, origin: &str) -> io::Result<Vec<(Timestamp, PathBuf)>> {
    let prefix = format!("breachclock-{}-", word(origin));
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let time = file.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".zip"));
        let at = time.and_then(|time| chrono::NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%SZ").ok());
        found.extend(at.map(|at| (at.and_utc(), path)));
    }
    found.sort();
    Ok(found)
}

/// Deletes the oldest backups of this log until `keep` are left. Answers their names.
pub fn prune(dir: &Path, origin: &str, keep: u32) -> io::Result<Vec<String>> {
    let mut all = list(dir, origin)?;
    let mut removed = Vec::new();
    for (_, path) in all.drain(..all.len().saturating_sub(keep.max(1) as usize)) {
        fs::remove_file(&path)?;
        removed.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    Ok(removed)
}

/// Where the newest checkpoint is kept beside the backups: after a loss it says how far the log had grown.
pub fn checkpoint_beside(dir: &Path, origin: &str) -> PathBuf {
    dir.join(format!("breachclock-{}.checkpoint", word(origin)))
}

/// Keeps `note` in `dir`, when it is not there already.
pub fn keep_checkpoint(dir: &Path, origin: &str, note: &str) -> io::Result<()> {
    let to = checkpoint_beside(dir, origin);
    let kept = fs::read_to_string(&to).ok();
    // never a smaller one: it stands for everything that was signed
    let size = |note: &str| Checkpoint::parse(note).map(|c| c.claimed().size).unwrap_or_default();
    if kept.is_some_and(|kept| size(&kept) >= size(note)) {
        return Ok(());
    }
    let part = beside(&to, "part");
    fs::write(&part, note)?;
    File::open(&part)?.sync_all()?;
    fs::rename(&part, &to)
}

/// What is taken with a file, for people.
pub fn describe(made: &Made) -> String {
    let m = &made.manifest;
    format!(
        "{}  {} bytes, {} entries, made {}, {}",
        made.file.display(),
        made.bytes,
        m.size,
        utc(m.made_at),
        if m.keys { "keys included" } else { "without keys" }
    )
}

fn tree(root: &Path, folder: &str) -> io::Result<Vec<(String, PathBuf)>> {
    fn walk(root: &Path, dir: &Path, found: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                walk(root, &path, found)?;
                continue;
            }
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            // half-written texts end in `.part`
            if kind.is_file() && zipfile::is_name(&name) && !name.ends_with(".part") {
                found.push((name, path));
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    let dir = root.join(folder);
    if dir.is_dir() {
        walk(root, &dir, &mut found)?;
    }
    found.sort();
    Ok(found)
}

/// Bytes and SHA-256 of a file.
pub fn sum(path: &Path) -> io::Result<(u64, [u8; 32])> {
    let (mut from, mut sha256, mut bytes, mut piece) = (File::open(path)?, Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let n = from.read(&mut piece)?;
        if n == 0 {
            return Ok((bytes, sha256.finalize().into()));
        }
        sha256.update(&piece[..n]);
        bytes += n as u64;
    }
}

fn make_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(true).read(true).write(true).mode(0o600).open(path)
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{end}"))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
