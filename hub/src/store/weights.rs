//! How much of a segment each log has, so that it is known without reading the frames whether the segment is worth sweeping.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::frame::Section;
use super::row::WeightRow;

/// Bytes of frames: of the logs that had not ended when the last of them was written, and of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Weights {
    all: u64,
    logs: BTreeMap<Arc<str>, WeightRow>,
}

impl Weights {
    /// What a segment says of itself.
    pub(super) fn new(all: u64, logs: impl IntoIterator<Item = (Arc<str>, WeightRow)>) -> Self {
        Self { all, logs: logs.into_iter().collect() }
    }

    /// Takes note of a frame.
    pub(super) fn add(&mut self, sections: &[Section<'_>]) {
        for section in sections {
            let bytes = section.weight();
            self.all += bytes;
            match *section {
                Section::Gone { room, .. } => drop(self.logs.remove(room)),
                Section::Room { room, epoch, .. } | Section::Entries { room, epoch, .. } => {
                    match self.logs.get_mut(room).filter(|log| log.epoch == epoch) {
                        Some(log) => log.bytes += bytes,
                        None => drop(self.logs.insert(Arc::from(room), WeightRow { epoch, bytes })),
                    }
                }
            }
        }
    }

    /// What there is of `logs`, which are given by their epochs.
    pub(super) fn of(&self, logs: &BTreeMap<Arc<str>, u64>) -> Self {
        let kept = self.logs.iter().filter(|(room, log)| logs.get(*room) == Some(&log.epoch));
        let logs: BTreeMap<_, _> = kept.map(|(room, log)| (Arc::clone(room), *log)).collect();
        Self { all: logs.values().map(|log| log.bytes).sum(), logs }
    }

    /// All bytes.
    pub(super) const fn all(&self) -> u64 {
        self.all
    }

    /// Whether a part of it is of logs that have ended.
    pub(super) fn have_ended(&self) -> bool {
        self.logs.values().map(|log| log.bytes).sum::<u64>() < self.all
    }

    /// Each log's part.
    pub(super) fn logs(&self) -> impl Iterator<Item = (&str, &WeightRow)> {
        self.logs.iter().map(|(room, log)| (&**room, log))
    }
}
