//! Every limit and interval, with its default and the range that can work.

use alloc::sync::Arc;
use core::ops::Deref;
use core::time::Duration;

use crate::Policy;
use crate::error::ConfigError;
use crate::wire::checksum;
use crate::wire::packet::Checksum;

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
    /// Silence after which a heartbeat goes out; the lesser of both sides' counts. 10 s.
    pub heartbeat: Duration,
    /// Silence after which the peer is taken for dead: at least 2 heartbeats. 35 s.
    pub dead: Duration,
    /// Whether and when a lost connection is replaced. `None`: never.
    pub reconnect: Option<Reconnect>,

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
    /// Channels that the peer may open. 64; at most 256.
    pub max_channels: usize,
    /// Requests under way in each direction. 256.
    pub max_requests: usize,
    /// Unreliable messages that may be incomplete at once, per channel. 32.
    pub max_partials: usize,
    /// An incomplete unreliable message is given up after this long without a new piece. 3 s.
    pub reassembly_idle: Duration,
    /// An incomplete unreliable message is given up after this long in any case. 10 s.
    pub reassembly_total: Duration,

    /// Whether the endpoint takes connections.
    pub accept: bool,
    /// Connections that it holds at most. 65,536.
    pub max_connections: usize,
    /// Handshakes that may be under way. 4096.
    pub max_pending: usize,
    /// Handshakes that may be under way from one prefix of addresses. 16.
    pub max_pending_per_prefix: usize,
    /// When clients must prove their address first.
    pub retry: Retry,
    /// What BUSY tells a client to wait. 2 s.
    pub busy_retry_after: Duration,
    /// Byte 0 of every connection and session id of this endpoint.
    pub shard: u8,
    /// Makes reset tokens. A server keeps it with its data, so that after a restart it can still tell
    /// clients that their connections are gone. `None`: derived from the endpoint's seed.
    pub server_key: Option<[u8; 32]>,

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
            heartbeat: Duration::from_secs(10),
            dead: Duration::from_secs(35),
            reconnect: None,
            max_message: 256 * 1024,
            send_messages: 1024,
            send_bytes: 512 * 1024,
            low_water: 50,
            policy: None,
            receive_messages: 1024,
            receive_bytes: 1024 * 1024,
            session_messages: 4096,
            session_bytes: 4 * 1024 * 1024,
            max_channels: 64,
            max_requests: 256,
            max_partials: 32,
            reassembly_idle: Duration::from_secs(3),
            reassembly_total: Duration::from_secs(10),
            accept: false,
            max_connections: 65_536,
            max_pending: 4096,
            max_pending_per_prefix: 16,
            retry: Retry::Always,
            busy_retry_after: Duration::from_secs(2),
            shard: 0,
            server_key: None,
            checksum: checksum::crc32c,
            #[cfg(planted)]
            planted: None,
        }
    }
}

impl ConfigBuilder {
    /// The settings of a chat: heartbeats every 3 s, dead after 10 s, attempts of 15 s without end, and a first repetition after
    /// 300 ms, for a person waits.
    pub fn chat() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(15),
            initial_rtt: Duration::from_millis(100),
            heartbeat: Duration::from_secs(3),
            dead: Duration::from_secs(10),
            reconnect: Some(Reconnect::default()),
            ..Self::default()
        }
    }

    /// The checked configuration, or the first field that cannot work.
    pub fn build(self) -> Result<Arc<Config>, ConfigError> {
        let (hour, minute) = (Duration::from_hours(1), Duration::from_mins(1));
        let milli = Duration::from_millis(1);
        let room = self.max_message + MESSAGE_COST;
        let rules = [
            ((milli..=hour).contains(&self.handshake_timeout), "handshake_timeout", "1 ms to 1 h"),
            ((milli..=minute).contains(&self.initial_rtt), "initial_rtt", "1 ms to 60 s"),
            ((milli * 10..=minute).contains(&self.pto_cap), "pto_cap", "10 ms to 60 s"),
            (self.max_ack_delay <= Duration::from_secs(1), "max_ack_delay", "at most 1 s"),
            ((milli..=milli * 100).contains(&self.timer_granularity), "timer_granularity", "1 to 100 ms"),
            ((milli * 100..=hour).contains(&self.heartbeat), "heartbeat", "100 ms to 1 h"),
            (self.dead >= self.heartbeat * 2 && self.dead <= hour * 4, "dead", "2 heartbeats to 4 h"),
            ((1..=16 << 20).contains(&self.max_message), "max_message", "1 byte to 16 MiB"),
            ((1..=4096).contains(&self.send_messages), "send_messages", "1 to 4096"),
            (
                self.send_bytes >= room && self.send_bytes <= 1 << 30,
                "send_bytes",
                "max_message + 64 to 1 GiB",
            ),
            ((1..=100).contains(&self.low_water), "low_water", "1 to 100 percent"),
            ((1..=4096).contains(&self.receive_messages), "receive_messages", "1 to 4096"),
            (
                self.receive_bytes >= room && self.receive_bytes <= 1 << 30,
                "receive_bytes",
                "max_message + 64 to 1 GiB",
            ),
            (
                self.session_messages >= self.receive_messages && self.session_messages <= 1 << 20,
                "session_messages",
                "receive_messages to 2^20",
            ),
            (
                self.session_bytes >= self.receive_bytes && self.session_bytes <= 1 << 32,
                "session_bytes",
                "receive_bytes to 4 GiB",
            ),
            (self.max_channels <= 256, "max_channels", "at most 256"),
            ((1..=4096).contains(&self.max_requests), "max_requests", "1 to 4096"),
            ((1..=1024).contains(&self.max_partials), "max_partials", "1 to 1024"),
            (self.reassembly_idle <= self.reassembly_total, "reassembly_idle", "at most reassembly_total"),
            ((1..=1 << 24).contains(&self.max_connections), "max_connections", "1 to 2^24"),
            (self.max_pending >= 1, "max_pending", "at least 1"),
            (self.max_pending_per_prefix >= 1, "max_pending_per_prefix", "at least 1"),
            (
                self.reconnect.is_none_or(|r| r.first >= milli && r.first <= r.cap && r.cap <= hour),
                "reconnect",
                "a first delay of 1 ms or more and a cap between it and 1 h",
            ),
            (
                self.reconnect.is_none_or(|r| r.max_attempts != Some(0)),
                "reconnect.max_attempts",
                "at least 1",
            ),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, must)) => Err(ConfigError { field, must }),
            None => Ok(Arc::new(Config(self))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ConfigBuilder;

    #[test]
    fn the_presets_are_sound() {
        for preset in [ConfigBuilder::default(), ConfigBuilder::chat()] {
            assert!(preset.build().is_ok());
        }
    }

    #[test]
    fn nonsense_is_named() {
        let error = ConfigBuilder { send_bytes: 1000, ..ConfigBuilder::default() }.build().unwrap_err();
        assert_eq!(alloc::format!("{error}"), "send_bytes must be max_message + 64 to 1 GiB");
    }
}
