//! From what the store found at open.

use alloc::sync::Arc;

use super::Server;
use super::room::Room;
use crate::chat::message::MAX_ROOM;
use crate::chat::persist::RoomState;

/// Why a room cannot be restored. Nothing has changed; the store has given something that no server wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Its name is empty or longer than 64 bytes.
    #[error("a room's name is {0} bytes long, which is not between 1 and {MAX_ROOM}")]
    Name(usize),
    /// Its epoch is 0.
    #[error("room {0:?} has no epoch")]
    Epoch(Arc<str>),
    /// It has been restored before.
    #[error("room {0:?} is there twice")]
    Twice(Arc<str>),
    /// The entries of its tail are not those of the latest slots.
    #[error("the tail of room {room:?} does not lead to its latest slot {latest} without a gap")]
    Tail {
        /// The room's name.
        room: Arc<str>,
        /// Its latest slot.
        latest: u64,
    },
}

impl Server {
    /// Takes a room over from the store; to be called for each before the first message. Rooms beyond `max_rooms` are restored
    /// too: what is durable is served.
    ///
    /// # Errors
    /// When the state contradicts itself or an earlier one; nothing has changed then.
    pub fn restore(&mut self, mut state: RoomState) -> Result<(), RestoreError> {
        if state.room.is_empty() || state.room.len() > MAX_ROOM {
            return Err(RestoreError::Name(state.room.len()));
        }
        if state.epoch == 0 {
            return Err(RestoreError::Epoch(state.room));
        }
        if self.names.contains_key(&state.room) {
            return Err(RestoreError::Twice(state.room));
        }
        let tail = core::mem::take(&mut state.tail);
        let before = state.latest.checked_sub(tail.len() as u64);
        if !before.is_some_and(|before| {
            (before..state.latest).eq(tail.iter().map(|entry| entry.slot.wrapping_sub(1)))
        }) {
            return Err(RestoreError::Tail { room: state.room, latest: state.latest });
        }
        self.served.on_restored(state.last_ms);
        let key = self.add_room(Room::restored(state));
        for entry in tail {
            self.keep_in_tail(key, entry);
        }
        Ok(())
    }
}
