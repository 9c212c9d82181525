//! BLOCKED: tells the peer that its credit is what holds this side back (docs/spec/wire.md, section 4.4).

use core::mem;

use super::Connection;
use crate::channel::Channels;
use crate::wire::Credit;
use crate::{Class, Timestamp};

/// What was told last, and when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Blocked {
    due: bool,
    told: Option<(u32, u32)>,
    told_at: Timestamp,
}

/// Enough of a limit to tell it from the one before.
const fn fingerprint(credit: &Credit) -> (u32, u32) {
    let channel = match credit.channel {
        Some(channel) => channel.wrapping_add(1),
        None => 0,
    };
    (channel, (credit.bytes ^ credit.messages.rotate_left(16)) as u32)
}

impl Blocked {
    pub(super) const fn is_due(&self) -> bool {
        self.due
    }
}

impl Connection {
    /// There is nothing to send: for want of credit? Each limit is told once, and at most one in a round trip.
    pub(super) fn note_blocked(&mut self, now: Timestamp) -> bool {
        let Blocked { due, told, told_at } = self.blocked;
        let is_early = told.is_some() && now < told_at + self.recovery.rtt.smoothed();
        if !due && !is_early {
            let credit = missing(&self.channels);
            self.blocked.due = credit.is_some_and(|credit| told != Some(fingerprint(&credit)));
        }
        self.blocked.due
    }

    /// What to write. It is not repeated when it gets lost: it tells nothing that the peer needs.
    pub(super) fn take_blocked(&mut self, now: Timestamp) -> Option<Credit> {
        let credit = mem::take(&mut self.blocked.due).then(|| missing(&self.channels)).flatten()?;
        self.stats.blocked_sent += 1;
        (self.blocked.told, self.blocked.told_at) = (Some(fingerprint(&credit)), now);
        Some(credit)
    }
}

/// The credit that a message waits for, on the channel that was the last to try: the others may be many, and silent.
fn missing(channels: &Channels) -> Option<Credit> {
    let session = channels.session_send;
    let channel = channels.get(channels.held_up?)?;
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
}

crate::sleep::saved!(Blocked { due, told, told_at });
