//! What each setting may be (docs/spec/connection.md, section 7).

use alloc::sync::Arc;
use core::time::Duration;

use super::{Config, ConfigBuilder, Congestion};
use crate::connection::MAX_SPARE;
use crate::error::{ConfigError, Setting, SettingRange};
use crate::{MESSAGE_COST, Rate};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Messages that one channel queues or holds at most.
const MESSAGES: u64 = 4096;
/// The most messages or bytes a second of a rate, and the largest burst.
const RATE: u64 = 1 << 40;

fn check(field: &'static str, value: Setting, min: Setting, max: Setting) -> Result<(), ConfigError> {
    if min <= value && value <= max {
        return Ok(());
    }
    Err(ConfigError { field, value, range: SettingRange { min, max } })
}

fn time(field: &'static str, value: Duration, min: Duration, max: Duration) -> Result<(), ConfigError> {
    check(field, Setting::Time(value), Setting::Time(min), Setting::Time(max))
}

fn count(field: &'static str, value: usize, min: u64, max: u64) -> Result<(), ConfigError> {
    check(field, Setting::Count(value as u64), Setting::Count(min), Setting::Count(max))
}

fn bytes(field: &'static str, value: usize, min: u64, max: u64) -> Result<(), ConfigError> {
    check(field, Setting::Bytes(value as u64), Setting::Bytes(min), Setting::Bytes(max))
}

