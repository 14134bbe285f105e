//! The second factor: codes by time (RFC 6238, SHA-1, six digits, thirty seconds: what every authenticator can), and codes
//! for the day the telephone is lost.
//!
//! Absent: where randomness comes from, and what is kept; see [`crate::store::SecondFactor`].

use crate::time::Timestamp;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ring::hmac;
use sha2::{Digest, Sha256};

/// Bytes of a shared secret, RFC 4226 section 4.
pub const SECRET: usize = 20;
const STEP_SECONDS: i64 = 30;
/// Clocks of telephones differ: one step before and one after are taken.
const DRIFT: u64 = 1;
const NONCE: usize = 24;
/// Recovery codes given out at once, and bytes of each.
pub const RECOVERY_CODES: usize = 8;
pub const RECOVERY_BYTES: usize = 10;

/// The code of a step.
fn code(secret: &[u8], step: u64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    // dynamic truncation, RFC 4226 section 5.3
    let at = usize::from(tag[19] & 15);
    let word = tag[at..at + 4].iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
    (word & 0x7fff_ffff) % 1_000_000
}

/// The step whose code was typed, if it is near `now` and later than `last`. Blanks between digits are allowed.
pub fn step_of(secret: &[u8], typed: &str, now: Timestamp, last: u64) -> Option<u64> {
    let digits: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (typed, present) = (digits.parse::<u32>().ok()?, u64::try_from(now.timestamp().div_euclid(STEP_SECONDS)).ok()?);
    (present.saturating_sub(DRIFT)..=present + DRIFT)
        .filter(|step| *step > last)
        .find(|step| subtle::ConstantTimeEq::ct_eq(&code(secret, *step), &typed).into())
}

/// What is typed into an authenticator that cannot read pictures: base32 in groups of four.
pub fn spelled(secret: &[u8]) -> String {
    let letters = base32(secret);
    letters.as_bytes().chunks(4).map(|four| String::from_utf8_lossy(four).into_owned()).collect::<Vec<_>>().join(" ")
}

/// What an authenticator reads: https://github.com/google/google-authenticator/wiki/Key-Uri-Format. `issuer` is the host
/// people know.
pub fn address(secret: &[u8], login: &str, issuer: &str) -> String {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' }).collect()
    };
    let (issuer, login) = (plain(issuer), plain(login));
    format!("otpauth://totp/{issuer}:{login}?secret={}&issuer={issuer}", base32(secret))
}

/// One recovery code as it is written down: base32 in groups of four.
pub fn recovery_code(bytes: &[u8; RECOVERY_BYTES]) -> String {
    spelled(bytes).to_lowercase().replace(' ', "-")
}

/// What is kept of a recovery code, however it was typed.
pub fn recovery_hash(typed: &str) -> [u8; 32] {
    let letters: String = typed.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    Sha256::digest(letters.as_bytes()).into()
}

/// Seals a secret for an account. `key` is the installation's.
pub fn seal(secret: &[u8], account: &str, key: &[u8; 32], nonce: [u8; NONCE]) -> Vec<u8> {
    let payload = Payload { msg: secret, aad: account.as_bytes() };
    let sealed = XChaCha20Poly1305::new(key.into()).encrypt(&XNonce::from(nonce), payload);
    [&nonce[..], &sealed.expect("a secret is shorter than 256 GiB")].concat()
}

/// `None` when it was sealed for another account, or under another key.
pub fn open(sealed: &[u8], account: &str, key: &[u8; 32]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
    let payload = Payload { msg: sealed, aad: account.as_bytes() };
    XChaCha20Poly1305::new(key.into()).decrypt(&XNonce::from(*nonce), payload).ok()
}

fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut text, mut held, mut bits) = (String::new(), 0u32, 0);
    for byte in bytes {
        (held, bits) = (held << 8 | u32::from(*byte), bits + 8);
        while bits >= 5 {
            bits -= 5;
            text.push(LETTERS[(held >> bits & 31) as usize] as char);
        }
    }
    if bits > 0 {
        text.push(LETTERS[(held << (5 - bits) & 31) as usize] as char);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &[u8] = b"12345678901234567890";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).expect("in range")
    }

    /// RFC 6238 appendix B, the last six of eight digits.
    #[test]
    fn the_codes_of_the_standard() {
        for (second, wanted) in [
            (59, 287_082),
            (1_111_111_109, 81_804),
            (1_111_111_111, 50_471),
            (1_234_567_890, 5_924),
            (2_000_000_000, 279_037),
        ] {
            assert_eq!(code(SEED, second / 30), wanted, "{second}");
            let typed = format!("{wanted:06}");
            assert_eq!(step_of(SEED, &typed, at(second as i64), 0), Some(second / 30));
        }
    }

    #[test]
    fn a_code_is_taken_once_and_near_its_time() {
        let typed = format!("{:03} {:03}", code(SEED, 100) / 1000, code(SEED, 100) % 1000);
        for (second, last, taken) in
            [(3000, 0, true), (2970, 0, true), (3059, 0, true), (2969, 0, false), (3060, 0, false), (3000, 100, false)]
        {
            assert_eq!(step_of(SEED, &typed, at(second), last).is_some(), taken, "{second} {last}");
        }
        for wrong in ["", "12345", "1234567", "12345a", "+12345", "１２３４５６"] {
            assert_eq!(step_of(SEED, wrong, at(3000), 0), None, "{wrong}");
        }
    }

    #[test]
    fn letters_of_rfc_4648() {
        for (bytes, text) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB")]
        {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!(
            address(SEED, "lea f", "breach.example:8443"),
            "otpauth://totp/breach.example-8443:lea-f?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=breach.example-8443"
        );
        let written = recovery_code(&[7; RECOVERY_BYTES]);
        assert_eq!(recovery_hash(&written), recovery_hash(&format!(" {} ", written.to_uppercase().replace('-', " "))));
    }

    #[test]
    fn a_sealed_secret_opens_for_its_account_alone() {
        let sealed = seal(SEED, "one", &[1; 32], [2; NONCE]);
        assert_eq!(open(&sealed, "one", &[1; 32]).as_deref(), Some(SEED));
        assert!(open(&sealed, "two", &[1; 32]).is_none() && open(&sealed, "one", &[2; 32]).is_none());
        assert!(open(&sealed[..30], "one", &[1; 32]).is_none() && open(&[], "one", &[1; 32]).is_none());
    }
}
