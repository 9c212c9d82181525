//! Agreeing on keys: the messages of a handshake that encrypts travel in INIT and in its answer (docs/spec/wire.md, section 3.4).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::asked::Asked;
use super::cids::Cids;
use super::keys::Keys;
use super::state::End;
use super::{Connection, Proof, Verdict};
use crate::crypto::{Initiator, PublicKey, Responder, Trust};
use crate::secret::Hidden;
use crate::wire::params;
use crate::wire::{Accept, Advice, Cid, Claim, Frame, Init, Record, RecordWriter};
use crate::{CloseReason, Config, Drop, Link, Timestamp};

/// What a connection that encrypts knows and has.
#[derive(Clone, Debug)]
pub(super) struct Secrecy {
    /// The peer's public key: a client's from the start or as soon as it was shown, a server's once it was proven.
    pub(super) peer: Option<PublicKey>,
    /// Those of the present attachment, when it encrypts.
    pub(super) keys: Option<Keys>,
    /// The connection ids beside those of the handshake, if there are any.
    pub(super) cids: Option<Box<Cids>>,
}

impl Secrecy {
    pub(super) fn first(config: &Config, is_client: bool) -> Option<Box<Self>> {
        let crypto = config.crypto.as_ref()?;
        let peer = match crypto.trust {
            Trust::Pinned(key) if is_client => Some(key),
            Trust::Pinned(_) | Trust::FirstUse => None,
        };
        Some(Box::new(Self { peer, keys: None, cids: None }))
    }
}

/// A handshake that a client has begun with the owner of a key.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    with: PublicKey,
    initiator: Box<dyn Initiator>,
}

/// What a handshake is made for: INIT but for what is encrypted in it, and for the proof, which is made of all of it.
pub(super) fn prologue(init: &Init<'_>) -> Vec<u8> {
    let attach = match init.attach.claim() {
        Some(claim) => init.attach.with(Claim { proof: [0; Claim::PROOF], ..*claim }),
        None => init.attach,
    };
    let mut bytes = Vec::new();
    RecordWriter::new(&mut bytes).write(&Frame::Init(Init { attach, params: &[], ..*init }), false);
    bytes
}

impl Connection {
    /// The public key that the peer has proven to have; `None` where nothing is encrypted, and before that.
    pub fn peer_key(&self) -> Option<PublicKey> {
        let secrecy = self.secrecy.as_ref().filter(|secrecy| secrecy.keys.is_some())?;
        secrecy.peer
    }

    /// The key of who the connection is with, as far as that is known.
    pub(super) fn known_key(&self) -> Option<PublicKey> {
        self.secrecy.as_ref().and_then(|secrecy| secrecy.peer)
    }

    /// Known to both sides of an encrypted link and to nobody else, and another one for each link: a name for it that other
    /// protocols can be bound to. `None` where nothing is encrypted.
    pub fn handshake_hash(&self) -> Option<[u8; 32]> {
        self.secrecy.as_ref()?.keys.as_ref().map(Keys::handshake_hash)
    }

    /// Times that the keys of this link were replaced by the next ones, by whichever side.
    pub fn key_updates(&self) -> u64 {
        self.secrecy.as_ref().and_then(|secrecy| secrecy.keys.as_ref()).map_or(0, Keys::updates)
    }

    /// The keys of the last attachment open nothing any more.
    pub(super) fn forget_keys(&mut self) {
        if let Some(secrecy) = &mut self.secrecy {
            secrecy.keys = None;
            secrecy.cids = None;
        }
    }

    /// The parameters of an INIT in a datagram: those of `init`, encrypted for the server, or the question for its key.
    pub(super) fn encrypt_params(&mut self, shown: Option<PublicKey>, init: &Init<'_>) -> Option<Vec<u8>> {
        let known = self.secrecy.as_ref()?.peer;
        let crypto = self.config.crypto.as_ref()?;
        let mut message = Vec::new();
        if let Some(key) = known.or(shown) {
            let random = self.rng.bytes();
            let initiator =
                crypto.identity.initiate(random, &key, &prologue(init), init.params, &mut message);
            self.handshake.begun.push(Begun { with: key, initiator });
        }
        let mut block = Vec::new();
        params::encode_secrecy(&message, &mut block);
        Some(block)
    }

