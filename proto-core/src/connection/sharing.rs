//! What a connection shares with the others of its endpoint: a budget of memory, and rates.

use super::Connection;
use super::state::State;
use crate::channel::Shared;
use crate::{ChannelId, Timestamp};

impl Connection {
    /// What it holds, or may come to hold of what has begun to come, in bytes: quickly found, and at least what it is.
    pub(crate) fn budgeted_bytes(&self) -> usize {
        if self.state.is_closed() { self.channels.held_bytes() } else { self.channels.budgeted_bytes() }
    }

    /// What it holds, in bytes.
    pub(crate) fn present_bytes(&self) -> usize {
        let absent = if self.state.is_closed() { 0 } else { self.channels.absent_bytes() };
        self.budgeted_bytes().saturating_sub(absent)
    }

    /// What is left of the rates that it shares with others, while it is used.
    pub(crate) fn lend_rates(&mut self, now: Timestamp, shared: Shared) {
        self.channels.session_receive.lend(shared);
        if self.state == State::Established && self.channels.session_receive.is_tight() {
            self.channels.meter_credit(now, ChannelId::DEFAULT);
            self.update_timers();
        }
    }

    /// What it has left of them.
    pub(crate) fn take_rates(&mut self) -> Shared {
        self.channels.session_receive.take_shared()
    }

    /// Its first grant is what is left of them, or nothing.
    pub(crate) fn limit_first_grant(&mut self, is_nothing: bool) {
        let receive = &mut self.channels.session_receive;
        receive.limit_grants(if is_nothing { (0, 0) } else { receive.available() });
    }

    /// Grants the peer less than was configured from here on, or as much again.
    pub(crate) fn press(&mut self, is_pressed: bool) {
        let full = self.config.session_bytes as u64;
        self.channels.hold_session(if is_pressed { full / 8 } else { full });
    }
}
