//! A client by hand, as the specification tells it.

use std::net::SocketAddr;

use proto_core::wire::checksum::crc32c;
use proto_core::wire::packet::{self, MIN_INIT, VERSION};
use proto_core::wire::params::Params;
use proto_core::wire::{
    Attach, Cid, Claim, Close, Extras, Fragment, Frame, Init, Kind, Long, LongKind, Msg, OpenChannel,
    Options, Packet, Record, RecordWriter, Version, WireId,
};
use proto_core::{Class, ConnectionId, Event};

use crate::world::{World, ms, secs};

pub(crate) struct Peer {
    pub(crate) at: SocketAddr,
    pub(crate) remote: Cid,
    id: Option<ConnectionId>,
    pub(crate) session: [u8; 16],
    pub(crate) secret: [u8; 32],
    pub(crate) guard: u32,
    pub(crate) number: u64,
    pub(crate) confirm: [u8; 16],
}

pub(crate) fn half(hash: blake3::Hash) -> [u8; 16] {
    std::array::from_fn(|i| hash.as_bytes()[i])
}

/// What it takes of the server: plenty.
pub(crate) fn plenty() -> Params {
    let plenty = 1 << 40;
    Params {
        max_message: plenty,
        session_bytes: plenty,
        session_messages: plenty,
        channel_bytes: plenty,
        channel_messages: plenty,
        max_channels: plenty,
        resume_window: secs(60),
        ..Params::default()
    }
}

/// A long packet with nothing but the frames that `write` writes, as long as an INIT must be.
pub(crate) fn long(
    kind: LongKind,
    scid: &[u8],
    write: impl FnOnce(&mut RecordWriter<'_>),
) -> (Vec<u8>, Vec<u8>) {
    let mut record = Vec::new();
    write(&mut RecordWriter::new(&mut record));
    let first = record.clone();
    record.resize(record.len().max(MIN_INIT), 0);
    let mut packet = Vec::new();
    Long { kind, version: VERSION, dcid: &[7; 8], scid, payload: &record }.encode(&mut packet, crc32c);
    (packet, first)
}

/// An INIT, and its hash.
pub(crate) fn init(
    local: Cid,
    token: &[u8],
    offer: &Params,
    claim: Option<(Claim, &[u8; 32])>,
) -> (Vec<u8>, [u8; 16]) {
    init_by([8; 32], local, token, offer, claim)
}

/// The same of a client with these random bytes.
pub(crate) fn init_by(
    client_random: [u8; 32],
    local: Cid,
    token: &[u8],
    offer: &Params,
    claim: Option<(Claim, &[u8; 32])>,
) -> (Vec<u8>, [u8; 16]) {
    let (packet, record) = init_and_record(client_random, local, token, offer, claim);
    (packet, half(blake3::hash(&record)))
}

/// INIT as a datagram, and as the first record of a stream.
pub(crate) fn init_and_record(
    client_random: [u8; 32],
    local: Cid,
    token: &[u8],
    offer: &Params,
    claim: Option<(Claim, &[u8; 32])>,
) -> (Vec<u8>, Vec<u8>) {
    let mut params = Vec::new();
    offer.encode(&mut params);
    let versions = VERSION.to_be_bytes();
    let versions = Version::from_bytes(&versions).expect("one version");
    let mut frame = Init { versions, client_random, token, attach: Attach::New, params: &params };
    if let Some((claim, secret)) = claim {
        frame.attach = Attach::Resume(claim);
        let mut record = Vec::new();
        RecordWriter::new(&mut record).write(&Frame::Init(frame), false);
        let proof = blake3::keyed_hash(secret, &record[..record.len() - claim.proof.len()]);
        frame.attach = Attach::Resume(Claim { proof: *proof.as_bytes(), ..claim });
    }
    long(LongKind::Init, &local.0, |writer| writer.write(&Frame::Init(frame), false))
}

/// The record of a packet of the server.
pub(crate) fn payload(packet: &[u8]) -> &[u8] {
    match Packet::decode(packet, crc32c) {
        Ok(Packet::Long(long)) => long.payload,
        Ok(Packet::Short(short)) => short.payload,
        Err(error) => panic!("the server sends packets: {error:?}"),
    }
}

/// The frames of a packet of the server.
pub(crate) fn frames(packet: &[u8]) -> Vec<Frame<'_>> {
    Record::new(payload(packet)).map(|frame| frame.expect("a frame of the server")).collect()
}

