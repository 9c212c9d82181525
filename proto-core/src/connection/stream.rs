//! A link that carries records in order: no header, no tag, and numbers that nobody writes (docs/spec/wire.md, section 2.4).

use core::time::Duration;

use super::state::{End, State};
use super::{Arrival, Connection};
use crate::framing::MAX_RECORD;
use crate::recovery::{Mtu, Received as ReceivedPackets, Recovery};
use crate::wire::{Cid, Frame, Record, RecordWriter};
use crate::{CloseReason, DialError, Drop, Link, Timestamp, code};

/// PING and PONG of a stream, whose ACKs come too late to tell of life or of time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Echo {
    /// The number of the last record with a PING of this side, and when that was written.
    asked: Option<(u64, Timestamp)>,
    /// It has been answered.
    is_answered: bool,
    /// The number of the peer's record with a PING that is to be answered.
    due: Option<u64>,
}

impl Connection {
    /// Goes on over another link, from nothing.
    pub(super) fn set_link(&mut self, now: Timestamp, link: Link) {
        self.link = link;
        self.recovery = Recovery::new(now, &self.config, link, &mut self.rng);
        self.received = ReceivedPackets::default();
        self.mtu = Mtu::new(link.max_packet, if link.is_stream() { 0 } else { self.config.max_packet });
        self.channels.set_packet(link.max_packet);
        self.echo = Echo::default();
        if link.is_stream() {
            self.forget_keys();
        }
    }

    /// The link over which it goes.
    pub(crate) const fn link(&self) -> Link {
        self.link
    }

    pub(super) fn receive_record(&mut self, now: Timestamp, record: &[u8]) {
        match self.state {
            State::Backoff | State::Draining | State::Drained => self.stats.drops.count(Drop::AfterClose),
            State::Suspended if !self.is_claimed() => self.stats.drops.count(Drop::AfterClose),
            State::Connecting => self.on_first_record(now, 0, self.link, record),
            State::Accepting | State::Suspended if !self.has_agreed() => {
                self.on_first_record(now, 0, self.link, record);
            }
            _ if record.is_empty() || record.len() > MAX_RECORD => {
                self.stats.drops.count(Drop::MalformedRecord);
                self.on_violation(now, code::FRAME_ENCODING, "a record of a length that no record has");
            }
            state => {
                let must_confirm = matches!(state, State::Accepting | State::Suspended);
                if must_confirm && !self.confirms(now, record) {
                    return self.on_bad_first_record(now, 0, Drop::UnexpectedHandshake);
                }
                self.stats.packets_received += 1;
                self.stats.bytes_received += record.len() as u64;
                self.apply_record(now, self.received.next(), Arrival::default(), record);
            }
        }
    }

    /// The handshake's record came in on a stream that was opened for a way.
    pub(crate) fn handle_first_record(&mut self, now: Timestamp, way: u8, link: Link, record: &[u8]) {
        let now = self.advance(now);
        self.on_first_record(now, way, link, record);
        self.update_timers();
    }

    fn on_first_record(&mut self, now: Timestamp, way: u8, link: Link, bytes: &[u8]) {
        let mut record = Record::new(bytes);
        let frame = record.next();
        let is_only = record.is_empty();
        let taken = match frame {
            Some(Ok(Frame::Init(init))) if is_only && !self.is_client => {
                self.on_init(Cid::default(), &init, bytes.len())
            }
            Some(Ok(Frame::Accept(accept))) if is_only && self.is_client => {
                self.on_accept(now, way, link, Cid::default(), &accept)
            }
            Some(Ok(Frame::Version(versions))) if is_only && self.is_client => {
                self.on_versions(now, way, versions, true)
            }
            Some(Ok(Frame::Close(close))) if is_only && self.is_client => {
                self.on_refused(now, way, &close);
                Ok(())
            }
            _ => Err(Drop::MalformedHandshake),
        };
        match taken {
            Ok(()) => {
                self.stats.packets_received += 1;
                self.stats.bytes_received += bytes.len() as u64;
            }
            Err(reason) => self.on_bad_first_record(now, way, reason),
        }
    }

    /// Nothing that follows can be understood: this way leads to no agreement.
    fn on_bad_first_record(&mut self, now: Timestamp, way: u8, reason: Drop) {
        self.stats.drops.count(reason);
        if self.is_client {
            self.on_way_failed(now, way, CloseReason::Dial(DialError::Foreign));
        } else if self.state != State::Suspended {
            let text = "the first record of a stream is not what a handshake has there";
            self.enter_closed(now, End::of(CloseReason::PeerMisbehaved(text)), Duration::ZERO);
        }
    }

    /// What came was no record.
    pub(crate) fn on_broken_link(&mut self, now: Timestamp, text: &'static str) {
        let now = self.advance(now);
        self.stats.drops.count(Drop::MalformedRecord);
        if self.state.is_open() || self.state == State::Closing {
            self.on_violation(now, code::FRAME_ENCODING, text);
        } else if self.state == State::Accepting {
            self.enter_closed(now, End::of(CloseReason::PeerMisbehaved(text)), Duration::ZERO);
        }
    }

    /// The stream died.
    pub(crate) fn on_link_lost(&mut self, now: Timestamp) {
        let now = self.advance(now);
        self.ending.forget();
        match self.state {
            State::Connecting | State::Backoff | State::Suspended | State::Draining | State::Drained => {}
            State::Accepting => {
                self.stats.drops.count(Drop::HandshakeWithdrawn);
                self.enter_closed(now, End::of(CloseReason::LinkLost), Duration::ZERO);
            }
            State::Closing => self.finish_closing(now),
            State::Established | State::Flushing => self.lose_link(now, End::of(CloseReason::LinkLost)),
        }
        self.update_timers();
    }

    /// Whether nothing will be written on the stream any more.
    pub(crate) const fn is_done_writing(&self) -> bool {
        matches!(self.state, State::Backoff | State::Draining | State::Drained) && !self.ending.is_due()
    }

    /// Whether a record must go out for what has come in.
    pub(super) const fn owes_echo(&self) -> bool {
        self.echo.due.is_some()
    }

    pub(super) const fn on_ping(&mut self, number: u64) {
        if self.link.is_stream() {
            self.echo.due = Some(number);
        }
    }

    pub(super) fn write_echo(&mut self, writer: &mut RecordWriter<'_>) {
        if let Some(number) = self.echo.due.take() {
            writer.write(&Frame::Pong(number), false);
        }
    }

    /// The record under way carries a PING.
    pub(super) const fn note_ping(&mut self, now: Timestamp) {
        self.echo.asked = Some((self.recovery.next(), now));
        self.echo.is_answered = false;
    }

    /// PONG came; `false` when it answers nothing that was asked.
    pub(super) fn on_pong(&mut self, now: Timestamp, echo: u64) -> bool {
        let Some((number, sent)) = self.echo.asked else { return false };
        if number == echo && !core::mem::replace(&mut self.echo.is_answered, true) {
            self.recovery.rtt.sample(now, sent, Duration::ZERO);
        }
        self.link.is_stream() && echo <= number
    }

    /// Whether PING should ask for an ACK before its time: this side waits for nothing else, and has not asked for so much yet.
    pub(super) fn wants_early_ack(&self) -> bool {
        if !self.link.is_stream() {
            return false;
        }
        let asked = self.echo.asked.map(|(number, _)| number);
        if self.recovery.newest_in_flight().is_none_or(|newest| asked >= Some(newest)) {
            return false;
        }
        self.state == State::Flushing || self.channels.iter().any(crate::channel::Channel::owes_writable)
    }
}

crate::sleep::saved!(Echo { asked, is_answered, due });
