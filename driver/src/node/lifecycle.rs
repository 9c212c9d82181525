//! How connections come, pass from hand to hand, and go.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use proto_core::{
    Advice, Close, CloseReason, Closed, ConnectionId, Credentials, Drain, Endpoint, Fate, GoAway, Now,
    SessionId, Timestamp, code,
};

use super::entry::{Entry, Holder, Progress};
use super::requests::LOST;
use super::{Accepts, Node, Topic, What};
use crate::wait::Attempt;
use crate::{ConnectError, End, LINK, Path, Peer, Wakes};

impl Node {
    /// Begins to connect, showing `credentials`; the caller makes the handle.
    pub(crate) fn connect(
        &mut self,
        now: Now,
        paths: &[Path],
        credentials: &[u8],
    ) -> Result<ConnectionId, ConnectError> {
        match self.ended {
            None | Some(End::Over) if !self.has_owner => return Err(ConnectError::EndpointClosed),
            None => {}
            Some(End::Over) => return Err(ConnectError::EndpointClosed),
            Some(how) => return Err(ConnectError::EndpointEnded { panicked: how == End::Panicked }),
        }
        let id = self.endpoint.connect_any_with(now.mono, paths, credentials)?;
        let first = self.endpoint.address(id).ok_or(ConnectError::EndpointClosed)?;
        self.insert(id, first, Progress::Connecting { attempt: 1 }, Holder::Handles);
        Ok(id)
    }

