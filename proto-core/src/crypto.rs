//! The seam for encryption: what an implementation gives, and nothing of how (docs/spec/wire.md, section 2.5). The core has no
//! cryptography of its own.
//!
//! A handshake is one message in INIT and one in the answer. Behind them each side has a [`Session`], which seals and opens the
//! packets of one attachment.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

/// Bytes of the tag behind a sealed record.
pub const TAG_LEN: usize = 16;
/// Bytes of a packet that its header is masked by.
pub const SAMPLE_LEN: usize = 16;

/// What the peers of a party know it by. As text it is 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 64 hexadecimal digits")]
pub struct KeyError;

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digits: Vec<u8> = text
            .chars()
            .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
            .collect::<Option<_>>()
            .ok_or(KeyError)?;
        let (pairs, []) = digits.as_chunks::<2>() else { return Err(KeyError) };
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        bytes.try_into().map(Self).map_err(|_| KeyError)
    }
}

/// What encrypts the datagrams of an endpoint.
#[derive(Clone, Debug)]
pub struct Crypto {
    /// This side's keys.
    pub identity: Arc<dyn Identity>,
    /// Whom a client takes for its server.
    pub trust: Trust,
    /// Packets that are sealed with one key before the next one takes its place, as far as the key allows as many. 2^20.
    pub update_packets: u64,
    /// Time likewise, for connections that send. 1 h.
    pub update_interval: Duration,
}

impl Crypto {
    /// Encryption with this side's `identity`, for a client with `trust`.
    pub fn new(identity: Arc<dyn Identity>, trust: Trust) -> Self {
        Self { identity, trust, update_packets: 1 << 20, update_interval: Duration::from_hours(1) }
    }
}

/// Whom a client takes for its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Who has this key, and nobody else.
    Pinned(PublicKey),
    /// Who answers first: the key that it shows is taken for as long as the connection and those that take its place live. Nothing
    /// proves that it is the server's; whoever stands in between at that moment can show another one.
    FirstUse,
}

/// A party's own key, and what else it needs for a handshake.
pub trait Identity: fmt::Debug + Send + Sync {
    /// What peers know this party by.
    fn public_key(&self) -> PublicKey;

    /// A client's handshake with the server that has the key `server`: appends its message, which nobody but that server can read
    /// `payload` from, and which fits `prologue` only. `random` was not given before; the implementation may add to it.
    fn initiate(
        &self,
        random: [u8; 32],
        server: &PublicKey,
        prologue: &[u8],
        payload: &[u8],
        message: &mut Vec<u8>,
    ) -> Box<dyn Initiator>;

    /// A server's part of a handshake that began with `message`; `None` when that was not made for this party, for `prologue`, or
    /// with the same shared secret.
    fn respond(&self, random: [u8; 32], prologue: &[u8], message: &[u8]) -> Option<Box<dyn Responder>>;

    /// The session that wrote `saved`.
    fn load(&self, saved: &[u8]) -> Option<Box<dyn Session>>;
}

/// A client's handshake, begun.
pub trait Initiator: fmt::Debug + Send + Sync {
    /// The payload of the server's message, and the session; `None` when the message answers another handshake.
    fn finish(&mut self, message: &[u8]) -> Option<(Vec<u8>, Box<dyn Session>)>;

    /// The same again.
    fn clone_box(&self) -> Box<dyn Initiator>;
}

/// A server's handshake, begun.
pub trait Responder {
    /// The client's key, which the client has proven to have.
    fn peer(&self) -> PublicKey;

    /// What the client's message said.
    fn payload(&self) -> &[u8];

    /// Appends the server's message with `payload`, and ends the handshake.
    fn finish(self: Box<Self>, payload: &[u8], message: &mut Vec<u8>) -> Box<dyn Session>;
}

/// Which of the peer's keys opens a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The one before the present.
    Previous,
    /// The present one.
    Current,
    /// The one that follows.
    Next,
}

/// How much a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Packets that may be sealed with one key.
    pub sealed: u64,
    /// Packets that may fail to open, over all keys of a session.
    pub forged: u64,
}

/// The keys of one attachment. Numbers are never used twice with one key; the caller sees to that.
pub trait Session: fmt::Debug + Send + Sync {
    /// Encrypts `record` where it is, and returns the tag over it and `header`.
    fn seal(&self, number: u64, header: &[u8], record: &mut [u8]) -> [u8; TAG_LEN];

    /// Decrypts `sealed`, a record and its tag, where it is. `false`: the tag is wrong, there is no such key, or there is no tag;
    /// what is in `sealed` then means nothing.
    fn open(&mut self, key: Key, number: u64, header: &[u8], sealed: &mut [u8]) -> bool;

    /// What the header of a packet that goes out is masked with.
    fn mask_sent(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5];

    /// What the header of a packet that came in is masked with.
    fn mask_received(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5];

    /// This side seals with the next key from here on.
    fn update_sent(&mut self);

    /// The next key of the peer is the present one from here on, and that the previous one.
    fn update_received(&mut self);

    /// The previous key of the peer opens nothing any more.
    fn forget_previous(&mut self);

    /// How much its keys are good for.
    fn limits(&self) -> Limits;

    /// Known to both sides and to nobody else, and another one for each handshake: a name for it that other protocols can be bound
    /// to.
    fn handshake_hash(&self) -> [u8; 32];

    /// Appends all that [`Identity::load`] needs. The previous key need not be among it.
    fn save(&self, to: &mut Vec<u8>);

    /// The same again.
    fn clone_box(&self) -> Box<dyn Session>;
}

impl Clone for Box<dyn Initiator> {
    fn clone(&self) -> Self {
        (**self).clone_box()
    }
}

impl Clone for Box<dyn Session> {
    fn clone(&self) -> Self {
        (**self).clone_box()
    }
}

crate::sleep::saved!(PublicKey(_));

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::{KeyError, PublicKey};

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let key = PublicKey(core::array::from_fn(|i| (i * 9) as u8));
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(key.to_string().to_uppercase().parse(), Ok(key));
        for wrong in
            ["", "00", &"0".repeat(63), &"0".repeat(65), &"0".repeat(66), &"g".repeat(64), &"é".repeat(32)]
        {
            assert_eq!(wrong.parse::<PublicKey>(), Err(KeyError), "{wrong}");
        }
    }
}
