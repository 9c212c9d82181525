//! A server that is going away says so, and lets what has begun come to its end (docs/spec/connection.md, section 6.1).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::close::{Close, Ending};
use super::receive::{Violation, violation};
use super::state::{End, State};
use super::{Connection, Timer};
use crate::recovery::Carried;
use crate::wire::{self, Advice, Frame, RecordWriter, varint};
use crate::{CloseReason, Event, SendError, Timestamp, code};

/// What a server says when it is going away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoAway {
    /// How long what has begun may take to end.
    pub timeout: Duration,
    /// What the client should do after that.
    pub advice: Advice,
    /// How long the client should wait before that, with [`Advice::After`].
    pub retry_after: Duration,
    /// Where to go, with [`Advice::Elsewhere`]: at most 1024 bytes, what is over is cut.
    pub uri: String,
}

/// How far GOAWAY of this side has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// A client has not finished yet.
    Later,
    Due,
    InFlight,
    Arrived,
}

/// A connection whose server is going away.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    said: GoAway,
    word: Word,
    deadline: Timestamp,
}

impl Connection {
    /// A server's: tells the client, once, that this side is going away. What both have begun may end: reliable messages and
    /// requests. When the client says that it has finished, or `timeout` has passed, the connection closes with
    /// [`code::GOING_AWAY`] and the same advice. `false` when there is nobody to tell, or it was told already.
    pub fn go_away(&mut self, now: Timestamp, said: GoAway) -> bool {
        let now = self.advance(now);
        if self.is_client || self.state != State::Established || self.leaving.is_some() {
            return false;
        }
        let deadline = now + said.timeout;
        self.timers.set(Timer::Linger, deadline);
        self.leaving = Some(Box::new(Leaving { said, word: Word::Due, deadline }));
        true
    }

    /// What the server said when it began to go away.
    pub fn going_away(&self) -> Option<&GoAway> {
        self.leaving.as_ref().map(|leaving| &leaving.said)
    }

    /// A client ends what it has begun and sends nothing new; a server has heard that its client is through.
    pub(super) fn on_goaway(&mut self, now: Timestamp, goaway: &wire::GoAway<'_>) -> Result<(), Violation> {
        if !self.is_client {
            if self.leaving.is_none() {
                return violation("a client that is going away unasked");
            }
            if self.state == State::Established {
                self.close_gone(now);
            }
            return Ok(());
        }
        if self.leaving.is_some() {
            return Ok(());
        }
        let said = GoAway {
            timeout: Duration::from_millis(goaway.timeout_ms),
            advice: goaway.advice,
            retry_after: Duration::from_millis(goaway.retry_after_ms),
            uri: goaway.uri.into(),
        };
        self.events.push_back(Event::GoingAway(Box::new(said.clone())));
        self.attempts.on_going_away(now + said.timeout);
        // The server closes by then; a little later this side no longer waits for that.
        let patience = self.recovery.pto() * 3;
        let deadline = now + said.timeout + patience;
        self.leaving = Some(Box::new(Leaving { said, word: Word::Later, deadline }));
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::BeginsAnew) {
            return Ok(());
        }
        if self.state == State::Established {
            self.enter_flushing(now, deadline.since(now));
        }
        Ok(())
    }

    /// It flushes because the server is going away, not because its own application closed it.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_client && self.leaving.is_some() && !self.ending.is_wanted()
    }

    /// Why nothing new is taken.
    pub fn refusal(&self) -> SendError {
        let is_draining = self.state == State::Flushing && self.is_leaving();
        if is_draining { SendError::Draining } else { SendError::Closed }
    }

    /// A client has nothing left to end: says so, once.
    pub(super) fn say_finished(&mut self) {
        if let Some(leaving) = self.leaving.as_mut().filter(|leaving| leaving.word == Word::Later) {
            leaving.word = Word::Due;
        }
    }

    /// The time is over: a server closes, a client takes the connection for lost.
    pub(super) fn on_leaving_deadline(&mut self, now: Timestamp) {
        let Some(leaving) = &self.leaving else { return };
        if self.is_client {
            let (advice, retry_after) = (leaving.said.advice, self.leaving_retry());
            let reason = CloseReason::Peer { code: code::GOING_AWAY, reason: String::new() };
            self.enter_closed(now, End { reason, advice, retry_after }, Duration::ZERO);
        } else {
            self.close_gone(now);
        }
    }

    /// A connection that came back while its server is going away still ends in time.
    pub(super) fn set_leaving_deadline(&mut self) {
        if let Some(leaving) = self.leaving.as_ref().filter(|_| !self.is_client) {
            self.timers.set(Timer::Linger, leaving.deadline);
        }
    }

    fn close_gone(&mut self, now: Timestamp) {
        let Some(leaving) = &self.leaving else { return };
        let linger = leaving.deadline.since(now);
        let GoAway { advice, retry_after, .. } = leaving.said;
        let close = Close { code: code::GOING_AWAY, advice, retry_after, linger, ..Close::default() };
        self.ending = Ending::wanted(close);
        self.enter_flushing(now, linger);
        self.check_flushed(now);
    }

    /// How long the server asked this client to stay away, should it be lost before it could close.
    pub(super) fn leaving_retry(&self) -> Option<Duration> {
        let said = self.leaving.as_ref().filter(|_| self.is_client).map(|leaving| &leaving.said)?;
        (said.advice == Advice::After).then_some(said.retry_after)
    }

    pub(super) fn owes_goaway(&self) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| leaving.word == Word::Due)
    }

    pub(super) fn write_goaway(
        &mut self,
        now: Timestamp,
        limit: usize,
        writer: &mut RecordWriter<'_>,
        carried: &mut Vec<Carried>,
    ) {
        let is_client = self.is_client;
        let Some(leaving) = self.leaving.as_mut().filter(|leaving| leaving.word == Word::Due) else { return };
        let GoAway { advice, retry_after, uri, .. } = &leaving.said;
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let goaway = if is_client {
            wire::GoAway { timeout_ms: 0, advice: Advice::Now, retry_after_ms: 0, uri: "" }
        } else {
            wire::GoAway {
                timeout_ms: millis(leaving.deadline.since(now)),
                advice: *advice,
                retry_after_ms: millis(*retry_after),
                uri: &uri[..uri.floor_char_boundary(wire::MAX_URI)],
            }
        };
        if writer.has_room(4 + 2 * varint::MAX_LEN + goaway.uri.len(), limit) {
            writer.write(&Frame::GoAway(goaway), false);
            carried.push(Carried::GoAway);
            leaving.word = Word::InFlight;
        }
    }

    pub(super) fn on_goaway_settled(&mut self, arrived: bool) {
        if let Some(leaving) = self.leaving.as_mut().filter(|leaving| leaving.word == Word::InFlight) {
            leaving.word = if arrived { Word::Arrived } else { Word::Due };
        }
    }
}

crate::sleep::awake!(Leaving);
