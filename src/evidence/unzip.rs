//! Reads a bundle out of a ZIP file: one reading of each byte, or a refusal that names the file and the reason.
//!
//! The format describes a file up to three times (directory, local header, data descriptor) and readers differ in which
//! they believe. Here all must agree, every byte belongs to exactly one file or to the directory, and nothing is unpacked
//! before the whole directory was held against the [`Limits`].
//! Absent, because no bundle needs it: encryption, several volumes, links, comments, methods besides stored and deflate,
//! ZIP64 but for the number of files.

use super::zipfile::is_name;
use flate2::bufread::DeflateDecoder;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;

/// How much a reader takes before it refuses. What is held in memory is at most `packed` and `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the ZIP file.
    pub packed: u64,
    pub files: usize,
    /// Bytes of one unpacked file.
    pub file: u64,
    /// Bytes of all unpacked files.
    pub total: u64,
}

impl Limits {
    /// What bundles are held to, by who writes them and who reads them.
    pub const BUNDLE: Limits = Limits { packed: 1 << 30, files: 200_000, file: 512 << 20, total: 1 << 30 };
}

/// Why a bundle was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file at fault, when it is one; as it is spelled in the bundle.
    pub file: Option<String>,
    pub why: String,
}

impl Refusal {
    pub fn new(file: Option<&str>, why: impl Into<String>) -> Refusal {
        Refusal { file: file.map(str::to_string), why: why.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            // a name may hold what moves a terminal's cursor
            Some(file) => write!(f, "`{}` {}", file.escape_debug(), self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl std::error::Error for Refusal {}

/// One file as the directory has it.
struct Listed<'a> {
    name: &'a str,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    /// Where its local header starts.
    at: u64,
}

const DIRECTORY: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
const END: &[u8] = b"PK\x05\x06";
const END64: &[u8] = b"PK\x06\x06";
const END64_AT: &[u8] = b"PK\x06\x07";
const DESCRIPTOR: &[u8] = b"PK\x07\x08";
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Sizes and sum follow the data.
const STREAMED: u16 = 1 << 3;
/// Levels of deflate, streamed, UTF-8 name.
const KNOWN_FLAGS: u16 = 0b110 | STREAMED | 1 << 11;

/// Unpacks a bundle.
///
/// # Errors
/// When it is no ZIP file, is cut or has something in front, between or behind; when two descriptions of a file differ;
/// when a name stands twice or may not stand in a bundle; when a limit is passed.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<BTreeMap<String, Vec<u8>>, Refusal> {
    if bytes.len() as u64 > limits.packed {
        return Err(Refusal::new(None, format!("the file has more than {} bytes", limits.packed)));
    }
    let (listed, directory_at) = directory(bytes, limits)?;
    let contents = contents(bytes, &listed, directory_at)?;
    let mut files = BTreeMap::new();
    for (file, content) in listed.iter().zip(contents) {
        if file.name.ends_with('/') {
            continue;
        }
        let content = unpack(file, content).map_err(|why| Refusal::new(Some(file.name), why))?;
        if files.insert(file.name.to_string(), content).is_some() {
            return Err(Refusal::new(Some(file.name), "stands twice in the ZIP file"));
        }
    }
    Ok(files)
}

/// The files by the directory, and where it starts. Whether they may be unpacked is decided here.
fn directory<'a>(bytes: &'a [u8], limits: &Limits) -> Result<(Vec<Listed<'a>>, u64), Refusal> {
    let whole = |why: &str| Refusal::new(None, why);
    let shape = || whole("this is no ZIP file, or it was cut, or something was put behind it");
    let end_at = bytes.len().checked_sub(22).ok_or_else(shape)?;
    let end = &bytes[end_at..];
    if !end.starts_with(END) || u16_at(end, 20) != Some(0) {
        return Err(shape());
    }
    let field = |at| u16_at(end, at).map(u64::from).ok_or_else(shape);
    if (field(4)?, field(6)?) != (0, 0) || field(8)? != field(10)? {
        return Err(whole("this is one of several volumes"));
    }
    let place = (u32_at(end, 12).ok_or_else(shape)?.into(), u32_at(end, 16).ok_or_else(shape)?.into());
    let (count, (size, start), directory_end) = match field(8)? {
        0xffff => many(bytes, end_at, place).ok_or_else(|| whole("its number of files is told in two ways"))?,
        count => (count, place, end_at),
    };
    if count > limits.files as u64 {
        return Err(Refusal::new(None, format!("{count} files are more than the {} of a bundle", limits.files)));
    }
    if start.checked_add(size) != Some(directory_end as u64) {
        return Err(whole("the list of files does not stand where the end of the ZIP file says"));
    }
    let mut rest = &bytes[start as usize..directory_end];
    let mut files = Vec::new();
    let mut left = limits.total;
    for at in 1..=count {
        let file = listed(&mut rest).ok_or_else(|| Refusal::new(None, format!("file {at} of the list is cut")))??;
        if file.size > limits.file {
            let why = format!("unpacks to {} bytes, more than the {} of one file", file.size, limits.file);
            return Err(Refusal::new(Some(file.name), why));
        }
        left = left.checked_sub(file.size).ok_or_else(|| {
            Refusal::new(Some(file.name), format!("brings the bundle above {} unpacked bytes", limits.total))
        })?;
        files.push(file);
    }
    if rest.is_empty() { Ok((files, start)) } else { Err(whole("the list of files is longer than it says")) }
}

/// Number of files, size and start of the directory, and its end, when there are more than a ZIP file could count at
/// first. `place` is what its plain end says of size and start.
fn many(bytes: &[u8], end_at: usize, place: (u64, u64)) -> Option<(u64, (u64, u64), usize)> {
    let locator_at = end_at.checked_sub(20)?;
    let record_at = locator_at.checked_sub(56)?;
    let (record, locator) = (&bytes[record_at..locator_at], &bytes[locator_at..end_at]);
    let one_volume = u32_at(locator, 4)? == 0 && u32_at(locator, 16)? == 1 && u64_at(record, 16)? == 0;
    let (count, size, start) = (u64_at(record, 24)?, u64_at(record, 40)?, u64_at(record, 48)?);
    // the plain end may leave it to the record
    let agrees = |plain: u64, value: u64| plain == value || plain == u64::from(u32::MAX);
    let told_once = u64_at(locator, 8)? == record_at as u64
        && u64_at(record, 4)? == 44
        && u64_at(record, 32)? == count
        && agrees(place.0, size)
        && agrees(place.1, start);
    let needed = count >= 0xffff && locator.starts_with(END64_AT) && record.starts_with(END64);
    (needed && one_volume && told_once).then_some((count, (size, start), record_at))
}

/// Takes the next file off the directory; `None` when it is cut.
fn listed<'a>(rest: &mut &'a [u8]) -> Option<Result<Listed<'a>, Refusal>> {
    let head = rest.split_off(..46).filter(|head| head.starts_with(DIRECTORY))?;
    let length = |at| u16_at(head, at).map(usize::from);
    let (name, extra) = (rest.split_off(..length(28)?)?, rest.split_off(..length(30)?)?);
    let comment = rest.split_off(..length(32)?)?;
    let Ok(name) = std::str::from_utf8(name) else {
        return Some(Err(Refusal::new(Some(&String::from_utf8_lossy(name)), "has a name that is no UTF-8 text")));
    };
    let file = Listed {
        name,
        flags: u16_at(head, 8)?,
        method: u16_at(head, 10)?,
        crc: u32_at(head, 16)?,
        packed: u32_at(head, 20)?.into(),
        size: u32_at(head, 24)?.into(),
        at: u32_at(head, 42)?.into(),
    };
    let mode = u32_at(head, 38)? >> 16;
    let volume = u16_at(head, 34)?;
    Some(match refuse(&file, mode, extra).or((!comment.is_empty()).then_some("has a comment")) {
        None if volume != 0 => Err(Refusal::new(Some(name), "lies in another volume")),
        None => Ok(file),
        Some(why) => Err(Refusal::new(Some(name), why)),
    })
}