    /// The server asks for a proof of the address, and shows its key, which this side asked for.
    pub(super) fn on_key(
        &mut self,
        now: Timestamp,
        way: u8,
        key: [u8; 32],
        token: &[u8],
    ) -> Result<(), Drop> {
        let asked = self.secrecy.as_ref().is_some_and(|secrecy| secrecy.peer.is_none());
        if !asked {
            return Err(Drop::UnexpectedHandshake);
        }
        self.on_retry(now, way, token)?;
        if let Some(way) = self.handshake.ways.get_mut(usize::from(way)) {
            way.key = Some(PublicKey(key));
        }
        Ok(())
    }

    /// A server took this client, and says so in a message that only who has its key can have made.
    pub(super) fn on_sealed_accept(
        &mut self,
        now: Timestamp,
        way: u8,
        link: Link,
        remote: Cid,
        message: &[u8],
    ) -> Result<(), Drop> {
        let answered = self.handshake.begun.iter_mut().find_map(|begun| {
            let (payload, session) = begun.initiator.finish(message)?;
            Some((begun.with, payload, session))
        });
        let (key, payload, session) = answered.ok_or(Drop::WrongKey)?;
        let payload = Hidden::from(payload);
        let mut record = Record::new(&payload);
        let Some(Ok(Frame::Accept(accept))) = record.next() else { return Err(Drop::MalformedHandshake) };
        let Some(secrecy) = &mut self.secrecy else { return Err(Drop::UnexpectedHandshake) };
        let before = secrecy.peer.replace(key);
        secrecy.keys = Keys::new(now, session, &self.config);
        let taken = self.on_accept(now, way, link, remote, &accept);
        if taken.is_err()
            && let Some(secrecy) = &mut self.secrecy
        {
            (secrecy.peer, secrecy.keys) = (before, None);
        }
        taken
    }

    /// A server took this client without encryption, which this side never agrees to.
    pub(super) fn on_plain_accept(
        &mut self,
        now: Timestamp,
        way: u8,
        accept: &Accept<'_>,
    ) -> Result<(), Drop> {
        if !self.handshake.transcripts.contains(&accept.transcript) {
            return Err(Drop::UnexpectedHandshake);
        }
        let end = End { advice: Advice::Never, ..End::of(CloseReason::NotEncrypted) };
        self.fail_way(now, way, end);
        Ok(())
    }

    /// Whether a claim that is proven comes from who the session is with, as far as it says by keys.
    pub(super) fn judge_key(&self, init: &Init<'_>, proof: Proof) -> Verdict {
        match Asked::of(&self.config, self.known_key(), || [0; 32], init) {
            Err(Drop::WrongKey) => Verdict::Unproven,
            _ => Verdict::Valid(proof),
        }
    }

    /// The INIT of the handshake under way came again, perhaps first in a datagram now that came on a stream before.
    pub(super) fn encrypt_again(&mut self, init: &Init<'_>) -> Result<(), Drop> {
        let is_new = self.config.crypto.is_some() && self.handshake.sealed_accept.is_empty();
        if is_new && let Some(responder) = self.read_init(init)?.into_responder() {
            let key = self.reset_key();
            self.prepare_cids(key);
            let accept = core::mem::take(&mut self.handshake.accept);
            self.encrypt_accept(self.clock, responder, &accept);
            self.handshake.accept = accept;
        }
        Ok(())
    }

    /// Puts an ACCEPT into a message of the handshake, whose keys are good from here on.
    pub(super) fn encrypt_accept(&mut self, now: Timestamp, responder: Box<dyn Responder>, accept: &[u8]) {
        let peer = responder.peer();
        let mut message = Vec::new();
        let session = responder.finish(accept, &mut message);
        let mut sealed = Vec::with_capacity(message.len() + 4);
        RecordWriter::new(&mut sealed).write(&Frame::Sealed(&message), false);
        self.handshake.sealed_accept = sealed;
        if let Some(secrecy) = &mut self.secrecy {
            (secrecy.peer, secrecy.keys) = (Some(peer), Keys::new(now, session, &self.config));
        }
    }
}

crate::sleep::saved!(Secrecy { peer, keys, cids });
crate::sleep::awake!(Begun);
