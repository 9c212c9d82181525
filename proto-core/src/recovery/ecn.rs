//! Whether the path carries congestion marks (RFC 9000, section 13.4.2).

use crate::wire::EcnCounts;

/// Packets that are marked before anything is known. A path that throws marked packets away costs no more than these.
const TESTED: u8 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many more packets are marked.
    Testing(u8),
    /// The first marks came through.
    Capable,
    /// Marks get lost, or the peer does not count them, or counts what was not sent.
    Failed,
}

/// The marks of one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    state: State,
    sent: u64,
    counts: EcnCounts,
}

/// What an ACK says about marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marked {
    /// Nothing new.
    No,
    /// The network met congestion.
    Congestion,
    /// Marks are not used any more.
    Failed,
}

impl Marks {
    pub(crate) const fn new(enabled: bool) -> Self {
        let state = if enabled { State::Testing(TESTED) } else { State::Failed };
        Self { state, sent: 0, counts: EcnCounts::ZERO }
    }

    /// Whether the next packet that asks for an ACK is to be marked.
    pub(crate) const fn wanted(&self) -> bool {
        match self.state {
            State::Testing(left) => left > 0,
            State::Capable => true,
            State::Failed => false,
        }
    }

    pub(crate) const fn on_sent(&mut self) {
        self.sent += 1;
        if let State::Testing(left) = &mut self.state {
            *left = left.saturating_sub(1);
        }
    }

    /// An ACK with a larger number than any before newly acknowledges `newly` marked packets and has these counts.
    pub(crate) fn on_ack(&mut self, newly: u64, counts: Option<EcnCounts>) -> Marked {
        if self.state == State::Failed || self.sent == 0 || newly == 0 && counts.is_none() {
            return Marked::No;
        }
        let old = self.counts;
        let sound = counts.filter(|new| {
            let total = new.ect0.saturating_add(new.ce);
            new.ect0 >= old.ect0
                && new.ce >= old.ce
                && new.ect1 == 0
                && total <= self.sent
                && total - (old.ect0 + old.ce) >= newly
        });
        let Some(new) = sound else {
            self.state = State::Failed;
            return Marked::Failed;
        };
        self.counts = new;
        if newly > 0 {
            self.state = State::Capable;
        }
        if new.ce > old.ce { Marked::Congestion } else { Marked::No }
    }
}

crate::sleep::saved!(Marks { state, sent, counts });

impl crate::sleep::Saved for State {
    fn save(&self, to: &mut crate::sleep::Saver<'_>) {
        to.number(match self {
            Self::Capable => 0,
            Self::Failed => 1,
            Self::Testing(left) => 2 + u64::from(*left),
        });
    }

    fn load(from: &mut crate::sleep::Loader<'_>) -> Option<Self> {
        Some(match from.number()? {
            0 => Self::Capable,
            1 => Self::Failed,
            left => Self::Testing(u8::try_from(left - 2).ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Marked, Marks};
    use crate::wire::EcnCounts;

    const fn counts(ect0: u64, ect1: u64, ce: u64) -> EcnCounts {
        EcnCounts { ect0, ect1, ce }
    }

    fn sent(packets: usize) -> Marks {
        let mut marks = Marks::new(true);
        for _ in 0..packets {
            assert!(marks.wanted());
            marks.on_sent();
        }
        marks
    }

    #[test]
    fn ten_packets_are_tested_and_then_all_are_marked() {
        let mut marks = sent(10);
        assert!(!marks.wanted(), "nothing has come back yet");
        assert_eq!(marks.on_ack(3, Some(counts(3, 0, 0))), Marked::No);
        assert!(marks.wanted());
        marks.on_sent();
        assert_eq!(marks.on_ack(4, Some(counts(5, 0, 2))), Marked::Congestion);
        assert_eq!(
            marks.on_ack(0, Some(counts(5, 0, 2))),
            Marked::No,
            "an ACK of packets that were not marked"
        );
        assert_eq!(marks.on_ack(0, None), Marked::No);
    }

    #[test]
    fn lies_and_bleached_marks_end_it() {
        for (newly, counts) in [
            (3, None),
            (3, Some(counts(2, 0, 0))),
            (3, Some(counts(0, 3, 0))),
            (3, Some(counts(3, 1, 0))),
            (3, Some(counts(11, 0, 0))),
            (3, Some(counts(u64::MAX, 0, u64::MAX))),
            (0, Some(counts(0, 0, 11))),
        ] {
            let mut marks = sent(10);
            assert_eq!(marks.on_ack(newly, counts), Marked::Failed, "{newly} {counts:?}");
            assert!(!marks.wanted());
            assert_eq!(marks.on_ack(1, None), Marked::No, "told once");
        }
        let mut marks = sent(10);
        marks.on_ack(4, Some(counts(2, 0, 2)));
        assert_eq!(marks.on_ack(1, Some(counts(4, 0, 1))), Marked::Failed, "counts do not shrink");
    }

    #[test]
    fn without_leave_nothing_is_marked() {
        let mut marks = Marks::new(false);
        assert!(!marks.wanted());
        assert_eq!(marks.on_ack(0, Some(counts(0, 0, 5))), Marked::No);
    }
}
