//! Who wrote what: names that are hashes, so that knowing one gives no power over it.

use core::fmt;

/// What a client keeps to itself: 32 random bytes. Whoever holds them is that client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientSecret(pub [u8; 32]);

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// A client as the server and its store know it: a hash of the secret, never sent to other clients.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub [u8; 16]);

/// The end of the ids of authors within the server: guests.
const WITHIN: &[u8; 4] = b"gues";

impl ClientId {
    /// The client that holds `secret` (spec: chat.md, section 2).
    pub fn of(secret: &ClientSecret) -> Self {
        Self(first_half(&blake3::derive_key("bowline chat v1 client id", &secret.0)))
    }

    /// An author within the server, who has no secret and repeats nothing.
    pub const fn within(author: [u8; 12]) -> Self {
        let mut id = [0; 16];
        let (head, tail) = id.split_at_mut(12);
        head.copy_from_slice(&author);
        tail.copy_from_slice(WITHIN);
        Self(id)
    }

    /// Whether it is one of an author within the server, or the server's own: 16 zeros. Nobody else is let in under one.
    pub fn is_within(&self) -> bool {
        self.0.ends_with(WITHIN) || self.0 == [0; 16]
    }
}

/// A client as the other clients of one room know it. The same client has another one in every room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorId(pub [u8; 16]);

/// The random key of a room's author ids; durable with the room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RoomSalt(pub [u8; 32]);

impl RoomSalt {
    /// What `client` is called in this room.
    pub fn author(&self, client: ClientId) -> AuthorId {
        AuthorId(first_half(blake3::keyed_hash(&self.0, &client.0).as_bytes()))
    }
}

impl fmt::Debug for RoomSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomSalt(..)")
    }
}

/// A fingerprint of an append's kind and body: tells a repetition from other content under the same sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BodyHash(pub [u8; 16]);

impl BodyHash {
    /// The fingerprint of an append.
    pub fn of(kind: Kind, body: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[kind.0]);
        hasher.update(body);
        Self(first_half(hasher.finalize().as_bytes()))
    }
}

/// What an entry's body is. The log stores every kind alike; readers skip the kinds that they do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// A chat message: UTF-8 text.
    pub const TEXT: Self = Self(0);
}

fn first_half(hash: &[u8; 32]) -> [u8; 16] {
    core::array::from_fn(|i| hash[i])
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! debug_as_hex {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0, f)
            }
        }
    )*};
}

debug_as_hex!(ClientId, AuthorId, BodyHash);
