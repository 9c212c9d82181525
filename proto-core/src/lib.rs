//! Bowline's protocol core.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod id;
mod rng;
mod time;
pub mod wire;

pub use id::{ChannelId, Class, ConnectionId, MessageId, RequestId, SessionId, Shard};
pub use time::{Now, Timestamp};
