//! The packed form of a record's obligations, about 20 bytes each instead of 60: a record is rewritten at each change of
//! its incident, and what a commit costs is its bytes.
//!
//! Ids share their beginning with the one before, few words stand for the standing, few instants for the first sight, and
//! the limits lie near to it. Nothing is rounded.

use super::Tracked;
use crate::time::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    #[serde(borrow)]
    standings: Vec<Cow<'a, str>>,
    known: Vec<Instant>,
    #[serde(borrow)]
    rows: Vec<Row<'a>>,
}

/// Seconds and nanoseconds.
type Instant = (i64, u32);

#[derive(Serialize, Deserialize)]
struct Row<'a> {
    /// Bytes of the id before that this one begins with.
    shared: u32,
    #[serde(borrow)]
    rest: Cow<'a, str>,
    /// Places in `standings` and `known`.
    standing: u32,
    known: u32,
    /// Seconds after first sight.
    due: Option<Instant>,
    /// Seconds before `due`, or after first sight when there is none.
    conservative: Option<Instant>,
}

pub(super) fn serialize<S: Serializer>(tracked: &[Tracked], serializer: S) -> Result<S::Ok, S::Error> {
    let mut packed = Packed { standings: Vec::new(), known: Vec::new(), rows: Vec::with_capacity(tracked.len()) };
    let mut before = "";
    for one in tracked {
        let known = parts(one.known_at);
        let due = one.due.map(parts);
        let conservative = one.conservative_due.map(parts).map(|(s, n)| (due.map_or(s - known.0, |due| due.0 - s), n));
        let shared = shared(before, &one.id);
        packed.rows.push(Row {
            shared: shared as u32,
            rest: Cow::Borrowed(&one.id[shared..]),
            standing: place(&mut packed.standings, Cow::Borrowed(one.standing.as_str())),
            known: place(&mut packed.known, known),
            due: due.map(|(s, n)| (s - known.0, n)),
            conservative,
        });
        before = &one.id;
    }
    packed.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Tracked>, D::Error> {
    let packed = Packed::deserialize(deserializer)?;
    let mut tracked: Vec<Tracked> = Vec::with_capacity(packed.rows.len());
    for row in packed.rows {
        let wrong = || D::Error::custom("an obligation is damaged");
        let before = tracked.last().map_or("", |before| before.id.as_str());
        let shared = before.get(..row.shared as usize).ok_or_else(wrong)?;
        let known = *packed.known.get(row.known as usize).ok_or_else(wrong)?;
        let after = |base: i64, (s, n): Instant| base.checked_add(s).map(|s| (s, n)).ok_or_else(wrong);
        let due = row.due.map(|due| after(known.0, due)).transpose()?;
        let conservative = match (due, row.conservative) {
            (Some(due), Some((s, n))) => Some(after(due.0, (s.checked_neg().ok_or_else(wrong)?, n))?),
            (None, Some(instant)) => Some(after(known.0, instant)?),
            (_, None) => None,
        };
        let instant = |(s, n): Instant| chrono::DateTime::from_timestamp(s, n).ok_or_else(wrong);
        tracked.push(Tracked {
            id: format!("{shared}{}", row.rest),
            standing: packed.standings.get(row.standing as usize).ok_or_else(wrong)?.clone().into_owned(),
            due: due.map(instant).transpose()?,
            conservative_due: conservative.map(instant).transpose()?,
            known_at: instant(known)?,
        });
    }
    Ok(tracked)
}

fn parts(at: Timestamp) -> Instant {
    (at.timestamp(), at.timestamp_subsec_nanos())
}

/// Length of the common beginning, at the border of a character.
fn shared(before: &str, id: &str) -> usize {
    let mut length = before.bytes().zip(id.bytes()).take_while(|(a, b)| a == b).count();
    while !id.is_char_boundary(length) || !before.is_char_boundary(length) {
        length -= 1;
    }
    length
}

/// Where `value` stands, added at the end when it is new. There are few of them.
fn place<T: PartialEq>(values: &mut Vec<T>, value: T) -> u32 {
    let at = values.iter().rposition(|known| *known == value).unwrap_or_else(|| {
        values.push(value);
        values.len() - 1
    });
    at as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Whole(#[serde(with = "super")] Vec<Tracked>);

    fn at(seconds: i64, nanos: u32) -> Timestamp {
        chrono::DateTime::from_timestamp(seconds, nanos).expect("an instant")
    }

    #[test]
    fn comes_back_to_the_nanosecond() {
        let instants =
            [at(1_780_000_000, 0), at(1_780_000_000, 999_999_999), at(-5, 1), Timestamp::MIN_UTC, Timestamp::MAX_UTC];
        let ids = ["", "xx-act-1@XX", "xx-act-1@XY", "xx-äct", "xx-åct", "xx-act-1@XX"];
        let mut all = Vec::new();
        for known_at in instants {
            for due in instants.map(Some).into_iter().chain([None]) {
                for conservative_due in instants.map(Some).into_iter().chain([None]) {
                    let id = ids[all.len() % ids.len()].to_string();
                    let standing = ["running", "awaiting", ""][all.len() % 3].to_string();
                    all.push(Tracked { id, standing, due, conservative_due, known_at });
                }
            }
        }
        for some in [&all[..], &all[..1], &[]] {
            let whole = Whole(some.to_vec());
            let bytes = postcard::to_allocvec(&whole).expect("packs");
            assert_eq!(postcard::from_bytes::<Whole>(&bytes).expect("unpacks"), whole);
            for end in 0..bytes.len().min(300) {
                assert!(postcard::from_bytes::<Whole>(&bytes[..end]).is_err(), "cut at {end}");
            }
        }
    }

    #[test]
    fn is_small() {
        let one = |k: i64| Tracked {
            id: format!("xx-some-act-{k:03}-authority@XX"),
            standing: "running".into(),
            due: Some(at(1_780_000_000 + k * 3600, 0)),
            conservative_due: Some(at(1_780_000_000 + k * 3600 - 60, 0)),
            known_at: at(1_780_000_000, 123_456_789),
        };
        let bytes = postcard::to_allocvec(&Whole((0..200).map(one).collect())).expect("packs");
        assert!(bytes.len() < 200 * 30, "{} bytes", bytes.len());
    }
}
