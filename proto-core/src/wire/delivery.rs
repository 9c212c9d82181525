//! SKIP, FRAG_ABORT, MSG_ACK and REPORT: what becomes of messages beside arriving (spec: wire.md, section 4).

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::{DecodeError, Reader, varint};

/// Largest number of a message.
pub(crate) const MAX_MESSAGE_NUMBER: u64 = (1 << 62) - 1;
/// Most messages that one SKIP names.
pub(crate) const MAX_SKIPS: usize = 64;
/// Most ranges that one MSG_ACK has.
pub(crate) const MAX_RECEIPT_RANGES: usize = 64;
/// Most lines that one REPORT has.
pub(crate) const MAX_REPORTS: usize = 32;

/// Messages of a reliable class that their sender has given up: their receiver must not wait for them.
///
/// ```text
/// 07 | channel vi64 | class 1 | n vi64 | number vi64 | total vi64 | (n - 1) x (gap vi64 | total vi64)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip<'a> {
    /// The channel.
    pub channel: u32,
    /// Class code, 0 or 1.
    pub class: u8,
    count: u64,
    entries: &'a [u8],
}

/// A message that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its number in (channel, class).
    pub number: u64,
    /// Its length: what it was charged when its first piece was sent, less the cost of a message.
    pub total: u64,
}

impl<'a> Skip<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let channel = channel(reader)?;
        let class = reader.u8()?;
        if class > 1 {
            return Err(DecodeError::Invalid("SKIP: not a class that is charged"));
        }
        let count = count(reader, MAX_SKIPS, "SKIP: not 1 to 64 messages")?;
        let entries = reader.rest();
        let mut next = 0;
        for _ in 0..count {
            next = next_skipped(reader, next)?.number + 1;
        }
        Ok(Self { channel, class, count, entries: used(entries, reader) })
    }

    /// The messages, ascending by number.
    pub fn messages(&self) -> impl Iterator<Item = Skipped> + 'a {
        let (mut reader, mut next) = (Reader::new(self.entries), 0);
        (0..self.count).map_while(move |_| {
            let skipped = next_skipped(&mut reader, next).ok()?;
            next = skipped.number + 1;
            Some(skipped)
        })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        start_skip(self.channel, self.class, self.count, buf);
        buf.extend_from_slice(self.entries);
    }
}

fn start_skip(channel: u32, class: u8, count: u64, buf: &mut Vec<u8>) {
    varint::encode(channel.into(), buf);
    buf.push(class);
    varint::encode(count, buf);
}

fn next_skipped(reader: &mut Reader<'_>, next: u64) -> Result<Skipped, DecodeError> {
    let gap = reader.vi64_upto(MAX_MESSAGE_NUMBER, NUMBER)?;
    let number = next + gap;
    if number > MAX_MESSAGE_NUMBER {
        return Err(DecodeError::Invalid(NUMBER));
    }
    Ok(Skipped { number, total: reader.vi64()? })
}

/// Appends the body of a SKIP; `messages` are 1 to [`MAX_SKIPS`], ascending by number.
pub(super) fn encode_skip(channel: u32, class: u8, messages: &[Skipped], buf: &mut Vec<u8>) {
    start_skip(channel, class, messages.len() as u64, buf);
    let mut next = 0;
    for &Skipped { number, total } in messages {
        varint::encode(number - next, buf);
        varint::encode(total, buf);
        next = number + 1;
    }
}

/// A message of a class without credit of which no more pieces follow.
///
/// ```text
/// 08 | channel vi64 | class 1 | number vi64
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragAbort {
    /// The channel.
    pub channel: u32,
    /// Class code, 2 or 3.
    pub class: u8,
    /// Its number in (channel, class).
    pub number: u64,
}

impl FragAbort {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let channel = channel(reader)?;
        let class = reader.u8()?;
        if !(2..=3).contains(&class) {
            return Err(DecodeError::Invalid("FRAG_ABORT: not a class without credit"));
        }
        Ok(Self { channel, class, number: reader.vi64_upto(MAX_MESSAGE_NUMBER, NUMBER)? })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        varint::encode(self.channel.into(), buf);
        buf.push(self.class);
        varint::encode(self.number, buf);
    }
}

/// What became of a message at its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// The application has processed it.
    Processed,
    /// The application rejected it, for a reason of its own.
    Rejected(u64),
    /// It was dropped before the application saw it; the reason is that of a REPORT.
    Refused(u64),
}

/// Receipts: what became of messages that asked for one.
///
/// ```text
/// 09 | channel vi64 | class 1 | status 1 | reason vi64 (status 1 and 2) | largest vi64 | n vi64 | first vi64 | n x (gap vi64, len vi64)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsgAck<'a> {
    /// The channel.
    pub channel: u32,
    /// Class code, 0 to 3.
    pub class: u8,
    /// What became of them.
    pub status: Status,
    largest: u64,
    more: u64,
    first: u64,
    ranges: &'a [u8],
}

