//! Settings for common uses (docs/spec/connection.md, section 8). Each names what differs from the default.

use core::time::Duration;

use super::{ConfigBuilder, Reconnect};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

impl ConfigBuilder {
    /// One room or rack: short times, for a silence of seconds is a failure there, and large queues.
    pub fn lan() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(5),
            initial_rtt: Duration::from_millis(10),
            pto_cap: Duration::from_secs(1),
            max_ack_delay: Duration::from_millis(5),
            heartbeat: Duration::from_secs(1),
            dead: Duration::from_millis(3500),
            reconnect: Some(Reconnect {
                first: Duration::from_millis(50),
                cap: Duration::from_secs(2),
                spread: Duration::from_millis(100),
                ..Reconnect::default()
            }),
            send_messages: 4096,
            send_bytes: 4 * MIB,
            receive_messages: 4096,
            receive_bytes: 4 * MIB,
            session_messages: 16_384,
            session_bytes: 16 * MIB,
            max_receipts: 32_768,
            ..Self::default()
        }
    }

    /// A game: a player who is gone is gone within 5 s, acknowledgements and repetitions come early, queues are short because
    /// old news is no news.
    pub fn game() -> Self {
        Self {
            initial_rtt: Duration::from_millis(100),
            max_ack_delay: Duration::from_millis(10),
            heartbeat: Duration::from_secs(1),
            dead: Duration::from_secs(5),
            reconnect: Some(Reconnect::default()),
            max_message: 64 * KIB,
            send_bytes: 256 * KIB,
            receive_bytes: 256 * KIB,
            session_bytes: MIB,
            reassembly_idle: Duration::from_secs(1),
            reassembly_total: Duration::from_secs(3),
            ..Self::default()
        }
    }

    /// A chat: heartbeats every 3 s, dead after 10 s, attempts of 15 s without end, and a first repetition after 300 ms, for a
    /// person waits.
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

    /// Large transfers: messages of 4 MiB, windows for fast and long paths, and patience.
    pub fn bulk() -> Self {
        Self {
            pto_cap: Duration::from_mins(1),
            max_message: 4 * MIB,
            send_messages: 4096,
            send_bytes: 16 * MIB,
            receive_messages: 4096,
            receive_bytes: 16 * MIB,
            session_messages: 16_384,
            session_bytes: 64 * MIB,
            max_receipts: 32_768,
            ..Self::default()
        }
    }

    /// A telephone: few heartbeats, for each wakes the radio, and long silences endured.
    pub fn mobile() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(20),
            heartbeat: Duration::from_secs(25),
            dead: Duration::from_mins(1),
            reconnect: Some(Reconnect::default()),
            ..Self::default()
        }
    }
}
