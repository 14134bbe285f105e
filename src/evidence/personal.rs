//! Personal data stays out of the log: an entry holds a salted commitment, the value lies beside it and can be erased.
//!
//! The construction is SD-JWT's (RFC 9901) without its base64url layer: the hashed bytes are the shipped file.
//! Absent: encryption and erasure (the store's), and the choice of what is personal (the caller's types).

use super::{Hash, hex, sha256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// A field whose value is personal. It holds only the commitment: there is nothing in it to leak, and its one
/// serialisation is `{"$c":"<64 hex>"}`. Made by [`Sealer::seal`].
pub struct Personal<T> {
    commitment: Hash,
    of: PhantomData<fn() -> T>,
}

impl<T> Personal<T> {
    /// SHA-256 of the disclosure.
    pub fn commitment(&self) -> Hash {
        self.commitment
    }
}

impl<T> Clone for Personal<T> {
    fn clone(&self) -> Self {
        Personal { commitment: self.commitment, of: PhantomData }
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Personal(..)")
    }
}

impl<T> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("$c", &hex(&self.commitment))?;
        map.end()
    }
}

/// The value behind one commitment: the bytes `["<salt>","<json pointer>",<value>]`, compact JSON without LF, salt =
/// 32 bytes base64url. `commitment` is SHA-256 of exactly these bytes. The pointer (RFC 6901) starts at the body.
#[derive(Clone, PartialEq, Eq)]
pub struct Disclosure {
    pub commitment: Hash,
    pub bytes: Vec<u8>,
}

impl Disclosure {
    /// Commits to `value` at `pointer` under `salt`. A salt is used once, ever: shared salts link fields.
    ///
    /// # Panics
    /// When `value` has no JSON form (a map with keys that are no strings).
    pub fn new(salt: &Hash, pointer: &str, value: &impl Serialize) -> Disclosure {
        let bytes =
            serde_json::to_vec(&(URL_SAFE_NO_PAD.encode(salt), pointer, value)).expect("plain data has a JSON form");
        Disclosure { commitment: sha256(&bytes), bytes }
    }

    /// Takes stored bytes as they are.
    pub fn from_bytes(bytes: Vec<u8>) -> Disclosure {
        Disclosure { commitment: sha256(&bytes), bytes }
    }

    /// Name of its file in a bundle.
    pub fn file_name(&self) -> String {
        format!("disclosures/{}.json", hex(&self.commitment))
    }

    /// Pointer and value, for showing. `None` when the bytes are no disclosure.
    pub fn read(&self) -> Option<(String, serde_json::Value)> {
        let (_salt, pointer, value): (String, String, serde_json::Value) = serde_json::from_slice(&self.bytes).ok()?;
        Some((pointer, value))
    }
}

impl fmt::Debug for Disclosure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Disclosure({}, ..)", hex(&self.commitment))
    }
}

/// Collects the disclosures of one entry while its body is built.
pub struct Sealer<'a> {
    salts: Box<dyn FnMut() -> Hash + 'a>,
    disclosures: Vec<Disclosure>,
}

impl<'a> Sealer<'a> {
    /// `salts` gives 32 fresh random bytes at each call.
    pub fn new(salts: impl FnMut() -> Hash + 'a) -> Sealer<'a> {
        Sealer { salts: Box::new(salts), disclosures: Vec::new() }
    }

    /// Replaces `value` by its commitment. `pointer` is where the field stands in the body, e.g. `/facts/0/by`.
    ///
    /// # Panics
    /// When `value` has no JSON form.
    pub fn seal<T: Serialize>(&mut self, pointer: &str, value: T) -> Personal<T> {
        let disclosure = Disclosure::new(&(self.salts)(), pointer, &value);
        let commitment = disclosure.commitment;
        self.disclosures.push(disclosure);
        Personal { commitment, of: PhantomData }
    }

    /// The disclosures in the order they were sealed.
    pub fn into_disclosures(self) -> Vec<Disclosure> {
        self.disclosures
    }
}

impl fmt::Debug for Sealer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({} sealed)", self.disclosures.len())
    }
}
