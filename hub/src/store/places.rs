//! Where a room's entries are in the newest segment, in a few bytes for each frame.

use std::iter;

use proto_core::wire::{Reader, varint};

use super::row::Place;

/// Places that are found together.
const BLOCK: usize = 128;

/// Some of a room's places.
#[derive(Debug)]
struct Block {
    start: Place,
    /// By how much each further one is ahead of the one before: slots and frames.
    rest: Vec<u8>,
}

impl Block {
    fn iter(&self) -> impl Iterator<Item = Place> {
        let (mut place, mut rest) = (self.start, Reader::new(&self.rest));
        let further = iter::from_fn(move || {
            place.first += rest.vi64().ok()?;
            place.frame += rest.vi64().ok()?;
            Some(place)
        });
        iter::once(self.start).chain(further)
    }
}

/// A room's places, ascending.
#[derive(Debug, Default)]
pub(super) struct Places {
    blocks: Vec<Block>,
    /// How many the last block has.
    in_last: usize,
    last: Option<Place>,
}

impl Places {
    /// Adds one behind all others.
    pub(super) fn push(&mut self, place: Place) {
        match (self.blocks.last_mut(), self.last) {
            (Some(block), Some(last)) if self.in_last < BLOCK => {
                varint::encode(place.first - last.first, &mut block.rest);
                varint::encode(place.frame - last.frame, &mut block.rest);
                self.in_last += 1;
            }
            (full, _) => {
                if let Some(full) = full {
                    full.rest.shrink_to_fit();
                }
                self.blocks.push(Block { start: place, rest: Vec::new() });
                self.in_last = 1;
            }
        }
        self.last = Some(place);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Place> {
        self.blocks.iter().flat_map(Block::iter)
    }

    /// Those that hold slots of `from..=upto`.
    pub(super) fn covering(&self, from: u64, upto: u64) -> Vec<Place> {
        let start = self.blocks.partition_point(|block| block.start.first <= from).saturating_sub(1);
        let mut covering = Vec::new();
        let places = self.blocks[start..].iter().flat_map(Block::iter);
        for place in places.take_while(|place| place.first <= upto) {
            if place.first <= from {
                covering.clear();
            }
            covering.push(place);
        }
        covering
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::covering;
    use super::{BLOCK, Place, Places};

    #[test]
    fn what_is_kept_in_few_bytes_is_what_was_put_in() {
        let (mut packed, mut plain) = (Places::default(), Vec::new());
        assert!(packed.is_empty() && packed.covering(1, 9).is_empty());
        let mut place = Place { first: 7, frame: 1 << 40 };
        for number in 0..3 * BLOCK as u64 + 5 {
            packed.push(place);
            plain.push(place);
            place.first += 1 + number * number % 300;
            place.frame += 1 + number % 7 * 1000;
        }
        assert!(!packed.is_empty());
        assert_eq!(packed.iter().collect::<Vec<_>>(), plain);
        for from in (0..place.first + 10).step_by(97) {
            for upto in [from, from + 1, from + 400, place.first * 2] {
                assert_eq!(packed.covering(from, upto), covering(&plain, from, upto), "{from}..={upto}");
            }
        }
    }
}
