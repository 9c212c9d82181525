//! What adapters share: the lock around a machine, the wakers, the handles that applications hold, and the I/O that is the same
//! on every runtime. Knows no runtime.
//!
//! ```text
//!  application tasks                         one I/O task of the adapter
//!  Connection::send().await  --+         +-- sockets, the timer
//!  Connection::recv().await  --+-> Shared <- packets and timeouts in, packets out
//!  Endpoint::accept().await  --+  (lock, Node)
//! ```
//!
//! - [`Address`] is what people write to say where a peer is.
//! - [`Machine`] is anything with the core's verbs; [`Shared`] locks one, and wakes its I/O task after commands.
//! - [`Node`] is the machine behind the handles: an endpoint of the core, and who waits for what.
//! - [`Task`] is the I/O task, for any [`Runtime`], on UDP sockets and [streams](link). [`listen`] and [`client`] make it, with the
//!   handle of the endpoint that it runs; [`carried`] makes an endpoint whose I/O is the caller's, a simulator's for instance.
//! - [`Endpoint`], [`Connecting`], [`Connection`], [`Channel`] and [`Receipt`] are the handles.
//!
//! Every future here may be dropped at any time: no message is lost by it, and nothing of it stays behind.
#![forbid(unsafe_code)]

mod address;
mod channel;
pub mod clock;
mod config;
mod connecting;
mod connection;
mod counters;
mod endpoint;
mod error;
mod flight;
mod handover;
pub mod link;
mod machine;
mod mailbox;
mod many;
mod names;
mod node;
mod open;
mod path;
mod ports;
mod receipt;
mod received;
mod record;
mod resolver;
mod runtime;
mod shared;
mod status;
mod task;
pub mod udp;
mod undecided;
mod wait;
mod wakes;

pub use address::{Address, AddressError, Host, Scheme, UnixName};
pub use channel::Channel;
pub use config::{LINK, config, seed};
pub use connecting::Connecting;
pub use connection::Connection;
pub use endpoint::Endpoint;
pub use error::{ConnectError, RequestError, TimedOut, WaitError};
pub use flight::{RECORDED, RecordOptions, Replay};

/// Inputs as bytes, for those who record a machine of their own.
pub mod recorded {
    pub use crate::flight::{Get, Put, checksum, get, said};
    pub use crate::record::{kept_beside, numbered};
}

/// What of the core the users of an adapter name: each adapter has it all.
pub mod protocol {
    pub use proto_core::{
        Advice, Batch, Blocked, Cancel, ChannelOptions, ChannelStats, Class, ClockOffset, Close, CloseReason,
        Closed, Config, ConfigBuilder, ConfigError, Congestion, Continuity, Credentials, DialError, Distrust,
        Drain, Fate, GoAway, Message, MessageId, Network, OpenError, Phase, Policy, Rate, ReceiptKind,
        ReceiveLimits, Reconnect, Refusal, RequestId, Retry, Secret, SendError, SendLimits, SessionId, Shard,
        Stats, UnixPeer, code, crypto,
    };
}

pub use link::{LinkOptions, ListenError, Places};
pub use machine::{End, Machine};
pub use mailbox::{Mailbox, Unposted};
pub use node::{Counters, Node};
pub use open::{BindError, Carried, Elsewhere, Options, carried, client, listen};
pub use path::{Path, Peer, UnixCredentials};
pub use ports::Ports;
pub use receipt::Receipt;
pub use received::{Incoming, Received};
pub use record::Recorder;
pub use resolver::look_up;
pub use runtime::{Direction, LOOKUP_TIMEOUT, Lookup, Ready, Runtime, Socket, Timer};
pub use shared::Shared;
pub use status::{Status, Watch};
pub use task::Task;
pub use undecided::Undecided;
pub use wakes::Wakes;

#[cfg(test)]
mod tests;
