//! What participants are told.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::NotesOf;
use crate::room::codec::{
    color, flag, name, option, position, put_color, put_flag, put_option, put_position, put_text, put_user,
    room, text, u32_upto, user,
};
use crate::room::fact::Crown;
use crate::room::id::{Color, Position, UserId};
use crate::room::limits::{MAX_LISTED, MAX_PARTICIPANTS};
use crate::room::quota::QuotaParams;
use crate::room::settings::Settings;
use crate::wire::{DecodeError, Reader, varint};

/// Something that a participant is told. Large ones are shared: a room tells the same to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// 0x20: the answer to `Hello`: who one is.
    Welcome(Participant),
    /// 0x21: one is in this room, which is so.
    Snapshot(Arc<Snapshot>),
    /// 0x22: the room has changed.
    Diff(Arc<Diff>),
    /// 0x23: somebody plays.
    Notes(Arc<NotesOf>),
    /// 0x24: where the cursors are that have moved of late, one's own among them.
    Cursors(Arc<[CursorAt]>),
    /// 0x25: how much one may play from now on.
    Quota(QuotaParams),
    /// 0x26: words for the user.
    Notification(Arc<Notification>),
    /// 0x27: a command was refused.
    Refused(Refused),
    /// 0x28: the rooms that there are, or those that have changed.
    Rooms(Arc<RoomList>),
    /// 0x29: one is in no room any more.
    Left(Left),
}

/// Somebody in a room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Participant {
    /// Who.
    pub user: UserId,
    /// His name: at most 40 characters. Escape it before it reaches a terminal or a page.
    pub name: Arc<str>,
    /// His colour.
    pub color: Color,
    /// Where his cursor was last.
    pub position: Position,
    /// Whether all his connections are lost; he has some time to come back.
    pub suspended: bool,
}

/// A room at a version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// Its name; another one than was asked for, if that was full or closed to one.
    pub room: Arc<str>,
    /// Its version: that of the next diff is one higher.
    pub version: u64,
    /// How it is.
    pub settings: Settings,
    /// Where its crown is; `None`: it has none.
    pub crown: Option<Crown>,
    /// Who is there, longest first.
    pub participants: Vec<Participant>,
}

/// What has changed in a room. Each change says what is now, so applying one twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diff {
    /// The room's version from now on.
    pub version: u64,
    /// In this order.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// 0: somebody is there, and so.
    Here(Participant),
    /// 1: somebody has left.
    Gone(UserId),
    /// 2: the settings are these.
    Settings(Settings),
    /// 3: the crown is there.
    Crown(Crown),
}

/// Where somebody's cursor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CursorAt {
    /// Whose.
    pub user: UserId,
    /// Where.
    pub at: Position,
}

/// Words for the user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notification {
    /// What it is about.
    pub title: Arc<str>,
    /// The words, as plain text.
    pub text: Arc<str>,
    /// How long to show it, in milliseconds.
    pub duration_ms: u32,
    /// How to show it.
    pub class: NotificationClass,
}

/// How to show a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotificationClass {
    /// With its title.
    Classic,
    /// One line.
    Short,
}

/// A command was refused, and has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refused {
    /// The type byte of the command; 0: it was none.
    pub command: u8,
    /// Why.
    pub reason: Reason,
}

/// The rooms that there are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoomList {
    /// Whether these are all; otherwise those that have changed.
    pub full: bool,
    /// The rooms. One without participants is there no longer.
    pub rooms: Vec<ListedRoom>,
}

/// A room in a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListedRoom {
    /// Its name.
    pub room: Arc<str>,
    /// How many are there.
    pub count: u32,
    /// How it is.
    pub settings: Settings,
    /// Where its crown is; `None`: it has none.
    pub crown: Option<Crown>,
}

