//! What an outbox has to write next, whatever it is, and how it is written.

use bytes::Bytes;

use super::{Asked, Outbox, Slot};
use crate::channel::{Piece, Says};
use crate::wire::Kind;
use crate::{ChannelId, Class, ReceiptKind, Timestamp};

/// What the next bytes to write begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begins {
    /// Something of their message was written before.
    Nothing,
    /// A message, which must be charged for.
    Message { total: u32 },
}

/// The next bytes to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: u64,
    /// Its number on the wire.
    pub(crate) number: u64,
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) total: u32,
    /// Nothing of this message was written before: it must be charged.
    pub(crate) is_first: bool,
    /// How often these bytes were lost.
    pub(crate) tries: u8,
    /// It says nothing beside its payload.
    pub(crate) is_plain: bool,
    /// It asks for a MSG_ACK.
    pub(crate) receipt: bool,
    /// Bytes that what it is for adds to a MSG, and what else it says.
    pub(crate) kind_len: u8,
    pub(crate) says_len: u8,
}

impl Outbox {
    /// Whether there is something to write, and what it begins. `window` bounds how far beyond the oldest unsettled message a new
    /// one may be.
    #[inline]
    pub(crate) fn peek(&mut self, window: u64) -> Option<Begins> {
        if self.has_wanted() {
            return Some(Begins::Nothing);
        }
        let slot = self.slots.get(self.fresh)?;
        if slot.sent > 0 {
            return Some(Begins::Nothing);
        }
        ((self.fresh as u64) < window).then_some(Begins::Message { total: slot.total })
    }

    /// Whether a lost piece is still wanted. Forgets those that are not.
    #[inline]
    pub(crate) fn has_wanted(&mut self) -> bool {
        !self.lost.is_empty() && self.prune_lost()
    }

    #[inline(never)]
    fn prune_lost(&mut self) -> bool {
        while let Some(&piece) = self.lost.front() {
            let wanted = u64::from(piece.offset)..u64::from(piece.offset + piece.len);
            if let Some(slot) = self.slot(piece.id) {
                if piece.len == 0 || !slot.acked.contains(&wanted) {
                    return true;
                }
                slot.lost -= 1;
            }
            self.lost.pop_front();
        }
        false
    }

    /// What to write next, when [`Self::peek`] said that there is something: lost pieces first.
    #[inline]
    pub(crate) fn candidate(&self, now: Timestamp) -> Option<Candidate> {
        if let Some(piece) = self.lost.front() {
            return self.repeat(now, piece);
        }
        let slot = self.slots.get(self.fresh)?;
        let mut candidate = Candidate::new(slot, now, slot.sent);
        if slot.sent == 0 {
            candidate.is_first = true;
            candidate.number = self.next_number;
        }
        Some(candidate)
    }

    #[inline(never)]
    fn repeat(&self, now: Timestamp, piece: &Piece) -> Option<Candidate> {
        let candidate = Candidate::new(&self.slots[self.index(piece.id)?], now, piece.offset);
        Some(Candidate { len: piece.len, tries: piece.tries, ..candidate })
    }

    /// The next `len` bytes of `candidate`, which must be the present one, count as written.
    #[inline]
    pub(crate) fn take(&mut self, candidate: &Candidate, len: u32) -> Option<()> {
        let index = self.index(candidate.id)?;
        let slot = &mut self.slots[index];
        if let Some(piece) = self.lost.front_mut()
            && piece.id == candidate.id
            && piece.offset == candidate.offset
        {
            piece.offset += len;
            piece.len -= len;
            if piece.len == 0 {
                slot.lost -= 1;
                self.lost.pop_front();
            }
            return Some(());
        }
        slot.sent = candidate.offset + len;
        slot.number = candidate.number;
        self.unsent -= len as usize;
        self.next_number = self.next_number.max(candidate.number + 1);
        self.fresh += usize::from(slot.sent == slot.total);
        if candidate.is_first && slot.receipt == ReceiptKind::Processing {
            let deadline = slot.terms.as_ref().and_then(|terms| terms.deadline);
            let payload = slot.payload.clone();
            let asked = Asked { settled: slot.settled(true), arrived: false, payload, deadline };
            self.extra.get_or_insert_default().asked.insert(slot.number, asked);
        }
        Some(())
    }

    /// Lets `write` have the `len` bytes of `candidate` that were taken, and what the message says beside them. `keep` says that
    /// they may have to be written again.
    #[inline]
    pub(crate) fn write(
        &mut self,
        now: Timestamp,
        candidate: &Candidate,
        len: u32,
        keep: bool,
        write: impl FnOnce(Kind, Says, &[u8]),
    ) {
        let (start, end) = (candidate.offset as usize, (candidate.offset + len) as usize);
        let Some(index) = self.find(candidate.id) else { return };
        let slot = &mut self.slots[index];
        let Some(bytes) = slot.payload.get(start..end) else { return };
        if candidate.is_plain {
            write(Kind::OneWay, Says::default(), bytes);
        } else {
            write(slot.kind, slot.says(now), bytes);
        }
        if !keep && slot.sent == slot.total {
            slot.payload = Bytes::new();
        }
    }
}

impl Candidate {
    /// The rest of `slot` from `offset`, of which something was written before.
    #[inline]
    fn new(slot: &Slot, now: Timestamp, offset: u32) -> Self {
        let mut candidate = Self {
            id: slot.id,
            number: slot.number,
            offset,
            len: slot.total - offset,
            total: slot.total,
            is_first: false,
            tries: 0,
            is_plain: slot.is_plain,
            receipt: false,
            kind_len: 0,
            says_len: 0,
        };
        if !slot.is_plain {
            candidate.measure(slot, now);
        }
        candidate
    }

    #[inline(never)]
    fn measure(&mut self, slot: &Slot, now: Timestamp) {
        let says = slot.says(now);
        self.receipt = says.receipt;
        self.kind_len = slot.kind.encoded_len() as u8;
        self.says_len = says.encoded_len() as u8;
    }
}

impl Piece {
    pub(crate) const fn new(channel: ChannelId, class: Class, candidate: &Candidate, len: u32) -> Self {
        let Candidate { id, offset, tries, .. } = *candidate;
        Self { channel, class, tries, id, offset, len }
    }
}
