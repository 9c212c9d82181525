//! Bowline's protocol core: a message protocol as a pure state machine. No sockets, no clock, no threads, no randomness of
//! its own; `no_std` with `alloc`.
//!
//! ```text
//!                         now, packets, timeouts           commands: connect, send, request, recv, close
//!                                   │                                        │
//!                  handle_packet    ▼   handle_timeout                       ▼
//!                 ┌──────────────────────────────────────────────────────────────────────┐
//!  Server         │ chat::Server: rooms, slots, what must be durable    poll_persist ... │
//!                 ├──────────────────────────────────────────────────────────────────────┤
//!  Endpoint       │ many peers: routes, handshakes to begin, deadlines, whose turn it is │
//!                 ├──────────────────────────────────────────────────────────────────────┤
//!  Connection     │ one peer: handshake, loss recovery, channels, requests, heartbeat    │
//!                 ├──────────────────────────────────────────────────────────────────────┤
//!  wire           │ bytes to frames and back                                             │
//!                 └──────────────────────────────────────────────────────────────────────┘
//!                  poll_transmit    │   poll_timeout                         │ poll_event
//!                                   ▼                                        ▼
//!                          packets, a deadline                 events, without payloads
//! ```
//!
//! # A run loop
//!
//! All that an endpoint needs is somebody who moves packets and tells the time:
//!
//! ```
//! use std::io::{ErrorKind, Result};
//! use std::net::UdpSocket;
//! use std::time::{Duration, Instant};
//!
//! use proto_core::{ChannelId, ConfigBuilder, Endpoint, Event, Link, Message, Meta, Timestamp};
//!
//! struct Loop {
//!     socket: UdpSocket,
//!     start: Instant,
//!     endpoint: Endpoint,
//! }
//!
//! impl Loop {
//!     fn new(config: ConfigBuilder) -> std::result::Result<Self, Box<dyn std::error::Error>> {
//!         let seed = [7; 32]; // from the operating system, outside of examples
//!         let endpoint = Endpoint::new(config.build()?, Link::datagram(1200), seed, Timestamp::ZERO);
//!         Ok(Self { socket: UdpSocket::bind("127.0.0.1:0")?, start: Instant::now(), endpoint })
//!     }
//!
//!     fn now(&self) -> Timestamp {
//!         Timestamp::ZERO + self.start.elapsed()
//!     }
//!
//!     /// Sends what there is to send, then waits until a packet comes or something is due.
//!     fn turn(&mut self) -> Result<()> {
//!         let mut packet = Vec::new();
//!         while let Some(transmit) = self.endpoint.poll_transmit(self.now(), &mut packet) {
//!             self.socket.send_to(&packet, transmit.path)?;
//!             packet.clear();
//!         }
//!         let wait = self.endpoint.poll_timeout().map(|at| at.since(self.now()));
//!         self.socket.set_read_timeout(wait.map(|wait| wait.max(Duration::from_millis(1))))?;
//!         packet.resize(1500, 0);
//!         match self.socket.recv_from(&mut packet) {
//!             Ok((len, from)) => {
//!                 self.endpoint.handle_packet(self.now(), Meta { path: from, ecn: None }, &packet[..len]);
//!             }
//!             Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
//!             Err(error) => return Err(error),
//!         }
//!         self.endpoint.handle_timeout(self.now());
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! // A server that answers every message with the same.
//! let mut server = Loop::new(ConfigBuilder { accept: true, ..ConfigBuilder::default() })?;
//! let address = server.socket.local_addr()?;
//! std::thread::spawn(move || loop {
//!     server.turn().expect("a socket on loopback works");
//!     let now = server.now();
//!     while let Some((id, event)) = server.endpoint.poll_event() {
//!         let Event::Readable(channel) = event else { continue };
//!         let Some(mut connection) = server.endpoint.connection(id) else { continue };
//!         while let Some(message) = connection.channel(channel).recv(now) {
//!             connection.channel(channel).send(now, Message::new(message.payload)).expect("there is room");
//!         }
//!     }
//! });
//!
//! // A client. What it says before the connection is established waits until it is.
//! let mut client = Loop::new(ConfigBuilder::default())?;
//! let now = client.now();
//! let id = client.endpoint.connect(now, address)?;
//! let mut connection = client.endpoint.connection(id).expect("it was just made");
//! connection.channel(ChannelId::DEFAULT).send(now, Message::new("hello"))?;
//! drop(connection);
//! let echo = 'echo: loop {
//!     client.turn()?;
//!     let now = client.now();
//!     while let Some((id, event)) = client.endpoint.poll_event() {
//!         match event {
//!             Event::Readable(channel) => {
//!                 let mut connection = client.endpoint.connection(id).expect("it has something to receive");
//!                 break 'echo connection.channel(channel).recv(now);
//!             }
//!             Event::ConnectFailed(closed) | Event::Closed(closed) => panic!("{closed:?}"),
//!             _ => {}
//!         }
//!     }
//! };
//! assert_eq!(echo.expect("it was readable").payload, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! # The one rule
//!
//! **Before you sleep, poll.** Whatever you did, a packet, a timeout or a command, may have given the machine something to send,
//! something to say, or another deadline. The order of the polls is yours, and so is their number: none must come before
//! another or before the next input, and a poll of an idle machine costs nothing.
//!
//! Beyond that:
//!
//! - Input cannot fail. Garbage is a counter in [`Stats`]; a peer that breaks the protocol ends its connection with a
//!   [`CloseReason`] that says whose fault it was; a call that is refused says so by a small enum and has changed nothing.
//! - Events carry no payloads. [`Event::Readable`] says that there is something; [`Channel::recv`] takes it, and makes room for
//!   more. Who does not call it stops the peer, and nobody else.
//! - The same seed and the same inputs give the same outputs, byte for byte, on every platform.
//! - Everything is bounded by the [`Config`], and everything that is dropped is counted once.
//!
//! # Where to go on
//!
//! [`ConfigBuilder`] has every limit and interval. [`Endpoint`] is many peers, [`Connection`] is one. [`chat`] is the chat log
//! that rides on them, and [`Server`] joins all of it into the machine that the hub runs and the simulator tests. The
//! specification is in `docs/spec`, the reasons are in `docs/decisions`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod arena;
mod channel;
pub mod chat;
mod config;
mod connection;
mod credentials;
pub mod crypto;
mod delivery;
mod endpoint;
mod error;
mod event;
pub mod framing;
mod id;
mod lazy;
mod link;
mod network;
#[cfg(planted)]
pub mod planted;
mod range_set;
mod recovery;
mod request;
mod rng;
pub mod room;
mod secret;
mod seen;
pub mod server;
mod sleep;
mod stats;
mod time;
pub mod wire;

