//! Files that belong to an incident, as they lie on disk: sealed under a key that follows from the disclosure which names the
//! file, and so from its salt. Whoever erases the disclosure makes the file unreadable, in every copy of it.
//!
//! ```text
//! ["<salt>","/sha256","<SHA-256 of the file>"] ── SHA-256 ──► commitment: name of the file on disk
//!     └── SHA-256(tag || disclosure) ──► key of XChaCha20-Poly1305, for this one file
//! ```
//! Absent: where files lie, and the entry that says who collected one.

use super::{Disclosure, Hash, sha256};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};

const TAG: &[u8] = b"breachclock-attachment-v1\0";
/// First byte of a sealed file.
const VERSION: u8 = 1;

/// Seals `bytes` under the disclosure that names their hash.
pub fn seal(named_by: &Disclosure, bytes: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: bytes, aad: &named_by.commitment };
    // the key serves one message: no nonce is ever used twice under it
    let sealed =
        cipher(named_by).encrypt(&XNonce::default(), payload).expect("a file is shorter than the cipher's limit");
    [&[VERSION][..], &sealed].concat()
}

/// Opens a sealed file; `None` when it is not the one that `named_by` names, byte for byte.
pub fn open(named_by: &Disclosure, sealed: &[u8]) -> Option<Vec<u8>> {
    let (&VERSION, sealed) = sealed.split_first()? else { return None };
    let payload = Payload { msg: sealed, aad: &named_by.commitment };
    let bytes = cipher(named_by).decrypt(&XNonce::default(), payload).ok()?;
    (named_hash(named_by)? == super::hex(&sha256(&bytes))).then_some(bytes)
}

/// The hash a disclosure gives for a file, in hexadecimal digits.
fn named_hash(disclosure: &Disclosure) -> Option<String> {
    let (_, value) = disclosure.read()?;
    value.as_str().map(str::to_string)
}

fn cipher(named_by: &Disclosure) -> XChaCha20Poly1305 {
    // the salt stands first; the whole disclosure is as secret as it, and needs no parsing
    let key: Hash = sha256(&[TAG, &named_by.bytes].concat());
    XChaCha20Poly1305::new(&Key::from(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Sealer, hex};

    #[test]
    fn only_its_own_disclosure_opens_a_file() {
        let mut salt = 0;
        let mut sealer = Sealer::new(|| {
            salt += 1;
            [salt; 32]
        });
        let file = b"minutes of the call";
        let hash = hex(&sha256(file));
        let _ = (sealer.seal("/sha256", hash.clone()), sealer.seal("/sha256", hash), sealer.seal("/sha256", "other"));
        let named = sealer.into_disclosures();
        let sealed = seal(&named[0], file);
        assert_eq!(open(&named[0], &sealed).as_deref(), Some(&file[..]));
        assert_eq!(open(&named[1], &sealed), None, "the same hash under another salt");
        assert_eq!(open(&named[2], &seal(&named[2], file)), None, "a file of another hash than the named one");
        for at in [0, 1, sealed.len() - 1] {
            let mut torn = sealed.clone();
            torn[at] ^= 1;
            assert_eq!(open(&named[0], &torn), None, "{at}");
        }
        assert_eq!(open(&named[0], &[]), None);
        assert!(!sealed.windows(4).any(|w| w == &file[..4]));
    }
}
