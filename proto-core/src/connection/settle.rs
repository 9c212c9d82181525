//! What becomes of what was sent: acknowledgements and losses reach the part that owns each thing.

use core::mem;

use super::Connection;
use super::handshake::Confirm;
use super::state::End;
use crate::channel::{Announce, Piece, Settled};
use crate::recovery::{Carried, PROBE_PACKETS, Timeout};
use crate::{ChannelId, Class, CloseReason, Drop, Event, Fate, RequestId, Timestamp, code};

/// Probe timeouts in a row after which a client may have moved.
const SILENT: u32 = 2;

impl Connection {
    /// Hands the outcome of an ACK or a loss to the owners.
    pub(super) fn settle_outcome(&mut self, now: Timestamp) {
        let mut outcome = mem::take(&mut self.scratch.outcome);
        for carried in outcome.acked.drain(..) {
            self.on_arrived(carried);
        }
        for carried in outcome.lost.drain(..) {
            self.on_lost(now, carried);
            self.each_piece(&carried, |conn, piece| conn.plan_repair(now, piece));
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
            Carried::Credit(_) | Carried::Rate(_) | Carried::NewCid(_) => {}
            Carried::RetireCid(number) => self.on_cid_retired(number),
            Carried::Cancel(request) => self.requests.cancel_known(request),
            Carried::OpenChannel(id) => {
                if let Some(channel) = self.channels.get_mut(ChannelId(id)) {
                    channel.announce = Announce::Known;
                }
            }
            Carried::Confirm => self.confirm = Confirm::Done,
            Carried::State(part) => self.on_state_arrived(part),
            Carried::GoAway => self.on_goaway_settled(true),
            Carried::MtuProbe(size) => {
                if self.mtu.on_probe_acked(size) {
                    self.recovery.set_packet(size);
                    self.channels.set_packet(size);
                }
            }
            Carried::Skip { channel, class, id } => {
                if let Some(state) = self.channels.get_mut(channel) {
                    state.outboxes[class as usize].on_skip_acked(id);
                    self.channels.activate_waiting(channel, class);
                }
            }
            Carried::MsgAck { channel, class, first, len } => {
                self.channels.answer(&self.config, channel, |receipts| receipts.on_acked(class, first, len));
            }
            Carried::Messages(messages) => {
                let settled = self.channels.on_messages_acked(&messages);
                self.stats.messages_acked += settled as u64;
                if settled < messages.count as usize {
                    self.each_piece(&carried, |conn, piece| conn.on_arrived(Carried::Piece(piece)));
                }
            }
            Carried::Piece(piece) => {
                let settled =
                    self.channels.get_mut(piece.channel).and_then(|channel| channel.on_acked(&piece));
                match settled {
                    Some(settled) => self.on_settled(piece.channel, piece.class, settled, Fate::Acked),
                    // It may wait for nothing but the application's word.
                    None => self.channels.activate_waiting(piece.channel, piece.class),
                }
            }
        }
    }

