//! Bundles made to harm whoever reads them: refused with the file's name and the reason, exit 1, in bounded memory.
//!
//! ZIP files are put together here byte by byte, so that each part can lie. What is wrong inside a well-formed bundle is
//! in `tests/vectors/evidence`.

use super::evidence_vectors::{good, run, text, unpack};
use breachclock::evidence::unzip::{self, Limits, Refusal};
use breachclock::evidence::{verify_bundle, zipfile};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

/// One file of a ZIP file, each part of which may lie.
#[derive(Clone)]
struct Part {
    name: Vec<u8>,
    local_name: Option<Vec<u8>>,
    /// As packed.
    data: Vec<u8>,
    method: u16,
    flags: u16,
    crc: u32,
    size: u32,
    local_size: Option<u32>,
    packed: Option<u32>,
    mode: u32,
    extra: Vec<u8>,
    local_extra: Vec<u8>,
    comment: Vec<u8>,
    volume: u16,
    /// Where the directory says it starts.
    at: Option<u32>,
    descriptor: Vec<u8>,
    behind: Vec<u8>,
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

fn stored(name: &str, content: &[u8]) -> Part {
    Part {
        name: name.into(),
        local_name: None,
        data: content.to_vec(),
        method: 0,
        flags: 0,
        crc: crc(content),
        size: content.len() as u32,
        local_size: None,
        packed: None,
        mode: 0o100_644,
        extra: Vec::new(),
        local_extra: Vec::new(),
        comment: Vec::new(),
        volume: 0,
        at: None,
        descriptor: Vec::new(),
        behind: Vec::new(),
    }
}

fn deflated(name: &str, content: &[u8]) -> Part {
    Part { data: deflate(content), method: 8, ..stored(name, content) }
}

fn sums(part: &Part) -> Vec<u8> {
    [part.crc, part.packed.unwrap_or(part.data.len() as u32), part.size].iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn zip(parts: &[Part]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for part in parts {
        let packed = part.packed.unwrap_or(part.data.len() as u32);
        let at = part.at.unwrap_or(out.len() as u32);
        let name = part.local_name.as_ref().unwrap_or(&part.name);
        let u16s = |out: &mut Vec<u8>, words: &[u16]| words.iter().for_each(|w| out.extend(w.to_le_bytes()));
        let u32s = |out: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|w| out.extend(w.to_le_bytes()));
        out.extend(b"PK\x03\x04");
        u16s(&mut out, &[20, part.flags, part.method, 0, 0x21]);
        match part.descriptor.is_empty() {
            true => u32s(&mut out, &[part.crc, packed, part.local_size.unwrap_or(part.size)]),
            false => u32s(&mut out, &[0, 0, 0]),
        }
        u16s(&mut out, &[name.len() as u16, part.local_extra.len() as u16]);
        for bytes in [name, &part.local_extra, &part.data, &part.descriptor, &part.behind] {
            out.extend(bytes);
        }
        directory.extend(b"PK\x01\x02");
        u16s(&mut directory, &[20 | 3 << 8, 20, part.flags, part.method, 0, 0x21]);
        u32s(&mut directory, &[part.crc, packed, part.size]);
        let lengths = [part.name.len(), part.extra.len(), part.comment.len()].map(|n| n as u16);
        u16s(&mut directory, &lengths);
        u16s(&mut directory, &[part.volume, 0]);
        u32s(&mut directory, &[part.mode << 16, at]);
        for bytes in [&part.name, &part.extra, &part.comment] {
            directory.extend(bytes);
        }
    }
    let start = out.len() as u32;
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    [parts.len() as u16; 2].iter().for_each(|n| out.extend(n.to_le_bytes()));
    [directory.len() as u32, start].iter().for_each(|n| out.extend(n.to_le_bytes()));
    out.extend([0, 0]);
    out
}

/// `case` is refused, naming `file` and saying `why`.
fn refused(case: &str, bytes: &[u8], file: Option<&str>, why: &str) {
    let Err(refusal) = unzip::read(bytes, &Limits::BUNDLE) else { panic!("{case}: was read") };
    assert_eq!(refusal.file.as_deref(), file, "{case}: {refusal}");
    assert!(refusal.why.contains(why), "{case}: {refusal}");
}

#[test]
fn a_zip_file_of_another_tool_is_read() {
    let files = good();
    // folders, streamed sizes with and without signature, times and owners in extra fields
    let mut parts = vec![Part { mode: 0o040_755, ..stored("keys/", b"") }];
    for ((name, content), at) in files.iter().zip(0..) {
        let mut part = if at % 2 == 0 { deflated(name, content) } else { stored(name, content) };
        if at % 3 == 0 {
            part.flags = 8 | 1 << 11;
            let signature: &[u8] = if at % 2 == 0 { b"PK\x07\x08" } else { b"" };
            part.descriptor = [signature, &sums(&part)].concat();
        }
        part.extra = b"UT\x05\0\x03\0\0\0\0".to_vec();
        part.local_extra = b"ux\x02\0\0\0".to_vec();
        parts.push(part);
    }
    assert_eq!(zipfile::read(&zip(&parts)), Ok(files.clone()));
    let dir = unpack(&files);
    for arguments in [vec!["-q", "-r", "b.zip", "."], vec!["-q", "-0", "-r", "c.zip", ".", "-x", "b.zip"]] {
        let output = run(dir.path(), "zip", &arguments);
        assert!(output.status.success(), "{}", text(&output));
        let bytes = std::fs::read(dir.path().join(arguments.iter().find(|a| a.ends_with(".zip")).expect("a name")));
        assert_eq!(zipfile::read(&bytes.expect("a ZIP file")), Ok(files.clone()));
    }
}

#[test]
fn more_files_than_sixteen_bits_count_come_back() {
    let files: BTreeMap<String, Vec<u8>> = (0..70_000).map(|n| (format!("entries/{n:06}.json"), Vec::new())).collect();
    let bytes = zipfile::write(&files).expect("a ZIP file");
    assert_eq!(zipfile::read(&bytes).map(|files| files.len()), Ok(70_000));
    let end = bytes.len() - 22;
    // the number in the record, in its twin, its place, the size of the list
    for at in [end - 20 - 56 + 24, end - 20 - 56 + 32, end - 20 + 8, end - 20 - 56 + 40, end - 20 + 16] {
        let mut lied = bytes.clone();
        lied[at] ^= 1;
        refused(&format!("byte {at}"), &lied, None, "");
    }
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    for name in ["../x", "a/../../x", "/etc/passwd", "..\\x", "a\\..\\x", "C:x", "C:\\x", "\\\\host\\x"] {
        refused(name, &zip(&[stored(name, b"x")]), Some(name), "leads out of the folder");
    }
    for name in ["", ".", "a//b", "a/.b", "-rf", "a b", "a\nb", "a\u{1b}[2Jb", "ä", "a/./b", "a*", &"a".repeat(201)] {
        refused(name, &zip(&[stored(name, b"x")]), Some(name), "may not stand in a bundle");
    }
    let bell = Refusal::new(Some("a\u{1b}[2Jb"), "x").to_string();
    assert!(!bell.contains('\u{1b}'), "{bell}");
    let latin = Part { name: b"caf\xe9".to_vec(), ..stored("x", b"x") };
    refused("a name in Latin 1", &zip(&[latin]), Some("caf\u{fffd}"), "no UTF-8");
}

#[test]
fn each_lie_of_a_zip_file_is_refused_by_the_name_of_the_file() {
    let (one, two) = (stored("a.txt", b"the first"), deflated("b.txt", b"the second, the second, the second"));
    let with = |change: &dyn Fn(&mut Part)| {
        let mut changed = two.clone();
        change(&mut changed);
        zip(&[one.clone(), changed])
    };
    assert!(unzip::read(&with(&|_| ()), &Limits::BUNDLE).is_ok());
    let crypt = "is encrypted";
    let ways = "is described in two ways";
    type Lie<'a> = (&'a str, &'a dyn Fn(&mut Part), &'a str);
    let lies: Vec<Lie<'_>> = vec![
        ("encrypted", &|p| p.flags |= 1, crypt),
        ("strongly encrypted", &|p| p.flags |= 1 << 6 | 1, crypt),
        ("encrypted by AES", &|p| p.extra = b"\x01\x99\x07\0\x02\0AE\x03\x08\0".to_vec(), crypt),
        ("masked headers", &|p| p.flags |= 1 << 13, "flags"),
        ("a patch", &|p| p.flags |= 1 << 5, "flags"),
        ("another method", &|p| p.method = 9, "neither as stored nor as deflate"),
        ("bzip2", &|p| p.method = 12, "neither as stored nor as deflate"),
        ("a symbolic link", &|p| p.mode = 0o120_777, "is a symbolic link"),
        ("a device", &|p| p.mode = 0o020_666, "is no plain file"),
        ("a pipe", &|p| p.mode = 0o010_666, "is no plain file"),
        ("a folder without slash", &|p| p.mode = 0o040_755, "is no plain file"),
        ("a folder with content", &|p| (p.name, p.mode) = (b"b/".to_vec(), 0o040_755), "is a folder with content"),
        ("ZIP64 sizes", &|p| p.extra = [b"\x01\0\x08\0".to_vec(), vec![0; 8]].concat(), "ZIP64"),
        ("ZIP64 sizes in front", &|p| p.local_extra = [b"\x01\0\x08\0".to_vec(), vec![0; 8]].concat(), "ZIP64"),
        ("a second name", &|p| p.extra = b"up\x06\0\x01\0\0\0\0x".to_vec(), "second name"),
        ("an extra field that is cut", &|p| p.extra = b"UT\xff\0\x03".to_vec(), "is cut"),
        ("a comment", &|p| p.comment = b"hello".to_vec(), "has a comment"),
        ("another volume", &|p| p.volume = 1, "another volume"),
        ("another name in front", &|p| p.local_name = Some(b"c.txt".to_vec()), ways),
        ("another size in front", &|p| p.local_size = Some(1), ways),
        ("a descriptor nobody announced", &|p| p.descriptor = vec![0; 12], ways),
        ("a descriptor that lies", &|p| (p.flags, p.descriptor) = (8, vec![1; 12]), ways),
        ("bytes behind", &|p| p.behind = b"hidden".to_vec(), "bytes behind it"),
        ("bytes behind the packed content", &|p| p.data.extend(b"hidden"), "bytes behind its packed content"),
        ("a smaller size", &|p| p.size -= 1, "does not unpack to the size"),
        ("a larger size", &|p| p.size += 1, "does not unpack to the size"),
        ("a check sum", &|p| p.crc ^= 1, "check sum"),
        ("packed content that is cut", &|p| p.data.truncate(p.data.len() - 1), "unpack"),
        ("packed content that is none", &|p| p.data = vec![0xff; 9], "cannot be unpacked"),
        ("stored with two sizes", &|p| p.method = 0, "two sizes"),
        ("the place of the first", &|p| p.at = Some(0), "file"),
        ("a place in the directory", &|p| p.at = Some(90), "file"),
        ("a place far behind", &|p| p.at = Some(u32::MAX), "file"),
        ("a packed size beyond the end", &|p| p.packed = Some(u32::MAX), "overlaps"),
    ];
    for (case, lie, why) in lies {
        let Err(refusal) = unzip::read(&with(lie), &Limits::BUNDLE) else { panic!("{case}: was read") };
        assert!(refusal.to_string().contains(why), "{case}: {refusal}");
        let file = refusal.file.unwrap_or_default();
        assert!(["a.txt", "b.txt", "b/"].contains(&file.as_str()), "{case}: names `{file}`");
    }
    refused("twice", &zip(&[one.clone(), one.clone()]), Some("a.txt"), "stands twice");
    let good = zip(&[one.clone(), two.clone()]);
    refused("something in front", &[b"#!/bin/sh\n", &good[..]].concat(), None, "list of files");
    refused("something behind", &[&good[..], b"\n"].concat(), None, "behind it");
    refused("a comment", &[&good[..good.len() - 2], b"\x01\0c"].concat(), None, "behind it");
    let mut volumes = good.clone();
    let end = good.len() - 22;
    volumes[end + 4] = 1;
    refused("volumes", &volumes, None, "several volumes");
    for (at, why) in [(10, "volumes"), (12, "list of files"), (16, "list of files")] {
        let mut lied = good.clone();
        lied[end + at] ^= 1;
        refused("the end", &lied, None, why);
    }
    let mut fewer = good.clone();
    (fewer[end + 8], fewer[end + 10]) = (1, 1);
    refused("a file that is not counted", &fewer, None, "longer than it says");
    let mut more = good.clone();
    (more[end + 8], more[end + 10]) = (3, 3);
    refused("a file that is not there", &more, None, "file 3 of the list is cut");
    for cut in 0..good.len() {
        assert!(unzip::read(&good[..cut], &Limits::BUNDLE).is_err(), "cut at {cut}");
    }
}