/// The token of a RETRY.
pub(crate) fn token(packet: &[u8]) -> Option<Vec<u8>> {
    frames(packet).iter().find_map(|frame| match frame {
        Frame::Retry(token) => Some(token.to_vec()),
        _ => None,
    })
}

/// What the server answers to this packet.
pub(crate) fn answer(world: &mut World, from: SocketAddr, packet: &[u8]) -> Vec<u8> {
    let before = world.sent.len();
    world.hand_in(from, packet);
    world.drain();
    let mut answers = world.sent[before..].iter().filter(|(to, _)| *to == from);
    answers.next().expect("an answer").1.clone()
}

impl Peer {
    /// The server's name for the connection.
    pub(crate) fn id(&self) -> ConnectionId {
        self.id.expect("it is connected")
    }

    /// As far as ACCEPT.
    pub(crate) fn half_open(world: &mut World, at: SocketAddr, local: Cid, offer: &Params) -> Self {
        let (first, _) = init(local, &[], offer, None);
        let retry = answer(world, at, &first);
        let (second, transcript) = init(local, &token(&retry).expect("RETRY"), offer, None);
        let accept = answer(world, at, &second);
        Self::accepted(at, local, &accept, transcript)
    }

    fn accepted(at: SocketAddr, local: Cid, accept: &[u8], transcript: [u8; 16]) -> Self {
        let Ok(Packet::Long(long)) = Packet::decode(accept, crc32c) else {
            panic!("ACCEPT is a long packet")
        };
        let Some(Ok(Frame::Accept(accept))) = Record::new(long.payload).next() else { panic!("ACCEPT") };
        assert_eq!(accept.transcript, transcript);
        let remote = Cid::from_slice(long.scid).expect("8 bytes");
        let mut hashed = transcript.to_vec();
        hashed.extend(long.payload);
        Self {
            at,
            remote,
            id: None,
            session: accept.session_id,
            secret: accept.secret,
            guard: packet::guard(local, remote, crc32c),
            number: 40_000,
            confirm: half(blake3::hash(&hashed)),
        }
    }

    pub(crate) fn join_with(world: &mut World, at: SocketAddr, offer: &Params) -> Self {
        let mut local = [6; 8];
        local[..2].copy_from_slice(&at.port().to_be_bytes());
        let mut peer = Self::half_open(world, at, Cid(local), offer);
        let before = world.events.len();
        let confirm = Frame::Confirm(peer.confirm);
        peer.quietly(world, |writer| writer.write(&confirm, false));
        let id = world.events[before..]
            .iter()
            .find_map(|(id, event)| matches!(event, Event::Established { .. }).then_some(*id));
        assert!(id.is_some(), "the handshake is as it is written");
        peer.id = id;
        peer
    }

    pub(crate) fn join(world: &mut World, at: SocketAddr) -> Self {
        Self::join_with(world, at, &plenty())
    }

    /// Another attachment of the same session.
    pub(crate) fn resume(&self, world: &mut World, at: SocketAddr) -> Self {
        self.resume_as(world, at, 2)
    }

    /// The same, with this number.
    pub(crate) fn resume_as(&self, world: &mut World, at: SocketAddr, incarnation: u32) -> Self {
        let claim = Claim { session_id: self.session, incarnation, proof: [0; 32] };
        let local = Cid([9; 8]);
        let (init, transcript) = init(local, &[], &plenty(), Some((claim, &self.secret)));
        let accept = answer(world, at, &init);
        let peer = Self::accepted(at, local, &accept, transcript);
        Self { id: self.id, ..peer }
    }

    /// A packet with a valid number and tag.
    pub(crate) fn seal_as(&self, number: u64, record: &[u8]) -> Vec<u8> {
        let mut buf = Vec::new();
        packet::start_short(&mut buf, self.remote, number, 4);
        buf.extend_from_slice(record);
        packet::finish_short(&mut buf, 0, self.guard, number, crc32c);
        buf
    }

