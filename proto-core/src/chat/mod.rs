//! The chat log: a room's messages, committed to numbered slots that everybody sees in the same order.
//!
//! [`Server`] and [`Client`] are state machines without sockets, clock or disk. They take messages instead of packets and
//! ride on any channel that delivers reliably and in order. `docs/spec/chat.md` is the specification.
//!
//! ```text
//!  Client ── ClientJoin, ClientAppend, ClientUpdate ──────────────► Server ── poll_persist ──► store
//!         ◄─ ServerJoined, ServerAck, ServerReply, ServerEntry ───         ◄─ handle_persisted ──
//! ```
//!
//! Polls may be called in any order and any number of times. Every queue is bounded, and everything that is dropped is
//! counted.

mod client;
mod config;
mod identity;
mod message;
mod persist;
mod server;

#[cfg(test)]
mod tests;

pub use client::{AppendError, Client, ClientConfig, ClientEvent, ClientStats, Entry, InvalidClient};
pub use config::ChatConfig;
#[cfg(planted)]
pub use config::Planted;
pub use identity::{AuthorId, BodyHash, ClientId, ClientSecret, Kind, RoomSalt};
pub use message::{
    ClientAppend, ClientJoin, ClientLeave, ClientUpdate, Limits, MAX_BODY, MAX_MESSAGE, MAX_NAME,
    MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, MAX_ROOM, MAX_UNACKNOWLEDGED, Message, RejectReason, ServerAck,
    ServerEntry, ServerJoined, ServerLeft, ServerReject, ServerReply, WireEntry, cut_name,
};
pub use persist::{
    Batch, ClientTable, Committed, OutOfOrder, PersistFailure, Read, ReadFailure, ReadId, Record, RoomState,
    StoredEntry,
};
pub use server::{
    Audience, Delivery, EndReason, Guard, Outgoing, RestoreError, Server, ServerEvent, ServerStats,
};
