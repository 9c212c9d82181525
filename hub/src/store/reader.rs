//! Pages of the log, from the newest segment or from older ones.

use std::sync::Arc;

use proto_core::chat::{Read, StoredEntry};

use super::StoreError;
use super::copy::Copier;
use super::frame::Section;
use super::index::covering;
use super::log::LogReader;
use super::redb_log::{FIRST, Shared, decode};
use super::row::Place;
use super::segment::{Sealed, View, guarded};
use super::sweep::Sweeper;

/// The reading half.
pub(crate) struct RedbReader {
    shared: Arc<Shared>,
}

/// The answer to a read, while it is collected.
struct Page<'a> {
    read: &'a Read,
    bytes: usize,
    full: bool,
    entries: Vec<StoredEntry>,
}

/// Where the next entries are.
enum Source {
    Active(Vec<Place>),
    Older { upto: u32 },
}

impl LogReader for RedbReader {
    fn read(&mut self, read: &Read) -> Result<Vec<StoredEntry>, StoreError> {
        let mut page = Page { read, bytes: 0, full: false, entries: Vec::new() };
        while !page.is_complete() {
            let collected = page.entries.len();
            self.collect(&mut page)?;
            if page.entries.len() == collected && !page.full {
                let file = self.shared.dir.segment(self.shared.active().number);
                let what = format!("slot {} of room {:?} is in no file", page.next(), read.room);
                return Err(StoreError::damaged(&file, what));
            }
        }
        Ok(page.entries)
    }
}

impl RedbReader {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Where copies of this log come from.
    pub(crate) fn copier(&self) -> Copier {
        Copier::new(&self.shared)
    }

    /// What takes logs that have ended out of its files.
    pub(crate) fn sweeper(&self) -> Sweeper {
        Sweeper::new(&self.shared)
    }

    /// Adds what one segment has.
    fn collect(&self, page: &mut Page<'_>) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let upto = {
            let active = shared.active();
            match self.source(page, active.number)? {
                Source::Older { upto } => upto,
                Source::Active(places) => {
                    let file = shared.dir.segment(active.number);
                    let segment = active.segment.as_ref();
                    let segment =
                        segment.ok_or_else(|| StoreError::broken(&file, "it is closed after an error"))?;
                    return guarded(&file, || page.take(&segment.view()?, &places));
                }
            }
        };
        let number = self.holding(page, upto)?;
        let file = self.shared.dir.segment(number);
        let sealed = self.sealed(number)?;
        guarded(&file, || {
            let view = sealed.view()?;
            let places = view.places(&page.read.room)?;
            page.take(&view, covering(&places, page.next(), page.read.upto))
        })
    }

    fn source(&self, page: &Page<'_>, active: u32) -> Result<Source, StoreError> {
        let read = page.read;
        let index = self.shared.index();
        let known =
            index.room(&read.room).filter(|room| room.epoch == read.epoch && read.upto <= room.latest);
        let room = known.filter(|_| read.from >= 1).ok_or_else(|| {
            let what = format!("slots {}..={} of room {:?} are not in it", read.from, read.upto, read.room);
            StoreError::damaged(&self.shared.dir.segment(active), what)
        })?;
        if page.next() > room.before {
            Ok(Source::Active(room.places.covering(page.next(), read.upto)))
        } else {
            Ok(Source::Older { upto: active })
        }
    }

    /// Which segment holds the next slot: the last whose successor begins at or behind it. The successor of the last is
    /// `active`, of which that is known.
    fn holding(&self, page: &Page<'_>, active: u32) -> Result<u32, StoreError> {
        let (mut low, mut high) = (FIRST, active.saturating_sub(1));
        while low < high {
            let middle = low + (high - low) / 2;
            let file = self.shared.dir.segment(middle + 1);
            let next = self.sealed(middle + 1)?;
            let before = guarded(&file, || next.view()?.latest_before(&page.read.room, page.read.epoch))?;
            if before.is_some_and(|before| before >= page.next()) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    fn sealed(&self, number: u32) -> Result<Arc<Sealed>, StoreError> {
        let shared = &self.shared;
        shared.sealed.get(number, || Sealed::open(&*shared.disk, &shared.dir.segment(number)))
    }
}

impl Page<'_> {
    fn next(&self) -> u64 {
        self.entries.last().map_or(self.read.from, |entry| entry.slot + 1)
    }

    fn is_complete(&self) -> bool {
        self.full || self.next() > self.read.upto
    }

    fn take(&mut self, view: &View<'_>, places: &[Place]) -> Result<(), StoreError> {
        for place in places {
            if self.is_complete() {
                break;
            }
            view.frame(place.frame, |frame| {
                let sections = decode(view.file(), place.frame, frame)?;
                let wanted = sections.into_iter().find_map(|section| match section {
                    Section::Entries { room, epoch, entries, .. }
                        if *room == *self.read.room && epoch == self.read.epoch =>
                    {
                        Some(entries)
                    }
                    _ => None,
                });
                let at =
                    |what: &dyn std::fmt::Display| view.damaged(format!("frame {}: {what}", place.frame));
                for entry in wanted.ok_or_else(|| at(&format!("room {:?} is not in it", self.read.room)))? {
                    let entry = entry.map_err(|error| at(&error))?;
                    if entry.slot < self.next() {
                        continue;
                    }
                    if self.is_complete() {
                        break;
                    }
                    if entry.slot != self.next() {
                        return Err(at(&format!("slot {} stands where {} belongs", entry.slot, self.next())));
                    }
                    self.add(entry);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn add(&mut self, entry: StoredEntry) {
        let bytes = self.bytes + entry.name.len() + entry.body.len();
        if self.entries.is_empty() || bytes <= self.read.max_bytes {
            self.bytes = bytes;
            self.entries.push(entry);
        } else {
            self.full = true;
        }
    }
}