    fn quietly(&mut self, world: &mut World, write: impl FnOnce(&mut RecordWriter<'_>)) {
        let mut record = Vec::new();
        write(&mut RecordWriter::new(&mut record));
        self.number += 1;
        let packet = self.seal_as(self.number, &record);
        world.hand_in(self.at, &packet);
        world.drain();
    }

    /// Any bytes as a record.
    pub(crate) fn raw(&mut self, world: &mut World, record: &[u8]) {
        world.keep("record", record);
        self.number += 1;
        let packet = self.seal_as(self.number, record);
        world.hand_in(self.at, &packet);
        world.drain();
    }

    pub(crate) fn write(&mut self, world: &mut World, write: impl FnOnce(&mut RecordWriter<'_>)) {
        let mut record = Vec::new();
        write(&mut RecordWriter::new(&mut record));
        self.raw(world, &record);
    }

    pub(crate) fn say(&mut self, world: &mut World, frames: &[Frame<'_>]) {
        self.write(world, |writer| {
            for (index, frame) in frames.iter().enumerate() {
                writer.write(frame, index + 1 == frames.len());
            }
        });
    }

    /// Numbers of the packets that the server sent to it.
    pub(crate) fn came(&self, world: &World) -> Vec<u64> {
        let mut expected = 0;
        let numbers = world.sent_to(self.at).filter_map(|packet| {
            let Ok(Packet::Short(short)) = Packet::decode(packet, crc32c) else { return None };
            let number = packet::expand_number(expected, short.number, short.number_len);
            if !short.verify(self.guard, number, crc32c) {
                return None;
            }
            expected = number + 1;
            Some(number)
        });
        numbers.collect()
    }

    /// Acknowledges all that came.
    pub(crate) fn ack(&mut self, world: &mut World) {
        let came = self.came(world);
        let mut ranges: Vec<std::ops::RangeInclusive<u64>> = Vec::new();
        for number in came.into_iter().rev() {
            match ranges.last_mut() {
                Some(last) if *last.start() == number + 1 => *last = number..=*last.end(),
                Some(last) if last.contains(&number) => {}
                _ => ranges.push(number..=number),
            }
        }
        ranges.truncate(60);
        if !ranges.is_empty() {
            self.quietly(world, |writer| writer.write_ack(0, ranges.into_iter()));
        }
    }

    /// Code and reason of the CLOSE that the server sent to it.
    pub(crate) fn close<'w>(&self, world: &'w World) -> Option<(u64, &'w str)> {
        world.sent_to(self.at).filter(|packet| Packet::decode(packet, crc32c).is_ok()).find_map(|packet| {
            frames(packet).into_iter().find_map(|frame| match frame {
                Frame::Close(Close { code, reason, .. }) => Some((code, reason)),
                _ => None,
            })
        })
    }

    /// The server ended the connection with this code, blames the peer, and holds nothing of it.
    pub(crate) fn assert_ended(&self, world: &mut World, code: u64, what: &str) {
        world.run(ms(1));
        let blame = world.blames(self.id());
        assert!(blame.is_some(), "{what}: the connection goes on, or ended as {:?}", world.closed(self.id()));
        assert_eq!(self.close(world), blame.map(|text| (code, text)), "{what}");
    }

    pub(crate) fn assert_open(&self, world: &World, what: &str) {
        assert!(world.closed(self.id()).is_none(), "{what}: {:?}", world.closed(self.id()));
    }

    /// Bytes that the server holds for the application.
    pub(crate) fn held(&self, world: &World) -> usize {
        world.server.get(self.id()).map_or(0, |conn| conn.held_bytes())
    }
}

pub(crate) const fn msg(class: Class, id: u32, payload: &[u8]) -> Msg<'_> {
    Msg {
        class: class as u8,
        channel: 0,
        id: WireId::Low32(id),
        fragment: None,
        kind: Kind::OneWay,
        extras: Extras { ttl: None, receipt: false, options: Options::NONE },
        payload,
    }
}

pub(crate) const fn piece(class: Class, id: u32, total: u64, offset: u64, payload: &[u8]) -> Frame<'_> {
    Frame::Msg(Msg { fragment: Some(Fragment { total, offset }), ..msg(class, id, payload) })
}

pub(crate) const fn open(channel: u32, name: &str) -> Frame<'_> {
    Frame::OpenChannel(OpenChannel {
        channel,
        classes: 15,
        priority: 4,
        reliable_sequenced: false,
        bytes: 1000,
        messages: 10,
        name,
    })
}
