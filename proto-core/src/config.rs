//! Every limit and interval, with its default.

mod check;
mod presets;

use alloc::vec::Vec;
use core::ops::Deref;
use core::time::Duration;

use crate::channel::DEFAULT_PRIORITY;
use crate::crypto::Crypto;
use crate::wire::packet::Checksum;
use crate::wire::{Rate, checksum};
use crate::{Network, Policy, Secret};

/// What every queued message costs beside its payload, in bytes, so that empty messages are not free.
pub const MESSAGE_COST: usize = 64;

/// Fragments that an unreliable message may need at most.
pub const MAX_UNRELIABLE_FRAGMENTS: usize = 16;

/// A configuration that has been checked; shared by all connections of an endpoint.
#[derive(Clone, Debug, Default)]
pub struct Config(ConfigBuilder);

impl Deref for Config {
    type Target = ConfigBuilder;

    fn deref(&self) -> &ConfigBuilder {
        &self.0
    }
}

/// When to dial again after a failure or a loss (docs/spec/connection.md, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The first delay is drawn below this; each further one below twice the last bound. 250 ms.
    pub first: Duration,
    /// No bound grows over this. 30 s.
    pub cap: Duration,
    /// The first delay after an established connection is lost is drawn below this. 1 s.
    pub spread: Duration,
    /// A connection that lived this long makes the delays start anew. 5 s.
    pub min_uptime: Duration,
    /// Attempts in a row before giving up; `None` never gives up.
    pub max_attempts: Option<u32>,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            cap: Duration::from_secs(30),
            spread: Duration::from_secs(1),
            min_uptime: Duration::from_secs(5),
            max_attempts: None,
        }
    }
}

/// When a server asks a client to prove its address before it keeps anything about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retry {
    /// Always.
    #[default]
    Always,
    /// When a quarter of `max_pending` handshakes are under way, or the client's prefix is at its limit.
    UnderPressure,
}

/// How much may be in flight, and how fast it goes out (docs/spec/connection.md, section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Congestion {
    /// A model of the path: how fast it delivers and how long it takes. Loss that comes without a queue does not slow it down.
    #[default]
    Model,
    /// CUBIC (RFC 9438).
    Cubic,
    /// `NewReno` (RFC 9002).
    NewReno,
    /// For a network that belongs to one owner: nothing is measured, and nothing gives way to others.
    Fixed {
        /// Bytes a second: 1000 to 2^40.
        rate: u64,
        /// Bytes in flight: 4 packets, 4800, to 4 GiB.
        window: u64,
    },
}

