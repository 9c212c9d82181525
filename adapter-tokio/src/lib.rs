//! Bowline on tokio: sockets, the clock, and an async API over UDP and streams of all kinds.
//!
//! ```no_run
//! use adapter_tokio::{ConfigBuilder, Endpoint, Message};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::client(ConfigBuilder::default())?;
//! let connection = endpoint.connect("127.0.0.1:4100".parse()?).await?;
//! connection.send(Message::new("hello")).await?;
//! while let Some(received) = connection.recv().await {
//!     println!("{:?}", received.payload);
//! }
//! println!("{:?}", connection.closed().await.reason);
//! # Ok(())
//! # }
//! ```
//!
//! - [`Endpoint`] binds sockets, dials and accepts. [`Connection`] and its kin come from `driver` and are the same on every
//!   runtime: every future of theirs may be dropped at any time.
//! - [`ConfigBuilder::default`] never dials again; with [`ConfigBuilder::reconnect`], as the presets `chat`, `game` and `lan` have it, a
//!   session outlives its links.
//! - [`udp::Pump`] runs any [`Machine`] on UDP sockets; servers that are machines of their own use it.
//! - [`clock`] is the only place that reads the clocks.
#![forbid(unsafe_code)]

mod endpoint;
mod runtime;
pub mod udp;

pub use driver::protocol::*;
pub use driver::{
    Address, AddressError, BindError, Channel, ConnectError, Connecting, Connection, Counters, End, Host,
    Incoming, LINK, LinkOptions, ListenError, Machine, Options, Path, Peer, Receipt, Received, RecordOptions,
    RequestError, Scheme, Shared, Status, Undecided, UnixCredentials, UnixName, Wakes, Watch, clock, config,
    link, seed,
};
pub use endpoint::Endpoint;
