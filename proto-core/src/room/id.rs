//! Who is who in rooms.

use alloc::string::String;
use core::fmt;

use crate::ConnectionId;
use crate::chat::ClientId;

/// A user as everybody in a room sees it: 12 bytes, 24 characters in hex. One user is one participant, however many
/// connections it has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub [u8; 12]);

impl UserId {
    /// The user behind an author of chat: who holds the secret of `client`, the same everywhere and always; or a guest.
    pub fn of_client(client: ClientId) -> Self {
        if client.is_within() {
            return Self(core::array::from_fn(|i| client.0[i]));
        }
        Self(first(&blake3::derive_key("bowline room v1 user of client", &client.0)))
    }

    /// The user behind `address`, as a server with this salt knows it: the same as long as the salt is.
    pub fn of_address(salt: &[u8], address: &[u8]) -> Self {
        let key = blake3::derive_key("bowline room v1 user of address", salt);
        Self(first(blake3::keyed_hash(&key, address).as_bytes()))
    }

    /// The colour that it has as long as it chooses none: as the original's, dark enough to be read on white.
    pub fn color(self) -> Color {
        let hash = blake3::hash(&self.0);
        let mut rgb: [u8; 3] = first::<3>(hash.as_bytes()).map(|part| part.wrapping_sub(0x20));
        while rgb.iter().map(|&part| u32::from(part)).sum::<u32>() > 0x282 {
            rgb = rgb.map(|part| part.saturating_sub(1));
        }
        Color(rgb)
    }

    /// The author of chat entries for a user that has no secret of its own: guests of a gateway.
    pub const fn client(self) -> ClientId {
        ClientId::within(self.0)
    }

    /// 24 hexadecimal digits.
    pub fn to_hex(self) -> String {
        alloc::format!("{self}")
    }

    /// The reverse of `to_hex`; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 24 {
            return None;
        }
        let mut id = [0; 12];
        for (byte, pair) in id.iter_mut().zip(digits.chunks(2)) {
            let value = |digit: u8| match digit {
                b'0'..=b'9' => Some(digit - b'0'),
                b'a'..=b'f' => Some(digit - b'a' + 10),
                _ => None,
            };
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Red, green and blue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Color(pub [u8; 3]);

impl Color {
    /// The colour that `#rrggbb` names; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let [_, rgb @ ..] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        Some(Self(rgb))
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r, g, b] = self.0;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

/// A place on the page, in hundredths: 0 to 10,000 from one edge to the other, though it may lie outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// From the left.
    pub x: i16,
    /// From the top.
    pub y: i16,
}

impl Default for Position {
    /// Where nobody sees it, as the original has it: 200, 100.
    fn default() -> Self {
        Self { x: 20_000, y: 10_000 }
    }
}

/// One connection to the rooms, whatever it comes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// A connection of the server's endpoint.
    Native(ConnectionId),
    /// One that a gateway has, by the number that it gave.
    Guest(u64),
}

impl Peer {
    /// None is less.
    pub(super) const FIRST: Self = Self::Native(ConnectionId { slot: 0, generation: 0 });
}

fn first<const N: usize>(hash: &[u8; 32]) -> [u8; N] {
    const { assert!(N <= 32) };
    core::array::from_fn(|i| hash[i])
}
