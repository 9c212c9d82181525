//! Notes, the same in both directions.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::room::codec::{put_text, put_user, user};
use crate::room::id::UserId;
use crate::room::limits::{MAX_DELAY_MS, MAX_KEY, MAX_NOTES, MAX_VELOCITY};
use crate::wire::{DecodeError, Reader, varint};

/// A key goes down or up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Note {
    /// Which key: 1 to 8 bytes of ASCII, as `a1` or `cs4`.
    pub key: Arc<str>,
    /// What happens to it.
    pub touch: Touch,
    /// How long after the message's time, in milliseconds: at most 200.
    pub delay_ms: u16,
}

/// What happens to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Touch {
    /// It is struck, this hard: up to 10,000. `None`: its client's usual strength.
    Down(Option<u16>),
    /// It is let go.
    Up,
}

/// Notes of one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notes {
    /// The player's clock, in milliseconds; says only how they lie to each other.
    pub at_ms: u64,
    /// 1 to 1800 of them.
    pub notes: Vec<Note>,
}

/// Notes that somebody plays.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NotesOf {
    /// Who.
    pub user: UserId,
    /// What.
    pub notes: Notes,
}

impl Notes {
    /// ```text
    /// at_ms vi64 ‖ count vi64 ‖ count × (key text ‖ touch (1) ‖ velocity vi64 (touch 1 only) ‖ delay_ms vi64)
    /// ```
    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        varint::encode(self.at_ms, buf);
        varint::encode(self.notes.len() as u64, buf);
        for note in &self.notes {
            put_text(&note.key, buf);
            match note.touch {
                Touch::Down(None) => buf.push(0),
                Touch::Down(Some(velocity)) => {
                    buf.push(1);
                    varint::encode(velocity.into(), buf);
                }
                Touch::Up => buf.push(2),
            }
            varint::encode(note.delay_ms.into(), buf);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at_ms = reader.vi64()?;
        let count = reader.vi64_upto(MAX_NOTES as u64, "more than 1800 notes")?;
        if count == 0 {
            return Err(DecodeError::Invalid("no notes"));
        }
        let notes = (0..count).map(|_| note(reader)).collect::<Result<_, _>>()?;
        Ok(Self { at_ms, notes })
    }
}

fn note(reader: &mut Reader<'_>) -> Result<Note, DecodeError> {
    let key = reader.str(MAX_KEY, "a key is longer than 8 bytes")?;
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(DecodeError::Invalid("a key is not of printable ASCII"));
    }
    let touch = match reader.u8()? {
        0 => Touch::Down(None),
        1 => {
            let velocity = reader.vi64_upto(MAX_VELOCITY.into(), "a velocity is above 10,000")?;
            Touch::Down(Some(velocity as u16))
        }
        2 => Touch::Up,
        _ => return Err(DecodeError::Invalid("a touch is neither 0, 1 nor 2")),
    };
    let delay = reader.vi64_upto(MAX_DELAY_MS.into(), "a note's delay is above 200 ms")?;
    Ok(Note { key: key.into(), touch, delay_ms: delay as u16 })
}

impl NotesOf {
    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        put_user(&self.user, buf);
        self.notes.encode(buf);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { user: user(reader)?, notes: Notes::decode(reader)? })
    }
}
