//! Losses in bursts.

use std::time::Duration;

use crate::prf::scale;
use crate::time::nanos;

/// Two states, good and bad, that take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bursts {
    /// How likely a good link is bad in the next slot, in parts per million.
    pub(crate) turns_bad: u32,
    pub(crate) turns_good: u32,
    /// Losses while it is bad.
    pub(crate) loss: u32,
}

impl Bursts {
    /// The state is kept for so many nanoseconds.
    pub(crate) const SLOT: u64 = 10_000_000;

    pub(crate) fn new(good: Duration, bad: Duration, loss: u32) -> Self {
        let turns = |mean: Duration| {
            assert!(nanos(mean) >= Self::SLOT, "a state lasts for 10 ms or longer, not {mean:?}");
            (Self::SLOT * 1_000_000 / nanos(mean)) as u32
        };
        Self { turns_bad: turns(good), turns_good: turns(bad), loss }
    }

    /// Whether the next slot is bad.
    pub(crate) const fn next(self, bad: bool, word: u64) -> bool {
        let dice = scale(word, 1_000_000) as u32;
        if bad { dice >= self.turns_good } else { dice < self.turns_bad }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prf::mix;
    use crate::time::ms;

    #[test]
    fn states_last_as_long_as_they_should() {
        let bursts = Bursts::new(ms(900), ms(100), 0);
        let (mut bad, mut slots, mut begun) = (false, 0, 0);
        for i in 0..1_000_000 {
            let next = bursts.next(bad, mix(i));
            begun += u64::from(next && !bad);
            bad = next;
            slots += u64::from(bad);
        }
        assert!((98_000..102_000).contains(&slots), "a tenth of the time: {slots}");
        let mean = slots * 10 / begun;
        assert!((96..=104).contains(&mean), "{mean} ms each");
    }
}