pub use config::{
    Config, ConfigBuilder, Congestion, MAX_UNRELIABLE_FRAGMENTS, MESSAGE_COST, Reconnect, Retry,
};
pub use connection::{
    Blocked, Channel, ChannelOptions, Close, Connection, GoAway, Message, Received, RecvAll, State,
};
pub use credentials::{Credentials, UnixPeer};
pub use delivery::{Cancel, Phase, Policy, ReceiptId, ReceiptKind, ReceiveLimits, Refusal, SendLimits};
pub use endpoint::{Address, ConnectionMut, ConnectionRef, Dial, Drain, Endpoint, Output};
pub use error::{ConfigError, ConnectError, OpenError, SendError, Setting, SettingRange};
pub use event::{CloseReason, Closed, Continuity, DialError, Distrust, Event, Fate, RequestOutcome, code};
pub use id::{ChannelId, Class, ConnectionId, DialId, LinkId, MessageId, RequestId, SessionId, Shard};
pub use link::{Ecn, Link, Meta, PathId, Transmit};
pub use network::{Network, NotNetwork};
pub use secret::Secret;
pub use server::Server;
pub use stats::{ChannelStats, Drop, Drops, PeerDrops, Stats};
pub use time::{ClockOffset, Now, Timestamp};
pub use wire::{Advice, Batch, Rate};