impl<'a> MsgAck<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let channel = channel(reader)?;
        let class = reader.u8()?;
        if class > 3 {
            return Err(DecodeError::Invalid("MSG_ACK: class over 3"));
        }
        let status = match reader.u8()? {
            0 => Status::Processed,
            1 => Status::Rejected(reader.vi64()?),
            2 => Status::Refused(reader.vi64()?),
            _ => return Err(DecodeError::Invalid("MSG_ACK: status over 2")),
        };
        let largest = reader.vi64_upto(MAX_MESSAGE_NUMBER, NUMBER)?;
        let more = reader.vi64_upto(MAX_RECEIPT_RANGES as u64 - 1, "MSG_ACK: over 64 ranges")?;
        let first = reader.vi64()?;
        let ranges = reader.rest();
        let mut smallest = largest.checked_sub(first).ok_or(BELOW_ZERO)?;
        for _ in 0..more {
            smallest = *next_range(reader, smallest)?.start();
        }
        Ok(Self { channel, class, status, largest, more, first, ranges: used(ranges, reader) })
    }

    /// The numbers, from the largest down.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> + 'a {
        let mut reader = Reader::new(self.ranges);
        let first = self.largest - self.first..=self.largest;
        let mut smallest = *first.start();
        core::iter::once(first).chain((0..self.more).map_while(move |_| {
            let range = next_range(&mut reader, smallest).ok()?;
            smallest = *range.start();
            Some(range)
        }))
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        start_msg_ack(self.channel, self.class, self.status, buf);
        for value in [self.largest, self.more, self.first] {
            varint::encode(value, buf);
        }
        buf.extend_from_slice(self.ranges);
    }
}

const BELOW_ZERO: DecodeError = DecodeError::Invalid("MSG_ACK: a range reaches below message 0");

fn start_msg_ack(channel: u32, class: u8, status: Status, buf: &mut Vec<u8>) {
    varint::encode(channel.into(), buf);
    buf.push(class);
    match status {
        Status::Processed => buf.push(0),
        Status::Rejected(reason) => {
            buf.push(1);
            varint::encode(reason, buf);
        }
        Status::Refused(reason) => {
            buf.push(2);
            varint::encode(reason, buf);
        }
    }
}

fn next_range(reader: &mut Reader<'_>, above: u64) -> Result<RangeInclusive<u64>, DecodeError> {
    let (gap, len) = (reader.vi64()?, reader.vi64()?);
    let high = above.checked_sub(2).and_then(|n| n.checked_sub(gap)).ok_or(BELOW_ZERO)?;
    let low = high.checked_sub(len).ok_or(BELOW_ZERO)?;
    Ok(low..=high)
}

/// Appends the body of a MSG_ACK; `ranges` are 1 to [`MAX_RECEIPT_RANGES`], descending, with a gap between any two.
pub(super) fn encode_msg_ack(
    channel: u32,
    class: u8,
    status: Status,
    ranges: &[RangeInclusive<u64>],
    buf: &mut Vec<u8>,
) {
    let Some((first, rest)) = ranges.split_first() else { return };
    start_msg_ack(channel, class, status, buf);
    for value in [*first.end(), rest.len() as u64, first.end() - first.start()] {
        varint::encode(value, buf);
    }
    let mut smallest = *first.start();
    for range in rest {
        varint::encode(smallest - range.end() - 2, buf);
        varint::encode(range.end() - range.start(), buf);
        smallest = *range.start();
    }
}

/// What its sender dropped of what it received; for statistics only.
///
/// ```text
/// 0A | n vi64 | n x (channel vi64 | reason 1 | count vi64 | first vi64 | last vi64)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<'a> {
    count: u64,
    lines: &'a [u8],
}

/// One line of a REPORT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The channel.
    pub channel: u32,
    /// Why: [`Refusal::code`](crate::Refusal::code).
    pub reason: u8,
    /// How many messages, at least 1.
    pub count: u64,
    /// The number of the first of them.
    pub first: u64,
    /// The number of the last of them.
    pub last: u64,
}

impl<'a> Report<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = count(reader, MAX_REPORTS, "REPORT: not 1 to 32 lines")?;
        let lines = reader.rest();
        for _ in 0..count {
            next_line(reader)?;
        }
        Ok(Self { count, lines: used(lines, reader) })
    }

    /// Its lines.
    pub fn lines(&self) -> impl Iterator<Item = Reported> + 'a {
        let mut reader = Reader::new(self.lines);
        (0..self.count).map_while(move |_| next_line(&mut reader).ok())
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        varint::encode(self.count, buf);
        buf.extend_from_slice(self.lines);
    }
}

fn next_line(reader: &mut Reader<'_>) -> Result<Reported, DecodeError> {
    let channel = channel(reader)?;
    let (reason, count) = (reader.u8()?, reader.vi64()?);
    if count == 0 {
        return Err(DecodeError::Invalid("REPORT: a line about nothing"));
    }
    let first = reader.vi64_upto(MAX_MESSAGE_NUMBER, NUMBER)?;
    let last = reader.vi64_upto(MAX_MESSAGE_NUMBER, NUMBER)?;
    Ok(Reported { channel, reason, count, first, last })
}

/// Appends the body of a REPORT of 1 to [`MAX_REPORTS`] lines.
pub(super) fn encode_report(lines: &[Reported], buf: &mut Vec<u8>) {
    varint::encode(lines.len() as u64, buf);
    for line in lines {
        varint::encode(line.channel.into(), buf);
        buf.push(line.reason);
        for value in [line.count, line.first, line.last] {
            varint::encode(value, buf);
        }
    }
}

const NUMBER: &str = "message number over 2^62 - 1";

fn channel(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    reader.vi64_upto(u32::MAX.into(), "channel id over 2^32 - 1").map(|id| id as u32)
}

fn count(reader: &mut Reader<'_>, max: usize, what: &'static str) -> Result<u64, DecodeError> {
    match reader.vi64_upto(max as u64, what)? {
        0 => Err(DecodeError::Invalid(what)),
        count => Ok(count),
    }
}

/// The part of `bytes` that `reader`, which began there, has read.
fn used<'a>(bytes: &'a [u8], reader: &Reader<'_>) -> &'a [u8] {
    &bytes[..bytes.len() - reader.rest().len()]
}
