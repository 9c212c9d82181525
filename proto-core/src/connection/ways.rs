//! The ways that a client may take to its server: addresses in order of preference, the next one tried when the one before has
//! not answered for a while (RFC 8305; docs/spec/connection.md, section 2).

use alloc::vec::Vec;
use core::time::Duration;

use super::state::{End, State};
use super::{Connection, Timer};
use crate::crypto::PublicKey;
use crate::wire::packet::VERSION;
use crate::wire::{Advice, Version};
use crate::{CloseReason, Drop, Timestamp};

/// The next way is tried when nothing was heard for this long.
pub(super) const STAGGER: Duration = Duration::from_millis(250);
/// Addresses that one client tries at most.
pub(crate) const MAX_WAYS: usize = 8;

/// What the addresses of a client's server are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways {
    count: u8,
    /// Bit n is set when address n is reached by a stream.
    streams: u8,
    /// The one that worked last: tried first.
    kept: u8,
}

impl Ways {
    /// One way over datagrams, or over a stream.
    pub(crate) const fn one(is_stream: bool) -> Self {
        Self { count: 1, streams: is_stream as u8, kept: 0 }
    }

    /// 1 to 8 ways, of which each says whether it is a stream.
    pub(crate) fn new(streams: impl Iterator<Item = bool>) -> Self {
        let mut ways = Self { count: 0, streams: 0, kept: 0 };
        for is_stream in streams.take(MAX_WAYS) {
            ways.streams |= u8::from(is_stream) << ways.count;
            ways.count += 1;
        }
        ways
    }

    pub(super) const fn is_stream(self, way: u8) -> bool {
        self.streams >> way & 1 == 1
    }

    /// Whether no datagrams are sent on any.
    pub(crate) const fn is_streams_only(self) -> bool {
        self.streams.count_ones() == self.count as u32
    }

    /// How long a way has to itself before the next is tried: the first stream is tried after [`STAGGER`], however many ways over
    /// datagrams come before it, since what keeps one of those from its server often keeps them all.
    fn stagger(self) -> Duration {
        let first_stream = (0..self.count).position(|turn| self.is_stream(self.in_turn(turn)));
        STAGGER / first_stream.map_or(1, |turn| turn.max(1) as u32)
    }

    pub(super) const fn keep(&mut self, way: u8) {
        self.kept = way;
    }

    /// The one that worked last.
    pub(crate) const fn kept(self) -> u8 {
        self.kept
    }

    /// The one to be tried as number `turn`.
    const fn in_turn(self, turn: u8) -> u8 {
        match turn {
            0 => self.kept,
            turn if turn <= self.kept => turn - 1,
            turn => turn,
        }
    }
}

/// How far one way has come in the attempt under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    /// It is tried.
    is_begun: bool,
    has_failed: bool,
    /// INIT is to be sent on it.
    is_due: bool,
    /// What RETRY brought.
    pub(super) token: Vec<u8>,
    /// The key that the server has shown.
    pub(super) key: Option<PublicKey>,
    /// The INIT with this token, where it is encrypted: to encrypt another one in its place would use the key twice.
    pub(super) init: Vec<u8>,
    pub(super) retries: u32,
    /// INITs sent with this token.
    sent: u32,
    sent_at: Timestamp,
}

impl Way {
    pub(super) const fn on_init_sent(&mut self, now: Timestamp) {
        self.is_due = false;
        self.sent = self.sent.saturating_add(1);
        self.sent_at = now;
    }

    pub(super) fn on_retry(&mut self, token: &[u8]) {
        self.token = token.to_vec();
        self.init.clear();
        self.retries += 1;
        self.sent = 0;
        self.is_due = true;
    }

    /// When INIT was sent, if that was once: an answer measures the round trip.
    pub(super) fn sent_once(&self) -> Option<Timestamp> {
        (self.sent == 1).then_some(self.sent_at)
    }
}

/// How an attempt fails, by the ways that have failed so far.
#[derive(Clone, Debug)]
pub(super) struct WayFailed {
    at: Timestamp,
    end: End,
}

/// What a failure says: the more, the larger. What a server says counts for more than that a way leads to none, and of each what
/// can be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    NoServer,
    NoServerNow,
    Refused,
    RefusedNow,
}

impl WayFailed {
    fn weight(&self) -> Weight {
        let is_said = matches!(
            self.end.reason,
            CloseReason::Peer { .. } | CloseReason::VersionMismatch | CloseReason::NotEncrypted
        );
        match (is_said, self.end.reason.is_retryable(self.end.advice)) {
            (true, true) => Weight::RefusedNow,
            (true, false) => Weight::Refused,
            (false, true) => Weight::NoServerNow,
            (false, false) => Weight::NoServer,
        }
    }

    /// When the server wants to be asked again.
    fn until(&self) -> Timestamp {
        self.at + self.end.retry_after.unwrap_or_default()
    }

    /// Of two, the one that says more; of two servers, the one that may be asked first.
    fn or(self, other: Self) -> Self {
        let is_sooner = self.until() <= other.until();
        if (self.weight(), is_sooner) >= (other.weight(), true) { self } else { other }
    }

    /// The end of the attempt, `now`.
    fn into_end(self, now: Timestamp) -> End {
        let retry_after = self.end.retry_after.map(|_| self.until().since(now));
        End { retry_after, ..self.end }
    }
}

