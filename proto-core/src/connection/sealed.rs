//! Packets of an encrypted connection, in and out (docs/spec/wire.md, section 2.5).

use alloc::vec::Vec;
use core::mem;

use super::keys::{Keys, Opened};
use super::state::State;
use super::{Arrival, Connection};
use crate::crypto;
use crate::wire::packet::{self, TAG_LEN};
use crate::wire::{Frame, PlainRun, Record, sealed};
use crate::{ChannelId, Drop, Timestamp, code};

impl Connection {
    pub(super) fn keys_mut(&mut self) -> Option<&mut Keys> {
        self.secrecy.as_mut()?.keys.as_mut()
    }

    /// Whether its packets are sealed.
    #[inline]
    pub(super) fn is_sealed(&self) -> bool {
        self.secrecy.as_ref().is_some_and(|secrecy| secrecy.keys.is_some())
    }

    /// Bytes of the tag behind a packet that goes out.
    #[inline]
    pub(super) fn tag_len(&self) -> usize {
        match self.link.is_stream() {
            true => 0,
            false if self.is_sealed() => crypto::TAG_LEN,
            false => TAG_LEN,
        }
    }

    /// Ends packet `number`, which begins at `start` with its header.
    #[inline]
    pub(super) fn finish_datagram(&mut self, now: Timestamp, buf: &mut Vec<u8>, start: usize, number: u64) {
        let acked = self.recovery.largest_acked();
        let Self { config, secrecy, .. } = self;
        if let Some(keys) = secrecy.as_mut().and_then(|secrecy| secrecy.keys.as_mut()) {
            return keys.seal(now, config, (number, acked), (buf, start));
        }
        packet::finish_short(buf, start, self.guard, number, self.config.checksum);
    }

    /// Takes in a packet that may be sealed, and those of `rest` as [`Self::handle_train`] does.
    pub(crate) fn handle_sealed<'p>(
        &mut self,
        now: Timestamp,
        arrival: Arrival,
        packet: &[u8],
        mut rest: &'p [u8],
        stride: usize,
    ) -> &'p [u8] {
        let now = self.advance(now);
        self.on_sealed(now, arrival, packet);
        while !rest.is_empty() && self.state == State::Established && !self.is_roaming() && self.is_sealed() {
            let (packet, behind) = rest.split_at(stride.min(rest.len()));
            if !sealed::dcid(packet).is_some_and(|cid| self.is_called(cid)) {
                break;
            }
            self.on_sealed(now, arrival, packet);
            rest = behind;
        }
        self.update_timers();
        rest
    }

    /// A packet came in that is sealed, if it is one of this connection.
    pub(super) fn on_sealed(&mut self, now: Timestamp, arrival: Arrival, datagram: &[u8]) {
        let dcid = sealed::dcid(datagram).filter(|_| self.is_sealed());
        let Some(dcid) = dcid else {
            return self.on_garbage(now, datagram, Drop::MalformedHeader);
        };
        if !self.expects(now, arrival, dcid, datagram) {
            return;
        }
        let mut packet = mem::take(&mut self.scratch.opened);
        packet.clear();
        packet.extend_from_slice(datagram);
        match self.open(now, &mut packet) {
            Some(Opened { has_reserved: true, .. }) => self.stats.drops.count(Drop::MalformedHeader),
            Some(opened) => {
                self.note_called(dcid);
                self.on_opened(now, arrival, &opened, &packet[opened.record.clone()], datagram.len());
            }
            None => self.on_forged(now, datagram),
        }
        self.scratch.opened = packet;
    }

    fn open(&mut self, now: Timestamp, packet: &mut [u8]) -> Option<Opened> {
        let Self { config, secrecy, received, recovery, .. } = self;
        let keys = secrecy.as_mut()?.keys.as_mut()?;
        let next = recovery.next();
        keys.open(now, config, packet, |low, len| received.expand(low, len), || recovery.pto(), next)
    }

    fn on_opened(&mut self, now: Timestamp, arrival: Arrival, opened: &Opened, record: &[u8], len: usize) {
        if self.state == State::Established
            && arrival.path == self.active_path()
            && !self.is_roaming()
            && self.received.is_next(opened.number)
            && opened.before.is_none()
            && let Some(run) = PlainRun::read(record)
            && self.accept_next(now, arrival, &run)
        {
            self.stats.packets_received += 1;
            self.stats.bytes_received += len as u64;
            self.keep_alive(now);
            self.restart_heartbeat(now);
            return;
        }
        if let Some(first) = opened.before
            && Record::new(record).any(|frame| matches!(frame, Ok(Frame::Ack(ack)) if ack.largest >= first))
        {
            let text = "a packet of a previous key acknowledges one of the present key";
            return self.on_violation(now, code::PROTOCOL_VIOLATION, text);
        }
        self.on_authentic(now, arrival, opened.number, record, len);
    }

    /// What did not open may be a stateless reset; otherwise it is counted, and changes nothing.
    fn on_forged(&mut self, now: Timestamp, datagram: &[u8]) {
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::WindowBeforeTag) {
            let received = &self.received;
            let number = self.secrecy.as_ref().and_then(|secrecy| {
                secrecy.keys.as_ref()?.number_of(datagram, |low, len| received.expand(low, len))
            });
            if let Some(number) = number.filter(|&number| self.received.is_new(number)) {
                self.received.insert(now, number, true, false, self.config.max_ack_delay);
            }
        }
        self.on_garbage(now, datagram, Drop::ForgedPacket);
        if self.state.is_open() && self.keys_mut().is_some_and(|keys| keys.are_used_up()) {
            self.on_violation(now, code::KEYS_USED_UP, "too many packets were forged");
        }
    }

    /// Takes in the messages of the packet that everything waits for; `false`: they need a closer look, and nothing has happened.
    #[inline]
    pub(super) fn accept_next(&mut self, now: Timestamp, arrival: Arrival, run: &PlainRun<'_>) -> bool {
        let Some(accepted) = self.accept_run(run, 0) else { return false };
        self.received.insert_next(now, self.config.max_ack_delay);
        self.received.note_mark(arrival.ecn);
        if accepted.is_first {
            self.on_first_ready(ChannelId(run.channel));
        }
        true
    }
}
