//! Which connection a packet belongs to.

use alloc::collections::BTreeMap;

use super::Address;
use crate::Secret;
use crate::rng::Rng;
use crate::secret::ResetToken;
use crate::wire::Cid;

/// What tells the first packets of one client from those of all others: a keyed hash of the id that it chose and of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Initial(u64);

/// Slots by what packets carry. Lookups only: nothing iterates, so an attacker's choice of keys costs a logarithm.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    cids: BTreeMap<Cid, u32>,
    /// A server's connections, for repeated INITs.
    initials: BTreeMap<Initial, u32>,
    /// A client's connections by the token that says that their server has forgotten them: by its keyed hash, so that nobody learns
    /// by the clock how much of a token is right.
    resets: BTreeMap<[u8; 32], u32>,
    key: Secret,
}

impl Routes {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let key = Rng::new(seed, "lookups").secret();
        Self { cids: BTreeMap::new(), initials: BTreeMap::new(), resets: BTreeMap::new(), key }
    }

    fn hidden(&self, token: &[u8; 16]) -> [u8; 32] {
        *blake3::keyed_hash(self.key.expose(), token).as_bytes()
    }

    /// Of a client that chose `cid`, at `address`.
    pub(super) fn initial(&self, cid: Cid, address: impl Address) -> Initial {
        let mut bytes = b"initial ".to_vec();
        bytes.extend_from_slice(&cid.0);
        address.token_bytes(&mut bytes);
        let hash = blake3::keyed_hash(self.key.expose(), &bytes);
        let (first, _) = hash.as_bytes().split_at(8);
        Initial(u64::from_le_bytes(first.try_into().unwrap_or_default()))
    }

    pub(super) fn by_cid(&self, cid: Cid) -> Option<u32> {
        self.cids.get(&cid).copied()
    }

    pub(super) fn by_initial(&self, initial: Initial) -> Option<u32> {
        self.initials.get(&initial).copied()
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

    pub(super) fn add_initial(&mut self, initial: Initial, slot: u32) {
        self.initials.insert(initial, slot);
    }

    pub(super) fn add_reset(&mut self, token: ResetToken, slot: u32) {
        self.resets.insert(self.hidden(token.expose()), slot);
    }

    pub(super) fn remove_cid(&mut self, cid: Cid) {
        self.cids.remove(&cid);
    }

    pub(super) fn remove_initial(&mut self, initial: Initial) {
        self.initials.remove(&initial);
    }

    pub(super) fn remove_reset(&mut self, token: ResetToken) {
        self.resets.remove(&self.hidden(token.expose()));
    }
}
