//! One entry: a line of UTF-8 JSON ended by LF, envelope members in one order, never re-serialised once sealed.
//!
//! Absent: reading entries back. Readers that judge are in `verify` and `fsck`; readers that show parse the bytes.

use super::{Disclosure, EvidenceError, Hash, Public, Timestamp, hex, is_kind, leaf_hash, sha256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{Datelike, Timelike};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write as _;

/// An entry before it has a place in the log. `body` is a compact JSON object without personal data in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub stream: String,
    /// One of [`KINDS`](super::KINDS), e.g. `awareness.set`.
    pub kind: Cow<'static, str>,
    pub at: Timestamp,
    /// 128 random bits: proofs show leaf hashes of other incidents, which must not be guessable.
    pub nonce: [u8; 16],
    pub body: String,
    pub disclosures: Vec<Disclosure>,
}

impl Draft {
    /// A draft without disclosures. `body` must serialise to an object without floats, integers within 2^53.
    ///
    /// # Panics
    /// When `kind` is no type of entry, or `body` has no JSON form or is no object: a mistake of the program, not in its data.
    pub fn new(
        stream: impl Into<String>,
        kind: impl Into<Cow<'static, str>>,
        at: Timestamp,
        nonce: [u8; 16],
        body: &impl Public,
    ) -> Draft {
        let kind = kind.into();
        assert!(is_kind(&kind), "`{kind}` is no type of entry: it stands in evidence::KINDS and has a schema");
        Draft::unchecked(stream, kind, at, nonce, body)
    }

    /// [`Draft::new`] without the questions whether the type exists and the body may stand in clear: for tests, which play
    /// other writers.
    ///
    /// # Panics
    /// As [`Draft::new`], but for the type.
    #[doc(hidden)]
    pub fn unchecked(
        stream: impl Into<String>,
        kind: impl Into<Cow<'static, str>>,
        at: Timestamp,
        nonce: [u8; 16],
        body: &impl Serialize,
    ) -> Draft {
        let body = serde_json::to_string(body).expect("a typed body has a JSON form");
        assert!(body.starts_with('{'), "an entry's body is a JSON object");
        let (stream, kind) = (stream.into(), kind.into());
        debug_assert!(check_stream(&stream), "stream `{stream}`");
        debug_assert!(is_dotted(&kind), "type `{kind}`");
        Draft { stream, kind, at, nonce, body, disclosures: Vec::new() }
    }

    #[must_use]
    pub fn with_disclosures(mut self, disclosures: Vec<Disclosure>) -> Draft {
        self.disclosures = disclosures;
        self
    }
}

/// End of a stream: how many entries it has, and SHA-256 of the last one (zeros before the first).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StreamHead {
    pub n: u64,
    pub prev: Hash,
}

impl StreamHead {
    /// The stream's end after `entry`.
    pub fn after(entry: &EvidenceEntry) -> StreamHead {
        StreamHead { n: entry.n, prev: entry.sha256 }
    }
}

/// A sealed entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceEntry {
    /// Position in the log, from 0: the Merkle leaf index.
    pub idx: u64,
    pub stream: String,
    /// Position in the stream, from 1.
    pub n: u64,
    /// The exact line, LF included.
    pub bytes: Vec<u8>,
    /// SHA-256(0x00 || bytes).
    pub leaf: Hash,
    /// SHA-256(bytes): what the next entry of the stream names as `prev`.
    pub sha256: Hash,
}

/// Gives `draft` its place: entry `idx` of log `origin`, next in the stream that ends at `stream`.
pub fn seal(draft: &Draft, origin: &str, idx: u64, stream: &StreamHead) -> EvidenceEntry {
    let n = stream.n + 1;
    let mut line = String::with_capacity(draft.body.len() + 320);
    // checked names need no escaping; quoting through serde_json keeps an unchecked one from breaking the line
    let quoted = |text: &str| serde_json::to_string(text).expect("a string has a JSON form");
    write!(
        line,
        r#"{{"v":1,"log":{},"idx":{idx},"stream":{},"n":{n},"prev":"{}","ts":"{}","type":{},"nonce":"{}","body":{}}}"#,
        quoted(origin),
        quoted(&draft.stream),
        hex(&stream.prev),
        utc_micros(draft.at),
        quoted(&draft.kind),
        URL_SAFE_NO_PAD.encode(draft.nonce),
        draft.body,
    )
    .expect("writing to a string succeeds");
    line.push('\n');
    let bytes = line.into_bytes();
    EvidenceEntry { idx, stream: draft.stream.clone(), n, leaf: leaf_hash(&bytes), sha256: sha256(&bytes), bytes }
}

/// RFC 3339 in UTC, always six decimals and `Z`.
pub fn utc_micros(at: Timestamp) -> String {
    // written by hand: an entry has many instants, and chrono reads its format string each time
    let (day, time) = (at.date_naive(), at.time());
    let micros = time.nanosecond() / 1_000 % 1_000_000;
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{micros:06}Z",
        day.year(),
        day.month(),
        day.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// Refuses a log name which checkpoints, keys or shell readers could not carry (C2SP tlog-checkpoint: no spaces, no
/// `+`; ours: letters, digits and `._/:-` only).
pub fn check_origin(origin: &str) -> Result<(), EvidenceError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._/:-".contains(c);
    if !origin.is_empty() && origin.len() <= 200 && origin.chars().all(fits) && !origin.starts_with('-') {
        return Ok(());
    }
    Err(EvidenceError::Origin(format!(
        "`{origin}` cannot name a log: use a host and path such as `breach.example.org/acme` (letters, digits and `._/:-`)"
    )))
}

/// Whether `stream` can name a stream: 1 to 100 letters, digits and `._-`.
pub fn check_stream(stream: &str) -> bool {
    (1..=100).contains(&stream.len()) && stream.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn is_dotted(kind: &str) -> bool {
    !kind.is_empty() && kind.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c))
}
