//! The disclosures of one entry as stored: each sealed under a data key of its own.
//!
//! ```text
//! body = { commitment (32) · sheet (8) · place (1) · length (4) · sealed value } …    integers little endian
//! ```

use super::keys::{DataKey, KeyId};
use super::{Result, StoreError};
use crate::evidence::{Disclosure, Hash};
use std::collections::BTreeSet;

/// One disclosure of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    pub commitment: Hash,
    pub key: KeyId,
    pub value: Vec<u8>,
}

impl Sealed {
    /// The disclosure.
    ///
    /// # Errors
    /// When it was sealed under another key, or is damaged.
    pub fn open(&self, key: &DataKey) -> Result<Vec<u8>> {
        key.open(&self.commitment, &self.value).ok_or_else(damaged)
    }
}

fn damaged() -> StoreError {
    StoreError::Backend("a disclosure is damaged; restore it from a backup".into())
}

/// Seals the disclosures of one entry; `None` when there are none. `keys` gives one for each.
pub(super) fn seal(disclosures: &[Disclosure], keys: &mut impl Iterator<Item = (KeyId, DataKey)>) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(disclosures.iter().map(|d| d.bytes.len() + 61).sum());
    for (disclosure, (id, key)) in disclosures.iter().zip(keys) {
        let value = key.seal(&disclosure.commitment, &disclosure.bytes);
        put(&mut body, &Sealed { commitment: disclosure.commitment, key: id, value });
    }
    (!body.is_empty()).then_some(body)
}

fn put(body: &mut Vec<u8>, one: &Sealed) {
    body.extend_from_slice(&one.commitment);
    body.extend_from_slice(&one.key.sheet.to_le_bytes());
    body.push(one.key.place);
    body.extend_from_slice(&u32::try_from(one.value.len()).unwrap_or(u32::MAX).to_le_bytes());
    body.extend_from_slice(&one.value);
}

/// Reads a body.
pub(super) fn read(mut body: &[u8]) -> Result<Vec<Sealed>> {
    fn next<'b>(body: &mut &'b [u8]) -> Option<Sealed> {
        fn take<'b, const N: usize>(body: &mut &'b [u8]) -> Option<&'b [u8; N]> {
            let (taken, rest) = body.split_first_chunk::<N>()?;
            *body = rest;
            Some(taken)
        }
        let commitment = *take::<32>(body)?;
        let sheet = i64::from_le_bytes(*take::<8>(body)?);
        let [place] = *take::<1>(body)?;
        let length = u32::from_le_bytes(*take::<4>(body)?) as usize;
        let (value, rest): (&'b [u8], _) = body.split_at_checked(length)?;
        *body = rest;
        Some(Sealed { commitment, key: KeyId { sheet, place }, value: value.to_vec() })
    }
    let mut found = Vec::new();
    while !body.is_empty() {
        found.push(next(&mut body).ok_or_else(damaged)?);
    }
    Ok(found)
}

/// A body without those of `erased`, and the keys these had. The body is `None` when nothing is left of it, and the keys
/// are none when it holds none of them.
pub(super) fn without(body: &[u8], erased: &BTreeSet<Hash>) -> Result<(Option<Vec<u8>>, Vec<KeyId>)> {
    let (gone, left): (Vec<_>, Vec<_>) = read(body)?.into_iter().partition(|one| erased.contains(&one.commitment));
    let mut rest = Vec::new();
    left.iter().for_each(|one| put(&mut rest, one));
    Ok(((!rest.is_empty()).then_some(rest), gone.iter().map(|one| one.key).collect()))
}

/// What stood here before values were sealed: each as its length (4 bytes) and its bytes.
pub(super) fn read_plain(mut bytes: &[u8]) -> Result<Vec<Disclosure>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (disclosure, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
        found.push(Disclosure::from_bytes(disclosure.to_vec()));
        bytes = rest;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::keys::{Keeper, Pool};
    use super::*;

    #[test]
    fn a_body_gives_back_what_it_took_and_lets_go_of_some() {
        let disclosures: Vec<Disclosure> =
            (0..5u8).map(|n| Disclosure::new(&[n; 32], "/by", &"x".repeat(usize::from(n) * 40))).collect();
        let mut pool = Pool::default();
        pool.add(pool.more(5, &Keeper::of_tests()));
        let keys = pool.take(5).expect("enough");
        let body = seal(&disclosures, &mut keys.clone().into_iter()).expect("a body");
        let read_back = read(&body).expect("read");
        let opened: Vec<Disclosure> = read_back
            .iter()
            .zip(&keys)
            .map(|(sealed, (_, key))| Disclosure::from_bytes(sealed.open(key).expect("opens")))
            .collect();
        assert_eq!(opened, disclosures);
        assert!(read_back[0].open(&keys[1].1).is_err());
        let erased = BTreeSet::from([disclosures[1].commitment, disclosures[3].commitment, [9; 32]]);
        let (rest, gone) = without(&body, &erased).expect("read");
        assert_eq!(gone, [keys[1].0, keys[3].0]);
        let left: Vec<Hash> = read(&rest.expect("some")).expect("read").iter().map(|one| one.commitment).collect();
        assert_eq!(left, [0, 2, 4].map(|n| disclosures[n].commitment));
        let all = disclosures.iter().map(|d| d.commitment).collect();
        assert_eq!(without(&body, &all).expect("read").0, None);
        assert_eq!(seal(&[], &mut keys.into_iter()), None);
        (1..body.len()).filter(|cut| read(&body[..*cut]).is_ok()).for_each(|cut| {
            assert!(read(&body[..cut]).expect("whole").len() < 5, "a cut body is read as whole");
        });
        assert!(read(&body[..body.len() - 1]).is_err());
    }
}