#[test]
fn limits_hold_before_anything_is_unpacked() {
    let parts: Vec<Part> = (0..5).map(|n| deflated(&format!("f{n}"), &[0; 1000])).collect();
    let bytes = zip(&parts);
    let most = Limits { packed: bytes.len() as u64, files: 5, file: 1000, total: 5000 };
    assert!(unzip::read(&bytes, &most).is_ok());
    let refused = |limits, file: Option<&str>| {
        let refusal = unzip::read(&bytes, &limits).expect_err("beyond the limit");
        assert_eq!(refusal.file.as_deref(), file, "{refusal}");
    };
    refused(Limits { packed: bytes.len() as u64 - 1, ..most }, None);
    refused(Limits { files: 4, ..most }, None);
    refused(Limits { file: 999, ..most }, Some("f0"));
    refused(Limits { total: 4999, ..most }, Some("f4"));
}

// ---------------------------------------------------------------- the command

fn verify(path: &Path, kibibytes: Option<u64>) -> Output {
    let limit = kibibytes.map_or(String::new(), |most| format!("ulimit -v {most} && "));
    let shell = format!("{limit}exec \"$0\" evidence verify --json \"$1\"");
    let args = ["-c", &shell, env!("CARGO_BIN_EXE_breachclock"), path.to_str().expect("UTF-8")];
    Command::new("sh").args(args).output().expect("a shell")
}

