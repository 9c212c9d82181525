//! Inputs from bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use driver::recorded::Get;
use proto_core::Network;
use proto_core::chat::{
    BodyHash, ClientId, ClientTable, Committed, Kind, PersistFailure, ReadFailure, ReadId, RoomSalt,
    RoomState, StoredEntry,
};
use proto_core::crypto::PublicKey;
use proto_core::room::fact::BanTarget;
use proto_core::room::{Notification, NotificationClass, UserId};
use proto_core::wire::{DecodeError, Reader};
use tungstenite::Message;
use zeroize::Zeroizing;

use super::{Rooms, Said};
use crate::gateway::{GuestId, MAX_TEXT};
use crate::serve::{Encryption, Start, Wish};
use crate::store::{Answer, Report};

impl Get for Start {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (seed, server_key, max_logs, max_rooms) = <([u8; 32], [u8; 32], _, _)>::get(from)?;
        let (keep_ms, ban_prefix, drops_crowns, is_unlimited, salt, motd) = Get::get(from)?;
        let salt = Option::<Bytes>::map(salt, |salt| Zeroizing::new(salt.to_vec()));
        let encryption = Option::<(Option<Bytes>, bool)>::get(from)?;
        let encryption = encryption.map(|(secret, is_repeatable)| {
            let secret = secret.map(|secret| Zeroizing::new(secret.to_vec()));
            Encryption { secret, is_repeatable }
        });
        let allowed = Option::<Vec<[u8; 32]>>::get(from)?;
        let allowed = allowed.map(|keys| keys.into_iter().map(PublicKey).collect());
        Ok(Self {
            seed: Zeroizing::new(seed),
            server_key: Zeroizing::new(server_key),
            max_logs,
            max_rooms,
            ban_prefix,
            drops_crowns,
            is_unlimited,
            keep_ms,
            salt,
            motd,
            encryption,
            allowed,
            shards: Get::get(from)?,
            exempt: networks(from)?,
        })
    }
}

fn networks(from: &mut Reader<'_>) -> Result<Vec<Network>, DecodeError> {
    let texts = Vec::<String>::get(from)?;
    texts.iter().map(|text| text.parse().map_err(|_| DecodeError::Invalid("network"))).collect()
}

impl Get for Rooms<Vec<RoomState>> {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        (0..from.vi64()?).map(|_| room(from)).collect::<Result<_, _>>().map(Self)
    }
}

fn room(from: &mut Reader<'_>) -> Result<RoomState, DecodeError> {
    let (room, epoch, salt, latest, last_ms) = <(String, u64, _, u64, u64)>::get(from)?;
    let mut clients = BTreeMap::new();
    for _ in 0..from.vi64()? {
        let (client, last_sequence, last_active_ms) = Get::get(from)?;
        let mut table = ClientTable { last_sequence, last_active_ms, ..ClientTable::default() };
        for _ in 0..from.vi64()? {
            let (sequence, slot, hash) = Get::get(from)?;
            table.recent.push_back(Committed { sequence, slot, body_hash: BodyHash(hash) });
        }
        clients.insert(ClientId(client), table);
    }
    let tail = entries(from)?;
    Ok(RoomState { room: room.into(), epoch, salt: RoomSalt(salt), latest, last_ms, clients, tail })
}

fn entries(from: &mut Reader<'_>) -> Result<Vec<StoredEntry>, DecodeError> {
    let count = from.vi64()?;
    let entry = |_| {
        let (slot, client, sequence, hash, name) = <(u64, _, u64, _, String)>::get(from)?;
        let (author_ms, commit_ms, kind, body) = <(u64, u64, u8, Bytes)>::get(from)?;
        Ok(StoredEntry {
            slot,
            client: ClientId(client),
            sequence,
            body_hash: BodyHash(hash),
            name: name.into(),
            author_ms,
            commit_ms,
            kind: Kind(kind),
            body: body.to_vec().into(),
        })
    };
    (0..count).map(entry).collect()
}

impl Get for Report {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (code, number) = <(u8, u64)>::get(from)?;
        Ok(match code {
            0 => Self::Persisted { upto: number },
            1 => Self::Failed { from: number, failure: PersistFailure::Full },
            _ => Self::Failed { from: number, failure: PersistFailure::Broken },
        })
    }
}

impl Get for Answer {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id = ReadId(Get::get(from)?);
        let entries = match u8::get(from)? {
            0 => Ok(entries(from)?),
            1 => Err(ReadFailure::Busy),
            _ => Err(ReadFailure::Unreadable),
        };
        Ok(Self { id, entries })
    }
}

impl Get for Said<Vec<Message>> {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (id, count) = <(GuestId, u64)>::get(from)?;
        let message = |_| {
            Ok(match u8::get(from)? {
                0 => Message::text(String::get(from)?),
                1 => Message::binary(vec![0; usize::get(from)?.min(MAX_TEXT)]),
                _ => Message::Ping(Bytes::new()),
            })
        };
        (0..count).map(message).collect::<Result<_, _>>().map(|messages| Self(id, messages))
    }
}

impl Get for Wish {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        fn target(from: &mut Reader<'_>) -> Result<BanTarget, DecodeError> {
            let (user, prefix) = <(Option<[u8; 12]>, u64)>::get(from)?;
            Ok(user.map_or(BanTarget::Prefix(prefix), |user| BanTarget::User(UserId(user))))
        }
        Ok(match u8::get(from)? {
            0 => Self::Ban { room: Get::get(from)?, target: target(from)?, ms: Get::get(from)? },
            1 => Self::Unban { room: Get::get(from)?, target: target(from)? },
            2 => Self::Close { room: Get::get(from)? },
            3 => Self::Kick(UserId(Get::get(from)?)),
            _ => {
                let room = Get::get(from)?;
                let (title, text, duration_ms, is_short) = <(String, String, u32, bool)>::get(from)?;
                let class = if is_short { NotificationClass::Short } else { NotificationClass::Classic };
                let words = Notification { title: title.into(), text: text.into(), duration_ms, class };
                Self::Notify { room, words }
            }
        })
    }
}
