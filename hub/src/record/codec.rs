//! Inputs as bytes.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use driver::Path;
use proto_core::chat::{
    BodyHash, ClientId, ClientTable, Committed, Kind, PersistFailure, ReadFailure, ReadId, RoomSalt,
    RoomState, StoredEntry,
};
use proto_core::wire::{DecodeError, Reader, varint};
use proto_core::{Ecn, Transmit};

use crate::store::{Answer, Report};

/// What a server is born with, besides its rooms. The configuration is the hub's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) seed: [u8; 32],
    pub(crate) server_key: [u8; 32],
}

fn put(bytes: &[u8], buf: &mut Vec<u8>) {
    varint::encode(bytes.len() as u64, buf);
    buf.extend_from_slice(bytes);
}

impl Start {
    pub(super) fn encode(&self, rooms: &[RoomState]) -> Vec<u8> {
        let mut buf = [self.seed, self.server_key].concat();
        varint::encode(rooms.len() as u64, &mut buf);
        for RoomState { room, epoch, salt, latest, clients, tail } in rooms {
            put(room.as_bytes(), &mut buf);
            buf.extend_from_slice(&epoch.to_be_bytes());
            buf.extend_from_slice(&salt.0);
            varint::encode(*latest, &mut buf);
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

    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, Vec<RoomState>), DecodeError> {
        let mut reader = Reader::new(bytes);
        let start = Self { seed: reader.array()?, server_key: reader.array()? };
        let rooms = (0..reader.vi64()?).map(|_| room(&mut reader)).collect::<Result<_, _>>()?;
        Ok((start, rooms))
    }
}

fn bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    reader.bytes(usize::MAX, "a part of a recording")
}

fn text(reader: &mut Reader<'_>) -> Result<Arc<str>, DecodeError> {
    let text = str::from_utf8(bytes(reader)?).map_err(|_| DecodeError::Invalid("a text"))?;
    Ok(text.into())
}

fn room(reader: &mut Reader<'_>) -> Result<RoomState, DecodeError> {
    let room = text(reader)?;
    let (epoch, salt, latest) = (reader.u64()?, RoomSalt(reader.array()?), reader.vi64()?);
    let mut clients = BTreeMap::new();
    for _ in 0..reader.vi64()? {
        let client = ClientId(reader.array()?);
        let mut table = ClientTable {
            last_sequence: reader.vi64()?,
            last_active_ms: reader.vi64()?,
            ..ClientTable::default()
        };
        for _ in 0..reader.vi64()? {
            let (sequence, slot) = (reader.vi64()?, reader.vi64()?);
            table.recent.push_back(Committed { sequence, slot, body_hash: BodyHash(reader.array()?) });
        }
        clients.insert(client, table);
    }
    Ok(RoomState { room, epoch, salt, latest, clients, tail: decode_entries(reader)? })
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

fn decode_entries(reader: &mut Reader<'_>) -> Result<Vec<StoredEntry>, DecodeError> {
    let mut all = Vec::new();
    for _ in 0..reader.vi64()? {
        all.push(StoredEntry {
            slot: reader.vi64()?,
            client: ClientId(reader.array()?),
            sequence: reader.vi64()?,
            body_hash: BodyHash(reader.array()?),
            name: text(reader)?,
            author_ms: reader.u64()?,
            commit_ms: reader.u64()?,
            kind: Kind(reader.u8()?),
            body: bytes(reader)?.to_vec().into(),
        });
    }
    Ok(all)
}

pub(super) fn path(path: Path) -> Vec<u8> {
    let mut buf = path.socket.to_be_bytes().to_vec();
    buf.extend_from_slice(&path.peer.port().to_be_bytes());
    match path.peer.ip() {
        IpAddr::V4(ip) => buf.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => buf.extend_from_slice(&ip.octets()),
    }
    buf
}

pub(super) fn decode_path(bytes: &[u8]) -> Result<Path, DecodeError> {
    let mut reader = Reader::new(bytes);
    let (socket, port) = (u16::from_be_bytes(reader.array()?), u16::from_be_bytes(reader.array()?));
    let ip = reader.rest();
    let ip = if let Ok(v4) = <[u8; 4]>::try_from(ip) {
        IpAddr::from(v4)
    } else {
        IpAddr::from(<[u8; 16]>::try_from(ip).map_err(|_| DecodeError::Invalid("an address"))?)
    };
    Ok(Path { socket, peer: SocketAddr::new(ip, port) })
}

pub(super) const fn ecn(mark: Option<Ecn>) -> u32 {
    match mark {
        None => 0,
        Some(Ecn::Ect0) => 1,
        Some(Ecn::Ect1) => 2,
        Some(Ecn::Ce) => 3,
    }
}

pub(super) const fn decode_ecn(code: u32) -> Option<Ecn> {
    match code % 4 {
        0 => None,
        1 => Some(Ecn::Ect0),
        2 => Some(Ecn::Ect1),
        _ => Some(Ecn::Ce),
    }
}

/// Of what was sent, and where to.
pub(super) fn checksum(sent: &Transmit<Path>, bytes: &[u8]) -> [u8; 8] {
    // FNV-1a: nobody forges it, and it costs little.
    let fold = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let head = path(sent.path);
    let sum = head.iter().chain([&(ecn(sent.ecn) as u8)]).fold(0xcbf2_9ce4_8422_2325, fold);
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

pub(super) fn decode_report(bytes: &[u8]) -> Result<Report, DecodeError> {
    let mut reader = Reader::new(bytes);
    let (code, number) = (reader.u8()?, reader.u64()?);
    Ok(match code {
        0 => Report::Persisted { upto: number },
        1 => Report::Failed { from: number, failure: PersistFailure::Full },
        _ => Report::Failed { from: number, failure: PersistFailure::Broken },
    })
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

pub(super) fn decode_answer(bytes: &[u8]) -> Result<Answer, DecodeError> {
    let mut reader = Reader::new(bytes);
    let id = ReadId(reader.u64()?);
    let entries = match reader.u8()? {
        0 => Ok(decode_entries(&mut reader)?),
        1 => Err(ReadFailure::Busy),
        _ => Err(ReadFailure::Unreadable),
    };
    Ok(Answer { id, entries })
}
