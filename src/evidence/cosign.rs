//! Cosignatures of witnesses: C2SP tlog-cosignature v1 (Ed25519), one line of a C2SP signed-note each.
//!
//! ```text
//! — witness.example.org/w1 <base64(key id || seconds since 1970, 8 bytes || signature)>
//!
//! cosignature/v1                       what is signed: two lines, and the three of the checkpoint
//! time 1679315147
//! breachclock.example.org/acme/01
//! 13
//! e3CukM74EcSEms0rzsGheFuAeGfMqA+MD/pAnTi/6+0=
//! ```
//! It says: at that time this was the largest tree of the log that the witness has seen, and it grew from all that it saw
//! before. Absent: asking a witness ([`super::witness`]); ML-DSA-44 cosignatures, which are ignored like any of a key that
//! nobody configured.

use super::{Checkpoint, EvidenceError, PublicKey, Timestamp, check_origin, hex};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Signature type of a timestamped Ed25519 cosignature in C2SP signed-note.
const COSIGNATURE_V1: u8 = 4;
/// Signature lines of a note that everybody must be able to read (C2SP signed-note).
pub const MOST_LINES: usize = 16;
/// 9999-12-31T23:59:59Z: what lies behind it has no date that everybody writes alike.
const LAST_SECOND: u64 = 253_402_300_799;

/// The key of a witness, and the name it goes by. Name and key id together say who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigner {
    pub name: String,
    pub key: PublicKey,
}

impl Cosigner {
    /// Reads a verifier key `<name>+<key id>+<base64>` with signature type 0x04.
    ///
    /// # Errors
    /// When it is none, or one of another type, and what to write.
    pub fn from_vkey(vkey: &str) -> Result<Cosigner, EvidenceError> {
        let wrong = |what: &str| Err(EvidenceError::Key(format!("`{vkey}` is no verifier key of a witness: {what}")));
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return wrong("write `<name>+<key id>+<base64>`, as the witness publishes it");
        };
        let key = match STANDARD.decode(key).as_deref() {
            Ok([COSIGNATURE_V1, key @ ..]) if key.len() == 32 => PublicKey(key.try_into().unwrap_or_default()),
            Ok([1, ..]) => return wrong("it is a plain Ed25519 key (type 0x01); take the one for cosignatures (0x04)"),
            Ok([6, ..]) => return wrong("it is an ML-DSA-44 key (type 0x06); take the Ed25519 one (0x04)"),
            _ => return wrong("its last part is no Ed25519 key for cosignatures (type 0x04)"),
        };
        if check_origin(name).is_err() {
            return wrong("its name has other characters than letters, digits and `._/:-`");
        }
        let found = Cosigner { name: name.to_string(), key };
        if found.to_vkey() != vkey {
            return wrong("its key id does not fit name and key; copy it once more");
        }
        Ok(found)
    }

    pub fn to_vkey(&self) -> String {
        let typed = [&[COSIGNATURE_V1][..], &self.key.0].concat();
        format!("{}+{}+{}", self.name, hex(&self.id()), STANDARD.encode(typed))
    }

    /// What its lines begin with: SHA-256(name LF 0x04 key)[..4].
    pub fn id(&self) -> [u8; 4] {
        self.key.id_as(&self.name, COSIGNATURE_V1)
    }

    /// Its cosignature under `checkpoint` among signature lines; `None` when there is none of it. Lines of other keys are
    /// ignored.
    ///
    /// # Errors
    /// When the lines are none, and when one is of this key and does not hold.
    pub fn find(&self, lines: &str, checkpoint: &Checkpoint) -> Result<Option<Cosignature>, &'static str> {
        let mut found = None;
        for line in read_lines(lines)? {
            if line.name != self.name || line.id != self.id() {
                continue;
            }
            let Some((time, signature)) = line.signature.split_first_chunk::<8>() else {
                return Err("its cosignature is too short");
            };
            let time = u64::from_be_bytes(*time);
            let Ok(signature) = <&[u8; 64]>::try_from(signature) else {
                return Err("its cosignature has not the length of one");
            };
            let Some(at) = instant(time) else { return Err("its cosignature states no time") };
            if !self.key.verify(message(time, checkpoint).as_bytes(), signature) {
                return Err("its cosignature does not fit the checkpoint and its key");
            }
            let by = self.clone();
            found = found.or(Some(Cosignature { by, time, at, line: line.text.to_string() }));
        }
        Ok(found)
    }
}

/// A cosignature that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    pub by: Cosigner,
    /// Seconds since 1970, by the clock of the witness.
    pub time: u64,
    pub at: Timestamp,
    /// The line of the note, its line feed included.
    pub line: String,
}

impl Cosignature {
    /// What a store keeps: the verifier key, and the line. A witness that is no longer configured is still understood.
    pub fn token(&self) -> Vec<u8> {
        format!("{}\n{}", self.by.to_vkey(), self.line).into_bytes()
    }

    /// Reads [`Cosignature::token`]; `None` when it is none over `checkpoint`.
    pub fn from_token(token: &[u8], checkpoint: &Checkpoint) -> Option<Cosignature> {
        let (vkey, line) = std::str::from_utf8(token).ok()?.split_once('\n')?;
        Cosigner::from_vkey(vkey).ok()?.find(line, checkpoint).ok()?
    }

    /// `2026-03-02T09:20:00Z`.
    pub fn time_text(&self) -> String {
        self.at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Its order in a note: by name and key id.
    pub fn order(&self) -> (String, [u8; 4]) {
        (self.by.name.clone(), self.by.id())
    }
}

/// The text that a witness signs.
fn message(time: u64, checkpoint: &Checkpoint) -> String {
    format!("cosignature/v1\ntime {time}\n{}", checkpoint.text())
}

fn instant(time: u64) -> Option<Timestamp> {
    let seconds = i64::try_from(time).ok().filter(|_| (1..=LAST_SECOND).contains(&time))?;
    Timestamp::from_timestamp(seconds, 0)
}

/// One signature line of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine<'a> {
    pub name: &'a str,
    pub id: [u8; 4],
    /// What follows the key id.
    pub signature: Vec<u8>,
    /// The line, its line feed included.
    pub text: &'a str,
}

/// Reads signature lines as a witness answers with them.
///
/// # Errors
/// When there are none, too many, or one has another form.
pub fn read_lines(text: &str) -> Result<Vec<SignatureLine<'_>>, &'static str> {
    if text.is_empty() {
        return Err("it holds no signature line");
    }
    let mut lines = Vec::new();
    for line in text.split_inclusive('\n') {
        lines.push(read_line(line).ok_or("a line of it is no signature line of a note")?);
    }
    if lines.len() > MOST_LINES { Err("it holds more than 16 signature lines") } else { Ok(lines) }
}

fn read_line(text: &str) -> Option<SignatureLine<'_>> {
    let (name, blob) = text.strip_suffix('\n')?.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let blob = STANDARD.decode(blob).ok()?;
    let (id, signature) = blob.split_first_chunk::<4>()?;
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    let named = !name.is_empty() && name.chars().all(fits);
    (named && !signature.is_empty()).then(|| SignatureLine { name, id: *id, signature: signature.to_vec(), text })
}
