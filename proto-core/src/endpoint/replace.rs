//! The connection that takes the place of a lost one.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Address, Endpoint};
use crate::{Connection, ConnectionId};

impl<A: Address> Endpoint<A> {
    /// A lost client connection is replaced by a new one, if the configuration says so, which gets what nobody has answered for.
    pub(super) fn replace_if_lost(&mut self, slot: u32) {
        let now = self.clock;
        let Some(entry) = self.entry(slot).filter(|entry| !entry.is_replaced) else { return };
        let conn = entry.conn.awake_mut().filter(|conn| conn.is_client() && conn.state().is_closed());
        let Some(unanswered) = conn.map(Connection::take_unanswered) else { return };
        entry.is_replaced = true;
        let next = self.replace(slot);
        let mut conn = next.and_then(|next| self.connection(next));
        let moved = match &mut conn {
            Some(conn) if !unanswered.is_empty() => conn.take_over_unanswered(now, &unanswered),
            _ => Vec::new(),
        };
        drop(conn);
        if let Some(conn) = self.awake(slot).filter(|_| !unanswered.is_empty()) {
            conn.settle_unanswered(unanswered, moved);
        }
    }

    /// The connection that takes the place of a lost one.
    fn replace(&mut self, slot: u32) -> Option<ConnectionId> {
        let policy = self.config.reconnect?;
        let now = self.clock;
        let entry = self.entry(slot)?;
        let address = entry.address;
        let race = entry.race.as_ref().map(|race| Box::new(race.again()));
        let mut carrier = None;
        let conn = if let Some(successor) = entry.conn.awake_mut()?.take_successor() {
            carrier = entry.link.take_if(|_| successor.link().is_stream());
            successor
        } else {
            let (mut legacy, retry_after) = entry.conn.awake()?.lost()?;
            let at = legacy.attempts.next(now, &policy, retry_after, &mut self.rng)?;
            let (config, link) = (Arc::clone(&self.config), self.first_link(legacy.ways));
            let mut conn = Connection::reconnect(config, link, self.rng.bytes(), now, legacy, at);
            conn.set_replaceable();
            conn
        };
        let next = self.insert(conn, address, None, race);
        if let Some(link) = carrier {
            self.carry(link, next.index());
            if let Some(entry) = self.entry(next.index()) {
                entry.link = Some(link);
            }
            self.refile(next.index());
        }
        self.awake(slot)?.set_next(next);
        Some(next)
    }
}
