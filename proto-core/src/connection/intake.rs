//! Packets that come together, and messages that come as most do: alone in their packet, in their turn, with nothing beside their
//! payload.

use super::receive::{Previous, Violation};
use super::state::State;
use super::{Arrival, Connection};
use crate::wire::{Packet, Plain, Record, Short};
use crate::{ChannelId, Timestamp};

impl Connection {
    /// Takes in a packet whose header was read already, and those of `rest`, of `stride` bytes each but for the last, which came the
    /// same way; returns what is left of them when one needs a closer look. No timer fires.
    pub(crate) fn handle_train<'p>(
        &mut self,
        now: Timestamp,
        arrival: Arrival,
        (mut short, mut packet): (Short<'p>, &'p [u8]),
        mut rest: &'p [u8],
        stride: usize,
    ) -> &'p [u8] {
        let now = self.advance(now);
        let mut kept_alive = false;
        loop {
            if self.take_alone(now, arrival, &short) {
                self.stats.packets_received += 1;
                self.stats.bytes_received += packet.len() as u64;
                if !core::mem::replace(&mut kept_alive, true) {
                    self.keep_alive(now);
                    self.restart_heartbeat(now);
                }
            } else {
                self.on_short(now, arrival, &short, packet);
            }
            if rest.is_empty() || self.state != State::Established || self.is_roaming() {
                break;
            }
            let (next, behind) = rest.split_at(stride.min(rest.len()));
            match Packet::decode(next, self.config.checksum) {
                Ok(Packet::Short(decoded)) if decoded.dcid == self.local_cid => short = decoded,
                _ => break,
            }
            (packet, rest) = (next, behind);
        }
        self.update_timers();
        rest
    }

    /// Takes in the packet that everything waits for, if all that it carries is the message that everything waits for; otherwise
    /// nothing has happened. Its sign of life is the caller's to note.
    #[inline]
    fn take_alone(&mut self, now: Timestamp, arrival: Arrival, short: &Short<'_>) -> bool {
        let is_usual = self.state == State::Established
            && arrival.path == self.active_path()
            && !self.is_roaming()
            && short.dcid == self.local_cid
            && !self.link.is_stream();
        let number = self.received.expand(short.number, short.number_len);
        if !is_usual || !self.received.is_next(number) {
            return false;
        }
        let mut record = Record::new(short.payload);
        let plain = if record.is_at_last() { record.next_plain() } else { None };
        let Some(Ok(plain)) = plain else { return false };
        if !short.verify(self.guard, number, self.config.checksum) {
            return false;
        }
        let arena = self.arena.get_or_insert_default();
        let accepted = self.channels.accept(&plain, 0, self.config.max_message, arena);
        let Some(accepted) = accepted else { return false };
        self.received.insert(now, number, true, false, self.config.max_ack_delay);
        self.received.note_mark(arrival.ecn);
        if accepted.is_first {
            self.on_first_ready(ChannelId(plain.channel));
        }
        true
    }

    /// A message that says nothing beside its payload.
    #[inline]
    pub(super) fn on_plain(
        &mut self,
        now: Timestamp,
        plain: &Plain<'_>,
        previous: &mut Previous,
    ) -> Result<(), Violation> {
        let before = match *previous {
            Some((channel, class, id)) if (channel, class) == (plain.channel, plain.class) => id,
            _ => 0,
        };
        let arena = self.arena.get_or_insert_default();
        let accepted = self.channels.accept(plain, before, self.config.max_message, arena);
        let Some(accepted) = accepted else { return self.on_msg(now, &plain.to_msg(), previous) };
        *previous = Some((plain.channel, plain.class, accepted.number));
        if accepted.is_first {
            self.on_first_ready(ChannelId(plain.channel));
        }
        Ok(())
    }
}
