//! A signed statement of the log's size and root: C2SP tlog-checkpoint in a C2SP signed-note.
//!
//! ```text
//! breachclock.example.org/acme/01
//! 13
//! e3CukM74EcSEms0rzsGheFuAeGfMqA+MD/pAnTi/6+0=
//!
//! — breachclock.example.org/acme/01 <base64(key id || signature)>
//! ```
//! Absent: extension lines (refused), and keeping one root per size, which is the store's duty.

use super::{Cosignature, EvidenceError, Hash, PublicKey, SigningKey, check_origin};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Something read from outside that nobody has checked. `verify` consumes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified<T>(T);

impl<T> Unverified<T> {
    /// What it claims, to be shown or compared but not relied on.
    pub fn claimed(&self) -> &T {
        &self.0
    }
}

/// Origin, size (leaves) and root of the log, and the note that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
    /// The whole note, signature lines included.
    pub note: String,
}

impl Checkpoint {
    /// Signs size and root under the log's name. Deterministic: the same arguments give the same note.
    ///
    /// # Errors
    /// When `origin` cannot name a log.
    pub fn sign(origin: &str, size: u64, root: Hash, key: &SigningKey) -> Result<Checkpoint, EvidenceError> {
        check_origin(origin)?;
        let text = text(origin, size, &root);
        let signature = [&key.public().note_id(origin)[..], &key.sign(text.as_bytes())].concat();
        let note = format!("{text}\n\u{2014} {origin} {}\n", STANDARD.encode(signature));
        Ok(Checkpoint { origin: origin.to_string(), size, root, note })
    }

    /// Adds the signature of another key of the same log: how a new key is vouched for by the one before.
    pub fn also_signed(mut self, key: &SigningKey) -> Checkpoint {
        let signature = [&key.public().note_id(&self.origin)[..], &key.sign(self.text().as_bytes())].concat();
        self.note.push_str(&format!("\u{2014} {} {}\n", self.origin, STANDARD.encode(signature)));
        self
    }

    /// Adds lines that others signed, behind those of the log.
    pub fn cosigned(mut self, cosignatures: &[Cosignature]) -> Checkpoint {
        cosignatures.iter().for_each(|one| self.note.push_str(&one.line));
        self
    }

    /// Reads a note's text; its signatures stay unchecked.
    ///
    /// # Errors
    /// When the text is no checkpoint of three lines, or there is no signature line.
    pub fn parse(note: &str) -> Result<Unverified<Checkpoint>, EvidenceError> {
        let wrong = |what: &str| EvidenceError::Checkpoint(format!("not a checkpoint: {what}"));
        let (head, signatures) =
            note.split_once("\n\n").ok_or_else(|| wrong("the blank line before the signature is missing"))?;
        let lines: Vec<&str> = head.split('\n').collect();
        let [origin, size, root] = lines[..] else {
            return Err(wrong("three lines expected: origin, size, root"));
        };
        check_origin(origin)?;
        let size: u64 = size.parse().map_err(|_| wrong("the second line is no size"))?;
        let root: Hash = STANDARD
            .decode(root)
            .ok()
            .and_then(|root| root.try_into().ok())
            .ok_or_else(|| wrong("the third line is no base64 of 32 bytes"))?;
        let note_text = text(origin, size, &root);
        if note_text.trim_end() != head || !signatures.ends_with('\n') || signatures.contains("\n\n") {
            return Err(wrong("a line is not written the one way it may be"));
        }
        Ok(Unverified(Checkpoint { origin: origin.to_string(), size, root, note: note.to_string() }))
    }

    /// The three lines that are signed.
    pub fn text(&self) -> String {
        text(&self.origin, self.size, &self.root)
    }

    /// SHA-256 root in base64, as the note and footers show it.
    pub fn root_base64(&self) -> String {
        STANDARD.encode(self.root)
    }
}

impl Unverified<Checkpoint> {
    /// Checks the signature of `key` under the name `origin`.
    ///
    /// # Errors
    /// When the checkpoint is another log's, or no signature line is this key's.
    pub fn verify(self, origin: &str, key: &PublicKey) -> Result<Checkpoint, EvidenceError> {
        let checkpoint = self.0;
        if checkpoint.origin != origin {
            let text = format!("the checkpoint is of log `{}`, not of `{origin}`", checkpoint.origin);
            return Err(EvidenceError::Checkpoint(text));
        }
        let signed = checkpoint.text();
        let prefix = format!("\u{2014} {origin} ");
        let (_, signatures) = checkpoint.note.split_once("\n\n").unwrap_or_default();
        let good = signatures.lines().filter_map(|line| line.strip_prefix(&prefix)).any(|line| {
            let Ok(bytes) = STANDARD.decode(line) else { return false };
            let Some((id, signature)) = bytes.split_first_chunk::<4>() else { return false };
            let Ok(signature) = <&[u8; 64]>::try_from(signature) else { return false };
            *id == key.note_id(origin) && key.verify(signed.as_bytes(), signature)
        });
        if good {
            return Ok(checkpoint);
        }
        Err(EvidenceError::Checkpoint(format!(
            "no signature on this checkpoint is by the key {} of log `{origin}`",
            key.fingerprint()
        )))
    }

    /// The same with a verifier key `<name>+<id>+<base64>`.
    ///
    /// # Errors
    /// As [`Unverified::verify`], and when `vkey` cannot be read.
    pub fn verify_vkey(self, vkey: &str) -> Result<Checkpoint, EvidenceError> {
        let (name, key) = PublicKey::from_vkey(vkey)?;
        self.verify(&name, &key)
    }
}

fn text(origin: &str, size: u64, root: &Hash) -> String {
    format!("{origin}\n{size}\n{}\n", STANDARD.encode(root))
}
