//! A server's endpoint that is going away: everybody is told once, what has begun may end, nobody new comes in
//! (docs/spec/connection.md, section 6.1).

use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;

use super::{Address, Endpoint};
use crate::connection::GoAway;
use crate::time::nanos;
use crate::wire::Advice;
use crate::{Close, State, Timestamp, code};

/// How long a session without a link may still get another one when everybody is told to go. Its client may be gone for good, and
/// those who left wait for the next server.
const CLAIM_WITHIN: Duration = Duration::from_millis(300);

/// How an endpoint goes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long what has begun may take to end. 10 s.
    pub timeout: Duration,
    /// What the clients should do then. [`Advice::Now`].
    pub advice: Advice,
    /// With [`Advice::After`]: how long they should wait at least.
    pub retry_after: Duration,
    /// With [`Advice::After`]: each client is told to wait for up to this much longer, drawn for it, so that they come back
    /// spread. `None`: as long as `retry_after`.
    pub spread: Option<Duration>,
    /// With [`Advice::Elsewhere`]: where to go, at most 1024 bytes.
    pub uri: String,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            advice: Advice::Now,
            retry_after: Duration::ZERO,
            spread: None,
            uri: String::new(),
        }
    }
}

/// An endpoint on its way out.
#[derive(Clone, Debug)]
pub(super) struct Draining {
    how: Drain,
    /// What is not over by then ends.
    until: Timestamp,
}

impl<A: Address> Endpoint<A> {
    /// Begins to go away: each client is told once, by GOAWAY, and its connection closes as soon as both sides have finished what
    /// they had begun, at the latest after `timeout`. New clients are refused with BUSY and the same advice. Calling it again
    /// changes nothing. It is over once the endpoint [`is_empty`](Self::is_empty).
    pub fn drain(&mut self, now: Timestamp, drain: Drain) {
        let now = self.advance(now);
        if self.draining.is_some() {
            return;
        }
        let until = now + drain.timeout;
        self.draining = Some(Box::new(Draining { how: drain, until }));
        for slot in 0..self.slots.len() as u32 {
            let Some(entry) = self.entry(slot) else { continue };
            if entry.conn.look().is_undecided() {
                let close = self.turn_away();
                if let Some(entry) = self.entry(slot) {
                    entry.conn.wake().refuse(now, close);
                }
            } else if entry.conn.look().state() == State::Suspended {
                entry.conn.wake().end_by(until.min(now + CLAIM_WITHIN));
            } else {
                self.tell_going_away(slot);
            }
            self.refile(slot);
        }
    }

    /// Whether [`drain`](Self::drain) was called.
    pub const fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// What a client is closed with that cannot be taken now: BUSY, or GOING_AWAY while this endpoint goes away. Each is told another
    /// time to wait.
    pub fn turn_away(&mut self) -> Close {
        let code = if self.is_draining() { code::GOING_AWAY } else { code::BUSY };
        let (advice, retry_after) = self.drain_advice();
        Close { code, advice, retry_after, linger: Duration::ZERO, ..Close::default() }
    }

    /// A claim to a session does not outlast the drain.
    pub(super) fn end_in_time(&mut self, slot: u32) {
        let Some(until) = self.draining.as_ref().map(|draining| draining.until) else { return };
        if let Some(entry) = self.entry(slot).filter(|entry| entry.conn.look().is_claimed()) {
            entry.conn.wake().end_by(until);
            self.refile(slot);
        }
    }

    /// Says it to one client, when it is time to and there is one.
    pub(super) fn tell_going_away(&mut self, slot: u32) {
        if self.draining.is_none() {
            return;
        }
        let now = self.clock;
        let is_told = |entry: &mut super::Entry<A>| {
            entry.conn.look().is_client()
                || entry.conn.look().state() != State::Established
                || entry.conn.look().going_away().is_some()
        };
        if self.entry(slot).is_none_or(is_told) {
            return;
        }
        let (advice, retry_after) = self.drain_advice();
        let Some(draining) = &self.draining else { return };
        let timeout = draining.until.since(now);
        let said = GoAway { timeout, advice, retry_after, uri: draining.how.uri.clone() };
        if let Some(entry) = self.entry(slot) {
            entry.conn.wake().go_away(now, said);
        }
    }

    /// What to say to the next client.
    pub(super) fn drain_advice(&mut self) -> (Advice, Duration) {
        let Some(draining) = &self.draining else {
            return (Advice::After, self.rng.around(self.config.busy_retry_after));
        };
        let Drain { advice, retry_after, spread, .. } = draining.how;
        let spread = nanos(spread.unwrap_or(retry_after));
        let drawn = Duration::from_nanos(self.rng.below(spread.saturating_add(1)));
        (advice, retry_after.saturating_add(drawn))
    }
}