    /// The connection that has waited longest; `None` when there will be none.
    pub(crate) fn accept(&mut self) -> Attempt<Option<(ConnectionId, Peer)>> {
        while let Some(id) = self.backlog.pop_front() {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.holder = Holder::Handles;
                return Attempt::Look(Some((id, entry.peer)));
            }
        }
        let is_over = match self.accepts {
            Accepts::Anybody => false,
            Accepts::WhoeverHasBegun => self.endpoint.is_empty(),
            Accepts::Nobody => true,
        };
        if is_over { Attempt::Look(None) } else { Attempt::Wait(Topic::Accept, None) }
    }

    /// The peer that has waited longest for a decision, of those that still do; `None` when there will be none.
    pub(crate) fn undecided(&mut self) -> Attempt<Option<(ConnectionId, Path, Box<Credentials>)>> {
        while let Some(peer) = self.undecided.pop_front() {
            if self.endpoint.get(peer.0).is_some_and(|conn| conn.is_undecided()) {
                return Attempt::Look(Some(peer));
            }
        }
        match self.accepts {
            Accepts::Anybody => Attempt::Wait(Topic::Undecided, None),
            _ => Attempt::Look(None),
        }
    }

    pub(super) fn on_undecided(
        &mut self,
        now: Now,
        id: ConnectionId,
        credentials: Box<Credentials>,
        wakes: &mut Wakes,
    ) {
        let Some(path) = self.endpoint.address(id).filter(|_| self.accepts == Accepts::Anybody) else {
            return self.refuse_for_now(now, id);
        };
        self.undecided.push_back((id, path, credentials));
        self.waiters.wake(Topic::Undecided, wakes);
    }

    /// The queue has nobody who was given up.
    pub(super) fn on_decided(&mut self, id: ConnectionId) {
        self.undecided.retain(|(undecided, ..)| *undecided != id);
    }

    pub(crate) fn wait_idle(&self) -> Attempt<()> {
        if self.is_idle() { Attempt::Look(()) } else { Attempt::Wait(Topic::Idle, None) }
    }

    /// The last endpoint handle is gone.
    pub(crate) fn disown(&mut self, now: Now, wakes: &mut Wakes) {
        self.has_owner = false;
        self.stop_accepting(now, wakes);
    }

    /// Closes every connection, and takes no new ones.
    pub(crate) fn close_all(&mut self, now: Now, close: &Close, wakes: &mut Wakes) {
        self.endpoint.close_all(now.mono, close);
        self.stop_accepting(now, wakes);
        for &id in self.entries.keys() {
            self.waiters.wake_connection(id, wakes);
        }
    }

    /// Nobody new comes in, and those who are there finish what they have begun.
    pub(crate) fn drain(&mut self, now: Now, how: Drain, wakes: &mut Wakes) {
        self.endpoint.drain(now.mono, how);
        if self.accepts == Accepts::Anybody {
            self.accepts = Accepts::WhoeverHasBegun;
            self.refuse_undecided(now, wakes);
        }
    }

    pub(super) fn on_going_away(&mut self, id: ConnectionId, said: Box<GoAway>, wakes: &mut Wakes) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.going_away = Some(said);
            self.waiters.wake_connection(id, wakes);
        }
    }

    /// What the server of a connection said when it began to go away; `None` when the connection is over without that.
    pub(crate) fn going_away(&self, id: ConnectionId) -> Attempt<Option<GoAway>> {
        match self.entry(id) {
            Some(Entry { going_away: Some(said), .. }) => Attempt::Look(Some((**said).clone())),
            Some(entry) if !entry.is_closed() => Attempt::Wait(Topic::Of(id, What::Status), None),
            _ => Attempt::Look(None),
        }
    }

    fn stop_accepting(&mut self, now: Now, wakes: &mut Wakes) {
        self.accepts = Accepts::Nobody;
        self.waiters.wake(Topic::Accept, wakes);
        self.refuse_undecided(now, wakes);
        while let Some(id) = self.backlog.pop_front() {
            let close = self.not_accepted();
            if let Some(mut conn) = self.endpoint.connection(id) {
                conn.close(now.mono, close);
            }
            self.release(now, id);
        }
    }

    fn refuse_undecided(&mut self, now: Now, wakes: &mut Wakes) {
        self.waiters.wake(Topic::Undecided, wakes);
        while let Some((id, ..)) = self.undecided.pop_front() {
            self.refuse_for_now(now, id);
        }
    }

    /// What whoever is not accepted any more is told: to come back, when there will be somebody.
    fn not_accepted(&mut self) -> Close {
        if self.endpoint.is_draining() {
            return self.endpoint.turn_away();
        }
        Close { code: code::GOING_AWAY, linger: Duration::ZERO, ..Close::default() }
    }

    pub(crate) fn close(&mut self, now: Now, id: ConnectionId, close: Close, wakes: &mut Wakes) {
        if let Some(mut conn) = self.endpoint.connection(id) {
            conn.close(now.mono, close);
            self.waiters.wake_connection(id, wakes);
        }
    }

    /// The last handle of a connection is gone.
    pub(crate) fn release(&mut self, now: Now, id: ConnectionId) {
        let mut released = Some(id);
        while let Some(id) = released {
            let Some(entry) = self.entries.get_mut(&id) else { return };
            entry.holder = Holder::Nobody;
            released = entry.next.take();
            if entry.is_closed() {
                self.forget(now, id);
                continue;
            }
            // From here on each arrival is told again, and discarded.
            self.discard_unread(now, id);
            if let Some(mut conn) = self.endpoint.connection(id) {
                conn.close(now.mono, Close::default());
            }
        }
    }

    /// How the connection fares.
    pub(crate) fn entry(&self, id: ConnectionId) -> Option<&Entry> {
        self.entries.get(&id).map(Box::as_ref)
    }

    /// How the connection ended.
    pub(crate) fn closed(&self, id: ConnectionId) -> Attempt<Closed> {
        match self.entry(id).map(|entry| &entry.progress) {
            Some(Progress::Closed(closed)) => Attempt::Look((**closed).clone()),
            _ => Attempt::Wait(Topic::Of(id, What::Status), None),
        }
    }

    /// Takes the successor of a connection; the caller makes the handle.
    pub(crate) fn take_next(&mut self, id: ConnectionId) -> Option<(ConnectionId, Peer)> {
        let next = self.entries.get_mut(&id)?.next.take()?;
        let entry = self.entries.get_mut(&next)?;
        entry.holder = Holder::Handles;
        Some((next, entry.peer))
    }

    pub(super) fn has_session(&self, id: ConnectionId) -> bool {
        self.entry(id).is_some_and(|entry| entry.session.is_some())
    }

    /// A session that looks for another link will try again.
    pub(super) fn on_retry(&mut self, id: ConnectionId, at: Timestamp, why: CloseReason, wakes: &mut Wakes) {
        if self.entry(id).is_some_and(|entry| matches!(entry.progress, Progress::Suspended { .. })) {
            let (next_attempt, reason) = (Some(at), Some(Box::new(why)));
            self.set_progress(id, Progress::Suspended { next_attempt, reason }, wakes);
        }
    }

    pub(super) fn set_progress(&mut self, id: ConnectionId, progress: Progress, wakes: &mut Wakes) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.set_progress(progress);
            self.waiters.wake(Topic::Of(id, What::Status), wakes);
        } else if let Some(path) = self.endpoint.address(id) {
            // The core has replaced a lost connection whose end has not been polled yet.
            self.insert(id, path, progress, Holder::Predecessor(None));
        }
    }

    pub(super) fn on_established(
        &mut self,
        now: Now,
        id: ConnectionId,
        session: SessionId,
        wakes: &mut Wakes,
    ) {
        if !self.entries.contains_key(&id) {
            self.on_accepted(now, id, wakes);
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.session = Some(session);
            self.set_progress(id, Progress::Established, wakes);
        }
    }

    /// A peer has connected: it waits to be accepted, or is refused.
    fn on_accepted(&mut self, now: Now, id: ConnectionId, wakes: &mut Wakes) {
        let Some(path) = self.endpoint.address(id) else { return };
        let refusal = if self.accepts == Accepts::Nobody {
            self.counters.not_accepting += 1;
            self.not_accepted()
        } else if self.backlog.len() >= self.max_backlog {
            self.counters.backlog_full += 1;
            self.endpoint.turn_away()
        } else {
            self.insert(id, path, Progress::Established, Holder::Backlog);
            self.backlog.push_back(id);
            return self.waiters.wake(Topic::Accept, wakes);
        };
        self.insert(id, path, Progress::Established, Holder::Nobody);
        if let Some(mut conn) = self.endpoint.connection(id) {
            conn.close(now.mono, refusal);
        }
    }

    pub(super) fn on_closed(&mut self, now: Now, id: ConnectionId, closed: Closed, wakes: &mut Wakes) {
        let next = closed.next;
        self.on_decided(id);
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| !entry.is_closed()) else { return };
        entry.set_progress(Progress::Closed(Box::new(closed)));
        let holder = entry.holder;
        self.open -= 1;
        self.leaving.push_back(id);
        self.waiters.wake_connection(id, wakes);
        self.hand_over_receipts(id, next);
        if let Some(next) = next {
            self.succeed(now, id, holder, next);
        }
        if holder == Holder::Nobody {
            self.forget(now, id);
        }
    }

    /// `next` takes the place of `id`. Where nobody has asked for `id` itself, it moves up, so that a chain of losses that nobody
    /// looks at stays one connection long.
    fn succeed(&mut self, now: Now, id: ConnectionId, holder: Holder, next: ConnectionId) {
        let predecessor = match holder {
            Holder::Predecessor(Some(first)) => {
                self.forget(now, id);
                first
            }
            _ => id,
        };
        if !self.entries.contains_key(&next)
            && let Some(path) = self.endpoint.address(next)
        {
            self.insert(next, path, Progress::Connecting { attempt: 1 }, Holder::Predecessor(None));
        }
        if let Some(entry) = self.entries.get_mut(&next) {
            entry.holder = Holder::Predecessor(Some(predecessor));
        }
        match self.entries.get_mut(&predecessor) {
            Some(entry) if entry.holder != Holder::Nobody => entry.next = Some(next),
            _ => self.release(now, next),
        }
    }

    /// The I/O task has ended: whatever is not over ends here.
    pub(super) fn end(&mut self, how: End, wakes: &mut Wakes) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(how);
        if let Some(tape) = self.endpoint.end() {
            wakes.drop_later(tape);
        }
        if how == End::Panicked {
            self.discard_endpoint();
        }
        self.accepts = Accepts::Nobody;
        for entry in self.entries.values_mut().filter(|entry| !entry.is_closed()) {
            entry.set_progress(Progress::Closed(Box::new(Closed {
                reason: CloseReason::Ended { panicked: how == End::Panicked },
                advice: Advice::Never,
                retry_after: None,
                unsent: 0,
                unacked: 0,
                next: None,
            })));
        }
        self.open = 0;
        for fate in self.receipts.values_mut() {
            fate.get_or_insert(Fate::Unknown);
        }
        self.batches.clear();
        for answer in self.requests.values_mut() {
            answer.get_or_insert(LOST);
        }
        self.waiters.wake_all(wakes);
    }

    /// After a panic nobody can say what the endpoint would do: there is an empty one in its place.
    fn discard_endpoint(&mut self) {
        let config = Arc::clone(self.endpoint.config());
        let empty = Endpoint::new(config, LINK, [0; 32], Timestamp::ZERO);
        let broken = self.endpoint.replace(empty);
        // What panicked once may do so again.
        let _ = catch_unwind(AssertUnwindSafe(move || drop(broken)));
    }

    fn insert(&mut self, id: ConnectionId, path: Path, progress: Progress, holder: Holder) {
        self.entries.insert(id, Box::new(Entry::new(path.peer, progress, holder)));
        self.open += 1;
    }

    /// Nobody can ask for a connection any more.
    fn forget(&mut self, now: Now, id: ConnectionId) {
        self.discard_unread(now, id);
        if let Some(entry) = self.entries.remove(&id) {
            for channel in entry.all_channels() {
                self.full.remove(&(id, channel));
                self.sessions.pass_over(id, channel);
            }
            self.forget_moved(id);
        }
    }
}
