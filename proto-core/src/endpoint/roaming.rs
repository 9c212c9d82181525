//! The addresses of a connection's peer, and the names that the connection has for them.

use alloc::vec::Vec;

use super::{Address, Entry};
use crate::connection::Arrival;
use crate::{Ecn, PathId};

/// The addresses beside the one in use; empty unless a client has moved a moment ago, or may have.
#[derive(Clone, Debug)]
pub(super) struct Others<A> {
    active: PathId,
    list: Vec<(PathId, A)>,
}

impl<A> Default for Others<A> {
    fn default() -> Self {
        Self { active: PathId::default(), list: Vec::new() }
    }
}

impl<A: Address> Entry<A> {
    /// How a packet from `address` came in; `None` when none from there is looked at.
    pub(super) fn arrival(&mut self, address: A, ecn: Option<Ecn>) -> Option<Arrival> {
        if self.racing().is_some() {
            let path = self.path_of(address);
            return self.is_from(address).then_some(Arrival { path, is_same_host: true, ecn });
        }
        if address == self.address {
            return Some(Arrival { path: self.others.active, is_same_host: true, ecn });
        }
        if !self.conn.look().may_roam() || !self.address.may_become(&address) {
            return None;
        }
        let is_same_host = self.address.is_same_host(&address);
        let list = &mut self.others.list;
        if let Some(&(path, _)) = list.iter().find(|(_, known)| *known == address) {
            return Some(Arrival { path, is_same_host, ecn });
        }
        let is_free =
            |path: &PathId| *path != self.others.active && list.iter().all(|(used, _)| used != path);
        let path = (0..=u8::MAX).map(PathId).find(is_free)?;
        list.push((path, address));
        Some(Arrival { path, is_same_host, ecn })
    }

    /// Whether all that it sends goes to the same address until something comes in.
    pub(super) fn has_one_address(&self) -> bool {
        self.others.list.is_empty() && self.racing().is_none()
    }

    /// Where a packet on `path` goes.
    pub(super) fn known_address(&self, path: PathId) -> A {
        let other = self.others.list.iter().find(|(other, _)| *other == path);
        other.map_or(self.address, |&(_, address)| address)
    }

    /// Takes over what the connection has decided.
    #[inline]
    pub(super) fn sync_paths(&mut self) {
        if !self.others.list.is_empty() {
            self.take_over_paths();
        }
    }

    #[inline(never)]
    fn take_over_paths(&mut self) {
        let active = self.conn.look().active_path();
        if active != self.others.active
            && let Some(place) = self.others.list.iter().position(|(path, _)| *path == active)
        {
            let (_, address) = self.others.list[place];
            self.others.list[place] = (self.others.active, self.address);
            (self.others.active, self.address) = (active, address);
        }
        let conn = self.conn.look();
        self.others.list.retain(|(path, _)| conn.knows_path(*path));
        if self.others.list.is_empty() {
            self.others.list = Vec::new();
        }
    }
}
