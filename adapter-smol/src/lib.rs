//! Bowline on smol: sockets, the timer, and an async API.
//!
//! ```no_run
//! use adapter_smol::{ConfigBuilder, Endpoint, Message};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! smol::block_on(async {
//!     let endpoint = Endpoint::client(ConfigBuilder::default())?;
//!     let connection = endpoint.connect("127.0.0.1:4100".parse()?).await?;
//!     connection.send(Message::new("hello")).await?;
//!     while let Some(received) = connection.recv().await {
//!         println!("{:?}", received.payload);
//!     }
//!     println!("{:?}", connection.closed().await.reason);
//!     Ok(())
//! })
//! # }
//! ```
//!
//! - [`Endpoint`] binds sockets, dials and accepts. [`Connection`] and its kin come from `driver` and are the same on every runtime:
//!   every future of theirs may be dropped at any time. They need no executor; only the I/O task runs on smol's.
//! - [`ConfigBuilder::default`] never dials again; with [`ConfigBuilder::reconnect`], as the presets `chat`, `game` and `lan` have it, a
//!   session outlives its links.
#![forbid(unsafe_code)]

mod endpoint;
mod runtime;

pub use driver::protocol::*;
pub use driver::{
    Address, AddressError, BindError, Channel, ConnectError, Connecting, Connection, Counters, End, Host,
    Incoming, LinkOptions, ListenError, Options, Peer, Receipt, Received, RecordOptions, RequestError,
    Scheme, Status, Undecided, UnixCredentials, UnixName, Watch, clock, link, udp,
};
pub use endpoint::Endpoint;
