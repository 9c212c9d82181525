//! Sorted ranges of numbers.

use alloc::vec::Vec;
use core::ops::Range;

/// Disjoint, non-adjacent, ascending half-open ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeSet {
    ranges: Vec<Range<u64>>,
}

impl RangeSet {
    /// Adds `range` and returns how many of its numbers are new.
    #[inline]
    pub(crate) fn insert(&mut self, range: Range<u64>) -> u64 {
        if let Some(last) = self.ranges.last_mut()
            && last.end == range.start
            && range.start < range.end
        {
            last.end = range.end;
            return range.end - range.start;
        }
        self.insert_within(range)
    }

    #[inline(never)]
    fn insert_within(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let first = self.ranges.partition_point(|r| r.end < range.start);
        let last = first + self.ranges[first..].partition_point(|r| r.start <= range.end);
        if first == last {
            let new = range.end - range.start;
            self.ranges.insert(first, range);
            return new;
        }
        let merged = self.ranges[first].start.min(range.start)..self.ranges[last - 1].end.max(range.end);
        let held: u64 = self.ranges[first..last].iter().map(|r| r.end - r.start).sum();
        let new = merged.end - merged.start - held;
        self.ranges[first] = merged;
        self.ranges.drain(first + 1..last);
        new
    }

    /// Whether all of `range` is in the set.
    pub(crate) fn contains(&self, range: &Range<u64>) -> bool {
        let at = self.ranges.partition_point(|r| r.end < range.end);
        range.is_empty() || self.ranges.get(at).is_some_and(|r| r.start <= range.start && range.end <= r.end)
    }

    /// Removes every number below `floor`.
    pub(crate) fn remove_below(&mut self, floor: u64) {
        let gone = self.ranges.partition_point(|r| r.end <= floor);
        self.ranges.drain(..gone);
        if let Some(first) = self.ranges.first_mut() {
            first.start = first.start.max(floor);
        }
    }

    /// Removes the lowest range.
    pub(crate) fn pop_front(&mut self) {
        if !self.ranges.is_empty() {
            self.ranges.remove(0);
        }
    }

    /// Whether the last range ends below `number`, right before it.
    #[inline]
    pub(crate) fn ends_at(&self, number: u64) -> bool {
        self.ranges.last().is_some_and(|last| last.end == number)
    }

    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges that have numbers of `range`, ascending.
    pub(crate) fn overlapping(&self, range: &Range<u64>) -> impl Iterator<Item = &Range<u64>> {
        let first = self.ranges.partition_point(|r| r.end <= range.start);
        let end = range.end;
        self.ranges[first..].iter().take_while(move |r| r.start < end)
    }

    /// The ranges, ascending.
    pub(crate) fn iter(&self) -> core::slice::Iter<'_, Range<u64>> {
        self.ranges.iter()
    }

    pub(crate) fn shrink(&mut self) {
        self.ranges.shrink_to(1);
    }
}

crate::sleep::saved!(RangeSet { ranges });

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    use super::RangeSet;

    quickcheck::quickcheck! {
        fn it_agrees_with_a_set_of_numbers(inserts: Vec<(u8, u8)>, floor: u8) -> bool {
            let (mut ranges, mut model) = (RangeSet::default(), BTreeSet::new());
            for (start, len) in inserts {
                let range = u64::from(start)..u64::from(start) + u64::from(len % 16);
                let before = model.len();
                model.extend(range.clone());
                let new = ranges.insert(range.clone());
                assert_eq!(new, (model.len() - before) as u64);
                assert!(ranges.contains(&range));
            }
            ranges.remove_below(floor.into());
            model.retain(|&n| n >= u64::from(floor));
            let flat: Vec<u64> = ranges.iter().flat_map(Clone::clone).collect();
            let apart = ranges.ranges.windows(2).all(|pair| pair[0].end < pair[1].start);
            flat == model.iter().copied().collect::<Vec<_>>()
                && apart
                && (0..300).all(|n| ranges.contains(&(n..n + 1)) == model.contains(&n))
        }
    }
}
