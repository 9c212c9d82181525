//! What both sides of a channel tell each other when their session goes on over another link
//! (docs/spec/connection.md, section 9).

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use bytes::Bytes;

use super::{Announce, Channel, Channels, Ends, Piece, SendCredit, Settled, Share};
use crate::wire::{MAX_STATE_RANGES, StateLine};
use crate::{ChannelId, Class, Config, Fate, Timestamp};

/// Why a peer's state cannot be gone on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Impossible {
    /// It claims to have what was never sent.
    NeverSent,
    /// It lacks what it is known to have had: it is not the one that the session was with.
    Forgotten,
}

/// Appends `number` to ascending ranges; `false` when there would be too many.
pub(super) fn extend(ranges: &mut Vec<RangeInclusive<u64>>, number: u64) -> bool {
    let is_full = ranges.len() == MAX_STATE_RANGES;
    match ranges.last_mut() {
        Some(last) if *last.end() + 1 == number => *last = *last.start()..=number,
        _ if is_full => return false,
        _ => ranges.push(number..=number),
    }
    true
}

impl StateLine {
    /// Whether its sender has message `number`, as far as it says.
    pub(super) fn has(&self, number: u64) -> bool {
        if self.ranges.iter().any(|range| range.contains(&number)) {
            return true;
        }
        let class = Class::ALL[usize::from(self.class) % Class::ALL.len()];
        match class {
            Class::ReliableOrdered | Class::ReliableUnordered => number < self.next,
            // Where there are more ranges than fit, nothing is said of what is below them.
            Class::Unreliable => number < self.next && self.ranges.len() < MAX_STATE_RANGES,
            Class::Sequenced => number + 1 == self.next,
        }
    }

    /// One above the largest number that its sender has.
    pub(super) fn largest(&self) -> u64 {
        self.ranges.last().map_or(self.next, |range| range.end() + 1)
    }
}

impl Channel {
    /// Takes the messages of a reliable class that wait for the application's word at the other end, with their contents and ends
    /// of life: they are for whoever takes the receiver's place. Those of a batch only while that `is_sound`.
    pub(crate) fn take_unanswered(
        &mut self,
        class: Class,
        is_sound: impl Fn(u64) -> bool,
    ) -> Vec<(Settled, Bytes, Option<Timestamp>)> {
        let outbox = self.outboxes.get_mut(class);
        let mut taken = outbox.map(|outbox| outbox.take_unanswered(is_sound)).unwrap_or_default();
        for (settled, ..) in &mut taken {
            *settled = self.account(class, *settled);
        }
        taken
    }

    /// A channel like this one, on which nothing was sent, for a connection that takes the place of its own.
    pub(crate) fn again(&self, now: Timestamp, config: &Config) -> Self {
        let credit = SendCredit::new(0, 0);
        let mut again = Self::new(now, self.id, config, credit, Announce::Due);
        again.name.clone_from(&self.name);
        (again.classes, again.priority) = (self.classes, self.priority);
        again.share = Share::new(self.share.priority, self.share.weight);
        again.inbox.reliable_sequenced = self.inbox.reliable_sequenced;
        again.set_limits(now, self.limits, config);
        again
    }

    /// What to tell of `class`.
    pub(crate) fn state_line(&self, class: Class) -> StateLine {
        let (next, ranges) = self.inbox.state(class);
        let sent = self.outboxes[class as usize].sent_numbers();
        StateLine { channel: self.id.0, class: class as u8, sent, next, ranges }
    }

    /// Takes in what the peer says of `class`: settles what it has, gives up what has no future, which is appended to `ends`, and
    /// returns what must be written again.
    fn go_on(
        &mut self,
        now: Timestamp,
        class: Class,
        line: &StateLine,
        ends: &mut Ends,
    ) -> Result<Vec<Piece>, Impossible> {
        if line.largest() > self.outboxes[class as usize].sent_numbers() {
            return Err(Impossible::NeverSent);
        }
        let Some(outbox) = self.outboxes.get_mut(class) else { return Ok(Vec::new()) };
        if class.is_reliable() && line.next < outbox.settled_numbers() {
            return Err(Impossible::Forgotten);
        }
        let mut arrived = Vec::new();
        outbox.settle_arrived(line, |settled| arrived.push(settled));
        let left = outbox.begun(self.id, class);
        for settled in arrived {
            let settled = self.account(class, settled);
            ends.push((class, settled, Fate::Acked));
        }
        let mut again = Vec::new();
        for (id, pieces) in left {
            let Some(&first) = pieces.first() else { continue };
            let outbox = &self.outboxes[class as usize];
            let is_newest = class == Class::Sequenced && outbox.is_newest(id);
            let fate = if is_newest { outbox.verdict(&first, now, false) } else { self.verdict(now, &first) };
            match fate {
                None => again.extend(pieces),
                Some(fate) => self.give_up(now, class, id, fate, ends),
            }
        }
        Ok(again)
    }
}

impl Channels {
    /// The whole state, a line for each class of each channel.
    pub(crate) fn state(&self) -> Vec<StateLine> {
        let lines = self.iter().flat_map(|channel| {
            let classes = Class::ALL.into_iter().filter(|&class| channel.allows(class));
            classes.map(|class| channel.state_line(class))
        });
        lines.collect()
    }

    /// The peer's line for a class of a channel that is known; what is to be written again is queued.
    pub(crate) fn go_on(
        &mut self,
        now: Timestamp,
        id: ChannelId,
        class: Class,
        line: &StateLine,
        ends: &mut Ends,
    ) -> Result<(), Impossible> {
        let Some(channel) = self.get_mut(id) else { return Ok(()) };
        for piece in channel.go_on(now, class, line, ends)? {
            self.requeue(piece);
        }
        self.activate(id);
        Ok(())
    }

    /// Gives up what is not reliable and longer than the new link carries.
    pub(crate) fn drop_longer(&mut self, now: Timestamp, id: ChannelId, max: usize, ends: &mut Ends) {
        let Some(channel) = self.get_mut(id) else { return };
        for class in [Class::Unreliable, Class::Sequenced] {
            for message in channel.outboxes[class as usize].longer_than(max as u64) {
                channel.give_up(now, class, message, Fate::TooLarge, ends);
            }
        }
    }

    /// How many of the messages that the peer sent without repeating them are lost with the old link: `sent` is what it says, and
    /// `had` what was known here when the new link came. They are told once.
    pub(crate) fn note_gap(&mut self, id: ChannelId, sent: u64, had: u64) -> u32 {
        if let (Some(channel), Some(last)) = (self.get_mut(id), sent.checked_sub(1)) {
            channel.inbox.note(Class::Unreliable, last);
        }
        u32::try_from(sent.saturating_sub(had)).unwrap_or(u32::MAX)
    }

    /// One above the largest number of `class` that has come in.
    pub(crate) fn heard(&self, id: ChannelId, class: Class) -> u64 {
        self.get(id).map_or(0, |channel| channel.inbox.largest(class))
    }
}
