//! Second copies: what was lost once is sent twice where that costs nothing, for when the repetition is lost too it has been
//! missing for two round trips.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::Carried;
use crate::Timestamp;

/// Things that wait for their second copy; more than that are not repeated twice.
const MAX_WAITING: usize = 64;
const SHORTEST: Duration = Duration::from_millis(8);
const LONGEST_DELAY: Duration = Duration::from_millis(5);

/// What will be sent once more, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repairs {
    waiting: VecDeque<(Timestamp, Carried)>,
}

impl Repairs {
    /// How long after the repetition the copy goes out: apart enough that one burst of losses does not take both. `None` where
    /// a round trip is so short that the copy gains nothing.
    pub(crate) fn delay(rtt: Duration) -> Option<Duration> {
        (rtt >= SHORTEST).then(|| (rtt / 8).min(LONGEST_DELAY))
    }

    /// `carried` goes out again at `at`, which is not before that of any other.
    pub(crate) fn push(&mut self, at: Timestamp, carried: Carried) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back((at, carried));
        }
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.waiting.front().map(|&(at, _)| at)
    }

    /// The next one that is due.
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<Carried> {
        self.waiting.pop_front_if(|(at, _)| *at <= now).map(|(_, carried)| carried)
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}
