//! Received messages whose sender waits for the application's word, and the words that wait to be sent.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::Class;
use crate::wire::{Batch, MAX_RECEIPT_RANGES, Status};

type Key = (Class, u64);

#[derive(Clone, Debug, Default)]
pub(crate) struct Receipts {
    /// The application has the message and has said nothing.
    owed: BTreeMap<Key, Option<Batch>>,
    /// Those of them that are of a batch.
    batched: BTreeSet<(u64, Key)>,
    /// Said, and to be written.
    due: BTreeMap<Key, Status>,
    /// Written, and not known to have arrived.
    in_flight: BTreeMap<Key, Status>,
}

impl Receipts {
    pub(crate) fn len(&self) -> usize {
        self.owed.len() + self.due.len() + self.in_flight.len()
    }

    /// The application was given a message that asks.
    pub(crate) fn owe(&mut self, class: Class, number: u64, batch: Option<Batch>) {
        self.owed.insert((class, number), batch);
        self.batched.extend(batch.map(|batch| (batch.number, (class, number))));
    }

    /// The application's word about a message. That about the last of a batch counts for all of the batch that it was given and
    /// has not spoken about. `false` when no word is owed.
    pub(crate) fn answer(&mut self, class: Class, number: u64, status: Status) -> bool {
        let Some(&batch) = self.owed.get(&(class, number)) else { return false };
        self.settle((class, number));
        self.due.insert((class, number), status);
        if let Some(Batch { number, is_last: true }) = batch {
            let first = (number, (Class::ALL[0], 0));
            while let Some(&(_, key)) = self.batched.range(first..).next().filter(|(of, _)| *of == number) {
                self.settle(key);
                self.due.insert(key, status);
            }
        }
        true
    }

    fn settle(&mut self, key: Key) {
        if let Some(Some(Batch { number, .. })) = self.owed.remove(&key) {
            self.batched.remove(&(number, key));
        }
    }

    /// A message that asks was dropped unseen. Nothing changes where a word was given, or is owed.
    pub(crate) fn refuse(&mut self, class: Class, number: u64, reason: u8) {
        let key = (class, number);
        if !self.owed.contains_key(&key) && !self.in_flight.contains_key(&key) {
            self.due.entry(key).or_insert(Status::Refused(reason.into()));
        }
    }

    pub(crate) fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// The sender of a message has given it up.
    pub(crate) fn forget(&mut self, class: Class, number: u64) {
        self.settle((class, number));
        self.due.remove(&(class, number));
    }

    /// Whether the peer has every word that was said.
    pub(crate) fn is_settled(&self) -> bool {
        self.due.is_empty() && self.in_flight.is_empty()
    }

    /// The next words of one class and status, in at most `max` ranges, descending; they are in flight now.
    pub(crate) fn take(&mut self, max: usize) -> Option<(Class, Status, Vec<RangeInclusive<u64>>)> {
        let (&(class, _), &status) = self.due.last_key_value()?;
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        let mut others = 0;
        for (&(_, number), other) in self.due.range((class, 0)..=(class, u64::MAX)).rev() {
            if *other != status {
                others += 1;
                if others > MAX_RECEIPT_RANGES {
                    break;
                }
                continue;
            }
            let is_full = ranges.len() == max.min(MAX_RECEIPT_RANGES);
            match ranges.last_mut() {
                Some(range) if *range.start() == number + 1 => *range = number..=*range.end(),
                _ if is_full => break,
                _ => ranges.push(number..=number),
            }
        }
        for number in ranges.iter().flat_map(Clone::clone) {
            self.due.remove(&(class, number));
            self.in_flight.insert((class, number), status);
        }
        Some((class, status, ranges))
    }

    /// The peer has the words about these.
    pub(crate) fn on_acked(&mut self, class: Class, first: u64, len: u32) {
        for number in first..first + u64::from(len) {
            self.in_flight.remove(&(class, number));
        }
    }

    /// The words about these are lost.
    pub(crate) fn on_lost(&mut self, class: Class, first: u64, len: u32) {
        for key in (first..first + u64::from(len)).map(|number| (class, number)) {
            if let Some(status) = self.in_flight.remove(&key) {
                self.due.insert(key, status);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::Receipts;
    use crate::Class;
    use crate::wire::{Batch, Status};

    const CLASS: Class = Class::ReliableOrdered;

    #[test]
    fn words_travel_in_ranges_until_they_arrive() {
        let mut receipts = Receipts::default();
        for number in [0, 1, 2, 5, 6, 9] {
            receipts.owe(CLASS, number, None);
        }
        assert!(!receipts.answer(CLASS, 3, Status::Processed), "it never came");
        for number in [0, 1, 2, 5, 6] {
            assert!(receipts.answer(CLASS, number, Status::Processed));
            assert!(!receipts.answer(CLASS, number, Status::Rejected(1)), "one word each");
        }
        receipts.refuse(CLASS, 3, 2);
        receipts.refuse(CLASS, 9, 2);
        assert_eq!(receipts.take(64), Some((CLASS, Status::Processed, vec![5..=6, 0..=2])));
        assert_eq!(receipts.take(64), Some((CLASS, Status::Refused(2), vec![3..=3])));
        assert_eq!(receipts.take(64), None);
        receipts.on_lost(CLASS, 0, 3);
        receipts.on_acked(CLASS, 5, 2);
        receipts.on_acked(CLASS, 3, 1);
        assert_eq!(receipts.take(1), Some((CLASS, Status::Processed, vec![0..=2])));
        receipts.on_acked(CLASS, 0, 3);
        assert_eq!(receipts.len(), 1, "9 is still owed");
    }

    #[test]
    fn the_last_of_a_batch_speaks_for_all_of_it() {
        let mut receipts = Receipts::default();
        for number in 0..4 {
            receipts.owe(CLASS, number, Some(Batch { number: 7, is_last: number == 3 }));
        }
        receipts.owe(CLASS, 4, Some(Batch { number: 8, is_last: false }));
        assert!(receipts.answer(CLASS, 1, Status::Rejected(5)));
        assert!(receipts.answer(CLASS, 3, Status::Processed));
        assert_eq!(receipts.take(64), Some((CLASS, Status::Processed, vec![2..=3, 0..=0])));
        assert_eq!(receipts.take(64), Some((CLASS, Status::Rejected(5), vec![1..=1])));
        assert_eq!(receipts.len(), 5);
    }
}