/// One is in no room any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    /// The room that it was.
    pub room: Arc<str>,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal,)*) => {
        /// Why a command was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Reason { $($(#[doc = $doc])* $name = $code,)* }

        impl Reason {
            /// Every reason, in the order of their codes.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

reasons! {
    /// Not a command.
    Malformed = 0x01,
    /// `Hello` comes first, and once.
    NotNow = 0x02,
    /// The connection is in no room.
    NotInRoom = 0x03,
    /// It is in that room already.
    AlreadyThere = 0x04,
    /// Only the holder of the crown may.
    NotHolder = 0x05,
    /// The crown has changed hands since.
    StaleEpoch = 0x06,
    /// Nobody of that id is there.
    NoSuchUser = 0x07,
    /// The room has no crown and cannot be changed.
    Special = 0x08,
    /// Too often.
    Rate = 0x09,
    /// Too much waits to be remembered.
    Busy = 0x0A,
    /// The room holds no more.
    RoomFull = 0x0B,
    /// No room, or nobody, can be called so.
    BadName = 0x0C,
    /// There are as many rooms as there may be.
    TooManyRooms = 0x0D,
    /// Banned from the room.
    Banned = 0x0E,
    /// There is no chat in the room.
    ChatOff = 0x0F,
    /// Only the holder of the crown plays.
    CrownSolo = 0x10,
    /// The crown is kept for its last holder, or one has not been online for long enough.
    TooEarly = 0x11,
    /// As many connections as a user may have in one room.
    TooManyTabs = 0x12,
    /// The store is broken, and nothing is remembered any more.
    Stopped = 0x13,
    /// Blank, or too long.
    Unsayable = 0x14,
    /// One has made too many rooms that were not there yet.
    TooManyNew = 0x15,
}

impl Event {
    /// The event as a message.
    pub fn to_bytes(&self) -> Bytes {
        let mut buf = Vec::new();
        let out = &mut buf;
        match self {
            Self::Welcome(participant) => {
                out.push(0x20);
                participant.encode(out);
            }
            Self::Snapshot(snapshot) => {
                out.push(0x21);
                snapshot.encode(out);
            }
            Self::Diff(diff) => {
                out.push(0x22);
                varint::encode(diff.version, out);
                varint::encode(diff.changes.len() as u64, out);
                diff.changes.iter().for_each(|change| change.encode(out));
            }
            Self::Notes(notes) => {
                out.push(0x23);
                notes.encode(out);
            }
            Self::Cursors(cursors) => {
                out.push(0x24);
                varint::encode(cursors.len() as u64, out);
                for cursor in &**cursors {
                    put_user(&cursor.user, out);
                    put_position(cursor.at, out);
                }
            }
            Self::Quota(params) => {
                out.push(0x25);
                varint::encode(params.allowance.into(), out);
                varint::encode(params.max.into(), out);
            }
            Self::Notification(words) => {
                out.push(0x26);
                put_text(&words.title, out);
                put_text(&words.text, out);
                varint::encode(words.duration_ms.into(), out);
                put_flag(words.class == NotificationClass::Short, out);
            }
            Self::Refused(refused) => out.extend([0x27, refused.command, refused.reason as u8]),
            Self::Rooms(list) => {
                out.push(0x28);
                put_flag(list.full, out);
                varint::encode(list.rooms.len() as u64, out);
                list.rooms.iter().for_each(|room| room.encode(out));
            }
            Self::Left(left) => {
                out.push(0x29);
                put_text(&left.room, out);
            }
        }
        buf.into()
    }

    /// Reads a whole message.
    ///
    /// # Errors
    /// As [`Command::decode`](super::Command::decode).
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let from = &mut reader;
        let event = match from.u8()? {
            0x20 => Self::Welcome(Participant::decode(from)?),
            0x21 => Self::Snapshot(Arc::new(Snapshot::decode(from)?)),
            0x22 => {
                let version = from.vi64()?;
                let changes = list(from, 4 * MAX_PARTICIPANTS, Change::decode)?;
                Self::Diff(Arc::new(Diff { version, changes }))
            }
            0x23 => Self::Notes(Arc::new(NotesOf::decode(from)?)),
            0x24 => Self::Cursors(list(from, MAX_PARTICIPANTS, cursor)?.into()),
            0x25 => {
                let mut part = || u32_upto(from, u32::MAX, "a quota is above 2^32 - 1");
                Self::Quota(QuotaParams { allowance: part()?, max: part()? })
            }
            0x26 => Self::Notification(Arc::new(Notification::decode(from)?)),
            0x27 => Self::Refused(Refused { command: from.u8()?, reason: reason(from)? }),
            0x28 => Self::Rooms(Arc::new(RoomList {
                full: flag(from)?,
                rooms: list(from, MAX_LISTED, ListedRoom::decode)?,
            })),
            0x29 => Self::Left(Left { room: room(from)? }),
            _ => return Err(DecodeError::Invalid("unknown room event")),
        };
        reader.finish()?;
        Ok(event)
    }
}

fn list<'a, T>(
    reader: &mut Reader<'a>,
    max: usize,
    read: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.vi64_upto(max as u64, "a list is longer than it can be")?;
    (0..count).map(|_| read(reader)).collect()
}

