//! From a packet to its record.

use core::time::Duration;

use super::state::{End, State};
use super::{Arrival, Connection};
use crate::wire::{Cid, DecodeError, Frame, Packet, Record, Short};
use crate::{CloseReason, Drop, Meta, Timestamp};

impl Connection {
    pub(super) fn receive(&mut self, now: Timestamp, meta: Meta, datagram: &[u8]) {
        if self.link.is_stream() {
            return self.receive_record(now, datagram);
        }
        let is_elsewhere = !self.is_dialling() && meta.path != self.active_path();
        let arrival = Arrival { path: meta.path, is_same_host: false, ecn: meta.ecn };
        match Packet::decode(datagram, self.config.checksum) {
            Ok(Packet::Long(_)) if is_elsewhere => self.stats.drops.count(Drop::WrongAddress),
            Ok(Packet::Long(long)) => {
                self.on_long(now, meta.path.0, &long, datagram.len());
            }
            Ok(Packet::Short(_)) | Err(_) if self.is_sealed() => self.on_sealed(now, arrival, datagram),
            Ok(Packet::Short(short)) => self.on_short(now, arrival, &short, datagram),
            Err(DecodeError::BadChecksum) => self.stats.drops.count(Drop::BadChecksum),
            Err(_) => self.on_garbage(now, datagram, Drop::MalformedHeader),
        }
    }

    /// What is not a packet of this connection may say that the server has forgotten it.
    pub(crate) fn on_garbage(&mut self, now: Timestamp, datagram: &[u8], reason: Drop) {
        let is_reset = self.reset_token.is_some_and(|token| token.ends(datagram));
        if is_reset && self.state == State::Closing {
            self.finish_closing(now);
        } else if is_reset && !self.state.is_closed() {
            let end = End::of(CloseReason::Reset);
            self.enter_closed(now, end, Duration::ZERO);
        } else {
            self.stats.drops.count(reason);
        }
    }

    pub(super) fn on_short(&mut self, now: Timestamp, arrival: Arrival, short: &Short<'_>, datagram: &[u8]) {
        #[cfg(planted)]
        if self.is_unfenced(short.dcid) {
            let number = self.received.expand(short.number, short.number_len);
            return self.apply_record(now, number, arrival, short.payload);
        }
        if !self.expects(now, arrival, short.dcid, datagram) {
            return;
        }
        let number = self.received.expand(short.number, short.number_len);
        if !short.verify(self.guard, number, self.config.checksum) {
            return self.on_garbage(now, datagram, Drop::BadChecksum);
        }
        self.on_authentic(now, arrival, number, short.payload, datagram.len());
    }

    /// Whether a packet for `dcid` may be one of this connection as it stands; otherwise it is dealt with.
    #[inline]
    pub(super) fn expects(&mut self, now: Timestamp, arrival: Arrival, dcid: Cid, datagram: &[u8]) -> bool {
        if !self.is_dialling() && arrival.path != self.active_path() && !self.may_roam() {
            self.stats.drops.count(Drop::WrongAddress);
            return false;
        }
        if self.link.is_stream() {
            self.stats.drops.count(Drop::UnknownConnection);
            return false;
        }
        let is_expected = match self.state {
            State::Connecting | State::Backoff => false,
            State::Suspended => !self.is_client,
            State::Accepting => self.has_agreed(),
            State::Drained => {
                self.stats.drops.count(Drop::AfterClose);
                return false;
            }
            _ => true,
        };
        if !is_expected || !self.is_called(dcid) {
            self.on_garbage(now, datagram, Drop::UnknownConnection);
            return false;
        }
        true
    }

    /// Takes in the record of packet `number`, whose tag is right; the packet has `len` bytes.
    #[inline]
    pub(super) fn on_authentic(
        &mut self,
        now: Timestamp,
        arrival: Arrival,
        number: u64,
        payload: &[u8],
        len: usize,
    ) {
        if !self.received.is_new(number) {
            return self.stats.drops.count(Drop::DuplicatePacket);
        }
        if self.state == State::Draining {
            self.stats.drops.count(Drop::AfterClose);
            let is_close = Record::new(payload).any(|frame| matches!(frame, Ok(Frame::Close(_))));
            return self.answer_late_packet(is_close);
        }
        let must_confirm = match self.state {
            State::Accepting => true,
            State::Suspended => self.is_accepting(),
            _ => false,
        };
        if must_confirm && !self.confirms(now, payload) {
            let is_close = first_frame(payload).is_some_and(|frame| matches!(frame, Frame::Close(_)));
            if is_close && self.state == State::Accepting {
                return self.on_withdrawn(now);
            }
            return self.stats.drops.count(Drop::UnexpectedHandshake);
        }
        if self.state == State::Suspended {
            self.revive(now);
        }
        self.stats.packets_received += 1;
        self.stats.bytes_received += len as u64;
        self.set_arrival(arrival.path, len);
        self.apply_record(now, number, arrival, payload);
    }

    /// The client says that it will not come: it found another way.
    fn on_withdrawn(&mut self, now: Timestamp) {
        self.stats.drops.count(Drop::HandshakeWithdrawn);
        self.enter_closed(now, End::of(CloseReason::LinkLost), Duration::ZERO);
    }

    /// Whether a record begins with the CONFIRM that this server waits for, which establishes the connection.
    pub(super) fn confirms(&mut self, now: Timestamp, payload: &[u8]) -> bool {
        matches!(first_frame(payload), Some(Frame::Confirm(hash)) if self.on_confirm(now, &hash))
    }
}

/// The first frame of a record that means anything.
pub(super) fn first_frame(payload: &[u8]) -> Option<Frame<'_>> {
    let mut record = Record::new(payload);
    record.skip_padding();
    record.next()?.ok()
}
