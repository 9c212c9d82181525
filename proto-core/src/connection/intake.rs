//! Packets that come together, and messages that come as most do: with nothing else in their packet, in their turn, with nothing
//! beside their payloads.

use core::mem;

use super::receive::{Previous, Violation};
use super::state::State;
use super::{Arrival, Connection};
use crate::channel::Accepted;
use crate::wire::{Plain, PlainRun, Short};
use crate::{ChannelId, Timestamp};

impl Connection {
    /// Takes in a packet whose header was read already, and those of `rest`, of `stride` bytes each but for the last, which came the
    /// same way; returns what is left of them when one needs a closer look. No timer fires.
    pub(crate) fn handle_train<'p>(
        &mut self,
        now: Timestamp,
        arrival: Arrival,
        (short, packet): (&Short<'_>, &[u8]),
        mut rest: &'p [u8],
        stride: usize,
    ) -> &'p [u8] {
        if self.is_sealed() {
            return self.handle_sealed(now, arrival, packet, rest, stride);
        }
        let now = self.advance(now);
        let is_usual = self.state == State::Established
            && arrival.path == self.active_path()
            && !self.is_roaming()
            && short.dcid == self.local_cid
            && !self.link.is_stream();
        let mut kept_alive = false;
        self.take_one(now, arrival, short, packet, is_usual, &mut kept_alive);
        while !rest.is_empty() && self.state == State::Established && !self.is_roaming() {
            let (packet, behind) = rest.split_at(stride.min(rest.len()));
            let short = Short::read(packet).filter(|short| short.dcid == self.local_cid);
            let Some(short) = short else { break };
            self.take_one(now, arrival, &short, packet, is_usual, &mut kept_alive);
            rest = behind;
        }
        self.update_timers();
        rest
    }

    /// `is_usual` says that nothing is known to stand in the short way, `kept_alive` that the sign of life was noted: all of a train
    /// are one.
    #[inline]
    fn take_one(
        &mut self,
        now: Timestamp,
        arrival: Arrival,
        short: &Short<'_>,
        packet: &[u8],
        is_usual: bool,
        kept_alive: &mut bool,
    ) {
        if !is_usual || !self.take_alone(now, arrival, short) {
            return self.on_short(now, arrival, short, packet);
        }
        self.stats.packets_received += 1;
        self.stats.bytes_received += packet.len() as u64;
        if !mem::replace(kept_alive, true) {
            self.keep_alive(now);
            self.restart_heartbeat(now);
        }
    }

    /// Takes in the packet that everything waits for, if all that it carries are the messages that everything waits for; otherwise
    /// nothing has happened. On the path in use of an established connection; its sign of life is the caller's to note.
    #[inline]
    fn take_alone(&mut self, now: Timestamp, arrival: Arrival, short: &Short<'_>) -> bool {
        let Some(run) = PlainRun::read(short.payload) else { return false };
        let number = self.received.expand(short.number, short.number_len);
        if !self.received.is_next(number) {
            return false;
        }
        if !short.verify(self.guard, number, self.config.checksum) {
            return false;
        }
        self.accept_next(now, arrival, &run)
    }

    /// See [`Channels::accept`](crate::channel::Channels::accept).
    #[inline]
    pub(super) fn accept_run(&mut self, run: &PlainRun<'_>, before: u64) -> Option<Accepted> {
        let arena = self.arena.get_or_insert_default();
        self.channels.accept(run, before, &self.config, self.link.max_unreliable(), arena)
    }

    /// The rest of a record that is nothing but such messages, and the first of its messages: whether it could be taken in so.
    #[inline]
    pub(super) fn on_run(&mut self, run: &PlainRun<'_>) -> bool {
        let Some(accepted) = self.accept_run(run, 0) else { return false };
        if accepted.is_first {
            self.on_first_ready(ChannelId(run.channel));
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
        let Some(accepted) = self.accept_run(&PlainRun::of(plain), before) else {
            return self.on_msg(now, &plain.to_msg(), previous);
        };
        *previous = Some((plain.channel, plain.class, accepted.number));
        if accepted.is_first {
            self.on_first_ready(ChannelId(plain.channel));
        }
        Ok(())
    }
}
