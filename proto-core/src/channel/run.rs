//! A run: the usual case of one channel with plain messages of one class to send, and nothing else. They are written one after the
//! other without asking for each whose turn it is.

use super::outbox::Peeked;
use super::scheduler::Turn;
use super::table::{CLASSES, Channels};
use super::{Announce, Piece, cost};
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
    /// Where the record must end.
    pub(crate) limit: usize,
    /// The longest message that is not cut.
    pub(crate) max_whole: usize,
    pub(crate) messages: usize,
}

/// The channel, the class and the number of what would be the next message of a record.
pub(crate) type Position = (ChannelId, Class, u64);

/// How a message goes behind others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Whole,
    /// Only without its length, and so as the last.
    Last,
    /// Not into this packet.
    Later,
    Cut,
}

impl Room {
    /// How a message goes into what is left; `head` bytes of it come before its length.
    #[inline]
    fn fit(&self, used: usize, head: usize, total: u32) -> Fit {
        let len = total as usize;
        let end = used + head + len;
        if end + varint::len(len as u64) <= self.limit {
            Fit::Whole
        } else if end <= self.limit {
            Fit::Last
        } else if len <= self.max_whole {
            Fit::Later
        } else {
            Fit::Cut
        }
    }
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
        let run = Run { index, class, repeats: channel.repeats(class) };
        matches!(self.peek_run(run, 0, 0), Peeked::Plain(_)).then_some(run)
    }

    /// The message `ahead` of the next one, those between costing `spent`.
    #[inline]
    fn peek_run(&self, run: Run, ahead: usize, spent: u64) -> Peeked {
        let channel = &self.list[run.index];
        let peeked = channel.outboxes[run.class as usize].peek_plain(ahead, run.class);
        if let Peeked::Plain(total) = peeked
            && run.class.is_reliable()
        {
            let (messages, cost) = (ahead as u64, spent + cost(total.into()));
            if !channel.send_credit.allows_behind(messages, cost)
                || !self.session_send.allows_behind(messages, cost)
            {
                return Peeked::Other;
            }
        }
        peeked
    }

    /// Writes messages of `run` until the packet is full or something else follows, and hands `sent` what the packet carries. Where
    /// something else does follow in the same packet: how many it wrote, and what comes next.
    #[inline]
    pub(crate) fn write_run(
        &mut self,
        now: Timestamp,
        run: Run,
        room: Room,
        writer: &mut RecordWriter<'_>,
        mut sent: impl FnMut(Piece),
    ) -> Option<(usize, Option<Position>)> {
        let channel = &self.list[run.index];
        let id = channel.id;
        let outbox = &channel.outboxes[run.class as usize];
        let Peeked::Plain(mut total) = self.peek_run(run, 0, 0) else { return Some((0, None)) };
        let mut number = outbox.next_number();
        let mut wire_id = outbox.wire_id(number);
        let name_len = if id == ChannelId::DEFAULT { 0 } else { varint::len(id.0.into()) };
        let mut head = 1 + name_len + wire_id.len();
        let mut fit = room.fit(writer.buffered(), head, total);
        let mut previous = None;
        for written in 1..=room.messages {
            match fit {
                Fit::Cut => return Some((written - 1, previous)),
                Fit::Later => return None,
                Fit::Whole | Fit::Last => {}
            }
            let cost = cost(total.into());
            // Only the last message of a record has no length, so it must be known whether another one follows.
            let mut following = None;
            if fit == Fit::Whole && written < room.messages {
                let used = writer.buffered() + head + varint::len(total.into()) + total as usize;
                following = match self.peek_run(run, 1, cost) {
                    Peeked::Nothing => None,
                    Peeked::Other => return Some((written - 1, previous)),
                    Peeked::Plain(total) => match room.fit(used, 1, total) {
                        Fit::Cut => return Some((written - 1, previous)),
                        Fit::Later => None,
                        fit => Some((total, fit)),
                    },
                };
            }
            let piece = self.take_plain_message(now, run, total, |payload| {
                writer.write_plain(run.class as u8, id.0, wire_id, payload, following.is_none());
            });
            sent(piece);
            (total, fit) = following?;
            number += 1;
            (wire_id, head) = (WireId::Next, 1);
            previous = Some((id, run.class, number));
        }
        None
    }

    /// Charges for the next message of `run`, passes the turn on, and lets `write` have it.
    #[inline]
    fn take_plain_message(
        &mut self,
        now: Timestamp,
        run: Run,
        total: u32,
        write: impl FnOnce(&[u8]),
    ) -> Piece {
        let Run { index, class, repeats } = run;
        let keep = repeats || self.keeps_newest && class == Class::Sequenced;
        let channel = &mut self.list[index];
        if class.is_reliable() {
            let cost = cost(total.into());
            channel.send_credit.charge(cost);
            self.session_send.charge(cost);
        }
        channel.has_sent = true;
        channel.turn = (class as u8 + 1) % CLASSES;
        let outbox = &mut channel.outboxes[class as usize];
        let id = outbox.write_plain(keep, write);
        // The other classes have nothing to send.
        let is_empty = outbox.unsent() == 0;
        channel.meter.on_left(now, total as usize, is_empty);
        let turn = Turn::alone(channel.id);
        self.scheduler.on_sent(now, turn, &mut channel.share, total, self.packet);
        Piece { channel: channel.id, class, tries: 0, id, offset: 0, len: total }
    }
}
