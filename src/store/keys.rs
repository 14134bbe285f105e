//! Data keys. Each disclosure is sealed under a key of its own, and erasing it destroys that key: what is left of it in a
//! backup, in a free page or on the medium stays unreadable.
//!
//! A key for each value, not one for each person: whom a free text is about is not known, and erasing one value must not
//! take another with it, also not from an older backup that is restored.
//!
//! Keys are made a sheet at a time, before they are needed, and a sheet is kept wrapped under the key-encryption key, apart
//! from the database. So a commit costs no second write that has to be durable. A sealed value names its key by sheet and
//! place; what is destroyed is overwritten with zeros, and the sheet is wrapped anew. Places that were handed out before a
//! restart and not used are never handed out again.
//!
//! Absent: where sheets are kept (`sqlite/keys.rs`, `postgres/keys.rs`) and changing the key-encryption key.

use super::{Result, StoreError};
use crate::evidence::Hash;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Keys on one sheet.
const PLACES: usize = 256;
const KEY: usize = 32;
const NONCE: usize = 24;
/// Sheets made at once, after some use: 4096 keys.
const MOST_SHEETS: usize = 16;
/// Sheets remembered for reading.
const REMEMBERED: usize = 64;

/// Fills with random bytes.
type Random = dyn Fn(&mut [u8]) + Send + Sync;

/// The key-encryption key, and where random bytes come from.
#[derive(Clone)]
pub struct Keeper {
    kek: [u8; KEY],
    random: Arc<Random>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper(..)")
    }
}

impl Keeper {
    /// `kek` wraps every data key, for ever; `random` gives what nobody can guess.
    pub fn new(kek: [u8; 32], random: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Keeper {
        Keeper { kek, random: Arc::new(random) }
    }

    /// A keeper whose key everybody knows, for tests.
    #[doc(hidden)]
    pub fn of_tests() -> Keeper {
        use std::hash::{BuildHasher, RandomState};
        let random = |bytes: &mut [u8]| {
            for (n, chunk) in bytes.chunks_mut(8).enumerate() {
                chunk.copy_from_slice(&RandomState::new().hash_one(n).to_le_bytes()[..chunk.len()]);
            }
        };
        Keeper::new([7; KEY], random)
    }

    /// The keeper of a data folder, which gets a key that everybody knows when it has none; for tests.
    #[doc(hidden)]
    pub fn of_tests_in(dir: &std::path::Path) -> Keeper {
        let (keeper, folder) = (Keeper::of_tests(), dir.join("keys"));
        let path = folder.join("disclosures.key");
        match std::fs::read_to_string(&path).ok().and_then(|text| crate::evidence::unhex32(text.trim())) {
            Some(kek) => Keeper { kek, ..keeper },
            None => {
                let made = std::fs::create_dir_all(&folder)
                    .and_then(|()| std::fs::write(&path, crate::evidence::hex(&keeper.kek)));
                made.expect("a test's folder can be written");
                keeper
            }
        }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.kek.into())
    }
}

/// Where a data key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyId {
    pub sheet: i64,
    pub place: u8,
}

/// Seals one value, once.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct DataKey([u8; KEY]);

impl DataKey {
    /// Seals `plain`, which `commitment` is the SHA-256 of. Bound to it: no sealed value opens in another one's place.
    pub fn seal(&self, commitment: &Hash, plain: &[u8]) -> Vec<u8> {
        let payload = Payload { msg: plain, aad: commitment };
        self.cipher().encrypt(&nonce_of(commitment), payload).expect("a value is shorter than 256 GiB")
    }

    /// `None` when the bytes are not those that were sealed under this key for `commitment`.
    pub fn open(&self, commitment: &Hash, sealed: &[u8]) -> Option<Vec<u8>> {
        self.cipher().decrypt(&nonce_of(commitment), Payload { msg: sealed, aad: commitment }).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.0.into())
    }
}

/// A key seals one value. Were it used again, the nonce would still be another one: the value's salt is in its hash.
fn nonce_of(commitment: &Hash) -> XNonce {
    let start: [u8; NONCE] = *commitment.first_chunk().expect("24 of 32 bytes");
    start.into()
}

/// Keys that are wrapped together.
pub(super) struct Sheet {
    keys: Vec<[u8; KEY]>,
}

impl Sheet {
    /// A new sheet and its number, which no other has had.
    fn make(keeper: &Keeper) -> (i64, Sheet) {
        let mut number = [0; 8];
        (keeper.random)(&mut number);
        let mut bytes = vec![0; PLACES * KEY];
        (keeper.random)(&mut bytes);
        let (keys, _) = bytes.as_chunks::<KEY>();
        (i64::from_le_bytes(number), Sheet { keys: keys.to_vec() })
    }

    /// The sheet as kept: a nonce, and the keys under the key-encryption key.
    pub fn wrap(&self, number: i64, keeper: &Keeper) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        (keeper.random)(&mut nonce);
        let plain = self.keys.concat();
        let payload = Payload { msg: &plain, aad: &sheet_name(number) };
        let sealed = keeper.cipher().encrypt(&nonce.into(), payload).expect("a sheet is shorter than 256 GiB");
        [&nonce[..], &sealed].concat()
    }

    /// # Errors
    /// When it was wrapped under another key-encryption key, or is damaged.
    pub fn unwrap(number: i64, wrapped: &[u8], keeper: &Keeper) -> Result<Sheet> {
        let open = || {
            let (nonce, sealed) = wrapped.split_first_chunk::<NONCE>()?;
            let payload = Payload { msg: sealed, aad: &sheet_name(number) };
            let plain = keeper.cipher().decrypt(&(*nonce).into(), payload).ok()?;
            let (keys, rest) = plain.as_chunks::<KEY>();
            (keys.len() == PLACES && rest.is_empty()).then(|| Sheet { keys: keys.to_vec() })
        };
        open().ok_or_else(|| {
            StoreError::Backend(
                "the keys of the disclosures do not open: `keys/disclosures.key` is not the one they were wrapped under, or \
                 they are damaged; restore that file, or the keys from their own backup"
                    .into(),
            )
        })
    }

    /// `None` when it was destroyed.
    pub fn key(&self, place: u8) -> Option<DataKey> {
        let key = self.keys[usize::from(place)];
        (key != [0; KEY]).then_some(DataKey(key))
    }

    pub fn destroy(&mut self, place: u8) {
        self.keys[usize::from(place)] = [0; KEY];
    }
}

