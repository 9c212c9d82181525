//! Inputs from bytes.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use driver::{Path, Peer, Scheme, UnixCredentials};
use proto_core::Ecn;
use proto_core::chat::{
    BodyHash, ClientId, ClientTable, Committed, Kind, PersistFailure, ReadFailure, ReadId, RoomSalt,
    RoomState, StoredEntry,
};
use proto_core::wire::{DecodeError, Reader};

use super::Start;
use crate::store::{Answer, Report};

impl Start {
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, Vec<RoomState>), DecodeError> {
        let mut reader = Reader::new(bytes);
        let (seed, server_key) = (reader.array()?, reader.array()?);
        let (max_logs, max_rooms) = (number(&mut reader)?, number(&mut reader)?);
        let keep_ms = reader.vi64()?;
        let [ban_prefix, drops_crowns, has_salt] = reader.array()?.map(|flag: u8| flag != 0);
        let salt = self::bytes(&mut reader)?.to_vec();
        let salt = has_salt.then_some(salt);
        let start = Self { seed, server_key, max_logs, max_rooms, ban_prefix, drops_crowns, keep_ms, salt };
        let rooms = (0..reader.vi64()?).map(|_| room(&mut reader)).collect::<Result<_, _>>()?;
        Ok((start, rooms))
    }
}

fn number(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    reader.vi64()?.try_into().map_err(|_| DecodeError::Invalid("a number is too large"))
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
    let last_ms = reader.vi64()?;
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
    Ok(RoomState { room, epoch, salt, latest, last_ms, clients, tail: entries(reader)? })
}

fn entries(reader: &mut Reader<'_>) -> Result<Vec<StoredEntry>, DecodeError> {
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

pub(super) fn path(bytes: &[u8]) -> Result<Path, DecodeError> {
    let mut reader = Reader::new(bytes);
    let (socket, scheme) = (u16::from_be_bytes(reader.array()?), reader.u8()?);
    let scheme = *Scheme::ALL.get(usize::from(scheme)).ok_or(DecodeError::Invalid("a scheme"))?;
    let peer = match scheme {
        Scheme::Uds if reader.rest().is_empty() => Peer::Unix(None),
        Scheme::Uds => {
            let mut reader = Reader::new(&bytes[3..]);
            let mut number = || reader.array().map(u32::from_be_bytes);
            let (pid, uid, gid) = (number()?.cast_signed(), number()?, number()?);
            Peer::Unix(Some(UnixCredentials { pid, uid, gid }))
        }
        Scheme::Udp => Peer::Udp(socket_addr(&bytes[3..])?),
        scheme => Peer::Stream(scheme, socket_addr(&bytes[3..])?),
    };
    Ok(Path { socket, peer })
}

fn socket_addr(bytes: &[u8]) -> Result<SocketAddr, DecodeError> {
    let mut reader = Reader::new(bytes);
    let port = u16::from_be_bytes(reader.array()?);
    let ip = reader.rest();
    let ip = if let Ok(v4) = <[u8; 4]>::try_from(ip) {
        IpAddr::from(v4)
    } else {
        IpAddr::from(<[u8; 16]>::try_from(ip).map_err(|_| DecodeError::Invalid("an address"))?)
    };
    Ok(SocketAddr::new(ip, port))
}

pub(super) const fn ecn(code: u32) -> Option<Ecn> {
    match code % 4 {
        0 => None,
        1 => Some(Ecn::Ect0),
        2 => Some(Ecn::Ect1),
        _ => Some(Ecn::Ce),
    }
}

pub(super) fn report(bytes: &[u8]) -> Result<Report, DecodeError> {
    let mut reader = Reader::new(bytes);
    let (code, number) = (reader.u8()?, reader.u64()?);
    Ok(match code {
        0 => Report::Persisted { upto: number },
        1 => Report::Failed { from: number, failure: PersistFailure::Full },
        _ => Report::Failed { from: number, failure: PersistFailure::Broken },
    })
}

pub(super) fn answer(bytes: &[u8]) -> Result<Answer, DecodeError> {
    let mut reader = Reader::new(bytes);
    let id = ReadId(reader.u64()?);
    let entries = match reader.u8()? {
        0 => Ok(entries(&mut reader)?),
        1 => Err(ReadFailure::Busy),
        _ => Err(ReadFailure::Unreadable),
    };
    Ok(Answer { id, entries })
}
