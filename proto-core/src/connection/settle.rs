//! What becomes of what was sent: acknowledgements and losses reach the part that owns each thing.

use core::mem;
use core::time::Duration;

use super::Connection;
use super::handshake::Confirm;
use super::state::End;
use crate::channel::{Announce, Settled};
use crate::recovery::{Carried, PROBE_PACKETS, Timeout};
use crate::{ChannelId, Class, CloseReason, Drop, Event, Fate, MessageId, Timestamp};

impl Connection {
    /// Hands the outcome of an ACK or a loss to the owners.
    pub(super) fn settle_outcome(&mut self, now: Timestamp) {
        let mut outcome = mem::take(&mut self.scratch.outcome);
        for carried in outcome.acked.drain(..) {
            self.on_arrived(carried);
        }
        for carried in outcome.lost.drain(..) {
            self.on_lost(carried);
            if matches!(carried, Carried::Piece(piece) if piece.class.is_reliable()) {
                self.recovery.plan_repair(now, carried);
            }
        }
        let (acked, lost) = (mem::take(&mut outcome.large_acked), mem::take(&mut outcome.large_lost));
        self.scratch.outcome = outcome;
        if (acked || lost > 0) && self.mtu.on_large(now, acked, lost) {
            self.stats.black_holes += 1;
            self.recovery.set_packet(self.mtu.current());
            self.channels.set_packet(self.mtu.current());
        }
        self.check_flushed(now);
    }

    fn on_arrived(&mut self, carried: Carried) {
        match carried {
            Carried::Ack(largest) => self.received.on_ack_acked(largest),
            Carried::Credit(_) | Carried::Rate(_) => {}
            Carried::Cancel(request) => self.requests.cancel_known(request),
            Carried::OpenChannel(id) => {
                if let Some(channel) = self.channels.get_mut(ChannelId(id)) {
                    channel.announce = Announce::Known;
                }
            }
            Carried::Confirm => self.confirm = Confirm::Done,
            Carried::MtuProbe(size) => {
                if self.mtu.on_probe_acked(size) {
                    self.recovery.set_packet(size);
                    self.channels.set_packet(size);
                }
            }
            Carried::Piece(piece) => {
                let settled =
                    self.channels.get_mut(piece.channel).and_then(|channel| channel.on_acked(&piece));
                if let Some(settled) = settled {
                    self.channels.activate_waiting(piece.channel, piece.class);
                    self.on_settled(piece.channel, piece.class, settled, Fate::Acked);
                }
            }
        }
    }

    /// Something that a packet carried must be looked at anew.
    fn on_lost(&mut self, carried: Carried) {
        match carried {
            Carried::Ack(_) => {}
            Carried::MtuProbe(size) => self.mtu.on_probe_lost(size),
            Carried::Credit(None) => self.channels.session_credit_due = true,
            Carried::Credit(Some(id)) => self.channels.owe_credit(ChannelId(id)),
            Carried::Rate(scope) => self.channels.owe_rate(scope),
            Carried::Cancel(request) => self.requests.cancel_lost(request),
            Carried::OpenChannel(id) => self.channels.announce_again(ChannelId(id)),
            Carried::Confirm => {
                if self.confirm == Confirm::InFlight {
                    self.confirm = Confirm::Due;
                }
            }
            Carried::Piece(piece) if piece.class.is_reliable() => self.channels.requeue(piece),
            Carried::Piece(piece) => {
                let settled = self
                    .channels
                    .get_mut(piece.channel)
                    .and_then(|channel| channel.settle(piece.class, piece.id));
                if let Some(settled) = settled {
                    self.on_settled(piece.channel, piece.class, settled, Fate::Lost);
                }
            }
        }
    }

