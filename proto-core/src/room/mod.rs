//! Rooms: who is there, who has the crown, what is played.

mod client;
mod codec;
mod config;
pub mod fact;
pub mod hall;
mod id;
pub mod limits;
mod machine;
mod message;
mod name;
mod quota;
mod settings;
mod state;

pub use client::{Carriage, Client, ClientConfig, ClientError, ClientEvent, ClientStats, View};
#[cfg(planted)]
pub use config::Planted;
pub use config::{CrownOnLeave, Limits, RoomConfig};
pub use id::{Color, Peer, Position, UserId};
pub use machine::{Audience, By, Departure, Effects, Evicted, Newcomer, Outgoing, Room, Seat};
pub use message::{
    Change, Command, CursorAt, Diff, Event, Left, ListedRoom, Note, Notes, NotesOf, Notification,
    NotificationClass, Participant, Reason, Refused, RoomList, Snapshot, Touch,
};
pub(crate) use name::has_place;
pub use name::{AWKWARD, LOBBY, RoomKind, is_presentable, is_room_name, is_sayable, participant_name};
pub use quota::{Allowed, Bucket, NoteQuota, QuotaParams};
pub use settings::{Settings, SettingsChange};
pub use state::{Applied, State};
