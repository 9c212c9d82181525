//! Frames and the records that hold them (spec: wire.md, section 4).

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::delivery::{Reported, Skipped, Status};
use super::message::{Context, HAS_LENGTH, MSG, Plain};
use super::run::PlainRun;
use super::{
    Accept, Ack, AckRange, Close, Credit, DecodeError, EcnCounts, FragAbort, GoAway, Init, MAX_MESSAGE,
    MAX_TOKEN, Msg, MsgAck, NewCid, OpenChannel, RateLimit, Reader, Report, ResumeState, Skip, StateLine,
    TimeSample, Version, WireId,
};
use super::{ack, delivery, resume, varint};

/// Most frames in one record.
pub const MAX_FRAMES: usize = 512;
/// Of those, kept for messages and the announcements of their channels.
const FRAMES_KEPT: usize = 128;

/// Every frame type of version 1. Those without a variant of [`Frame`] are reserved: this version refuses them.
pub mod code {
    #![expect(missing_docs, reason = "the names are those of the specification's table")]
    pub const PADDING: u8 = 0x00;
    pub const PING: u8 = 0x01;
    pub const PONG: u8 = 0x02;
    pub const ACK: u8 = 0x03;
    pub const ACK_ECN: u8 = 0x04;
    pub const CREDIT: u8 = 0x05;
    pub const BLOCKED: u8 = 0x06;
    pub const SKIP: u8 = 0x07;
    pub const FRAG_ABORT: u8 = 0x08;
    pub const MSG_ACK: u8 = 0x09;
    pub const REPORT: u8 = 0x0A;
    pub const OPEN_CHANNEL: u8 = 0x0B;
    pub const CLOSE_CHANNEL: u8 = 0x0C;
    pub const PATH_CHALLENGE: u8 = 0x0D;
    pub const PATH_RESPONSE: u8 = 0x0E;
    pub const NEW_CID: u8 = 0x0F;
    pub const RETIRE_CID: u8 = 0x10;
    pub const NEW_TOKEN: u8 = 0x11;
    pub const RESUME_GRANT: u8 = 0x12;
    pub const RESUME_STATE: u8 = 0x13;
    pub const GOAWAY: u8 = 0x14;
    pub const CLOSE: u8 = 0x15;
    pub const CLOSE_ACK: u8 = 0x16;
    pub const RATE: u8 = 0x17;
    pub const KEY_UPDATE: u8 = 0x18;
    pub const TIME: u8 = 0x19;
    pub const CANCEL: u8 = 0x1A;
    pub const INIT: u8 = 0x20;
    pub const RETRY: u8 = 0x21;
    pub const VERSION: u8 = 0x22;
    pub const ACCEPT: u8 = 0x23;
    pub const CONFIRM: u8 = 0x24;
    pub const SEALED: u8 = 0x25;
    pub const KEY: u8 = 0x26;
    /// First of the negotiated extensions, which always carry their length.
    pub const EXTENSION_FIRST: u8 = 0x40;
    /// Last of the negotiated extensions.
    pub const EXTENSION_LAST: u8 = 0x7E;
    /// An extension named by a vi64.
    pub const EXT: u8 = 0x7F;
}

