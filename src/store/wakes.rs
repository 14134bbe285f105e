//! The alarm clocks of all incidents, in memory: one slot of 12 bytes per incident that has one.
//!
//! Absent: what an incident's alarm was before. Whoever changes it has just read it and says so.

use std::collections::BTreeSet;

/// Wake-up (7 bytes, microseconds since 1970) and row (5 bytes), big endian: compares in the order of time.
type Slot = [u8; 12];

const LAST_MICROS: i64 = (1 << 56) - 1;

/// Rows by wake-up.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    slots: BTreeSet<Slot>,
}

impl Wakes {
    /// Replaces the alarm of `row`; both in microseconds.
    pub fn set(&mut self, row: i64, before: Option<i64>, after: Option<i64>) {
        if let Some(at) = before {
            self.slots.remove(&slot(at, row));
        }
        if let Some(at) = after {
            self.slots.insert(slot(at, row));
        }
    }

    /// Up to `limit` rows whose wake-up is not after `now`, earliest first, and the first wake-up that was left out.
    pub fn due(&self, now: i64, limit: usize) -> (Vec<i64>, Option<i64>) {
        let mut rows = Vec::new();
        for slot in &self.slots {
            let (at, row) = parts(slot);
            if at > now || rows.len() == limit {
                return (rows, Some(at));
            }
            rows.push(row);
        }
        (rows, None)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.slots.len()
    }
}

impl FromIterator<(i64, i64)> for Wakes {
    /// From `(row, wake-up)`; sorted first, so that the tree is dense.
    fn from_iter<I: IntoIterator<Item = (i64, i64)>>(alarms: I) -> Wakes {
        let mut slots: Vec<Slot> = alarms.into_iter().map(|(row, at)| slot(at, row)).collect();
        slots.sort_unstable();
        Wakes { slots: slots.into_iter().collect() }
    }
}

fn slot(at: i64, row: i64) -> Slot {
    debug_assert!((0..1 << 40).contains(&row));
    // the same clamping on the way in and out: beyond the year 4253 nothing wakes
    let key = u128::from(at.clamp(0, LAST_MICROS) as u64) << 40 | u128::from(row as u64 & ((1 << 40) - 1));
    *key.to_be_bytes().last_chunk().expect("12 of 16 bytes")
}

fn parts(slot: &Slot) -> (i64, i64) {
    let mut wide = [0; 16];
    wide[4..].copy_from_slice(slot);
    let key = u128::from_be_bytes(wide);
    ((key >> 40) as i64, (key & ((1 << 40) - 1)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earliest_first_and_the_next_after_them() {
        let mut wakes: Wakes = [(1, 300), (2, 100), (3, 200), (4, 100)].into_iter().collect();
        assert_eq!(wakes.due(99, 10), (vec![], Some(100)));
        assert_eq!(wakes.due(200, 10), (vec![2, 4, 3], Some(300)));
        assert_eq!(wakes.due(200, 2), (vec![2, 4], Some(200)));
        wakes.set(2, Some(100), Some(400));
        wakes.set(4, Some(100), None);
        wakes.set(5, None, Some(-7));
        assert_eq!(wakes.due(1000, 10), (vec![5, 3, 1, 2], None));
        wakes.set(5, Some(-7), Some(i64::MAX));
        assert_eq!(wakes.due(LAST_MICROS - 1, 10), (vec![3, 1, 2], Some(LAST_MICROS)));
        wakes.set(5, Some(i64::MAX), None);
        assert_eq!(wakes.len(), 3);
    }
}
