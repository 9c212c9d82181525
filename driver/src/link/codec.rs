//! Records on bytes: with lengths before them, or as messages of a web socket.

use std::io;

use proto_core::framing::{Deframer, FrameError, Framer};
use proto_core::{LinkId, Now, Output};
use tungstenite::protocol::frame::coding::Control;

use super::frames::{Frames, Got, Role};
use super::stats::Counters;
use crate::Machine;

/// Whoever takes records in.
pub(super) trait Records {
    /// How long the next record of a stream may be, in bytes.
    fn record_limit(&self, id: LinkId) -> usize;

    /// Takes in a record.
    fn handle_record(&mut self, now: Now, id: LinkId, record: &[u8]);
}

impl<M: Machine> Records for M {
    fn record_limit(&self, id: LinkId) -> usize {
        Machine::record_limit(self, id)
    }

    fn handle_record(&mut self, now: Now, id: LinkId, record: &[u8]) {
        Machine::handle_record(self, now, id, record);
    }
}

/// How records lie in bytes.
#[derive(Debug)]
pub(super) enum Codec {
    Framed(Framer, Deframer),
    WebSocket(Box<Frames>),
}

/// Why reading ends.
#[derive(Debug)]
pub(super) enum End {
    /// The peer said that it writes no more.
    Closed,
    /// What came makes no sense.
    Broken(&'static str),
}

impl Codec {
    pub(super) fn framed() -> Self {
        Self::Framed(Framer::default(), Deframer::default())
    }

    pub(super) fn web_socket(role: Role) -> Self {
        Self::WebSocket(Box::new(Frames::new(role)))
    }

    /// Hands in every record that is whole with `input`, and says how many. No more than `most`, pings included, are taken; what is
    /// behind them stays in `input`.
    pub(super) fn hand_in(
        &mut self,
        machine: &mut impl Records,
        now: Now,
        id: LinkId,
        input: &mut &[u8],
        most: usize,
        counters: &Counters,
    ) -> Result<usize, End> {
        let mut records = 0;
        for _ in 0..most {
            let limit = machine.record_limit(id);
            match self {
                Self::Framed(_, deframer) => match deframer.next(input, limit) {
                    Ok(Some(record)) => machine.handle_record(now, id, record),
                    Ok(None) => return Ok(records),
                    Err(error) => return Err(End::Broken(broken(error))),
                },
                Self::WebSocket(frames) => match frames.next(input, limit) {
                    Ok(Some(Got::Record(record))) => machine.handle_record(now, id, record),
                    Ok(Some(Got::Ping)) => {
                        counters.pings_passed_over.add(usize::from(frames.owe_pong()));
                        continue;
                    }
                    Ok(Some(Got::Pong)) => continue,
                    Ok(Some(Got::Close)) => return Err(End::Closed),
                    Ok(None) => return Ok(records),
                    Err(why) => return Err(End::Broken(why)),
                },
            }
            records += 1;
        }
        if !input.is_empty() {
            counters.turns_cut.add(1);
        }
        Ok(records)
    }

    /// Whether no record is under way.
    pub(super) const fn is_idle(&self) -> bool {
        match self {
            Self::Framed(_, deframer) => deframer.is_idle(),
            Self::WebSocket(frames) => frames.is_idle(),
        }
    }

    /// Appends the machine's next record to `out`.
    pub(super) fn fill(
        &mut self,
        machine: &mut impl Machine,
        now: Now,
        id: LinkId,
        out: &mut Vec<u8>,
    ) -> Output {
        let start = match self {
            Self::Framed(framer, _) => framer.begin(out),
            Self::WebSocket(frames) => frames.begin(out),
        };
        let output = machine.poll_record(now, id, out);
        match (self, output) {
            (Self::Framed(framer, _), Output::Record(_)) => framer.finish(out, start),
            (Self::WebSocket(frames), Output::Record(_)) => frames.finish(out, start),
            _ => out.truncate(start),
        }
        output
    }

    /// Appends what the peer waits for beside records.
    pub(super) fn answer(&mut self, out: &mut Vec<u8>) {
        if let Self::WebSocket(frames) = self {
            frames.answer(out);
        }
    }

    pub(super) const fn has_answer(&self) -> bool {
        matches!(self, Self::WebSocket(frames) if frames.has_answer())
    }

    /// What is said last.
    pub(super) fn farewell(&mut self, out: &mut Vec<u8>) {
        if let Self::WebSocket(frames) = self {
            let code = frames.close_code().to_be_bytes();
            frames.control(Control::Close, &code, out);
        }
    }

    /// Gives back what memory it can.
    pub(super) fn release(&mut self) {
        match self {
            Self::Framed(_, deframer) => deframer.release(),
            Self::WebSocket(frames) => frames.release(),
        }
    }
}

const fn broken(error: FrameError) -> &'static str {
    match error {
        FrameError::NotMinimal => "the length of a record is not in its shortest form",
        FrameError::TooLong => "a record is longer than it may be",
        FrameError::Empty => "a record has no bytes",
        _ => "a record has no length that makes sense",
    }
}

/// An error that ends a stream, or says to come again.
pub(super) fn is_blocked(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
