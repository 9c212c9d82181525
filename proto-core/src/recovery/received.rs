//! What arrived, and when to say so (RFC 9000, section 13.2).

use core::time::Duration;

use crate::Ecn;
use crate::Timestamp;
use crate::range_set::RangeSet;
use crate::seen::{Seen, SeenWindow};
use crate::wire::{EcnCounts, MAX_RANGES, RecordWriter, packet};

/// Ack-eliciting packets after which an ACK is due at once.
const ELICITING_PER_ACK: u32 = 2;
/// The same on streams, where an ACK only frees memory and settles fates: records, their bytes, and time.
const RECORDS_PER_ACK: u32 = 64;
const BYTES_PER_ACK: usize = 64 << 10;
const RECORD_ACK_DELAY: Duration = Duration::from_millis(250);
/// With more ranges than this, ACKs ask to be acknowledged themselves, so that the list can be cut.
const MANY_RANGES: usize = 16;
/// What arrived longer ago is not acknowledged any more: who still waits for it has repeated it long since.
const REPEATED_FOR: Duration = Duration::from_mins(1);

/// The packets of the peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    seen: SeenWindow,
    ranges: RangeSet,
    largest_at: Timestamp,
    /// Ack-eliciting packets since the last ACK went out.
    unacknowledged: u32,
    /// Their bytes, on a stream.
    unacknowledged_bytes: usize,
    deadline: Option<Timestamp>,
    due: bool,
    /// The largest number at some time past, and when that was.
    mark: (u64, Timestamp),
    /// Congestion marks of all packets, once one had any.
    ecn: EcnCounts,
}

impl Received {
    /// The whole number behind a truncated one.
    pub(crate) fn expand(&self, low: u32, len: u8) -> u64 {
        packet::expand_number(self.seen.next(), low, len)
    }

    /// Whether no larger number came before.
    pub(crate) const fn is_newest(&self, number: u64) -> bool {
        number >= self.seen.next()
    }

    /// Whether everything before `number` came, and it did not.
    #[inline]
    pub(crate) fn is_next(&self, number: u64) -> bool {
        number == self.seen.next() && self.ranges.ends_at(number)
    }

    pub(crate) fn is_new(&self, number: u64) -> bool {
        self.seen.check(number) == Seen::New
    }

    /// A valid packet arrived. An ACK is due at once after two, after a gap, or when `urgent`.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        now: Timestamp,
        number: u64,
        eliciting: bool,
        urgent: bool,
        max_ack_delay: Duration,
    ) {
        let in_order = number == self.seen.next() || self.ranges.is_empty();
        if number >= self.seen.next() {
            self.largest_at = now;
        }
        self.seen.insert(number);
        self.ranges.insert(number..number + 1);
        if self.ranges.len() > MAX_RANGES {
            self.ranges.pop_front();
        }
        if eliciting {
            self.note_eliciting(now, urgent || !in_order, max_ack_delay);
        }
    }

    /// The same for an ack-eliciting packet that [`Self::is_next`].
    #[inline]
    pub(crate) fn insert_next(&mut self, now: Timestamp, max_ack_delay: Duration) {
        let number = self.seen.next();
        self.largest_at = now;
        self.seen.insert(number);
        self.ranges.insert(number..number + 1);
        self.note_eliciting(now, false, max_ack_delay);
    }

    #[inline]
    fn note_eliciting(&mut self, now: Timestamp, at_once: bool, max_ack_delay: Duration) {
        self.unacknowledged += 1;
        if at_once || self.unacknowledged >= ELICITING_PER_ACK {
            self.set_due();
        } else if !self.due {
            self.deadline = self.deadline.or(Some(now + max_ack_delay));
        }
    }

    /// The number of the next record of a stream.
    pub(crate) const fn next(&self) -> u64 {
        self.seen.next()
    }

    /// The next record of a stream arrived. An ACK is due after many, or when `urgent`; never for nothing.
    pub(crate) fn insert_record(&mut self, now: Timestamp, eliciting: bool, urgent: bool, len: usize) {
        let number = self.seen.next();
        self.largest_at = now;
        self.seen.insert(number);
        self.ranges.insert(number..number + 1);
        if eliciting {
            self.unacknowledged += 1;
            self.unacknowledged_bytes += len;
        }
        let is_enough =
            self.unacknowledged >= RECORDS_PER_ACK || self.unacknowledged_bytes >= BYTES_PER_ACK || urgent;
        if self.unacknowledged > 0 && is_enough {
            self.set_due();
        } else if self.unacknowledged > 0 && !self.due {
            self.deadline = self.deadline.or(Some(now + RECORD_ACK_DELAY));
        }
    }

    /// Writes an ACK of every record since the last one, which has arrived or will.
    pub(crate) fn write_record_ack(&mut self, now: Timestamp, writer: &mut RecordWriter<'_>) {
        self.write_ack(now, writer);
        self.unacknowledged_bytes = 0;
        self.ranges.remove_below(self.seen.next());
    }

    /// A packet that [`Self::insert`] took came with this mark. Congestion is told at once.
    pub(crate) const fn note_mark(&mut self, ecn: Option<Ecn>) {
        match ecn {
            None => {}
            Some(Ecn::Ect0) => self.ecn.ect0 += 1,
            Some(Ecn::Ect1) => self.ecn.ect1 += 1,
            Some(Ecn::Ce) => {
                self.ecn.ce += 1;
                if self.unacknowledged > 0 {
                    self.set_due();
                }
            }
        }
    }

    /// An ACK must go out with the next packet, alone if need be.
    pub(crate) const fn set_due(&mut self) {
        self.due = true;
        self.deadline = None;
    }

    /// When the packet of the largest number came.
    pub(crate) const fn latest(&self) -> Timestamp {
        self.largest_at
    }

    /// When an ACK becomes due.
    pub(crate) const fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    pub(crate) const fn is_due(&self) -> bool {
        self.due
    }

    /// Whether an ACK would tell the peer anything that asks for one.
    pub(crate) const fn has_news(&self) -> bool {
        self.unacknowledged > 0
    }

    pub(crate) fn wants_pruning(&self) -> bool {
        self.ranges.len() > MANY_RANGES
    }

    /// Writes an ACK of everything, and returns its largest number.
    pub(crate) fn write_ack(&mut self, now: Timestamp, writer: &mut RecordWriter<'_>) -> u64 {
        let (largest, marked_at) = self.mark;
        if now.since(marked_at) >= REPEATED_FOR {
            self.ranges.remove_below(largest);
            self.mark = (self.seen.next() - 1, now);
        }
        let delay = now.since(self.largest_at).as_micros() as u64 / 8;
        let ranges = self.ranges.iter().rev().map(|range| range.start..=range.end - 1);
        writer.write_ack_ecn(delay, ranges, (self.ecn != EcnCounts::ZERO).then_some(self.ecn));
        self.unacknowledged = 0;
        self.deadline = None;
        self.due = false;
        self.seen.next() - 1
    }

    /// The peer has an ACK up to `largest`: what it said need not be said again.
    pub(crate) fn on_ack_acked(&mut self, largest: u64) {
        self.ranges.remove_below(largest);
    }

    pub(crate) fn shrink(&mut self) {
        self.ranges.shrink();
        self.seen.shrink();
    }
}

crate::sleep::saved!(Received {
    seen,
    ranges,
    largest_at,
    unacknowledged,
    unacknowledged_bytes,
    deadline,
    due,
    mark,
    ecn
});
