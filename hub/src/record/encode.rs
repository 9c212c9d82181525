//! Inputs as bytes.

use bytes::Bytes;
use driver::recorded::{Put, checksum};
use proto_core::chat::{Committed, PersistFailure, ReadFailure, RoomState, StoredEntry};
use proto_core::crypto::PublicKey;
use proto_core::room::fact::BanTarget;
use proto_core::room::{Notification, NotificationClass, UserId};
use tungstenite::Message;

use crate::gateway::{End, GuestId};
use crate::serve::{Encryption, Start, Wish};
use crate::store::{Answer, Report};

impl Put for Start {
    fn put(&self, buf: &mut Vec<u8>) {
        let Self {
            seed,
            server_key,
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
            shards,
            exempt,
        } = self;
        (&**seed, &**server_key, max_logs, max_rooms).put(buf);
        let salt = salt.as_ref().map(|salt| &salt[..]);
        (keep_ms, ban_prefix, drops_crowns, is_unlimited, salt, motd).put(buf);
        let encryption = encryption.as_ref().map(|Encryption { secret, is_repeatable }| {
            (secret.as_ref().map(|secret| &secret[..]), is_repeatable)
        });
        let allowed: Option<Vec<_>> =
            allowed.as_ref().map(|keys| keys.iter().map(|PublicKey(key)| key).collect());
        let exempt: Vec<_> = exempt.iter().map(ToString::to_string).collect();
        (encryption, allowed, shards, exempt).put(buf);
    }
}

/// What the store holds when a server is born.
pub(crate) struct Rooms<R>(pub(crate) R);

impl Put for Rooms<&[RoomState]> {
    fn put(&self, buf: &mut Vec<u8>) {
        let Self(rooms) = self;
        rooms.len().put(buf);
        for RoomState { room, epoch, salt, latest, last_ms, clients, tail } in *rooms {
            (room.as_bytes(), epoch, salt.0, latest, last_ms, clients.len()).put(buf);
            for (client, table) in clients {
                (client.0, table.last_sequence, table.last_active_ms, table.recent.len()).put(buf);
                for Committed { sequence, slot, body_hash } in &table.recent {
                    (sequence, slot, body_hash.0).put(buf);
                }
            }
            entries(tail, buf);
        }
    }
}

fn entries(all: &[StoredEntry], buf: &mut Vec<u8>) {
    all.len().put(buf);
    for StoredEntry { slot, client, sequence, body_hash, name, author_ms, commit_ms, kind, body } in all {
        (slot, client.0, sequence, body_hash.0, name.as_bytes()).put(buf);
        (author_ms, commit_ms, kind.0, &body[..]).put(buf);
    }
}

impl Put for Report {
    fn put(&self, buf: &mut Vec<u8>) {
        match self {
            Self::Persisted { upto } => (0_u8, upto).put(buf),
            Self::Failed { from, failure: PersistFailure::Full } => (1_u8, from).put(buf),
            Self::Failed { from, failure: PersistFailure::Broken } => (2_u8, from).put(buf),
        }
    }
}

impl Put for Answer {
    fn put(&self, buf: &mut Vec<u8>) {
        self.id.0.put(buf);
        match &self.entries {
            Ok(all) => {
                0_u8.put(buf);
                entries(all, buf);
            }
            Err(ReadFailure::Busy) => 1_u8.put(buf),
            Err(ReadFailure::Unreadable) => 2_u8.put(buf),
        }
    }
}

/// What a guest says; of what is no text only what the gateway sees of it.
pub(crate) struct Said<M>(pub(crate) GuestId, pub(crate) M);

impl Put for Said<&[Message]> {
    fn put(&self, buf: &mut Vec<u8>) {
        let Self(id, messages) = self;
        (*id, messages.len()).put(buf);
        for message in *messages {
            match message {
                Message::Text(text) => (0_u8, text.as_bytes()).put(buf),
                Message::Binary(bytes) => (1_u8, bytes.len()).put(buf),
                _ => 2_u8.put(buf),
            }
        }
    }
}

/// What a guest was given: the checksum of all texts, and of the word that it is sent away.
pub(crate) fn taken(end: Option<End>, texts: &[Bytes]) -> u32 {
    let mut all = Vec::new();
    end.map(|end| end.code).put(&mut all);
    for text in texts {
        text.put(&mut all);
    }
    checksum(&[], &all)
}

impl Put for Wish {
    fn put(&self, buf: &mut Vec<u8>) {
        let of = |target: &BanTarget| match *target {
            BanTarget::User(UserId(user)) => (Some(user), 0),
            BanTarget::Prefix(prefix) => (None, prefix),
        };
        match self {
            Self::Ban { room, target, ms } => (0_u8, room, of(target), ms).put(buf),
            Self::Unban { room, target } => (1_u8, room, of(target)).put(buf),
            Self::Close { room } => (2_u8, room).put(buf),
            Self::Kick(UserId(user)) => (3_u8, user).put(buf),
            Self::Notify { room, words: Notification { title, text, duration_ms, class } } => {
                let is_short = *class == NotificationClass::Short;
                (4_u8, room, title.as_bytes(), text.as_bytes(), duration_ms, is_short).put(buf);
            }
        }
    }
}
