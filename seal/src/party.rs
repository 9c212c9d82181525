//! Who somebody is: a private key, and what else it needs.

use std::fmt;

use proto_core::crypto::{Identity, Initiator, PublicKey, Responder, Session};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::handshake;
use crate::session::{Sealed, expand};

/// Shortest shared secret in bytes.
const MIN_SECRET: usize = 16;

/// Why there is no such party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system has no randomness to give.
    #[error("the system gives no randomness")]
    NoRandomness,
    /// A secret that can be guessed protects nothing: who answers a client in its server's place can try them all.
    #[error("a shared secret has at least {MIN_SECRET} bytes")]
    ShortSecret,
    /// A text is no private key.
    #[error("a private key is 64 hexadecimal digits")]
    NoKey,
}

/// Where the ephemeral keys of handshakes come from.
#[derive(Clone, Copy, Debug)]
enum Entropy {
    /// The system, and what the core gives.
    System,
    /// What the core gives, and nothing else.
    Core,
}

/// One side of encrypted connections. Its debug output tells the public key and no secret.
#[derive(Clone)]
pub struct Party {
    private: Zeroizing<[u8; 32]>,
    public: PublicKey,
    shared: Option<Zeroizing<[u8; 32]>>,
    entropy: Entropy,
}

impl Party {
    /// A party that nobody knows yet.
    pub fn generate() -> Result<Self, Error> {
        let mut private = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut *private).map_err(|_| Error::NoRandomness)?;
        Ok(Self::from_private(&private))
    }

    /// The party that has this private key, an X25519 scalar of 32 bytes.
    pub fn from_private(private: &[u8; 32]) -> Self {
        let public = handshake::public_key(private);
        Self { private: Zeroizing::new(*private), public, shared: None, entropy: Entropy::System }
    }

    /// The party whose private key this is as text: 64 hexadecimal digits.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(Error::NoKey) };
        let mut private = Zeroizing::new([0; 32]);
        if pairs.len() != private.len() {
            return Err(Error::NoKey);
        }
        for (byte, pair) in private.iter_mut().zip(pairs) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            let (Some(high), Some(low)) = (high, low) else { return Err(Error::NoKey) };
            *byte = (high << 4 | low) as u8;
        }
        Ok(Self::from_private(&private))
    }

    /// The private key as text, to be kept.
    pub fn private_text(&self) -> Zeroizing<String> {
        let digit = |digit: u8| char::from_digit(digit.into(), 16).unwrap_or_default();
        let mut text = Zeroizing::new(String::with_capacity(2 * self.private.len()));
        for byte in *self.private {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 15));
        }
        text
    }

    /// Talks only to those who have the same `secret`: at least 16 bytes that cannot be guessed.
    pub fn with_secret(self, secret: &[u8]) -> Result<Self, Error> {
        if secret.len() < MIN_SECRET {
            return Err(Error::ShortSecret);
        }
        let shared = expand(&Salt::new(HKDF_SHA256, b"").extract(secret), b"bowline 1 shared secret");
        Ok(Self { shared: Some(shared), ..self })
    }

    /// Takes what is random in handshakes from the core's seed alone, so that a simulation, or a server that records itself, can be
    /// repeated. Who knows the seed knows all keys, and a recording holds it: not for anything else.
    #[must_use]
    pub fn repeatable(self) -> Self {
        Self { entropy: Entropy::Core, ..self }
    }

    /// The private key, to be kept.
    pub fn private_key(&self) -> &[u8; 32] {
        &self.private
    }

    pub(crate) fn shared(&self) -> Option<&[u8; 32]> {
        self.shared.as_deref()
    }

    fn ephemeral(&self, random: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        let mut system = Zeroizing::new([0; 32]);
        if matches!(self.entropy, Entropy::System) {
            // What the core gives is unpredictable by itself: this keeps it so when somebody reads the core's memory later.
            let _ = SystemRandom::new().fill(&mut *system);
        }
        let prk: Prk = Salt::new(HKDF_SHA256, &*system).extract(random);
        expand(&prk, b"bowline 1 ephemeral")
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Identity for Party {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn initiate(
        &self,
        random: [u8; 32],
        server: &PublicKey,
        prologue: &[u8],
        payload: &[u8],
        message: &mut Vec<u8>,
    ) -> Box<dyn Initiator> {
        Box::new(handshake::Begun::new(self, self.ephemeral(&random), server, prologue, payload, message))
    }

    fn respond(&self, random: [u8; 32], prologue: &[u8], message: &[u8]) -> Option<Box<dyn Responder>> {
        let begun = handshake::Asked::new(self, &self.ephemeral(&random), prologue, message)?;
        Some(Box::new(begun))
    }

    fn load(&self, saved: &[u8]) -> Option<Box<dyn Session>> {
        Some(Box::new(Sealed::load(saved)?))
    }
}
