//! Who waits for what.

use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;

use proto_core::{ChannelId, ConnectionId, MessageId, RequestId, Timestamp};

use crate::Wakes;

/// What a future can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// A connection to accept.
    Accept,
    /// A peer to decide about.
    Undecided,
    /// The end of all connections.
    Idle,
    /// Nothing but the time that comes.
    Time,
    /// Something of one connection.
    Of(ConnectionId, What),
}

/// What of a connection a future can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// A change in how it fares.
    Status,
    /// A channel that the peer opened.
    Opened,
    /// A message on a channel.
    Readable(ChannelId),
    /// Room on a channel.
    Writable(ChannelId),
    /// Room on whichever channel a reply belongs to.
    AnyWritable,
    /// The end of another request.
    RequestRoom,
    /// The end of a request.
    Request(RequestId),
    /// Whether the peer waits for the answer to its request.
    Owed(RequestId),
    /// The fate of a message.
    Receipt(MessageId),
}

/// A place among the waiting. The numbers only tell the waiting apart.
type Place = (Topic, u64);

/// A future's own record of where it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    place: Place,
    until: Option<Timestamp>,
}

/// Every future that waits, each at most once.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    next: u64,
    /// How often one was woken.
    woken: u64,
    wakers: BTreeMap<Place, Waker>,
    deadlines: BTreeSet<(Timestamp, Place)>,
}

impl Waiters {
    /// Begins, or goes on, to wait for `topic`, until `until` at the latest.
    pub(crate) fn wait(
        &mut self,
        ticket: &mut Option<Ticket>,
        topic: Topic,
        until: Option<Timestamp>,
        waker: &Waker,
        wakes: &mut Wakes,
    ) {
        if let Some(held) = *ticket
            && held.place.0 == topic
            && held.until == until
            && let Some(known) = self.wakers.get_mut(&held.place)
        {
            if !known.will_wake(waker) {
                wakes.retire(std::mem::replace(known, waker.clone()));
            }
            return;
        }
        if let Some(old) = ticket.take().and_then(|held| self.leave(held)) {
            wakes.retire(old);
        }
        let place = (topic, self.next);
        self.next += 1;
        self.wakers.insert(place, waker.clone());
        if let Some(until) = until {
            self.deadlines.insert((until, place));
        }
        *ticket = Some(Ticket { place, until });
    }

    /// Ends the waiting, if it has not ended; the waker must not be dropped under the lock.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        if let Some(until) = ticket.until {
            self.deadlines.remove(&(until, ticket.place));
        }
        self.wakers.remove(&ticket.place)
    }

    /// Wakes whoever waits for `topic`.
    pub(crate) fn wake(&mut self, topic: Topic, wakes: &mut Wakes) {
        self.wake_from((topic, 0), |at| at == topic, wakes);
    }

    /// Wakes whoever waits for anything of connection `id`.
    pub(crate) fn wake_connection(&mut self, id: ConnectionId, wakes: &mut Wakes) {
        let first = (Topic::Of(id, What::Status), 0);
        self.wake_from(first, |at| matches!(at, Topic::Of(of, _) if of == id), wakes);
    }

    /// Wakes everybody.
    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.deadlines.clear();
        while let Some((_, waker)) = self.wakers.pop_first() {
            self.woken += 1;
            wakes.wake(waker);
        }
    }

    /// Wakes those whose time has passed.
    pub(crate) fn wake_due(&mut self, now: Timestamp, wakes: &mut Wakes) {
        while let Some(&(until, place)) = self.deadlines.first()
            && until <= now
        {
            self.deadlines.pop_first();
            self.wake_at(place, wakes);
        }
    }

    /// When the first of those who wait with a deadline wants to be woken.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|&(until, _)| until)
    }

    fn wake_from(&mut self, first: Place, is_meant: impl Fn(Topic) -> bool, wakes: &mut Wakes) {
        while let Some((&place, _)) = self.wakers.range(first..).next()
            && is_meant(place.0)
        {
            self.wake_at(place, wakes);
        }
    }

    fn wake_at(&mut self, place: Place, wakes: &mut Wakes) {
        let waker = self.wakers.remove(&place);
        self.woken += u64::from(waker.is_some());
        wakes.wake_some(waker);
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.wakers.len()
    }

    /// How often one was woken.
    pub(crate) const fn woken(&self) -> u64 {
        self.woken
    }
}
