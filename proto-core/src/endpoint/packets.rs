//! Packets in and out, one by one or many at a time.

use alloc::vec::Vec;

use super::{Address, Endpoint};
use crate::connection::{Arrival, Asked};
use crate::wire::{Cid, DecodeError, Init, Packet};
use crate::{Connection, Drop, Meta, Timestamp, Transmit};

/// Packets of one connection before another one's turn.
const BURST: usize = 64;

impl<A: Address> Endpoint<A> {
    /// Takes in a packet. What makes no sense is counted and dropped; no timer fires.
    pub fn handle_packet(&mut self, now: Timestamp, meta: Meta<A>, packet: &[u8]) {
        self.handle_packets(now, meta, packet, packet.len());
    }

    /// Takes in packets that came together and the same way, as a system hands them over that joins datagrams (GRO): each has
    /// `stride` bytes, but for the last, which may be shorter. The same as [`Self::handle_packet`] for each of them.
    pub fn handle_packets(&mut self, now: Timestamp, meta: Meta<A>, mut packets: &[u8], stride: usize) {
        let (now, stride) = (self.advance(now), stride.max(1));
        self.relieve(now);
        loop {
            let (packet, rest) = packets.split_at(stride.min(packets.len()));
            packets = self.take_in(now, meta, packet, rest, stride);
            if packets.is_empty() {
                return;
            }
        }
    }

    /// Takes in `packet`, and those of `rest` that belong to the same connection; returns what is left of it.
    fn take_in<'p>(
        &mut self,
        now: Timestamp,
        meta: Meta<A>,
        packet: &'p [u8],
        rest: &'p [u8],
        stride: usize,
    ) -> &'p [u8] {
        match Packet::decode(packet, self.config.checksum) {
            Ok(Packet::Short(short)) => match self.routes.by_cid(short.dcid) {
                Some(slot) => {
                    let left = self.lend_arena(slot, meta, |conn, arrival| {
                        conn.handle_train(now, arrival, (&short, packet), rest, stride)
                    });
                    return left.unwrap_or(rest);
                }
                None if self.sessions.is_fenced(now, short.dcid) => self.count(Drop::Fenced),
                None => self.on_unknown(now, meta, Some(short.dcid), packet),
            },
            Ok(Packet::Long(long)) => self.on_long(now, meta, &long, packet),
            Err(DecodeError::BadChecksum) => self.count(Drop::BadChecksum),
            Err(_) => return self.take_in_sealed(now, meta, packet, rest, stride),
        }
        rest
    }

    /// Appends one packet to `buf`, if there is one to send; from then on it counts as sent. Up to 64 packets of one connection
    /// come before the next one's.
    pub fn poll_transmit(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> Option<Transmit<A>> {
        let mut polled = None;
        self.poll(now, 1, buf, &mut |transmit| polled = Some(transmit));
        polled
    }

    /// Appends up to `max` packets to `buf`, one behind the other, and what each of them is to `packets`: the same as so many calls
    /// of [`Self::poll_transmit`], but it takes less. Returns how many they are; fewer than `max` say that there are no more.
    pub fn poll_packets(
        &mut self,
        now: Timestamp,
        max: usize,
        buf: &mut Vec<u8>,
        packets: &mut Vec<Transmit<A>>,
    ) -> usize {
        let mut polled = 0;
        while polled < max {
            let more = self.poll(now, max - polled, buf, &mut |transmit| packets.push(transmit));
            if more == 0 {
                break;
            }
            polled += more;
        }
        polled
    }

    /// Packets of one connection, at most `max`; none when nobody has any.
    fn poll(
        &mut self,
        now: Timestamp,
        max: usize,
        buf: &mut Vec<u8>,
        each: &mut impl FnMut(Transmit<A>),
    ) -> usize {
        let now = self.advance(now);
        if let Some((address, answer)) = self.answers.pop_front() {
            buf.extend_from_slice(&answer);
            self.stats.packets_sent += 1;
            self.stats.bytes_sent += answer.len() as u64;
            each(Transmit { path: address, ecn: None, len: answer.len() });
            return 1;
        }
        while let Some(slot) = self.sending.front() {
            // While its addresses may change from one packet to the next, each is looked at.
            let is_one_way = self.entry(slot).is_some_and(|entry| entry.has_one_address());
            let max = if is_one_way { max.min(BURST - usize::from(self.burst)) } else { 1 };
            self.lend_rates(slot);
            let polled = self.poll_connection(now, slot, max, buf, each);
            self.take_rates(slot);
            self.burst += polled as u8;
            if polled < max {
                self.sending.pop();
                self.burst = 0;
            } else if usize::from(self.burst) >= BURST {
                self.sending.rotate();
                self.burst = 0;
            }
            if self.awake(slot).is_some_and(|conn| conn.has_events()) {
                self.speaking.push(slot);
            }
            self.touch(slot);
            if polled > 0 {
                return polled;
            }
        }
        0
    }

    fn poll_connection(
        &mut self,
        now: Timestamp,
        slot: u32,
        max: usize,
        buf: &mut Vec<u8>,
        each: &mut impl FnMut(Transmit<A>),
    ) -> usize {
        let Self { slots, config, asleep, .. } = self;
        let entry = slots.get_mut(slot as usize).and_then(|slot| slot.entry.as_deref_mut());
        let Some(entry) = entry.filter(|entry| entry.takes_datagrams()) else { return 0 };
        let Some(conn) = entry.conn.awake_mut() else { return 0 };
        let mut written = None;
        let polled = if max == 1 {
            written = conn.poll_transmit(now, buf);
            usize::from(written.is_some())
        } else {
            let path = entry.address;
            conn.poll_packets(now, max, buf, |transmit| {
                each(Transmit { path, ecn: transmit.ecn, len: transmit.len });
            })
        };
        if let Some(Transmit { path, ecn, len }) = written {
            each(Transmit { path: entry.address_of(path), ecn, len });
        }
        if polled < max {
            entry.conn.doze(config, asleep);
        }
        if polled > 0 {
            entry.sync_paths();
        }
        polled
    }

    pub(super) fn hand_in(&mut self, now: Timestamp, slot: u32, meta: Meta<A>, packet: &[u8]) {
        self.lend_arena(slot, meta, |conn, arrival| {
            conn.handle_packet(now, Meta { path: arrival.path, ecn: arrival.ecn }, packet);
        });
    }

    /// The same with an INIT of `client` that was read, of so many bytes.
    pub(super) fn hand_in_init(
        &mut self,
        now: Timestamp,
        slot: u32,
        meta: Meta<A>,
        (client, init, asked): (Cid, &Init<'_>, Asked),
        size: usize,
    ) {
        self.lend_arena(slot, meta, |conn, _| conn.handle_init(now, client, init, asked, size));
    }

    /// Hands a packet to its connection, which puts payloads into the endpoint's arena.
    #[inline]
    pub(super) fn lend_arena<T>(
        &mut self,
        slot: u32,
        meta: Meta<A>,
        hand_over: impl FnOnce(&mut Connection, Arrival) -> T,
    ) -> Option<T> {
        let entry = self.entry(slot)?;
        // What is carried by a stream gets nothing in datagrams, late answers to its search for a way for example.
        let arrival = if entry.takes_datagrams() { entry.arrival(meta.path, meta.ecn) } else { None };
        let Some(arrival) = arrival else {
            self.count(Drop::WrongAddress);
            return None;
        };
        self.lend_arena_to(slot, |conn| hand_over(conn, arrival))
    }
}
