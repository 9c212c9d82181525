//! What a session needs to go on over another link: the claim in INIT, and RESUME_STATE (spec: wire.md, sections 3.3 and 4.16).

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::delivery::MAX_MESSAGE_NUMBER;
use super::{DecodeError, Reader, varint};

/// Most frames that tell one state.
pub(crate) const MAX_STATE_PARTS: u64 = 1024;
/// Most lines of one RESUME_STATE.
pub(crate) const MAX_STATE_LINES: usize = 64;
/// Most ranges of one line.
pub(crate) const MAX_STATE_RANGES: usize = 16;

/// What a client wants of a server that it knows already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attach {
    /// A new session.
    #[default]
    New,
    /// This session, or nothing.
    Resume(Claim),
    /// This session, or else a new one.
    ResumeOrNew(Claim),
}

/// Says that a session is the client's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The public name of the session.
    pub session_id: [u8; 16],
    /// Which attachment of the session it is to be: above all before it, so at least 2.
    pub incarnation: u32,
    /// BLAKE3 of the INIT frame up to here, keyed with the session's secret.
    pub proof: [u8; 32],
}

impl Claim {
    /// Bytes of the proof, the last of its frame.
    pub const PROOF: usize = 32;

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let session_id = reader.array()?;
        let incarnation = reader.vi64_upto(u32::MAX.into(), "INIT: incarnation over 2^32 - 1")? as u32;
        if incarnation < 2 {
            return Err(DecodeError::Invalid("INIT: a session resumed before its second attachment"));
        }
        Ok(Self { session_id, incarnation, proof: reader.array()? })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.session_id);
        varint::encode(self.incarnation.into(), buf);
        buf.extend_from_slice(&self.proof);
    }
}

impl Attach {
    pub(super) const fn mode(&self) -> u8 {
        match self {
            Self::New => 0,
            Self::Resume(_) => 1,
            Self::ResumeOrNew(_) => 2,
        }
    }

    /// The session that it names.
    pub const fn claim(&self) -> Option<&Claim> {
        match self {
            Self::New => None,
            Self::Resume(claim) | Self::ResumeOrNew(claim) => Some(claim),
        }
    }

    /// The same with another claim, where there is one.
    pub(crate) const fn with(self, claim: Claim) -> Self {
        match self {
            Self::New => Self::New,
            Self::Resume(_) => Self::Resume(claim),
            Self::ResumeOrNew(_) => Self::ResumeOrNew(claim),
        }
    }
}

/// What its sender has of the messages of both directions: one of the frames that tell it of every channel and class.
///
/// ```text
/// 13 | part vi64 | last 1 | n vi64 | n x (channel vi64 | class 1 | sent vi64 | next vi64 | m vi64 | m x (gap vi64 | len vi64))
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeState<'a> {
    /// Which of the frames it is, counted from 0.
    pub part: u64,
    /// Whether it is the last of them.
    pub last: bool,
    count: u64,
    lines: &'a [u8],
}

/// One class of one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateLine {
    /// The channel.
    pub channel: u32,
    /// Class code.
    pub class: u8,
    /// How many numbers its sender has given to messages that it sent.
    pub sent: u64,
    /// The lowest number of the reader's messages that it waits for.
    pub next: u64,
    /// Numbers above that which it has, ascending; at most 16 ranges.
    pub ranges: Vec<RangeInclusive<u64>>,
}

const RANGES: &str = "RESUME_STATE: over 16 ranges";
const NUMBER: &str = "message number over 2^62 - 1";

impl<'a> ResumeState<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let part = reader.vi64_upto(MAX_STATE_PARTS - 1, "RESUME_STATE: over 1024 parts")?;
        let last = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Invalid("RESUME_STATE: reserved flags are set")),
        };
        let count = reader.vi64_upto(MAX_STATE_LINES as u64, "RESUME_STATE: over 64 lines")?;
        let lines = reader.rest();
        let mut before = None;
        for _ in 0..count {
            let line = next_line(reader)?;
            let place = Some((line.channel, line.class));
            if place <= before {
                return Err(DecodeError::Invalid("RESUME_STATE: lines do not ascend"));
            }
            before = place;
        }
        Ok(Self { part, last, count, lines: &lines[..lines.len() - reader.rest().len()] })
    }

    /// Its lines, ascending by channel and class.
    pub fn lines(&self) -> impl Iterator<Item = StateLine> + 'a {
        let mut reader = Reader::new(self.lines);
        (0..self.count).map_while(move |_| next_line(&mut reader).ok())
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        start(self.part, self.last, self.count, buf);
        buf.extend_from_slice(self.lines);
    }
}

fn next_line(reader: &mut Reader<'_>) -> Result<StateLine, DecodeError> {
    let channel = reader.vi64_upto(u32::MAX.into(), "channel id over 2^32 - 1")? as u32;
    let class = reader.u8()?;
    if class > 3 {
        return Err(DecodeError::Invalid("RESUME_STATE: class over 3"));
    }
    let sent = reader.vi64_upto(MAX_MESSAGE_NUMBER + 1, NUMBER)?;
    let next = reader.vi64_upto(MAX_MESSAGE_NUMBER + 1, NUMBER)?;
    let count = reader.vi64_upto(MAX_STATE_RANGES as u64, RANGES)?;
    let mut ranges = Vec::with_capacity(count as usize);
    let mut missing = next;
    for _ in 0..count {
        let gap = reader.vi64_upto(MAX_MESSAGE_NUMBER, NUMBER)?;
        let len = reader.vi64_upto(MAX_MESSAGE_NUMBER, NUMBER)?;
        let start = missing + 1 + gap;
        let end = start + len;
        if end > MAX_MESSAGE_NUMBER {
            return Err(DecodeError::Invalid(NUMBER));
        }
        ranges.push(start..=end);
        missing = end + 1;
    }
    Ok(StateLine { channel, class, sent, next, ranges })
}

fn start(part: u64, last: bool, count: u64, buf: &mut Vec<u8>) {
    varint::encode(part, buf);
    buf.push(last.into());
    varint::encode(count, buf);
}

/// Appends the body of a RESUME_STATE; `lines` are at most [`MAX_STATE_LINES`], ascending by channel and class.
pub(super) fn encode_state(part: u64, last: bool, lines: &[StateLine], buf: &mut Vec<u8>) {
    start(part, last, lines.len() as u64, buf);
    for line in lines {
        line.encode(buf);
    }
}

impl StateLine {
    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        varint::encode(self.channel.into(), buf);
        buf.push(self.class);
        for value in [self.sent, self.next, self.ranges.len() as u64] {
            varint::encode(value, buf);
        }
        let mut missing = self.next;
        for range in &self.ranges {
            varint::encode(range.start() - missing - 1, buf);
            varint::encode(range.end() - range.start(), buf);
            missing = range.end() + 1;
        }
    }

    /// Bytes that it takes on the wire.
    pub(crate) fn encoded_len(&self) -> usize {
        let mut len = varint::len(self.channel.into()) + 1 + varint::len(self.ranges.len() as u64);
        len += varint::len(self.sent) + varint::len(self.next);
        let mut missing = self.next;
        for range in &self.ranges {
            len += varint::len(range.start() - missing - 1) + varint::len(range.end() - range.start());
            missing = range.end() + 1;
        }
        len
    }
}
