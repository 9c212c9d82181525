//! The waiting room: handshakes under way, and who gives way when it is full (docs/spec/connection.md, section 2).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Address, Endpoint};
use crate::{Drop, Timestamp};

/// Nobody gives way who came later than this: a handshake takes a few round trips, and a packet of it may be lost.
const GRACE: Duration = Duration::from_secs(3);

/// Whose place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiter {
    /// A connection that shakes hands.
    Connection(u32),
    /// A stream on which nothing was said.
    Stream(u32),
}

/// A place in the waiting room; the lower came first.
pub(super) type Ticket = u64;

/// Handshakes under way.
#[derive(Clone, Debug, Default)]
pub(super) struct WaitingRoom {
    count: usize,
    /// Streams by themselves.
    by_prefix: BTreeMap<(u64, bool), usize>,
    next: Ticket,
    /// Those whose turn it is to say something, since when.
    unproven: BTreeMap<Ticket, (Timestamp, Waiter)>,
}

fn place<A: Address>(address: A) -> Option<(u64, bool)> {
    address.prefix().map(|prefix| (prefix, address.is_stream()))
}

impl WaitingRoom {
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    pub(super) fn begin<A: Address>(&mut self, now: Timestamp, address: A, waiter: Waiter) -> Ticket {
        self.count += 1;
        if let Some(place) = place(address) {
            *self.by_prefix.entry(place).or_default() += 1;
        }
        self.wait_again(now, waiter)
    }

    /// The place is another's from here on, who waits for as long as it has been taken.
    pub(super) fn pass_on(&mut self, ticket: Ticket, to: Waiter) {
        if let Some((_, waiter)) = self.unproven.get_mut(&ticket) {
            *waiter = to;
        }
    }

    /// The peer has done its part, and waits for this side.
    pub(super) fn has_proven(&mut self, ticket: Ticket) {
        self.unproven.remove(&ticket);
    }

    /// It is the peer's turn again.
    pub(super) fn wait_again(&mut self, now: Timestamp, waiter: Waiter) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        self.unproven.insert(ticket, (now, waiter));
        ticket
    }

    pub(super) fn end<A: Address>(&mut self, address: A, ticket: Ticket) {
        self.unproven.remove(&ticket);
        self.count -= 1;
        if let Some(place) = place(address)
            && let Some(count) = self.by_prefix.get_mut(&place)
        {
            *count -= 1;
            if *count == 0 {
                self.by_prefix.remove(&place);
            }
        }
    }

    /// How many the network of an address has, by streams if it is one's, and otherwise by datagrams; none where there are no networks.
    pub(super) fn of_prefix<A: Address>(&self, address: A) -> usize {
        place(address).and_then(|place| self.by_prefix.get(&place)).copied().unwrap_or(0)
    }

    /// The connections that have waited for too long, those first that have for longest.
    pub(super) fn overdue_connections(&self, now: Timestamp) -> Vec<u32> {
        let overdue = self.unproven.values().take_while(|(since, _)| now.since(*since) >= GRACE);
        overdue
            .filter_map(|&(_, waiter)| match waiter {
                Waiter::Connection(slot) => Some(slot),
                Waiter::Stream(_) => None,
            })
            .collect()
    }

    /// Whether somebody has waited for too long.
    pub(super) fn is_overdue(&self, now: Timestamp) -> bool {
        self.overdue(now).is_some()
    }

    fn overdue(&self, now: Timestamp) -> Option<Waiter> {
        let (_, &(since, waiter)) = self.unproven.first_key_value()?;
        (now.since(since) >= GRACE).then_some(waiter)
    }
}

impl<A: Address> Endpoint<A> {
    /// The waiting room is full, and somebody comes: whoever has said too little for longest gives way.
    pub(super) fn make_waiting_room(&mut self, now: Timestamp) {
        if self.incoming.waiting.len() < self.config.max_pending {
            return;
        }
        let Some(waiter) = self.incoming.waiting.overdue(now) else { return };
        self.show_out(now, waiter);
    }

    /// A handshake comes to nothing.
    pub(super) fn show_out(&mut self, now: Timestamp, waiter: Waiter) {
        self.count(Drop::HandshakeEvicted);
        match waiter {
            Waiter::Stream(link) => self.let_go(link),
            Waiter::Connection(slot) if self.awake(slot).is_some_and(|conn| conn.show_out(now)) => {
                self.refile(slot);
                self.file();
            }
            Waiter::Connection(slot) => self.remove(slot),
        }
    }
}