/// One frame, borrowed from the record that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Nothing, one byte long.
    Padding,
    /// Asks for an ACK, on a stream for a PONG.
    Ping,
    /// Answers the PING of the record of this number, on streams.
    Pong(u64),
    /// Which packets arrived.
    Ack(Ack<'a>),
    /// Room for reliable messages.
    Credit(Credit),
    /// The sender has reliable messages and no credit for them: the counters that it has come to.
    Blocked(Credit),
    /// Messages that their sender has given up.
    Skip(Skip<'a>),
    /// An unfinished message that its sender has given up.
    FragAbort(FragAbort),
    /// What became of messages that asked for a receipt.
    MsgAck(MsgAck<'a>),
    /// What was dropped.
    Report(Report<'a>),
    /// A channel.
    OpenChannel(OpenChannel<'a>),
    /// Asks for these bytes from where they are sent to.
    PathChallenge([u8; 8]),
    /// The bytes that were asked for.
    PathResponse([u8; 8]),
    /// Another id that its sender may be called by.
    NewCid(NewCid),
    /// The id of this number is not used any more.
    RetireCid(u64),
    /// The server is going away.
    GoAway(GoAway<'a>),
    /// The end.
    Close(Close<'a>),
    /// The end was understood.
    CloseAck,
    /// How much is taken in.
    Rate(RateLimit),
    /// The sender's clock.
    Time(TimeSample),
    /// The sender no longer waits for the reply to its request of this number.
    Cancel(u64),
    /// What its sender has, when a session goes on over another link.
    ResumeState(ResumeState<'a>),
    /// A client asks for a connection.
    Init(Init<'a>),
    /// The client must prove its address with this token.
    Retry(&'a [u8]),
    /// The server speaks only these.
    Version(Version<'a>),
    /// A server takes a client.
    Accept(Accept<'a>),
    /// The client has understood ACCEPT; the hash of both.
    Confirm([u8; 16]),
    /// ACCEPT inside a message of a handshake that encrypts.
    Sealed(&'a [u8]),
    /// The client must prove its address with the token, and the server has this key.
    Key {
        /// The server's public key.
        key: [u8; 32],
        /// What RETRY brings.
        token: &'a [u8],
    },
    /// A message or a piece of one.
    Msg(Msg<'a>),
    /// An extension that this version does not know, to be skipped.
    Extension {
        /// Its code, 0x40 to 0x7F.
        code: u8,
        /// Its number when the code is 0x7F, else 0.
        id: u64,
        /// Its content.
        body: &'a [u8],
    },
}

impl<'a> Frame<'a> {
    /// Whether the peer must acknowledge a packet that holds this frame.
    pub const fn is_ack_eliciting(&self) -> bool {
        !matches!(
            self,
            Self::Padding
                | Self::Ack(_)
                | Self::Report(_)
                | Self::Close(_)
                | Self::CloseAck
                | Self::Pong(_)
                | Self::Time(_)
                | Self::Init(_)
                | Self::Retry(_)
                | Self::Version(_)
                | Self::Accept(_)
                | Self::Sealed(_)
                | Self::Key { .. }
        )
    }

    /// Whether a packet of nothing else says nothing about where its sender is.
    pub const fn is_probing(&self) -> bool {
        matches!(self, Self::Padding | Self::PathChallenge(_) | Self::PathResponse(_) | Self::NewCid(_))
    }

    #[inline(never)]
    fn decode_msg(ty: u8, context: &mut Context, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Msg::decode(ty, context, reader).map(Self::Msg)
    }

    /// Any frame but MSG.
    #[inline(never)]
    fn decode(ty: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match ty {
            code::PADDING => Self::Padding,
            code::PING => Self::Ping,
            code::PONG => Self::Pong(reader.vi64()?),
            code::ACK | code::ACK_ECN => Self::Ack(Ack::decode(reader, ty == code::ACK_ECN)?),
            code::CREDIT => Self::Credit(Credit::decode(reader)?),
            code::BLOCKED => Self::Blocked(Credit::decode(reader)?),
            code::SKIP => Self::Skip(Skip::decode(reader)?),
            code::FRAG_ABORT => Self::FragAbort(FragAbort::decode(reader)?),
            code::MSG_ACK => Self::MsgAck(MsgAck::decode(reader)?),
            code::REPORT => Self::Report(Report::decode(reader)?),
            code::OPEN_CHANNEL => Self::OpenChannel(OpenChannel::decode(reader)?),
            code::PATH_CHALLENGE => Self::PathChallenge(reader.array()?),
            code::PATH_RESPONSE => Self::PathResponse(reader.array()?),
            code::NEW_CID => Self::NewCid(NewCid::decode(reader)?),
            code::RETIRE_CID => Self::RetireCid(reader.vi64()?),
            code::RESUME_STATE => Self::ResumeState(ResumeState::decode(reader)?),
            code::GOAWAY => Self::GoAway(GoAway::decode(reader)?),
            code::CLOSE => Self::Close(Close::decode(reader)?),
            code::CLOSE_ACK => Self::CloseAck,
            code::RATE => Self::Rate(RateLimit::decode(reader)?),
            code::TIME => Self::Time(TimeSample::decode(reader)?),
            code::CANCEL => Self::Cancel(reader.vi64()?),
            code::INIT => Self::Init(Init::decode(reader)?),
            code::RETRY => Self::Retry(reader.bytes(MAX_TOKEN, "RETRY: token over 96 bytes")?),
            code::VERSION => Self::Version(Version::decode(reader)?),
            code::ACCEPT => Self::Accept(Accept::decode(reader)?),
            code::CONFIRM => Self::Confirm(reader.array()?),
            code::SEALED => Self::Sealed(reader.bytes(MAX_MESSAGE, "SEALED: a message over 2048 bytes")?),
            code::KEY => Self::Key {
                key: reader.array()?,
                token: reader.bytes(MAX_TOKEN, "KEY: token over 96 bytes")?,
            },
            code::EXTENSION_FIRST..=code::EXT => {
                let id = if ty == code::EXT { reader.vi64()? } else { 0 };
                Self::Extension { code: ty, id, body: reader.bytes(usize::MAX, "an endless extension")? }
            }
            _ => return Err(DecodeError::UnknownFrame(ty)),
        })
    }
}

const TOO_MANY_FRAMES: DecodeError = DecodeError::Invalid("over 512 frames in a record");

/// The frames of a record. After an error it is empty.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    reader: Reader<'a>,
    context: Context,
    frames: usize,
}

impl<'a> Record<'a> {
    /// The frames in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes), context: Context::default(), frames: 0 }
    }

    /// Whether nothing follows.
    pub(crate) const fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    /// Passes over the PADDING that follows: it means nothing, and there may be much of it.
    #[inline]
    pub fn skip_padding(&mut self) {
        let rest = self.reader.rest();
        let len = rest.iter().position(|&ty| ty != code::PADDING).unwrap_or(rest.len());
        self.reader = Reader::new(&rest[len..]);
    }

    /// Whether a MSG follows.
    #[inline]
    pub(crate) fn is_at_msg(&self) -> bool {
        self.reader.rest().first().is_some_and(|&ty| ty >= MSG)
    }

    /// The ACK that follows, if one does that makes sense, and what comes behind it.
    #[inline]
    pub(crate) fn split_ack(&self) -> (Option<Ack<'a>>, Self) {
        let mut rest = self.clone();
        let Some(&ty) = self.reader.rest().first().filter(|&&ty| ty == code::ACK || ty == code::ACK_ECN)
        else {
            return (None, rest);
        };
        rest.frames += 1;
        match rest.reader.u8().and_then(|_| Ack::decode(&mut rest.reader, ty == code::ACK_ECN)) {
            Ok(ack) => (Some(ack), rest),
            Err(_) => (None, self.clone()),
        }
    }

    /// What follows, if it is nothing but plain messages of one channel and class, the first of this record.
    #[inline]
    pub(crate) fn run(&self) -> Option<PlainRun<'a>> {
        let run = if self.context.is_new() { PlainRun::read(self.reader.rest()) } else { None };
        run.filter(|run| self.frames + run.count as usize <= MAX_FRAMES)
    }

    /// Whether a MSG follows, and nothing behind it.
    #[inline]
    pub(crate) fn is_at_last(&self) -> bool {
        self.reader.rest().first().is_some_and(|&ty| ty >= MSG && ty & HAS_LENGTH == 0)
    }

    /// Checks the MSG that follows.
    #[inline]
    pub(crate) fn check_msg(&mut self) -> Result<(), DecodeError> {
        let ty = self.reader.u8()?;
        self.frames += 1;
        if self.frames > MAX_FRAMES {
            return Err(TOO_MANY_FRAMES);
        }
        Msg::check(ty, &mut self.context, &mut self.reader)
    }

    /// The MSG that follows, if it is a whole message and says nothing beside its payload; else it is left.
    #[inline]
    pub(crate) fn next_plain(&mut self) -> Option<Result<Plain<'a>, DecodeError>> {
        let (&ty, rest) = self.reader.rest().split_first().filter(|&(&ty, _)| ty >= MSG)?;
        let mut reader = Reader::new(rest);
        let plain = Plain::decode(ty, &mut self.context, &mut reader)?;
        self.reader = reader;
        self.frames += 1;
        Some(plain)
    }

    /// The MSG that follows.
    #[inline]
    pub(crate) fn next_msg(&mut self) -> Result<Msg<'a>, DecodeError> {
        let ty = self.reader.u8()?;
        self.frames += 1;
        Msg::decode(ty, &mut self.context, &mut self.reader)
    }
}

impl<'a> Iterator for Record<'a> {
    type Item = Result<Frame<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let ty = self.reader.u8().ok()?;
        let frame = if ty >= MSG {
            Frame::decode_msg(ty, &mut self.context, &mut self.reader)
        } else {
            Frame::decode(ty, &mut self.reader)
        };
        self.frames += usize::from(ty != code::PADDING);
        if frame.is_err() {
            self.reader = Reader::new(&[]);
        } else if self.frames > MAX_FRAMES {
            self.reader = Reader::new(&[]);
            return Some(Err(TOO_MANY_FRAMES));
        }
        Some(frame)
    }
}

/// Writes the frames of one record behind what a buffer holds already.
#[derive(Debug)]
pub struct RecordWriter<'b> {
    buf: &'b mut Vec<u8>,
    context: Context,
    frames: usize,
}

impl<'b> RecordWriter<'b> {
    /// A record that starts at the end of `buf`.
    pub fn new(buf: &'b mut Vec<u8>) -> Self {
        Self { buf, context: Context::default(), frames: 0 }
    }

    /// Bytes in the buffer, those before the record included.
    pub fn buffered(&self) -> usize {
        self.buf.len()
    }

    /// Frames written.
    pub const fn frames(&self) -> usize {
        self.frames
    }

    /// Whether a frame of `len` bytes that is no message may be added, `limit` bytes being the end of the record.
    pub(crate) fn has_room(&self, len: usize, limit: usize) -> bool {
        self.frames < MAX_FRAMES - FRAMES_KEPT && self.buf.len() + len <= limit
    }

    /// Whether a MSG may say `WireId::Next` after the frames written so far.
    pub fn continues(&self, class: u8, channel: u32) -> bool {
        self.context.continues(class, channel)
    }

    /// Appends `frame`; `last` says that it is a MSG and that nothing follows it.
    pub fn write(&mut self, frame: &Frame<'_>, last: bool) {
        self.frames += usize::from(!matches!(frame, Frame::Padding));
        let buf = &mut *self.buf;
        match frame {
            Frame::Padding => buf.push(code::PADDING),
            Frame::Ping => buf.push(code::PING),
            Frame::Pong(echo) => {
                buf.push(code::PONG);
                varint::encode(*echo, buf);
            }
            Frame::Ack(ack) => {
                buf.push(if ack.ecn.is_some() { code::ACK_ECN } else { code::ACK });
                ack.encode(buf);
            }
            Frame::Credit(credit) => {
                buf.push(code::CREDIT);
                credit.encode(buf);
            }
            Frame::Blocked(credit) => {
                buf.push(code::BLOCKED);
                credit.encode(buf);
            }
            Frame::Skip(skip) => {
                buf.push(code::SKIP);
                skip.encode(buf);
            }
            Frame::FragAbort(abort) => {
                buf.push(code::FRAG_ABORT);
                abort.encode(buf);
            }
            Frame::MsgAck(receipts) => {
                buf.push(code::MSG_ACK);
                receipts.encode(buf);
            }
            Frame::Report(report) => {
                buf.push(code::REPORT);
                report.encode(buf);
            }
            Frame::OpenChannel(open) => {
                buf.push(code::OPEN_CHANNEL);
                open.encode(buf);
            }
            Frame::PathChallenge(data) => {
                buf.push(code::PATH_CHALLENGE);
                buf.extend_from_slice(data);
            }
            Frame::PathResponse(data) => {
                buf.push(code::PATH_RESPONSE);
                buf.extend_from_slice(data);
            }
            Frame::NewCid(new) => {
                buf.push(code::NEW_CID);
                new.encode(buf);
            }
            Frame::RetireCid(number) => {
                buf.push(code::RETIRE_CID);
                varint::encode(*number, buf);
            }
            Frame::ResumeState(state) => {
                buf.push(code::RESUME_STATE);
                state.encode(buf);
            }
            Frame::GoAway(goaway) => {
                buf.push(code::GOAWAY);
                goaway.encode(buf);
            }
            Frame::Close(close) => {
                buf.push(code::CLOSE);
                close.encode(buf);
            }
            Frame::CloseAck => buf.push(code::CLOSE_ACK),
            Frame::Rate(limit) => {
                buf.push(code::RATE);
                limit.encode(buf);
            }
            Frame::Time(sample) => {
                buf.push(code::TIME);
                sample.encode(buf);
            }
            Frame::Cancel(request) => {
                buf.push(code::CANCEL);
                varint::encode(*request, buf);
            }
            Frame::Init(init) => {
                buf.push(code::INIT);
                init.encode(buf);
            }
            Frame::Retry(token) => {
                buf.push(code::RETRY);
                varint::encode(token.len() as u64, buf);
                buf.extend_from_slice(token);
            }
            Frame::Version(versions) => {
                buf.push(code::VERSION);
                versions.encode(buf);
            }
            Frame::Accept(accept) => {
                buf.push(code::ACCEPT);
                accept.encode(buf);
            }
            Frame::Confirm(hash) => {
                buf.push(code::CONFIRM);
                buf.extend_from_slice(hash);
            }
            Frame::Sealed(message) => {
                buf.push(code::SEALED);
                varint::encode(message.len() as u64, buf);
                buf.extend_from_slice(message);
            }
            Frame::Key { key, token } => {
                buf.push(code::KEY);
                buf.extend_from_slice(key);
                varint::encode(token.len() as u64, buf);
                buf.extend_from_slice(token);
            }
            Frame::Msg(msg) => msg.encode(last, &mut self.context, buf),
            Frame::Extension { code, id, body } => {
                buf.push(*code);
                if *code == code::EXT {
                    varint::encode(*id, buf);
                }
                varint::encode(body.len() as u64, buf);
                buf.extend_from_slice(body);
            }
        }
    }

    /// Appends a MSG; `last` says that nothing follows it.
    #[inline]
    pub(crate) fn write_msg(&mut self, msg: &Msg<'_>, last: bool) {
        self.frames += 1;
        msg.encode(last, &mut self.context, self.buf);
    }

    /// Appends a MSG with a whole message that says nothing beside its payload; `last` says that nothing follows it.
    #[inline]
    pub(crate) fn write_plain(&mut self, class: u8, channel: u32, id: WireId, payload: &[u8], last: bool) {
        self.frames += 1;
        Plain { class, channel, id, payload }.encode(last, &mut self.context, self.buf);
    }

    /// The same behind another one of its class and channel, of which it is the next, and before a further one.
    #[inline]
    pub(crate) fn write_between(&mut self, class: u8, payload: &[u8]) {
        self.frames += 1;
        Plain::encode_between(class, payload, self.buf);
    }

    /// Appends an ACK for `ranges`: at most 64, descending, disjoint, not adjacent; nothing when there is none. `delay` is in
    /// units of 8 microseconds.
    pub fn write_ack(&mut self, delay: u64, ranges: impl ExactSizeIterator<Item = AckRange>) {
        self.write_ack_ecn(delay, ranges, None);
    }

    /// The same with counts of congestion marks, if there are any.
    pub fn write_ack_ecn(
        &mut self,
        delay: u64,
        ranges: impl ExactSizeIterator<Item = AckRange>,
        ecn: Option<EcnCounts>,
    ) {
        if ranges.len() == 0 {
            return;
        }
        self.frames += 1;
        self.buf.push(if ecn.is_some() { code::ACK_ECN } else { code::ACK });
        ack::encode_ranges(delay, ranges, self.buf);
        if let Some(ecn) = ecn {
            ecn.encode(self.buf);
        }
    }

    /// Appends a SKIP of 1 to 64 messages, ascending by number.
    pub fn write_skip(&mut self, channel: u32, class: u8, messages: &[Skipped]) {
        self.frames += 1;
        self.buf.push(code::SKIP);
        delivery::encode_skip(channel, class, messages, self.buf);
    }

    /// Appends a MSG_ACK of 1 to 64 ranges: descending, disjoint, not adjacent.
    pub fn write_msg_ack(&mut self, channel: u32, class: u8, status: Status, ranges: &[RangeInclusive<u64>]) {
        self.frames += 1;
        self.buf.push(code::MSG_ACK);
        delivery::encode_msg_ack(channel, class, status, ranges, self.buf);
    }

    /// Appends a REPORT of 1 to 32 lines.
    pub fn write_report(&mut self, lines: &[Reported]) {
        self.frames += 1;
        self.buf.push(code::REPORT);
        delivery::encode_report(lines, self.buf);
    }
    /// Appends a RESUME_STATE of at most 64 lines, ascending by channel and class.
    pub fn write_resume_state(&mut self, part: u64, last: bool, lines: &[StateLine]) {
        self.frames += 1;
        self.buf.push(code::RESUME_STATE);
        resume::encode_state(part, last, lines, self.buf);
    }
}
