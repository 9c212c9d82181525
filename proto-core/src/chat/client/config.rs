//! Who enters which room.

use alloc::sync::Arc;
use core::time::Duration;

use crate::chat::identity::ClientSecret;
use crate::chat::message::{MAX_NAME, MAX_ROOM};

/// What a [`Client`](super::Client) is made of.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The room's name: 1 to 64 bytes.
    pub room: Arc<str>,
    /// The name that its entries carry: at most 64 bytes.
    pub name: Arc<str>,
    /// Who it is. One that uses the same secret elsewhere at the same time takes this one's place, and the other way round.
    pub secret: ClientSecret,
    /// How many of the latest entries it wants to see when it first enters, and after a log reset: delivery starts at slot
    /// `max(1, latest - last + 1)`. `None`: all of them; `Some(0)`: only what is new.
    pub last: Option<u64>,
    /// How long after the last news it asks whether it missed any, and how long it waits for a page; 5 s.
    pub sync_after: Duration,
    /// A bug to plant, for the tests that must find it.
    #[cfg(planted)]
    pub planted: Option<crate::chat::Planted>,
}

impl ClientConfig {
    /// A client that wants the whole log.
    pub fn new(room: impl Into<Arc<str>>, name: impl Into<Arc<str>>, secret: ClientSecret) -> Self {
        Self {
            room: room.into(),
            name: name.into(),
            secret,
            last: None,
            sync_after: Duration::from_secs(5),
            #[cfg(planted)]
            planted: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), InvalidClient> {
        match (self.room.len(), self.name.len()) {
            (0, _) => Err(InvalidClient::EmptyRoom),
            (len, _) if len > MAX_ROOM => Err(InvalidClient::RoomTooLong(len)),
            (_, len) if len > MAX_NAME => Err(InvalidClient::NameTooLong(len)),
            _ => Ok(()),
        }
    }
}

/// A client that no server would let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClient {
    /// The room has no name.
    #[error("the room's name is empty")]
    EmptyRoom,
    /// The room's name is too long.
    #[error("the room's name is {0} bytes long, the most is {MAX_ROOM}")]
    RoomTooLong(usize),
    /// The client's name is too long.
    #[error("the name is {0} bytes long, the most is {MAX_NAME}")]
    NameTooLong(usize),
}
