//! A run: the usual case of one channel with plain messages of one class to send, and nothing else. They are written one after the
//! other without asking for each whose turn it is, and charged for together.

use super::outbox::Outbox;
use super::scheduler::Turn;
use super::table::{CLASSES, Channels};
use super::{Announce, Messages, cost};
use crate::wire::{RecordWriter, WireId, varint};
use crate::{ChannelId, Class, Timestamp};

/// Whose messages they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    index: usize,
    class: Class,
    /// Lost pieces are written again.
    pub(crate) repeats: bool,
}

/// What a packet has room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// The longest message that is not cut.
    pub(crate) max_whole: usize,
    pub(crate) messages: usize,
}

/// The channel, the class and the number of what would be the next message of a record.
pub(crate) type Position = (ChannelId, Class, u64);

/// The messages of a run while they are written. They are charged for at the end.
#[derive(Debug)]
pub(crate) struct Lane<'c> {
    outbox: &'c mut Outbox,
    channel: ChannelId,
    run: Run,
    /// How the number of the next message is sent.
    wire_id: WireId,
    /// Messages, and what they may cost, that there is credit for.
    credit: (u64, u64),
    taken: Taken,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    messages: u64,
    bytes: u64,
}

impl Channels {
    /// The run to be written next, where nothing else is.
    #[inline]
    pub(crate) fn run(&self) -> Option<Run> {
        let index = self.position(self.scheduler.alone()?).ok()?;
        let channel = self.list.get(index)?;
        if self.throttles.is_some() || channel.announce != Announce::Known {
            return None;
        }
        let class = channel.outboxes.alone()?;
        let total = channel.outboxes[class as usize].peek_plain(class).next()??;
        let cost = cost(total.into());
        let is_charged = class.is_reliable();
        let may_go = !is_charged || channel.send_credit.allows(cost) && self.session_send.allows(cost);
        may_go.then(|| Run { index, class, repeats: channel.repeats(class) })
    }

    /// The messages of `run`. What is taken there must be given to [`Self::charge`].
    #[inline]
    pub(crate) fn lane(&mut self, run: Run) -> Lane<'_> {
        let run = Run { repeats: run.repeats || self.keeps_newest && run.class == Class::Sequenced, ..run };
        let channel = &mut self.list[run.index];
        let credit = if run.class.is_reliable() {
            let (left, session_left) = (channel.send_credit.left(), self.session_send.left());
            (left.0.min(session_left.0), left.1.min(session_left.1))
        } else {
            (u64::MAX, u64::MAX)
        };
        let outbox = &mut channel.outboxes[run.class as usize];
        let wire_id = outbox.wire_id(outbox.next_number());
        Lane { outbox, channel: channel.id, run, wire_id, credit, taken: Taken::default() }
    }

    /// Charges for messages of `run`, and passes the turn on.
    #[inline]
    pub(crate) fn charge(&mut self, now: Timestamp, run: Run, taken: Taken) {
        let Taken { messages, bytes } = taken;
        let channel = &mut self.list[run.index];
        if run.class.is_reliable() {
            let cost = bytes + messages * cost(0);
            channel.send_credit.charge_many(messages, cost);
            self.session_send.charge_many(messages, cost);
        }
        channel.has_sent = true;
        channel.turn = (run.class as u8 + 1) % CLASSES;
        // The other classes have nothing to send.
        let is_empty = channel.outboxes[run.class as usize].unsent() == 0;
        channel.meter.on_left(now, bytes as usize, is_empty);
        let turn = Turn::alone(channel.id);
        self.scheduler.on_sent_many(now, turn, &mut channel.share, (messages, bytes), self.packet);
    }
}

impl Lane<'_> {
    /// How many messages fill a packet up to `limit`, `used` bytes of which are used: as many as fit, or wait. `None` when there is
    /// more to it: something else than such messages would follow them, or there is no credit for the next.
    #[inline]
    pub(crate) fn plan(&self, room: &Room, used: usize, limit: usize) -> Option<usize> {
        let class = self.run.class;
        let (messages, mut bytes) = self.credit;
        let name_len =
            if self.channel == ChannelId::DEFAULT { 0 } else { varint::len(self.channel.0.into()) };
        let mut end = used + 1 + name_len + self.wire_id.len();
        let mut count = 0;
        for total in self.outbox.peek_plain(class).take(room.messages) {
            let total = total?;
            let len = total as usize;
            if end + len > limit {
                if len > room.max_whole {
                    return None;
                }
                break;
            }
            let cost = cost(total.into());
            if count as u64 >= messages || cost > bytes {
                return None;
            }
            bytes -= cost;
            count += 1;
            // Only the last message of a record has no length.
            end += varint::len(len as u64) + len;
            if end > limit {
                break;
            }
            end += 1;
        }
        (count > 0).then_some(count)
    }

    /// Writes that many messages, the last of the record, and hands `sent` what the packet carries of them.
    #[inline]
    pub(crate) fn write(
        &mut self,
        count: usize,
        writer: &mut RecordWriter<'_>,
        mut sent: impl FnMut(Messages),
    ) {
        let Self { channel, run: Run { class, repeats, .. }, .. } = *self;
        let mut wire_id = self.wire_id;
        let mut messages = Messages { channel, class, count: 0, first: 0 };
        let mut left = count;
        let bytes = self.outbox.write_plain(count, repeats, |id, payload| {
            left -= 1;
            if left == 0 || left + 1 == count {
                writer.write_plain(class as u8, channel.0, wire_id, payload, left == 0);
                wire_id = WireId::Next;
            } else {
                writer.write_between(class as u8, payload);
            }
            if id != messages.ids().end {
                if messages.count > 0 {
                    sent(messages);
                }
                (messages.first, messages.count) = (id, 0);
            }
            messages.count += 1;
        });
        let cost = bytes + count as u64 * cost(0);
        self.taken.bytes += bytes;
        self.credit.1 -= cost.min(self.credit.1);
        self.wire_id = self.outbox.wire_id(self.outbox.next_number());
        self.taken.messages += count as u64;
        self.credit.0 -= (count as u64).min(self.credit.0);
        sent(messages);
    }

    /// What was written.
    pub(crate) const fn taken(&self) -> Taken {
        self.taken
    }
}
