//! What a room's log remembers beside chat: bodies of entries of [`ROOM`] (spec: rooms.md, section 5).

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::codec::{name, option, position, put_option, put_position, put_text, put_user, u32_upto, user};
use super::id::{Position, UserId};
use super::limits::{MAX_BAN, MAX_BANS};
use super::settings::Settings;
use crate::chat::{ClientId, Kind};
use crate::wire::{DecodeError, Reader, varint};

/// The kind of entries that are facts.
pub const ROOM: Kind = Kind(1);
/// The author of facts: the room itself. No secret hashes to it that anybody could find.
pub const ROOM_AUTHOR: ClientId = ClientId([0; 16]);

/// By whose power something is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authority {
    /// The crown's, as it was handed out under this epoch, at least 1: void under any other.
    Crown(u64),
    /// That of who runs the server.
    Operator,
}

/// The crown: who may decide, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Crown {
    /// How often it has changed hands. Nobody held it before 1.
    pub epoch: u64,
    /// Who has it; nobody, if it lies on the ground.
    pub holder: Option<UserId>,
    /// Who had it last, when nobody has it.
    pub last: Option<UserId>,
    /// When it got where it is: milliseconds since 1970, by the server's clock.
    pub since_ms: u64,
    /// Where it fell from.
    pub start: Position,
    /// Where it lies.
    pub end: Position,
}

/// Who is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BanTarget {
    /// A user.
    User(UserId),
    /// Everybody with this prefix of addresses.
    Prefix(u64),
}

/// One thing that a room remembers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// 0x01: the settings are these.
    Settings(Authority, Settings),
    /// 0x02: the crown changes hands. Void unless its epoch is the next one.
    Crown(Crown),
    /// 0x03: somebody is banned.
    Ban(Ban),
    /// 0x04: a ban is lifted.
    Unban(Authority, BanTarget),
    /// 0x05: everybody has left: the room is as if it were new, but for its bans and the epoch of its crown.
    Reset,
    /// 0x06: all that was remembered up to a slot, for who does not want to read further back.
    Checkpoint(Checkpoint),
}

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ban {
    /// By whose power.
    pub authority: Authority,
    /// Who is banned.
    pub target: BanTarget,
    /// Until when: milliseconds since 1970.
    pub until_ms: u64,
    /// How long that was when it was said, in milliseconds.
    pub length_ms: u32,
    /// Who said it.
    pub by: UserId,
    /// His name.
    pub by_name: Arc<str>,
    /// The name of who is banned.
    pub name: Arc<str>,
}

/// The state of a room at a slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// The slot.
    pub upto: u64,
    /// How the room was.
    pub settings: Settings,
    /// Where the crown was.
    pub crown: Crown,
    /// Until when who was banned: at most 256.
    pub bans: BTreeMap<BanTarget, u64>,
}

impl Fact {
    /// The fact as the body of an entry.
    pub fn to_bytes(&self) -> Bytes {
        let mut buf = Vec::new();
        match self {
            Self::Settings(authority, settings) => {
                buf.push(0x01);
                put_authority(*authority, &mut buf);
                settings.encode(&mut buf);
            }
            Self::Crown(crown) => {
                buf.push(0x02);
                crown.encode(&mut buf);
            }
            Self::Ban(ban) => {
                buf.push(0x03);
                put_authority(ban.authority, &mut buf);
                put_target(ban.target, &mut buf);
                varint::encode(ban.until_ms, &mut buf);
                varint::encode(ban.length_ms.into(), &mut buf);
                put_user(&ban.by, &mut buf);
                put_text(&ban.by_name, &mut buf);
                put_text(&ban.name, &mut buf);
            }
            Self::Unban(authority, target) => {
                buf.push(0x04);
                put_authority(*authority, &mut buf);
                put_target(*target, &mut buf);
            }
            Self::Reset => buf.push(0x05),
            Self::Checkpoint(checkpoint) => {
                buf.push(0x06);
                varint::encode(checkpoint.upto, &mut buf);
                checkpoint.settings.encode(&mut buf);
                checkpoint.crown.encode(&mut buf);
                varint::encode(checkpoint.bans.len() as u64, &mut buf);
                for (target, until_ms) in &checkpoint.bans {
                    put_target(*target, &mut buf);
                    varint::encode(*until_ms, &mut buf);
                }
            }
        }
        buf.into()
    }