/// Binds a wrapped sheet to its number.
fn sheet_name(number: i64) -> [u8; 32] {
    let mut name = *b"breachclock sheet of data keys \0\0\0\0\0\0\0\0\0".first_chunk().expect("32 of 40 bytes");
    name[24..].copy_from_slice(&number.to_le_bytes());
    name
}

/// Keys to be handed out, each once.
#[derive(Default)]
pub(super) struct Pool {
    free: Vec<(KeyId, DataKey)>,
    /// Sheets that were made so far.
    made: usize,
}

impl Pool {
    /// `None` when there are not enough: add sheets first.
    pub fn take(&mut self, count: usize) -> Option<Vec<(KeyId, DataKey)>> {
        let from = self.free.len().checked_sub(count)?;
        Some(self.free.split_off(from))
    }

    /// New sheets that give at least `count` keys: few at first, as a short run would waste more.
    pub fn more(&self, count: usize, keeper: &Keeper) -> Vec<(i64, Sheet)> {
        let sheets = self.made.clamp(1, MOST_SHEETS).max(count.div_ceil(PLACES));
        (0..sheets).map(|_| Sheet::make(keeper)).collect()
    }

    /// Takes up sheets that are kept durably.
    pub fn add(&mut self, sheets: Vec<(i64, Sheet)>) {
        self.made += sheets.len();
        for (sheet, keys) in sheets {
            let place = |place: u8| keys.key(place).map(|key| (KeyId { sheet, place }, key));
            self.free.extend((0..=u8::MAX).filter_map(place));
        }
    }
}

/// Sheets as last read.
#[derive(Default)]
pub(super) struct Remembered(BTreeMap<i64, Sheet>);

impl Remembered {
    pub fn get(&self, number: i64) -> Option<&Sheet> {
        self.0.get(&number)
    }

    pub fn put(&mut self, number: i64, sheet: Sheet) {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(number, sheet);
    }

    pub fn forget(&mut self) {
        self.0.clear();
    }
}

/// A sheet that is not there: the keys were lost, or come from an older copy than the database.
pub(super) fn missing() -> StoreError {
    StoreError::Backend(
        "keys of the disclosures are missing: they are older than the database, or were lost; restore `keys.db` from its own \
         backup"
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::sha256;
    use proptest::prelude::*;

    fn key(seed: u8) -> DataKey {
        DataKey([seed; KEY])
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_and_nothing_else_does(
            plain in proptest::collection::vec(any::<u8>(), 0..600), seed in 1u8..100, bit in any::<prop::sample::Index>(),
        ) {
            let commitment = sha256(&plain);
            let sealed = key(seed).seal(&commitment, &plain);
            prop_assert_eq!(sealed.len(), plain.len() + 16);
            prop_assert_eq!(key(seed).open(&commitment, &sealed), Some(plain.clone()));
            prop_assert_eq!(key(seed + 1).open(&commitment, &sealed), None);
            prop_assert_eq!(key(seed).open(&sha256(&sealed), &sealed), None);
            let mut changed = sealed.clone();
            let bit = bit.index(changed.len() * 8);
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(key(seed).open(&commitment, &changed), None);
            prop_assert_eq!(key(seed).open(&commitment, &sealed[..sealed.len() - 1]), None);
            if plain.len() >= 8 {
                prop_assert!(!sealed.windows(8).any(|part| plain.windows(8).any(|of| of == part)));
            }
        }
    }

    #[test]
    fn a_sheet_is_wrapped_under_its_number_and_one_key() {
        let keeper = Keeper::of_tests();
        let (number, mut sheet) = Sheet::make(&keeper);
        let wrapped = sheet.wrap(number, &keeper);
        assert!(!wrapped.windows(KEY).any(|part| part == sheet.keys[3]), "a key stands in clear");
        let read = Sheet::unwrap(number, &wrapped, &keeper).expect("opens");
        assert!(read.keys == sheet.keys);
        assert!(Sheet::unwrap(number ^ 1, &wrapped, &keeper).is_err());
        let other = Keeper { kek: [8; KEY], ..keeper.clone() };
        let error = Sheet::unwrap(number, &wrapped, &other).err().expect("refused").to_string();
        assert!(error.contains("keys/disclosures.key"), "{error}");
        sheet.destroy(3);
        let read = Sheet::unwrap(number, &sheet.wrap(number, &keeper), &keeper).expect("opens");
        assert!(read.key(3).is_none() && read.key(2).is_some() && read.key(4).is_some());
    }

    #[test]
    fn a_key_is_handed_out_once() {
        let (keeper, mut pool) = (Keeper::of_tests(), Pool::default());
        let mut seen = std::collections::BTreeSet::new();
        for count in [0, 1, 255, 3, 700, 40, 5000] {
            let taken = pool.take(count).unwrap_or_else(|| {
                let more = pool.more(count, &keeper);
                pool.add(more);
                pool.take(count).expect("enough")
            });
            assert_eq!(taken.len(), count);
            assert!(taken.into_iter().all(|(id, key)| seen.insert((id, key.0))));
        }
    }
}
