//! A set of days as bits, with counts, so that the thirtieth working day costs as much as the first.

/// Days since 1970-01-01.
pub(in crate::time) type Day = i32;

/// Which days of a range are working days.
#[derive(Clone, Debug, Default)]
pub(in crate::time) struct DaySet {
    first: Day,
    words: Vec<u64>,
    /// Members before each word.
    ranks: Vec<u32>,
}

impl DaySet {
    /// The days from `first` to `last` for which `member` holds, without `out` and with `into`.
    pub(super) fn build(
        first: Day,
        last: Day,
        mut member: impl FnMut(Day) -> bool,
        out: impl Iterator<Item = Day>,
        into: impl Iterator<Item = Day>,
    ) -> DaySet {
        let mut words = vec![0u64; ((last - first + 1).max(0) as usize).div_ceil(64)];
        for day in first..=last {
            let at = (day - first) as usize;
            words[at / 64] |= u64::from(member(day)) << (at % 64);
        }
        let place =
            |day: Day| (first..=last).contains(&day).then(|| (((day - first) / 64) as usize, (day - first) % 64));
        for (word, bit) in out.filter_map(place) {
            words[word] &= !(1 << bit);
        }
        for (word, bit) in into.filter_map(place) {
            words[word] |= 1 << bit;
        }
        let mut total = 0;
        let ranks = words
            .iter()
            .map(|word| {
                let before = total;
                total += word.count_ones();
                before
            })
            .collect();
        DaySet { first, words, ranks }
    }

    #[inline]
    pub(in crate::time) fn contains(&self, day: Day) -> bool {
        let at = (day - self.first) as usize;
        self.words.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Members before `day`; `day` lies in the range or just after it.
    #[inline]
    pub(in crate::time) fn rank(&self, day: Day) -> u32 {
        let at = (day - self.first).max(0) as usize;
        match self.words.get(at / 64) {
            Some(word) => self.ranks[at / 64] + (word & ((1u64 << (at % 64)) - 1)).count_ones(),
            None => self.ranks.last().map_or(0, |r| r + self.words[self.words.len() - 1].count_ones()),
        }
    }

    /// The member with `index` members before it.
    #[inline]
    pub(in crate::time) fn select(&self, index: u32) -> Option<Day> {
        let word = self.ranks.partition_point(|&before| before <= index).checked_sub(1)?;
        let mut bits = self.words[word];
        for _ in 0..index - self.ranks[word] {
            bits &= bits.wrapping_sub(1);
        }
        (bits != 0).then(|| self.first + (word * 64) as Day + bits.trailing_zeros() as Day)
    }
}

#[cfg(test)]
mod tests {
    use super::DaySet;

    #[test]
    fn rank_and_select_are_inverse() {
        let holidays = (100..=999).filter(|day| day % 31 == 0);
        let set = DaySet::build(100, 999, |day| day % 7 < 5, holidays, [999, 1200].into_iter());
        let members: Vec<i32> = (100..=999).filter(|&day| set.contains(day)).collect();
        for (index, &day) in members.iter().enumerate() {
            assert_eq!(set.rank(day), index as u32);
            assert_eq!(set.select(index as u32), Some(day));
        }
        assert_eq!(set.select(members.len() as u32), None);
        assert_eq!(set.rank(1000), members.len() as u32);
        assert!(!set.contains(99) && !set.contains(1000));
    }
}
