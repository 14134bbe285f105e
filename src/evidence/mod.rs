//! The evidence log: what an entry is, how entries hang together, and how somebody who does not trust us checks them.
//!
//! ```text
//! Draft ── seal(origin, idx, stream head) ──► EvidenceEntry ── leaf hash ──► Head ── root ──► Checkpoint (signed)
//!   └ personal data: Personal<T> in the body, Disclosure beside it             └ stored nodes ──► proofs
//! one stream's entries + proofs + checkpoint + disclosures ── export::build ──► Bundle ── zipfile ──► unzip ──► verify
//! ```
//!
//! Absent here: a clock, a file, randomness, logging. Nonces, salts, keys and times are arguments; bundles are maps
//! from names to bytes. Disclosures are sealed by the store.
//!
//! Entries are never re-serialised: the stored bytes are the truth. [`unzip`], [`verify`] and [`fsck`] read with their
//! own strict readers and share only the hash functions and the signature check with what writes.

pub mod attachment;
mod certification;
mod checkpoint;
mod clk;
pub mod cosign;
mod entry;
mod error;
pub mod export;
pub mod fsck;
mod key;
mod kinds;
pub mod merkle;
mod personal;
mod public;
pub mod register;
pub mod report;
pub mod sshsig;
pub mod stamps;
mod strict;
mod timeline;
pub mod tsp;
pub mod unzip;
pub mod verify;
pub mod witness;
pub mod zipfile;

pub use checkpoint::{Checkpoint, Unverified};
pub use clk::Clk;
pub use cosign::{Cosignature, Cosigner};
pub use entry::{Draft, EvidenceEntry, StreamHead, check_origin, check_stream, seal, utc_micros};
pub use error::EvidenceError;
pub use export::{Bundle, ExportCreated, ExportInput, Withheld};
pub use fsck::{LogReport, verify_log};
pub use key::{PublicKey, SigningKey};
pub use kinds::{KINDS, is_kind};
pub use merkle::{Head, Nodes, completed_nodes, leaf_hash, node_hash};
pub use personal::{Disclosure, Personal, Sealer};
#[doc(hidden)]
pub use public::sealed;
pub use public::{Detail, Id, Made, Public, ids};
pub use report::ReportModel;
pub use stamps::{Earlier, KeyRotated, Rotation, Stamps, Token};
pub use timeline::{Happening, timeline};
pub use verify::{Check, Existed, Trust, VerifyReport, Witnessed, verify_bundle, verify_bundle_with};

use sha2::{Digest, Sha256};

/// An instant in UTC, as the daemon's clock gave it.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// Plain SHA-256 of `bytes`: what `sha256sum` shows.
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)] as char);
        out.push(DIGITS[usize::from(byte & 15)] as char);
    }
    out
}

/// Reads exactly 64 lower-case hexadecimal digits.
pub fn unhex32(text: &str) -> Option<Hash> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    // a table and one check at the end: this reads the link of every entry of a log
    const VALUE: [u8; 256] = {
        let mut value = [0xff; 256];
        let mut digit = 0;
        while digit < 16 {
            value[b"0123456789abcdef"[digit] as usize] = digit as u8;
            digit += 1;
        }
        value
    };
    let (mut out, mut seen) = ([0; 32], 0);
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (VALUE[usize::from(pair[0])], VALUE[usize::from(pair[1])]);
        seen |= high | low;
        *byte = high << 4 | low & 15;
    }
    (seen < 16).then_some(out)
}
