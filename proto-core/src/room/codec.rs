//! Pieces of encodings that messages and facts share (spec: rooms.md, section 3).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::id::{Color, Position, UserId};
use super::limits::{MAX_NAME_CHARS, MAX_ROOM_CHARS};
use crate::wire::{DecodeError, Reader, varint};

pub(super) fn put_text(text: &str, buf: &mut Vec<u8>) {
    varint::encode(text.len() as u64, buf);
    buf.extend_from_slice(text.as_bytes());
}

pub(super) fn put_flag(flag: bool, buf: &mut Vec<u8>) {
    buf.push(u8::from(flag));
}

/// 0, or 1 and the value.
pub(super) fn put_option<T>(value: Option<T>, buf: &mut Vec<u8>, put: impl FnOnce(T, &mut Vec<u8>)) {
    put_flag(value.is_some(), buf);
    if let Some(value) = value {
        put(value, buf);
    }
}

pub(super) fn put_user(user: &UserId, buf: &mut Vec<u8>) {
    buf.extend_from_slice(&user.0);
}

pub(super) fn put_color(color: Color, buf: &mut Vec<u8>) {
    buf.extend_from_slice(&color.0);
}

pub(super) fn put_position(at: Position, buf: &mut Vec<u8>) {
    buf.extend_from_slice(&at.x.to_be_bytes());
    buf.extend_from_slice(&at.y.to_be_bytes());
}

pub(super) fn flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Invalid("a flag is neither 0 nor 1")),
    }
}

pub(super) fn option<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if flag(reader)? { read(reader).map(Some) } else { Ok(None) }
}

pub(super) fn user(reader: &mut Reader<'_>) -> Result<UserId, DecodeError> {
    reader.array().map(UserId)
}

pub(super) fn color(reader: &mut Reader<'_>) -> Result<Color, DecodeError> {
    reader.array().map(Color)
}

pub(super) fn position(reader: &mut Reader<'_>) -> Result<Position, DecodeError> {
    let (x, y) = (i16::from_be_bytes(reader.array()?), i16::from_be_bytes(reader.array()?));
    Ok(Position { x, y })
}

/// Text of at most `max` characters.
pub(super) fn text(reader: &mut Reader<'_>, max: usize, what: &'static str) -> Result<Arc<str>, DecodeError> {
    let text = reader.str(4 * max, what)?;
    if text.chars().count() > max { Err(DecodeError::Invalid(what)) } else { Ok(text.into()) }
}

pub(super) fn name(reader: &mut Reader<'_>) -> Result<Arc<str>, DecodeError> {
    text(reader, MAX_NAME_CHARS, "a participant's name is longer than 40 characters")
}

pub(super) fn room(reader: &mut Reader<'_>) -> Result<Arc<str>, DecodeError> {
    text(reader, MAX_ROOM_CHARS, "a room's name is longer than 512 characters")
}

pub(super) fn u32_upto(reader: &mut Reader<'_>, max: u32, what: &'static str) -> Result<u32, DecodeError> {
    reader.vi64_upto(max.into(), what).map(|value| value as u32)
}
