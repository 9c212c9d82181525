//! A client that writes whatever it likes.

use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use simtest::{Addr, StreamEvent, StreamId, StreamOp, Streams};

use crate::host::Do;

const STREAM: StreamId = StreamId::new(0);

/// How its stream ended, and who waits for that.
#[derive(Debug, Default)]
pub(crate) struct Ending(Mutex<(Option<bool>, Option<Waker>)>);

impl Ending {
    fn set(&self, is_broken: bool) {
        let (ended, waiting) = &mut *self.0.lock().expect("nobody panics here");
        ended.get_or_insert(is_broken);
        waiting.take().into_iter().for_each(Waker::wake);
    }

    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let (ended, waiting) = &mut *self.0.lock().expect("nobody panics here");
        match *ended {
            Some(true) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Some(false) => Poll::Ready(Ok(())),
            None => {
                *waiting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Dialed,
    Open,
    Over,
}

/// A stream of bytes, without anything of ours.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    to: Addr,
    state: State,
    waiting: Vec<u8>,
    /// It writes no more after that.
    is_last: bool,
    is_gone: bool,
    /// One of the sides writes no more.
    is_half: bool,
    ending: Arc<Ending>,
}

impl Raw {
    pub(crate) const fn new(to: Addr, ending: Arc<Ending>) -> Self {
        Self {
            to,
            state: State::New,
            waiting: Vec::new(),
            is_last: false,
            is_gone: false,
            is_half: false,
            ending,
        }
    }

    pub(crate) fn on_cmd(&mut self, cmd: Do) {
        match cmd {
            Do::Say(bytes) => self.waiting.extend(bytes),
            Do::Finish => self.is_last = true,
            Do::Hangup => self.is_gone = true,
            other => panic!("a client of bytes does not know {other:?}"),
        }
    }

    pub(crate) fn on_stream(&mut self, event: StreamEvent<'_>) {
        match event {
            StreamEvent::Opened => self.state = State::Open,
            StreamEvent::Finished => {
                self.finish();
                self.ending.set(false);
            }
            StreamEvent::Refused | StreamEvent::Broken => {
                self.state = State::Over;
                self.ending.set(true);
            }
            StreamEvent::Accepted { .. } | StreamEvent::Read(_) | StreamEvent::Writable => {}
        }
    }

    /// The stream is over when both sides have finished.
    fn finish(&mut self) {
        if self.is_half {
            self.state = State::Over;
        }
        self.is_half = true;
    }

    pub(crate) fn poll_stream(&mut self, streams: Streams<'_>, out: &mut Vec<u8>) -> Option<StreamOp> {
        if self.state == State::New {
            self.state = State::Dialed;
            return Some(StreamOp::Dial { stream: STREAM, to: self.to });
        }
        if self.state != State::Open {
            return None;
        }
        let len = self.waiting.len().min(streams.room(STREAM));
        if len > 0 {
            out.extend(self.waiting.drain(..len));
            return Some(StreamOp::Write { stream: STREAM, len });
        }
        if !self.waiting.is_empty() {
            return None;
        }
        if self.is_gone {
            self.state = State::Over;
            return Some(StreamOp::Reset { stream: STREAM });
        }
        if self.is_last {
            self.is_last = false;
            self.finish();
            return Some(StreamOp::Finish { stream: STREAM });
        }
        None
    }
}