/// What keeps a listed file out of a bundle.
fn refuse(file: &Listed<'_>, mode: u32, extra: &[u8]) -> Option<&'static str> {
    let folder = file.name.strip_suffix('/');
    let name = folder.unwrap_or(file.name);
    let leaves = name.split(['/', '\\']).any(|part| part == "..") || name.starts_with(['/', '\\']);
    let kind = mode & 0o170_000;
    Some(match () {
        () if leaves || name.contains(':') => "leads out of the folder it is unpacked into",
        () if !is_name(name) => "may not stand in a bundle: a name has letters, digits and `._-`",
        () if file.flags & 1 != 0 => "is encrypted",
        () if file.flags & !KNOWN_FLAGS != 0 => "is packed in a way that no bundle needs (flags)",
        () if kind == 0o120_000 => "is a symbolic link",
        () if kind != 0 && kind != if folder.is_some() { 0o040_000 } else { 0o100_000 } => "is no plain file",
        () if folder.is_some() && (file.size, file.packed, file.method) != (0, 0, STORED) => "is a folder with content",
        () if ![STORED, DEFLATED].contains(&file.method) => "is packed neither as stored nor as deflate",
        () if file.method == STORED && file.packed != file.size => "is stored, but has two sizes",
        () => return bad_extra(extra),
    })
}

/// Extra fields of a file may hold times and owners, nothing that changes what the file is.
fn bad_extra(mut extra: &[u8]) -> Option<&'static str> {
    while !extra.is_empty() {
        let head = extra.split_off(..4)?;
        let (kind, length) = (u16_at(head, 0)?, u16_at(head, 2)?);
        match kind {
            0x0001 => return Some("is described by ZIP64: no file of a bundle is that large"),
            0x7075 => return Some("has a second name"),
            0x0017 | 0x9901 => return Some("is encrypted"),
            _ => {}
        }
        if extra.split_off(..usize::from(length)).is_none() {
            return Some("has an extra field that is cut");
        }
    }
    None
}

