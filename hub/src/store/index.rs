//! Which frame of the newest segment holds which slots.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::frame::Section;
use super::places::Places;
use super::rooms::Rooms;
use super::row::Place;
use super::weights::Weights;

/// The rooms and where their entries are in the newest segment.
#[derive(Debug, Default)]
pub(super) struct Index {
    rooms: BTreeMap<Arc<str>, RoomIndex>,
    weights: Weights,
    /// The last frame that it knows of.
    last: u64,
}

/// One room.
#[derive(Debug)]
pub(super) struct RoomIndex {
    /// The epoch of its log.
    pub(super) epoch: u64,
    /// Slots up to this one are in older segments.
    pub(super) before: u64,
    /// The highest durable slot.
    pub(super) latest: u64,
    /// Its frames in this segment, ascending.
    pub(super) places: Places,
}

impl Index {
    /// The index of a segment without frames, which begins behind frame `before`.
    pub(super) fn at_start(rooms: &Rooms, before: u64) -> Self {
        let rooms = rooms.iter().map(|state| {
            let (epoch, latest) = (state.epoch, state.latest);
            (state.room.clone(), RoomIndex { epoch, before: latest, latest, places: Places::default() })
        });
        Self { rooms: rooms.collect(), weights: Weights::default(), last: before }
    }

    /// Takes note of a durable frame.
    pub(super) fn add(&mut self, frame: u64, sections: &[Section<'_>]) {
        self.last = frame;
        self.weights.add(sections);
        for section in sections {
            match *section {
                Section::Room { room, epoch, .. } => {
                    let index = RoomIndex { epoch, before: 0, latest: 0, places: Places::default() };
                    self.rooms.insert(Arc::from(room), index);
                }
                Section::Entries { room, first, count, .. } => {
                    if let Some(index) = self.rooms.get_mut(room) {
                        index.places.push(Place { first, frame });
                        index.latest = first + count - 1;
                    }
                }
                Section::Gone { room, .. } => {
                    self.rooms.remove(room);
                }
            }
        }
    }

    /// How much of this segment each log has.
    pub(super) const fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The last frame that it knows of.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// The epoch of each log that there is.
    pub(super) fn logs(&self) -> BTreeMap<Arc<str>, u64> {
        self.rooms.iter().map(|(room, index)| (Arc::clone(room), index.epoch)).collect()
    }

    pub(super) fn room(&self, room: &str) -> Option<&RoomIndex> {
        self.rooms.get(room)
    }

    /// The rooms that have entries in this segment.
    pub(super) fn written(&self) -> impl Iterator<Item = (&str, &Places)> {
        let written = self.rooms.iter().filter(|(_, index)| !index.places.is_empty());
        written.map(|(room, index)| (&**room, &index.places))
    }
}

/// The places that hold slots of `from..=upto`.
pub(super) fn covering(places: &[Place], from: u64, upto: u64) -> &[Place] {
    let start = places.partition_point(|place| place.first <= from).saturating_sub(1);
    let end = places.partition_point(|place| place.first <= upto);
    places.get(start..end).unwrap_or(&[])
}
