//! OpenSSH file signatures (PROTOCOL.sshsig) with Ed25519 and SHA-512: what `ssh-keygen -Y verify` checks.
//!
//! Chosen for the envelope because that verifier is on Linux, macOS and Windows by default. Absent: other key types.

use super::{PublicKey, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha512};

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
const MAGIC: &[u8; 6] = b"SSHSIG";

/// Signs `message` for `namespace`; the text of a `.sig` file.
pub fn sign(key: &SigningKey, namespace: &str, message: &[u8]) -> String {
    let mut signature = Vec::new();
    string(&mut signature, b"ssh-ed25519");
    string(&mut signature, &key.sign(&to_sign(namespace, message)));
    let mut blob = MAGIC.to_vec();
    blob.extend_from_slice(&1u32.to_be_bytes());
    string(&mut blob, &key.public().ssh_blob());
    string(&mut blob, namespace.as_bytes());
    string(&mut blob, b"");
    string(&mut blob, b"sha512");
    string(&mut blob, &signature);
    let text = STANDARD.encode(blob);
    let mut out = format!("{BEGIN}\n");
    for at in (0..text.len()).step_by(70) {
        out.push_str(&text[at..text.len().min(at + 70)]);
        out.push('\n');
    }
    out.push_str(END);
    out.push('\n');
    out
}

/// Checks that `armored` signs `message` for `namespace`, and returns the key that did. Whether that key is the
/// right one is for the caller to say.
///
/// # Errors
/// A sentence part saying what is wrong.
pub fn verify(armored: &str, namespace: &str, message: &[u8]) -> Result<PublicKey, &'static str> {
    const SHAPE: &str = "it is no Ed25519 signature by ssh-keygen";
    let body = armored.strip_prefix(BEGIN).and_then(|rest| rest.trim_end().strip_suffix(END)).ok_or(SHAPE)?;
    let body: String = body.split('\n').collect();
    let blob = STANDARD.decode(body).map_err(|_| SHAPE)?;
    let mut rest = blob.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(&[0, 0, 0, 1])).ok_or(SHAPE)?;
    let mut next = || take(&mut rest).ok_or(SHAPE);
    let (public, signed_for, reserved, hash, signature) = (next()?, next()?, next()?, next()?, next()?);
    if !rest.is_empty() || !reserved.is_empty() || hash != b"sha512" {
        return Err(SHAPE);
    }
    if signed_for != namespace.as_bytes() {
        return Err("it was made for another purpose (namespace)");
    }
    let key = PublicKey(public.last_chunk::<32>().copied().ok_or(SHAPE)?);
    if key.ssh_blob() != public {
        return Err(SHAPE);
    }
    let mut inner = signature;
    let (kind, raw) = (take(&mut inner).ok_or(SHAPE)?, take(&mut inner).ok_or(SHAPE)?);
    if kind != b"ssh-ed25519" || !inner.is_empty() {
        return Err(SHAPE);
    }
    let raw: &[u8; 64] = raw.try_into().map_err(|_| SHAPE)?;
    if key.verify(&to_sign(namespace, message), raw) { Ok(key) } else { Err("it does not fit the file it should sign") }
}

fn to_sign(namespace: &str, message: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    string(&mut out, namespace.as_bytes());
    string(&mut out, b"");
    string(&mut out, b"sha512");
    string(&mut out, &Sha512::digest(message));
    out
}

/// SSH `string`: length (4 bytes, big endian), then the bytes (RFC 4251 section 5).
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (field, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = after;
    Some(field)
}
