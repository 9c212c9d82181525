//! Which connection a packet belongs to.

use alloc::collections::BTreeMap;

use super::Address;
use crate::wire::Cid;

/// Slots by what packets carry. Lookups only: nothing iterates, so an attacker's choice of keys costs a logarithm.
#[derive(Clone, Debug)]
pub(super) struct Routes<A> {
    cids: BTreeMap<Cid, u32>,
    /// A server's connections by the id that their client chose, for repeated INITs.
    initials: BTreeMap<(Cid, A), u32>,
    /// A client's connections by the token that says that their server has forgotten them.
    resets: BTreeMap<[u8; 16], u32>,
}

impl<A> Default for Routes<A> {
    fn default() -> Self {
        Self { cids: BTreeMap::new(), initials: BTreeMap::new(), resets: BTreeMap::new() }
    }
}

impl<A: Address> Routes<A> {
    pub(super) fn by_cid(&self, cid: Cid) -> Option<u32> {
        self.cids.get(&cid).copied()
    }

    pub(super) fn by_initial(&self, cid: Cid, address: A) -> Option<u32> {
        self.initials.get(&(cid, address)).copied()
    }

    pub(super) fn by_reset(&self, token: &[u8; 16]) -> Option<u32> {
        self.resets.get(token).copied()
    }

    pub(super) fn add_cid(&mut self, cid: Cid, slot: u32) {
        self.cids.insert(cid, slot);
    }

    pub(super) fn add_initial(&mut self, cid: Cid, address: A, slot: u32) {
        self.initials.insert((cid, address), slot);
    }

    pub(super) fn add_reset(&mut self, token: [u8; 16], slot: u32) {
        self.resets.insert(token, slot);
    }

    pub(super) fn remove_cid(&mut self, cid: Cid) {
        self.cids.remove(&cid);
    }

    pub(super) fn remove_initial(&mut self, cid: Cid, address: A) {
        self.initials.remove(&(cid, address));
    }

    pub(super) fn remove_reset(&mut self, token: [u8; 16]) {
        self.resets.remove(&token);
    }
}
