//! The messages of rooms, as bytes and back (spec: rooms.md, section 4).
//!
//! Each has exactly one legal encoding: whatever decodes, encodes to the same bytes.

mod command;
mod event;
mod notes;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use event::{
    Change, CursorAt, Diff, Event, Left, ListedRoom, Notification, NotificationClass, Participant, Reason,
    Refused, RoomList, Snapshot,
};
pub use notes::{Note, Notes, NotesOf, Touch};
