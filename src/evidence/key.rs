//! Ed25519 keys (RFC 8032) in the forms their readers want: PKCS#8 and SPKI PEM (OpenSSL), verifier keys (C2SP
//! signed-note), OpenSSH lines.
//!
//! Absent: making keys. A seed is 32 random bytes that the caller supplies.

use super::{EvidenceError, sha256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use std::fmt;

/// DER before the 32 bytes of an Ed25519 seed (RFC 8410 section 7, version 1, which every OpenSSL reads).
const PKCS8_V1: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// DER before the 32 bytes of an Ed25519 public key (RFC 8410 section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
/// Signature type of Ed25519 in C2SP signed-note.
const NOTE_ED25519: u8 = 1;

/// A private key. Debug does not show it; memory is wiped when it is dropped.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// From 32 bytes of randomness.
    pub fn from_seed(seed: &[u8; 32]) -> SigningKey {
        SigningKey(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// From a PKCS#8 PEM file (`-----BEGIN PRIVATE KEY-----`), as `openssl genpkey -algorithm ed25519` writes it.
    pub fn from_pem(pem: &str) -> Result<SigningKey, EvidenceError> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem.trim_ascii_start()).map(SigningKey).map_err(|_| {
            EvidenceError::Key(
                "this is no Ed25519 private key in PKCS#8 PEM: make one with `openssl genpkey -algorithm ed25519`"
                    .into(),
            )
        })
    }

    /// PKCS#8 version 1 PEM. Secret.
    pub fn to_pem(&self) -> String {
        pem("PRIVATE KEY", &[&PKCS8_V1[..], self.0.as_bytes()].concat())
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signature over `message` (pure Ed25519).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, ..)", self.public().fingerprint())
    }
}

/// A public key: 32 bytes, RFC 8032 encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// SPKI PEM (`-----BEGIN PUBLIC KEY-----`) for OpenSSL.
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &[&SPKI[..], &self.0].concat())
    }

    /// Verifier key of C2SP signed-note: `<name>+<key id>+<base64>`.
    pub fn to_vkey(&self, name: &str) -> String {
        let mut typed = [NOTE_ED25519; 33];
        typed[1..].copy_from_slice(&self.0);
        format!("{name}+{}+{}", super::hex(&self.note_id(name)), STANDARD.encode(typed))
    }

    /// Reads a verifier key: name and key.
    pub fn from_vkey(vkey: &str) -> Result<(String, PublicKey), EvidenceError> {
        let read = || {
            let mut parts = vkey.trim_end_matches('\n').splitn(3, '+');
            let (name, _id, key) = (parts.next()?, parts.next()?, parts.next()?);
            let key = STANDARD.decode(key).ok()?;
            let key = PublicKey(key.strip_prefix(&[NOTE_ED25519])?.try_into().ok()?);
            (key.to_vkey(name) == vkey.trim_end_matches('\n')).then(|| (name.to_string(), key))
        };
        read().ok_or_else(|| {
            EvidenceError::Key(format!("`{}` is no Ed25519 verifier key `<name>+<id>+<base64>`", vkey.trim_end()))
        })
    }

    /// First four bytes of SHA-256(name LF 0x01 key): what a note's signature line starts with.
    pub fn note_id(&self, name: &str) -> [u8; 4] {
        self.id_as(name, NOTE_ED25519)
    }

    /// The same for another signature type: one key has an id for each.
    pub(super) fn id_as(&self, name: &str, kind: u8) -> [u8; 4] {
        let hash = sha256(&[name.as_bytes(), &[b'\n', kind], &self.0].concat());
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// SSH wire form (RFC 8709 section 4).
    pub fn ssh_blob(&self) -> Vec<u8> {
        let mut blob = Vec::with_capacity(51);
        for part in [&b"ssh-ed25519"[..], &self.0] {
            blob.extend_from_slice(&(part.len() as u32).to_be_bytes());
            blob.extend_from_slice(part);
        }
        blob
    }

    /// `ssh-ed25519 AAAA…`, without comment.
    pub fn ssh_line(&self) -> String {
        format!("ssh-ed25519 {}", STANDARD.encode(self.ssh_blob()))
    }

    /// `SHA256:…` as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(sha256(&self.ssh_blob())))
    }

    /// Whether `signature` over `message` is this key's. Refuses weak keys and malleable signatures.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        ed25519_dalek::VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok())
    }
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
