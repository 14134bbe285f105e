//! The signing keys of log and exports, and the key that wraps the data keys of the disclosures: made at first start, kept beside the data, readable by the daemon alone.

use super::ids::SystemEntropy;
use crate::evidence::{SigningKey, hex, unhex32};
use crate::store::Keeper;
use crate::workflow::Entropy;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Reads `DIR/keys/<name>.pem`, or makes it. A credential of the same name in systemd's folder wins.
pub fn load_or_create(dir: &Path, name: &str, entropy: &dyn Entropy) -> Result<SigningKey, String> {
    match credential(name)? {
        Some(key) => Ok(key),
        None => beside(dir, name, entropy),
    }
}

/// The key of this name in systemd's folder, if there is one.
pub fn credential(name: &str) -> Result<Option<SigningKey>, String> {
    let Some(credentials) = std::env::var_os("CREDENTIALS_DIRECTORY") else { return Ok(None) };
    let path = Path::new(&credentials).join(format!("{name}-key"));
    if path.exists() { read(&path).map(Some) } else { Ok(None) }
}

/// The key of this name, wherever it is; none is made.
pub fn find(dir: &Path, name: &str) -> Result<Option<SigningKey>, String> {
    if let Some(key) = credential(name)? {
        return Ok(Some(key));
    }
    let path = dir.join("keys").join(format!("{name}.pem"));
    if path.exists() { read(&path).map(Some) } else { Ok(None) }
}

/// Reads `DIR/keys/<name>.pem`, or makes it, whatever credentials there are: an exercise never signs with a real key.
pub fn beside(dir: &Path, name: &str, entropy: &dyn Entropy) -> Result<SigningKey, String> {
    let folder = dir.join("keys");
    let path = folder.join(format!("{name}.pem"));
    if path.exists() {
        return read(&path);
    }
    let make = || -> io::Result<SigningKey> {
        let mut seed = [0u8; 32];
        entropy.fill(&mut seed);
        let key = SigningKey::from_seed(&seed);
        put(&folder, &path, key.to_pem().as_bytes())?;
        Ok(key)
    };
    make().map_err(|error| format!("the key `{}` cannot be made: {error}", path.display()))
}

/// The key that is to follow `DIR/keys/<name>.pem`: made, or the one that an interrupted change made.
///
/// # Errors
/// When the present key is a credential, which only the service manager can exchange.
pub fn following(dir: &Path, name: &str, entropy: &dyn Entropy) -> Result<SigningKey, String> {
    if credential(name)?.is_some() {
        return Err(format!("the {name} key is a systemd credential: run this where it lies as `keys/{name}.pem`"));
    }
    beside(dir, &format!("{name}-next"), entropy)
}

/// Puts the following key into force. The one before is gone: its signatures stay, and nobody can make new ones.
pub fn follow(dir: &Path, name: &str) -> Result<(), String> {
    let folder = dir.join("keys");
    let (from, to) = (folder.join(format!("{name}-next.pem")), folder.join(format!("{name}.pem")));
    fs::rename(&from, &to)
        .and_then(|()| fs::File::open(&folder)?.sync_all())
        .map_err(|error| format!("`{}` cannot be renamed to `{}`: {error}; rename it", from.display(), to.display()))
}

/// The key-encryption key: `DIR/keys/disclosures.key`, 64 hexadecimal digits, made when there is none. A credential
/// `disclosures-key` in systemd's folder wins, except in an exercise (`drill`).
///
/// Without it no personal value can be shown again: it is kept, but never in one backup with the database.
pub fn keeper(dir: &Path, drill: bool, entropy: &dyn Entropy) -> Result<Keeper, String> {
    let folder = dir.join("keys");
    let mut path = folder.join("disclosures.key");
    if let (false, Some(credentials)) = (drill, std::env::var_os("CREDENTIALS_DIRECTORY")) {
        let credential = Path::new(&credentials).join("disclosures-key");
        if credential.exists() {
            path = credential;
        }
    }
    let kek = if path.exists() {
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("the key `{}` cannot be read: {error}", path.display()))?;
        unhex32(text.trim())
            .ok_or_else(|| format!("the key `{}` is not usable: it has 64 hexadecimal digits", path.display()))?
    } else {
        let mut kek = [0u8; 32];
        entropy.fill(&mut kek);
        put(&folder, &path, format!("{}\n", hex(&kek)).as_bytes())
            .map_err(|error| format!("the key `{}` cannot be made: {error}", path.display()))?;
        kek
    };
    let entropy = SystemEntropy::new();
    Ok(Keeper::new(kek, move |bytes| entropy.fill(bytes)))
}

/// Writes a key that only its owner reads, durably.
fn put(folder: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::File::open(folder)?.sync_all()
}

/// Reads a key file.
pub fn read(path: &Path) -> Result<SigningKey, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("the key `{}` cannot be read: {error}", path.display()))?;
    SigningKey::from_pem(&text).map_err(|error| format!("the key `{}` is not usable: {error}", path.display()))
}