/// The settings of an endpoint and its connections, with defaults for a server room and the internet between.
///
/// ```
/// use core::time::Duration;
/// use proto_core::ConfigBuilder;
///
/// let config = ConfigBuilder { heartbeat: Duration::from_secs(3), ..ConfigBuilder::default() }.build()?;
/// # Ok::<(), proto_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConfigBuilder {
    /// Time for one attempt to connect, from the first INIT to the end of the handshake. 10 s.
    pub handshake_timeout: Duration,
    /// What a round trip is taken for before one was measured. 333 ms (RFC 9002).
    pub initial_rtt: Duration,
    /// No probe timeout grows over this. 3 s.
    pub pto_cap: Duration,
    /// Longest time that an acknowledgement is held back. 25 ms.
    pub max_ack_delay: Duration,
    /// No timer is armed finer than this. 1 ms.
    pub timer_granularity: Duration,
    /// What governs how much is in flight. The model.
    pub congestion: Congestion,
    /// Whether packets say that they may be marked instead of dropped (ECN), as long as the path carries that. They do.
    pub ecn: bool,
    /// Largest packet that is tried, in bytes: the path is searched for it while packets are full. 1452; at most 65,507. The
    /// link's own size, or less, means no search.
    pub max_packet: u16,
    /// Silence after which a heartbeat goes out; the lesser of both sides' counts. 10 s.
    pub heartbeat: Duration,
    /// Silence after which the peer is taken for dead: at least 2 heartbeats. 35 s.
    pub dead: Duration,
    /// Whether and when a lost connection is replaced. `None`: never.
    pub reconnect: Option<Reconnect>,
    /// How long a session is kept without a link; the lesser of both sides' counts, and a client without `reconnect` keeps none.
    /// 120 s; zero: not at all.
    pub resume_window: Duration,
    /// Connection ids of the peer that are kept beside the one in use, so that packets of two networks cannot be told to be of one
    /// connection; the lesser of both sides' counts. Only where datagrams are encrypted. 2; at most 3.
    pub spare_cids: u8,
    /// Sessions without links that an endpoint which takes connections keeps; of more, the one that would end first ends at
    /// once. 4096.
    pub max_suspended: usize,
    /// Bytes of messages that they hold all together, likewise. 64 MiB.
    pub suspended_bytes: usize,

    /// Largest message in bytes. 256 KiB; at most 16 MiB.
    pub max_message: usize,
    /// Messages that one channel queues for sending, the unacknowledged included. 1024; at most 4096.
    pub send_messages: usize,
    /// Bytes, likewise; every message costs [`MESSAGE_COST`] more than its payload. 512 KiB.
    pub send_bytes: usize,
    /// `Event::Writable` comes once at most this much of a channel's queue is in use, in percent. 50.
    pub low_water: u8,
    /// What happens when a channel's queue is full. `None`: as [`Policy::of`] says, class by class.
    pub policy: Option<Policy>,
    /// Messages that one channel holds for the application. 1024; at most 4096.
    pub receive_messages: usize,
    /// Bytes, likewise. 1 MiB.
    pub receive_bytes: usize,
    /// Messages that all channels of a connection together hold. 4096.
    pub session_messages: usize,
    /// Bytes, likewise. 4 MiB.
    pub session_bytes: usize,
    /// Receipts that a connection keeps for messages of the peer that ask for the application's word, owed and given. Reliable
    /// messages get no credit beyond three quarters of it, others are dropped beyond it. 16,384; at most 4 Mi.
    pub max_receipts: usize,
    /// Channels that the peer may open. 64; at most 4096.
    pub max_channels: usize,
    /// Priority of channel 0, for what this side sends: 0 (first) to 7 (last). 4.
    pub default_priority: u8,
    /// Weight of channel 0 among the channels of its priority: 1 to 255. 1.
    pub default_weight: u8,
    /// Requests under way in each direction. 256.
    pub max_requests: usize,
    /// Time that the application has to answer a request of the peer, from its arrival or the last part of its reply. 1 h.
    pub reply_timeout: Duration,
    /// Unreliable messages that may be incomplete at once, per channel. 32.
    pub max_partials: usize,
    /// An incomplete unreliable message is given up after this long without a new piece. 3 s.
    pub reassembly_idle: Duration,
    /// An incomplete unreliable message is given up after this long in any case. 10 s.
    pub reassembly_total: Duration,

    /// What a connection sends at most. `None`: no limit but the peer's.
    pub send_rate: Option<Rate>,
    /// What each channel sends at most. `None`.
    pub send_rate_per_channel: Option<Rate>,
    /// What a connection takes in at most; the peer is told, and keeps to it. Unreliable messages beyond it are dropped, credit
    /// for reliable ones is granted no faster. `None`: no limit.
    pub receive_rate: Option<Rate>,
    /// What each channel takes in at most. `None`.
    pub receive_rate_per_channel: Option<Rate>,

    /// What all connections from one prefix of addresses take in at most, together: likewise, but the peers are not told. `None`.
    pub receive_rate_per_prefix: Option<Rate>,
    /// What all connections of one user take in at most, together: of one who has shown a key, a certificate, or his number on a Unix
    /// socket. `None`.
    pub receive_rate_per_user: Option<Rate>,

    /// Whether the endpoint takes connections.
    pub accept: bool,
    /// Connections that it holds at most. 65,536.
    pub max_connections: usize,
    /// Handshakes that may be under way. 4096.
    pub max_pending: usize,
    /// Handshakes that may be under way from one prefix of addresses by datagrams; by streams eight times as many. 16.
    pub max_pending_per_prefix: usize,
    /// Networks that are as good as loopback: no limit of newcomers by their prefix holds for them. None.
    pub exempt_networks: Vec<Network>,
    /// New clients that are let in a second; others are told to come back later. 10,000; at most 1,000,000.
    pub accept_rate: u32,
    /// New clients that are let in at once. 65,536; at most 2^24.
    pub accept_burst: u32,
    /// Claims to sessions that may fail in a minute, of one prefix of addresses. From then on an address must be proven first, and
    /// refusals wait for 1 s. 5.
    pub max_resume_failures: u32,
    /// Handshakes of one prefix of addresses that may be for another key, or with another secret, in a minute. From then on its
    /// clients are sent away, and nothing is computed for them. 16.
    pub max_key_failures: u32,
    /// Whether the application decides about each client: see [`Event::Undecided`](crate::Event::Undecided). Clients must prove
    /// their address first then, whatever `retry` says.
    pub admission: bool,
    /// Time that the application has to decide; then the client is refused. 5 s.
    pub admission_timeout: Duration,
    /// Clients that may be undecided. 1024.
    pub max_undecided: usize,
    /// Bytes that all connections of clients hold together, themselves included. Above four fifths of it an eighth of `session_bytes` is
    /// granted, above 95 % some are ended, those that hold most last. 1 GiB; at least 1 MiB.
    pub max_bytes: usize,
    /// When clients must prove their address first.
    pub retry: Retry,
    /// What BUSY tells a client to wait. 2 s.
    pub busy_retry_after: Duration,
    /// Byte 0 of every connection and session id of this endpoint.
    pub shard: u8,
    /// Makes reset tokens. A server keeps it with its data, so that after a restart it can still tell
    /// clients that their connections are gone. `None`: derived from the endpoint's seed.
    pub server_key: Option<Secret>,

    /// What encrypts datagrams. A server then takes no others, and a client falls back to no others; streams are as secret as what
    /// carries them. `None`: nothing is encrypted.
    pub crypto: Option<Crypto>,

    /// What a wall clock shows at `Timestamp::ZERO`, since 1970, for `Connection::clock_offset`; lifetimes and timers never use it.
    /// Zero: this side asks for no samples of the peer's clock, and answers with its monotonic one.
    pub wall_epoch: Duration,

    /// CRC-32C; a table unless the caller has a faster one.
    pub checksum: Checksum,

    /// A defect to be found by the tests.
    #[cfg(planted)]
    pub planted: Option<crate::planted::Planted>,
}

