//! Names of rooms and of people.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::Write as _;

use super::limits::{MAX_CHAT_CHARS, MAX_NAME_CHARS, MAX_ROOM_CHARS};
use crate::chat::MAX_ROOM;

/// Where everybody begins.
pub const LOBBY: &str = "lobby";
/// Where those are sent who may not be where they want.
pub const AWKWARD: &str = "test/awkward";

/// The last of the lobbies for which there is always room.
const LAST_KEPT_LOBBY: u32 = 16;

/// What its name makes of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoomKind {
    /// `lobby`, `lobby2` ...: holds 20, then the next one is used.
    Lobby,
    /// `test/...`: like a lobby without that limit.
    Test,
    /// Any other: has a crown and can be configured, and is deleted when everybody has left.
    Normal,
}

impl RoomKind {
    /// What the room `name` is.
    pub fn of(name: &str) -> Self {
        let number = name.strip_prefix(LOBBY);
        if number.is_some_and(|number| number == "NaN" || number.bytes().all(|byte| byte.is_ascii_digit())) {
            return Self::Lobby;
        }
        if name.strip_prefix("test/").is_some_and(|rest| !rest.is_empty()) {
            Self::Test
        } else {
            Self::Normal
        }
    }

    /// Whether it has no crown, cannot be configured and is never deleted.
    pub const fn is_special(self) -> bool {
        !matches!(self, Self::Normal)
    }
}

/// Whether there is always room for this one, however many others there are: those where people are sent.
pub(crate) fn has_place(name: &str) -> bool {
    // No other spelling of a number has a place: there are many.
    let number = || {
        name.strip_prefix(LOBBY)
            .filter(|number| number.starts_with(|c| matches!(c, '1'..='9')))?
            .parse::<u32>()
            .ok()
    };
    name == LOBBY || name == AWKWARD || number().is_some_and(|number| (2..=LAST_KEPT_LOBBY).contains(&number))
}

/// Whether text may be shown to others: neither empty nor blank, and nothing that breaks or reverses lines.
pub fn is_presentable(text: &str) -> bool {
    let is_hostile = |c: char| {
        c.is_control() || matches!(c, '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    !text.trim().is_empty() && !text.contains(is_hostile)
}

/// Whether a room can have this name.
pub fn is_room_name(name: &str) -> bool {
    is_presentable(name) && name.chars().count() <= MAX_ROOM_CHARS
}

/// `name` as a participant carries it: without blanks around it; `None` when it is not presentable or too long.
pub fn participant_name(name: &str) -> Option<&str> {
    let name = name.trim();
    (is_presentable(name) && name.chars().count() <= MAX_NAME_CHARS).then_some(name)
}

/// Whether this may be said: not blank, and at most 512 characters. Line breaks may be in it; who shows it takes care.
pub fn is_sayable(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= MAX_CHAT_CHARS
}

/// The chat log of the room `name`: its own name where a log can have it, otherwise a hash that no room's name looks like.
pub(super) fn log_name(name: &Arc<str>) -> Arc<str> {
    if name.len() <= MAX_ROOM {
        return Arc::clone(name);
    }
    let hash = blake3::hash(name.as_bytes());
    let mut text = String::from('\u{1}');
    for byte in &hash.as_bytes()[..31] {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}

/// The lobby after `name`, which is full; `None`: there is no number above its own.
pub(super) fn next_lobby(name: &str) -> Option<Arc<str>> {
    let number = name.strip_prefix(LOBBY).and_then(|number| number.parse::<u32>().ok()).unwrap_or(1);
    Some(alloc::format!("{LOBBY}{}", number.checked_add(1)?.max(2)).into())
}
