//! What an endpoint answers to clients that encrypt, or do not, before it keeps anything about them
//! (docs/spec/connection.md, section 10).

use super::{Address, Endpoint, token};
use crate::wire::{Advice, Cid, Close, Frame, Init, LongKind, params, sealed};
use crate::{Drop, Meta, Timestamp, code};

impl<A: Address> Endpoint<A> {
    /// Whether an INIT is one that this endpoint does not take, which is then answered.
    pub(super) fn refuses_secrecy(
        &mut self,
        now: Timestamp,
        address: A,
        client: Cid,
        init: &Init<'_>,
    ) -> bool {
        let key = self.config.crypto.as_ref().map(|crypto| crypto.identity.public_key());
        match (key, params::secrecy(init.params)) {
            (None, None) | (Some(_), Some([_, ..])) => return false,
            (None, Some(_)) => {
                let reason = "this server does not encrypt datagrams";
                self.refuse_secrecy(address, client, Drop::Encrypted, code::NOT_ENCRYPTED, reason);
            }
            (Some(_), None) => {
                let reason = "this server takes encrypted datagrams only";
                self.refuse_secrecy(address, client, Drop::NotEncrypted, code::ENCRYPTED_ONLY, reason);
            }
            (Some(key), Some([])) => {
                self.count(Drop::Retried);
                let token =
                    token::issue(self.incoming.retry_key.expose(), now, self.rng.bytes(), client, address);
                self.answer(address, LongKind::Retry, client, &Frame::Key { key: key.0, token: &token });
            }
        }
        true
    }

    /// A client's message could not be opened: it was made for another key, or with another secret.
    pub(super) fn refuse_key(&mut self, address: A, client: Cid) {
        let reason = "the handshake is for another key, or made with another secret";
        let close = Close { code: code::WRONG_KEY, advice: Advice::Never, retry_after_ms: 0, reason };
        self.answer(address, LongKind::Refuse, client, &Frame::Close(close));
    }

    fn refuse_secrecy(&mut self, address: A, client: Cid, drop: Drop, code: u64, reason: &'static str) {
        self.count(drop);
        let close = Close { code, advice: Advice::Never, retry_after_ms: 0, reason };
        self.answer(address, LongKind::Refuse, client, &Frame::Close(close));
    }

    /// Takes in a datagram that is no packet as long as its mask is on, and those of `rest` that belong to the same connection;
    /// returns what is left of it.
    pub(super) fn take_in_sealed<'p>(
        &mut self,
        now: Timestamp,
        meta: Meta<A>,
        packet: &'p [u8],
        rest: &'p [u8],
        stride: usize,
    ) -> &'p [u8] {
        let cid = if self.config.crypto.is_some() { sealed::dcid(packet) } else { None };
        let slot = cid.and_then(|cid| self.routes.by_cid(cid));
        if let Some(slot) = slot {
            let take_in = |conn: &mut crate::Connection, arrival| {
                conn.handle_sealed(now, arrival, packet, rest, stride)
            };
            return self.lend_arena(slot, meta, take_in).unwrap_or(rest);
        }
        match cid {
            Some(cid) if self.sessions.is_fenced(now, cid) => self.count(Drop::Fenced),
            cid => self.on_unknown(now, meta, cid, packet),
        }
        rest
    }
}
