//! Every reader of outside bytes, on its corpus and on what a seeded mutator makes of it.
//!
//! `BREACHCLOCK_FUZZ_SECONDS` runs each target that long; `BREACHCLOCK_FUZZ_TARGET` picks one; `BREACHCLOCK_FUZZ_SEED`
//! starts elsewhere. An input that breaks a target is written to `fuzz/artifacts`. `fuzz/README.md` has the rest.

#[path = "../../fuzz/targets.rs"]
mod targets;

use super::evidence_vectors::good;
use breachclock::evidence::{verify_bundle, zipfile};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

/// Mutations of each target without a limit in seconds.
const ROUNDS: u64 = 600;
/// One input may work this long, without optimisation.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer inputs are not made: what is long is slow, and seldom another path.
const LONGEST: usize = 64 << 10;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).into()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The committed inputs of a target, in the order of their names.
fn corpus((name, _, also): &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folders = [Some(format!("fuzz/corpus/{name}")), also.map(str::to_string)];
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in folders.into_iter().flatten() {
        let found = std::fs::read_dir(root().join(folder)).into_iter().flatten();
        paths.extend(found.map(|entry| entry.expect("an entry").path()));
    }
    paths.retain(|path| path.extension().is_none_or(|ending| ending != "want"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("readable"))).collect()
}

/// What the bundle of the vectors gives to the corpus. After a change of the bundle's format, run this with
/// `BREACHCLOCK_BLESS=1` to write it anew.
#[test]
fn the_corpus_holds_a_bundle_that_is_good_today() {
    let files = good();
    let lines = |range: std::ops::RangeInclusive<u32>| -> Vec<u8> {
        range.flat_map(|n| files[&format!("entries/{n:06}.json")].clone()).collect()
    };
    let disclosures: Vec<&String> = files.keys().filter(|name| name.starts_with("disclosures/")).collect();
    let mut corpus: BTreeMap<String, Vec<u8>> = [
        ("zip/good.zip", zipfile::write(&files).expect("a bundle")),
        ("log/lines", lines(1..=6)),
        ("entries/lines", lines(1..=6)),
    ]
    .map(|(name, bytes)| (name.to_string(), bytes))
    .into();
    for (folder, name) in [
        ("bundle_entry", "entries/000001.json"),
        ("bundle_entry", "entries/000003.json"),
        ("bundle_entry", "entries/000006.json"),
        ("bundle_proof", "proofs/000003.tlog-proof"),
        ("bundle_note", "checkpoint.txt"),
        ("bundle_index", "bundle.json"),
        ("bundle_sums", "SHA256SUMS"),
        ("bundle_keys", "keys/allowed_signers"),
        ("bundle_keys", "keys/log.vkey"),
        ("bundle_keys", "keys/log.pub.pem"),
        ("bundle_disclosure", disclosures[0]),
        ("checkpoint", "checkpoint.txt"),
        ("sshsig", "SHA256SUMS.sig"),
        ("sshsig", "checkpoint.txt.sig"),
    ] {
        let file = name.rsplit('/').next().unwrap_or(name);
        corpus.insert(format!("{folder}/{file}"), files[name].clone());
    }
    let cosigned = super::evidence_vectors::cosigned::bundle();
    let note = String::from_utf8(cosigned["checkpoint.txt"].clone()).expect("text");
    let lines: Vec<&str> = note.split_inclusive('\n').skip(5).collect();
    corpus.insert("cosignature/one".to_string(), lines[0].into());
    corpus.insert("cosignature/lines".to_string(), lines.concat().into());
    let vkeys = String::from_utf8(cosigned["keys/witness.vkeys"].clone()).expect("text");
    corpus.insert("cosignature/vkey".to_string(), vkeys.lines().next().unwrap_or_default().into());
    corpus.insert("cosignature/size".to_string(), b"12\n".to_vec());
    let folder = root().join("fuzz/corpus");
    if std::env::var_os("BREACHCLOCK_BLESS").is_some() {
        for (name, bytes) in &corpus {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, bytes).expect("written");
        }
    }
    let stored = std::fs::read(folder.join("zip/good.zip")).expect("the corpus holds a bundle");
    let stored = zipfile::read(&stored).expect("a ZIP file");
    assert!(verify_bundle(&stored).ok, "the format of bundles changed: run this test with BREACHCLOCK_BLESS=1");
}

/// Runs one input. An error says what broke.
fn attempt((name, run, _): &Target, input: &[u8]) -> Result<(), String> {
    let (before, began) = (worked(), Instant::now());
    let outcome = catch_unwind(AssertUnwindSafe(|| run(input)));
    let took = before.zip(worked()).map_or_else(|| began.elapsed(), |(before, after)| after - before);
    match outcome {
        Ok(()) if took < PATIENCE => Ok(()),
        Ok(()) => Err(format!("{name}: one input took {took:?}")),
        Err(_) => Err(format!("{name}: broke, see above")),
    }
}

/// How long this thread has been on a processor: what other programs take of the machine is no fault of an input.
fn worked() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