/// The names are those of `messages`, `message_burst`, `bytes` and `byte_burst`.
fn rate(
    [messages, message_burst, bytes, byte_burst]: [&'static str; 4],
    rate: Option<Rate>,
    largest: u64,
) -> Result<(), ConfigError> {
    let Some(rate) = rate else { return Ok(()) };
    let counted =
        |field, value, min| check(field, Setting::Count(value), Setting::Count(min), Setting::Count(RATE));
    let measured =
        |field, value, min| check(field, Setting::Bytes(value), Setting::Bytes(min), Setting::Bytes(RATE));
    counted(messages, rate.messages, u64::from(rate.bytes == 0))?;
    counted(message_burst, rate.message_burst, u64::from(rate.messages > 0))?;
    measured(bytes, rate.bytes, 0)?;
    measured(byte_burst, rate.byte_burst, if rate.bytes > 0 { largest } else { 0 })
}

macro_rules! rate_fields {
    ($field:literal) => {
        [
            concat!($field, ".messages"),
            concat!($field, ".message_burst"),
            concat!($field, ".bytes"),
            concat!($field, ".byte_burst"),
        ]
    };
}

impl ConfigBuilder {
    /// The checked configuration, or the first field that cannot work.
    pub fn build(self) -> Result<Arc<Config>, ConfigError> {
        self.check_times()?;
        self.check_path()?;
        self.check_reconnect()?;
        self.check_queues()?;
        self.check_rates()?;
        self.check_endpoint()?;
        Ok(Arc::new(Config(self)))
    }

    fn check_times(&self) -> Result<(), ConfigError> {
        time("handshake_timeout", self.handshake_timeout, MILLI, HOUR)?;
        time("initial_rtt", self.initial_rtt, MILLI, MINUTE)?;
        time("pto_cap", self.pto_cap, MILLI * 10, MINUTE)?;
        time("max_ack_delay", self.max_ack_delay, Duration::ZERO, SECOND)?;
        time("timer_granularity", self.timer_granularity, MILLI, MILLI * 100)?;
        time("heartbeat", self.heartbeat, MILLI * 100, HOUR)?;
        time("dead", self.dead, self.heartbeat * 2, HOUR * 4)?;
        time("resume_window", self.resume_window, Duration::ZERO, DAY)?;
        time("reply_timeout", self.reply_timeout, MILLI * 100, DAY)?;
        time("reassembly_total", self.reassembly_total, MILLI, HOUR)?;
        time("reassembly_idle", self.reassembly_idle, MILLI, self.reassembly_total)
    }

    fn check_path(&self) -> Result<(), ConfigError> {
        bytes("max_packet", self.max_packet.into(), 0, 65_507)?;
        count("spare_cids", self.spare_cids.into(), 0, MAX_SPARE.into())?;
        let Congestion::Fixed { rate, window } = self.congestion else { return Ok(()) };
        let measured = |field, value, min, max| {
            check(field, Setting::Bytes(value), Setting::Bytes(min), Setting::Bytes(max))
        };
        measured("congestion.rate", rate, 1000, RATE)?;
        measured("congestion.window", window, 4800, 4 * GIB)
    }

    fn check_reconnect(&self) -> Result<(), ConfigError> {
        let Some(reconnect) = self.reconnect else { return Ok(()) };
        time("reconnect.cap", reconnect.cap, MILLI, HOUR)?;
        time("reconnect.first", reconnect.first, MILLI, reconnect.cap)?;
        time("reconnect.spread", reconnect.spread, Duration::ZERO, HOUR)?;
        time("reconnect.min_uptime", reconnect.min_uptime, Duration::ZERO, DAY)?;
        let max_attempts = reconnect.max_attempts.unwrap_or(u32::MAX);
        count("reconnect.max_attempts", max_attempts as usize, 1, u32::MAX.into())
    }

    fn check_queues(&self) -> Result<(), ConfigError> {
        bytes("max_message", self.max_message, 1, 16 * MIB)?;
        let largest = (self.max_message + MESSAGE_COST) as u64;
        count("send_messages", self.send_messages, 1, MESSAGES)?;
        bytes("send_bytes", self.send_bytes, largest, GIB)?;
        count("low_water", self.low_water.into(), 1, 100)?;
        count("receive_messages", self.receive_messages, 1, MESSAGES)?;
        bytes("receive_bytes", self.receive_bytes, largest, GIB)?;
        count("session_messages", self.session_messages, self.receive_messages as u64, MIB)?;
        bytes("session_bytes", self.session_bytes, self.receive_bytes as u64, 4 * GIB)?;
        count("max_receipts", self.max_receipts, 1, 4 * MIB)?;
        count("max_channels", self.max_channels, 0, 4096)?;
        count("default_priority", self.default_priority.into(), 0, 7)?;
        count("default_weight", self.default_weight.into(), 1, 255)?;
        count("max_requests", self.max_requests, 1, 4096)?;
        count("max_partials", self.max_partials, 1, 1024)
    }

    fn check_rates(&self) -> Result<(), ConfigError> {
        let largest = (self.max_message + MESSAGE_COST) as u64;
        rate(rate_fields!("send_rate"), self.send_rate, 1)?;
        rate(rate_fields!("send_rate_per_channel"), self.send_rate_per_channel, 1)?;
        rate(rate_fields!("receive_rate"), self.receive_rate, largest)?;
        rate(rate_fields!("receive_rate_per_channel"), self.receive_rate_per_channel, largest)?;
        rate(rate_fields!("receive_rate_per_prefix"), self.receive_rate_per_prefix, largest)?;
        rate(rate_fields!("receive_rate_per_user"), self.receive_rate_per_user, largest)
    }

    fn check_endpoint(&self) -> Result<(), ConfigError> {
        count("max_connections", self.max_connections, 1, 1 << 24)?;
        count("max_suspended", self.max_suspended, 0, 1 << 24)?;
        bytes("max_bytes", self.max_bytes, MIB, 1 << 40)?;
        bytes("suspended_bytes", self.suspended_bytes, 0, 1 << 40)?;
        count("max_pending", self.max_pending, 1, 1 << 24)?;
        count("max_pending_per_prefix", self.max_pending_per_prefix, 1, 1 << 24)?;
        count("accept_rate", self.accept_rate as usize, 1, 1_000_000)?;
        count("accept_burst", self.accept_burst as usize, 1, 1 << 24)?;
        count("max_resume_failures", self.max_resume_failures as usize, 1, u32::MAX.into())?;
        count("max_key_failures", self.max_key_failures as usize, 1, u32::MAX.into())?;
        time("admission_timeout", self.admission_timeout, MILLI, HOUR)?;
        count("max_undecided", self.max_undecided, 1, 1 << 24)?;
        time("busy_retry_after", self.busy_retry_after, Duration::ZERO, HOUR)
    }
}