    /// Something that a packet carried must be looked at anew.
    pub(super) fn on_lost(&mut self, now: Timestamp, carried: Carried) {
        match carried {
            Carried::Ack(_) => {}
            Carried::NewCid(_) | Carried::RetireCid(_) => self.on_cid_lost(carried),
            Carried::MtuProbe(size) => self.mtu.on_probe_lost(size),
            Carried::State(part) => self.on_state_lost(part),
            Carried::Credit(None) => self.channels.session_credit_due = true,
            Carried::Credit(Some(id)) => self.channels.owe_credit(ChannelId(id)),
            Carried::Rate(scope) => self.channels.owe_rate(scope),
            Carried::Cancel(request) => self.requests.cancel_lost(request),
            Carried::OpenChannel(id) => self.channels.announce_again(ChannelId(id)),
            Carried::GoAway => self.on_goaway_settled(false),
            Carried::Confirm => {
                if self.confirm == Confirm::InFlight {
                    self.confirm = Confirm::Due;
                }
            }
            Carried::Skip { .. } | Carried::MsgAck { .. } if self.is_planted_forgetful(&carried) => {}
            Carried::Skip { channel: id, class, id: message } => {
                if let Some(channel) = self.channels.get_mut(id) {
                    channel.outboxes[class as usize].on_skip_lost(message);
                    self.channels.owe_control(id);
                }
            }
            Carried::MsgAck { channel: id, class, first, len } => {
                self.channels.answer(&self.config, id, |receipts| receipts.on_lost(class, first, len));
                self.channels.owe_control(id);
            }
            Carried::Messages(_) => {
                self.each_piece(&carried, |conn, piece| conn.on_lost(now, Carried::Piece(piece)));
            }
            Carried::Piece(piece) => {
                let mut ends = mem::take(&mut self.scratch.ends);
                self.channels.on_lost(now, &piece, &mut ends);
                self.settle_ends(piece.channel, ends);
            }
        }
    }

    /// What is there of messages in what a packet carried, message by message.
    fn each_piece(&mut self, carried: &Carried, mut act: impl FnMut(&mut Self, Piece)) {
        match carried {
            Carried::Piece(piece) => act(self, *piece),
            Carried::Messages(messages) => {
                for id in messages.ids() {
                    if let Some(piece) = self.channels.piece_of(messages, id) {
                        act(self, piece);
                    }
                }
            }
            _ => {}
        }
    }

    #[cfg(planted)]
    fn is_planted_forgetful(&self, carried: &Carried) -> bool {
        use crate::planted::Planted;
        match carried {
            Carried::Skip { .. } => self.config.planted == Some(Planted::SkipOnce),
            _ => self.config.planted == Some(Planted::ReceiptOnce),
        }
    }

    #[cfg(not(planted))]
    #[expect(clippy::unused_self, reason = "the other build looks at the configuration")]
    const fn is_planted_forgetful(&self, _: &Carried) -> bool {
        false
    }

    /// Counts a settled message, tells its fate to whoever asked, lets those behind it go, and pays a `Writable`.
    pub(super) fn on_settled(&mut self, channel: ChannelId, class: Class, settled: Settled, fate: Fate) {
        match fate {
            Fate::Acked => self.stats.messages_acked += 1,
            Fate::Processed => self.stats.messages_processed += 1,
            Fate::Rejected(_) => self.stats.messages_rejected += 1,
            Fate::Refused(_) => self.stats.messages_refused += 1,
            Fate::Written => self.stats.messages_written += 1,
            Fate::Lost => self.stats.messages_lost += 1,
            Fate::Expired { .. } => {
                self.stats.messages_expired += 1;
                self.count_drop(channel, Drop::SendExpired);
            }
            Fate::Cancelled => self.stats.messages_cancelled += 1,
            Fate::Superseded => self.stats.messages_superseded += 1,
            Fate::Dropped { .. } | Fate::TooLarge => {
                self.stats.messages_dropped += 1;
                self.count_drop(channel, Drop::SendQueueDropped);
            }
            Fate::Moved(_) => self.stats.messages_moved += 1,
            Fate::Unknown => self.stats.messages_unknown += 1,
        }
        self.channels.activate_waiting(channel, class);
        self.tell_fate(channel, class, &settled, fate);
        if let Some(request) = settled.request.filter(|_| !settled.written) {
            self.on_unsent_request(RequestId(request));
        }
        self.pay_writable(channel);
    }

    pub(super) fn pay_writable(&mut self, id: ChannelId) {
        let has_room = self.has_room_for_events();
        if let Some(channel) = self.channels.get_mut(id)
            && channel.owes_writable()
            && has_room
            && self.state.accepts_messages()
            && channel.take_writable()
        {
            self.events.push_back(Event::Writable(id));
            #[cfg(planted)]
            if self.config.planted == Some(crate::planted::Planted::WritableTwice) {
                self.events.push_back(Event::Writable(id));
            }
        }
    }

