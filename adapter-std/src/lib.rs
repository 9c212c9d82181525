//! Bowline on threads: sockets, and a blocking API whose every call has a timeout.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use adapter_std::{ConfigBuilder, Endpoint, Message};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! const WAIT: Duration = Duration::from_secs(10);
//! let endpoint = Endpoint::client(ConfigBuilder::default())?;
//! let connection = endpoint.connect("127.0.0.1:4100".parse()?, WAIT)?;
//! connection.send(Message::new("hello"), WAIT)?;
//! while let Some(received) = connection.recv(WAIT)? {
//!     println!("{:?}", received.payload);
//! }
//! println!("{:?}", connection.closed(WAIT)?.reason);
//! # Ok(())
//! # }
//! ```
//!
//! - [`Endpoint`] binds sockets, dials and accepts; one thread does its I/O. [`Connection`], [`Channel`], [`Connecting`] and
//!   [`Receipt`] are the blocking twins of `driver`'s handles, and can be shared between threads.
//! - A call that does not end in time has done nothing: no message is lost by it, and none was sent. [`Duration::MAX`](std::time::Duration::MAX)
//!   waits for ever.
//! - [`Options::busy_poll`] trades processor time for latency.
#![forbid(unsafe_code)]

mod block;
mod channel;
mod connecting;
mod connection;
mod endpoint;
mod engine;
mod receipt;
mod runtime;

pub use channel::Channel;
pub use connecting::Connecting;
pub use connection::{Connection, Watch};
pub use driver::protocol::*;
pub use driver::{
    Address, AddressError, BindError, ConnectError, Counters, End, Host, Incoming, LinkOptions, ListenError,
    Peer, Received, RecordOptions, RequestError, Scheme, Status, TimedOut, Undecided, UnixCredentials,
    UnixName, WaitError as Error, clock, link, udp,
};
pub use endpoint::{Endpoint, Options};
pub use receipt::Receipt;
