//! A record of nothing but whole messages of one class of one channel, in their order, that say nothing beside their payloads: what
//! a sender writes that has such messages and nothing else to say.

use core::ops::Range;

use super::frame::MAX_FRAMES;
use super::message::{Context, HAS_CHANNEL, HAS_EXT, HAS_LENGTH, LOW16, MSG, NUMBER};
use super::{Msg, Plain, Reader, WireId, varint};

/// Such a record, all of which was checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainRun<'a> {
    pub(crate) class: u8,
    pub(crate) channel: u32,
    /// The number of the first message.
    pub(crate) id: WireId,
    /// How many messages they are: 1 to 512.
    pub(crate) count: u32,
    /// Of their payloads together, and of the longest.
    pub(crate) bytes: usize,
    pub(crate) longest: usize,
    /// What follows the number of the first.
    body: &'a [u8],
}

impl<'a> PlainRun<'a> {
    /// A message as a run of one.
    #[inline]
    pub(crate) const fn of(plain: &Plain<'a>) -> Self {
        let Plain { class, channel, id, payload: body } = *plain;
        Self { class, channel, id, count: 1, bytes: body.len(), longest: body.len(), body }
    }

    /// `record`, if it is such a one; anything else is for [`super::Record`] to look at.
    #[inline]
    pub(crate) fn read(record: &'a [u8]) -> Option<Self> {
        let (&ty, rest) = record.split_first()?;
        if ty & (MSG | HAS_EXT) != MSG {
            return None;
        }
        let mut reader = Reader::new(rest);
        let (class, channel, id) = if ty & (HAS_CHANNEL | NUMBER) == LOW16 {
            (ty >> 5 & 3, 0, WireId::Low16(reader.u16().ok()?))
        } else {
            Msg::decode_head(ty, &Context::default(), &mut reader).ok()?
        };
        let body = reader.rest();
        if ty & HAS_LENGTH == 0 {
            return Some(Self { class, channel, id, count: 1, bytes: body.len(), longest: body.len(), body });
        }
        let mut run = Self { class, channel, id, count: 0, bytes: 0, longest: 0, body };
        let (last, behind) = (MSG | class << 5, MSG | class << 5 | HAS_LENGTH);
        let (mut ty, mut at) = (behind, 0);
        while ty == behind {
            let (len, size) = varint::decode(&body[at..]).ok()?;
            let len = usize::try_from(len).ok()?;
            at = at.checked_add(size)?.checked_add(len)?;
            ty = *body.get(at)?;
            run.add(len);
            at += 1;
        }
        run.add(body.len() - at);
        (ty == last && run.count <= MAX_FRAMES as u32).then_some(run)
    }

    #[inline]
    fn add(&mut self, len: usize) {
        self.count += 1;
        self.bytes += len;
        self.longest = self.longest.max(len);
    }

    /// What the payloads are parts of.
    pub(crate) const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Where each payload is in [`Self::body`].
    #[inline]
    pub(crate) fn payloads(&self) -> impl Iterator<Item = Range<usize>> {
        let (body, count) = (self.body, self.count);
        let mut at = 0;
        (0..count).map(move |index| {
            if index + 1 == count {
                return at..body.len();
            }
            let (len, size) = varint::decode(&body[at..]).unwrap_or_default();
            let start = at + size;
            let end = start + len as usize;
            at = end + 1;
            start..end
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::PlainRun;
    use crate::wire::{Frame, Record};

    quickcheck::quickcheck! {
        /// It is what the decoder of every record says, or nothing.
        fn a_run_is_what_a_record_says(lens: Vec<u8>, start: u16, tail: Vec<u8>, at: usize, flip: u8) -> bool {
            let mut record = Vec::new();
            let count = lens.len();
            for (index, len) in lens.into_iter().enumerate() {
                let length = if index + 1 < count { 0x02 } else { 0 };
                record.push(0x80 | 2 << 5 | if index == 0 { 2 << 2 } else { 0 } | length);
                if index == 0 {
                    record.extend(start.to_be_bytes());
                }
                if length != 0 {
                    crate::wire::varint::encode(u64::from(len) * 3, &mut record);
                }
                record.resize(record.len() + usize::from(len) * 3, 7);
            }
            let is_whole = PlainRun::read(&record).is_some() == (count > 0);
            record.extend(tail);
            if !record.is_empty() {
                let at = at % record.len();
                record[at] ^= flip;
            }
            is_whole && is_as_decoded(&record)
        }
    }

    fn is_as_decoded(record: &[u8]) -> bool {
        let Some(run) = PlainRun::read(record) else { return true };
        let payloads: Vec<_> = run.payloads().map(|place| &run.body()[place]).collect();
        let frames: Vec<_> = Record::new(record).collect();
        let is_same = |(frame, payload): (&Result<Frame<'_>, _>, &&[u8])| {
            matches!(frame, Ok(Frame::Msg(msg)) if msg.payload == *payload
                && (msg.class, msg.channel) == (run.class, run.channel))
        };
        frames.len() == payloads.len() && frames.iter().zip(&payloads).all(is_same)
    }
}
