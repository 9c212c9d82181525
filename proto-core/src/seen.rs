//! Which of the last 1024 numbers have been seen.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::wire::MAX_STATE_RANGES;

const WINDOW: u64 = 1024;

/// What is known about a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    New,
    Before,
    /// Too far behind to tell.
    TooOld,
}

/// A sliding window of 1024 numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeenWindow {
    /// One above the largest number seen.
    next: u64,
    /// Without them every number below `next` counts as seen: numbers that come one after the other need none.
    bits: Option<Box<Bits>>,
}

type Bits = [u64; (WINDOW / 64) as usize];

impl SeenWindow {
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn check(&self, number: u64) -> Seen {
        if number >= self.next {
            Seen::New
        } else if self.next - number > WINDOW {
            Seen::TooOld
        } else if self.bits.as_ref().is_some_and(|bits| bits[word(number)] & bit(number) == 0) {
            Seen::New
        } else {
            Seen::Before
        }
    }

    /// The newest numbers seen, as ranges, ascending, and the lowest number of which they say nothing: all below it were seen, or
    /// are too old to tell, if there are fewer ranges than there may be.
    pub(crate) fn state(&self) -> (u64, Vec<RangeInclusive<u64>>) {
        let oldest = self.next.saturating_sub(WINDOW);
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        for number in (oldest..self.next).rev().filter(|&number| self.check(number) == Seen::Before) {
            let is_full = ranges.len() == MAX_STATE_RANGES;
            match ranges.last_mut() {
                Some(last) if *last.start() == number + 1 => *last = number..=*last.end(),
                _ if is_full => break,
                _ => ranges.push(number..=number),
            }
        }
        ranges.reverse();
        if let Some(first) = ranges.first().cloned().filter(|first| *first.start() == oldest) {
            ranges.remove(0);
            return (first.end() + 1, ranges);
        }
        let first = ranges.first().filter(|_| ranges.len() == MAX_STATE_RANGES);
        (first.map_or(oldest, |first| first.start() - 1), ranges)
    }

    /// Gives memory back where nothing is missing.
    pub(crate) fn shrink(&mut self) {
        self.bits.take_if(|bits| bits.iter().all(|&word| word == u64::MAX));
    }

    #[inline]
    pub(crate) fn insert(&mut self, number: u64) {
        if number != self.next {
            return self.mark(number);
        }
        self.next += 1;
        if let Some(bits) = &mut self.bits {
            bits[word(number)] |= bit(number);
        }
    }

    /// The `count` numbers that follow the largest; there are fewer than 1024.
    pub(crate) fn insert_next(&mut self, count: u64) {
        let first = self.next;
        self.next += count;
        if let Some(bits) = &mut self.bits {
            (first..self.next).for_each(|number| bits[word(number)] |= bit(number));
        }
    }

    #[inline(never)]
    fn mark(&mut self, number: u64) {
        let bits = self.bits.get_or_insert_with(|| Box::new([u64::MAX; (WINDOW / 64) as usize]));
        if number >= self.next {
            if number - self.next >= WINDOW {
                **bits = [0; (WINDOW / 64) as usize];
            } else {
                for skipped in self.next..number {
                    bits[word(skipped)] &= !bit(skipped);
                }
            }
            self.next = number + 1;
        }
        bits[word(number)] |= bit(number);
    }
}

const fn word(number: u64) -> usize {
    (number / 64 % (WINDOW / 64)) as usize
}

const fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

crate::sleep::saved!(SeenWindow { next, bits });

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    use super::{Seen, SeenWindow, WINDOW};

    quickcheck::quickcheck! {
        fn it_agrees_with_a_set(steps: Vec<i16>) -> bool {
            let (mut window, mut model, mut at) = (SeenWindow::default(), BTreeSet::new(), 3000_u64);
            for step in steps {
                at = at.saturating_add_signed((step % 700).into());
                let largest = model.last().copied().unwrap_or(0);
                let expected = if !model.is_empty() && at + WINDOW <= largest {
                    Seen::TooOld
                } else if model.contains(&at) {
                    Seen::Before
                } else {
                    Seen::New
                };
                if window.check(at) != expected {
                    return false;
                }
                if expected == Seen::New {
                    window.insert(at);
                    model.insert(at);
                }
            }
            true
        }
    }

    #[test]
    fn what_never_came_is_not_said_to_be_here() {
        let mut window = SeenWindow::default();
        (5..12).for_each(|number| window.insert(number));
        assert_eq!(window.state(), (0, [5..=11].into()));
        // Where there are too many ranges to tell them all, nothing is said of the oldest.
        let mut window = SeenWindow::default();
        (0..40).for_each(|number| window.insert(2 * number + 1));
        let (next, ranges) = window.state();
        assert_eq!((next, ranges.len(), ranges[0].clone()), (48, 16, 49..=49));
    }

    /// All ways to take five steps of lengths at which something could change.
    #[test]
    fn no_five_steps_lead_away_from_the_set() {
        const STEPS: [i64; 13] = [1, 2, 63, 64, 65, 1023, 1024, 1025, -1, -64, -1023, -1024, -1025];
        const START: u64 = (1 << 62) - 6000;
        let count = STEPS.len().pow(5);
        for path in 0..count {
            let (mut window, mut model) = (SeenWindow::default(), Vec::new());
            let (mut at, mut left) = (START, path);
            window.insert(at);
            model.push(at);
            for _ in 0..5 {
                at = at.saturating_add_signed(STEPS[left % STEPS.len()]);
                left /= STEPS.len();
                let largest = model.iter().copied().max().unwrap_or(0);
                let expected = match at {
                    at if at + WINDOW <= largest => Seen::TooOld,
                    at if model.contains(&at) => Seen::Before,
                    _ => Seen::New,
                };
                assert_eq!(window.check(at), expected, "{model:?}, {at}");
                if expected == Seen::New {
                    window.insert(at);
                    model.push(at);
                }
            }
            // What lies between was never there.
            let largest = model.iter().copied().max().unwrap_or(0);
            for number in [START - 1, START + 1, largest - 1, largest - WINDOW + 1] {
                let is_known = model.contains(&number) || number + WINDOW <= largest;
                assert_eq!(window.check(number) == Seen::New, !is_known, "{model:?}, {number}");
            }
        }
    }

    quickcheck::quickcheck! {
        fn several_at_once_are_as_one_by_one(steps: Vec<(u16, u16)>) -> bool {
            let (mut together, mut alone) = (SeenWindow::default(), SeenWindow::default());
            for (skipped, count) in steps {
                let at = alone.next() + u64::from(skipped % 1500);
                together.insert(at);
                together.insert_next(u64::from(count % 1024));
                (at..=at + u64::from(count % 1024)).for_each(|number| alone.insert(number));
            }
            (0..=alone.next()).all(|number| together.check(number) == alone.check(number))
        }
    }

    #[test]
    fn the_first_number_may_be_anything() {
        let mut window = SeenWindow::default();
        window.insert(1 << 61);
        assert_eq!(window.check(1 << 61), Seen::Before);
        assert_eq!(window.check((1 << 61) + 1), Seen::New);
    }
}
