//! A store as the server may expect it: what it has reported durable stays, a batch counts whole or not at all.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::chat::{Batch, Read, Record, RoomState, StoredEntry};

#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) state: RoomState,
    pub(super) entries: Vec<StoredEntry>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) rooms: BTreeMap<Arc<str>, Kept>,
    /// Handed over, but neither durable nor failed.
    pub(super) pending: VecDeque<Batch>,
}

impl Store {
    /// The oldest pending batch becomes durable, and gives its number.
    pub(super) fn sync_one(&mut self) -> Result<Option<u64>, String> {
        let Some(batch) = self.pending.pop_front() else { return Ok(None) };
        for record in batch.records {
            match record {
                Record::Room { room, epoch, salt } => {
                    let state = RoomState::new(room.clone(), epoch, salt);
                    if self.rooms.insert(room, Kept { state, entries: Vec::new() }).is_some() {
                        return Err("a room was created twice".into());
                    }
                }
                Record::Entry { room, epoch, entry } => {
                    let kept = self.rooms.get_mut(&room).ok_or("an entry came before its room")?;
                    if kept.state.epoch != epoch {
                        return Err("an entry has another epoch than its room".into());
                    }
                    kept.state.apply(&entry).map_err(|error| alloc::format!("{error}"))?;
                    kept.entries.push(entry);
                }
                Record::Gone { room, epoch } => {
                    if self.rooms.remove(&room).is_none_or(|kept| kept.state.epoch != epoch) {
                        return Err("a log ended that was not there".into());
                    }
                }
            }
        }
        Ok(Some(batch.number))
    }

    /// The number of pending batch `index`; that one and every later one is gone.
    pub(super) fn fail_from(&mut self, index: usize) -> Option<u64> {
        let number = self.pending.get(index)?.number;
        self.pending.truncate(index);
        Some(number)
    }

    pub(super) fn read(&self, read: &Read) -> Vec<StoredEntry> {
        let entries = self.rooms.get(&read.room).map_or(&[][..], |kept| &kept.entries);
        let mut bytes = 0;
        let wanted = entries.iter().filter(|entry| (read.from..=read.upto).contains(&entry.slot));
        wanted
            .take_while(|entry| {
                let fits = bytes == 0 || bytes + entry.body.len() <= read.max_bytes;
                bytes += entry.name.len() + entry.body.len();
                fits
            })
            .cloned()
            .collect()
    }

    /// What a server is restored from, with the latest `tail` entries of each room.
    pub(super) fn states(&self, tail: usize) -> impl Iterator<Item = RoomState> {
        self.rooms.values().map(move |kept| {
            let from = kept.entries.len().saturating_sub(tail);
            RoomState { tail: kept.entries[from..].to_vec(), ..kept.state.clone() }
        })
    }
}