impl Default for ConfigBuilder {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            initial_rtt: Duration::from_millis(333),
            pto_cap: Duration::from_secs(3),
            max_ack_delay: Duration::from_millis(25),
            timer_granularity: Duration::from_millis(1),
            congestion: Congestion::default(),
            ecn: true,
            max_packet: 1452,
            heartbeat: Duration::from_secs(10),
            dead: Duration::from_secs(35),
            reconnect: None,
            resume_window: Duration::from_mins(2),
            spare_cids: 2,
            max_suspended: 4096,
            suspended_bytes: 64 << 20,
            max_message: 256 * 1024,
            send_messages: 1024,
            send_bytes: 512 * 1024,
            low_water: 50,
            policy: None,
            receive_messages: 1024,
            receive_bytes: 1024 * 1024,
            session_messages: 4096,
            session_bytes: 4 * 1024 * 1024,
            max_receipts: 16_384,
            max_channels: 64,
            default_priority: DEFAULT_PRIORITY,
            default_weight: 1,
            max_requests: 256,
            reply_timeout: Duration::from_hours(1),
            max_partials: 32,
            reassembly_idle: Duration::from_secs(3),
            reassembly_total: Duration::from_secs(10),
            send_rate: None,
            send_rate_per_channel: None,
            receive_rate: None,
            receive_rate_per_channel: None,
            receive_rate_per_prefix: None,
            receive_rate_per_user: None,
            accept: false,
            max_connections: 65_536,
            max_pending: 4096,
            max_pending_per_prefix: 16,
            exempt_networks: Vec::new(),
            accept_rate: 10_000,
            accept_burst: 65_536,
            max_resume_failures: 5,
            max_key_failures: 16,
            admission: false,
            admission_timeout: Duration::from_secs(5),
            max_undecided: 1024,
            max_bytes: 1 << 30,
            retry: Retry::Always,
            busy_retry_after: Duration::from_secs(2),
            shard: 0,
            server_key: None,
            crypto: None,
            wall_epoch: Duration::ZERO,
            checksum: checksum::crc32c,
            #[cfg(planted)]
            planted: None,
        }
    }
}

impl crate::sleep::Saved for Congestion {
    fn save(&self, _: &mut crate::sleep::Saver<'_>) {}

    fn load(from: &mut crate::sleep::Loader<'_>) -> Option<Self> {
        Some(from.config.congestion)
    }
}

#[cfg(test)]
mod tests;
