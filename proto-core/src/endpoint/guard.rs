//! The only way to a connection of an endpoint: whatever the caller does with it, the endpoint's books are right afterwards.

use core::fmt;
use core::ops::{Deref, DerefMut};

use super::{Address, Endpoint};
use crate::Connection;

/// A connection on loan. It is filed again when this is dropped.
pub struct ConnectionMut<'a, A: Address> {
    endpoint: &'a mut Endpoint<A>,
    slot: u32,
}

impl<'a, A: Address> ConnectionMut<'a, A> {
    /// The connection at `slot` must be awake.
    pub(super) const fn new(endpoint: &'a mut Endpoint<A>, slot: u32) -> Self {
        Self { endpoint, slot }
    }
}

const AWAKE: &str = "a guard is made for a connection that is awake and borrows the endpoint";

impl<A: Address> Deref for ConnectionMut<'_, A> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.endpoint.slots[self.slot as usize]
            .entry
            .as_ref()
            .and_then(|entry| entry.conn.awake())
            .expect(AWAKE)
    }
}

impl<A: Address> DerefMut for ConnectionMut<'_, A> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.endpoint.slots[self.slot as usize].entry.as_mut().map(|entry| entry.conn.wake()).expect(AWAKE)
    }
}

impl<A: Address> Drop for ConnectionMut<'_, A> {
    fn drop(&mut self) {
        self.endpoint.refile(self.slot);
    }
}

impl<A: Address> fmt::Debug for ConnectionMut<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