    /// Counts a settled message, tells its fate to whoever asked, and pays a `Writable` that it made possible.
    pub(super) fn on_settled(&mut self, channel: ChannelId, class: Class, settled: Settled, fate: Fate) {
        match fate {
            Fate::Acked => self.stats.messages_acked += 1,
            Fate::Written => self.stats.messages_written += 1,
            Fate::Lost => self.stats.messages_lost += 1,
            Fate::Dropped => {
                self.stats.messages_dropped += 1;
                self.stats.drops.count(Drop::SendQueueDropped);
            }
            Fate::Cancelled => self.stats.messages_cancelled += 1,
            Fate::Unknown => self.stats.messages_unknown += 1,
        }
        if settled.receipt {
            let message = MessageId { channel, class, number: settled.id };
            self.events.push_back(Event::Fate { message, fate });
        }
        self.pay_writable(channel);
    }

    pub(super) fn pay_writable(&mut self, id: ChannelId) {
        let has_room = self.has_room_for_events();
        if let Some(channel) = self.channels.get_mut(id)
            && has_room
            && self.state.accepts_messages()
            && channel.take_writable(&self.config)
        {
            self.events.push_back(Event::Writable(id));
        }
    }

    /// Settles everything as `Unknown`; returns how many messages were never written, and how many were.
    pub(super) fn abandon_messages(&mut self) -> (u32, u32) {
        let (mut unsent, mut unacked) = (0, 0);
        let ids: alloc::vec::Vec<_> = self.channels.iter().map(|channel| channel.id).collect();
        for (id, class) in ids.iter().flat_map(|&id| Class::ALL.map(|class| (id, class))) {
            while let Some(settled) = self.channels.get_mut(id).and_then(|channel| {
                let oldest = channel.outboxes[class as usize].first_unsettled()?;
                channel.settle(class, oldest)
            }) {
                if settled.written {
                    unacked += 1;
                } else {
                    unsent += 1;
                }
                self.on_settled_at_end(id, class, settled);
            }
        }
        (unsent, unacked)
    }

    fn on_settled_at_end(&mut self, channel: ChannelId, class: Class, settled: Settled) {
        self.stats.messages_unknown += 1;
        if settled.receipt {
            let message = MessageId { channel, class, number: settled.id };
            self.events.push_back(Event::Fate { message, fate: Fate::Unknown });
        }
    }

    pub(super) fn on_loss_timer(&mut self, now: Timestamp) {
        let timeout = self.recovery.on_timeout(now, &self.config, &mut self.scratch.outcome, &mut self.stats);
        match timeout {
            Timeout::Nothing => {}
            Timeout::Lost => self.settle_outcome(now),
            Timeout::Repair => self.repair(now),
            Timeout::Probe => self.begin_probe(now),
            Timeout::GiveUp => self.enter_closed(now, End::of(CloseReason::TimedOut), Duration::ZERO),
        }
    }

    /// Second copies of what was lost go out while nothing else does.
    fn repair(&mut self, now: Timestamp) {
        while let Some(carried) = self.recovery.pop_repair(now) {
            if let Carried::Piece(piece) = carried
                && self.channels.candidate(now, false).is_none()
            {
                self.stats.repairs += 1;
                self.channels.requeue(piece);
            }
        }
    }

    /// A probe carries new data; when there is none, it repeats the oldest in flight.
    fn begin_probe(&mut self, now: Timestamp) {
        self.probes_due = PROBE_PACKETS;
        if self.channels.candidate(now, false).is_some() {
            return;
        }
        let mut carried = mem::take(&mut self.scratch.outcome.lost);
        carried.extend(self.recovery.oldest_carried());
        for carried in carried.drain(..) {
            match carried {
                Carried::MtuProbe(_) => {}
                Carried::Piece(piece) if !piece.class.is_reliable() => {}
                _ => self.on_lost(carried),
            }
        }
        self.scratch.outcome.lost = carried;
    }

    pub(super) fn on_reassembly_timer(&mut self, now: Timestamp) {
        let config = &self.config;
        let gone = self.channels.expire_partials(now, config);
        self.stats.drops.add(Drop::ReassemblyExpired, gone as u64);
    }
}
