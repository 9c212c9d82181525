//! What the holder of a room's crown can decide about it.

use alloc::vec::Vec;

use super::codec::{color, flag, option, put_color, put_flag, put_option, u32_upto};
use super::id::Color;
use super::limits::{MAX_LIMIT, MAX_MIN_ONLINE_MS};
use super::name::RoomKind;
use crate::wire::{DecodeError, Reader, varint};

/// How a room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of the original")]
pub struct Settings {
    /// Whether lists of rooms show it.
    pub visible: bool,
    /// Whether there is chat.
    pub chat: bool,
    /// Whether only the holder of the crown plays.
    pub crownsolo: bool,
    /// Whether lists for search engines leave it out.
    pub noindex: bool,
    /// Whether clients are asked to hide curses.
    pub no_cussing: bool,
    /// Whether programs may play; `None`: nobody has said.
    pub allow_bots: Option<bool>,
    /// The colour of the page.
    pub color: Color,
    /// Its other colour, if it has one.
    pub color2: Option<Color>,
    /// How many it holds, the holder of the crown not counted among those who are turned away: at most 99.
    pub limit: Option<u8>,
    /// How long somebody must have been online before he may play or chat here, in milliseconds: at most 24 h.
    pub min_online_ms: Option<u32>,
}

impl Settings {
    /// How a room of this kind is at first.
    pub const fn new(kind: RoomKind) -> Self {
        let (color, color2) = if kind.is_special() {
            (Color([0x73, 0xB3, 0xCC]), Some(Color([0x27, 0x35, 0x46])))
        } else {
            (Color([0xEC, 0xFA, 0xED]), None)
        };
        Self {
            visible: true,
            chat: true,
            crownsolo: false,
            noindex: false,
            no_cussing: false,
            allow_bots: None,
            color,
            color2,
            limit: None,
            min_online_ms: None,
        }
    }

    /// The same after a change.
    #[must_use]
    pub fn changed(self, change: &SettingsChange) -> Self {
        Self {
            visible: change.visible.unwrap_or(self.visible),
            chat: change.chat.unwrap_or(self.chat),
            crownsolo: change.crownsolo.unwrap_or(self.crownsolo),
            noindex: change.noindex.unwrap_or(self.noindex),
            no_cussing: change.no_cussing.unwrap_or(self.no_cussing),
            allow_bots: change.allow_bots.unwrap_or(self.allow_bots),
            color: change.color.unwrap_or(self.color),
            color2: change.color2.unwrap_or(self.color2),
            limit: change.limit.unwrap_or(self.limit),
            min_online_ms: change.min_online_ms.unwrap_or(self.min_online_ms),
        }
    }

    /// ```text
    /// flags (1): 1 visible, 2 chat, 4 crownsolo, 8 noindex, 10 no cussing, 20 bots, 40 no bots
    /// color (3) ‖ color2 option (3) ‖ limit option (1) ‖ min_online_ms option vi64
    /// ```
    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        let bits = [
            self.visible,
            self.chat,
            self.crownsolo,
            self.noindex,
            self.no_cussing,
            self.allow_bots == Some(true),
            self.allow_bots == Some(false),
        ];
        buf.push(bits.into_iter().enumerate().fold(0, |flags, (bit, set)| flags | u8::from(set) << bit));
        put_color(self.color, buf);
        put_option(self.color2, buf, put_color);
        put_option(self.limit, buf, |limit, buf| buf.push(limit));
        put_option(self.min_online_ms, buf, |ms, buf| varint::encode(ms.into(), buf));
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.u8()?;
        let has = |bit: u32| flags & 1 << bit != 0;
        let allow_bots = match (has(5), has(6)) {
            (true, true) => return Err(DecodeError::Invalid("bots are allowed and forbidden")),
            (false, false) => None,
            (allowed, _) => Some(allowed),
        };
        if has(7) {
            return Err(DecodeError::Invalid("unknown flags of settings"));
        }
        Ok(Self {
            visible: has(0),
            chat: has(1),
            crownsolo: has(2),
            noindex: has(3),
            no_cussing: has(4),
            allow_bots,
            color: color(reader)?,
            color2: option(reader, color)?,
            limit: option(reader, limit)?,
            min_online_ms: option(reader, min_online)?,
        })
    }
}

/// What is to be different; `None` leaves a setting as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SettingsChange {
    /// See [`Settings`].
    pub visible: Option<bool>,
    /// See [`Settings`].
    pub chat: Option<bool>,
    /// See [`Settings`].
    pub crownsolo: Option<bool>,
    /// See [`Settings`].
    pub noindex: Option<bool>,
    /// See [`Settings`].
    pub no_cussing: Option<bool>,
    /// `Some(None)` takes it away.
    pub allow_bots: Option<Option<bool>>,
    /// See [`Settings`].
    pub color: Option<Color>,
    /// `Some(None)` takes it away.
    pub color2: Option<Option<Color>>,
    /// `Some(None)` takes it away.
    pub limit: Option<Option<u8>>,
    /// `Some(None)` takes it away.
    pub min_online_ms: Option<Option<u32>>,
}

impl SettingsChange {
    /// The same with numbers above their limits taken for the limits.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            limit: self.limit.map(|limit| limit.map(|limit| limit.min(MAX_LIMIT))),
            min_online_ms: self.min_online_ms.map(|ms| ms.map(|ms| ms.min(MAX_MIN_ONLINE_MS))),
            ..self
        }
    }

    /// Ten options in the order of the fields; those that can be taken away are options of options.
    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        let flags = [self.visible, self.chat, self.crownsolo, self.noindex, self.no_cussing];
        for set in flags {
            put_option(set, buf, put_flag);
        }
        put_option(self.allow_bots, buf, |bots, buf| put_option(bots, buf, put_flag));
        put_option(self.color, buf, put_color);
        put_option(self.color2, buf, |color, buf| put_option(color, buf, put_color));
        put_option(self.limit, buf, |limit, buf| put_option(limit, buf, |limit, buf| buf.push(limit)));
        put_option(self.min_online_ms, buf, |ms, buf| {
            put_option(ms, buf, |ms, buf| varint::encode(ms.into(), buf));
        });
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            visible: option(reader, flag)?,
            chat: option(reader, flag)?,
            crownsolo: option(reader, flag)?,
            noindex: option(reader, flag)?,
            no_cussing: option(reader, flag)?,
            allow_bots: option(reader, |reader| option(reader, flag))?,
            color: option(reader, color)?,
            color2: option(reader, |reader| option(reader, color))?,
            limit: option(reader, |reader| option(reader, limit))?,
            min_online_ms: option(reader, |reader| option(reader, min_online))?,
        })
    }
}

fn limit(reader: &mut Reader<'_>) -> Result<u8, DecodeError> {
    match reader.u8()? {
        limit if limit > MAX_LIMIT => Err(DecodeError::Invalid("a room's limit is above 99")),
        limit => Ok(limit),
    }
}

fn min_online(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    u32_upto(reader, MAX_MIN_ONLINE_MS, "a time online is above 24 h")
}