fn answer(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("no JSON ({e}): {}", text(output)))
}

/// A thousand files of 4 MiB of zeros, and one file of 4 GiB that says it is small: a few MiB in the mail.
#[test]
fn bombs_are_refused_in_little_memory() {
    let dir = tempfile::tempdir().expect("a folder");
    let zeros = deflated("attachments/zeros", &vec![0; 4 << 20]);
    let many: Vec<Part> =
        (0..1000).map(|n| Part { name: format!("attachments/{n:04}").into(), ..zeros.clone() }).collect();
    // one block of zeros, repeated by the format itself
    let lying = Part { size: 1000, ..deflated("report.html", &vec![0; 64 << 20]) };
    let huge = Part { size: u32::MAX - 1, ..zeros.clone() };
    // all files are one: packed once, unpacked a thousand times
    let mut shared = vec![zeros.clone()];
    shared.extend(many.iter().map(|part| Part { at: Some(0), data: Vec::new(), ..part.clone() }));
    for (case, parts, file, why) in [
        ("many", many, "attachments/0256", "brings the bundle above"),
        ("lying", vec![lying], "report.html", "does not unpack to the size"),
        ("huge", vec![huge], "attachments/zeros", "more than the 536870912 of one file"),
        ("shared", shared, "attachments/", ""),
    ] {
        let path = dir.path().join(format!("{case}.zip"));
        std::fs::write(&path, zip(&parts)).expect("a file");
        let output = verify(&path, Some(400_000));
        assert_eq!(output.status.code(), Some(1), "{case}: {}", text(&output));
        let answer = answer(&output);
        let check = &answer["checks"][0];
        assert!(check["file"].as_str().is_some_and(|f| f.starts_with(file)), "{case}: {answer}");
        assert!(check["detail"].as_str().is_some_and(|w| w.contains(why)), "{case}: {answer}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(file), "{case}: {}", text(&output));
    }
}

#[test]
fn folders_with_links_and_pipes_are_refused_by_name() {
    let bundle = good();
    let command = |dir: &Path, shell: &str| assert!(run(dir, "sh", &["-c", shell]).status.success(), "{shell}");
    for (shell, file, why) in [
        ("rm report.html && ln -s /etc/passwd report.html", "report.html", "symbolic link"),
        ("ln -s . entries/again", "entries/again", "symbolic link"),
        ("ln -s /dev/zero extra.txt", "extra.txt", "symbolic link"),
        ("mkfifo waits", "waits", "no plain file"),
    ] {
        let dir = unpack(&bundle);
        command(dir.path(), shell);
        let output = verify(dir.path(), Some(400_000));
        assert_eq!(output.status.code(), Some(1), "{shell}: {}", text(&output));
        let answer = answer(&output);
        assert_eq!(answer["checks"][0]["file"], file, "{answer}");
        assert!(answer["checks"][0]["detail"].as_str().is_some_and(|w| w.contains(why)), "{answer}");
        for (program, script) in super::evidence_vectors::VERIFIERS {
            let output = run(dir.path(), program, &[script]);
            assert_eq!(output.status.code(), Some(1), "{script}, {shell}: {}", text(&output));
            assert!(text(&output).contains(file), "{script}, {shell}: {}", text(&output));
        }
    }
    for (path, code) in [("/no/such/bundle.zip", 66), ("/dev/null", 1), ("/dev/zero", 1)] {
        assert_eq!(verify(Path::new(path), Some(400_000)).status.code(), Some(code), "{path}");
    }
}

/// Contents that readers of JSON, keys and notes trip over: a fault of the named file from all three, never a crash.
#[test]
fn contents_made_to_trip_a_reader_are_faults_of_the_file() {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let twins: String = (0..200_000).map(|n| format!("\"m{n}\":0,")).collect();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("bundle.json", deep(200_000).into()),
        ("bundle.json", format!("{{{twins}\"m7\":0}}").into()),
        ("bundle.json", b"[]".to_vec()),
        ("bundle.json", b"{\"withheld\":[{\"commitments\":3}]}".to_vec()),
        ("bundle.json", b"{\"tree_size\":1e400}".to_vec()),
        ("bundle.json", format!("{{\"tree_size\":{}}}", "9".repeat(5000)).into()),
        ("bundle.json", b"\xff\xfe".to_vec()),
        ("bundle.json", Vec::new()),
        ("checkpoint.txt", b"\n\n\n\n\n".to_vec()),
        ("checkpoint.txt", b"\xff\n".to_vec()),
        ("checkpoint.txt", Vec::new()),
        ("checkpoint.txt.sig", b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n".to_vec()),
        ("checkpoint.txt.sig", Vec::new()),
        ("keys/allowed_signers", b"a b c\n".to_vec()),
        ("keys/allowed_signers", Vec::new()),
        ("keys/log.vkey", vec![0xff; 40]),
        ("keys/log.pub.pem", b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n".to_vec()),
        ("entries/000003.json", deep(100_000).into()),
        ("entries/000003.json", vec![0; 100]),
        ("entries/000003.json", Vec::new()),
        ("proofs/000003.tlog-proof", b"c2sp.org/tlog-proof@v1\nindex 99999999999999999999\n\n".to_vec()),
        ("proofs/000003.tlog-proof", vec![0xff; 100]),
        ("proofs/000003.tlog-proof", Vec::new()),
        ("SHA256SUMS", b"\n\n".to_vec()),
        ("SHA256SUMS", b"\xff  a\n".to_vec()),
        ("SHA256SUMS", Vec::new()),
        ("SHA256SUMS.sig", b"-----BEGIN SSH SIGNATURE-----".to_vec()),
        ("report.html", vec![0xff; 100]),
    ];
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let half = cases.len().div_ceil(2);
        let trip =
            |cases: &[(&str, Vec<u8>)]| cases.iter().flat_map(|(file, content)| tripped(file, content)).collect();
        let threads: Vec<_> =
            cases.chunks(half).map(|cases| scope.spawn(move || -> Vec<String> { trip(cases) })).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no reader crashes")).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn tripped(file: &str, content: &[u8]) -> Vec<String> {
    let mut files = good();
    files.insert(file.to_string(), content.to_vec());
    let shown: String = String::from_utf8_lossy(content).chars().take(40).collect();
    let mut wrong = Vec::new();
    let report = verify_bundle(&files);
    if report.ok || !report.checks.iter().any(|c| !c.ok && c.file.as_deref() == Some(file)) {
        wrong.push(format!("ours does not name {file} ({shown}): {:?}", report.checks));
    }
    let dir = unpack(&files);
    for (program, script) in super::evidence_vectors::VERIFIERS {
        let output = run(dir.path(), program, &[script]);
        let said = text(&output);
        if output.status.code() != Some(1) || !said.contains(file) || said.contains("Traceback") {
            let said: String = said.chars().take(2000).collect();
            wrong.push(format!("{script} on {file} ({shown}), status {:?}: {said}", output.status.code()));
        }
    }
    wrong
}
