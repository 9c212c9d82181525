//! All rooms as they are durable: what the server is restored from, and what a new segment begins with.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto_core::chat::{Batch, ClientId, ClientTable, Record, RoomSalt, RoomState, StoredEntry};

use super::frame;

/// The rooms by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Rooms {
    by_name: BTreeMap<Arc<str>, RoomState>,
    newest_ms: u64,
}

/// A record that does not continue the logs as they are. The text says where.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Inconsistent(String);

impl Rooms {
    pub(super) fn iter(&self) -> impl Iterator<Item = &RoomState> {
        self.by_name.values()
    }

    /// Copies for the server.
    pub(super) fn to_states(&self) -> Vec<RoomState> {
        self.by_name.values().cloned().collect()
    }

    /// Takes a room as a segment's base has it, without its clients.
    pub(super) fn insert(&mut self, state: RoomState) {
        self.by_name.insert(state.room.clone(), state);
    }

    /// Takes what a room remembers of a client, as a segment's base has it.
    pub(super) fn remember(
        &mut self,
        room: &str,
        client: ClientId,
        table: ClientTable,
    ) -> Result<(), Inconsistent> {
        let state = self
            .by_name
            .get_mut(room)
            .ok_or_else(|| Inconsistent(format!("it has a client of room {room:?}, but not the room")))?;
        self.newest_ms = self.newest_ms.max(table.last_active_ms);
        // Such were once written: nothing is repeated by whoever is within the server.
        if !client.is_within() {
            state.clients.insert(client, table);
        }
        Ok(())
    }

    /// A room begins.
    pub(super) fn begin(&mut self, room: &str, epoch: u64, salt: RoomSalt) -> Result<(), Inconsistent> {
        if self.by_name.contains_key(room) {
            return Err(Inconsistent(format!("room {room:?} begins a second time")));
        }
        self.insert(RoomState { last_ms: self.newest_ms, ..RoomState::new(Arc::from(room), epoch, salt) });
        Ok(())
    }

    /// A room is there no longer.
    pub(super) fn end(&mut self, room: &str, epoch: u64) -> Result<(), Inconsistent> {
        let state = self.by_name.get(room).ok_or_else(|| unknown(room))?;
        if state.epoch != epoch {
            return Err(other_epoch(room));
        }
        self.by_name.remove(room);
        Ok(())
    }

    /// Rooms of which it was never written when they were used last were used, as far as anybody knows, when any was.
    pub(super) fn date(&mut self) {
        for state in self.by_name.values_mut().filter(|state| state.last_ms == 0) {
            state.last_ms = self.newest_ms;
        }
    }

    /// An entry takes the next slot of its room.
    pub(super) fn apply(&mut self, room: &str, epoch: u64, entry: &StoredEntry) -> Result<(), Inconsistent> {
        let state = self.by_name.get_mut(room).ok_or_else(|| unknown(room))?;
        if state.epoch != epoch {
            return Err(other_epoch(room));
        }
        if state.latest == 0 {
            // It was taken from other rooms, when this one began.
            state.last_ms = 0;
        }
        state.apply(entry).map_err(|error| Inconsistent(format!("room {room:?}: {error}")))?;
        self.newest_ms = self.newest_ms.max(entry.commit_ms);
        Ok(())
    }

    /// Whether `batches` continue the logs and can be read again, without applying them.
    pub(super) fn check(&self, batches: &[Batch]) -> Result<(), Inconsistent> {
        // The epoch and the latest slot of a room's log; `None`: it is gone.
        let mut touched: BTreeMap<&Arc<str>, Option<(u64, u64)>> = BTreeMap::new();
        for record in batches.iter().flat_map(|batch| &batch.records) {
            frame::check(record).map_err(|error| Inconsistent(error.to_string()))?;
            let (Record::Room { room, .. } | Record::Entry { room, .. } | Record::Gone { room, .. }) = record;
            let durable = || self.by_name.get(room).map(|state| (state.epoch, state.latest));
            let known = touched.get(room).copied().unwrap_or_else(durable);
            match record {
                Record::Room { epoch, .. } => {
                    if known.is_some() {
                        return Err(Inconsistent(format!("room {room:?} begins a second time")));
                    }
                    touched.insert(room, Some((*epoch, 0)));
                }
                Record::Gone { epoch, .. } => {
                    if known.ok_or_else(|| unknown(room))?.0 != *epoch {
                        return Err(other_epoch(room));
                    }
                    touched.insert(room, None);
                }
                Record::Entry { epoch, entry, .. } => {
                    let known = known.ok_or_else(|| unknown(room))?;
                    if known.0 != *epoch {
                        return Err(other_epoch(room));
                    }
                    if Some(entry.slot) != known.1.checked_add(1) {
                        let after = known.1;
                        return Err(Inconsistent(format!(
                            "room {room:?}: slot {} after slot {after}",
                            entry.slot
                        )));
                    }
                    touched.insert(room, Some((*epoch, entry.slot)));
                }
            }
        }
        Ok(())
    }

    /// Applies batches that were checked.
    pub(super) fn apply_all(&mut self, batches: &[Batch]) -> Result<(), Inconsistent> {
        batches.iter().flat_map(|batch| &batch.records).try_for_each(|record| match record {
            Record::Room { room, epoch, salt } => self.begin(room, *epoch, *salt),
            Record::Entry { room, epoch, entry } => self.apply(room, *epoch, entry),
            Record::Gone { room, epoch } => self.end(room, *epoch),
        })
    }

    /// Forgets clients that have been idle for longer than `remember_ms` at the time of the newest entry.
    pub(super) fn forget_idle(&mut self, remember_ms: u64) {
        let oldest = self.newest_ms.saturating_sub(remember_ms);
        for state in self.by_name.values_mut() {
            state.clients.retain(|_, table| table.last_active_ms >= oldest);
        }
    }
}

fn unknown(room: &str) -> Inconsistent {
    Inconsistent(format!("an entry of room {room:?}, which never began"))
}

fn other_epoch(room: &str) -> Inconsistent {
    Inconsistent(format!("an entry of another epoch in room {room:?}"))
}