    /// Reads a whole body.
    ///
    /// # Errors
    /// When it is not the only encoding of a fact.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let reader = &mut reader;
        let fact = match reader.u8()? {
            0x01 => Self::Settings(authority(reader)?, Settings::decode(reader)?),
            0x02 => Self::Crown(Crown::decode(reader)?),
            0x03 => Self::Ban(Ban {
                authority: authority(reader)?,
                target: target(reader)?,
                until_ms: reader.vi64()?,
                length_ms: u32_upto(reader, MAX_BAN.as_millis() as u32, "a ban is longer than 1 h")?,
                by: user(reader)?,
                by_name: name(reader)?,
                name: name(reader)?,
            }),
            0x04 => Self::Unban(authority(reader)?, target(reader)?),
            0x05 => Self::Reset,
            0x06 => Self::Checkpoint(Checkpoint::decode(reader)?),
            _ => return Err(DecodeError::Invalid("unknown fact")),
        };
        reader.finish()?;
        Ok(fact)
    }
}

impl Crown {
    /// ```text
    /// epoch vi64 ‖ holder option (12) ‖ last option (12) ‖ since_ms vi64 ‖ start (4) ‖ end (4)
    /// ```
    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        varint::encode(self.epoch, buf);
        put_option(self.holder.as_ref(), buf, put_user);
        put_option(self.last.as_ref(), buf, put_user);
        varint::encode(self.since_ms, buf);
        put_position(self.start, buf);
        put_position(self.end, buf);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            epoch: reader.vi64()?,
            holder: option(reader, user)?,
            last: option(reader, user)?,
            since_ms: reader.vi64()?,
            start: position(reader)?,
            end: position(reader)?,
        })
    }
}

impl Checkpoint {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (upto, settings, crown) = (reader.vi64()?, Settings::decode(reader)?, Crown::decode(reader)?);
        let count = reader.vi64_upto(MAX_BANS as u64, "a checkpoint has more than 256 bans")?;
        let mut bans = BTreeMap::new();
        for _ in 0..count {
            let target = target(reader)?;
            if bans.last_key_value().is_some_and(|(last, _)| *last >= target) {
                return Err(DecodeError::Invalid("bans of a checkpoint are not in order"));
            }
            bans.insert(target, reader.vi64()?);
        }
        Ok(Self { upto, settings, crown, bans })
    }
}

/// A vi64: the crown's epoch, or 0 for the operator.
fn put_authority(authority: Authority, buf: &mut Vec<u8>) {
    let epoch = match authority {
        Authority::Crown(epoch) => epoch,
        Authority::Operator => 0,
    };
    varint::encode(epoch, buf);
}

fn authority(reader: &mut Reader<'_>) -> Result<Authority, DecodeError> {
    Ok(match reader.vi64()? {
        0 => Authority::Operator,
        epoch => Authority::Crown(epoch),
    })
}

/// 0 and a user, or 1 and eight bytes.
pub(super) fn put_target(target: BanTarget, buf: &mut Vec<u8>) {
    match target {
        BanTarget::User(user) => {
            buf.push(0);
            put_user(&user, buf);
        }
        BanTarget::Prefix(prefix) => {
            buf.push(1);
            buf.extend_from_slice(&prefix.to_be_bytes());
        }
    }
}

pub(super) fn target(reader: &mut Reader<'_>) -> Result<BanTarget, DecodeError> {
    match reader.u8()? {
        0 => user(reader).map(BanTarget::User),
        1 => reader.u64().map(BanTarget::Prefix),
        _ => Err(DecodeError::Invalid("neither a user nor a prefix")),
    }
}
