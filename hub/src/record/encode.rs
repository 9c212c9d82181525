//! Inputs as bytes.

use std::net::IpAddr;

use driver::{Path, Peer, Scheme, UnixCredentials};
use proto_core::chat::{Committed, PersistFailure, ReadFailure, RoomState, StoredEntry};
use proto_core::wire::varint;
use proto_core::{Ecn, Output, Transmit};

use crate::store::{Answer, Report};

/// What a server is born with, besides its rooms and what is the same in every server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) seed: [u8; 32],
    pub(crate) server_key: [u8; 32],
    /// The options that decide what it does.
    pub(crate) max_logs: usize,
    pub(crate) max_rooms: usize,
    pub(crate) ban_prefix: bool,
    pub(crate) drops_crowns: bool,
    /// How long logs of empty rooms are kept, in milliseconds; 0: for ever.
    pub(crate) keep_ms: u64,
    pub(crate) salt: Option<Vec<u8>>,
}

fn put(bytes: &[u8], buf: &mut Vec<u8>) {
    varint::encode(bytes.len() as u64, buf);
    buf.extend_from_slice(bytes);
}

impl Start {
    pub(super) fn encode(&self, rooms: &[RoomState]) -> Vec<u8> {
        let mut buf = [self.seed, self.server_key].concat();
        varint::encode(self.max_logs as u64, &mut buf);
        varint::encode(self.max_rooms as u64, &mut buf);
        varint::encode(self.keep_ms, &mut buf);
        let flags = [self.ban_prefix, self.drops_crowns, self.salt.is_some()];
        buf.extend(flags.map(u8::from));
        put(self.salt.as_deref().unwrap_or_default(), &mut buf);
        varint::encode(rooms.len() as u64, &mut buf);
        for RoomState { room, epoch, salt, latest, last_ms, clients, tail } in rooms {
            put(room.as_bytes(), &mut buf);
            buf.extend_from_slice(&epoch.to_be_bytes());
            buf.extend_from_slice(&salt.0);
            varint::encode(*latest, &mut buf);
            varint::encode(*last_ms, &mut buf);
            varint::encode(clients.len() as u64, &mut buf);
            for (client, table) in clients {
                buf.extend_from_slice(&client.0);
                varint::encode(table.last_sequence, &mut buf);
                varint::encode(table.last_active_ms, &mut buf);
                varint::encode(table.recent.len() as u64, &mut buf);
                for Committed { sequence, slot, body_hash } in &table.recent {
                    varint::encode(*sequence, &mut buf);
                    varint::encode(*slot, &mut buf);
                    buf.extend_from_slice(&body_hash.0);
                }
            }
            entries(tail, &mut buf);
        }
        buf
    }
}

fn entries(all: &[StoredEntry], buf: &mut Vec<u8>) {
    varint::encode(all.len() as u64, buf);
    for StoredEntry { slot, client, sequence, body_hash, name, author_ms, commit_ms, kind, body } in all {
        varint::encode(*slot, buf);
        buf.extend_from_slice(&client.0);
        varint::encode(*sequence, buf);
        buf.extend_from_slice(&body_hash.0);
        put(name.as_bytes(), buf);
        buf.extend_from_slice(&author_ms.to_be_bytes());
        buf.extend_from_slice(&commit_ms.to_be_bytes());
        buf.push(kind.0);
        put(body, buf);
    }
}

/// The place in `Scheme::ALL`, and what the link tells of the peer.
pub(super) fn path(path: Path) -> Vec<u8> {
    let mut buf = path.socket.to_be_bytes().to_vec();
    let scheme = path.peer.scheme();
    buf.extend(Scheme::ALL.iter().position(|one| *one == scheme).map(|place| place as u8));
    match path.peer {
        Peer::Udp(peer) | Peer::Stream(_, peer) => {
            buf.extend_from_slice(&peer.port().to_be_bytes());
            match peer.ip() {
                IpAddr::V4(ip) => buf.extend_from_slice(&ip.octets()),
                IpAddr::V6(ip) => buf.extend_from_slice(&ip.octets()),
            }
        }
        Peer::Unix(Some(UnixCredentials { pid, uid, gid })) => {
            for number in [pid.cast_unsigned(), uid, gid] {
                buf.extend_from_slice(&number.to_be_bytes());
            }
        }
        // A server dials nobody.
        Peer::Unix(None) | Peer::Dialed(..) => {}
    }
    buf
}

pub(super) const fn ecn(mark: Option<Ecn>) -> u32 {
    match mark {
        None => 0,
        Some(Ecn::Ect0) => 1,
        Some(Ecn::Ect1) => 2,
        Some(Ecn::Ce) => 3,
    }
}

/// Of what was sent, and where to.
pub(super) fn checksum(sent: &Transmit<Path>, bytes: &[u8]) -> [u8; 8] {
    let mut head = path(sent.path);
    head.push(ecn(sent.ecn) as u8);
    sum(&head, bytes)
}

/// What came of a question for the next record of a stream: a byte that says which, and the checksum of the record.
pub(super) fn output(output: Output, bytes: &[u8]) -> Vec<u8> {
    match output {
        Output::Record(_) => [&[0][..], &sum(&[], bytes)].concat(),
        Output::Idle => vec![1],
        Output::Close => vec![2],
    }
}

fn sum(head: &[u8], bytes: &[u8]) -> [u8; 8] {
    // FNV-1a: nobody forges it, and it costs little.
    let fold = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let sum = head.iter().fold(0xcbf2_9ce4_8422_2325, fold);
    // Eight bytes at a time, for packets are long.
    let (words, rest) = bytes.as_chunks::<8>();
    let word = |sum: u64, word: &[u8; 8]| (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x0100_0000_01b3);
    rest.iter().fold(words.iter().fold(sum, word), fold).to_le_bytes()
}

pub(super) fn report(report: &Report) -> Vec<u8> {
    match report {
        Report::Persisted { upto } => [&[0][..], &upto.to_be_bytes()].concat(),
        Report::Failed { from, failure } => {
            let code = match failure {
                PersistFailure::Full => 1,
                PersistFailure::Broken => 2,
            };
            [&[code][..], &from.to_be_bytes()].concat()
        }
    }
}

pub(super) fn answer(answer: &Answer) -> Vec<u8> {
    let mut buf = answer.id.0.to_be_bytes().to_vec();
    match &answer.entries {
        Ok(all) => {
            buf.push(0);
            entries(all, &mut buf);
        }
        Err(ReadFailure::Busy) => buf.push(1),
        Err(ReadFailure::Unreadable) => buf.push(2),
    }
    buf
}