#[test]
fn every_corpus_is_read() {
    for target in TARGETS {
        let corpus = corpus(target);
        assert!(!corpus.is_empty(), "`{}` has no corpus", target.0);
        for (path, input) in corpus {
            attempt(target, &input).unwrap_or_else(|what| panic!("{what}: {}", path.display()));
        }
    }
}

#[test]
fn every_reader_stands_what_a_mutator_makes() {
    let seconds = number("BREACHCLOCK_FUZZ_SECONDS");
    let only = std::env::var("BREACHCLOCK_FUZZ_TARGET").ok();
    let mut broken = Vec::new();
    for target in TARGETS.iter().filter(|(name, _, _)| only.as_ref().is_none_or(|only| only == name)) {
        let corpus: Vec<Vec<u8>> = corpus(target).into_iter().map(|(_, input)| input).collect();
        let mut dice = Dice(number("BREACHCLOCK_FUZZ_SEED").unwrap_or(1) | 1);
        let (began, mut rounds) = (Instant::now(), 0);
        while seconds.map_or(rounds < ROUNDS, |seconds| began.elapsed() < Duration::from_secs(seconds)) {
            rounds += 1;
            let input = dice.mutated(&corpus);
            if let Err(what) = attempt(target, &input) {
                let file = root().join(format!("fuzz/artifacts/{}-{rounds}", target.0));
                std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
                std::fs::write(&file, &input).expect("written");
                broken.push(format!("{what}: {}", file.display()));
                break;
            }
        }
        eprintln!("{}: {rounds} inputs from {} in {:?}", target.0, corpus.len(), began.elapsed());
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// xorshift: the same seed makes the same inputs.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `n`, which is not 0.
    fn below(&mut self, n: usize) -> usize {
        (self.roll() % n as u64) as usize
    }

    /// A piece of what is there: start and end.
    fn piece(&mut self, length: usize) -> (usize, usize) {
        let start = self.below(length + 1);
        let longest = (length - start).min(if self.roll().is_multiple_of(4) { length } else { 40 });
        (start, start + self.below(longest + 1))
    }

    fn mutated(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = corpus[self.below(corpus.len())].clone();
        for _ in 0..1 + self.below(6) {
            self.mutate(&mut input, corpus);
            input.truncate(LONGEST);
        }
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let (start, end) = self.piece(input.len());
        match self.below(10) {
            0 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] ^= 1 << self.below(8);
            }
            1 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] = [0, 0xff, b'0', b'"', b'{', b'\n', b' ', b'/', 0x80, 0x7f][self.below(10)];
            }
            2 => drop(input.drain(start..end)),
            3 => {
                let piece = input[start..end].to_vec();
                let at = self.below(input.len() + 1);
                input.splice(at..at, piece);
            }
            4 => input.truncate(end),
            5 => {
                let other = &corpus[self.below(corpus.len())];
                let (from, to) = self.piece(other.len());
                input.splice(start..end, other[from..to].iter().copied());
            }
            // a number of any size, where one stands
            6 => {
                if let Some(at) = input[start..].iter().position(u8::is_ascii_digit).map(|at| at + start) {
                    let length = input[at..].iter().take_while(|c| c.is_ascii_digit()).count();
                    let number = NUMBERS[self.below(NUMBERS.len())];
                    input.splice(at..at + length, number.bytes());
                }
            }
            7 => {
                let word = WORDS[self.below(WORDS.len())];
                input.splice(start..start, word.iter().copied());
            }
            // a line or a little-endian number said again, or another
            8 if input.len() >= 8 => {
                let at = self.below(input.len() - 7);
                let width = [1, 2, 4, 8][self.below(4)];
                let number = [0, 1, u64::MAX, 0xffff_ffff, 0xffff, 0x7fff_ffff, input.len() as u64][self.below(7)];
                input[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
            }
            _ => {
                let depth = 1 + self.below(300);
                let open = [b"[", b"{", b"("][self.below(3)];
                input.splice(start..end, open.repeat(depth));
            }
        }
    }
}

const NUMBERS: [&str; 12] = [
    "0",
    "00",
    "1",
    "-1",
    "9007199254740992",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "1e400",
    "0.5",
    "2026",
];

const WORDS: [&[u8]; 22] = [
    b"\n\n",
    b"\r\n",
    b"null",
    b"{\"$c\":\"",
    b"\"type\":\"deadline.computed\",",
    b"\"commitments\":[",
    b"\\u0000",
    b"\\ud800",
    b"\xef\xbb\xbf",
    b"\xe2\x80\x94 ",
    b"PK\x05\x06",
    b"PK\x01\x02",
    b"PK\x06\x06",
    b"../",
    b"T24:00:00Z",
    b"2026-02-30",
    b"+14:00",
    b"[[fact]]\n",
    b"Content-Type: multipart/report; boundary=",
    b"BEGIN:VEVENT\r\n",
    b"RRULE:FREQ=DAILY;INTERVAL=0\r\n",
    b"EXDATE;TZID=Europe/Berlin:",
];
