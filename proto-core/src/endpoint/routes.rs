//! Which connection a packet belongs to.

use alloc::collections::BTreeMap;

use super::Address;
use crate::Secret;
use crate::rng::Rng;
use crate::secret::ResetToken;
use crate::wire::Cid;

/// Slots by what packets carry. Lookups only: nothing iterates, so an attacker's choice of keys costs a logarithm.
#[derive(Clone, Debug)]
pub(super) struct Routes<A> {
    cids: BTreeMap<Cid, u32>,
    /// A server's connections by the id that their client chose, for repeated INITs.
    initials: BTreeMap<(Cid, A), u32>,
    /// A client's connections by the token that says that their server has forgotten them: by its keyed hash, so that nobody learns
    /// by the clock how much of a token is right.
    resets: BTreeMap<[u8; 32], u32>,
    reset_key: Secret,
}

impl<A: Address> Routes<A> {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let reset_key = Rng::new(seed, "lookups of reset tokens").secret();
        Self { cids: BTreeMap::new(), initials: BTreeMap::new(), resets: BTreeMap::new(), reset_key }
    }

    fn hidden(&self, token: &[u8; 16]) -> [u8; 32] {
        *blake3::keyed_hash(self.reset_key.expose(), token).as_bytes()
    }

    pub(super) fn by_cid(&self, cid: Cid) -> Option<u32> {
        self.cids.get(&cid).copied()
    }

    pub(super) fn by_initial(&self, cid: Cid, address: A) -> Option<u32> {
        self.initials.get(&(cid, address)).copied()
    }

    pub(super) fn by_reset(&self, token: &[u8; 16]) -> Option<u32> {
        if self.resets.is_empty() {
            return None;
        }
        self.resets.get(&self.hidden(token)).copied()
    }

    pub(super) fn add_cid(&mut self, cid: Cid, slot: u32) {
        self.cids.insert(cid, slot);
    }

    pub(super) fn add_initial(&mut self, cid: Cid, address: A, slot: u32) {
        self.initials.insert((cid, address), slot);
    }

    pub(super) fn add_reset(&mut self, token: ResetToken, slot: u32) {
        self.resets.insert(self.hidden(token.expose()), slot);
    }

    pub(super) fn remove_cid(&mut self, cid: Cid) {
        self.cids.remove(&cid);
    }

    pub(super) fn remove_initial(&mut self, cid: Cid, address: A) {
        self.initials.remove(&(cid, address));
    }

    pub(super) fn remove_reset(&mut self, token: ResetToken) {
        self.resets.remove(&self.hidden(token.expose()));
    }
}
