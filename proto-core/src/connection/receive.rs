//! Packet, frames, and the part that owns each.

use core::mem;

use super::state::State;
use super::{Arrival, Connection};
use crate::channel::{
    Announce, Arrival as Piece, Channel, Gone, Inbox, Intake, ReceiveCredit, Refused, SendCredit, Share,
};
use crate::wire::{Ack, Credit, DecodeError, Fragment, Frame, Msg, OpenChannel, Record};
use crate::{ChannelId, Class, Event, Refusal, Timestamp, code};

/// A rule that the peer broke: code and text of the CLOSE that it gets.
#[derive(Debug)]
pub(super) struct Violation(pub(super) u64, pub(super) &'static str);

pub(super) const fn violation<T>(text: &'static str) -> Result<T, Violation> {
    Err(Violation(code::PROTOCOL_VIOLATION, text))
}

/// Where the previous message of a record belongs, for the next one to refer to.
pub(super) type Previous = Option<(u32, u8, u64)>;

/// What a record asks for.
#[derive(Clone, Copy)]
struct Asks {
    /// An ACK.
    eliciting: bool,
    /// That at once.
    urgent: bool,
    /// Nothing else.
    only: bool,
}

impl Asks {
    /// As a message does.
    const ACK: Self = Self { eliciting: true, urgent: false, only: false };
}

/// Decodes all of a record: what it asks for, and whether it says nothing about where its sender is.
fn check_record(payload: &[u8]) -> Result<(Asks, bool), Violation> {
    let mut probing = true;
    let mut asks = Asks { eliciting: false, urgent: false, only: true };
    let mut record = Record::new(payload);
    loop {
        let checked = if record.is_at_msg() {
            (asks.eliciting, asks.only, probing) = (true, false, false);
            record.check_msg()
        } else {
            record.skip_padding();
            let Some(frame) = record.next() else { return Ok((asks, probing)) };
            frame.map(|frame| {
                let is_ping = matches!(frame, Frame::Ping);
                asks.eliciting |= frame.is_ack_eliciting();
                asks.urgent |= is_ping;
                probing &= frame.is_probing();
                asks.only &= is_ping || !frame.is_ack_eliciting();
            })
        };
        checked.map_err(|error| violation_of(&error))?;
    }
}

/// What a frame breaks that cannot be decoded.
#[inline(never)]
const fn violation_of(error: &DecodeError) -> Violation {
    match *error {
        DecodeError::UnknownFrame(_) => Violation(code::FRAME_UNKNOWN, "a frame of unknown type"),
        DecodeError::Invalid(text) => Violation(code::FRAME_ENCODING, text),
        _ => Violation(code::FRAME_ENCODING, "a malformed frame"),
    }
}

impl Connection {
    /// Checks all of a record before any of it takes effect.
    pub(super) fn apply_record(&mut self, now: Timestamp, number: u64, arrival: Arrival, payload: &[u8]) {
        let is_newest = self.received.is_newest(number);
        let mut previous = None;
        // Messages that come alone or behind an ACK need not be decoded twice.
        let mut record = Record::new(payload);
        let (ack, mut messages) = record.split_ack();
        let mut probing = false;
        if messages.run().is_some() {
            self.note_packet(now, number, arrival, Asks::ACK, payload.len());
            if let Err(Violation(code, text)) = ack.map_or(Ok(()), |ack| self.on_ack(now, &ack)) {
                return self.on_violation(now, code, text);
            }
            record = messages;
        } else if messages.is_at_last() {
            let applied = messages.next_msg().map_err(|error| violation_of(&error)).and_then(|msg| {
                self.note_packet(now, number, arrival, Asks::ACK, payload.len());
                ack.map_or(Ok(()), |ack| self.on_ack(now, &ack))?;
                if self.state.is_open() { self.on_msg(now, &msg, &mut previous) } else { Ok(()) }
            });
            return match applied {
                Err(Violation(code, text)) => self.on_violation(now, code, text),
                Ok(()) => self.follow(now, arrival, number, is_newest, false),
            };
        } else {
            let asks;
            (asks, probing) = match check_record(payload) {
                Ok(checked) => checked,
                Err(Violation(code, text)) => return self.on_violation(now, code, text),
            };
            self.note_packet(now, number, arrival, asks, payload.len());
        }
        loop {
            let applied = if record.is_at_msg() && self.state.is_open() {
                if record.run().is_some_and(|run| self.on_run(&run)) {
                    return self.follow(now, arrival, number, is_newest, probing);
                }
                match record.next_plain() {
                    Some(plain) => plain.map_or(Ok(()), |plain| self.on_plain(now, &plain, &mut previous)),
                    None => record.next_msg().map_or(Ok(()), |msg| self.on_msg(now, &msg, &mut previous)),
                }
            } else {
                record.skip_padding();
                let Some(Ok(frame)) = record.next() else {
                    return self.follow(now, arrival, number, is_newest, probing);
                };
                self.apply(now, number, &frame, &mut previous)
            };
            if let Err(Violation(code, text)) = applied {
                return self.on_violation(now, code, text);
            }
            if self.state.is_closed() {
                return;
            }
        }
    }

    /// A packet with `len` bytes of frames makes sense.
    #[inline]
    fn note_packet(&mut self, now: Timestamp, number: u64, arrival: Arrival, asks: Asks, len: usize) {
        let Asks { eliciting, urgent, only, .. } = asks;
        if self.link.is_stream() {
            self.received.insert_record(now, eliciting && !only, urgent, len);
        } else {
            self.received.insert(now, number, eliciting, urgent, self.config.max_ack_delay);
            self.received.note_mark(arrival.ecn);
        }
        self.keep_alive(now);
        if eliciting {
            self.restart_heartbeat(now);
        }
    }

    /// Acts on a frame of packet `number`.
    fn apply(
        &mut self,
        now: Timestamp,
        number: u64,
        frame: &Frame<'_>,
        previous: &mut Previous,
    ) -> Result<(), Violation> {
        let is_open = self.state.is_open();
        match frame {
            Frame::Ack(ack) => self.on_ack(now, ack),
            Frame::Confirm(hash) => {
                if self.on_confirm(now, hash) {
                    Ok(())
                } else {
                    violation("a CONFIRM that answers nothing")
                }
            }
            Frame::PathChallenge(data) if is_open => self.on_path_challenge(now, *data),
            Frame::PathResponse(data) if is_open => self.on_path_response(now, *data),
            Frame::NewCid(new) if is_open => {
                self.count_path_frame(now)?;
                self.on_new_cid(new)
            }
            Frame::RetireCid(retired) if is_open => {
                self.count_path_frame(now)?;
                self.on_retire_cid(*retired)
            }
            Frame::GoAway(goaway) if is_open => self.on_goaway(now, goaway),
            Frame::Close(close) => {
                self.on_close(now, close);
                Ok(())
            }
            Frame::CloseAck => {
                if self.state == State::Closing {
                    self.finish_closing(now);
                }
                Ok(())
            }
            Frame::Ping => {
                self.on_ping(number);
                Ok(())
            }
            Frame::Pong(echo) => {
                if self.on_pong(now, *echo) {
                    Ok(())
                } else {
                    violation("a PONG that answers nothing")
                }
            }
            Frame::Credit(credit) if is_open => self.on_credit(credit),
            Frame::Blocked(_) => {
                self.stats.blocked_received += 1;
                Ok(())
            }
            Frame::Report(report) => {
                self.on_report(report);
                Ok(())
            }
            Frame::OpenChannel(open) if is_open => self.on_open_channel(now, open),
            Frame::Skip(skip) if is_open => self.on_skip(now, skip),
            Frame::FragAbort(abort) if is_open => self.on_frag_abort(abort),
            Frame::MsgAck(receipts) if is_open => self.on_msg_ack(receipts),
            Frame::Msg(msg) if is_open => self.on_msg(now, msg, previous),
            #[cfg(planted)]
            Frame::Rate(_) if self.config.planted == Some(crate::planted::Planted::RateUnenforced) => Ok(()),
            Frame::Rate(limit) if is_open => {
                if self.channels.on_rate(now, &self.config, number, limit.scope, limit.rate) {
                    Ok(())
                } else {
                    violation("a rate for a channel that was never opened")
                }
            }
            Frame::Time(sample) if is_open => {
                self.wall.hear(now, self.here(now), sample);
                Ok(())
            }
            Frame::ResumeState(state) if is_open => self.on_resume_state(now, state),
            Frame::Cancel(request) if is_open => {
                self.on_cancel(now, *request);
                Ok(())
            }
            // All but the first two come too late to matter: the connection is being closed.
            Frame::Padding
            | Frame::Extension { .. }
            | Frame::Credit(_)
            | Frame::OpenChannel(_)
            | Frame::Rate(_)
            | Frame::GoAway(_)
            | Frame::PathChallenge(_)
            | Frame::PathResponse(_)
            | Frame::NewCid(_)
            | Frame::RetireCid(_)
            | Frame::Time(_)
            | Frame::Cancel(_)
            | Frame::Skip(_)
            | Frame::FragAbort(_)
            | Frame::MsgAck(_)
            | Frame::ResumeState(_)
            | Frame::Msg(_) => Ok(()),
            Frame::Init(_)
            | Frame::Retry(_)
            | Frame::Version(_)
            | Frame::Accept(_)
            | Frame::Sealed(_)
            | Frame::Key { .. } => violation("a handshake frame in an established connection"),
        }
    }

    fn on_ack(&mut self, now: Timestamp, ack: &Ack<'_>) -> Result<(), Violation> {
        self.recovery
            .on_ack(now, ack, &mut self.rng, &mut self.scratch.outcome, &mut self.stats)
            .map_err(|impossible| Violation(code::PROTOCOL_VIOLATION, impossible.0))?;
        self.settle_outcome(now);
        if self.state == State::Closing {
            self.hasten_closing(now);
        }
        Ok(())
    }

    fn on_credit(&mut self, credit: &Credit) -> Result<(), Violation> {
        let Some(channel) = credit.channel else {
            if self.channels.session_send.raise(credit.bytes, credit.messages) {
                self.channels.activate_starved();
            }
            return Ok(());
        };
        let id = ChannelId(channel);
        let Some(channel) = self.channels.get_mut(id) else {
            return violation("credit for a channel that was never opened");
        };
        if channel.send_credit.raise(credit.bytes, credit.messages) {
            self.channels.activate(id);
        }
        Ok(())
    }

    fn on_open_channel(&mut self, now: Timestamp, open: &OpenChannel<'_>) -> Result<(), Violation> {
        let id = ChannelId(open.channel);
        let is_clients = open.channel % 2 == 1;
        if open.channel == 0 || is_clients == self.is_client {
            return violation("a channel id that is not the peer's to open");
        }
        if let Some(known) = self.channels.get(id) {
            let is_same = known.classes == open.classes
                && known.priority == open.priority
                && known.inbox.reliable_sequenced == open.reliable_sequenced
                && *known.name == *open.name;
            return if is_same { Ok(()) } else { violation("a channel opened twice, differently") };
        }
        if self.channels.opened_there as usize >= self.config.max_channels {
            return violation("more channels than were agreed");
        }
        self.channels.opened_there += 1;
        let credit = SendCredit::new(open.bytes, open.messages);
        let mut channel = Channel::new(now, id, &self.config, credit, Announce::Known);
        channel.classes = open.classes;
        channel.priority = open.priority;
        channel.inbox.reliable_sequenced = open.reliable_sequenced;
        channel.share = Share::new(open.priority, 1);
        channel.name = open.name.into();
        self.channels.insert(channel);
        self.events.push_back(Event::Opened(id));
        Ok(())
    }

    pub(super) fn on_msg(
        &mut self,
        now: Timestamp,
        msg: &Msg<'_>,
        previous: &mut Previous,
    ) -> Result<(), Violation> {
        let Some(&class) = Class::ALL.get(usize::from(msg.class)) else {
            return violation("a message of a class that was not negotiated");
        };
        let id = ChannelId(msg.channel);
        let Some(channel) = self.channels.get_mut(id) else {
            return violation("a message on a channel that was never opened");
        };
        if !channel.allows(class) {
            return violation("a message of a class that its channel does not have");
        }
        let before = match *previous {
            Some((channel, class, id)) if (channel, class) == (msg.channel, msg.class) => id,
            _ => 0,
        };
        let number = channel.inbox.expand(class, msg.id, before);
        channel.inbox.note(class, number);
        *previous = Some((msg.channel, msg.class, number));
        let Fragment { total, offset } =
            msg.fragment.unwrap_or(Fragment { total: msg.payload.len() as u64, offset: 0 });
        let mut extras = msg.extras;
        if extras.receipt && !class.is_reliable() && !self.channels.has_room_for_receipt(&self.config) {
            if !self.channels.get(id).is_some_and(|channel| channel.repeats(class)) {
                self.refuse_for_receipt(id, class, number);
                return Ok(());
            }
            // The newest must arrive: it does, and nobody is told that it was processed.
            extras.receipt = false;
        }
        if !class.is_reliable()
            && let Some(reason) = self.refuses_unreliable(now, id, class, msg)
        {
            let receipt = extras.receipt;
            self.on_gone(
                id,
                &Gone { class, id: number, total, receipt, reason: Some(reason), request: None },
            );
            return Ok(());
        }
        let arrival =
            Piece { class, id: number, kind: msg.kind, extras, total, offset, payload: msg.payload };
        self.take_in(now, id, |inbox, credit, intake| match inbox.receive(&arrival, credit, intake) {
            Err(Refused::Dropped(reason)) => Ok(Some(reason)),
            Err(Refused::Violation(code, text)) => Err(Violation(code, text)),
            Ok(()) => Ok(None),
        })
        .map(|dropped| {
            if let Some(reason) = dropped {
                self.on_repetition(id, &arrival, reason);
            }
        })
    }

    /// Lets `act` change what arrived on a channel, and delivers and drops what comes of it.
    pub(super) fn take_in<T>(
        &mut self,
        now: Timestamp,
        id: ChannelId,
        act: impl FnOnce(&mut Inbox, [&mut ReceiveCredit; 2], &mut Intake<'_>) -> Result<T, Violation>,
    ) -> Result<T, Violation> {
        let Some(channel) = self.channels.get(id) else {
            return violation("something about a channel that was never opened");
        };
        let limits = channel.limits;
        self.channels.fill_credit(now, id);
        let mut deliveries = mem::take(&mut self.scratch.deliveries);
        let mut gone = mem::take(&mut self.scratch.gone);
        let mut intake = Intake {
            now,
            config: &self.config,
            limits,
            arena: self.arena.get_or_insert_default(),
            out: &mut deliveries,
            gone: &mut gone,
        };
        let acted = self.channels.receive(&self.config, id, |inbox, credit| act(inbox, credit, &mut intake));
        let delivered = deliveries.drain(..).try_for_each(|delivery| self.deliver(now, id, delivery));
        for gone in gone.drain(..) {
            self.on_gone(id, &gone);
        }
        self.scratch.deliveries = deliveries;
        self.scratch.gone = gone;
        self.channels.note_charge(now, id);
        let acted = acted.unwrap_or_else(|| violation("something about a channel that was never opened"))?;
        delivered.map(|()| acted)
    }

    /// Why the connection has no room for a message without credit or a piece of one, whatever its channel says.
    fn refuses_unreliable(
        &mut self,
        now: Timestamp,
        id: ChannelId,
        class: Class,
        msg: &Msg<'_>,
    ) -> Option<Refusal> {
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::RateUnenforced) {
            return None;
        }
        let is_first = msg.fragment.is_none_or(|fragment| fragment.offset == 0);
        if !self.channels.holds(id, class) && !self.channels.lets_in(now, id, is_first, msg.payload.len()) {
            return Some(Refusal::RateLimited);
        }
        let total = msg.fragment.map_or(msg.payload.len() as u64, |fragment| fragment.total);
        // The peer's link may have larger packets than this side's.
        let too_many_pieces = self.link.max_unreliable() as u64 + 1..=self.config.max_message as u64;
        if too_many_pieces.contains(&total) {
            return Some(Refusal::ReassemblyFull);
        }
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::Hoards) {
            return None;
        }
        // A channel holds no more than one sequenced message and a part of another.
        let is_bounded = class == Class::Sequenced;
        (!is_bounded && self.channels.unreliable_cost() > self.config.session_bytes)
            .then_some(Refusal::QueueFull)
    }
}