fn reason(reader: &mut Reader<'_>) -> Result<Reason, DecodeError> {
    let code = reader.u8()?;
    let known = Reason::ALL.iter().find(|reason| **reason as u8 == code);
    known.copied().ok_or(DecodeError::Invalid("unknown reason"))
}

fn cursor(reader: &mut Reader<'_>) -> Result<CursorAt, DecodeError> {
    Ok(CursorAt { user: user(reader)?, at: position(reader)? })
}

impl Participant {
    /// ```text
    /// user (12) ‖ name text ‖ color (3) ‖ position (4) ‖ suspended (1)
    /// ```
    fn encode(&self, buf: &mut Vec<u8>) {
        put_user(&self.user, buf);
        put_text(&self.name, buf);
        put_color(self.color, buf);
        put_position(self.position, buf);
        put_flag(self.suspended, buf);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            user: user(reader)?,
            name: name(reader)?,
            color: color(reader)?,
            position: position(reader)?,
            suspended: flag(reader)?,
        })
    }
}

impl Snapshot {
    fn encode(&self, buf: &mut Vec<u8>) {
        put_text(&self.room, buf);
        varint::encode(self.version, buf);
        self.settings.encode(buf);
        put_option(self.crown.as_ref(), buf, Crown::encode);
        varint::encode(self.participants.len() as u64, buf);
        self.participants.iter().for_each(|participant| participant.encode(buf));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            room: room(reader)?,
            version: reader.vi64()?,
            settings: Settings::decode(reader)?,
            crown: option(reader, Crown::decode)?,
            participants: list(reader, MAX_PARTICIPANTS, Participant::decode)?,
        })
    }
}

impl Change {
    fn encode(&self, buf: &mut Vec<u8>) {
        match self {
            Self::Here(participant) => {
                buf.push(0);
                participant.encode(buf);
            }
            Self::Gone(user) => {
                buf.push(1);
                put_user(user, buf);
            }
            Self::Settings(settings) => {
                buf.push(2);
                settings.encode(buf);
            }
            Self::Crown(crown) => {
                buf.push(3);
                crown.encode(buf);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            0 => Self::Here(Participant::decode(reader)?),
            1 => Self::Gone(user(reader)?),
            2 => Self::Settings(Settings::decode(reader)?),
            3 => Self::Crown(Crown::decode(reader)?),
            _ => return Err(DecodeError::Invalid("unknown change")),
        })
    }
}

impl Notification {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const LONG: &str = "a notification is longer than 1024 characters";
        Ok(Self {
            title: text(reader, 1024, LONG)?,
            text: text(reader, 1024, LONG)?,
            duration_ms: u32_upto(reader, u32::MAX, "a duration is above 2^32 - 1 ms")?,
            class: if flag(reader)? { NotificationClass::Short } else { NotificationClass::Classic },
        })
    }
}

impl ListedRoom {
    fn encode(&self, buf: &mut Vec<u8>) {
        put_text(&self.room, buf);
        varint::encode(self.count.into(), buf);
        self.settings.encode(buf);
        put_option(self.crown.as_ref(), buf, Crown::encode);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            room: room(reader)?,
            count: u32_upto(reader, MAX_PARTICIPANTS as u32, "a room holds no more than 1200")?,
            settings: Settings::decode(reader)?,
            crown: option(reader, Crown::decode)?,
        })
    }
}