impl Connection {
    pub(super) fn begin_ways(&mut self, now: Timestamp) {
        self.handshake.ways.resize(self.ways.count.into(), Way::default());
        self.begin_next_way(now);
    }

    /// Tries the next way, if there is one left, and says when to try another.
    pub(super) fn begin_next_way(&mut self, now: Timestamp) {
        let ways = self.ways;
        let left = (0..ways.count).map(|turn| ways.in_turn(turn)).find(|&way| !self.has_begun(way));
        if let Some(way) = left {
            let state = &mut self.handshake.ways[usize::from(way)];
            state.is_begun = true;
            state.is_due = true;
        }
        self.delay_next_way(now, ways.stagger());
    }

    /// Something was heard: the ways that are left wait a little longer.
    pub(super) fn prefer_way(&mut self, now: Timestamp) {
        self.delay_next_way(now, STAGGER);
    }

    fn delay_next_way(&mut self, now: Timestamp, wait: Duration) {
        let is_left = (0..self.ways.count).any(|way| !self.has_begun(way));
        self.timers.set(Timer::NextWay, is_left.then(|| now + wait));
    }

    /// Whether a way is tried in the attempt under way.
    pub(crate) fn has_begun(&self, way: u8) -> bool {
        self.handshake.ways.get(usize::from(way)).is_some_and(|way| way.is_begun)
    }

    /// Whether a way is known to lead nowhere.
    pub(crate) fn has_failed(&self, way: u8) -> bool {
        self.handshake.ways.get(usize::from(way)).is_some_and(|way| way.has_failed)
    }

    /// INIT goes out again on every way that may lose it.
    pub(super) fn repeat_inits(&mut self) {
        let ways = self.ways;
        for (way, state) in (0..).zip(&mut self.handshake.ways) {
            state.is_due |= state.is_begun && !state.has_failed && !ways.is_stream(way);
        }
    }

    /// The first way of this side's link that INIT is due on.
    pub(super) fn next_init(&self) -> Option<u8> {
        let is_stream = self.link.is_stream();
        let mut ways = (0..).zip(&self.handshake.ways);
        ways.find(|&(way, state)| state.is_due && self.ways.is_stream(way) == is_stream).map(|(way, _)| way)
    }

    /// Appends INIT for a stream that was opened for a way, unless it has been.
    pub(crate) fn poll_init(&mut self, now: Timestamp, way: u8, buf: &mut Vec<u8>) -> bool {
        let now = self.advance(now);
        let is_due =
            self.is_dialling() && self.handshake.ways.get(usize::from(way)).is_some_and(|way| way.is_due);
        if is_due {
            let start = buf.len();
            self.write_init(now, way, buf);
            self.stats.packets_sent += 1;
            self.stats.bytes_sent += (buf.len() - start) as u64;
        }
        is_due
    }

    /// A server speaks none of this side's versions, or somebody says so.
    pub(super) fn on_versions(
        &mut self,
        now: Timestamp,
        way: u8,
        versions: Version<'_>,
        by_stream: bool,
    ) -> Result<(), Drop> {
        // Who speaks this version says nothing else, and has said so by a RETRY, or before the link was lost. On a stream nobody
        // else can say it.
        let has_spoken =
            self.state == State::Suspended || self.handshake.ways.iter().any(|way| way.retries > 0);
        let is_known = has_spoken && !by_stream;
        if is_known || versions.iter().any(|version| version == VERSION) {
            return Err(Drop::UnexpectedHandshake);
        }
        let end = End { advice: Advice::Never, ..End::of(CloseReason::VersionMismatch) };
        self.fail_way(now, way, end);
        Ok(())
    }

    /// A way leads nowhere.
    pub(crate) fn on_way_failed(&mut self, now: Timestamp, way: u8, reason: CloseReason) {
        let now = self.advance(now);
        if self.is_dialling() && self.has_begun(way) {
            self.fail_way(now, way, End::of(reason));
        }
    }

    /// A way leads to nobody who takes this client: the next one is tried at once. The attempt fails with the last of them.
    pub(super) fn fail_way(&mut self, now: Timestamp, way: u8, end: End) {
        let Some(state) = self.handshake.ways.get_mut(usize::from(way)) else { return };
        if core::mem::replace(&mut state.has_failed, true) {
            return;
        }
        state.is_due = false;
        let failed = self.join_failure(now, end);
        if self.handshake.ways.iter().all(|way| way.has_failed) {
            self.fail_attempt(now, failed.into_end(now));
        } else {
            self.handshake.way_failed = Some(failed);
            self.begin_next_way(now);
        }
    }

    /// The time of an attempt is over, and not all of its ways have failed.
    pub(super) fn on_silence(&mut self, now: Timestamp) {
        let failed = self.join_failure(now, End::of(CloseReason::TimedOut));
        self.fail_attempt(now, failed.into_end(now));
    }

    /// What this failure and those before it say together.
    fn join_failure(&mut self, now: Timestamp, end: End) -> WayFailed {
        let failed = WayFailed { at: now, end };
        match self.handshake.way_failed.take() {
            Some(before) => before.or(failed),
            None => failed,
        }
    }
}

crate::sleep::saved!(Ways { count, streams, kept });
