//! Bowline's protocol core.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod arena;
mod channel;
pub mod chat;
mod config;
mod connection;
mod endpoint;
mod error;
mod event;
mod id;
mod link;
#[cfg(planted)]
pub mod planted;
mod range_set;
mod recovery;
mod request;
mod rng;
mod seen;
pub mod server;
mod stats;
mod time;
pub mod wire;

pub use config::{Config, ConfigBuilder, MAX_UNRELIABLE_FRAGMENTS, MESSAGE_COST, Reconnect, Retry};
pub use connection::{Channel, ChannelOptions, Close, Connection, Message, Received, State};
pub use endpoint::{Address, ConnectionMut, Endpoint};
pub use error::{ConfigError, ConnectError, OpenError, SendError};
pub use event::{CloseReason, Closed, Event, Fate, RequestOutcome, code};
pub use id::{ChannelId, Class, ConnectionId, MessageId, RequestId, SessionId, Shard};
pub use link::{Ecn, Link, Meta, PathId, Transmit};
pub use server::Server;
pub use stats::{Drop, Drops, Stats};
pub use time::{Now, Timestamp};
pub use wire::Advice;