    /// Settles everything as `Unknown`; returns how many messages were never written, and how many were.
    pub(super) fn abandon_messages(&mut self) -> (u32, u32) {
        let (mut unsent, mut unacked) = (0, 0);
        let ids: alloc::vec::Vec<_> = self.channels.iter().map(|channel| channel.id).collect();
        for (id, class) in ids.iter().flat_map(|&id| Class::ALL.map(|class| (id, class))) {
            while let Some(settled) =
                self.channels.get_mut(id).and_then(|channel| channel.settle_oldest(class))
            {
                if settled.written {
                    unacked += 1;
                } else {
                    unsent += 1;
                }
                self.on_settled_at_end(id, class, settled);
            }
        }
        self.abandon_batches();
        (unsent, unacked)
    }

    fn on_settled_at_end(&mut self, channel: ChannelId, class: Class, settled: Settled) {
        self.stats.messages_unknown += 1;
        self.tell_fate(channel, class, &settled, Fate::Unknown);
    }

    pub(super) fn on_loss_timer(&mut self, now: Timestamp) {
        let timeout = self.recovery.on_timeout(now, &self.config, &mut self.scratch.outcome, &mut self.stats);
        match timeout {
            Timeout::Nothing => {}
            Timeout::Lost => self.settle_outcome(now),
            Timeout::Repair => self.repair(now),
            Timeout::Probe => {
                // It may be on another network by now, which nobody tells.
                if self.is_client && self.recovery.probes() == SILENT {
                    self.renew_cid();
                }
                self.begin_probe(now);
            }
            Timeout::GiveUp => self.lose_link(now, End::of(CloseReason::TimedOut)),
            Timeout::Refused => self.on_violation(now, code::EXCESSIVE, "nothing is acknowledged"),
        }
    }

    /// What was lost once and is written again is to be written twice.
    fn plan_repair(&mut self, now: Timestamp, piece: Piece) {
        let again = Piece { tries: piece.tries.saturating_add(1), ..piece };
        if self.may_copy(now, &again) {
            self.recovery.plan_repair(now, Carried::Piece(again));
        }
    }

    fn may_copy(&self, now: Timestamp, piece: &Piece) -> bool {
        let channel = self.channels.get(piece.channel);
        channel.is_some_and(|channel| channel.outboxes[piece.class as usize].may_copy(piece))
            && self.would_repeat(now, piece)
    }

    /// Second copies of what was lost go out while nothing else does.
    fn repair(&mut self, now: Timestamp) {
        while let Some(carried) = self.recovery.pop_repair(now) {
            if let Carried::Piece(piece) = carried
                && self.may_copy(now, &piece)
                && self.channels.candidate(now, false).is_none()
            {
                self.stats.repairs += 1;
                self.channels.requeue(piece);
            }
        }
    }

    /// A probe carries new data; when there is none, it repeats the oldest in flight.
    pub(super) fn begin_probe(&mut self, now: Timestamp) {
        self.probes_due = PROBE_PACKETS;
        if self.candidate(now, false).is_some() {
            return;
        }
        let mut carried = mem::take(&mut self.scratch.outcome.lost);
        carried.extend(self.recovery.oldest_carried());
        for carried in carried.drain(..) {
            match carried {
                Carried::MtuProbe(_) => {}
                Carried::Piece(_) | Carried::Messages(_) => self.each_piece(&carried, |conn, piece| {
                    if conn.may_copy(now, &piece) {
                        conn.on_lost(now, Carried::Piece(piece));
                    }
                }),
                _ => self.on_lost(now, carried),
            }
        }
        self.scratch.outcome.lost = carried;
    }

    /// Whether a piece that is lost would be written again.
    fn would_repeat(&self, now: Timestamp, piece: &Piece) -> bool {
        self.channels.get(piece.channel).is_some_and(|channel| channel.verdict(now, piece).is_none())
    }
}