/// The packed bytes of each file, in the order of the directory. No byte before the directory is left over, or used twice.
fn contents<'a>(bytes: &'a [u8], files: &[Listed<'_>], directory_at: u64) -> Result<Vec<&'a [u8]>, Refusal> {
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|at| files[*at].at);
    let mut contents: Vec<&[u8]> = vec![&[]; files.len()];
    let mut next = 0;
    for (place, at) in order.iter().enumerate() {
        let file = &files[*at];
        let refusal = |why| Refusal::new(Some(file.name), why);
        let end = order.get(place + 1).map_or(directory_at, |at| files[*at].at);
        if file.at != next {
            return Err(refusal("does not start where the file before it ends"));
        }
        let part = bytes.get(file.at as usize..end as usize).unwrap_or_default();
        contents[*at] = content(file, part).map_err(refusal)?;
        next = end;
    }
    if next == directory_at { Ok(contents) } else { Err(Refusal::new(None, "bytes stand before the list of files")) }
}

/// Local header, data and descriptor of one file, which fill `part` and say what the directory says.
fn content<'a>(file: &Listed<'_>, mut part: &'a [u8]) -> Result<&'a [u8], &'static str> {
    const OVERLAPS: &str = "overlaps another file, or is cut";
    const DIFFERS: &str = "is described in two ways";
    let head = part.split_off(..30).filter(|head| head.starts_with(LOCAL)).ok_or(OVERLAPS)?;
    let short = |at| u16_at(head, at).ok_or(OVERLAPS);
    let name = part.split_off(..usize::from(short(26)?)).ok_or(OVERLAPS)?;
    let extra = part.split_off(..usize::from(short(28)?)).ok_or(OVERLAPS)?;
    let data = part.split_off(..file.packed as usize).ok_or(OVERLAPS)?;
    let sums = |from: &[u8], at| Some((u32_at(from, at)?, u32_at(from, at + 4)?, u32_at(from, at + 8)?));
    let want = Some((file.crc, file.packed as u32, file.size as u32));
    let streamed = file.flags & STREAMED != 0;
    let sums_fit = sums(head, 14) == want || streamed && sums(head, 14) == Some((0, 0, 0));
    if name != file.name.as_bytes() || short(6)? != file.flags || short(8)? != file.method || !sums_fit {
        return Err(DIFFERS);
    }
    if let Some(why) = bad_extra(extra) {
        return Err(why);
    }
    let behind = match part.len() {
        0 => !streamed,
        12 => streamed && sums(part, 0) == want,
        16 => streamed && part.starts_with(DESCRIPTOR) && sums(part, 4) == want,
        _ => return Err("has bytes behind it that belong to no file"),
    };
    if behind { Ok(data) } else { Err(DIFFERS) }
}

fn unpack(file: &Listed<'_>, packed: &[u8]) -> Result<Vec<u8>, String> {
    let content = if file.method == STORED {
        packed.to_vec()
    } else {
        // grows with what comes out, never beyond what the directory says
        let (mut content, mut inflate) = (Vec::new(), DeflateDecoder::new(packed));
        (&mut inflate).take(file.size + 1).read_to_end(&mut content).map_err(|e| format!("cannot be unpacked: {e}"))?;
        if content.len() as u64 != file.size {
            return Err("does not unpack to the size it says".into());
        }
        if inflate.total_in() != packed.len() as u64 {
            return Err("has bytes behind its packed content".into());
        }
        content
    };
    let mut crc = flate2::Crc::new();
    crc.update(&content);
    if crc.sum() == file.crc { Ok(content) } else { Err("is damaged: its check sum differs".into()) }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}
