//! INIT at a server: looked at before anything is kept for it, and then answered.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::Connection;
use super::handshake::{MAX_ACCEPT, NO_TOKEN, confirm_hash, first_half, reset_token};
use super::secrecy::prologue;
use super::state::State;
use crate::crypto::{PublicKey, Responder};
use crate::secret::Hidden;
use crate::wire::packet::{self, VERSION};
use crate::wire::params::{self, Params};
use crate::wire::{Accept, Cid, Frame, Init, RecordWriter};
use crate::{Config, Drop, SessionId, Timestamp};

/// What a client asks for, by an INIT that makes sense: decrypted, where it was encrypted.
pub(crate) struct Asked {
    /// Where it was encrypted.
    responder: Option<Box<dyn Responder>>,
    peer: Params,
    token: Bytes,
}

impl Asked {
    /// Reads an INIT, which must come from `known`, if that is somebody. `random` is drawn for one that is encrypted.
    ///
    /// # Errors
    /// [`Drop::WrongKey`] when it was made for another key, with another secret or by another client,
    /// [`Drop::MalformedHandshake`] when its parameters are none.
    pub(crate) fn of(
        config: &Config,
        known: Option<PublicKey>,
        random: impl FnOnce() -> [u8; 32],
        init: &Init<'_>,
    ) -> Result<Self, Drop> {
        let responder = match (&config.crypto, params::secrecy(init.params)) {
            (Some(crypto), Some(message)) => {
                let responder = crypto.identity.respond(random(), &prologue(init), message);
                let responder = responder.ok_or(Drop::WrongKey)?;
                if known.is_some_and(|known| known != responder.peer()) {
                    return Err(Drop::WrongKey);
                }
                Some(responder)
            }
            _ => None,
        };
        let block = responder.as_deref().map_or(init.params, Responder::payload);
        let peer = Params::decode(block).map_err(|_| Drop::MalformedHandshake)?;
        let token = params::credentials(block).map_err(|_| Drop::MalformedHandshake)?;
        let token = Bytes::copy_from_slice(token);
        Ok(Self { responder, peer, token })
    }

    /// What answers one that was encrypted.
    pub(super) fn into_responder(self) -> Option<Box<dyn Responder>> {
        self.responder
    }

    /// Who has made it, if that is proven.
    fn peer_key(&self) -> Option<PublicKey> {
        self.responder.as_ref().map(|responder| responder.peer())
    }
}

impl Connection {
    /// The INIT that a server's connection begins with, from the client's connection `remote`.
    pub(crate) fn handle_init(
        &mut self,
        now: Timestamp,
        remote: Cid,
        init: &Init<'_>,
        asked: Asked,
        size: usize,
    ) {
        self.advance(now);
        self.on_asked(remote, init, asked, size);
        self.update_timers();
    }

    pub(super) fn on_asked(&mut self, remote: Cid, init: &Init<'_>, asked: Asked, size: usize) {
        self.raise_budget(size);
        self.answer_init(remote, init, asked);
        if self.link.is_stream() {
            self.stats.packets_received += 1;
            self.stats.bytes_received += size as u64;
        }
    }

    fn raise_budget(&mut self, size: usize) {
        if let Some(budget) = &mut self.handshake.budget {
            *budget += 3 * size;
        }
    }

    /// A client asks. On an endpoint that encrypts, an INIT with a message is answered by one.
    pub(super) fn on_init(&mut self, remote: Cid, init: &Init<'_>, size: usize) -> Result<(), Drop> {
        self.raise_budget(size);
        if !self.handshake.accept.is_empty() {
            if init.client_random != self.handshake.client_random {
                return Err(Drop::UnexpectedHandshake);
            }
            if remote != self.remote_cid {
                self.remote_cid = remote;
                self.guard = packet::guard(remote, self.local_cid, self.config.checksum);
            }
            self.handshake.due = !self.is_undecided();
            return self.encrypt_again(init);
        }
        let asked = self.read_init(init)?;
        self.answer_init(remote, init, asked);
        Ok(())
    }

    /// Reads an INIT that comes from the peer that the session is with, as far as that is known by its key.
    pub(crate) fn read_init(&mut self, init: &Init<'_>) -> Result<Asked, Drop> {
        let known = self.known_key();
        Asked::of(&self.config, known, || self.rng.bytes(), init)
    }

    fn answer_init(&mut self, remote: Cid, init: &Init<'_>, asked: Asked) {
        let peer_key = asked.peer_key();
        let Asked { responder, peer, token } = asked;
        self.remote_cid = remote;
        self.agree(peer, remote, self.local_cid);
        let mut record = Vec::new();
        RecordWriter::new(&mut record).write(&Frame::Init(*init), false);
        self.handshake.client_random = init.client_random;
        let transcript = first_half(blake3::hash(&record).as_bytes());
        if self.state == State::Accepting {
            let mut session: [u8; 16] = self.rng.bytes();
            session[0] = self.config.shard;
            self.session = SessionId(session);
            self.secret = self.rng.secret();
            self.incarnation = 1;
        }
        let key = self.reset_key();
        // Nothing but a new handshake finds its way back to a stream that is gone.
        if responder.is_some() {
            self.prepare_cids(key.clone());
        }
        let reset_token =
            if self.link.is_stream() { NO_TOKEN } else { reset_token(key.expose(), self.local_cid) };
        let mut params = Vec::new();
        self.params().encode(&mut params);
        let accept = Accept {
            version: VERSION,
            server_random: self.rng.bytes(),
            session_id: self.session.0,
            incarnation: self.incarnation.into(),
            secret: *self.secret.expose(),
            reset_token,
            transcript,
            params: &params,
        };
        record = Vec::with_capacity(MAX_ACCEPT);
        RecordWriter::new(&mut record).write(&Frame::Accept(accept), false);
        let record = Hidden::from(record);
        self.confirmation = confirm_hash(&transcript, &record);
        if let Some(responder) = responder {
            self.encrypt_accept(self.clock, responder, &record);
        }
        self.handshake.accept = record;
        self.ask_for_admission(token, peer_key);
    }
}
