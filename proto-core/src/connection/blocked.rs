//! BLOCKED: tells the peer that its credit is what holds this side back (docs/spec/wire.md, section 4.4).

use super::Connection;
use crate::Timestamp;
use crate::channel::Channels;
use crate::wire::Credit;
use crate::{Class, Stats};

/// What was told, and when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Blocked {
    due: Option<Credit>,
    told: Option<Credit>,
    told_at: Timestamp,
}

impl Blocked {
    pub(super) const fn is_due(&self) -> bool {
        self.due.is_some()
    }

    /// What to write. It is not repeated when it gets lost: it tells nothing that the peer needs.
    pub(super) fn take(&mut self, now: Timestamp, stats: &mut Stats) -> Option<Credit> {
        let credit = self.due.take()?;
        stats.blocked_sent += 1;
        (self.told, self.told_at) = (Some(credit), now);
        Some(credit)
    }
}

impl Connection {
    /// There is nothing to send: for want of credit? Each limit is told once, and at most one in a round trip.
    pub(super) fn note_blocked(&mut self, now: Timestamp) {
        let is_early =
            self.blocked.told.is_some() && now < self.blocked.told_at + self.recovery.rtt.smoothed();
        if self.blocked.due.is_none() && !is_early {
            self.blocked.due = missing(&self.channels).filter(|&credit| self.blocked.told != Some(credit));
        }
    }
}

/// The credit that a message waits for.
fn missing(channels: &Channels) -> Option<Credit> {
    let session = channels.session_send;
    channels.iter().find_map(|channel| {
        let waits = [Class::ReliableOrdered, Class::ReliableUnordered];
        let cost = waits.iter().find_map(|&class| {
            let (_, len) = channel.outboxes[class as usize].unwritten().next()?;
            Some(crate::channel::cost(len as u64))
        })?;
        let (id, limit) = if !channel.send_credit.allows(cost) {
            (Some(channel.id.0), channel.send_credit.limit())
        } else if !session.allows(cost) {
            (None, session.limit())
        } else {
            return None;
        };
        Some(Credit { channel: id, bytes: limit.0, messages: limit.1 })
    })
}
