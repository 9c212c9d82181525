//! What a participant asks for.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::Notes;
use crate::chat::ClientSecret;
use crate::room::codec::{
    color, flag, name, option, position, put_color, put_flag, put_option, put_position, put_text, put_user,
    room, u32_upto, user,
};
use crate::room::fact::{BanTarget, put_target, target};
use crate::room::id::{Color, Position, UserId};
use crate::room::limits::MAX_BAN;
use crate::room::settings::SettingsChange;
use crate::wire::{DecodeError, Reader, varint};

/// A command. An `epoch` is that of the crown by which it is given: under any other it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// 0x01: who is there; the first on a connection, and only once.
    Hello {
        /// Proves who it is.
        secret: ClientSecret,
        /// What to be called; empty: as before, or `Anonymous`.
        name: Arc<str>,
        /// In which colour; `None`: the one that follows from the user's id.
        color: Option<Color>,
    },
    /// 0x02: enter a room, and leave the one before.
    Enter {
        /// Its name.
        room: Arc<str>,
        /// How it is to be, if this makes it.
        set: Option<SettingsChange>,
    },
    /// 0x03: leave the room.
    Leave,
    /// 0x04: play.
    Notes(Notes),
    /// 0x05: the cursor is here.
    Cursor(Position),
    /// 0x06: be called so.
    Rename(Arc<str>),
    /// 0x07: be of this colour.
    Recolor(Color),
    /// 0x08: change the room.
    Settings {
        /// By this crown.
        epoch: u64,
        /// What is to be different.
        change: SettingsChange,
    },
    /// 0x09: give the crown to somebody; take it, when nobody has it and it is one's own id.
    GiveCrown {
        /// This crown.
        epoch: u64,
        /// To whom.
        to: UserId,
    },
    /// 0x0A: let the crown fall.
    DropCrown {
        /// This crown.
        epoch: u64,
    },
    /// 0x0B: send somebody away, and keep him away.
    KickBan {
        /// By this crown.
        epoch: u64,
        /// Whom.
        user: UserId,
        /// How long, in milliseconds: at most 1 h; `None`: 30 minutes.
        ms: Option<u32>,
    },
    /// 0x0C: lift a ban.
    Unban {
        /// By this crown.
        epoch: u64,
        /// Whose.
        target: BanTarget,
    },
    /// 0x0D: tell about rooms from now on, or do not.
    ListRooms(bool),
}

impl Command {
    /// The type byte, which a refusal names.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Hello { .. } => 0x01,
            Self::Enter { .. } => 0x02,
            Self::Leave => 0x03,
            Self::Notes(_) => 0x04,
            Self::Cursor(_) => 0x05,
            Self::Rename(_) => 0x06,
            Self::Recolor(_) => 0x07,
            Self::Settings { .. } => 0x08,
            Self::GiveCrown { .. } => 0x09,
            Self::DropCrown { .. } => 0x0A,
            Self::KickBan { .. } => 0x0B,
            Self::Unban { .. } => 0x0C,
            Self::ListRooms(_) => 0x0D,
        }
    }

    /// The command as a message.
    pub fn to_bytes(&self) -> Bytes {
        let mut buf = Vec::new();
        let out = &mut buf;
        out.push(self.code());
        match self {
            Self::Hello { secret, name, color } => {
                out.extend_from_slice(&secret.0);
                put_text(name, out);
                put_option(*color, out, put_color);
            }
            Self::Enter { room, set } => {
                put_text(room, out);
                put_option(set.as_ref(), out, SettingsChange::encode);
            }
            Self::Leave => {}
            Self::Notes(notes) => notes.encode(out),
            Self::Cursor(at) => put_position(*at, out),
            Self::Rename(name) => put_text(name, out),
            Self::Recolor(color) => put_color(*color, out),
            Self::Settings { epoch, change } => {
                varint::encode(*epoch, out);
                change.encode(out);
            }
            Self::GiveCrown { epoch, to } => {
                varint::encode(*epoch, out);
                put_user(to, out);
            }
            Self::DropCrown { epoch } => varint::encode(*epoch, out),
            Self::KickBan { epoch, user, ms } => {
                varint::encode(*epoch, out);
                put_user(user, out);
                put_option(*ms, out, |ms, out| varint::encode(ms.into(), out));
            }
            Self::Unban { epoch, target } => {
                varint::encode(*epoch, out);
                put_target(*target, out);
            }
            Self::ListRooms(on) => put_flag(*on, out),
        }
        buf.into()
    }

    /// Reads a whole message.
    ///
    /// # Errors
    /// When a field is cut off, exceeds its limit or has a value that is not allowed there, when bytes are left over, and when
    /// the type is unknown.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let from = &mut reader;
        let command = match from.u8()? {
            0x01 => Self::Hello {
                secret: ClientSecret(from.array()?),
                name: name(from)?,
                color: option(from, color)?,
            },
            0x02 => Self::Enter { room: room(from)?, set: option(from, SettingsChange::decode)? },
            0x03 => Self::Leave,
            0x04 => Self::Notes(Notes::decode(from)?),
            0x05 => Self::Cursor(position(from)?),
            0x06 => Self::Rename(name(from)?),
            0x07 => Self::Recolor(color(from)?),
            0x08 => Self::Settings { epoch: from.vi64()?, change: SettingsChange::decode(from)? },
            0x09 => Self::GiveCrown { epoch: from.vi64()?, to: user(from)? },
            0x0A => Self::DropCrown { epoch: from.vi64()? },
            0x0B => Self::KickBan { epoch: from.vi64()?, user: user(from)?, ms: option(from, ban_ms)? },
            0x0C => Self::Unban { epoch: from.vi64()?, target: target(from)? },
            0x0D => Self::ListRooms(flag(from)?),
            _ => return Err(DecodeError::Invalid("unknown room command")),
        };
        reader.finish()?;
        Ok(command)
    }
}

fn ban_ms(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    u32_upto(reader, MAX_BAN.as_millis() as u32, "a ban is longer than 1 h")
}
