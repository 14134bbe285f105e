//! Time stamps of RFC 3161: what is asked of an authority, and whether its answer says what it should.
//!
//! ```text
//! request(sha256, nonce) ──► authority ──► response ── check(response, sha256, Some(nonce), trusted) ──► Stamp
//!                                                    └ kept as it came: `*.tsr` in a bundle
//! ```
//! A [`Stamp`] says: this hash existed no later than `at`, says an authority whose certificate was carried, is good for
//! nothing but time stamping, signed this very token, and leads to a certificate that is trusted, when one was given.
//!
//! Absent: the network, a clock (certificates are judged at the time the token states), revocation (a list as of the
//! stamping belongs to the authority's archive), BER, RSA-PSS, and SHA-1 except to name a certificate, as old
//! authorities do.

mod chain;
mod token;

pub use chain::{Roots, pem};

use super::{Hash, Timestamp};
use std::fmt;

/// Media types of request and answer (RFC 3161 section 3.4).
pub const QUERY: &str = "application/timestamp-query";
pub const REPLY: &str = "application/timestamp-reply";
/// A longer answer is not read: with a chain of RSA-4096 certificates one has about 8 KiB.
pub const LONGEST: usize = 64 * 1024;

/// What an authority answered, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The authority's time. A fraction of a second is kept to the microsecond.
    pub at: Timestamp,
    /// The same as it is written in a bundle: RFC 3339 in UTC, with the fraction the authority gave.
    pub time: String,
    /// Policy under which it was made, dotted.
    pub policy: String,
    /// Its number at the authority, hexadecimal.
    pub serial: String,
    /// Whether the certificate leads to a trusted one; `false` only when none was given.
    pub trusted: bool,
    /// Certificates in the token, DER: the signer's first.
    pub certificates: Vec<Vec<u8>>,
}

/// Why a token is refused: a sentence part that follows the name of the file or the authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFault(pub String);

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TokenFault {}

fn fault<T>(text: impl Into<String>) -> Result<T, TokenFault> {
    Err(TokenFault(text.into()))
}

/// The query (DER) for a time stamp over something with this SHA-256; its certificate is asked for. `nonce` are eight
/// random bytes, of which two bits are not used.
pub fn request(sha256: &Hash, nonce: [u8; 8]) -> Vec<u8> {
    // TimeStampReq { version 1, MessageImprint { sha256 NULL, hash }, nonce, certReq TRUE }: all lengths are fixed
    const HEAD: [u8; 24] =
        [0x30, 0x43, 2, 1, 1, 0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 32];
    [&HEAD[..], sha256, &[2, 8], &integer(nonce), &[1, 1, 0xff]].concat()
}

/// The nonce as a positive INTEGER that needs exactly eight bytes.
fn integer(mut nonce: [u8; 8]) -> [u8; 8] {
    nonce[0] = nonce[0] & 0x3f | 0x40;
    nonce
}

/// Checks an answer to [`request`]: it is granted, over this hash, with this nonce when one is given, signed as the module
/// says. Without any `roots` the chain is not judged and [`Stamp::trusted`] is false.
///
/// # Errors
/// What is wrong with it. Never panics, whatever the bytes.
pub fn check(response: &[u8], sha256: &Hash, nonce: Option<[u8; 8]>, roots: &Roots) -> Result<Stamp, TokenFault> {
    if response.len() > LONGEST {
        return fault(format!("has {} bytes; a time stamp has {LONGEST} at most", response.len()));
    }
    let token = token::read(response)?;
    if token.imprint != *sha256 {
        return fault("is over something else: its hash differs");
    }
    if let Some(nonce) = nonce
        && token.nonce.as_deref() != Some(&integer(nonce)[..])
    {
        return fault("answers another request: its nonce differs");
    }
    let trusted = chain::check(&token, roots)?;
    Ok(Stamp {
        at: token.at,
        time: token.time,
        policy: token.policy,
        serial: token.serial,
        trusted,
        certificates: token.certificates,
    })
}
